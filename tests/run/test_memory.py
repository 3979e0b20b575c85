"""What is remembered, what of it still holds tonight, and what is damaged and not believed."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import FailureReason, NonImageReason
from batch.core.records import KEPT_ATTRIBUTES, FileState, ImageLocation
from batch.reports import parquet, rows
from batch.reports.local import SNAPSHOTS, LocalReports
from batch.reports.schema import ADDED_COLUMNS, READABLE_VERSIONS, SCHEMA_VERSION
from batch.run.memory import MAX_ATTEMPTS, earlier_attempts, reusable, staying_rows
from batch.storage.files import digests
from tests.support.stored_nights import (
    NOW,
    at,
    by_path,
    dead_run,
    facts,
    failed,
    image,
    memory_of,
    non_image,
    pending,
    published,
    reused,
    run_night,
    sha,
    unexpected,
)

GAVE_UP = MAX_ATTEMPTS - 1
"""Earlier attempts with which one more reading is the last."""


def remembered(*results, made_with=None):
    """`Memory.files` as these results would be remembered."""
    made = [rows.file_row(result.outcome, made_with or facts()) for result in results]
    return parquet.to_arrow("files", made).drop_columns(["path", "path_bytes"])


def broken(reason=FailureReason.DECODE_FAILED, earlier=GAVE_UP, file_format="jpeg"):
    return failed(at("a", attempts=earlier), reason, file_format)


PLAIN = image(at("a"), 0.7)
DICOM = image(at("a"), 0.7, file_format="dicom")
PARTLY = image(at("a", attempts=GAVE_UP), 0.7, FailureReason.DECODE_FAILED, file_format="dicom")
DISLIKED = broken(FailureReason.MODEL_FAILED)
TEXT = non_image(at("a"))
EXCLUDED = non_image(at("a"), NonImageReason.EXCLUDED_BY_RULE)
NOTHING = dict[str, str]()
MODEL = {"scoring": "other"}
RULES = {"identity": "other"}
LIMITS = {"failure": "other"}
PROGRAM = {"program_version": "other"}


@pytest.mark.parametrize(
    ("what", "result", "still"),
    [
        # a row each: which single change leaves it as it is
        ("scored", PLAIN, (NOTHING, RULES, LIMITS, PROGRAM)),
        ("scored DICOM", DICOM, (NOTHING, LIMITS, PROGRAM)),
        ("partly scored DICOM, given up", PARTLY, (NOTHING,)),
        ("failed, given up", broken(), (NOTHING, RULES, MODEL)),
        ("failed DICOM, given up", broken(file_format="dicom"), (NOTHING, MODEL)),
        ("failed in the model, given up", DISLIKED, (NOTHING, RULES)),
        ("text", TEXT, (NOTHING, RULES, LIMITS, MODEL)),
        ("excluded DICOM", EXCLUDED, (NOTHING, LIMITS, MODEL)),
        ("pending", pending(at("a")), ()),
    ],
)
def test_each_change_concerns_what_depends_on_it_and_nothing_else(what, result, still):
    for change in (NOTHING, MODEL, RULES, LIMITS, PROGRAM):
        (found,) = staying_rows(remembered(result), facts(2, **change).fingerprints)
        assert found == (change in still), (what, change)


@pytest.mark.parametrize(
    "reason",
    [NonImageReason.DICOM_WITHOUT_PIXELS, NonImageReason.DICOM_OTHER_KIND,
     NonImageReason.EXCLUDED_BY_RULE],
)  # fmt: skip
def test_every_dicom_non_image_depends_on_the_rules(reason):
    row = remembered(non_image(at("a"), reason))
    assert staying_rows(row, NOW).all()
    assert not staying_rows(row, facts(2, **RULES).fingerprints).any()


@pytest.mark.parametrize(("earlier", "rests"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_failure_is_tried_three_times(earlier, rests):
    for result in (
        broken(earlier=earlier),
        image(at("a", attempts=earlier), 0.7, FailureReason.DECODE_FAILED),
    ):
        assert result.outcome.attempts == earlier + 1
        assert staying_rows(remembered(result), NOW).all() == rests


@pytest.mark.parametrize("reason", FailureReason)
def test_what_does_not_show_in_size_or_time_is_tried_every_night(reason):
    always = {"not_readable", "vanished", "not_a_regular_file"}
    row = remembered(broken(reason, earlier=50))
    assert staying_rows(row, NOW).all() == (reason.value not in always)


@pytest.mark.parametrize("reason", FailureReason)
def test_another_model_tries_again_what_a_model_refused(reason):
    """Of what rests; a file that could not be decoded has no interest in models."""
    row, other = remembered(broken(reason)), facts(2, **MODEL).fingerprints
    refused = {"model_failed", "model_input_invalid", "score_not_finite"}
    if staying_rows(row, NOW).all():
        assert staying_rows(row, other).all() == (reason.value not in refused)
    else:
        assert not staying_rows(row, other).any()


@pytest.mark.parametrize(
    ("change", "counts"), [(NOTHING, 2), (RULES, 2), (MODEL, 2), (LIMITS, 0), (PROGRAM, 0)]
)
def test_attempts_with_other_decoders_or_limits_do_not_count(change, counts):
    row = remembered(broken(earlier=1))
    assert earlier_attempts(row, facts(2, **change).fingerprints).tolist() == [counts]


def test_only_content_that_is_known_in_full_is_lent():
    known = remembered(PLAIN, DICOM, PARTLY, broken(), TEXT, pending(at("a")))
    assert reusable(known, staying_rows(known, NOW)).tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    later = facts(2, **RULES).fingerprints
    assert reusable(known, staying_rows(known, later)).tolist() == [True] + [False] * 5


def test_of_no_files_nothing_stays():
    assert staying_rows(remembered(), NOW).tolist() == []


_OUTCOMES = st.sampled_from([PLAIN, DICOM, TEXT, EXCLUDED, pending(at("a"))]) | st.builds(
    broken, st.sampled_from(FailureReason), st.integers(0, 4), st.sampled_from(["jpeg", "dicom"])
)
_PRINTS = st.fixed_dictionaries(
    {name: st.sampled_from("xy") for name in ("program_version", "failure", "identity", "scoring")}
)


def _stays_alone(outcome, then, now):
    """One file, in words."""
    if outcome.state == FileState.PENDING:
        return False
    same = {name for name in then if then[name] == now[name]}
    if outcome.frames_scored and "scoring" not in same:
        return False
    dicom_reasons = ("dicom_without_pixels", "dicom_other_kind", "excluded_by_rule")
    is_dicom = outcome.file_format == "dicom" or outcome.reason in dicom_reasons
    if is_dicom and "identity" not in same:
        return False
    if outcome.state == FileState.NON_IMAGE:
        return "program_version" in same
    if outcome.frames_unscored == 0:
        return True
    if outcome.reason in ("not_readable", "vanished", "not_a_regular_file"):
        return False
    if outcome.reason in ("model_failed", "model_input_invalid", "score_not_finite") and (
        "scoring" not in same
    ):
        return False
    return {"program_version", "failure"} <= same and outcome.attempts >= MAX_ATTEMPTS


@settings(deadline=None)
@given(st.lists(st.tuples(_OUTCOMES, _PRINTS), min_size=1, max_size=8), _PRINTS)
def test_many_files_stay_as_each_alone_would(some, now):
    made = [rows.file_row(result.outcome, facts(**then)) for result, then in some]
    files = parquet.to_arrow("files", made)
    expected = [_stays_alone(result.outcome, then, now) for result, then in some]
    assert staying_rows(files, facts(2, **now).fingerprints).tolist() == expected


# --- which night is remembered ----


def test_before_the_first_night_nothing_is_remembered(tmp_path):
    memory = memory_of(tmp_path, facts())
    assert (memory.run_id, memory.folder, memory.damaged) == (None, None, ())
    assert len(memory.files) == len(memory.segment_files) == 0


def test_the_latest_night_is_remembered(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    folder = published(tmp_path, [image(at("b"), 0.1), non_image(at("c"))], facts(2))
    memory = memory_of(tmp_path, facts(3))
    assert (memory.run_id, memory.folder) == (facts(2).run_id, folder)
    assert memory.files["key"].to_pylist() == [b"b", b"c"]


def test_file_names_are_remembered_byte_for_byte(tmp_path):
    """Two different names that look alike in the table's `path`."""
    names = ["l\udce4sion", "l\\xe4sion", "läsion"]
    published(tmp_path, [image(at(name), 0.1) for name in names], facts(1))
    keys = memory_of(tmp_path, facts(2)).files["key"].to_pylist()
    assert sorted(keys) == sorted([b"l\xe4sion", b"l\\xe4sion", "läsion".encode()])


