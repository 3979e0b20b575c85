"""Outcomes against nights: the score as it was shown, which row counts, accounts, hostile files."""

from __future__ import annotations

import json
import math
import os
import time
from datetime import datetime, timedelta

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.cli import main
from batch.core.errors import ExitCode, UsageError
from batch.evaluation.evaluate import evaluate_predictions
from batch.operations.outcome_join import STATES
from batch.operations.outcome_report import STATES as SHOWN_STATES
from batch.operations.outcomes import judge_outcomes
from batch.operations.prune import prune
from tests.support.outcome_nights import night_of, opened, write_outcomes
from tests.support.stored_nights import FIRST_NIGHT, by_path

A, B, C = "a.jpg", "b.jpg", "c.jpg"


def judged(reports, text=None, **options):
    if text is not None:
        write_outcomes(reports, text)
    return judge_outcomes(opened(reports), **options)


def day(number: int) -> str:
    """The day of a night."""
    return f"{(FIRST_NIGHT + timedelta(days=number - 1)).astimezone():%Y-%m-%d}"


def test_the_states_that_the_page_explains_are_all_there_are():
    assert set(SHOWN_STATES) == {*STATES, "without_label", "not_understood"}


def test_a_later_model_changes_nothing_about_what_was_shown(tmp_path):
    night_of(tmp_path, 1, {A: (0.3, "a"), B: (0.9, "b")}, "m1")
    night_of(tmp_path, 2, {A: (0.8, "a"), B: (0.1, "b")}, "m2")
    text = f"image,diagnosis,date\na,melanoma,{day(2)}\nb,nevus,{day(2)}\n"
    before = judged(tmp_path, text).figures["figures"]
    assert (before["false_negative"], before["false_positive"]) == (1, 1)
    later = judged(tmp_path, text.replace(day(2), day(3))).figures["figures"]
    assert (later["true_positive"], later["true_negative"]) == (1, 1)
    undated = judged(tmp_path, "image,diagnosis\na,melanoma\nb,nevus\n").figures["figures"]
    assert undated == before  # the first night that showed them


def test_a_missed_melanoma_names_its_night_and_page(tmp_path):
    first = night_of(tmp_path, 1, {A: (0.3, "a")})
    (first.folder / "review_worklist.html").write_text("page")
    night_of(tmp_path, 2, {A: (0.3, "a")})
    (missed,) = judged(tmp_path, f"path,label,date\na.jpg,melanoma,{day(2)}\n").missed
    assert missed["run_id"] == first.folder.name
    assert missed["page"] == f"runs/{first.folder.name}/review_worklist.html"
    assert (missed["score"], missed["threshold"]) == (0.3, 0.5)


def test_a_new_operating_point_turns_what_is_not_scored_again(tmp_path):
    night_of(tmp_path, 1, {A: (0.4, "a")}, threshold=0.5)
    night_of(tmp_path, 2, {A: (0.4, "a")}, threshold=0.35)
    night_of(tmp_path, 3, {A: (0.4, "a")}, threshold=0.45)
    for number, alerted in ((2, False), (3, True), (4, False)):
        text = f"image,diagnosis,date\na,melanoma,{day(number)}\n"
        found = judged(tmp_path, text).figures
        assert found["figures"]["true_positive"] == alerted
        assert found["verification"]["alerted_lesions"] == 1


def test_a_lesion_counts_by_its_most_urgent_image(tmp_path):
    archive = {"L1_a.jpg": (0.2, 1), "L1_b.jpg": (0.7, 2), "L2_a.jpg": (0.1, 3)}
    night_of(tmp_path, 1, archive, pattern=r"(?P<lesion>L\d)_")
    found = judged(tmp_path, "image,diagnosis\nL1_a,melanoma\nL1_b,melanoma\nL2_a,nevus\n").figures
    assert found["figures"]["true_positive"] == found["figures"]["true_negative"] == 1
    assert (found["rows"]["judged"], found["rows"]["repeated"]) == (2, 1)


