"""Rows are filled from a hospital's table, emptied again, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.archive.manifest_match import Matched
from batch.archive.manifest_values import Facts
from batch.core.privacy import IdentifierPolicy, Identifiers
from batch.reports import parquet, rows
from batch.reports.local import LocalReports
from batch.reports.schema import FROM_MANIFEST, SCHEMA_VERSION
from batch.run.listed_facts import FILLED, ListedFacts, emptied, published_facts
from batch.run.merge import QueueProgress, gather_night
from tests.support.archives import prediction
from tests.support.stored_nights import (
    at,
    dead_run,
    failed,
    image,
    plan_of,
    reused,
    rows_of,
    run_segments,
)
from tests.support.stored_nights import facts as run_facts

FULL = IdentifierPolicy(Identifiers.FULL)
UIDS = IdentifierPolicy(Identifiers.UIDS)
KEYED = IdentifierPolicy(Identifiers.UIDS, b"k" * 32)
NONE = IdentifierPolicy(Identifiers.NONE)
ALL = Facts(
    "P1", "H", "L1", "back", "L", "2025-12-31", "D1", "female", 93.0, 1932.0, "II"
)  # fmt: skip


def table(**by_path):
    made = run_facts(1)
    return parquet.to_arrow(
        "current",
        [rows.prediction_row(prediction(0.3, path, **own), made) for path, own in by_path.items()],
    )


def filled(current, policy=FULL, **facts):
    return ListedFacts(Matched(facts, {}, len(current)), policy).fill(current)


def cells(row, *names):
    return tuple(row[name] for name in names)


@pytest.mark.parametrize(
    ("policy", "patient", "has_pseudonym", "lesion", "person"),
    [
        (FULL, "P1", False, "MANIFEST:H/P1/L1", ("female", 93.0, "II")),
        (UIDS, None, False, None, ("female", 90.0, "II")),
        (KEYED, None, True, "pseudonym", ("female", 90.0, "II")),
        (NONE, None, False, None, (None, None, None)),
        (replace(NONE, key=b"k" * 32), None, True, None, (None, None, None)),
        (replace(FULL, key=b"k" * 32), "P1", True, "MANIFEST:H/P1/L1", ("female", 93.0, "II")),
    ],
)
def test_identity_follows_the_rules_for_dicom(policy, patient, has_pseudonym, lesion, person):
    (row,) = filled(table(a={}), policy, a=ALL).to_pylist()
    assert cells(row, "patient_id", "sex", "age", "fitzpatrick_skin_type") == (patient, *person)
    own = policy.apply(
        {
            "tracking_uid": None, "tracking_id": None, "patient_id": "P1",
            "issuer_of_patient_id": "H", "accession_number": None,
        }
    )  # fmt: skip
    assert row["patient_pseudonym"] == own["patient_pseudonym"]
    assert (row["patient_pseudonym"] is not None) == has_pseudonym
    if lesion == "pseudonym":
        assert row["lesion_id"].startswith("MANIFEST:") and len(row["lesion_id"]) == 9 + 64
        assert "L1" not in row["lesion_id"] and "P1" not in row["lesion_id"]
    else:
        assert row["lesion_id"] == lesion
    assert cells(row, "anatomic_region", "laterality", "acquisition_datetime") == (
        "back", "L", "2025-12-31",
    )  # fmt: skip
    assert row["manufacturer_model_name"] == "D1"


def test_lesions_of_two_patients_are_two():
    found = filled(
        table(a={}, b={}, c={}), KEYED,
        a=Facts("P1", lesion="1"), b=Facts("P2", lesion="1"), c=Facts("P1", lesion="1"),
    )  # fmt: skip
    first, second, third = found["lesion_id"].to_pylist()
    assert first != second and first == third


@pytest.mark.parametrize(
    ("born", "acquired", "policy", "age"),
    [
        (1960.0, "2025-12-31", UIDS, 65.0),
        (1932.0, "2025", UIDS, 90.0),
        (1932.0, "2025", FULL, 93.0),
        (2026.0, "2025-12-31", UIDS, None),
        (1893.0, "2025-12-31", FULL, None),
        (1960.0, None, UIDS, None),
        (1960.0, "2025-12-31", NONE, None),
    ],
)
def test_an_age_is_made_of_the_birth_year_which_is_not_written(born, acquired, policy, age):
    said = Facts(birth_year=born, acquired=acquired)
    (row,) = filled(table(a={}), policy, a=said).to_pylist()
    assert row["age"] == age
    assert not any(value == born or value == str(int(born)) for value in row.values())
    assert "birth_year" not in row


def test_what_the_file_says_wins_and_is_counted():
    current = table(
        a={"laterality": "R", "acquisition_datetime": "2025-12-31T08:00:00", "patient_id": "P1",
           "issuer_of_patient_id": "H", "manufacturer_model_name": "d1", "file_format": "dicom"},
        b={"laterality": "R", "acquisition_datetime": "2024-01-01", "lesion_id": "9"},
    )  # fmt: skip
    listed = ListedFacts(Matched({"a": ALL, "b": ALL}, {}, 2), FULL)
    first, second = listed.fill(current, is_counted=True).to_pylist()
    assert first["laterality"] == second["laterality"] == "R"
    assert first["acquisition_datetime"] == "2025-12-31T08:00:00"
    assert second["acquisition_datetime"] == "2024-01-01" and second["lesion_id"] == "9"
    assert listed.contradictions == {"laterality": 2, "acquisition_datetime": 1}
    assert listed.filled["sex"] == 2 and listed.filled["lesion_id"] == 1


def test_a_row_on_another_patient_fills_nothing():
    current = table(a={"patient_id": "P2"}, b={"patient_pseudonym": "x"})
    listed = ListedFacts(Matched({"a": ALL, "b": ALL}, {}, 2), replace(FULL, key=b"k" * 32))
    found = listed.fill(current, is_counted=True)
    assert found.equals(current)
    assert listed.contradictions["patient"] == 2 and not +listed.filled


def test_a_tables_date_is_better_than_a_cameras_clock_and_leaves_again():
    exif = {"acquisition_datetime": "2020-01-01T00:00:00"}
    exif["exif_datetime_original"] = exif["acquisition_datetime"]
    current = table(a=exif, b=exif)
    found = filled(current, a=Facts(acquired="2025-12-31"), b=Facts(sex="male"))
    assert found["acquisition_datetime"].to_pylist() == ["2025-12-31", "2020-01-01T00:00:00"]
    assert found[FROM_MANIFEST].to_pylist() == [["acquisition_datetime"], ["sex"]]
    assert emptied(found).equals(current)


def listed_night(reports, found, tonight, read, **said):
    """A night with a table; rows of every table by path."""
    there = LocalReports(reports)
    plan = plan_of(reports, found, tonight)
    staging = there.start(tonight.run_id)
    done, names = run_segments(staging, plan, tonight, read, 1)
    listed = ListedFacts(Matched(said, {}, len(found)), FULL)
    gather_night(staging, plan, QueueProgress(done), tonight, lambda files: listed)
    folder = there.publish(staging, {"schema_version": SCHEMA_VERSION})
    there.discard_work()
    tables = {
        name: rows_of(folder / name)
        for name in ("predictions", "current", "unscored", "alerts.parquet")
    }
    return tables, names, listed


def patients(found):
    return {row["path"]: row["patient_id"] for row in found}


def test_a_run_that_goes_on_takes_the_table_of_its_own_start_for_all_rows(tmp_path):
    results = [image(at("a"), 0.9), image(at("b"), 0.1), failed(at("u"))]
    dead_run(tmp_path, [results], run_facts(1))
    found, says = [at(path) for path in "abcu"], Facts("NEW")
    tables, names, listed = listed_night(
        tmp_path, found, run_facts(2), lambda where, _: image(where, 0.8), a=says, c=says, u=says
    )
    assert names == ("c",)
    assert patients(tables["current"]) == {"a": "NEW", "b": None, "c": "NEW"}
    assert patients(tables["predictions"]) == patients(tables["current"])
    assert patients(tables["alerts.parquet"]) == {"a": "NEW", "c": "NEW"}
    assert patients(tables["unscored"]) == {"u": "NEW"}
    assert listed.filled["patient_id"] == 3  # each image once


def test_a_copy_has_the_table_of_its_own_path(tmp_path):
    first = [at("a"), at("b")]
    listed_night(
        tmp_path, first, run_facts(1), lambda where, _: image(where, 0.9, content=where.path),
        a=Facts("P1"), b=Facts("P2"),
    )  # fmt: skip
    found = [*first, at("copy"), at("other")]
    tables, names, _ = listed_night(
        tmp_path, found, run_facts(2, threshold=0.1), lambda where, known: reused(where, "a"),
        a=Facts("P3"), copy=Facts("P4"),
    )  # fmt: skip
    assert names == ("copy", "other")
    assert patients(tables["current"]) == {"a": "P3", "b": None, "copy": "P4", "other": None}


TEXT = st.sampled_from([None, "x", "y"])
SAID = st.builds(
    Facts, patient=TEXT, issuer=TEXT, lesion=TEXT, site=TEXT,
    laterality=st.sampled_from([None, "L", "R"]),
    acquired=st.sampled_from([None, "2025", "2025-12-31"]), device=TEXT,
    sex=st.sampled_from([None, "male"]), age=st.sampled_from([None, 95.0]),
    birth_year=st.sampled_from([None, 1990.0]), skin_type=st.sampled_from([None, "V"]),
)  # fmt: skip
OWN = st.fixed_dictionaries(
    {},
    optional={
        "patient_id": TEXT, "lesion_id": st.sampled_from([None, "1.2", "x"]),
        "anatomic_region": TEXT, "laterality": st.sampled_from([None, "L"]),
        "acquisition_datetime": st.sampled_from([None, "2024-05-01"]),
        "exif_datetime_original": st.sampled_from([None, "2024-05-01"]),
        "manufacturer_model_name": TEXT, "patient_pseudonym": TEXT,
    },
)  # fmt: skip
NIGHT = st.dictionaries(st.sampled_from("abcd"), SAID)


@given(
    st.lists(OWN, min_size=4, max_size=4), NIGHT, NIGHT,
    st.sampled_from([FULL, UIDS, KEYED, NONE]), st.sampled_from([FULL, UIDS, KEYED, NONE]),
)  # fmt: skip
def test_a_second_table_gives_what_it_alone_would_give(owns, first, second, before, now):
    # an EXIF date is a photograph's acquisition date, as the reader makes it
    owns = [
        own | {"acquisition_datetime": own["exif_datetime_original"]}
        if own.get("exif_datetime_original")
        else own
        for own in owns
    ]
    current = table(**dict(zip("abcd", owns, strict=True)))
    once = filled(current, now, **second)
    assert filled(filled(current, before, **first), now, **second).equals(once)
    assert filled(once, now).equals(current)
    for old, new in zip(current.to_pylist(), once.to_pylist(), strict=True):
        changed = {name for name in new if new[name] != old[name]} - {FROM_MANIFEST}
        assert changed == set(new[FROM_MANIFEST] or ()) <= set(FILLED)
        for name in changed - {"acquisition_datetime"}:
            assert old[name] is None
        said = published_facts(second.get(new["path"], Facts()), now)
        assert all(new[name] == said[name] for name in changed - {"age"})
