"""Pictures by flag, device and site: counted once, kept in run.json, small groups not shown."""

from __future__ import annotations

import copy
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reports import parquet
from batch.review.monitoring.flag_counts import (
    FLAG_COLUMNS,
    FLAGS,
    NO_SITE,
    OTHERS,
    SHARPNESS_EDGES,
    SMALL_GROUP,
    FlagCounts,
    GroupCounts,
    add_up,
    flag_counts,
    flag_counts_from_json,
    shown_groups,
)


def table(*rows: dict) -> pa.Table:
    """Rows of `predictions`, with what is not said of them null."""
    fields = [parquet.schema("predictions").field(name) for name in FLAG_COLUMNS]
    plain = {"flags": [], "is_reliable": True, "file_format": "jpeg"}
    filled = [dict.fromkeys(FLAG_COLUMNS) | plain | row for row in rows]
    return pa.Table.from_pylist(filled, schema=pa.schema(fields))


def taken(device: str | None, *flags: str, sharpness: float | None = 1.0, site=None) -> dict:
    return {
        "manufacturer": device,
        "flags": list(flags),
        "is_reliable": not flags or flags == ("lossy",),
        "sharpness": sharpness,
        "anatomic_region": site,
    }


ROWS = [
    taken("A", "blurry", "lossy", sharpness=-2.0, site="Back"),
    taken("A", "blurry", "overexposed", site="Back"),
    taken("A", "lossy", site="Arm"),
    taken(None, sharpness=None),
    taken("B", "nearly_uniform", site="Arm"),
]


def test_every_flag_is_counted_by_device_and_site():
    found = flag_counts(table(*ROWS))
    assert {name: group.images for name, group in found.devices.items()} == {
        "A": 3, "B": 1, "jpeg file": 1,
    }  # fmt: skip
    assert found.devices["A"].flagged == {"blurry": 2, "overexposed": 1, "unreliable": 2}
    assert found.devices["B"].flagged == {"nearly_uniform": 1, "unreliable": 1}
    assert {name: group.images for name, group in found.sites.items()} == {
        "Back": 2, "Arm": 2, NO_SITE: 1,
    }  # fmt: skip
    assert found.sites["Back"].flagged == {"blurry": 2, "overexposed": 1, "unreliable": 2}
    assert found.archive.images == 5 and found.archive.share("unreliable") == 3 / 5
    edges = {SHARPNESS_EDGES[at]: count for at, count in found.devices["A"].sharpness.items()}
    assert edges == {-2.0: 1, 1.0: 2}
    assert not found.devices["jpeg file"].sharpness and not found.sites["Back"].sharpness


def test_without_pictures_nothing_is_counted():
    assert flag_counts(table()) == FlagCounts() == add_up([])
    assert GroupCounts().share("blurry") is None


@given(
    st.lists(
        st.builds(
            taken,
            st.sampled_from(["A", "B", None]),
            st.sampled_from(FLAGS[:-1]),
            sharpness=st.floats(-20, 20),
            site=st.sampled_from(["Back", None]),
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_parts_add_up_and_run_json_keeps_all(rows, cut):
    whole = flag_counts(table(*rows))
    assert add_up([flag_counts(table(*rows[:cut])), flag_counts(table(*rows[cut:]))]) == whole
    assert flag_counts_from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert whole.archive.images == sum(group.images for group in whole.sites.values()) == len(rows)


def test_rare_devices_are_added_up_and_none_is_lost():
    devices = {f"D{number:02}": GroupCounts(100 + number) for number in range(30)}
    kept = FlagCounts(devices).to_json()["devices"]
    assert len(kept) == 21 and kept[OTHERS]["images"] == sum(100 + n for n in range(10))
    assert sum(group["images"] for group in kept.values()) == FlagCounts(devices).archive.images


@pytest.mark.parametrize(
    ("small", "shown"),
    [
        ([SMALL_GROUP], [("big", 50), ("s0", SMALL_GROUP)]),
        ([SMALL_GROUP - 1], [("big", 50)]),
        ([6, 3], [("big", 50)]),
        ([6, 4], [("big", 50), (f"fewer than {SMALL_GROUP} images each", 10)]),
    ],
)
def test_a_small_group_is_not_shown_by_itself(small, shown):
    groups = {f"s{at}": GroupCounts(count) for at, count in enumerate(small)}
    found = shown_groups({**groups, "big": GroupCounts(50)})
    assert [(name, group.images) for name, group in found] == shown


GOOD = flag_counts(table(*ROWS)).to_json()


def _changed(path: tuple[str, ...], value: object) -> dict:
    content = copy.deepcopy(GOOD)
    part = content
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return content


@pytest.mark.parametrize(
    "content",
    [
        None, [], {}, _changed(("counts_version",), 0), _changed(("devices",), None),
        _changed(("devices", "A"), 3), _changed(("devices", "A", "images"), -1),
        _changed(("devices", "A", "images"), True), _changed(("devices", "A", "images"), 1),
        _changed(("devices", "A", "flagged"), {"blurry": 1.5}),
        _changed(("devices", "A", "sharpness_from"), {"0.123": 1}),
    ],
)  # fmt: skip
def test_damaged_counts_count_as_none(content):
    assert flag_counts_from_json(content) is None
