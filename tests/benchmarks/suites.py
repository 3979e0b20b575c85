"""The comparisons, each a table: what is measured, against what, as a ratio in one run."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import material
from tests.benchmarks.objects import objects
from tests.benchmarks.pictures import pictures
from tests.benchmarks.processes import any_file, in_turn, medians, ratio, rounds_of, run, score
from tests.benchmarks.scale import cores, processes, scaling, settings
from tests.benchmarks.silent import silent
from tests.benchmarks.wishes import Table, Wish, archive_of, score_rates

CONTENDERS = ("keras", "runinference", "limit")
RUNINFERENCE_SHARE = 4
"""Beam's documented pipeline gets a quarter of the images: it is that much slower."""
DICOM_KINDS = ("JPEG in DICOM", "native DICOM", "JPEG 2000 lossless", "JPEG-LS", "RLE")
SLOW_DICOM = ("JPEG 2000 lossless", "JPEG-LS", "RLE")


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
            archive_of(make, wish.images) as archive,
            archive_of(make, wish.images // RUNINFERENCE_SHARE) as fewer,
        ):
            contenders = {"score": partial(score_rates, archive, model, wish.cores)}
            for name in CONTENDERS:
                where = fewer if name == "runinference" else archive
                contenders[name] = partial(_contender, name, where, model, wish.cores)
            found = rounds_of(contenders, wish.repetitions)
        for name, rates in medians(found).items():
            rows.append(
                {
                    "model": Path(model).name,
                    "what": name,
                    "images/s, whole process": rates["whole"],
                    "images/s, steady": rates["steady"],
                    "score is so many times this, whole": ratio(found, "score", name, "whole"),
                    "steady": ratio(found, "score", name, "steady"),
                    "cores used": rates["cores_used"],
                    "peak MB": rates["peak_mb"],
                }
            )
    return rows


def dicom(wish: Wish) -> Table:
    """The same pictures in DICOM's encodings, against plain JPEG; the slow ones fewer times."""
    counts = {
        kind: max(48, wish.images // (10 if kind in SLOW_DICOM else 1))
        for kind in ("JPEG", *DICOM_KINDS)
    }
    with ExitStack() as archives:
        contenders = {
            kind: partial(
                score_rates,
                archives.enter_context(archive_of(partial(_of_kind, kind), count)),
                wish.models[0],
                wish.cores,
            )
            for kind, count in counts.items()
        }
        found = rounds_of(contenders, wish.repetitions)
    return [
        {
            "kind": kind,
            "images": counts[kind],
            "images/s, steady": rates["steady"],
            "against JPEG": ratio(found, kind, "JPEG", "steady"),
            "cores used": rates["cores_used"],
        }
        for kind, rates in medians(found).items()
    ]


def _of_kind(kind: str, folder: Path, count: int) -> Path:
    return material.dicom(folder, kind, count)


def stages(wish: Wish) -> Table:
    """CPU milliseconds an image by stage, and what the whole job takes beyond their sum."""
    rows = []
    for model in wish.models:
        with (
            archive_of(material.originals, wish.images) as archive,
            archive_of(material.originals, 1) as single,
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
    with archive_of(material.originals, 1) as archive:
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


SUITES: dict[str, Callable[[Wish], Table]] = {
    "throughput": throughput,
    "small": partial(throughput, small=True),
    "dicom": dicom,
    "stages": stages,
    "start": start,
    "scaling": scaling,
    "settings": settings,
    "cores": cores,
    "processes": processes,
    "objects": objects,
    "pictures": pictures,
    "silent": silent,
}
