"""Bits that rot in a published night: it is passed over as memory, said, and healed by the next."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from batch.core.errors import ExitCode
from batch.reports.local import LocalReports
from batch.run.memory import remember
from tests.scenarios.faults.nights import KNOWN, NEW, World, damages, differences


@pytest.fixture(scope="module")
def two_nights(untouched, tmp_path_factory):
    """A world after its second night."""
    world = untouched.copy(tmp_path_factory.mktemp("two_nights"))
    assert world.score() == ExitCode.COMPLETE
    return world


@pytest.fixture
def copy(two_nights, tmp_path) -> World:
    return two_nights.copy(tmp_path)


def flip(path):
    """One bit, in the middle of the values."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def delete(path):
    path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def part(night, table):
    (found,) = (night / table).glob("*.parquet")
    return found


@pytest.mark.parametrize(
    ("table", "damage"),
    [("files", flip), ("current", truncate), ("unscored", delete)],  # all pairs: test_memory
    ids=["flip-files", "truncate-current", "delete-unscored"],
)
def test_a_damaged_snapshot_is_passed_over_for_the_night_before(
    copy, undisturbed, capsys, table, damage
):
    check_passed_over(copy, undisturbed, capsys, lambda night: damage(part(night, table)))


@pytest.mark.parametrize("damage", [delete, make_folder], ids=lambda damage: damage.__name__)
def test_a_night_without_a_readable_run_json_is_passed_over(copy, undisturbed, capsys, damage):
    check_passed_over(copy, undisturbed, capsys, lambda night: damage(night / "run.json"))


def test_a_run_json_cut_in_half_is_passed_over(copy, undisturbed, capsys):
    def cut(night):
        os.truncate(night / "run.json", (night / "run.json").stat().st_size // 2)

    check_passed_over(copy, undisturbed, capsys, cut)


def test_a_run_json_of_bytes_that_are_no_text_is_passed_over(copy, undisturbed, capsys):
    check_passed_over(
        copy, undisturbed, capsys, lambda night: (night / "run.json").write_bytes(b"\xff\xfe{}")
    )


@pytest.mark.parametrize("text", ['{"schema_version": 2, "parts": [1]}', "[" * 100_000, "{}"],
                         ids=["parts of another kind", "nested", "an empty object"])  # fmt: skip
def test_a_run_json_with_other_values_is_passed_over(copy, undisturbed, capsys, text):
    """What is left after damage may still be JSON."""
    check_passed_over(
        copy, undisturbed, capsys, lambda night: (night / "run.json").write_text(text)
    )


def check_passed_over(world, undisturbed, capsys, damage):
    """The second night is damaged: the third scores what the first did not know."""
    second = world.latest
    first = next(n for n in (world.reports / "runs").iterdir() if n != second)
    damage(second)
    assert world.score("--segment-size", "0") == ExitCode.COMPLETE
    assert f"Damaged    night {second.name}: not used as memory" in capsys.readouterr().out
    assert world.run["memory"] == {"run_id": first.name, "damaged": [second.name]}
    assert world.run["equation"]["scored"] == NEW
    assert world.run["equation"]["unchanged"] == KNOWN
    assert damages(world.latest) == []
    assert differences(world.latest, undisturbed) == []
    third = world.latest.name
    assert world.score() == ExitCode.COMPLETE
    assert "Damaged" not in capsys.readouterr().out
    assert world.run["memory"] == {"run_id": third, "damaged": []}
    assert world.run["equation"]["unchanged"] == KNOWN + NEW


def test_no_flipped_bit_of_run_json_stops_the_next_night(copy):
    """Three hundred bits, one at a time: either the night is remembered, or the one before it."""
    path = copy.latest / "run.json"
    names = {night.name for night in (copy.reports / "runs").iterdir()}
    data, chance = path.read_bytes(), random.Random(0)
    for _ in range(300):
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        memory = remember(LocalReports(copy.reports), {})
        assert memory.run_id in names
        assert len(memory.files) == (KNOWN + NEW + 1 if memory.run_id == path.parent.name else 6)


def test_damage_in_an_older_night_has_no_effect(copy, capsys):
    first = min((copy.reports / "runs").iterdir(), key=lambda night: night == copy.latest)
    flip(part(first, "files"))
    empty(first / "run.json")
    assert copy.score() == ExitCode.COMPLETE
    assert "Damaged" not in capsys.readouterr().out
    assert copy.run["memory"]["damaged"] == []
    assert copy.run["equation"]["unchanged"] == KNOWN + NEW


def test_two_damaged_nights_leave_no_memory_and_everything_is_scored_again(copy, capsys):
    names = sorted(night.name for night in (copy.reports / "runs").iterdir())
    for name in names:
        flip(part(copy.reports / "runs" / name, "files"))
    assert copy.score() == ExitCode.COMPLETE
    said = capsys.readouterr().out
    assert all(f"Damaged    night {name}" in said for name in names)
    assert copy.run["memory"]["run_id"] is None
    assert copy.run["equation"]["scored"] == KNOWN + NEW
    assert damages(copy.latest) == []


def test_without_the_pointer_the_newest_night_is_remembered(copy):
    second = copy.latest.name
    (copy.reports / "latest").unlink()
    assert copy.score() == ExitCode.COMPLETE
    assert copy.run["memory"]["run_id"] == second
    assert copy.run["equation"]["unchanged"] == KNOWN + NEW


def test_a_pointer_to_a_deleted_night_is_no_memory_of_it(copy, capsys):
    second = copy.latest
    shutil.rmtree(second)
    assert copy.score() == ExitCode.COMPLETE
    assert copy.run["memory"]["damaged"] == []
    assert copy.run["equation"]["scored"] == NEW
    assert damages(copy.latest) == []
