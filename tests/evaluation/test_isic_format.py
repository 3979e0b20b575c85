"""The challenges' format: what the public scorer reads, and what cannot be said in it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from batch.core.errors import UsageError
from batch.evaluation.isic_format import FORMATS, code_of, codes_of, isic_csv
from batch.training.recipes import ISIC9_CLASSES
from tests.tools.public_scorer import EIGHT, NINE

PUBLIC = json.loads((Path(__file__).parent / "public_scores.json").read_text())


@pytest.mark.parametrize("name", PUBLIC["cases"])
def test_what_is_exported_is_what_the_public_scorer_took(name):
    """The figures in test_measures are of this text: the scorer read it and refused nothing."""
    case = PUBLIC["cases"][name]
    named = [dict(zip(case["class_names"], row, strict=True)) for row in case["scores"]]
    assert isic_csv(case["images"], named, case["year"]) == case["export"]


def test_the_nine_classes_are_those_of_the_bundled_model():
    assert tuple(ISIC9_CLASSES) == NINE


@pytest.mark.parametrize(
    ("name", "in_2018", "in_2019"),
    [
        ("melanoma", "MEL", "MEL"), ("nevus", "NV", "NV"), ("basal cell carcinoma", "BCC", "BCC"),
        ("actinic keratosis", "AKIEC", "AK"), ("squamous cell carcinoma", "AKIEC", "SCC"),
        ("benign keratosis", "BKL", "BKL"), ("pigmented benign keratosis", "BKL", "BKL"),
        ("seborrheic keratosis", "BKL", "BKL"), ("dermatofibroma", "DF", "DF"),
        ("vascular lesion", "VASC", "VASC"), ("Melanoma ", "MEL", "MEL"), ("mel", "MEL", "MEL"),
        ("AKIEC", "AKIEC", "AK"), ("benign", None, None), ("", None, None),
    ],
)  # fmt: skip
def test_classes_have_codes_by_name(name, in_2018, in_2019):
    assert (code_of(name, "2018"), code_of(name, "2019")) == (in_2018, in_2019)


@pytest.mark.parametrize("year", FORMATS)
@pytest.mark.parametrize("class_names", [EIGHT, NINE])
def test_every_class_of_our_models_has_a_column(class_names, year):
    codes = set(codes_of(class_names, year).values())
    assert codes == set(FORMATS[year]) - {"UNK"}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_classes_of_one_code_add_up():
    scores = dict.fromkeys(NINE, 0.0)
    scores |= {"pigmented benign keratosis": 0.25, "seborrheic keratosis": 0.5, "melanoma": 0.25}
    (row,) = rows_of(isic_csv(["a"], [scores]))
    assert {code: float(row[code]) for code in FORMATS["2019"] if row[code] != "0.0"} == {
        "BKL": 0.75, "MEL": 0.25,
    }  # fmt: skip


def test_a_sum_never_exceeds_one():
    """The scorer refuses a value above 1, be it by the last bit: 0.7 + 0.2 + 0.1 + ... may be."""
    parts = {"pigmented benign keratosis": 1.0, "seborrheic keratosis": 2.0**-52}
    (row,) = rows_of(isic_csv(["a"], [parts]))
    assert float(row["BKL"]) == 1.0


def test_columns_without_a_class_are_zero():
    (row,) = rows_of(isic_csv(["a"], [{"melanoma": 0.5, "nevus": 0.5}], "2018"))
    assert list(row) == ["image", *FORMATS["2018"]]
    assert {row[code] for code in ("BCC", "AKIEC", "BKL", "DF", "VASC")} == {"0.0"}


def test_scores_are_written_in_full():
    (row,) = rows_of(isic_csv(["a"], [{"melanoma": 0.1 + 0.2}]))
    assert float(row["MEL"]) == 0.1 + 0.2


def test_a_class_without_a_code_is_refused():
    with pytest.raises(UsageError, match=r"classes \['benign'\] have no code .*; allowed: actinic"):
        isic_csv(["a"], [{"melanoma": 0.5, "benign": 0.5}])


def test_two_images_of_one_name_are_refused():
    with pytest.raises(UsageError, match="e.g. 'a'"):
        isic_csv(["a", "b", "a"], [{"melanoma": 1.0}] * 3)
