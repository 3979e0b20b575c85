"""Which columns of a table of labels are the key, the label, and facts about the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from batch.core.errors import UsageError
from batch.evaluation.isic_format import FORMATS
from batch.evaluation.label_words import IS_MELANOMA, yes_or_no
from batch.evaluation.matching import GROUP_KEYS, KEYS

FACTS = ("group", "split", "site", "sex", "age", "source")

_THEIRS: dict[str, tuple[str, ...]] = {
    "image": ("image_name", "isic_id", "filename", "file_name", "bild", "dateiname"),
    "path": ("pfad", "image_path", "file_path"),
    "image_id": ("sop_instance_uid", "sopinstanceuid", "sop_uid"),
    "accession_number": ("accession", "accessionnumber"),
    "study_instance_uid": ("study", "studyinstanceuid", "study_uid"),
    "lesion_id": ("lesion", "lesion_key"),
    "patient_pseudonym": ("pseudonym",),
    "patient_id": ("patient", "patientid"),
    "site": ("localization", "anatom_site_general", "anatom_site", "lokalisation"),
    "sex": ("geschlecht",),
    "age": ("age_approx", "alter"),
}
_LABEL_HEADS = (
    "diagnosis", "dx", "diagnose", "histology", "histologie", "icd10", "icd_10", "icd", "icd_o",
    "icdo", "morphology", "morphologie",
)  # fmt: skip
_YES_NO_HEADS = ("melanoma", "is_melanoma", "melanom")
_ONE_HOT = tuple(dict.fromkeys(code.casefold() for codes in FORMATS.values() for code in codes))


def our_names(heads: Sequence[str], maps: Iterable[str]) -> list[str]:
    """The names of columns as this program says them; unknown ones in lower case.

    Args:
        heads: as in the file.
        maps: `THEIRS=OURS` of `--map`, which win.

    Raises:
        UsageError: a mapping names no column of the file, or no column that is known.
    """
    names = [head.strip().strip("\ufeff").casefold() for head in heads]
    mapped = _mapped(names, maps)
    ours = {name: own for own, theirs in _THEIRS.items() for name in theirs}
    taken = {*names, *mapped.values()}
    result = []
    for name in names:
        own = ours.get(name.replace(" ", "_").replace("-", "_"))
        result.append(mapped.get(name) or (own if own and own not in taken else name))
    if not any(key in result for key in KEYS):
        return result
    # beside a key of the image, a lesion is the group of the bootstrap and of the measures by lesion
    return ["group" if name == "lesion_id" and "group" not in result else name for name in result]


def _mapped(names: Sequence[str], maps: Iterable[str]) -> dict[str, str]:
    allowed = ("label", *KEYS, *GROUP_KEYS, *FACTS)
    mapped: dict[str, str] = {}
    for pair in maps:
        theirs, sign, ours = (part.strip().casefold() for part in pair.partition("="))
        if not sign or theirs not in names:
            raise UsageError(
                f"--map: found {pair!r}; allowed: THEIRS=OURS, where THEIRS is one of the columns "
                f"{', '.join(names)}."
            )
        if ours not in allowed:
            raise UsageError(
                f"--map: found {ours!r} after '='; allowed: {', '.join(allowed)}. Correct the name."
            )
        if ours in mapped.values():
            raise UsageError(
                f"--map: {ours!r} is given twice; allowed: one column for it. Leave one out."
            )
        mapped[theirs] = ours
    return mapped


def key_of(names: Sequence[str]) -> str | None:
    """The column that names what a label is of: an image, else a lesion, study or patient."""
    return next((key for key in (*KEYS, *GROUP_KEYS) if key in names), None)


def label_column(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str] | None:
    """The label of each row; None if no column has it.

    It is the column `label`, else the one column with the name of a diagnosis, else the one that
    asks whether it is melanoma (`melanoma=` is put before its values), else ISIC's columns of 0
    and 1. A row without any 1 has no label; the names of several are joined with `+`, which no
    word is.

    Raises:
        UsageError: several columns could be it, or a column of ISIC has another value.
    """
    if "label" in names:
        at = names.index("label")
        return [row[at] for row in rows]
    plain = [name.replace(" ", "_").replace("-", "_") for name in names]
    worded = [at for at, name in enumerate(plain) if name in _LABEL_HEADS]
    asked = [at for at, name in enumerate(plain) if name in _YES_NO_HEADS]
    hot = [at for at, name in enumerate(plain) if name in _ONE_HOT]
    hot = hot if len(hot) >= _FEWEST_HOT and "mel" in plain else []
    if len(worded) + len(asked) + bool(hot) > 1:
        found = [names[at] for at in (*worded, *asked, *hot)]
        raise UsageError(
            f"--labels: the columns {', '.join(found)} could each be the label; allowed: one. Say "
            f"which with --map {found[0]}=label."
        )
    if worded:
        return [row[worded[0]] for row in rows]
    if asked:
        return [_answer(row[asked[0]]) for row in rows]
    return [_hot_word(row, hot, names) for row in rows] if hot else None


_FEWEST_HOT = 3
"""Columns of ISIC's codes from which a table is taken for theirs."""


def _answer(value: str) -> str:
    return f"{IS_MELANOMA}{value.strip()}" if yes_or_no(value) is not None else value


def _hot_word(row: Sequence[str], hot: Sequence[int], names: Sequence[str]) -> str:
    answers = {at: yes_or_no(row[at]) if row[at].strip() else False for at in hot}
    if wrong := [at for at, answer in answers.items() if answer is None]:
        counts = Counter(row[at].strip() for at in wrong)
        raise UsageError(
            f"--labels: column {names[wrong[0]]} has {', '.join(map(repr, counts))}; allowed: 0 "
            "and 1, as ISIC's tables of truth have. Scores are no labels: give the truth."
        )
    return "+".join(names[at].upper() for at, answer in answers.items() if answer)
