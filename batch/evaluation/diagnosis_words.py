"""Diagnoses other than melanoma, and the words that clearly mean one of them."""

from __future__ import annotations

import re
import unicodedata

NOT_MELANOMA = "not melanoma"
"""Meaning of a label that only excludes melanoma, unless the model has a class for it."""

COARSE = ("not melanoma", "no melanoma", "non melanoma", "nonmelanoma", "other", "others", "benign")
"""Labels that only exclude melanoma. `malignant` is not one of them, since it may be melanoma."""

# Code to its name, the code of the wider diagnosis, and further words, all as `fold` gives them.
# The codes are ISIC's, and two kinds of BKL that the nine-class set separates.
DIAGNOSES: dict[str, tuple[str, str | None, str]] = {
    "NV": (
        "nevus", None,
        "nv, nevi, melanocytic nevus, melanocytic nevi, pigmented nevus, common nevus, benign nevus"
        ", dysplastic nevus, atypical nevus, blue nevus, spitz nevus, reed nevus, congenital nevus"
        ", compound nevus, junctional nevus, dermal nevus, intradermal nevus, halo nevus",
    ),
    "BCC": ("basal cell carcinoma", None, "bcc, basalioma, basal cell carcinomas"),
    "AK": (
        "actinic keratosis", None,
        "ak, akiec, actinic keratoses, solar keratosis, solar keratoses",
    ),
    "SCC": ("squamous cell carcinoma", None, "scc, sccka, squamous cell carcinomas"),
    "BKL": (
        "benign keratosis", None,
        "bkl, benign keratoses, benign keratosis like lesion, benign keratosis like lesions"
        ", solar lentigo, lichenoid keratosis, lichen planus like keratosis, lplk",
    ),
    "SK": ("seborrheic keratosis", "BKL", "sk, seborrheic keratoses"),
    "PBK": ("pigmented benign keratosis", "BKL", "pbk, pigmented benign keratoses"),
    "DF": ("dermatofibroma", None, "df, dermatofibromas"),
    "VASC": (
        "vascular lesion", None,
        "vasc, vascular, vascular lesions, angioma, hemangioma, cherry angioma, angiokeratoma"
        ", pyogenic granuloma",
    ),
}  # fmt: skip
CODES = {
    word: code
    for code, (name, _, further) in DIAGNOSES.items()
    for word in (name, *further.split(", "))
}

MALIGNANT = ("BCC", "SCC")
BENIGN = "benign"

_SPELLINGS = (("naev", "nev"), ("seborrhoe", "seborrhe"), ("haem", "hem"))


def fold(word: str) -> str:
    """A word in lower case and American spelling, with a blank for underscores and hyphens."""
    text = unicodedata.normalize("NFKC", word).strip("\ufeff\u200b").casefold()
    text = text.replace("_", " ").replace("'", "").replace("\u2019", "")
    text = re.sub(r"(?<=\w)\s*[-\u2010-\u2015]+\s*(?=\w)", " ", text)
    for british, american in _SPELLINGS:
        text = text.replace(british, american)
    return " ".join(text.split())
