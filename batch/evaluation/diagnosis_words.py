"""Diagnoses other than melanoma, and the words that clearly mean one of them."""

from __future__ import annotations

import re
import unicodedata

NOT_MELANOMA = "not melanoma"
"""Meaning of a label that only excludes melanoma, unless the model has a class for it."""

COARSE = ("not melanoma", "no melanoma", "non melanoma", "nonmelanoma", "other", "others", "benign",
          "kein melanom", "nicht melanom", "andere", "sonstige", "benigne", "gutartig")  # fmt: skip
"""Labels that only exclude melanoma. `malignant` is not one of them, since it may be melanoma."""

# Code to its name, the code of the wider diagnosis, and further words, all as `fold` gives them.
# The codes are ISIC's, and two kinds of BKL that the nine-class set separates.
DIAGNOSES: dict[str, tuple[str, str | None, str]] = {
    "NV": (
        "nevus", None,
        "nv, nevi, melanocytic nevus, melanocytic nevi, pigmented nevus, common nevus, benign nevus"
        ", dysplastic nevus, atypical nevus, blue nevus, spitz nevus, reed nevus, congenital nevus"
        ", compound nevus, junctional nevus, dermal nevus, intradermal nevus, halo nevus"
        ", nevuszellnevus, nzn, melanozytaerer nevus, dysplastischer nevus, blauer nevus"
        ", compoundnevus, junktionsnevus, dermaler nevus, kongenitaler nevus, spitznevus",
    ),
    "BCC": ("basal cell carcinoma", None, "bcc, basalioma, basal cell carcinomas, basalzellkarzinom, basaliom"),
    "AK": (
        "actinic keratosis", None,
        "ak, akiec, actinic keratoses, solar keratosis, solar keratoses"
        ", aktinische keratose, solare keratose",
    ),
    "SCC": ("squamous cell carcinoma", None, "scc, sccka, squamous cell carcinomas, plattenepithelkarzinom, spinaliom"),
    "BKL": (
        "benign keratosis", None,
        "bkl, benign keratoses, benign keratosis like lesion, benign keratosis like lesions"
        ", solar lentigo, lichenoid keratosis, lichen planus like keratosis, lplk"
        ", lentigo solaris, benigne keratose",
    ),
    "SK": ("seborrheic keratosis", "BKL", "sk, seborrheic keratoses, seborrhoische keratose, seborrheische keratose"),
    "PBK": ("pigmented benign keratosis", "BKL", "pbk, pigmented benign keratoses"),
    "DF": ("dermatofibroma", None, "df, dermatofibromas, dermatofibrom, histiozytom"),
    "VASC": (
        "vascular lesion", None,
        "vasc, vascular, vascular lesions, angioma, hemangioma, cherry angioma, angiokeratoma"
        ", pyogenic granuloma"
        ", hemangiom, angiom, angiokeratom",
    ),
}  # fmt: skip
CODES = {
    word: code
    for code, (name, _, further) in DIAGNOSES.items()
    for word in (name, *further.split(", "))
}

MALIGNANT = ("BCC", "SCC")
BENIGN_WORDS = ("benign", "benigne", "gutartig")
"""Coarse labels that exclude every malignancy."""

MELANOMA_WORDS = frozenset(
    (
        "mel, melanoma, malignant melanoma, invasive melanoma, cutaneous melanoma"
        ", melanoma in situ, in situ melanoma, melanoma, nos, melanoma nos, lentigo maligna"
        ", lentigo maligna melanoma, superficial spreading melanoma, nodular melanoma"
        ", acral lentiginous melanoma, amelanotic melanoma, desmoplastic melanoma"
        ", melanom, malignes melanom, invasives melanom, melanom in situ, in situ melanom"
        ", lentigo maligna melanom, superfiziell spreitendes melanom"
        ", superfiziell spreitendes malignes melanom, nodulaeres melanom"
        ", nodulaeres malignes melanom, akral lentiginoeses melanom"
        ", akrolentiginoeses melanom, amelanotisches melanom, desmoplastisches melanom"
    ).split(", ")
) - {"nos"} | {"melanoma, nos"}
"""Words that mean melanoma and nothing else, in situ included. MM, SSM and the like are not among
them: abbreviations have other meanings, too."""

_SPELLINGS = (
    ("ä", "ae"),
    ("ö", "oe"),
    ("ü", "ue"),
    ("naev", "nev"),
    ("seborrhoe", "seborrhe"),
    ("haem", "hem"),
)


def fold(word: str) -> str:
    """A word in lower case and American spelling, with a blank for underscores and hyphens."""
    text = unicodedata.normalize("NFKC", word).strip("\ufeff\u200b").casefold()
    text = text.replace("_", " ").replace("'", "").replace("\u2019", "")
    text = re.sub(r"(?<=\w)\s*[-\u2010-\u2015]+\s*(?=\w)", " ", text)
    for british, american in _SPELLINGS:
        text = text.replace(british, american)
    return " ".join(text.split())
