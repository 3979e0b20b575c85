"""Fills what the archive's files do not say with what a hospital's table says of them.

Rows of earlier nights are first emptied of what an earlier table filled, so that a table that was
changed or taken away needs no new score. The column `from_manifest` says what was filled.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.archive.manifest_file import Manifest
from batch.archive.manifest_match import Fate, Matched
from batch.archive.manifest_values import Facts
from batch.core.privacy import LISTED_LESION, IdentifierPolicy, Identifiers
from batch.reports import parquet
from batch.reports.schema import EXIF_DATE, FROM_MANIFEST
from batch.run.memory import keys_of

_TEXTS = (
    "patient_id", "issuer_of_patient_id", "patient_pseudonym", "lesion_id", "anatomic_region",
    "laterality", "acquisition_datetime", "manufacturer_model_name", "sex", "fitzpatrick_skin_type",
)  # fmt: skip
FILLED = (*_TEXTS, "age")
"""Columns that a table can fill."""

_PATIENT = ("patient_id", "issuer_of_patient_id", "patient_pseudonym")
_COMPARED = ("anatomic_region", "laterality", "manufacturer_model_name")
_OLDEST_TOLD = 90.0
"""A greater age tells who somebody is; HIPAA's safe harbour stops here (164.514(b)(2))."""

_MOST_EXAMPLES = 20
_UID = r"^[0-9.]+$"


def published_facts(facts: Facts, policy: IdentifierPolicy) -> dict[str, str | float | None]:
    """The cells that a report may hold, under the rules for DICOM's attributes.

    Patient and lesion are as in `IdentifierPolicy`. Sex, age and skin type are left out with
    identifiers `none`. A birth year is never written.
    """
    is_full, is_none = (policy.level == level for level in (Identifiers.FULL, Identifiers.NONE))
    named = policy.apply(
        {
            "tracking_uid": None, "tracking_id": None, "patient_id": facts.patient,
            "issuer_of_patient_id": facts.issuer if facts.patient else None,
            "accession_number": None,
        }
    )  # fmt: skip
    age = facts.age if facts.age is None or is_full else min(facts.age, _OLDEST_TOLD)
    return {
        **{name: named[name] for name in _PATIENT},
        "lesion_id": policy.listed_lesion(facts.issuer, facts.patient, facts.lesion),
        "anatomic_region": facts.site,
        "laterality": facts.laterality,
        "acquisition_datetime": facts.acquired,
        "manufacturer_model_name": facts.device,
        "sex": None if is_none else facts.sex,
        "fitzpatrick_skin_type": None if is_none else facts.skin_type,
        "age": None if is_none else age,
        "birth_year": None if is_none or facts.age is not None else facts.birth_year,
        "lesion": facts.lesion if is_full else None,
    }