def test_what_latest_points_to_comes_first_and_then_the_newest(tmp_path):
    for number in (1, 2, 3):
        published(tmp_path, [image(at(str(number)), 0.1)], facts(number))
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to(f"runs/{facts(1).run_id}")
    assert memory_of(tmp_path, facts(4)).run_id == facts(1).run_id
    (tmp_path / "latest").unlink()
    assert memory_of(tmp_path, facts(4)).run_id == facts(3).run_id


def _two_nights(root):
    """Two nights; the second one's folder, and the facts of a third."""
    published(root, [image(at("a"), 0.1)], facts(1))
    results = [image(at("a"), 0.9), failed(at("b")), non_image(at("c"))]
    return published(root, results, facts(2)), facts(3)


@pytest.mark.parametrize("table", SNAPSHOTS)
@pytest.mark.parametrize("where", [0, 0.3, 0.5, 0.8, 1], ids=lambda part: f"at {part}")
def test_a_flipped_bit_in_a_snapshot_makes_the_night_before_count(tmp_path, table, where):
    folder, tonight = _two_nights(tmp_path)
    (part,) = (folder / table).iterdir()
    data = bytearray(part.read_bytes())
    data[round(where * (len(data) - 1))] ^= 4
    part.write_bytes(data)
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))
    assert memory.files["key"].to_pylist() == [b"a"]


