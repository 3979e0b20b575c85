"""Finds the lesion of each outcome, and what the night that counts showed of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from batch.evaluation.coverage import subgroups_of
from batch.evaluation.matching import listed_name, spellings
from batch.evaluation.outcome_rules import JUDGED, settle
from batch.evaluation.shown import shown_scores
from batch.evaluation.subgroups import NOT_STATED, age_band
from batch.operations.outcome_files import KEYS
from batch.operations.outcome_nights import NightRecords, worklist_rows
from batch.review.worklist.contract import Tier

STATES = (
    "judged", "repeated", "revised", "contradicting", "scored_later", "ambiguous", "without_score",
    "not_found", "without_key", "left_out", "outranked", "unclear_mark",
)  # fmt: skip
"""What becomes of a row with a diagnosis; each ends in exactly one."""

_NOT_FOUND, _AMBIGUOUS = -1, -2


def lesions_named(rows: pd.DataFrame, records: NightRecords) -> tuple[np.ndarray, np.ndarray]:
    """The lesion number and the state of each row: (N,) int64, and (N,) object, "" if found.

    A row is read by its most exact key (`outcome_files.KEYS`) that is filled in. It is `ambiguous`
    if that key names several lesions, as a patient or a study may. A lesion's number may be that of
    several patients: a row that names the patient, too, means the lesion of that patient.
    """
    lesion = np.full(len(rows), _NOT_FOUND, np.int64)
    state = np.full(len(rows), "without_key", dtype=object)
    open_rows = np.ones(len(rows), bool)
    for key in KEYS:
        words = rows[key].astype(object).to_numpy()
        here = np.flatnonzero(open_rows & (words != ""))
        open_rows[here] = False
        if not len(here):
            continue
        asked = {word: _forms(word, key) for word in set(words[here])}
        found = _lesions_by(key, {form for forms in asked.values() for form in forms}, records)
        if key == "lesion":
            whose = rows["patient"].astype(object).to_numpy()
            with_patient = here[whose[here] != ""]
            named = [(words[row], whose[row]) for row in with_patient]
            lesion[with_patient] = _lesions_of_patients(named, records)
            state[with_patient] = [_state(number) for number in lesion[with_patient]]
            here = here[whose[here] == ""]
        answer = {
            word: next((found[form] for form in forms if form in found), _NOT_FOUND)
            for word, forms in asked.items()
        }
        lesion[here] = [answer[word] for word in words[here]]
        unscored = _unscored_names(key, records)
        state[here] = [
            "without_score" if answer[word] == _NOT_FOUND and unscored & set(asked[word])
            else _state(answer[word])
            for word in words[here]
        ]  # fmt: skip
    return lesion, state


def _state(number: int) -> str:
    if number >= 0:
        return ""
    return "ambiguous" if number == _AMBIGUOUS else "not_found"


def _lesions_of_patients(named: Sequence[tuple[str, str]], records: NightRecords) -> list[int]:
    """The lesion number of each pair of a lesion's name and its patient's."""
    wanted, found = set(named), dict[tuple[str, str], int]()
    patients = {patient for _, patient in wanted}
    columns = ["lesion", "patient", "lesion_id", "patient_pseudonym", "patient_id"]
    for table in (records.images, records.names):
        distinct = table[columns].drop_duplicates()
        for whose in _values("patient", distinct, records):
            of_patient = np.array([who in patients for who in whose], bool)
            rows, who = distinct[of_patient], np.array(list(whose), object)[of_patient]
            for values in _values("lesion", rows, records):
                for pair, lesion in zip(zip(values, who, strict=True), rows["lesion"], strict=True):
                    if pair in wanted and found.setdefault(pair, int(lesion)) != lesion:
                        found[pair] = _AMBIGUOUS
    return [found.get(pair, _NOT_FOUND) for pair in named]


def join(rows: pd.DataFrame, records: NightRecords) -> tuple[pd.DataFrame, pd.Series]:
    """Join outcomes to what was shown.

    A diagnosis that somebody wrote with a mark counts only for a lesion that no file of outcomes
    names: it is an opinion, of a person who may have seen the score.

    Args:
        rows: of `read_outcomes`, with is_melanoma (bool), and only rows whose diagnosis counts.

    Returns:
        a row for each judged lesion: lesion, lesion_key, is_melanoma, is_alert, score, threshold,
        night, place, patient, and the columns of subgroups; and the state of each row.
    """
    lesion, state = lesions_named(rows, records)
    states = pd.Series(state, rows.index, dtype=object)
    rows = rows.assign(lesion=lesion)
    by_file = set(lesion[(states == "") & ~rows["is_mark"].astype(bool)])
    states[(states == "") & rows["is_mark"].astype(bool) & rows["lesion"].isin(by_file)] = (
        "outranked"
    )
    named = rows[states == ""]
    if named.empty:
        return _subgroups(pd.DataFrame(), rows, records), states
    settled, states_of_named = settle(named)
    states[states_of_named.index] = states_of_named
    shown = shown_scores(records.images, records.nights, settled["before"])
    lesions = settled.join(shown, how="left")
    later = lesions.index[lesions["night"].isna()]
    unseen = named["lesion"].isin(later) & (states[named.index] == JUDGED)
    states[unseen.index[unseen]] = "scored_later"
    lesions = lesions.drop(index=later).astype({"night": "int64", "is_alert": bool})
    lesions = _as_listed(lesions.rename_axis("lesion").reset_index(), records)
    return _subgroups(lesions, rows, records), states


def _as_listed(lesions: pd.DataFrame, records: NightRecords) -> pd.DataFrame:
    """With tier, score and threshold of the night's own worklist where that lists the lesion."""
    keys = records.lesion_keys.iloc[lesions["lesion"]].to_numpy(object)
    lesions = lesions.assign(lesion_key=keys)
    found = []
    for night, asked in lesions.groupby("night")["lesion_key"]:
        rows = worklist_rows(records.folders[int(str(night))], asked)
        found.append(rows.append_column("night", pa.array(np.full(len(rows), night))))
    listed = pa.concat_tables(found).to_pandas() if found else pd.DataFrame()
    if listed.empty:
        return lesions
    listed = listed[listed["max_score"].notna()].drop_duplicates(["night", "lesion_key"])
    said = lesions[["night", "lesion_key"]].merge(listed, on=["night", "lesion_key"], how="left")
    here = said["score_tier"].notna().to_numpy(bool)
    alert = (said["score_tier"] == Tier.ALERT.value).to_numpy(bool)
    return lesions.assign(
        is_alert=np.where(here, alert, lesions["is_alert"]).astype(bool),
        score=np.where(here, said["max_score"], lesions["score"]).astype(float),
        threshold=np.where(here, said["threshold"], lesions["threshold"]).astype(float),
    )


