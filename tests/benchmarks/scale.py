"""Suites about more of something: images, threads, cores, processes."""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.benchmarks import material
from tests.benchmarks.processes import in_turn, run, score
from tests.benchmarks.wishes import Table, Wish, archive_of, score_rates


def scaling(wish: Wish) -> Table:
    """Small images, ten times as many each time: does an image cost the same, does memory grow?"""
    rows = []
    for count in (wish.images, 10 * wish.images, 100 * wish.images):
        with archive_of(material.small, count) as archive, tempfile.TemporaryDirectory() as reports:
            words = [sys.executable, "-m", "batch", "score", str(archive), "--output", reports]
            words += ["--model", wish.models[0], "--no-pictures"]
            first, second = run(words, wish.cores), run(words, wish.cores)
        rows.append(
            {
                "images": count,
                "first night s": first.seconds,
                "ms an image": first.seconds / count * 1000,
                "peak MB": first.peak_mb,
                "unchanged night s": second.seconds,
                "unchanged peak MB": second.peak_mb,
            }
        )
    return rows


SETTINGS = {
    "--batch-size": ("8", "16", "32", "64", "128"),
    "--decode-threads": ("1", "2", "3", "4"),
    "--segment-size": ("500", "1000", "2000", "4000"),
}


def settings(wish: Wish) -> Table:
    """Each option around its default, on all cores and on one; a ratio to the best of its row."""
    rows: Table = []
    with archive_of(material.originals, wish.images) as archive:
        for cores in dict.fromkeys((wish.cores, 1)):
            plain = {"default": partial(score_rates, archive, wish.models[0], cores)}
            for option, values in SETTINGS.items():
                tried = {
                    value: partial(score_rates, archive, wish.models[0], cores, option, value)
                    for value in values
                }
                found = in_turn({**plain, **tried}, wish.repetitions)
                best = max(rates["steady"] for rates in found.values())
                rows += [
                    {
                        "cores": cores or "all",
                        "option": option,
                        "value": value,
                        "images/s, steady": rates["steady"],
                        "against the best": rates["steady"] / best,
                        "peak MB": rates["peak_mb"],
                    }
                    for value, rates in found.items()
                ]
    return rows


def cores(wish: Wish) -> Table:
    """The same archive on one core, on two, … on all."""
    here = len(os.sched_getaffinity(0))
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= here]
    with archive_of(material.originals, wish.images) as archive:
        contenders = {
            str(count): partial(score_rates, archive, wish.models[0], count) for count in counts
        }
        found = in_turn(contenders, wish.repetitions)
    one = found["1"]["steady"]
    return [
        {
            "cores": int(count),
            "images/s, steady": rates["steady"],
            "against one core": rates["steady"] / one,
            "cores used": rates["cores_used"],
        }
        for count, rates in found.items()
    ]


def processes(wish: Wish) -> Table:
    """Segments side by side: what more images cost once every process is at work."""
    counts = (1, 2)
    size = str(max(1, wish.images // 8))

    def more(few: Path, many: Path, count: int) -> dict[str, float]:
        options = ("--processes", str(count), "--segment-size", size)
        ends = [score(a, wish.models[0], *options, cores=wish.cores) for a in (few, many)]
        images = [ledger["frames"]["found"] for _, ledger in ends]
        seconds = [ledger["seconds"]["segments"] for _, ledger in ends]
        return {"steady": (images[1] - images[0]) / (seconds[1] - seconds[0])}

    with (
        archive_of(material.originals, wish.images) as few,
        archive_of(material.originals, 2 * wish.images) as many,
    ):
        found = in_turn(
            {str(count): partial(more, few, many, count) for count in counts}, wish.repetitions
        )
    one = found["1"]["steady"]
    return [
        {"processes": int(count), "images/s, steady": rates["steady"],
         "against one": rates["steady"] / one}
        for count, rates in found.items()
    ]  # fmt: skip
