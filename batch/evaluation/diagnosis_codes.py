"""Codes of diagnoses: ICD-10 of the skin, and morphology codes of ICD-O.

Of a morphology code the behaviour digit decides: /0 benign, /2 in situ, /3 malignant. Melanoma in
situ (D03, /2) counts as melanoma. A code that may be either is refused with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MELANOMA = "MEL"
OTHER = ""
"""Not melanoma, of no diagnosis that `DIAGNOSES` has."""


@dataclass(frozen=True)
class CodeMeaning:
    """What a code means.

    code: MELANOMA, a key of `DIAGNOSES`, or OTHER; None if the code must not be guessed.
    is_malignant: whether it is a malignancy or the precursor of one.
    why: why it must not be guessed.
    """

    code: str | None
    is_malignant: bool = False
    why: str = ""


_ICD10 = re.compile(
    r"(?:icd ?10(?: ?(?:gm|cm))? ?:? ?)?([a-z]) ?(\d\d)(?:\.(\d{0,3}|-))?-?[*+!]?(?: ?([gvaz]))?"
)
_ICDO = re.compile(r"(?:icd ?o(?: ?3)? ?:? ?|m ?-?)?(\d{4}) ?/ ?(\d)\d?")

_CATEGORIES: dict[str, CodeMeaning] = {
    "C43": CodeMeaning(MELANOMA, True),
    "D03": CodeMeaning(MELANOMA, True),
    "C44": CodeMeaning(OTHER, True),
    "C46": CodeMeaning(OTHER, True),
    "D04": CodeMeaning(OTHER, True),
    "D22": CodeMeaning("NV"),
    "D23": CodeMeaning(OTHER),
    "L82": CodeMeaning("SK"),
}
_SUBCATEGORIES: dict[str, CodeMeaning] = {
    "D18.0": CodeMeaning("VASC"),
    "L57.0": CodeMeaning("AK", True),
    "L81.4": CodeMeaning(OTHER),
}
_CERTAINTY = {
    "v": "V after a code means suspected",
    "a": "A after a code means excluded",
    "z": "Z after a code means a former state",
}
_BEHAVIOUR = {
    "1": "behaviour /1 is uncertain",
    "6": "behaviour /6 is a metastasis",
    "9": "behaviour /9 is primary or metastatic",
}
_MELANOCYTIC = range(8720, 8800)
_UNSPECIFIC = range(8000, 8010)
_BASAL_CELL = range(8090, 8099)
_SQUAMOUS = range(8070, 8079)


def code_meaning(text: str) -> CodeMeaning | None:
    """The meaning of a text that is one code and nothing else; None if it is no code.

    Args:
        text: a label as `fold` gives it.
    """
    if found := _ICDO.fullmatch(text):
        return _morphology(int(found[1]), found[2])
    if found := _ICD10.fullmatch(text):
        return _icd10(f"{found[1]}{found[2]}".upper(), (found[3] or "").strip("-"), found[4])
    return None


def _icd10(category: str, digits: str, certainty: str | None) -> CodeMeaning:
    if certainty in _CERTAINTY:
        return CodeMeaning(None, why=_CERTAINTY[certainty])
    for length in range(len(digits), 0, -1):
        if meaning := _SUBCATEGORIES.get(f"{category}.{digits[:length]}"):
            return meaning
    if meaning := _CATEGORIES.get(category):
        return meaning
    return CodeMeaning(None, why="a code that does not say plainly whether it is melanoma")


def _morphology(number: int, behaviour: str) -> CodeMeaning:
    if behaviour not in ("0", "2", "3"):
        return CodeMeaning(None, why=_BEHAVIOUR.get(behaviour, "no behaviour digit of ICD-O"))
    is_malignant = behaviour != "0"
    if number in _MELANOCYTIC:
        return CodeMeaning(MELANOMA if is_malignant else "NV", is_malignant)
    if number < _UNSPECIFIC.start or number in _UNSPECIFIC:
        return CodeMeaning(None, why="a morphology that may be melanoma")
    if number in _BASAL_CELL and is_malignant:
        return CodeMeaning("BCC", True)
    if number in _SQUAMOUS and behaviour == "3":
        return CodeMeaning("SCC", True)
    return CodeMeaning("DF" if number == 8832 and not is_malignant else OTHER, is_malignant)
