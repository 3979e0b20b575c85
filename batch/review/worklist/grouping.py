"""Groups images to lesions and patients.

A million images are grouped as numbers: each different name is handled once, and rows do not become
Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from batch.core.privacy import LISTED_LESION
from batch.core.records import KEPT_ATTRIBUTES
from batch.core.text import is_control

UID = "(?:[0-9.]+)"


OWN_ID = r"(?:[0-9.]+(#[0-9]+)?|sha256:[0-9a-f]+)"
"""An image_id that is a lesion key without any change."""


_UID = re.compile(UID)


_OWN_ID = re.compile(OWN_ID)


_RESERVED = frozenset("%/@")


ByPath = Callable[[str], tuple[str | None, str | None]]
"""Gives lesion and patient of a path."""


def by_path(pattern: re.Pattern[str] | None) -> ByPath:
    """A function that finds lesion and patient in a path; None where the pattern does not match."""
    if pattern is None:
        return lambda path: (None, None)
    return lambda path: _by_pattern(path, pattern)


def by_id(issuer: str | None, patient_id: str | None) -> str | None:
    """The key of a patient with this issuer and ID; None without an ID."""
    if patient_id is None:
        return None
    return _quoted(issuer or "").replace("|", "%7C") + "|" + _quoted(patient_id)


def tracking_key(lesion: str, within: str | None) -> str | None:
    """The lesion key of a tracking UID, of a TrackingID, or of a lesion that a table names.

    A tracking UID is unique by itself. A TrackingID such as "1" is unique only within a patient or
    study.

    Args:
        lesion: the tracking UID or TrackingID.
        within: patient, else study; None gives a TrackingID no key.
    """
    if _UID.fullmatch(lesion):
        return lesion
    if lesion.startswith(LISTED_LESION):  # it names the patient, too, where one is known
        return lesion
    return f"TRACKING:{_quoted(within)}/{_quoted(lesion)}" if within else None


def key_within_patient(key: str, patient: str | None) -> str:
    """The lesion key for one patient of a tracking UID that several patients have."""
    return f"{key}@{patient or '?'}"


def own_key(image_id: str | None) -> str:
    """The lesion key of an image that is a lesion by itself; no other rule gives the same key."""
    name = image_id or ""
    return name if _OWN_ID.fullmatch(name) else "IMAGE:" + visible(name)


def visible(text: str) -> str:
    """A text with invisible characters as %XX; different texts stay different."""
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
    """A part of a key, with separators of keys and invisible characters as %XX."""
    if word.isprintable() and not _RESERVED & set(word):
        return word
    return "".join(f"%{ord(c):02X}" if c in _RESERVED or is_control(c) else c for c in word)


_PATHS_AT_ONCE = 50_000
"""Paths that are Python objects at the same time."""


@dataclass(frozen=True, eq=False)
class Names:
    """A column of words as numbers.

    codes: (rows,) int64, index in `words`; -1 where there is no word.
    words: each different word once, in no order.
    """

    codes: np.ndarray
    words: pd.Series

    def at(self, row: int) -> str | None:
        """The word of one row."""
        code = self.codes[row]
        return None if code < 0 else self.words.iloc[code]

    def column(self, rows: np.ndarray, index: pd.Index) -> pd.Series:
        """The words of some rows as an ordered category; a missing word is missing.

        Args:
            rows: (n,) row numbers.
            index: of the result.
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
    """Lesion and patient of each image.

    shared: (rows,) bool, whether several patients have the image's tracking UID, or its lesion of
        a table; they are kept apart.
    """

    lesion: Names
    patient: Names
    shared: np.ndarray

    def frame(self, rows: np.ndarray, index: pd.Index) -> pd.DataFrame:
        """lesion_key, patient_key (missing if unknown) and shared of some rows."""
        return pd.DataFrame(
            {
                "lesion_key": self.lesion.column(rows, index),
                "patient_key": self.patient.column(rows, index),
                "shared": pd.Series(self.shared[rows], index, bool),
            }
        )