@pytest.mark.parametrize(("rows", "is_melanoma", "states"), [
    ([("melanoma", 3), ("nevus", 5)], False, {"revised": 1}),
    ([("nevus", 5), ("melanoma", 3)], False, {"revised": 1}),
    ([("nevus", 3), ("melanoma", 5)], True, {"revised": 1}),
    ([("nevus", 5), ("melanoma", 5)], True, {"contradicting": 1}),
    ([("melanoma", 5), ("melanoma", 5)], True, {"repeated": 1}),
    ([("melanoma", None), ("nevus", 3)], False, {"revised": 1}),
    ([("nevus", None), ("melanoma", None)], True, {"contradicting": 1}),
    ([("melanoma", 3), ("nevus", 5), ("nevus", 5)], False, {"revised": 1, "repeated": 1}),
])  # fmt: skip
def test_the_newest_day_decides_and_melanoma_within_a_day(tmp_path, rows, is_melanoma, states):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    lines = [f"a,{label},{'' if at is None else day(at)}" for label, at in rows]
    found = judged(tmp_path, "image,diagnosis,date\n" + "\n".join(lines)).figures
    assert found["figures"]["melanomas"] == is_melanoma
    counts = {name: n for name, n in found["rows"].items() if n and name not in ("rows", "judged")}
    assert counts == states and found["rows"]["judged"] == 1


def test_a_revision_does_not_move_the_night_that_counts(tmp_path):
    night_of(tmp_path, 1, {A: (0.3, "a")}, "m1")
    night_of(tmp_path, 2, {A: (0.8, "a")}, "m2")
    text = f"image,diagnosis,date\na,nevus,{day(2)}\na,melanoma,{day(3)}\n"
    assert judged(tmp_path, text).figures["figures"]["false_negative"] == 1


def test_every_row_has_one_state(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a"), "x/d.jpg": (0.1, "d"), "y/d.jpg": (0.1, "e")})
    night_of(tmp_path, 2, {A: (0.9, "a"), "x/d.jpg": (0.1, "d"), "y/d.jpg": (0.1, "e"),
                           B: (0.2, "b")})  # fmt: skip
    text = (
        f"image,diagnosis,date\na,melanoma,{day(3)}\nb,melanoma,{day(2)}\nd,nevus,\nzzz,nevus,\n"
        f"a,,\n,nevus,\na,NA,\na,melanoma,someday\n"
    )
    found = judged(tmp_path, text)
    rows = found.figures["rows"]
    expected = {
        "judged": 1, "scored_later": 1, "ambiguous": 1, "not_found": 1, "without_label": 1,
        "without_key": 1, "left_out": 1, "not_understood": 1,
    }  # fmt: skip
    assert {name: n for name, n in rows.items() if n and name != "rows"} == expected
    assert rows["rows"] == 8
    assert found.problems[0].startswith("outcomes.csv, row 9: ")
    assert "someday" not in found.problems[0]


@pytest.mark.parametrize("key", ["image_id", "path", "image", "content_sha256", "lesion_key"])
def test_every_key_finds_the_same_image(tmp_path, key):
    night = night_of(tmp_path, 1, {A: (0.9, "a"), B: (0.1, "b")})
    row = next(r for r in night.rows("current") if r["path"] == A)
    value = {**row, "image": "a.JPG", "lesion_key": f"IMAGE:{row['image_id']}"}[key]
    found = judged(tmp_path, f"{key};Diagnosis\n{value};melanoma\n").figures
    assert found["figures"]["true_positive"] == 1


def test_a_moved_file_is_found_at_its_new_path(tmp_path):
    night_of(tmp_path, 1, {"old/a.jpg": (0.9, "a")})
    night_of(tmp_path, 2, {"new/a.jpg": (0.9, "a")})
    for path in ("old/a.jpg", "new/a.jpg"):
        found = judged(tmp_path, f"path,diagnosis\n{path},melanoma\n").figures
        assert found["figures"]["true_positive"] == 1


def test_pruning_changes_no_figure(tmp_path):
    for number in range(1, 5):
        archive = {f"{name}.jpg": (0.1 * name, name) for name in range(1, 2 + 2 * number)}
        night_of(tmp_path, number, archive, f"m{number // 2}")
    lines = [f"{n},{'melanoma' if n % 2 else 'nevus'},{day(1 + n % 5)}" for n in range(1, 9)]
    before = judged(tmp_path, "image,diagnosis,date\n" + "\n".join(lines))
    assert prune(tmp_path, 1).nights
    after = judged(tmp_path)
    assert (after.figures, after.missed) == (before.figures, before.missed)


def test_the_figures_are_those_of_evaluate_on_the_same_rows(tmp_path):
    archive = {f"{n:03d}.jpg": ((n * 37 % 101) / 100, n) for n in range(60)}
    night_of(tmp_path, 1, archive)
    labels = ["image,label", *(f"{n:03d},{'melanoma' if n % 3 else 'nevus'}" for n in range(60))]
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    measures = evaluate_predictions(tmp_path, tmp_path / "labels.csv", None).measures
    (point,) = measures["operating_points"]
    found = judged(tmp_path, "\n".join(labels)).figures["figures"]
    for name in ("sensitivity", "sensitivity_interval", "ppv", "ppv_interval", "true_positive",
                 "false_positive", "true_negative", "false_negative"):  # fmt: skip
        assert found[name] == point[name], name


def test_bounds_of_verification(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a"), B: (0.8, "b"), C: (0.1, "c"), "d.jpg": (0.2, "d"),
                           "e.jpg": (0.3, "e")})  # fmt: skip
    found = judged(tmp_path, "image,diagnosis\na,melanoma\nc,melanoma\n").figures
    checked = found["verification"]
    assert checked["alerted_lesions"] == 2 and checked["alerted_with_outcome"] == 1
    assert checked["silent_without_outcome"] == 2
    assert checked["sensitivity_bounds"] == [1 / 4, 2 / 3]
    assert checked["ppv_bounds"] == [1 / 2, 1]


