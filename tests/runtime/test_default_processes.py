"""How many processes score where nobody says how many."""

from __future__ import annotations

import pytest

from batch.runtime import process

GB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "memory", "expected"),
    [
        (1, 64 * GB, 1), (2, 64 * GB, 1), (7, 64 * GB, 1), (8, 64 * GB, 2), (16, 64 * GB, 4),
        (16, 8 * GB, 4), (16, 8 * GB - 1, 3), (16, 2 * GB, 1), (16, GB, 1),
    ],
)  # fmt: skip
def test_one_for_four_cores_as_memory_allows(monkeypatch, cores, memory, expected):
    monkeypatch.setattr(process, "available_cores", lambda: cores)
    monkeypatch.setattr(process, "available_memory", lambda: memory)
    assert process.default_processes() == expected


@pytest.mark.parametrize("word", ["max", "", None])
def test_without_a_containers_limit_it_is_the_machines_memory(monkeypatch, tmp_path, word):
    limit = tmp_path / "memory.max"
    if word is not None:
        limit.write_text(f"{word}\n")
    monkeypatch.setattr(process, "CGROUP_LIMITS", ())
    machine = process.available_memory()
    assert machine > 100_000_000
    monkeypatch.setattr(process, "CGROUP_LIMITS", (str(limit),))
    assert process.available_memory() == machine


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text("50000000\n")
    monkeypatch.setattr(process, "CGROUP_LIMITS", (str(limit),))
    assert process.available_memory() == 50_000_000
