"""Include and exclude rules: which DICOM objects a hospital wants scored."""

from __future__ import annotations

import pytest

from batch.archive.local import LocalArchive
from batch.archive.reader import read_file
from batch.core.errors import NonImageReason, NotAnImage, UsageError
from batch.core.records import FileState, ModelInput
from batch.core.rules import ATTRIBUTES, ReadingRules, Rule, Selection, parse_rules
from batch.demo.dicom_writer import jpeg_bytes
from batch.demo.lesions import lesion_image
from batch.images.dicom_kinds import DERMOSCOPIC_PHOTOGRAPHY
from tests.support.archives import dermoscopic, dicom_bytes, locate

PIXELS = lesion_image(1, 40, 40)
VALUES = {
    "sop_class_uid": (DERMOSCOPIC_PHOTOGRAPHY,),
    "modality": ("DMS",),
    "image_type": ("ORIGINAL", "PRIMARY", "Overview"),
    "body_part_examined": (),
}


def selection(include=(), exclude=()):
    return Selection(parse_rules("--include", include), parse_rules("--exclude", exclude))


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("modality=XC", Rule("modality", "xc")),
        ("modality= XC ", Rule("modality", "xc")),
        ("sop_class_uid=1.2.3", Rule("sop_class_uid", "1.2.3")),
        ("image_type=ORIGINAL", Rule("image_type", "original")),
        ("body_part_examined=UPPER BACK", Rule("body_part_examined", "upper back")),
        ("image_type=a=b", Rule("image_type", "a=b")),
    ],
)
def test_a_word_is_a_rule(word, rule):
    assert parse_rules("--include", [word]) == (rule,)


def test_no_words_are_no_rules():
    assert parse_rules("--include", []) == ()


@pytest.mark.parametrize(
    "word", ["", "=", "=XC", "modality", "modality=", "modality= ", "Modality=XC", "patient_id=1"]
)
def test_a_word_that_is_no_rule_is_refused_with_the_attributes_that_are(word):
    with pytest.raises(UsageError) as refusal:
        parse_rules("--exclude", ["modality=XC", word])
    message = str(refusal.value)
    assert message.startswith(f"--exclude: found {word!r}; allowed: ATTRIBUTE=VALUE")
    assert all(name in message for name in ATTRIBUTES)


@pytest.mark.parametrize(
    ("include", "exclude"),
    [
        ([], []),
        (["modality=DMS"], []),
        (["modality=dms"], []),
        (["image_type=primary"], []),  # any value of several
        (["image_type=OVERVIEW"], []),
        (["modality=XC", "modality=DMS"], []),  # one include rule is enough
        ([f"sop_class_uid={DERMOSCOPIC_PHOTOGRAPHY}"], []),
        ([], ["modality=XC"]),
        ([], ["modality=DM"]),  # a whole value, not its beginning
        ([], ["body_part_examined=BACK"]),  # the object does not say
        (["modality=DMS"], ["image_type=DERIVED"]),
    ],
)
def test_what_the_rules_want_passes(include, exclude):
    selection(include, exclude).check(VALUES)


@pytest.mark.parametrize(
    ("include", "exclude", "detail"),
    [
        (["modality=XC"], [], "no include rule matches"),
        (["modality=DM"], [], "no include rule matches"),
        (["body_part_examined=BACK"], [], "no include rule matches"),  # the object does not say
        ([], ["modality=dms"], "exclude modality=dms"),
        ([], ["image_type=overview"], "exclude image_type=overview"),
        (["modality=DMS"], ["modality=DMS"], "exclude modality=dms"),  # exclude wins
        (["modality=DMS"], ["modality=XC", "image_type=PRIMARY"], "exclude image_type=primary"),
    ],
)
def test_what_the_rules_do_not_want_is_stated_as_excluded(include, exclude, detail):
    with pytest.raises(NotAnImage) as stated:
        selection(include, exclude).check(VALUES)
    assert (stated.value.reason, stated.value.detail) == (NonImageReason.EXCLUDED_BY_RULE, detail)


@pytest.mark.parametrize("values", [{}, dict.fromkeys(ATTRIBUTES, ())])
def test_without_attributes_no_exclude_rule_matches_and_no_include_rule_does(values):
    selection(exclude=[f"{name}=x" for name in ATTRIBUTES]).check(values)
    with pytest.raises(NotAnImage):
        selection(include=[f"{name}=x" for name in ATTRIBUTES]).check(values)


def read(path, **rules):
    location = locate(path.parent, path)
    return read_file(
        LocalArchive(path.parent), location, ReadingRules(selection=selection(**rules))
    )


@pytest.mark.parametrize(
    ("changes", "rules", "excluded"),
    [
        ({}, {"exclude": ["modality=dms"]}, True),
        ({}, {"include": ["modality=xc"]}, True),
        ({}, {"exclude": ["image_type=primary"]}, True),
        ({"BodyPartExamined": "SCALP"}, {"exclude": ["body_part_examined=scalp"]}, True),
        ({}, {"exclude": [f"sop_class_uid={DERMOSCOPIC_PHOTOGRAPHY}"]}, True),
        ({}, {"include": ["modality=dms"], "exclude": ["modality=xc"]}, False),
        ({"Modality": None}, {"exclude": ["modality=dms"]}, False),
        ({"Modality": None}, {"include": ["modality=dms"]}, True),
    ],
)
def test_an_excluded_object_is_a_non_image_with_its_reason(tmp_path, changes, rules, excluded):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(dermoscopic(PIXELS, **changes)))
    reading, results = read(path, **rules)
    if excluded:
        assert (reading.state, reading.reason) == (FileState.NON_IMAGE, "excluded_by_rule")
        assert (reading.frames, results) == (0, ())
    else:
        assert [type(result) for result in results] == [ModelInput]


@pytest.mark.parametrize("rules", [{"include": ["modality=XC"]}, {"exclude": ["modality=DMS"]}])
def test_no_rule_touches_a_plain_file(tmp_path, rules):
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(PIXELS))
    _, results = read(tmp_path / "a.jpg", **rules)
    assert [type(result) for result in results] == [ModelInput]
