"""What the ISIC challenges' own scorer says: `python -m tests.tools.public_scorer` writes it down.

Writes tests/evaluation/public_scores.json: made-up scores, the file that we export of them, and
what isic-challenge-scoring makes of it. Its dependency zipfile-deflate64 has no wheel for Python
3.11 and wants a C compiler, and its CSV reader fails with pandas 3: it gets its own environment.

    python3.11 -m venv /tmp/scorer
    /tmp/scorer/bin/pip install isic-challenge-scoring==5.6.0 'pandas<3'
    /tmp/scorer/bin/python -m tests.tools.public_scorer
"""

from __future__ import annotations

import csv
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from batch.evaluation.isic_format import FORMATS, code_of, isic_csv

FILE = Path(__file__).parents[1] / "evaluation" / "public_scores.json"

EIGHT = (
    "actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma", "melanoma",
    "nevus", "squamous cell carcinoma", "vascular lesion",
)  # fmt: skip
NINE = (
    "actinic keratosis", "basal cell carcinoma", "dermatofibroma", "melanoma", "nevus",
    "pigmented benign keratosis", "seborrheic keratosis", "squamous cell carcinoma",
    "vascular lesion",
)  # fmt: skip
CASES = {
    "eight classes, 2019": (EIGHT, "2019", 120),
    "nine classes, 2019": (NINE, "2019", 90),
    "eight classes, 2018": (EIGHT, "2018", 90),
}


def made_up(class_names: tuple[str, ...], year: str, images: int, seed: int) -> dict[str, object]:
    """Labels and scores that know something of them; thousandths, so that ties occur.

    In 2019 every tenth image is none of the classes (UNK), which the format has a column for.
    """
    rng = np.random.default_rng(seed)
    truth = np.arange(images) % len(class_names)
    pull = rng.normal(1.5, 1.5, images)[:, None] * np.eye(len(class_names))[truth]
    odds = np.exp(1.3 * (rng.normal(0, 1, (images, len(class_names))) + pull))
    scores = np.round(odds / odds.sum(axis=1, keepdims=True), 3)
    names = [f"ISIC_{1000000 + number}" for number in range(images)]
    codes = [
        "UNK" if year == "2019" and number % 10 == 9 else code_of(class_names[index], year)
        for number, index in enumerate(truth)
    ]
    named = [dict(zip(class_names, map(float, row), strict=True)) for row in scores]
    return {
        "year": year,
        "class_names": class_names,
        "scores": scores.tolist(),
        "images": names,
        "codes": codes,
        "export": isic_csv(names, named, year),
    }


def truth_csv(images: list[str], codes: list[str], year: str) -> str:
    """Ground truth as the challenges publish it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *FORMATS[year]])
    for image, code in zip(images, codes, strict=True):
        writer.writerow([image, *(float(code == other) for other in FORMATS[year])])
    return text.getvalue()


def main() -> None:
    from isic_challenge_scoring import ClassificationMetric, ClassificationScore

    cases = {}
    for seed, (name, case) in enumerate(CASES.items()):
        made = made_up(*case, seed)
        truth = truth_csv(made["images"], made["codes"], made["year"])
        score = ClassificationScore.from_stream(
            io.StringIO(truth),
            io.StringIO(made["export"]),
            ClassificationMetric.BALANCED_ACCURACY,
        )
        figures = score.to_dict(rocs=False)
        cases[name] = {**made, "per_category": score.per_category.to_dict("index"),
                       "balanced_accuracy": figures["overall"]}  # fmt: skip
    scorer = f"isic-challenge-scoring {version('isic-challenge-scoring')}"
    text = json.dumps({"scorer": scorer, "cases": cases})
    FILE.write_text(text.replace('], "', '],\n"').replace('}, "', '},\n"') + "\n")


if __name__ == "__main__":
    main()