@pytest.mark.parametrize(("zone", "month"), [("Pacific/Kiritimati", "2026-12"), ("UTC", "2026-11"),
                                             ("America/Los_Angeles", "2026-11")])  # fmt: skip
def test_months_are_those_of_this_machine(tmp_path, monkeypatch, zone, month):
    night_of(tmp_path, 30, {A: (0.9, "a")})  # 2026-11-30 02:00 UTC
    run = json.loads((tmp_path / "latest" / "run.json").read_text())
    run["started_at"] = "2026-11-30T12:30:00+00:00"
    (tmp_path / "latest" / "run.json").write_text(json.dumps(run))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = judged(tmp_path, "image,diagnosis\na,melanoma\n").figures["by_month"]
        assert list(found) == [month] and found[month]["first_alerts_with_outcome"] == 1
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_day_begins_at_local_midnight(tmp_path, monkeypatch):
    night_of(tmp_path, 2, {A: (0.9, "a")})  # 2026-11-02 02:00 UTC, still the 1st in New York
    counts = {}
    for zone in ("America/New_York", "UTC"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found = judged(tmp_path, "image,diagnosis,date\na,melanoma,02.11.2026\n").figures
        counts[zone] = (found["rows"]["judged"], found["rows"]["scored_later"])
    monkeypatch.undo()
    time.tzset()
    assert counts == {"America/New_York": (1, 0), "UTC": (0, 1)}


def test_workbooks_and_parquet_and_marks(tmp_path):
    night_of(tmp_path, 2, {A: (0.9, "a"), B: (0.8, "b"), C: (0.1, "c"), "007.jpg": (0.7, 7)})
    (tmp_path / "outcomes").mkdir()
    book = openpyxl.Workbook()
    for row in (["Image", "Histology", "Date"], ["a", "melanoma", datetime(2026, 11, 20)],
                ["007", "nevus", datetime(2026, 11, 20)]):  # fmt: skip
        book.active.append(row)
    book.save(tmp_path / "outcomes" / "old.xlsx")
    table = pa.table({"path": [B], "label": ["nevus"], "date": [datetime(2026, 11, 20, 8, 30)]})
    pq.write_table(table, tmp_path / "outcomes" / "new.parquet")
    (tmp_path / "reviewed.csv").write_text(
        "image_id,decision,reviewed_at\nx,seen,2026-11-20\n"  # without diagnosis: only a mark
    )
    identity = pd.read_parquet(tmp_path / "latest" / "current").set_index("path")["image_id"]
    (tmp_path / "reviewed-desk.csv").write_text(
        f"image_id,decision,reviewed_at,diagnosis\n{identity[C]},excised,2026-11-20,melanoma\n"
        f"{identity[A]},seen,2026-11-22,nevus\n{identity[A]},seen,2026-11-20,biopsy planned\n"
    )
    found = judged(tmp_path)
    assert found.problems == () and found.figures["files"] == 3
    figures = found.figures["figures"]
    assert [figures[n] for n in ("true_positive", "false_positive", "false_negative")] == [1, 2, 1]
    assert found.figures["lesions_by_mark"] == 1
    rows = found.figures["rows"]
    assert [rows[n] for n in ("rows", "judged", "outranked", "unclear_mark")] == [6, 4, 1, 1]


@pytest.mark.parametrize(("name", "data"), [
    ("a.xlsx", b"PK\x03\x04 no workbook"), ("a.parquet", b"PAR1"), ("a.pdf", b"%PDF"),
    ("a.csv", b"image,diagnosis\n\xff\xfe\x00\"" + b"\x81\x8d"), ("b.csv", b"\x00" * 400),
    ("c.csv", b"image\na\n"), ("d.csv", b"diagnosis\nmelanoma\n"),
    ("e.csv", b'image,diagnosis\n"a,b'),
    ("f.csv", b"image,diagnosis,diagnosis\na,nevus,melanoma\n"),
    ("g.csv", b"image,diagnosis\na,melanoma,nevus\n"),
    ("h.csv", b"image,diagnosis,date\na,melanoma,03/04/2026\n"),
    ("i.csv", b"image,diagnosis,date\na,melanoma,0001-01-01\n"),
    ("j.csv", b"image,diagnosis,date\na,melanoma,9999-12-31T23:59:59-14:00\n"),
])  # fmt: skip
def test_a_hostile_file_is_told_and_costs_no_other(tmp_path, name, data):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    write_outcomes(tmp_path, "image,diagnosis\na,melanoma\n", "z.csv")
    (tmp_path / "outcomes" / name).write_bytes(data)
    found = judged(tmp_path)
    rows = found.figures["rows"]
    assert found.figures["figures"]["true_positive"] == 1
    if name == "i.csv":  # a date, before any night
        assert rows["rows"] == 2
    else:
        assert rows["not_understood"] >= 1 and found.problems[0].startswith(name)


def test_pipes_folders_and_editors_own_files(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    write_outcomes(tmp_path, "image,diagnosis\na,melanoma\n")
    folder = tmp_path / "outcomes"
    os.mkfifo(folder / "pipe.csv")
    (folder / "below").mkdir()
    (folder / ".~lock.outcomes.csv#").write_text("x")
    (folder / "~$book.xlsx").write_text("x")
    found = judged(tmp_path)
    assert [p.split(":")[0] for p in found.problems] == ["below", "pipe.csv"]


def test_nothing_to_read_is_said(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    with pytest.raises(UsageError, match="no outcome"):
        judged(tmp_path)
    (tmp_path / "outcomes").mkdir()
    with pytest.raises(UsageError, match="no outcome"):
        judged(tmp_path)
    write_outcomes(tmp_path, "image,diagnosis\n")
    assert judged(tmp_path).figures["rows"]["rows"] == 0


def test_what_a_diagnosis_means_is_not_guessed(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    text = "image,diagnosis\na,XYZ-7\n"
    with pytest.raises(UsageError, match="XYZ-7"):
        judged(tmp_path, text)
    found = judged(tmp_path, text, map_labels=["XYZ-7=melanoma"])
    assert found.figures["figures"]["true_positive"] == 1


@pytest.mark.parametrize(("text", "options"), [
    ("Bild;Diagnose;Datum\na.jpg;C43.5;20.11.2026\n", {}),
    ("isic_id,MEL,NV,BCC\na,1.0,0.0,0.0\n", {}),
    ("image,melanoma\na,1\n", {}),
    ("Foto;Befund\na;Melanom in situ\n", {"maps": ["Foto=image", "Befund=label"]}),
    ("image,label\na,1\n", {"positive": ["1"]}),
])  # fmt: skip
def test_the_labels_of_hospitals_are_read(tmp_path, text, options):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    found = judged(tmp_path, text, **options)
    assert found.problems == () and found.figures["figures"]["true_positive"] == 1


def test_a_mapping_names_a_known_column(tmp_path):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    for wrong in ("x", "=image", "a=banana"):
        with pytest.raises(UsageError, match="--map: "):
            judged(tmp_path, "image,diagnosis\na,nevus\n", maps=[wrong])


def test_a_damaged_night_is_told(tmp_path, capsys):
    night_of(tmp_path, 1, {A: (0.9, "a")})
    night_of(tmp_path, 2, {A: (0.9, "a"), B: (0.9, "b")})
    first = sorted((tmp_path / "runs").iterdir())[0]
    for part in (first / "predictions").iterdir():
        part.write_bytes(b"PAR1 broken")
    write_outcomes(tmp_path, "image,diagnosis\nb,melanoma\n")
    assert main(["outcomes", str(tmp_path), "--json"]) == ExitCode.FAILURE
    assert json.loads(capsys.readouterr().out)["nights"]["left_out"] == {"damaged": 1}


def test_the_command_writes_page_and_metrics(tmp_path, capsys):
    reports = tmp_path / "reports"
    reports.mkdir()
    night_of(reports, 1, {A: (0.9, "a"), B: (0.1, "<script>b")})
    write_outcomes(reports, "image,diagnosis,sex\na,nevus,F\nb,melanoma,<b>x\n")
    metrics = tmp_path / "m.prom"
    words = ["outcomes", str(reports), "--metrics-file", str(metrics), "--min-cell", "1"]
    assert main(words) == ExitCode.COMPLETE
    told = capsys.readouterr().out
    assert "0 of 1 melanomas had an alert" in told and "upper bound" in told
    page = (reports / "outcomes.html").read_text()
    assert "<b>x" not in page and "&lt;b&gt;x" in page
    assert "http" not in page.replace("http-equiv", "")
    assert 'melanoma_batch_outcome_lesions{kind="false_negative"} 1.0' in metrics.read_text()
    assert main([*words, "--output", str(tmp_path)]) == ExitCode.USAGE
    write_outcomes(reports, "image,diagnosis\n", "empty.csv")
    write_outcomes(reports, "nothing\n1\n", "odd.csv")
    assert main(words) == ExitCode.MARKS_NOT_UNDERSTOOD


NAMES = ("L1_a.jpg", "L1_b.jpg", "L2_a.jpg", "L3_a.jpg")
PATTERN = r"(?P<lesion>L\d)_"
SCORES = st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.9])


@st.composite
def histories(draw):
    """Nights with growing archives, replaced files, new models and new operating points."""
    nights, present = [], {}
    for _ in range(draw(st.integers(1, 4))):
        for name in NAMES:
            if draw(st.booleans()):
                present[name] = f"{name} {draw(st.integers(0, 1))}"
        model = draw(st.sampled_from(["m1", "m2"]))
        point = draw(st.sampled_from([0.3, 0.5, 0.6]))
        scores = {name: (draw(SCORES), content) for name, content in present.items()}
        nights.append((scores, model, point))
    outcomes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(NAMES), st.booleans(), st.one_of(st.none(), st.integers(1, 6))
            ),
            max_size=8,
        )
    )
    return nights, outcomes


