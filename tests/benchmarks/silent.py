"""Two models in one run against what their single costs predict."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from batch.runtime.process import available_cores
from tests.benchmarks import material
from tests.benchmarks.processes import medians, rounds_of, run
from tests.benchmarks.wishes import Table, Wish, archive_of, score_rates


def silent(wish: Wish) -> Table:
    """`score` alone, and with `--silent-model`; the second of the models is the silent one.

    Predicted is the time of an image alone and the silent model's inference, spread over the cores.
    Nothing else is granted: rows, Beam and the second model's opening count against the job. A
    ratio of 1 means as fast as predicted, less is slower.
    """
    model, second = wish.models[0], wish.models[1]
    cores = wish.cores or available_cores()
    with archive_of(material.originals, wish.images) as archive:
        words = [sys.executable, "-m", "tests.benchmarks.stages", str(archive), second]
        costs = json.loads(run(words, wish.cores).output.splitlines()[-1])
        contenders = {
            "alone": partial(score_rates, archive, model, wish.cores),
            "both": partial(
                score_rates, archive, model, wish.cores, "--silent-model", second
            ),
        }  # fmt: skip
        found = medians(rounds_of(contenders, wish.repetitions))
    inference = costs["inference"] / 1000
    cpu = {name: rates["cores_used"] / rates["whole"] for name, rates in found.items()}
    predicted = 1 / found["alone"]["steady"] + inference / cores
    return [
        {
            "models": f"{Path(model).name} + {Path(second).name}",
            "alone, images/s": found["alone"]["steady"],
            "both, images/s": found["both"]["steady"],
            "both predicted, images/s": 1 / predicted,
            "ratio": predicted * found["both"]["steady"],
            "ratio by processor time": (cpu["alone"] + inference) / cpu["both"],
            "alone, MB": found["alone"]["peak_mb"],
            "both, MB": found["both"]["peak_mb"],
        }
    ]