def group_images(images: pd.DataFrame, pattern: re.Pattern[str] | None) -> Groups:
    """Find lesion and patient of images with a score.

    Args:
        images: with image_id, path, lesion_id, study_instance_uid, patient_pseudonym, patient_id
            and issuer_of_patient_id.
    """
    lesion_in_path, patient_in_path = _in_paths(images["path"], pattern)
    columns = ("patient_pseudonym", "issuer_of_patient_id", "patient_id")
    patient = _map_distinct(
        lambda pseudonym, issuer, patient_id, in_path: (
            pseudonym or by_id(issuer, patient_id) or in_path
        ),
        [*(_as_names(images[column]) for column in columns), patient_in_path],
    )
    named = _as_names(images["lesion_id"])
    tracked = _tracking_keys(named, patient, images["study_instance_uid"])
    is_unscoped = named.words.str.fullmatch(UID) | named.words.str.startswith(LISTED_LESION)
    shared = _borne_by_several(named.codes, patient.codes, _rows_with(named, is_unscoped))
    within_patient = _map_rows(
        shared, [tracked, patient], lambda key, who: key_within_patient(key or "", who)
    )
    by_pattern = Names(np.where(named.codes < 0, lesion_in_path.codes, -1), lesion_in_path.words)
    return Groups(
        _first_of(within_patient, tracked, by_pattern, _own_keys(images["image_id"])),
        patient,
        shared,
    )


def group_unscored(
    unscored: pd.DataFrame,
    pattern: re.Pattern[str] | None,
    of_paths: Mapping[str, tuple[str | None, str | None]],
    bearers: Mapping[str, Bearers],
) -> pd.DataFrame:
    """Find lesion and patient of images without a score.

    They come from the file's attributes if these could be read, else from the path.

    Args:
        unscored: path, image_id, content_sha256, and `records.KEPT_ATTRIBUTES`; None if unknown.
        pattern: of `--lesion-pattern`.
        of_paths: path to lesion and patient, for files with other frames that have a score.
        bearers: tracking UID to the patients that have it among the images with a score.

    Returns:
        same index; lesion_key, patient_key, shared and image_id. Without an image_id the digest of
        the content stands for it, so that other content at the same path is another image. The
        lesion_key of such a file comes from its path, so that two empty files are two lesions.
    """
    in_path = by_path(pattern)
    columns = ("path", "image_id", "content_sha256", *KEPT_ATTRIBUTES)
    named_images = []
    for path, named, digest, study, tracked, pseudonym, patient_id, issuer in zip(
        *(_texts(unscored[column]) for column in columns), strict=True
    ):
        key_of_file = f"FILE:{visible(path or '')}"
        lesion_of_file, patient_of_file = of_paths.get(path or "", (None, None))
        lesion_in_path, patient_in_path = in_path(path or "")
        patient = pseudonym or by_id(issuer, patient_id) or patient_of_file or patient_in_path
        image_key = own_key(named) if named else key_of_file
        fallback_key = lesion_of_file or lesion_in_path or image_key
        tracked_key = tracking_key(tracked, patient or study) if tracked else None
        image_id = named or (f"sha256:{digest}" if digest else key_of_file)
        named_images.append((tracked_key, fallback_key, patient, image_id))
    unscored_patients: dict[str, set[str]] = {}
    for tracked_key, _, patient, _ in named_images:
        if tracked_key and patient:
            unscored_patients.setdefault(tracked_key, set()).add(patient)
    rows = []
    for tracked_key, fallback_key, patient, image_id in named_images:
        shared = tracked_key is not None and _is_shared(
            patient, bearers.get(tracked_key, Bearers()), unscored_patients.get(tracked_key, set())
        )
        key = tracked_key or fallback_key
        if tracked_key and shared:
            key = key_within_patient(tracked_key, patient)
        rows.append((key, patient, shared, image_id))
    names = ["lesion_key", "patient_key", "shared", "image_id"]
    return pd.DataFrame(rows, columns=names, index=unscored.index, dtype=object)


@dataclass(frozen=True)
class Bearers:
    """The patients that have a tracking UID.

    patients: those that are known.
    kept_apart: whether there are several.
    """

    patients: frozenset[str] = frozenset()
    kept_apart: bool = False


def _is_shared(patient: str | None, scored: Bearers, unscored_patients: Collection[str]) -> bool:
    """Whether an image without a score is kept apart from other patients with its tracking UID.

    This never changes the key of a lesion that has a score.
    """
    if scored.kept_apart:
        return True
    if scored.patients:
        return patient is not None and patient not in scored.patients
    return len(unscored_patients) > 1


def _as_names(column: pd.Series) -> Names:
    """A column of texts as `Names`; an empty text counts as missing."""
    codes, words = pd.factorize(column)
    names = pd.Series(pd.Index(words).astype("str"), dtype="str")
    blank = np.flatnonzero((names == "").to_numpy(bool))
    return Names(np.where(np.isin(codes, blank), -1, codes) if len(blank) else codes, names)