@given(histories())
@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_against_a_brute_force_oracle(tmp_path_factory, history):
    nights, outcomes = history
    reports = tmp_path_factory.mktemp("oracle")
    shown = []  # lesion to (score, is_alert) of each night, by the night's own table `current`
    for number, (archive, model, point) in enumerate(nights, 1):
        night = night_of(reports, number, archive, model, point, PATTERN)
        lesions: dict[str, tuple[float, bool]] = {}
        for path, (score, alert) in by_path(
            night.rows("current"), "melanoma_score", "is_alert"
        ).items():
            best = lesions.get(path[:2], (-math.inf, False))
            lesions[path[:2]] = (max(best[0], score), best[1] or alert)
        shown.append(lesions)
    text = "path,diagnosis,date\n" + "".join(
        f"{path},{'melanoma' if bad else 'nevus'},{'' if at is None else day(at)}\n"
        for path, bad, at in outcomes
    )
    found = judged(reports, text).figures
    expected = dict.fromkeys(
        ("true_positive", "false_negative", "false_positive", "true_negative"), 0
    )
    paths = {path for lesions, _, _ in nights for path in lesions}
    for lesion in {path[:2] for path, _, _ in outcomes if path in paths}:
        rows = [(bad, at) for path, bad, at in outcomes if path in paths and path[:2] == lesion]
        newest = max(at or 0 for _, at in rows)
        bad = any(bad for bad, at in rows if (at or 0) == newest)
        first = min((at for _, at in rows if at), default=None)
        having = [n for n, lesions in enumerate(shown, 1) if lesion in lesions]
        if first is not None:
            having = [n for n in having if n < first][-1:]
        if not having:
            continue
        alert = shown[having[0] - 1][lesion][1]
        name = {(True, True): "true_positive", (True, False): "false_negative",
                (False, True): "false_positive", (False, False): "true_negative"}  # fmt: skip
        expected[name[bad, alert]] += 1
    assert {name: found["figures"][name] for name in expected} == expected
    assert found["rows"]["rows"] == len(outcomes)