class ListedFacts:
    """What tonight's tables say of the images, ready to be filled into tables of the reports."""

    def __init__(self, matched: Matched, policy: IdentifierPolicy) -> None:
        self._policy = policy
        self._keys = pa.array(map(os.fsencode, matched.facts), pa.binary())
        cells = self.published = [
            published_facts(facts, policy) for facts in matched.facts.values()
        ]
        types = dict.fromkeys((*_TEXTS, "lesion"), pa.string()) | dict.fromkeys(
            ("age", "birth_year"), pa.float64()
        )
        self._cells = {
            name: pa.array([cell[name] for cell in cells], type_) for name, type_ in types.items()
        }
        self.contradictions: Counter[str] = Counter()
        self.filled: Counter[str] = Counter()

    def fill(self, rows: pa.Table, is_counted: bool = False) -> pa.Table:
        """Fill rows of `predictions`, `current`, `alerts` or `unscored`.

        Args:
            rows: they may hold what an earlier table filled.
            is_counted: add to `filled` and `contradictions`.
        """
        rows = emptied(rows)
        if not len(self._keys):
            return rows
        index = pc.index_in(keys_of(rows), value_set=self._keys)
        columns = {name: cells.take(_flat(index)) for name, cells in self._cells.items()}
        is_other = self._other_patient(rows, columns)
        contradictions = {"patient": is_other}
        for name in _COMPARED:
            if name in rows.column_names:
                contradictions[name] = _differ(rows[name], columns[name])
        if "acquisition_datetime" in rows.column_names:
            contradictions["acquisition_datetime"] = _dates_differ(_own_date(rows), columns)
        contradictions["lesion_id"] = _lesions_differ(rows["lesion_id"], columns["lesion"])
        rows, masks = self._filled(rows, columns, is_other)
        if is_counted:
            for name, mask in contradictions.items():
                if count := int(mask.sum()):
                    self.contradictions[name] += count
            for name, mask in masks.items():
                if count := int(mask.sum()):
                    self.filled[name] += count
        return rows

    def _other_patient(self, rows: pa.Table, columns: Mapping[str, pa.Array]) -> np.ndarray:
        """(rows,) bool, whether the file itself names another patient than the table."""
        other = np.zeros(len(rows), bool)
        for name in ("patient_id", "patient_pseudonym"):
            other |= _mask(pc.not_equal(rows[name], columns[name]))
        issuers = pc.not_equal(rows["issuer_of_patient_id"], columns["issuer_of_patient_id"])
        return other | _mask(pc.and_(pc.is_valid(rows["patient_id"]), issuers))

    def _filled(
        self, rows: pa.Table, columns: Mapping[str, pa.Array], is_other: np.ndarray
    ) -> tuple[pa.Table, dict[str, np.ndarray]]:
        has_patient = np.zeros(len(rows), bool)
        for name in _PATIENT:
            has_patient |= _mask(pc.is_valid(rows[name]))
        masks: dict[str, np.ndarray] = {}
        for name in (*_TEXTS, "age"):
            if name not in rows.column_names:
                continue
            own: Any = _own_date(rows) if name == "acquisition_datetime" else rows[name]
            values: Any = columns[name]
            if name == "age":
                values = pc.coalesce(values, self._ages(rows, columns["birth_year"]))
            taken = _mask(pc.is_valid(values)) & _mask(pc.is_null(own)) & ~is_other
            if name in _PATIENT:
                taken &= ~has_patient
            if taken.any():
                rows = parquet.with_column(
                    rows, name, pc.if_else(pa.array(taken), values, _flat(rows[name]))
                )
            masks[name] = taken
        names = _names_of(masks, len(rows))
        return parquet.with_column(rows, FROM_MANIFEST, names), masks

    def _ages(self, rows: pa.Table, birth_years: pa.Array) -> pa.Array:
        """Years from birth to the image, by the calendar year of both."""
        dates = _flat(rows["acquisition_datetime"])
        year = pc.cast(pc.utf8_slice_codeunits(dates, 0, 4), pa.float64())
        ages = pc.subtract(year, birth_years)
        possible = pc.and_(pc.greater_equal(ages, 0), pc.less_equal(ages, 130))
        ages = pc.if_else(possible, ages, None)
        if self._policy.level == Identifiers.FULL:
            return ages
        return pc.if_else(pc.greater(ages, _OLDEST_TOLD), _OLDEST_TOLD, ages)


def emptied(rows: pa.Table) -> pa.Table:
    """The rows without what a table filled: as they were when their file was read."""
    listed = _flat(rows[FROM_MANIFEST])
    if listed.null_count == len(listed):
        return rows
    parents = pc.list_parent_indices(listed).to_numpy()
    names = pc.list_flatten(listed)
    for name in pc.unique(names).to_pylist():
        if name not in rows.column_names:
            continue
        is_filled = np.zeros(len(rows), bool)
        is_filled[parents[_mask(pc.equal(names, name))]] = True
        own: Any = _flat(rows[EXIF_DATE]) if name == "acquisition_datetime" else None
        if own is None:
            own = pa.nulls(len(rows), rows[name].type)
        rows = parquet.with_column(
            rows, name, pc.if_else(pa.array(is_filled), own, _flat(rows[name]))
        )
    return parquet.with_column(rows, FROM_MANIFEST, pa.nulls(len(rows), listed.type))


