"""The model file replaced between the check of its digest and its use."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest

from batch.commands.command_line import options_of
from batch.commands.job_config import job_config
from batch.core.errors import ArtifactRefused, ExitCode
from batch.run.score_run import run_night
from tests.scenarios.faults.gates import when_reached
from tests.scenarios.faults.nights import damages


def other_bytes(model):
    """As many bytes, and one of them another."""
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    return bytes(data)


class Swapper:
    """Replaces the model when the plan is made: after the digest was compared, before the load."""

    def __init__(self, model):
        self.model, self.swapped = model, False

    def phase(self, name):
        assert name in ("listing", "scoring")

    def found(self, files):
        other = self.model.with_name("other.keras")
        other.write_bytes(other_bytes(self.model))
        other.replace(self.model)
        self.swapped = True

    def done(self, files):
        raise AssertionError("nothing may be scored with another model")


def test_a_model_replaced_after_its_check_is_refused(world, artifact_copy):
    before = world.latest
    words = world.words("--model", str(artifact_copy))
    config = job_config(options_of("score", words[1:]), (), datetime.now(UTC), datetime.now())
    listener = Swapper(artifact_copy / "model.keras")
    with pytest.raises(ArtifactRefused, match="field model_sha256") as refused:
        run_night(config, listener, time.monotonic)
    assert listener.swapped
    assert refused.value.exit_code == ExitCode.ARTIFACT_REFUSED
    check_nothing_happened(world, before)


def test_a_model_overwritten_while_it_is_opened_is_refused(
    world, artifact_copy, bundled_artifact, capsys
):
    """The very file that the run has opened gets other bytes: what is checked is what is read."""
    before, model = world.latest, artifact_copy / "model.keras"
    other = other_bytes(model)
    descriptor = os.open(model, os.O_WRONLY)

    def overwrite():
        assert os.pwrite(descriptor, other, 0) == len(other)

    with when_reached(model, overwrite, times=2):  # the first is the check before the listing
        code = world.score("--model", str(artifact_copy))
    os.close(descriptor)
    assert code == ExitCode.ARTIFACT_REFUSED
    assert "field model_sha256" in capsys.readouterr().err
    check_nothing_happened(world, before)
    model.write_bytes((bundled_artifact / "model.keras").read_bytes())
    assert world.score("--model", str(artifact_copy)) == ExitCode.COMPLETE


def test_a_model_that_goes_away_after_its_check_is_refused(world, artifact_copy, capsys):
    before, model = world.latest, artifact_copy / "model.keras"
    # the file is held, its name goes: the next opening finds nothing
    with when_reached(model, model.unlink):
        code = world.score("--model", str(artifact_copy))
    assert code == ExitCode.ARTIFACT_REFUSED
    assert "field model.keras" in capsys.readouterr().err
    check_nothing_happened(world, before)


def check_nothing_happened(world, before):
    assert world.latest == before
    assert damages(before) == []
    assert not (world.reports / ".in-progress").exists()
    assert len(list((world.reports / "runs").iterdir())) == 1