def two_patients(reports, shared=False):
    """Patients P and Q, each with a lesion "1a" (or one tracking UID), as full identifiers say."""
    night_of(reports, 1, {A: (0.9, "a"), B: (0.1, "b"), C: (0.2, "c")})
    name = "1.2.3" if shared else "1a"
    for table in ("predictions", "current"):
        (part,) = (next((reports / "runs").iterdir()) / table).glob("*.parquet")
        rows = pq.read_table(part)
        who = [{A: "P", B: "Q", C: "R"}[path] for path in rows["path"].to_pylist()]
        lesions = ["MANIFEST:R/7" if one == "R" else name for one in who]
        for column, values in (("lesion_id", lesions), ("patient_id", who)):
            at = rows.column_names.index(column)
            rows = rows.set_column(at, rows.schema.field(column), pa.array(values, pa.string()))
        pq.write_table(rows, part)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("lesion", "patient", "state"), [
    ("name", "P", "judged"), ("name", "Q", "judged"), ("name", "", "ambiguous"),
    ("name", "R", "not_found"), ("7", "", "judged"), ("7", "R", "judged"), ("7", "P", "not_found"),
    ("MANIFEST:R/7", "", "judged"),
])  # fmt: skip
def test_a_lesion_of_an_outcome_is_that_of_one_patient(tmp_path, shared, lesion, patient, state):
    two_patients(tmp_path, shared)
    lesion = {"name": "1.2.3" if shared else "1a"}.get(lesion, lesion)
    found = judged(tmp_path, f"lesion_id,patient_id,diagnosis\n{lesion},{patient},melanoma\n")
    assert found.figures["rows"][state] == 1
    if state == "judged":
        assert found.figures["figures"]["true_positive"] == (patient == "P")


def test_coverage_is_of_all_lesions_and_patients_that_had_a_score(tmp_path):
    two_patients(tmp_path)
    covered = judged(tmp_path, "image,diagnosis\na,melanoma\nb,nevus\n").figures["coverage"]
    assert covered["lesions"] == covered["patients"] == {
        "known": 3, "labelled": 2, "share": pytest.approx(2 / 3)
    }  # fmt: skip
