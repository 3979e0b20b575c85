"""What a label is read as; whatever may be guessed wrongly is refused with what was found."""

from __future__ import annotations

import pytest

from batch.core.errors import UsageError
from batch.evaluation.diagnosis_words import NOT_MELANOMA
from batch.evaluation.label_words import Vocabulary, read_labels_as
from batch.training.recipes import DERMOSCOPY_CLASSES, ISIC9_CLASSES

EIGHT = Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma")
NINE = Vocabulary.of(ISIC9_CLASSES, "melanoma")
TWO = Vocabulary.of(("melanoma", "not melanoma"), "melanoma")
MALIGNANT = Vocabulary.of(("benign", "malignant"), "malignant")


@pytest.mark.parametrize(
    ("vocabulary", "word", "meaning"),
    [
        (EIGHT, "melanoma", "melanoma"),
        (EIGHT, " melanoma\u00a0", "melanoma"),
        (EIGHT, "NV", "nevus"),
        (EIGHT, "nv", "nevus"),
        (EIGHT, " Nevus ", "nevus"),
        (EIGHT, "Naevus", "nevus"),
        (EIGHT, "melanocytic_nevus", "nevus"),
        (EIGHT, "BKL", "benign keratosis"),
        (EIGHT, "Seborrhoeic  Keratosis", "benign keratosis"),
        (EIGHT, "SK", "benign keratosis"),
        (EIGHT, "basal-cell carcinoma", "basal cell carcinoma"),
        (EIGHT, "AKIEC", "actinic keratosis"),
        (EIGHT, "AK", "actinic keratosis"),
        (EIGHT, "SCC", "squamous cell carcinoma"),
        (EIGHT, "DF", "dermatofibroma"),
        (EIGHT, "VASC", "vascular lesion"),
        (EIGHT, "haemangioma", "vascular lesion"),
        (NINE, "seborrheic_keratosis", "seborrheic keratosis"),
        (NINE, "BKL", "benign keratosis"),  # a diagnosis of two classes is none of them
        (NINE, "PBK", "pigmented benign keratosis"),
        (TWO, "NV", "not melanoma"),
        (TWO, "BCC", "not melanoma"),
        (TWO, "benign", "not melanoma"),
        (MALIGNANT, "malignant", "malignant"),
        (MALIGNANT, "NV", "benign"),
        (Vocabulary.of(("MEL", "NV", "BKL"), "MEL"), "nevus", "NV"),
        (Vocabulary.of(("MEL", "NV", "BKL"), "MEL"), "BCC", "basal cell carcinoma"),
        (Vocabulary.of(("melanoma", "nevus", "other"), "melanoma"), "Other", "other"),
        (Vocabulary.of(("melanoma", "nevus", "other"), "melanoma"), "benign", NOT_MELANOMA),
        (Vocabulary.of(("1", "0"), "1"), "0", "0"),
        *((EIGHT, word, NOT_MELANOMA) for word in
          ("other", "OTHER", "benign", "not melanoma", "No_melanoma", "non-melanoma")),
        *((EIGHT, word, "") for word in ("", "  ", "\ufeff", "NaN", "nan", "N/A", "#N/A", "null")),
    ],
)  # fmt: skip
def test_what_a_label_is_read_as(vocabulary, word, meaning):
    assert vocabulary.meaning(word)[0] == meaning


MELANOMA_WORDS = (
    "Melanoma", "MEL", "mel", "MM", "melanoma in situ", "malignant melanoma", "Melanoma, NOS",
    "lentigo maligna", "lentigo-maligna melanoma", "LMM", "SSM", "C43.5", "c43", "ICD C43.5",
    "D03.9", "amelanotic melanoma", "Melanom", "nevus vs melanoma",
)  # fmt: skip
UNKNOWN_WORDS = (
    "True", "FALSE", "yes", "no", "Y", "1", "0", "0.0", "1,0", "2", "positive", "372244006", "-",
    "malignant", "Malign", "unknown", "UNK", "None", "indeterminate", "lentigo", "AK/SCC", "D22.5",
    "suspicious", "foo", "?",
)  # fmt: skip


