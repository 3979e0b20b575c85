"""Charts: well-formed whatever stands in a label, and the numbers where they belong."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.review.monitoring.charts import Series, bars, escaped, histogram, time_line

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "</svg><img src=x onerror=alert(1)>",
    '"><b a="',
    "' onload='x",
    "&lt;&amp;]]><!--",
    "\x00\x08\x0b\x1f\ud800\ufffe",
    "\u202e\U0001f600 İ",
]


def parsed(svg: str) -> ET.Element:
    """The chart, if it is XML and says what it is."""
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    named = root.get("aria-labelledby", "").split()
    assert [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")] == named
    return root


def drawn(root: ET.Element, tag: str, kind: str) -> list[ET.Element]:
    return [each for each in root.iter(f"{SVG}{tag}") if each.get("class") == kind]


ALLOWED = {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "g", "text", "rect", "path", "circle")}


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_stays_text(label):
    charts = (
        histogram(label, label, [label] * 2, [Series(label, "tonight", [0.5, 0.5])], (0.5, label)),
        time_line(label, label, [label], [1.0], label),
        bars(label, label, [(label, 3)]),
    )
    for svg in charts:
        root = parsed(svg)
        assert {each.tag for each in root.iter()} <= ALLOWED
        attributes = {name for each in root.iter() for name in each.attrib}
        assert not [name for name in attributes if name.startswith("on") or "href" in name]
        assert root.find(f"{SVG}title").text == "".join(
            "\ufffd" if each in "\x00\x08\x0b\x1f\ud800\ufffe" else each for each in label
        )


@given(st.text(st.characters()))
def test_whatever_the_text_it_can_be_read_back(text):
    svg = bars("n", text, [(text, 1)])
    assert parsed(svg).find(f"{SVG}title") is not None
    assert "<" not in escaped(text) and '"' not in escaped(text)


shares = st.lists(st.floats(0, 1), max_size=40)


@given(shares, st.floats(-1, 2))
def test_every_histogram_stays_in_its_frame(found, mark):
    series = [Series("a", "tonight", found), Series("b", "before", found)]
    root = parsed(histogram("n", "t", [str(n) for n in range(len(found))], series, (mark, "m")))
    for bar in drawn(root, "rect", "tonight"):
        assert 44 <= float(bar.get("y")) <= 158.1
        assert float(bar.get("x")) + float(bar.get("width")) <= 371


def test_bars_are_as_high_as_their_shares():
    series = [Series("tonight", "tonight", [0.25, 0, 0.5])]
    root = parsed(histogram("scores", "Scores", ["0", "0.1", "0.2"], series))
    heights = [float(bar.get("height")) for bar in drawn(root, "rect", "tonight")]
    assert heights == [57.0, 114.0]
    assert root.find(f"{SVG}desc").text == "tonight: from 0 25%, from 0.2 50%"


def test_series_differ_without_colour():
    series = [
        Series("tonight", "tonight", [1.0]),
        Series("before", "before", [1.0]),
        Series("model", "model", [1.0]),
    ]
    svg = histogram("n", "t", ["0"], series)
    root = parsed(svg)
    (before,), (model,) = drawn(root, "path", "before"), drawn(root, "path", "model")
    assert before.get("stroke-dasharray") is None and model.get("stroke-dasharray")
    assert "#" not in svg.replace("&#", "") and "style" not in svg


def test_a_night_that_is_not_known_is_a_gap():
    nights = ["a", "b", "c", "d", "e"]
    root = parsed(time_line("n", "t", nights, [0.1, 0.2, None, 0.0, 0.2], "%"))
    (line,) = drawn(root, "path", "before")
    assert line.get("d").count("M") == 2 and line.get("d").count("L") == 2
    assert len(drawn(root, "circle", "before")) == 3 and len(drawn(root, "circle", "tonight")) == 1
    assert root.find(f"{SVG}desc").text == "a: 10.0%; b: 20.0%; c: not known; d: 0.0%; e: 20.0%"


@given(st.lists(st.none() | st.floats(0, 1e12), max_size=31))
def test_every_time_line_is_drawn(found):
    root = parsed(time_line("n", "t", [str(n) for n in range(len(found))], found))
    points = drawn(root, "circle", "before") + drawn(root, "circle", "tonight")
    assert len(points) == sum(value is not None for value in found)
    assert all(44 <= float(point.get("cy")) <= 158.1 for point in points)


@pytest.mark.parametrize("items", [[], [("a", 0)], [("a", 0), ("b", 1)], [("x" * 99, 10**12)]])
def test_bars_without_much_in_them(items):
    root = parsed(bars("n", "t", items))
    assert len(drawn(root, "rect", "tonight")) == len(items)