def _in_paths(paths: pd.Series, pattern: re.Pattern[str] | None) -> tuple[Names, Names]:
    """Lesions and patients that a pattern finds in paths."""
    codes = np.full((2, len(paths)), -1)
    words: tuple[dict[str, int], dict[str, int]] = {}, {}
    in_path = by_path(pattern)
    for start in range(0, len(paths) if pattern else 0, _PATHS_AT_ONCE):
        for row, path in enumerate(paths.iloc[start : start + _PATHS_AT_ONCE].tolist(), start):
            for column, word in enumerate(in_path(path)):
                if word is not None:
                    codes[column, row] = words[column].setdefault(word, len(words[column]))
    lesion, patient = (
        Names(word_codes, pd.Series(list(different_words), dtype="str"))
        for word_codes, different_words in zip(codes, words, strict=True)
    )
    return lesion, patient


def _tracking_keys(named: Names, patient: Names, studies: pd.Series) -> Names:
    """Lesion keys of images that have a tracking UID or TrackingID."""
    is_uid = _rows_with(named, named.words.str.fullmatch(UID))
    by_uid = Names(np.where(is_uid, named.codes, -1), named.words)
    is_id = (named.codes >= 0) & ~is_uid
    if not is_id.any():
        return by_uid
    by_number = _map_rows(
        is_id,
        [named, patient, _as_names(studies)],
        lambda lesion, who, study: tracking_key(lesion or "", who or study),
    )
    return _first_of(by_uid, by_number)


def _borne_by_several(lesion: np.ndarray, patient: np.ndarray, is_uid: np.ndarray) -> np.ndarray:
    """(rows,) bool, whether images of several known patients have the tracking UID of a row."""
    has_patient = is_uid & (patient >= 0)
    pairs = pd.DataFrame(
        {"lesion": lesion[has_patient], "patient": patient[has_patient]}
    ).drop_duplicates()
    several = pairs["lesion"][pairs["lesion"].duplicated()].unique()
    return is_uid & np.isin(lesion, several)


def _own_keys(image_ids: pd.Series) -> Names:
    """The key of each image as a lesion by itself."""
    words = image_ids.astype("str").reset_index(drop=True)
    others = np.flatnonzero(~words.str.fullmatch(OWN_ID).to_numpy(bool, na_value=False))
    if len(others):
        named = {
            int(row): own_key(text)
            for row, text in zip(others, _texts(image_ids.iloc[others]), strict=True)
        }
        words = words.mask(words.index.isin(others), pd.Series(named, dtype="str"))
    return Names(np.arange(len(words)), words)


def _map_distinct(function: Callable[..., str | None], columns: Sequence[Names]) -> Names:
    """Apply a function to the words of several columns, once for each different combination."""
    codes = np.zeros(len(columns[0].codes), np.int64)
    for column in columns:
        codes = pd.factorize(codes * (len(column.words) + 1) + column.codes + 1)[0]
    _, firsts = np.unique(codes, return_index=True)
    answers = [function(*(column.at(row) for column in columns)) for row in firsts]
    named = _as_names(pd.Series(answers, dtype=object))
    return Names(named.codes[codes], named.words)


def _map_rows(
    rows: np.ndarray, columns: Sequence[Names], function: Callable[..., str | None]
) -> Names:
    """Apply a function as `_map_distinct` does, to some rows; the others have no word.

    Args:
        rows: (rows,) bool.
    """
    codes = np.full(len(rows), -1)
    some = _map_distinct(function, [Names(column.codes[rows], column.words) for column in columns])
    codes[rows] = some.codes
    return Names(codes, some.words)


def _first_of(*columns: Names) -> Names:
    """In each row the word of the first column that has one."""
    first = np.full(len(columns[0].codes), -1)
    offset = 0
    for column in columns:
        first = np.where((first < 0) & (column.codes >= 0), column.codes + offset, first)
        offset += len(column.words)
    used, at = np.unique(first, return_inverse=True)
    words = pd.concat([column.words for column in columns], ignore_index=True)
    missing = int(len(used) > 0 and used[0] < 0)
    codes, names = pd.factorize(words.iloc[used[missing:]])
    codes = np.concatenate([np.full(missing, -1), codes])
    return Names(codes[at], pd.Series(names, dtype="str"))


def _rows_with(names: Names, mask: pd.Series) -> np.ndarray:
    """(rows,) bool, whether the word of a row is marked."""
    return np.append(mask.to_numpy(bool, na_value=False), False)[names.codes]


def _texts(column: pd.Series) -> list[str | None]:
    """The values of a column that are texts and not empty; None for the others."""
    return [value if isinstance(value, str) and value else None for value in column.tolist()]
