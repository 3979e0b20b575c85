"""What the page's pictures cost: a first night with and without them, an unchanged one, disk."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import material
from tests.benchmarks.processes import medians, ratio, rounds_of, run
from tests.benchmarks.wishes import Table, Wish, archive_of

LESIONS = (50, 500, 5000)


def pictures(wish: Wish) -> Table:
    """Of the last model that was wished for, which is the default one. No two images are alike."""
    model = wish.models[-1]
    with archive_of(material.different, wish.images) as archive:
        contenders = {
            "first night, --no-pictures": partial(_night, archive, model, wish, "--no-pictures"),
            "first night": partial(_night, archive, model, wish),
            "unchanged night": partial(_night, archive, model, wish, nights=2),
        }
        found = rounds_of(contenders, wish.repetitions)
    rows: Table = [
        {
            "what": name,
            "seconds": figures["seconds"],
            "CPU seconds": figures["cpu"],
            "review, seconds": figures["review"],
            "pictures made": figures["made"],
            "MB": figures["bytes"] / 1e6,
            "against --no-pictures": ratio(found, name, next(iter(found)), "seconds"),
            "CPU against it": ratio(found, name, next(iter(found)), "cpu"),
        }
        for name, figures in medians(found).items()
    ]
    made = medians(found)["first night"]
    each = made["bytes"] / max(1, made["made"])
    return rows + [
        {
            "what": f"{count} lesions of one image, by calculation",
            "seconds": "",
            "CPU seconds": "",
            "review, seconds": "",
            "pictures made": count,
            "MB": each * count / 1e6,
            "against --no-pictures": "",
            "CPU against it": "",
        }
        for count in LESIONS
    ]


def _night(
    archive: Path, model: str, wish: Wish, *options: str, nights: int = 1
) -> dict[str, float]:
    """Figures of the last of some nights into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "batch", "score", str(archive), "--output", folder]
        words += ["--model", model, "--max-unscored-rate", "1", *options]
        for _ in range(nights):
            done = run(words, wish.cores)
        told: dict[str, Any] = json.loads((Path(folder) / "latest" / "run.json").read_text())
        there = [path.stat().st_size for path in (Path(folder) / "pictures").glob("*.jpg")]
    return {
        "seconds": done.seconds,
        "cpu": done.cpu_seconds,
        "review": told["seconds"]["review"],
        "made": told["review"]["pictures"]["made"],
        "bytes": float(sum(there)),
    }