@pytest.mark.parametrize("table", SNAPSHOTS)
@pytest.mark.parametrize("keep", [0, 1, -1], ids=["emptied", "one byte", "all but one byte"])
def test_a_truncated_snapshot_makes_the_night_before_count(tmp_path, table, keep):
    folder, tonight = _two_nights(tmp_path)
    (part,) = (folder / table).iterdir()
    part.write_bytes(part.read_bytes()[:keep])
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))


@pytest.mark.parametrize("table", SNAPSHOTS)
def test_a_snapshot_that_lost_its_part_makes_the_night_before_count(tmp_path, table):
    folder, tonight = _two_nights(tmp_path)
    (part,) = (folder / table).iterdir()
    part.unlink()
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))


def test_a_part_that_was_not_published_is_not_believed(tmp_path):
    """Somebody copied a part of another night into this one: its rows would count twice."""
    folder, tonight = _two_nights(tmp_path)
    (other,) = (LocalReports(tmp_path).night(facts(1).run_id) / "files").iterdir()
    shutil.copy(other, folder / "files" / "part-00001.parquet")
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))


def test_what_is_no_snapshot_may_be_damaged(tmp_path):
    folder, tonight = _two_nights(tmp_path)
    (part,) = (folder / "predictions").iterdir()
    part.write_bytes(b"")
    (folder / "alerts.parquet").unlink()
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(2).run_id, ())


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b'{"schema_version": 2}', b'{"schema_version": 2, '
             b'"parts": {}}', b'{"schema_version": 2, "parts": []}',
             b'{"schema_version": 2, "parts": [1]}', b'{"schema_version": 2, "parts": "x"}',
             b'{"schema_version": 2, "parts": {"files/part-00000.parquet": 1}}']
)  # fmt: skip
def test_a_night_with_a_damaged_ledger_is_passed_over_and_named(tmp_path, text):
    folder, tonight = _two_nights(tmp_path)
    (folder / "run.json").write_bytes(text)
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))


def test_a_ledger_that_vouches_for_no_snapshot_is_not_believed(tmp_path):
    """Digests of other tables only: nothing says that the snapshots are what was written."""
    folder, tonight = _two_nights(tmp_path)
    run = json.loads((folder / "run.json").read_text())
    run["parts"] = {n: d for n, d in run["parts"].items() if n.startswith("predictions/")}
    (folder / "run.json").write_text(json.dumps(run))
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, (facts(2).run_id,))


def test_no_flipped_bit_in_a_ledger_gives_another_memory(tmp_path):
    """Wherever it is: the night's true rows are remembered, or those of the night before."""
    folder, tonight = _two_nights(tmp_path)
    text = (folder / "run.json").read_bytes()
    for position in range(0, len(text), 3):
        flipped = bytearray(text)
        flipped[position] ^= 1 << position % 8
        (folder / "run.json").write_bytes(flipped)
        memory = memory_of(tmp_path, tonight)
        expected = {facts(1).run_id: [b"a"], facts(2).run_id: [b"a", b"b", b"c"]}
        assert memory.files["key"].to_pylist() == expected[memory.run_id], position


def test_pruned_nights_and_those_of_other_versions_are_passed_over_in_silence(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    shutil.rmtree(published(tmp_path, [image(at("b"), 0.1)], facts(2)) / "current")
    published(tmp_path, [image(at("c"), 0.1)], facts(3), schema_version=1)
    published(tmp_path, [image(at("d"), 0.1)], facts(4), schema_version=SCHEMA_VERSION + 1)
    memory = memory_of(tmp_path, facts(5))
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, ())


