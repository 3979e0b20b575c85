"""Images to lesions and patients: which key of `keys` each one bears. Pure.

A million images are grouped as numbers: every different name is looked at once, and no row becomes
a Python object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batch.core.records import KEPT_ATTRIBUTES
from batch.core.text import is_control

UID = "(?:[0-9.]+)"


OWN_ID = r"(?:[0-9.]+(#[0-9]+)?|sha256:[0-9a-f]+)"
"""An image_id that is a key as it stands."""


_UID = re.compile(UID)


_OWN_ID = re.compile(OWN_ID)


_RESERVED = frozenset("%/@")


ByPath = Callable[[str], tuple[str | None, str | None]]
"""Lesion and patient by a path."""


def by_path(pattern: re.Pattern[str] | None) -> ByPath:
    """Lesion and patient by the pattern; None where it does not match."""
    if pattern is None:
        return lambda path: (None, None)
    return lambda path: _by_pattern(path, pattern)


def by_id(issuer: str | None, patient_id: str | None) -> str | None:
    """A patient by issuer and ID; None without an ID."""
    if patient_id is None:
        return None
    return _quoted(issuer or "").replace("|", "%7C") + "|" + _quoted(patient_id)


def tracking(lesion: str, within: str | None) -> str | None:
    """A tracking UID is unique by itself; a TrackingID only within a patient, else within a study.

    Without either there is none: two lesions named "1" are never one.
    """
    if _UID.fullmatch(lesion):
        return lesion
    return f"TRACKING:{_quoted(within)}/{_quoted(lesion)}" if within else None


def kept_apart(key: str, patient: str | None) -> str:
    """The key of a tracking UID that several patients bear."""
    return f"{key}@{patient or '?'}"


def own(image_id: str | None) -> str:
    """A lesion of its own for an image, under a key that no other rule gives."""
    name = image_id or ""
    return name if _OWN_ID.fullmatch(name) else "IMAGE:" + visible(name)


def visible(text: str) -> str:
    """Text without invisible characters; two different texts stay different."""
    if text.isprintable() and "%" not in text:
        return text
    return "".join(f"%{ord(c):02X}" if c == "%" or is_control(c) else c for c in text)


def _by_pattern(path: str, pattern: re.Pattern[str]) -> tuple[str | None, str | None]:
    match = pattern.search(path)
    if match is None:
        return None, None
    groups = match.groupdict()
    patient = "PATTERN:" + _quoted(groups["patient"]) if groups.get("patient") else None
    if not groups["lesion"]:
        return None, patient
    lesion = _quoted(groups["lesion"])
    return (f"{patient}/{lesion}" if patient else f"PATTERN:{lesion}"), patient


def _quoted(word: str) -> str:
    """A part of a key: cannot be mistaken for two, and nothing in it is invisible."""
    if word.isprintable() and not _RESERVED & set(word):
        return word
    return "".join(f"%{ord(c):02X}" if c in _RESERVED or is_control(c) else c for c in word)


_AT_ONCE = 50_000
"""Paths that are Python objects at one time."""


@dataclass(frozen=True, eq=False)
class Names:
    """A column of words as numbers.

    codes: (rows,) int64, place in words; -1 where there is none. words: each once, in no order.
    """

    codes: np.ndarray
    words: pd.Series

    def at(self, row: int) -> str | None:
        """The word of one row."""
        code = self.codes[row]
        return None if code < 0 else self.words.iloc[code]

    def column(self, rows: np.ndarray, index: pd.Index) -> pd.Series:
        """The words of some rows as an ordered category; missing ones are missing.

        Args:
            rows: (n,) places. index: of the answer.
        """
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        missing = int(len(used) > 0 and used[0] < 0)
        words = pd.Series(self.words.iloc[used[missing:]].to_numpy(object), dtype=object)
        order = np.argsort(words.to_numpy(object), kind="stable")
        place = np.full(len(used), -1)
        place[missing + order] = np.arange(len(order))
        category = pd.Categorical.from_codes(
            place[codes], categories=pd.Index(words.iloc[order]), ordered=True
        )
        return pd.Series(category, index)


@dataclass(frozen=True, eq=False)
class Groups:
    """Lesion and patient of each image. shared: (rows,) bool: its tracking UID is borne by several
    patients, who are kept apart.
    """

    lesion: Names
    patient: Names
    shared: np.ndarray

    def frame(self, rows: np.ndarray, index: pd.Index) -> pd.DataFrame:
        """lesion_key, patient_key (missing: not known) and shared of some rows."""
        return pd.DataFrame(
            {
                "lesion_key": self.lesion.column(rows, index),
                "patient_key": self.patient.column(rows, index),
                "shared": pd.Series(self.shared[rows], index, bool),
            }
        )


def group_images(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> Groups:
    """Lesion and patient of scored images.

    Args:
        images: with image_id, path, lesion_id, study_instance_uid, patient_pseudonym, patient_id
            and issuer_of_patient_id.
    """
    lesion_in_path, patient_in_path = _in_paths(images["path"], pattern)
    columns = ("patient_pseudonym", "issuer_of_patient_id", "patient_id")
    patient = _each(
        lambda pseudonym, issuer, patient_id, in_path: (
            pseudonym or by_id(issuer, patient_id) or in_path
        ),
        [*(_coded(images[column]) for column in columns), patient_in_path],
    )
    named = _coded(images["lesion_id"])
    tracked = _tracked(named, patient, images["study_instance_uid"])
    is_uid = _marked(named, named.words.str.fullmatch(UID))
    shared = _borne_by_several(named.codes, patient.codes, is_uid)
    apart = _only(shared, [tracked, patient], lambda key, who: kept_apart(key or "", who))
    by_pattern = Names(np.where(named.codes < 0, lesion_in_path.codes, -1), lesion_in_path.words)
    return Groups(_first_of(apart, tracked, by_pattern, _own(images["image_id"])), patient, shared)


def group_unscored(
    unscored: pd.DataFrame,
    pattern: re.Pattern[str] | None,
    of_paths: Mapping[str, tuple[str | None, str | None]],
    bearers: Mapping[str, Bearers],
) -> pd.DataFrame:
    """Lesion and patient of images without a score: as their file names them, where it could be
    parsed so far; else by the place.

    Args:
        unscored: with path, image_id, content_sha256, and `records.KEPT_ATTRIBUTES`; None where not
            known. of_paths: path to lesion and patient, of files whose other frames have a score.
        bearers: tracking UID to those who bear it among the images with a score.

    Returns:
        same index; lesion_key, patient_key, shared, and image_id with a stand-in where there was
        none: by content, so that another content at the same place is another image. The lesion of
        such a file goes by its place: two empty files are not one lesion.
    """
    in_path = by_path(pattern)
    columns = ("path", "image_id", "content_sha256", *KEPT_ATTRIBUTES)
    found = []
    for path, named, digest, study, tracked, pseudonym, patient_id, issuer in zip(
        *(_texts(unscored[column]) for column in columns), strict=True
    ):
        place = f"FILE:{visible(path or '')}"
        lesion_of_file, patient_of_file = of_paths.get(path or "", (None, None))
        lesion_in_path, patient_in_path = in_path(path or "")
        patient = pseudonym or by_id(issuer, patient_id) or patient_of_file or patient_in_path
        other = lesion_of_file or lesion_in_path or (own(named) if named else place)
        by_name = tracking(tracked, patient or study) if tracked else None
        image_id = named or (f"sha256:{digest}" if digest else place)
        found.append((by_name, other, patient, image_id))
    among_them: dict[str, set[str]] = {}
    for by_name, _, patient, _ in found:
        if by_name and patient:
            among_them.setdefault(by_name, set()).add(patient)
    rows = []
    for by_name, other, patient, image_id in found:
        shared = by_name is not None and _is_shared(
            patient, bearers.get(by_name, Bearers()), among_them.get(by_name, set())
        )
        key = kept_apart(by_name, patient) if by_name and shared else by_name or other
        rows.append((key, patient, shared, image_id))
    names = ["lesion_key", "patient_key", "shared", "image_id"]
    return pd.DataFrame(rows, columns=names, index=unscored.index, dtype=object)


@dataclass(frozen=True)
class Bearers:
    """Who bears a tracking UID. patients: the known ones. kept_apart: they are several."""

    patients: frozenset[str] = frozenset()
    kept_apart: bool = False


def _is_shared(patient: str | None, scored: Bearers, among_them: Collection[str]) -> bool:
    """Whether an image without a score is kept apart from others with its tracking UID.

    It never changes the key of a lesion that has a score.
    """
    if scored.kept_apart:
        return True
    if scored.patients:
        return patient is not None and patient not in scored.patients
    return len(among_them) > 1


def _coded(column: pd.Series) -> Names:
    """A column of texts; an empty text is none."""
    codes, words = pd.factorize(column)
    names = pd.Series(pd.Index(words).astype("str"), dtype="str")
    blank = np.flatnonzero((names == "").to_numpy(bool))
    return Names(np.where(np.isin(codes, blank), -1, codes) if len(blank) else codes, names)


def _in_paths(paths: pd.Series, pattern: re.Pattern[str] | None) -> tuple[Names, Names]:
    """Lesion and patient that a pattern finds."""
    found = np.full((2, len(paths)), -1)
    words: tuple[dict[str, int], dict[str, int]] = {}, {}
    in_path = by_path(pattern)
    for start in range(0, len(paths) if pattern else 0, _AT_ONCE):
        for row, path in enumerate(paths.iloc[start : start + _AT_ONCE].tolist(), start):
            for which, word in enumerate(in_path(path)):
                if word is not None:
                    found[which, row] = words[which].setdefault(word, len(words[which]))
    lesion, patient = (
        Names(codes, pd.Series(list(known), dtype="str"))
        for codes, known in zip(found, words, strict=True)
    )
    return lesion, patient


def _tracked(named: Names, patient: Names, studies: pd.Series) -> Names:
    """Keys of images that name their lesion."""
    is_uid = _marked(named, named.words.str.fullmatch(UID))
    by_uid = Names(np.where(is_uid, named.codes, -1), named.words)
    is_id = (named.codes >= 0) & ~is_uid
    if not is_id.any():
        return by_uid
    by_number = _only(
        is_id,
        [named, patient, _coded(studies)],
        lambda lesion, who, study: tracking(lesion or "", who or study),
    )
    return _first_of(by_uid, by_number)


def _borne_by_several(lesion: np.ndarray, patient: np.ndarray, is_uid: np.ndarray) -> np.ndarray:
    """(rows,) bool: tracking UIDs that stand for images of different known patients."""
    known = is_uid & (patient >= 0)
    pairs = pd.DataFrame({"lesion": lesion[known], "patient": patient[known]}).drop_duplicates()
    several = pairs["lesion"][pairs["lesion"].duplicated()].unique()
    return is_uid & np.isin(lesion, several)


def _own(image_ids: pd.Series) -> Names:
    """Every image as a lesion of its own."""
    words = image_ids.astype("str").reset_index(drop=True)
    others = np.flatnonzero(~words.str.fullmatch(OWN_ID).to_numpy(bool, na_value=False))
    if len(others):
        named = {
            int(row): own(text)
            for row, text in zip(others, _texts(image_ids.iloc[others]), strict=True)
        }
        words = words.mask(words.index.isin(others), pd.Series(named, dtype="str"))
    return Names(np.arange(len(words)), words)


def _each(function: Callable[..., str | None], columns: Sequence[Names]) -> Names:
    """A function of several columns, asked once for every combination that there is."""
    codes = np.zeros(len(columns[0].codes), np.int64)
    for column in columns:
        codes = pd.factorize(codes * (len(column.words) + 1) + column.codes + 1)[0]
    _, firsts = np.unique(codes, return_index=True)
    answers = [function(*(column.at(row) for column in columns)) for row in firsts]
    named = _coded(pd.Series(answers, dtype=object))
    return Names(named.codes[codes], named.words)


def _only(rows: np.ndarray, columns: Sequence[Names], function: Callable[..., str | None]) -> Names:
    """The same for some rows; none elsewhere.

    Args:
        rows: (rows,) bool.
    """
    codes = np.full(len(rows), -1)
    some = _each(function, [Names(column.codes[rows], column.words) for column in columns])
    codes[rows] = some.codes
    return Names(codes, some.words)


def _first_of(*columns: Names) -> Names:
    """The first of several columns that has a word, by row; equal words are one."""
    place = np.full(len(columns[0].codes), -1)
    offset = 0
    for column in columns:
        place = np.where((place < 0) & (column.codes >= 0), column.codes + offset, place)
        offset += len(column.words)
    used, at = np.unique(place, return_inverse=True)
    words = pd.concat([column.words for column in columns], ignore_index=True)
    missing = int(len(used) > 0 and used[0] < 0)
    codes, names = pd.factorize(words.iloc[used[missing:]])
    codes = np.concatenate([np.full(missing, -1), codes])
    return Names(codes[at], pd.Series(names, dtype="str"))


def _marked(names: Names, mask: pd.Series) -> np.ndarray:
    """(rows,) bool: rows whose word is marked."""
    return np.append(mask.to_numpy(bool, na_value=False), False)[names.codes]


def _texts(column: pd.Series) -> list[str | None]:
    """Texts as such; everything else, and nothing, is None."""
    return [value if isinstance(value, str) and value else None for value in column.tolist()]
