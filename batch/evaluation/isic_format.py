"""Predictions in the format of the ISIC challenges: `image`, and a column for each diagnosis code.

2018 (task 3) has seven codes; AKIEC means actinic keratosis and intraepithelial carcinoma (Bowen's
disease). 2019 separates AK and SCC, and has UNK for none of the diagnoses. No class of a model here
means that, so UNK is 0.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence

from batch.core.errors import UsageError

# The classes of the nine-class set for each code.
CODE_TO_CLASSES: dict[str, tuple[str, ...]] = {
    "MEL": ("melanoma",),
    "NV": ("nevus",),
    "BCC": ("basal cell carcinoma",),
    "AK": ("actinic keratosis",),
    "BKL": ("pigmented benign keratosis", "seborrheic keratosis"),
    "DF": ("dermatofibroma",),
    "VASC": ("vascular lesion",),
    "SCC": ("squamous cell carcinoma",),
}


HAM_TO_CODE = {
    "mel": "MEL", "nv": "NV", "bcc": "BCC", "akiec": "AK", "bkl": "BKL", "df": "DF", "vasc": "VASC",
}  # fmt: skip


FORMATS: dict[str, tuple[str, ...]] = {
    "2018": ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"),
    "2019": ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"),
}


DEFAULT_FORMAT = "2019"


_CODES = {name: code for code, names in CODE_TO_CLASSES.items() for name in names}


_CODES |= {
    "benign keratosis": "BKL",
    "akiec": "AK",
}  # as two of isic9's classes, and as in HAM10000


_CODES |= {code.casefold(): code for code in CODE_TO_CLASSES}


_IN_2018 = {"AK": "AKIEC", "SCC": "AKIEC"}


def code_of(name: str, year: str = DEFAULT_FORMAT) -> str | None:
    """The code of a class or diagnosis, in any case of letters; None if there is none."""
    code = _CODES.get(name.strip().casefold())
    return None if code is None else (_IN_2018.get(code, code) if year == "2018" else code)


def codes_of(class_names: Sequence[str], year: str = DEFAULT_FORMAT) -> dict[str, str]:
    """Class name to code, for every class of a model.

    Raises:
        UsageError: a class has no code; without it the scores would mean something else.
    """
    codes = {name: code_of(name, year) for name in class_names}
    if unknown := [name for name, code in codes.items() if code is None]:
        allowed = sorted(name for name in _CODES if name not in map(str.casefold, CODE_TO_CLASSES))
        raise UsageError(
            f"--isic-csv: the model's classes {unknown} have no code of ISIC {year}; "
            f"allowed: {', '.join(allowed)}, or the codes themselves. "
            "Leave the option out, or use a model with these classes."
        )
    return {name: code for name, code in codes.items() if code is not None}


def isic_csv(
    images: Sequence[str], class_scores: Sequence[Mapping[str, float]], year: str = DEFAULT_FORMAT
) -> str:
    """The text of the file, a row for each image.

    Scores of classes with the same code are added; a code without a class is 0.

    Args:
        images: different names without extension.
        class_scores: of each image, by class name.
        year: of the challenge.

    Raises:
        UsageError: a class has no code, or two images have the same name.
    """
    if twice := [name for name, count in Counter(images).items() if count > 1]:
        raise UsageError(
            f"--isic-csv: {len(twice)} names belong to several images, e.g. {twice[0]!r}; allowed: "
            "one image for a name. Give the labels a column `image` with different names."
        )
    codes = codes_of(list(class_scores[0]) if class_scores else [], year)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["image", *FORMATS[year]], lineterminator="\n")
    writer.writeheader()
    for image, scores in zip(images, class_scores, strict=True):
        row = dict.fromkeys(FORMATS[year], 0.0)
        for name, score in scores.items():
            row[codes[name]] = min(row[codes[name]] + score, 1.0)  # rounding may exceed 1
        writer.writerow({"image": image, **row})
    return text.getvalue()