def _as_of_version(version, folder):
    """A published night as an earlier version wrote it: without the columns that came later."""
    for part in folder.rglob("*.parquet"):
        rows = pq.read_table(part)
        table = part.stem if part.parent == folder else part.parent.name
        later = [name for came, names in ADDED_COLUMNS.get(table, {}).items() if came > version
                 for name in names]  # fmt: skip
        assert set(later) <= set(rows.column_names)
        metadata = {"melanoma_batch_schema_version": str(version)}
        pq.write_table(rows.drop_columns(later).replace_schema_metadata(metadata), part)
    run = json.loads((folder / "run.json").read_text())
    run |= {"schema_version": version, "parts": digests(folder)}
    (folder / "run.json").write_text(json.dumps(run))


EARLIER = [version for version in READABLE_VERSIONS if version < SCHEMA_VERSION]


@pytest.mark.parametrize("version", EARLIER)
def test_a_night_of_an_earlier_version_is_remembered_and_costs_no_scoring(tmp_path, version):
    """What it could not know is null in the next night's view; tonight's images have it."""
    night_1 = published(tmp_path, [image(at("a"), 0.1), image(at("b"), 0.7)], facts(1))
    mean = parquet.read_columns("current", night_1 / "current", ["mean_red"])["mean_red"][0].as_py()
    _as_of_version(version, night_1)
    moved = at("moved", mtime_ns=5)

    def read(location, known):
        if location == moved:
            assert sha("b") in known
            return reused(location, "b")
        return image(location, 0.3)

    night = run_night(tmp_path, [at("a"), moved, at("c")], facts(2), read)
    assert set(night.read) == {"moved", "c"}
    current = by_path(night.rows("current"), "melanoma_score", "mean_red")
    was = None if version == 2 else mean
    assert current == {"a": (0.1, was), "moved": (0.7, was), "c": (0.3, mean)}
    copied = parquet.copy_dataset("current", night.folder / "current", tmp_path / "copy.parquet")
    assert copied == 3
    third = run_night(tmp_path, [at("a"), moved, at("c")], facts(3), unexpected)
    assert len(third.rows("current")) == 3


@pytest.mark.parametrize("version", EARLIER)
def test_what_an_earlier_version_could_not_read_is_carried_with_nothing_of_its_lesion(
    tmp_path, version
):
    night_1 = published(tmp_path, [failed(at("a", attempts=GAVE_UP))], facts(1))
    _as_of_version(version, night_1)
    wanted = ["path", *KEPT_ATTRIBUTES]
    found = parquet.read_columns("unscored", night_1 / "unscored", wanted).to_pylist()
    assert found == [{"path": "a", **dict.fromkeys(KEPT_ATTRIBUTES)}]
    (row,) = run_night(tmp_path, [at("a")], facts(2), unexpected).rows("unscored")
    assert {name: row[name] for name in wanted} == found[0]


def test_a_part_that_lacks_another_column_is_still_refused(tmp_path):
    folder = published(tmp_path, [image(at("a"), 0.1)], facts(1))
    (part,) = (folder / "current").glob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["melanoma_score"]), part)
    with pytest.raises((KeyError, ValueError)):
        list(parquet.stream("current", folder / "current"))


@pytest.mark.parametrize("table", SNAPSHOTS)
def test_a_night_without_one_of_its_snapshots_is_pruned(tmp_path, table):
    folder, tonight = _two_nights(tmp_path)
    shutil.rmtree(folder / table)
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, ())


def test_a_night_that_was_not_finished_is_none(tmp_path):
    folder, tonight = _two_nights(tmp_path)
    (folder / "_SUCCESS").unlink()
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, memory.damaged) == (facts(1).run_id, ())


def test_when_every_night_is_damaged_all_are_named_and_none_is_remembered(tmp_path):
    _, tonight = _two_nights(tmp_path)
    for night in (tmp_path / "runs").iterdir():
        (night / "run.json").write_bytes(b"")
    memory = memory_of(tmp_path, tonight)
    assert (memory.run_id, len(memory.files)) == (None, 0)
    assert memory.damaged == (facts(2).run_id, facts(1).run_id)


# --- segments of runs that died ----


def _keys(memory):
    return sorted(memory.segment_files["key"].to_pylist())


