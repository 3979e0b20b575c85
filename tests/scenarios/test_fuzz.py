"""Whatever a file has become, it ends in exactly as many results as it has frames."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.archive import reader
from batch.core.records import ModelInput
from tests.support.archives import record
from tests.tools import fuzz

NAMES = sorted(fuzz.BASES)


@pytest.mark.parametrize("name", NAMES)
def test_every_base_is_good(tmp_path, name):
    (tmp_path / name).write_bytes(fuzz.BASES[name])
    outcomes, violations = fuzz.examine(tmp_path / name)
    assert set(outcomes) == {"ready to be scored"}
    assert len(outcomes) == (3 if name == "frames.dcm" else 1)
    assert violations == []


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32 - 1))
def test_a_damaged_file_ends_in_the_results_that_it_has_frames(name, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(fuzz.mutate(fuzz.BASES[name], random.Random(seed)))
        assert fuzz.examine(path)[1] == []


@given(data=st.binary(max_size=64), seed=st.integers(0, 2**32 - 1))
def test_a_mutant_is_the_same_for_the_same_seed(data, seed):
    first, second = (fuzz.mutate(data, random.Random(seed)) for _ in range(2))
    assert first == second


def _raise(*_):
    raise KeyError("a value")


def _nothing(root, location, rules):
    return reader.FileReading(location, 1), ()


def _other_pixels(root, location, rules):
    other = ModelInput(record("another.jpg"), np.zeros((180, 180), np.uint8))
    return reader.FileReading(location, 1), (other,)


@pytest.mark.parametrize(
    ("broken", "violations"),
    [
        (_raise, ["raised KeyError"]),
        (_nothing, ["1 frames, 0 results", "state None with 0 results"]),
        (_other_pixels, ["pixels (180, 180) uint8", "another path"]),
    ],
)
def test_a_violation_is_noticed(tmp_path, monkeypatch, broken, violations):
    monkeypatch.setattr(fuzz, "read_file", broken)
    (tmp_path / "a.jpg").write_bytes(b"")
    assert fuzz.examine(tmp_path / "a.jpg")[1] == violations
