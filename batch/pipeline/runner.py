"""Runs a pipeline on the chosen engine, and follows its progress."""

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
"""Between two looks at the counters of an engine on other machines."""
SAMPLING_PERIOD_MS = 10
"""Period of Beam's sampler in this process; see `_shorten_sampling`."""


def is_local(arguments: Sequence[str]) -> bool:
    """Whether these Beam options run everything in this process."""
    standard = PipelineOptions(list(arguments)).view_as(StandardOptions)
    return standard.runner in (None, LOCAL_RUNNER)


def has_one_worker(options: PipelineOptions) -> bool:
    """Whether this process alone runs the pipeline, so that work need not be spread."""
    runner, direct = options.view_as(StandardOptions).runner, options.view_as(DirectOptions)
    return runner == LOCAL_RUNNER and direct.direct_num_workers == 1


def run_pipeline(pipeline: beam.Pipeline, options: PipelineOptions) -> None:
    """Run a pipeline to its end and count the files read meanwhile, if the runner reports them.

    Raises:
        RunnerFailed: an engine on other machines gave up. Errors of the local runner are passed on.
    """
    runner = options.view_as(StandardOptions).runner  # Beam removes it from the options
    before = FILES_READ.value
    _shorten_sampling()
    try:
        result = pipeline.run()
        with _cancelled_on_interrupt(result), _counting_files(result, before):
            state = result.wait_until_finish()
    except Exception as error:  # its message quotes workers, and so file names and attributes
        if runner == LOCAL_RUNNER:
            raise
        raise RunnerFailed(runner, type(error).__name__) from error
    if state not in (None, PipelineState.DONE):
        raise RunnerFailed(runner, str(state))


def _shorten_sampling() -> None:
    """Shorten the period of the sampler in which Beam measures the time of each step.

    It sleeps up to 200 ms, and a stage that ends waits for it, which costs a tenth of a second for
    each segment.
    """
    if StateSampler.__init__.__defaults__ == (DEFAULT_SAMPLING_PERIOD_MS,):  # Beam's own value
        StateSampler.__init__.__defaults__ = (SAMPLING_PERIOD_MS,)


@contextmanager
def _cancelled_on_interrupt(result: Any) -> Iterator[None]:
    """Cancel the pipeline on the engine if the driver is interrupted inside the block."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(Exception):  # the engine may not answer
            result.cancel()
        raise


@contextmanager
def _counting_files(result: Any, before: int) -> Iterator[None]:
    """Count the files that the engine reports as read, inside the block and at its end.

    Some engines report only at the end. Workers that are threads of this process have counted
    already; `raise_to` does not count their files twice.
    """

    def look() -> None:
        with suppress(Exception):  # progress is not important enough to fail
            result._metrics = None  # Beam's client would keep its first answer
            FILES_READ.raise_to(before + counted(result, FILES))

    try:
        with run_every(look, POLL_SECONDS, "metrics"):
            yield
    finally:
        look()


def counted(result: Any, name: str) -> int:
    """The value of one of our counters as the engine reports it: committed, else attempted."""
    metrics = result.metrics().query(MetricsFilter().with_namespace(METRICS).with_name(name))
    return sum(counter.result or 0 for counter in metrics["counters"])


def pipeline_options(arguments: Sequence[str]) -> PipelineOptions:
    """Read Beam's options; without a runner, the local one is used.

    Raises:
        UsageError: Beam does not know an option, or a runner cannot be used. With another runner
            than the local one, the runner checks the options itself.
    """
    if {"-h", "--help"} & set(arguments):
        raise UsageError(
            "Beam options after `--`: --help is not available there; see Apache Beam's "
            "documentation."
        )
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
    """Refuse a Flink runner that would fetch its job server from the network."""
    standard, portable = options.view_as(StandardOptions), options.view_as(PortableOptions)
    flink = options.view_as(FlinkRunnerOptions)
    named = portable.job_endpoint or flink.flink_job_server_jar
    if standard.runner == "FlinkRunner" and not named:
        raise UsageError(
            "Beam options after `--`: FlinkRunner without --flink_job_server_jar or "
            "--job_endpoint would be fetched from the network; name one of them."
        )


def _unknown_options(arguments: Sequence[str]) -> list[str]:
    """Options that Beam does not know. Beam itself would only log them and go on."""
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
