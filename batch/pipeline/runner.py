"""Which engine runs a pipeline, and how it comes along: the same words for every runner."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.runners.runner import PipelineState, create_runner
from apache_beam.runners.worker.statesampler import DEFAULT_SAMPLING_PERIOD_MS, StateSampler

from batch.core.config import LOCAL_RUNNER
from batch.core.errors import RunnerFailed, UsageError
from batch.core.text import did_you_mean
from batch.pipeline.dofns import FILES, METRICS
from batch.runtime.terminal import FILES_READ
from batch.runtime.threads import run_every

POLL_SECONDS = 2.0
"""Between two looks at the counters of an engine elsewhere."""
SAMPLING_PERIOD_MS = 10
"""Of Beam's sampler in this process."""


def is_local(arguments: Sequence[str]) -> bool:
    """Whether these Beam options leave everything in this process."""
    standard = PipelineOptions(list(arguments)).view_as(StandardOptions)
    return standard.runner in (None, LOCAL_RUNNER)


def has_one_worker(options: PipelineOptions) -> bool:
    """Whether the pipeline is run by this process alone, so that there is nobody to share with."""
    runner, direct = options.view_as(StandardOptions).runner, options.view_as(DirectOptions)
    return runner == LOCAL_RUNNER and direct.direct_num_workers == 1


def run_pipeline(pipeline: beam.Pipeline, options: PipelineOptions) -> None:
    """Run a pipeline to its end, its counters shown as far as the runner tells them meanwhile.

    Raises:
        RunnerFailed: an engine elsewhere gave up. What the local runner raises is passed on.
    """
    runner = options.view_as(StandardOptions).runner  # Beam takes it out of the options
    before = FILES_READ.value
    _sample_often()
    try:
        result = pipeline.run()
        with _cancelled_with_us(result), _following(result, before):
            state = result.wait_until_finish()
    except Exception as error:  # its words quote what workers said: file names, attributes
        if runner == LOCAL_RUNNER:
            raise
        raise RunnerFailed(runner, type(error).__name__) from error
    if state not in (None, PipelineState.DONE):
        raise RunnerFailed(runner, str(state))


def _sample_often() -> None:
    """Beam's sampler of the time in each step sleeps longer and longer, up to 200 ms, and a stage
    that ends waits for it to wake: a tenth of a second a segment in which the cores stand still.
    """
    if StateSampler.__init__.__defaults__ == (DEFAULT_SAMPLING_PERIOD_MS,):  # as Beam has it
        StateSampler.__init__.__defaults__ = (SAMPLING_PERIOD_MS,)


@contextmanager
def _cancelled_with_us(result: Any) -> Iterator[None]:
    """Who does not want to wait for the driver does not want a cluster to go on, either."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(Exception):  # the engine may be what does not answer
            result.cancel()
        raise


@contextmanager
def _following(result: Any, before: int) -> Iterator[None]:
    """While this is open, the files that the engine says were read are counted here; some engines
    tell only at the end. Beam's own local runner has ended when it gives its result, and its
    workers, where they are threads of this process, have counted here already.
    """

    def look() -> None:
        with suppress(Exception):  # a picture of the progress is no reason to fail
            result._metrics = None  # Beam's client for engines elsewhere keeps its first answer
            FILES_READ.raise_to(before + counted(result, FILES))

    try:
        with run_every(look, POLL_SECONDS, "metrics"):
            yield
    finally:
        look()


def counted(result: Any, name: str) -> int:
    """The value of one of our counters, as the engine tells it: committed, or else attempted."""
    found = result.metrics().query(MetricsFilter().with_namespace(METRICS).with_name(name))
    return sum(counter.result or 0 for counter in found["counters"])


def pipeline_options(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options, the local runner named explicitly unless another one is given.

    Raises:
        UsageError: an option that no part of Beam knows. With another runner than the local one,
            options are the runner's to judge.
    """
    if {"-h", "--help"} & set(arguments):
        raise UsageError("Beam options after `--`: no help there; see Apache Beam's documentation.")
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None or standard.runner == LOCAL_RUNNER:
        standard.runner = LOCAL_RUNNER
        if unknown := _unknown_options(arguments):
            raise UsageError(
                f"Beam options after `--`: unknown {unknown}; allowed: options of Apache Beam's "
                "PipelineOptions. Other options of this program stand before `--`."
                f"{did_you_mean(unknown[0].partition('=')[0], _known_options())}"
            )
        return options
    _check_offline(options)
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(
            f"Beam options after `--`: no runner {standard.runner!r} here; allowed: "
            f"{', '.join(StandardOptions.KNOWN_RUNNER_NAMES)}, or a class by its full name."
            f"{did_you_mean(standard.runner, StandardOptions.KNOWN_RUNNER_NAMES)}"
        ) from error
    return options


def _check_offline(options: PipelineOptions) -> None:
    """Beam's Flink runner would fetch its job server from the network."""
    standard, portable = options.view_as(StandardOptions), options.view_as(PortableOptions)
    flink = options.view_as(FlinkRunnerOptions)
    named = portable.job_endpoint or flink.flink_job_server_jar
    if standard.runner == "FlinkRunner" and not named:
        raise UsageError(
            "Beam options after `--`: FlinkRunner without --flink_job_server_jar or "
            "--job_endpoint would be fetched from the network; name one of them."
        )


def _unknown_options(arguments: Sequence[str]) -> list[str]:
    """Beam itself drops what it does not know with a log line; a misspelt option must stop us."""
    return _beam_parser().parse_known_args(list(arguments))[1]


def _known_options() -> list[str]:
    return list(_beam_parser()._option_string_actions)


def _beam_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for part in PipelineOptions.__subclasses__():
        try:
            part._add_argparse_args(parser)
        except argparse.ArgumentError:  # the same option in two parts
            continue
    return parser
