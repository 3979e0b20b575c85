"""What a file may ask for: the words of --limit, and both sides of every bound on sizes."""

from __future__ import annotations

import dataclasses

import pytest

from batch.core.errors import FailureReason, ImageFailure, Stage, UsageError
from batch.core.rules import LIMIT_NAMES, Limits, parse_limits


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["frames=128"], {"frames": 128}),
        (["frames=1"], {"frames": 1}),
        (["side=30000", "pixels=900000000"], {"side": 30_000, "pixels": 900_000_000}),
        (["nesting=7", "nesting=8"], {"nesting": 8}),  # the last word counts
        (["file_bytes=007"], {"file_bytes": 7}),
    ],
)
def test_words_change_what_they_name_and_nothing_else(words, changed):
    assert parse_limits(words) == dataclasses.replace(Limits(), **changed)


@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_every_limit_has_a_word(name):
    value = 1 << 30 if name == "decoder_bytes" else 41
    assert getattr(parse_limits([f"{name}={value}"]), name) == value


@pytest.mark.parametrize(
    "word",
    [
        "",
        "=",
        "=5",
        "frames",
        "frames=",
        "frames=-1",
        "frames=+1",
        "frames=1.5",
        "frames=1e3",
        "frames=1_000",
        "frames= 5",
        "frames=5 ",
        "frames=many",
        "frames=0x10",
        "frames=²",
        "frames=5=6",
        "Frames=5",
        " frames=5",
        "frame=5",
        "check_size=5",
    ],
)
def test_a_word_that_is_no_limit_is_refused_with_the_names_that_are(word):
    with pytest.raises(UsageError) as refusal:
        parse_limits(["side=5", word])
    message = str(refusal.value)
    assert message.startswith(f"--limit: found {word!r}; allowed: NAME=NUMBER")
    assert all(name in message for name in LIMIT_NAMES)


LIMITS = Limits(side=100, pixels=5_000, decoded_bytes=12_000)
EMPTY, TOO_LARGE = FailureReason.HEADER_CONTRADICTS_PIXELS, FailureReason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("rows", "columns", "bytes_per_pixel"),
    [
        (1, 1, 3),
        (100, 1, 3),
        (1, 100, 3),
        (50, 80, 3),  # 4,000 pixels, 12,000 bytes
        (50, 100, 2),  # 5,000 pixels, 10,000 bytes
        (1, 1, 12_000),
    ],
)
def test_a_size_at_its_bound_is_let_through(rows, columns, bytes_per_pixel):
    LIMITS.check_size(rows, columns, bytes_per_pixel)


@pytest.mark.parametrize(
    ("rows", "columns", "bytes_per_pixel", "reason", "detail"),
    [
        (0, 1, 3, EMPTY, "declared without pixels"),
        (1, 0, 3, EMPTY, "declared without pixels"),
        (0, 0, 3, EMPTY, "declared without pixels"),
        (-1, 50, 3, EMPTY, "declared without pixels"),
        (-50, -50, 3, EMPTY, "declared without pixels"),
        (0, 101, 3, EMPTY, "declared without pixels"),
        (101, 1, 3, TOO_LARGE, "1x101; allowed: 100 a side, 5000 in all"),
        (1, 101, 3, TOO_LARGE, "101x1; allowed: 100 a side, 5000 in all"),
        (51, 99, 1, TOO_LARGE, "99x51; allowed: 100 a side, 5000 in all"),  # 5,049
        (50, 81, 3, TOO_LARGE, "12150 bytes decoded; allowed: 12000"),
        (1, 1, 12_001, TOO_LARGE, "12001 bytes decoded; allowed: 12000"),
    ],
)
def test_a_size_beyond_its_bound_is_refused(rows, columns, bytes_per_pixel, reason, detail):
    with pytest.raises(ImageFailure) as refusal:
        LIMITS.check_size(rows, columns, bytes_per_pixel)
    failure = refusal.value
    assert (failure.stage, failure.reason, failure.detail) == (Stage.DECODE, reason, detail)


def test_a_pixel_has_three_bytes_unless_told():
    three = Limits(decoded_bytes=300)
    three.check_size(10, 10)
    with pytest.raises(ImageFailure):
        three.check_size(10, 11)


@pytest.mark.parametrize(
    ("rows", "columns", "fits"),
    [(20_000, 5_000, True), (20_001, 1, False), (20_000, 5_001, False), (65_535, 65_535, False)],
)
def test_the_defaults_hold_a_hundred_megapixels(rows, columns, fits):
    if fits:
        Limits().check_size(rows, columns)
        return
    with pytest.raises(ImageFailure):
        Limits().check_size(rows, columns)


@pytest.mark.parametrize(
    ("word", "low"),
    [
        ("frames=0", 1),
        ("decode_seconds=86401", 1),
        ("decoder_bytes=536870911", 536870912),
        ("side=" + "9" * 5000, 1),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(word, low):
    name = word.partition("=")[0]
    with pytest.raises(UsageError, match=rf"allowed: {name} from {low} to \d+"):
        parse_limits([word])
