"""Values of a hospital's table: forms of several countries, and what cannot be read."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.archive.manifest_values import cell_text, head_of, value_of


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("acquired", "31.12.2025", "2025-12-31"),
        ("acquired", "1.2.2025 8:05", "2025-02-01T08:05"),
        ("acquired", "2025-12-31", "2025-12-31"),
        ("acquired", "2025-12-31T08:30:59", "2025-12-31T08:30:59"),
        ("acquired", "2025-12", "2025-12"),
        ("acquired", "2025", "2025"),
        ("acquired", "20251231", "2025-12-31"),
        ("acquired", "2025:12:31 08:30:00", "2025-12-31T08:30:00"),
        ("acquired", "29.02.2024", "2024-02-29"),
        ("age", "62,5", 62.5),
        ("age", "80.0", 80.0),
        ("age", "0", 0.0),
        ("age", "130", 130.0),
        ("birth_year", "1960", 1960.0),
        ("birth_year", "1960.0", 1960.0),
        ("birth_year", "31.12.1960", 1960.0),
        ("sex", "Weiblich", "female"),
        ("sex", "M", "male"),
        ("sex", "divers", "other"),
        ("laterality", "links", "L"),
        ("laterality", "R", "R"),
        ("laterality", "beidseitig", "B"),
        ("skin_type", "III", "III"),
        ("skin_type", "Typ 4", "IV"),
        ("skin_type", "6", "VI"),
        ("skin_type", "2.0", "II"),
        ("patient", "  4711 ", "4711"),
        ("site", "oberer Rücken", "oberer Rücken"),
        ("sex", "unknown", None),
        ("age", "", None),
        ("age", "NaN", None),
        ("site", "-", None),
    ],
)
def test_a_value_is_read(field, text, value):
    assert value_of(field, text) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("acquired", "30.02.2025"),
        ("acquired", "03/04/2025"),
        ("acquired", "1849-12-31"),
        ("acquired", "2025 08:30"),
        ("acquired", "412"),
        ("acquired", "31.12.2025 24:00"),
        ("age", "131"),
        ("age", "-1"),
        ("age", "1e3"),
        ("age", "sixty"),
        ("sex", "4"),
        ("laterality", "top"),
        ("skin_type", "0"),
        ("skin_type", "7"),
        ("skin_type", "IIII"),
        ("skin_type", "IVI"),
        ("patient", "x" * 201),
        ("lesion", "a\x1b[2J"),
        ("site", "two\nlines"),
    ],
)
def test_another_value_is_told_and_its_text_is_not(field, text):
    with pytest.raises(ValueError) as refusal:
        value_of(field, text)
    assert text not in str(refusal.value)


@given(st.dates(date(1850, 1, 1), date(2200, 12, 31)))
def test_the_forms_of_a_day_are_one(day):
    wanted = day.isoformat()
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%Y:%m:%d"):
        assert value_of("acquired", day.strftime(form)) == wanted


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for field in ("patient", "acquired", "age", "birth_year", "sex", "laterality", "skin_type"):
        try:
            value = value_of(field, text)
        except ValueError:
            continue
        assert value is None or value == value_of(field, text)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (12, "12"),
        (12.0, "12"),
        (62.5, "62.5"),
        (float("nan"), "nan"),
        (datetime(2025, 12, 31), "2025-12-31"),
        (datetime(2025, 12, 31, 8, 30), "2025-12-31T08:30:00"),
        (date(2025, 12, 31), "2025-12-31"),
        (b"P1", "P1"),
    ],
)
def test_a_typed_cell_is_written_as_in_a_csv(cell, text):
    assert cell_text(cell) == text


def test_heads_are_compared_without_case_and_hyphens():
    assert head_of(" Lesion-ID ") == head_of("lesion id") == "lesion_id"