@pytest.mark.parametrize("word", MELANOMA_WORDS + UNKNOWN_WORDS)
@pytest.mark.parametrize("vocabulary", [EIGHT, NINE, TWO])
def test_what_may_not_be_guessed(vocabulary, word):
    assert vocabulary.meaning(word)[0] is None


@pytest.mark.parametrize("word", ["BCC", "SCC", "other", "not melanoma", "melanoma", "Malignant"])
def test_a_model_of_malignancy_takes_no_carcinoma_for_something_else(word):
    assert MALIGNANT.meaning(word)[0] is None


def test_a_second_class_that_is_a_melanoma_is_no_other():
    classes = ("melanoma", "melanoma in situ", "nevus")
    assert Vocabulary.of(classes, "melanoma").meaning("melanoma in situ")[0] is None
    stated = Vocabulary.of(classes, "melanoma", ["melanoma in situ=melanoma in situ"])
    assert stated.meaning("Melanoma in situ")[0] == "melanoma in situ"


@pytest.mark.parametrize(
    ("mapping", "word", "meaning"),
    [
        ("MM=melanoma", "mm", "melanoma"),
        ("MEL=Melanoma", "mel ", "melanoma"),
        ("True=melanoma", "TRUE", "melanoma"),
        ("0=not melanoma", "0", NOT_MELANOMA),
        ("naevus=nevus", "Naevus", "nevus"),
        ("mole=NV", "mole", "nevus"),
        ("unknown=", "Unknown", ""),
        ("a=b=nevus", "A=B", "nevus"),
        ("benign=nevus", "benign", "nevus"),  # what is stated wins
        ("malignant = melanoma", "malignant", "melanoma"),
    ],
)
def test_what_the_caller_states(mapping, word, meaning):
    assert Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", [mapping]).meaning(word)[0] == meaning


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        (["MM"], "allowed: LABEL=CLASS"),
        (["=nevus"], "allowed: LABEL=CLASS"),
        (["MM=melanom"], "found 'melanom' after '='; allowed: the model's classes, 'actinic"),
        (["MM=True"], "found 'True' after '='"),
        (["MM=nan"], "found 'nan' after '='"),
        (["MM=melanoma", "mm=nevus"], "given as 'melanoma' and as 'nevus'"),
    ],
)
def test_a_statement_that_says_nothing_is_refused(mappings, message):
    with pytest.raises(UsageError, match=message):
        Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", mappings)


def test_the_same_statement_twice_is_one():
    stated = Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", ["MM=melanoma", "mm=Melanoma"])
    assert stated.stated == {"mm": "melanoma"}


def test_a_refusal_tells_values_counts_and_the_remedy():
    words = ["MM"] * 40 + ["True"] * 20 + ["NV"] * 5 + ["foo"]
    with pytest.raises(UsageError) as refusal:
        read_labels_as(words, EIGHT)
    text = str(refusal.value)
    assert "61 of 66 rows" in text
    assert "'MM' 40 (a word for melanoma" in text
    assert "'True' 20 (a number or yes and no" in text
    assert "'foo' 1;" in text
    assert "--map-label MM=melanoma --map-label True=CLASS" in text
    assert "'NV'" not in text


def test_a_refusal_of_many_values_is_short():
    with pytest.raises(UsageError, match=r"and 88 more; allowed") as refusal:
        read_labels_as([f"code {n} " + "x" * 100 for n in range(100)], EIGHT)
    assert len(str(refusal.value)) < 1600


def test_what_is_refused_by_one_word_is_read_by_its_statement():
    stated = Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", ["C43.5=melanoma", "D22.5=nevus"])
    found = read_labels_as(["C43.5", "D22.5", "NV", ""], stated)
    assert found == {"C43.5": "melanoma", "D22.5": "nevus", "NV": "nevus", "": ""}
