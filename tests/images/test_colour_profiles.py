"""What a profile is worth, and the colours that it gives: compared with the spaces' definitions."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from batch.core.errors import FailureReason, ImageFailure
from batch.core.rules import Limits
from batch.demo.lesions import lesion_image
from batch.images import colour_profiles
from batch.images.colour_profiles import (
    APPLIED,
    BROKEN,
    INCOMPLETE,
    NOT_APPLIED,
    PROFILE_BYTES,
    UNCHANGED,
    conversion_to_srgb,
)
from batch.images.sandbox import call_in_sandbox
from tests.support import icc, victims

LIMITS = Limits()
ADOBE = icc.profile(icc.ADOBE_RGB)
SPACES = {**icc.SPACES, "ProPhoto": icc.PROPHOTO}
ANY_COLOURS = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(colour_profiles, "_cache", type(colour_profiles._cache)())


@pytest.mark.parametrize("name", SPACES)
def test_colours_come_out_as_the_space_is_defined(name):
    conversion = conversion_to_srgb(icc.profile(SPACES[name]), LIMITS)
    expected = icc.encoded(ANY_COLOURS, icc.SRGB, SPACES[name])
    assert conversion.flags == (APPLIED,)
    assert np.abs(conversion.convert(ANY_COLOURS).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", icc.SPACES)
def test_a_picture_that_was_written_in_another_space_is_as_it_was_in_srgb(name):
    pixels = lesion_image(3, 180, 180)
    stored = icc.encoded(pixels, SPACES[name])
    found = conversion_to_srgb(icc.profile(SPACES[name]), LIMITS).convert(stored)
    assert np.abs(stored.astype(int) - pixels).mean() > 3
    assert np.abs(found.astype(int) - pixels).max() <= 2


ALMOST_SRGB = icc.Space(
    tuple(tuple(value + 0.0001 for value in row) for row in icc.SRGB.colorants),
    icc.srgb_curve,
    *icc._SRGB_PARAMETERS,
)
SRGB_PROFILES = {
    "version 2": icc.profile(icc.SRGB, version=2),
    "version 4": icc.profile(icc.SRGB),
    "of a scanner": icc.profile(icc.SRGB, device_class=b"scnr"),
    "of a colour space": icc.profile(icc.SRGB, device_class=b"spac"),
    "rounded otherwise": icc.profile(ALMOST_SRGB),
    "padded": icc.profile(icc.SRGB) + bytes(3),
}


@pytest.mark.parametrize("name", SRGB_PROFILES)
def test_srgb_is_known_by_what_it_does_and_passed_over(name):
    conversion = conversion_to_srgb(SRGB_PROFILES[name], LIMITS)
    assert conversion.flags == ()
    assert conversion.convert(ANY_COLOURS) is ANY_COLOURS


@pytest.mark.parametrize(
    ("gamma", "flags"),
    [(2.2, (APPLIED,)), (1.8, (APPLIED,)), (1.0, (APPLIED,))],
)
def test_the_primaries_of_srgb_with_another_curve_are_another_space(gamma, flags):
    space = icc.Space(icc.SRGB.colorants, icc.power_curve(gamma), 0, (gamma,))
    assert conversion_to_srgb(icc.profile(space), LIMITS).flags == flags


def test_a_well_known_profile_is_not_tried(monkeypatch):
    profile = icc.profile(icc.ADOBE_RGB, description="taken for a well-known one")
    digest = colour_profiles.hashlib.sha256(profile).hexdigest()
    monkeypatch.setattr(colour_profiles, "WELL_KNOWN_SRGB", {digest})
    assert conversion_to_srgb(profile, LIMITS) is UNCHANGED


def test_there_is_nothing_to_convert_without_a_profile():
    assert conversion_to_srgb(None, LIMITS) is UNCHANGED


UNUSABLE = {
    "grey": icc.profile(colour_space=b"GRAY"),
    "inks": icc.table_profile(),
    "Lab": icc.profile(colour_space=b"Lab ", device_class=b"spac"),
    "link of two devices": icc.profile(device_class=b"link", connection_space=b"RGB "),
    "abstract": icc.profile(device_class=b"abst"),
    "named colours": icc.profile(device_class=b"nmcl"),
    "other connection space": icc.profile(connection_space=b"Luv "),
    "version 5": icc.profile(version=5),
    "too large": icc.profile(more={b"priv": bytes(PROFILE_BYTES)}),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_profile_of_another_kind_is_said_and_changes_nothing(name):
    conversion = conversion_to_srgb(UNUSABLE[name], LIMITS)
    assert conversion.flags == (NOT_APPLIED,)
    assert conversion.convert(ANY_COLOURS) is ANY_COLOURS


BLACK = icc.Space(icc.ADOBE_RGB.colorants, icc.power_curve(1), 0, (200.0,))
DARK = icc.Space(((0.01, 0.01, 0.01),) * 3, icc.srgb_curve, *icc._SRGB_PARAMETERS)
BROKEN_PROFILES = {
    "incomplete": INCOMPLETE,
    "one byte": b"x",
    "text": b"profile" * 40,
    "header only": ADOBE[:128],
    "without signature": ADOBE.replace(b"acsp", b"acsq"),
    "element beyond the end": ADOBE[:-8],
    "without a curve": icc.profile(without=(b"gTRC",)),
    "without a colorant": icc.profile(without=(b"bXYZ",)),
    "curve of an unknown kind": ADOBE.replace(b"para" + bytes(4), b"pare" + bytes(4)),
    "too many elements": ADOBE[:128] + (101).to_bytes(4, "big") + ADOBE[132:] + bytes(2000),
    "elements without end": ADOBE[:128] + b"\xff" * 4 + ADOBE[132:],
    "everything black": icc.profile(BLACK),
    "white is dark": icc.profile(DARK),
    "size of nothing": bytes(4) + ADOBE[4:],
}


@pytest.mark.parametrize("name", BROKEN_PROFILES)
def test_a_broken_profile_is_said_and_changes_nothing(name):
    conversion = conversion_to_srgb(BROKEN_PROFILES[name], LIMITS)
    assert conversion.flags == (BROKEN,)
    assert conversion.convert(ANY_COLOURS) is ANY_COLOURS


@pytest.mark.parametrize("length", range(1, len(ADOBE) - 4, 37))
def test_a_profile_that_was_cut_off_is_broken(length):
    assert conversion_to_srgb(ADOBE[:length], LIMITS).flags == (BROKEN,)


def test_floating_point_elements_are_not_run():
    """Ten thousand times the same matrix, by reference: 80 kB that would take a minute."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH12f", 3, 3, *np.eye(3).ravel(), 0, 0, 0)
    steps = 10_000
    where = struct.pack(">II", 16 + 8 * steps, len(matrix)) * steps
    element = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, steps) + where + matrix
    conversion = conversion_to_srgb(icc.profile(more={b"D2B1": element}), Limits(decode_seconds=20))
    expected = icc.encoded(ANY_COLOURS, icc.SRGB, icc.ADOBE_RGB)
    assert conversion.flags == (APPLIED,)
    assert np.abs(conversion.convert(ANY_COLOURS).astype(int) - expected).max() <= 1