def _subgroups(lesions: pd.DataFrame, rows: pd.DataFrame, records: NightRecords) -> pd.DataFrame:
    """With the values of subgroups: of the deciding image, of the model, and of the outcome."""
    if lesions.empty:
        columns = (
            "lesion", "lesion_key", "is_melanoma", "is_alert", "score", "threshold", "night",
            "patient", "place", "is_mark", "image", "device", "site", "laterality", "model", "sex",
            "age", "skin type",
        )  # fmt: skip
        empty = pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
        return empty.astype(
            {"is_melanoma": bool, "is_alert": bool, "is_mark": bool, "night": "int64"}
        )
    image = records.images.loc[lesions["image"]].reset_index(drop=True)
    outcome = rows.loc[lesions["row"]].reset_index(drop=True)
    told = subgroups_of(image)
    models = zip(
        image["model_id"], image["model_version"], image["model_sha256"].str[:8], strict=True
    )
    subgroups: dict[str, Any] = {
        "device": told["device"],
        "site": _first_stated(told["site"], outcome["site"]),
        "laterality": told["laterality"],
        "sex": _first_stated(outcome["sex"].str.casefold(), told["sex"]),
        "age": _first_stated([age_band(age) for age in outcome["age"]], told["age"]),
        "skin type": told["skin type"],
    }
    return lesions.reset_index(drop=True).assign(
        place=outcome["place"],
        is_mark=outcome["is_mark"].astype(bool),
        patient=image["patient"],
        model=[" ".join(words) for words in models],
        **subgroups,
    )


def _first_stated(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return [
        one if one and one != NOT_STATED else other
        for one, other in zip(first, second, strict=True)
    ]


def _forms(word: str, key: str) -> tuple[str, ...]:
    return (word.lower(),) if key == "content_sha256" else spellings(word, key)


def _lesions_by(key: str, wanted: set[str], records: NightRecords) -> dict[str, int]:
    """Lesion number by value of a key; `_AMBIGUOUS` for several lesions."""
    found: dict[str, int] = {}
    columns = ("lesion", "patient", *_sources(key))
    for table in (records.images, records.names):
        distinct = table[[c for c in dict.fromkeys(columns) if c in table]].drop_duplicates()
        for values in _values(key, distinct, records):
            words = pd.Series(values, distinct.index, dtype=object)
            hits = words.isin(wanted)
            for word, lesion in zip(words[hits], distinct["lesion"][hits], strict=True):
                if found.setdefault(word, int(lesion)) != lesion:
                    found[word] = _AMBIGUOUS
    return found


def _sources(key: str) -> tuple[str, ...]:
    if key == "image":
        return ("path",)
    if key == "lesion":
        return ("lesion_id",)
    return ("patient_pseudonym", "patient_id") if key == "patient" else (key,)


def _values(key: str, rows: pd.DataFrame, records: NightRecords) -> Iterable[Iterable[object]]:
    """The values that may name a row by this key, one column after the other."""
    if key == "image":
        yield [PurePosixPath(path).stem for path in rows["path"]]
        return
    if key == "lesion":
        yield records.lesion_keys.iloc[rows["lesion"]]
        yield [listed_name(name) if isinstance(name, str) else name for name in rows["lesion_id"]]
    elif key == "patient":
        codes = rows["patient"].to_numpy(np.int64)
        keys = [*records.patient_keys, None]  # code -1 is the last
        yield [keys[code] for code in codes]
    for column in _sources(key):
        yield rows[column]


def _unscored_names(key: str, records: NightRecords) -> set[str]:
    if key == "image":
        return {PurePosixPath(path).stem for path in records.unscored["path"]}
    if key in records.unscored:
        return set(records.unscored[key].dropna())
    return set()
