"""What a label is read as; whatever may be guessed wrongly is refused with what was found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


CLEAR_WORDS = (
    "Melanoma", "MEL", "mel", "melanoma in situ", "malignant melanoma", "Melanoma, NOS",
    "lentigo maligna", "lentigo-maligna melanoma", "amelanotic melanoma", "Melanom",
    "Malignes Melanom", "Noduläres malignes Melanom", "nodulaeres Melanom", "C43.5", "c43",
    "C43.-", "C43.9-", "C43.59", "ICD-10 C43.5", "ICD10:D03.9", "C43.5G", "C43.5 G", "D03.9",
    "D03", "8720/3", "8720/2", "M8742/2", "M-8743/3", "ICD-O-3: 8721/3", "8720/32",
    "melanoma=1", "melanoma=Ja", "melanoma=TRUE", "melanoma=1,0",
)  # fmt: skip
MELANOMA_WORDS = (
    "MM", "LMM", "SSM", "ICD C43.5", "nevus vs melanoma", "C43.5V", "C43.5 A", "D03.9 Z",
    "C43.5 Malignant melanoma", "C43.5?", "8720/1", "8720/6", "8720/9", "8720/4", "8000/3",
    "melanoma?", "V.a. Melanom", "Melanom möglich", "MEL+NV", "melanoma metastasis", "C79.2",
    "D48.5", "atypical", "atypisch", "suspicious", "verdächtig", "melanocytic", "melanozytär",
    "melanocytic lesion", "malignant", "bösartig", "melanoma=2", "melanoma=0.5", "Z12.8",
)  # fmt: skip
UNKNOWN_WORDS = (
    "True", "FALSE", "yes", "no", "Y", "1", "0", "0.0", "1,0", "2", "positive", "372244006", "-",
    "malignant", "Malign", "unknown", "UNK", "None", "indeterminate", "lentigo", "AK/SCC", "melanoma=maybe",
    "suspicious", "foo", "?",
)  # fmt: skip


@pytest.mark.parametrize("word", CLEAR_WORDS)
@pytest.mark.parametrize("vocabulary", [EIGHT, NINE, TWO])
def test_what_means_melanoma_and_nothing_else(vocabulary, word):
    assert vocabulary.meaning(word) == ("melanoma", "")


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("D22.5", "nevus"), ("D22", "nevus"), ("8720/0", "nevus"), ("8727/0", "nevus"),
        ("Nävuszellnävus", "nevus"), ("Naevuszellnaevus", "nevus"),
        ("dysplastischer Nävus", "nevus"), ("Basalzellkarzinom", "basal cell carcinoma"),
        ("8090/3", "basal cell carcinoma"), ("8070/3", "squamous cell carcinoma"),
        ("Plattenepithelkarzinom", "squamous cell carcinoma"), ("L57.0", "actinic keratosis"),
        ("aktinische Keratose", "actinic keratosis"), ("L82", "benign keratosis"),
        ("seborrhoische Keratose", "benign keratosis"), ("Dermatofibrom", "dermatofibroma"),
        ("8832/0", "dermatofibroma"), ("Hämangiom", "vascular lesion"), ("D18.01", "vascular lesion"),
        ("C44.3", NOT_MELANOMA), ("D04.3", NOT_MELANOMA), ("D23.9", NOT_MELANOMA),
        ("L81.4", NOT_MELANOMA), ("8140/3", NOT_MELANOMA), ("kein Melanom", NOT_MELANOMA),
        ("gutartig", NOT_MELANOMA), ("melanoma=0", NOT_MELANOMA), ("melanoma=nein", NOT_MELANOMA),
    ],
)  # fmt: skip
def test_codes_and_german_words_of_other_diagnoses(word, meaning):
    assert EIGHT.meaning(word) == (meaning, "")
    assert TWO.meaning(word) == ("not melanoma", "")


@pytest.mark.parametrize("word", ["C44.3", "D04.9", "8090/3", "8140/3", "C43.5", "melanoma=1"])
def test_a_model_of_malignancy_takes_no_code_for_something_else(word):
    assert MALIGNANT.meaning(word)[0] is None


@pytest.mark.parametrize("number", range(8000, 9000, 7))
def test_the_behaviour_digit_decides(number):
    meanings = {digit: EIGHT.meaning(f"{number}/{digit}")[0] for digit in range(10)}
    assert all(meanings[digit] is None for digit in (1, 4, 5, 6, 7, 8, 9))
    melanocytic = 8720 <= number < 8800
    if number >= 8010:
        assert (meanings[3] == "melanoma") == (meanings[2] == "melanoma") == melanocytic
        assert meanings[0] not in ("melanoma", None)


@pytest.mark.parametrize(
    ("positive", "word", "meaning"),
    [
        (["1"], "1", "melanoma"), (["1"], "0", NOT_MELANOMA), (["1"], "0.0", NOT_MELANOMA),
        (["ja"], "Nein", NOT_MELANOMA), (["MM", "SSM"], "ssm", "melanoma"),
        (["MM"], "0", None), (["1"], "2", None), (["B"], "A", None), (["MM"], "NV", "nevus"),
    ],
)  # fmt: skip
def test_a_positive_value_is_melanoma_and_says_nothing_of_others(positive, word, meaning):
    vocabulary = Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", positive=positive)
    assert vocabulary.meaning(word)[0] == meaning


def test_a_positive_value_that_is_mapped_to_something_else_is_refused():
    with pytest.raises(UsageError, match="--positive: 'x' is given to --map-label as 'nevus'"):
        Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", ["x=nevus"], ["x"])
    with pytest.raises(UsageError, match="--positive: found ''"):
        Vocabulary.of(DERMOSCOPY_CLASSES, "melanoma", positive=[" "])


@given(st.text(max_size=12))
def test_no_word_is_negative_unless_it_says_so(word):
    meaning, _ = EIGHT.meaning(f"melanom {word} ?")
    assert meaning is None


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
        (["MM=melanomas"], "found 'melanomas' after '='; allowed: the model's classes, 'actinic"),
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