def test_segments_of_a_dead_run_are_remembered(tmp_path):
    dead_run(tmp_path, [[image(at("a"), 0.1)], [image(at("b"), 0.1), failed(at("c"))]], facts(1))
    memory = memory_of(tmp_path, facts(2))
    assert [segment.run_id for segment in memory.segments] == [facts(1).run_id] * 2
    assert memory.segment_files.select(["key", "segment"]).to_pydict() == {
        "key": [b"a", b"b", b"c"],
        "segment": [0, 1, 1],
    }


def test_a_segment_at_work_is_not_remembered(tmp_path):
    staging = dead_run(tmp_path, [[image(at("a"), 0.1)]], facts(1))
    committed = staging.folder / "segments" / "000000"
    shutil.copytree(committed, staging.folder / "segments" / ".000001")
    assert _keys(memory_of(tmp_path, facts(2))) == [b"a"]


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"number": 9}, True),
        ({"model": "m2"}, False),
        ({"threshold": 0.25}, False),
        (MODEL, False),
        (RULES, False),
        (LIMITS, False),
        (PROGRAM, False),
    ],
)
def test_a_segment_made_with_anything_else_is_not_taken_up(tmp_path, change, taken):
    dead_run(tmp_path, [[image(at("a"), 0.1)]], facts(1))
    memory = memory_of(tmp_path, facts(**({"number": 2} | change)))
    assert bool(memory.segments) == taken


def test_of_two_readings_the_newest_counts(tmp_path):
    """Newest run first; all names of runs sort by time."""
    dead_run(tmp_path, [[image(at("a"), 0.1)], [image(at("b", size=5), 0.1)]], facts(1))
    dead_run(tmp_path, [[image(at("b", size=6), 0.9)]], facts(2))
    memory = memory_of(tmp_path, facts(3))
    found = {
        row["key"]: (row["size"], memory.segments[row["segment"]].run_id)
        for row in memory.segment_files.select(["key", "size", "segment"]).to_pylist()
    }
    assert found == {b"a": (10, facts(1).run_id), b"b": (6, facts(2).run_id)}


@pytest.mark.parametrize("table", ["files", "predictions", "alerts", "unscored"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_segment_is_not_used_and_its_neighbour_is(tmp_path, table, harm):
    staging = dead_run(
        tmp_path,
        [[image(at("a"), 0.9), failed(at("b"))], [image(at("c"), 0.9)]],
        facts(1),
    )
    part = staging.folder / "segments" / "000000" / table / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
    part.write_bytes(data[:-1] if harm == "truncate" else data)
    if harm == "remove":
        part.unlink()
    assert _keys(memory_of(tmp_path, facts(2))) == [b"c"]


def test_a_segment_whose_description_is_flipped_anywhere_is_not_used(tmp_path):
    """Every bit of segment.json matters, but for those that JSON lets be anything."""
    staging = dead_run(tmp_path, [[image(at("a"), 0.9)], [image(at("c"), 0.9)]], facts(1))
    description = staging.folder / "segments" / "000000" / "segment.json"
    text = description.read_bytes()
    for position in range(len(text) - 1):  # the last one is the line's end
        flipped = bytearray(text)
        flipped[position] ^= 1
        if bytes(flipped).split() == text.split() or json_equal(flipped, text):
            continue
        description.write_bytes(flipped)
        assert _keys(memory_of(tmp_path, facts(2))) == [b"c"], position


def json_equal(one, two):
    try:
        return json.loads(bytes(one)) == json.loads(bytes(two))
    except ValueError:
        return False


def test_a_segment_without_description_is_not_used(tmp_path):
    staging = dead_run(tmp_path, [[image(at("a"), 0.9)]], facts(1))
    (staging.folder / "segments" / "000000" / "segment.json").unlink()
    assert memory_of(tmp_path, facts(2)).segments == ()


def test_night_and_segments_are_remembered_side_by_side(tmp_path):
    published(tmp_path, [image(at("a"), 0.1)], facts(1))
    dead_run(tmp_path, [[image(at("b"), 0.1)]], facts(2))
    memory = memory_of(tmp_path, facts(3))
    assert memory.files["key"].to_pylist() == [b"a"]
    assert _keys(memory) == [b"b"]


def test_a_location_carries_its_attempts_into_the_memory(tmp_path):
    published(tmp_path, [failed(ImageLocation("a", 1, 2, attempts=1))], facts(1))
    memory = memory_of(tmp_path, facts(2))
    assert memory.files["attempts"].to_pylist() == [2]
    assert memory.files["content_sha256"].to_pylist() == [sha("a")]