def manifest_record(
    manifest: Manifest, matched: Matched, listed: ListedFacts, policy: IdentifierPolicy
) -> dict[str, Any]:
    """The account of tables, rows and images for run.json; rows are named by file and number."""

    def places(rows: Iterable[tuple[int, int]]) -> list[str]:
        return [manifest.label(*place) for place in list(rows)[:_MOST_EXAMPLES]]

    fates = {fate.value: matched.fates.get(fate, []) for fate in Fate}
    cells = list(zip(matched.facts.values(), listed.published, strict=True))
    withheld = {
        "patient": sum(
            facts.patient is not None
            and all(cell[name] is None for name in ("patient_id", "patient_pseudonym"))
            for facts, cell in cells
        ),
        "lesion": sum(
            facts.lesion is not None and cell["lesion_id"] is None for facts, cell in cells
        ),
        "person": sum(
            policy.level == Identifiers.NONE
            and any(
                v is not None for v in (facts.sex, facts.age, facts.birth_year, facts.skin_type)
            )
            for facts, _ in cells
        ),
    }
    return {
        "files": [
            {**source._asdict(), "columns": dict(source.columns)} for source in manifest.sources
        ],
        "rows": {"found": sum(source.rows for source in manifest.sources)}
        | {name: len(rows) for name, rows in fates.items()},
        "images": {
            "found": matched.images,
            "with_row": len(matched.facts),
            "without_row": matched.images - len(matched.facts),
        },
        "filled": dict(sorted(listed.filled.items())),
        "contradictions": dict(sorted(listed.contradictions.items())),
        "not_understood": {word: len(rows) for word, rows in manifest.not_understood.items()},
        "withheld": {name: count for name, count in withheld.items() if count},
        "examples": {
            name: places(rows) for name, rows in fates.items() if rows and name != Fate.USED
        }
        | {
            f"not_understood:{word}": places(rows) for word, rows in manifest.not_understood.items()
        },
    }


def _own_date(rows: pa.Table) -> Any:
    """The date that a file says of itself; a camera's clock is not better than a table."""
    date, exif = _flat(rows["acquisition_datetime"]), _flat(rows[EXIF_DATE])
    is_exif = pc.fill_null(pc.equal(date, exif), False)
    return pc.if_else(is_exif, pa.scalar(None, pa.string()), date)


def _differ(own: Any, said: pa.Array) -> np.ndarray:
    return _mask(pc.not_equal(pc.utf8_lower(_flat(own)), pc.utf8_lower(said)))


def _dates_differ(own: Any, columns: Mapping[str, pa.Array]) -> np.ndarray:
    """(rows,) bool, whether two dates differ to the precision of the coarser one, a day at most."""
    said = columns["acquisition_datetime"]
    differs = _mask(pc.not_equal(own, said))
    for row in np.flatnonzero(differs):
        mine, theirs = own[int(row)].as_py()[:10], said[int(row)].as_py()[:10]
        shorter = min(len(mine), len(theirs))
        differs[row] = mine[:shorter] != theirs[:shorter]
    return differs


def _lesions_differ(own: Any, said: pa.Array) -> np.ndarray:
    """(rows,) bool. A UID or a pseudonym cannot be compared with a table's name of a lesion."""
    own = _flat(own)
    comparable = pc.invert(
        pc.or_(pc.match_substring_regex(own, _UID), pc.starts_with(own, LISTED_LESION))
    )
    return _mask(pc.and_(comparable, pc.not_equal(own, said)))


def _names_of(masks: Mapping[str, np.ndarray], count: int) -> pa.Array:
    """(count,) list of the columns whose mask is set; null where there is none."""
    codes = np.zeros(count, np.int64)
    for bit, mask in enumerate(masks.values()):
        codes |= mask.astype(np.int64) << bit
    distinct, index = np.unique(codes, return_inverse=True)
    names = [
        [name for bit, name in enumerate(masks) if code >> bit & 1] or None
        for code in distinct.tolist()
    ]
    return pa.array(names, pa.list_(pa.string())).take(pa.array(index.reshape(-1)))


def _flat(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _mask(values: Any) -> np.ndarray:
    """An Arrow boolean array as (n,) bool; null is False."""
    return np.asarray(pc.fill_null(_flat(values), False).to_numpy(zero_copy_only=False), dtype=bool)
