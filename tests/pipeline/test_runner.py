"""How a pipeline elsewhere comes along: what an engine tells meanwhile is what the bar shows."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from apache_beam.runners.worker import statesampler
from apache_beam.utils.counters import CounterFactory

from batch.core.errors import RunnerFailed
from batch.pipeline import runner
from batch.pipeline.runner import pipeline_options, run_pipeline
from batch.runtime.terminal import FILES_READ

ELSEWHERE = ["--runner", "PortableRunner", "--job_endpoint", "localhost:1"]


class Engine:
    """A result of `pipeline.run()` whose counters grow while the driver waits for its end."""

    def __init__(self, tells: list[int], state: str = "DONE") -> None:
        self.tells, self.state, self.read, self.shown = tells, state, 0, []

    def run(self):
        return self

    def wait_until_finish(self) -> str:
        start = FILES_READ.value
        for told in self.tells:
            self.read = told
            end = time.monotonic() + 20
            while FILES_READ.value - start < max(told, 0) and time.monotonic() < end:
                time.sleep(0.001)
            self.shown.append(FILES_READ.value - start)
        return self.state

    def metrics(self):
        if self.read < 0:
            raise ConnectionError("the engine does not answer")
        return self

    def query(self, wanted):
        assert wanted.names == {"files_read"}
        return {"counters": [SimpleNamespace(result=self.read), SimpleNamespace(result=None)]}


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch):
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.001)


def test_what_an_engine_tells_in_mid_run_is_shown_in_mid_run():
    engine = Engine([3, 7, 12])
    run_pipeline(engine, pipeline_options(ELSEWHERE))
    assert engine.shown == [3, 7, 12]


def test_an_engine_that_tells_nothing_or_less_than_before_changes_nothing():
    engine = Engine([5, -1, 2, 6])
    run_pipeline(engine, pipeline_options(ELSEWHERE))
    assert engine.shown == [5, 5, 5, 6]


def test_an_engine_that_gave_up_is_named():
    with pytest.raises(RunnerFailed, match=r"PortableRunner did not finish .*\(FAILED\)"):
        run_pipeline(Engine([1], "FAILED"), pipeline_options(ELSEWHERE))


def test_beams_sampler_keeps_no_stage_waiting():
    """Fails when a version of Beam has another default, so that somebody looks again."""
    statesampler.StateSampler.__init__.__defaults__ = (statesampler.DEFAULT_SAMPLING_PERIOD_MS,)
    run_pipeline(Engine([1]), pipeline_options(ELSEWHERE))
    sampler = statesampler.StateSampler("stage", CounterFactory())
    assert sampler.sampling_period_ms == runner.SAMPLING_PERIOD_MS


def test_a_sampler_that_beam_has_changed_is_left_alone(monkeypatch):
    monkeypatch.setattr(statesampler.StateSampler.__init__, "__defaults__", (7,))
    run_pipeline(Engine([1]), pipeline_options(ELSEWHERE))
    assert statesampler.StateSampler.__init__.__defaults__ == (7,)