def test_four_inks_have_a_conversion_of_their_own():
    conversion = conversion_to_srgb(icc.table_profile(), LIMITS, "CMYK")
    assert conversion.flags == (APPLIED,)
    assert conversion_to_srgb(ADOBE, LIMITS, "CMYK").flags == (NOT_APPLIED,)


def test_a_profile_is_tried_once(monkeypatch):
    first = conversion_to_srgb(ADOBE, LIMITS)
    monkeypatch.setattr(colour_profiles, "call_in_sandbox", None)
    assert conversion_to_srgb(bytes(bytearray(ADOBE)), LIMITS) is first


def test_the_cache_is_bounded_and_keeps_what_was_used_last(monkeypatch):
    monkeypatch.setattr(colour_profiles, "_new_conversion", lambda *_: colour_profiles.Conversion())
    kept = conversion_to_srgb(ADOBE, LIMITS)
    for number in range(2 * colour_profiles._CACHED):
        conversion_to_srgb(number.to_bytes(4, "big"), LIMITS)
        assert conversion_to_srgb(ADOBE, LIMITS) is kept
        assert len(colour_profiles._cache) <= colour_profiles._CACHED


def test_several_threads_convert_by_one_transform():
    conversion = conversion_to_srgb(ADOBE, LIMITS)
    pictures = [np.roll(ANY_COLOURS, step, axis=0) for step in range(16)]
    expected = [conversion.convert(picture) for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(
            pool.map(conversion.convert, pictures * 8), expected * 8, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


def test_in_the_watched_process_a_profile_is_tried_right_there():
    arguments = (ADOBE, LIMITS)
    assert call_in_sandbox(victims.watched_flag, arguments, 60, LIMITS.decoder_bytes) == (
        True,
        APPLIED,
    )


def test_a_profile_that_kills_its_decoder_costs_the_file_and_is_tried_again(monkeypatch):
    monkeypatch.setattr(colour_profiles, "examine", victims.crash_at_a_profile)
    with pytest.raises(ImageFailure) as failure:
        conversion_to_srgb(ADOBE, LIMITS)
    assert failure.value.reason == FailureReason.DECODER_CRASHED
    monkeypatch.undo()
    assert conversion_to_srgb(ADOBE, LIMITS).flags == (APPLIED,)
