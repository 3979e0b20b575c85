"""The comparisons, each a table: what is measured, against what, as a ratio in one run."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import material
from tests.benchmarks.processes import any_file, in_turn, run, score

Table = list[dict[str, Any]]
CONTENDERS = ("keras", "runinference", "limit")
RUNINFERENCE_SHARE = 4
"""Beam's documented pipeline gets a quarter of the images: it is that much slower."""
DICOM_KINDS = ("JPEG in DICOM", "native DICOM", "JPEG 2000 lossless", "JPEG-LS", "RLE")
SLOW_DICOM = ("JPEG 2000 lossless", "JPEG-LS", "RLE")


@dataclass(frozen=True)
class Wish:
    """models: bundled ids or artifact folders; the first is the reference. images: an archive."""

    models: tuple[str, ...]
    images: int
    repetitions: int
    cores: int | None


@contextmanager
def _archive(make: Callable[[Path, int], Path], count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield make(Path(folder) / "archive", count)


def _score_rates(archive: Path, model: str, cores: int | None, *options: str) -> dict[str, float]:
    done, ledger = score(archive, model, *options, cores=cores)
    images = ledger["frames"]["found"]
    return {
        "whole": images / done.seconds,
        "steady": images / ledger["seconds"]["segments"],
        "cores_used": done.cpu_seconds / done.seconds,
        "peak_mb": done.peak_mb,
    }


def _contender(name: str, archive: Path, model: str, cores: int | None) -> dict[str, float]:
    words = [sys.executable, "-m", "tests.benchmarks.contender", name, str(archive), model]
    done = run(words, cores)
    found = json.loads(done.output.splitlines()[-1])
    return {
        "whole": found["images"] / done.seconds,
        "steady": found["images_per_second"],
        "cores_used": done.cpu_seconds / done.seconds,
        "peak_mb": done.peak_mb,
    }


def throughput(wish: Wish, small: bool = False) -> Table:
    """The job against the projects' way, Beam's documented way and the machine's limit."""
    make = material.small if small else material.originals
    rows = []
    for model in wish.models:
        with (
            _archive(make, wish.images) as archive,
            _archive(make, wish.images // RUNINFERENCE_SHARE) as fewer,
        ):
            contenders = {"score": partial(_score_rates, archive, model, wish.cores)}
            for name in CONTENDERS:
                where = fewer if name == "runinference" else archive
                contenders[name] = partial(_contender, name, where, model, wish.cores)
            found = in_turn(contenders, wish.repetitions)
        for name, rates in found.items():
            rows.append(
                {
                    "model": Path(model).name,
                    "what": name,
                    "images/s, whole process": rates["whole"],
                    "images/s, steady": rates["steady"],
                    "score is so many times this, whole": found["score"]["whole"] / rates["whole"],
                    "steady": found["score"]["steady"] / rates["steady"],
                    "cores used": rates["cores_used"],
                    "peak MB": rates["peak_mb"],
                }
            )
    return rows


def dicom(wish: Wish) -> Table:
    """The same pictures in DICOM's encodings, against plain JPEG; the slow ones fewer times."""
    rows: Table = []
    reference = 0.0
    for kind in ("JPEG", *DICOM_KINDS):
        count = max(48, wish.images // (10 if kind in SLOW_DICOM else 1))
        with _archive(partial(_of_kind, kind), count) as archive:
            one = partial(_score_rates, archive, wish.models[0], wish.cores)
            rates = in_turn({kind: one}, wish.repetitions)[kind]
        reference = reference or rates["steady"]
        rows.append(
            {
                "kind": kind,
                "images": count,
                "images/s, steady": rates["steady"],
                "against JPEG": rates["steady"] / reference,
                "cores used": rates["cores_used"],
            }
        )
    return rows


def _of_kind(kind: str, folder: Path, count: int) -> Path:
    return material.dicom(folder, kind, count)


def stages(wish: Wish) -> Table:
    """CPU milliseconds an image by stage, and what the whole job takes beyond their sum."""
    rows = []
    for model in wish.models:
        with (
            _archive(material.originals, wish.images) as archive,
            _archive(material.originals, 1) as single,
        ):
            words = [sys.executable, "-m", "tests.benchmarks.stages", str(archive), model]
            costs = json.loads(run(words, wish.cores).output.splitlines()[-1])
            one, ledger_of_one = _cpu(single, model, wish.cores)
            all_, ledger = _cpu(archive, model, wish.cores)
        images = ledger["frames"]["found"] - ledger_of_one["frames"]["found"]
        whole = (all_ - one) / images * 1000
        costs["everything else"] = whole - sum(costs.values())
        costs["whole job"] = whole
        for stage, cost in costs.items():
            rows.append(
                {"model": Path(model).name, "stage": stage, "CPU ms an image": cost,
                 "share": cost / whole}
            )  # fmt: skip
    return rows


def _cpu(archive: Path, model: str, cores: int | None) -> tuple[float, dict[str, Any]]:
    done, ledger = score(archive, model, cores=cores)
    return done.cpu_seconds, ledger


def start(wish: Wish) -> Table:
    """Seconds until something is there to see."""
    help_ = [sys.executable, "-m", "batch", "--help"]
    with _archive(material.originals, 1) as archive:
        contenders: dict[str, Callable[[], dict[str, float]]] = {
            "--help": lambda: {"seconds": run(help_, wish.cores).seconds},
            **{
                f"first prediction, {Path(model).name}": partial(
                    _first_prediction, archive, model, wish.cores
                )
                for model in wish.models
            },
        }
        found = in_turn(contenders, max(3, wish.repetitions))
    return [
        {"what": name, "seconds": row["seconds"], "to the end": row.get("whole", row["seconds"])}
        for name, row in found.items()
    ]


def _first_prediction(archive: Path, model: str, cores: int | None) -> dict[str, float]:
    """From the command to the first row on the disk, and to the published night's end."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "batch", "score", str(archive), "--output", folder]
        rows = partial(any_file, Path(folder), ".in-progress/*/segments/*/predictions/*.parquet")
        done = run([*words, "--model", model], cores, rows)
    if done.until is None:
        raise RuntimeError("no row was seen on the disk")
    return {"seconds": done.until, "whole": done.seconds}


def scaling(wish: Wish) -> Table:
    """Small images, ten times as many each time: does an image cost the same, does memory grow?"""
    rows = []
    for count in (wish.images, 10 * wish.images, 100 * wish.images):
        with _archive(material.small, count) as archive, tempfile.TemporaryDirectory() as reports:
            words = [sys.executable, "-m", "batch", "score", str(archive), "--output", reports]
            words += ["--model", wish.models[0]]
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
    with _archive(material.originals, wish.images) as archive:
        for cores in dict.fromkeys((wish.cores, 1)):
            plain = {"default": partial(_score_rates, archive, wish.models[0], cores)}
            for option, values in SETTINGS.items():
                tried = {
                    value: partial(_score_rates, archive, wish.models[0], cores, option, value)
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
    import os

    here = len(os.sched_getaffinity(0))
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= here]
    with _archive(material.originals, wish.images) as archive:
        contenders = {
            str(count): partial(_score_rates, archive, wish.models[0], count) for count in counts
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


SUITES: dict[str, Callable[[Wish], Table]] = {
    "throughput": throughput,
    "small": partial(throughput, small=True),
    "dicom": dicom,
    "stages": stages,
    "start": start,
    "scaling": scaling,
    "settings": settings,
    "cores": cores,
}
