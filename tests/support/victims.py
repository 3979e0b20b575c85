"""Functions that decoders may turn into; called in the watched process."""

import os
import time

import numpy as np

from batch.core.errors import FailureReason, ImageFailure, Stage
from batch.images.colour_profiles import conversion_to_srgb
from batch.images.sandbox import is_in_sandbox


def fine(value):
    return value + 1


def process_id():
    return os.getpid()


def hang():
    time.sleep(3600)


def crash():
    os.abort()


def swallow(gigabytes):
    return len(np.ones(gigabytes << 30, np.uint8))


def fail():
    raise ImageFailure(Stage.DECODE, FailureReason.DECODE_FAILED, "said there")


class Odd(Exception):
    def __init__(self):
        super().__init__(lambda: "cannot be pickled")


def fail_oddly():
    raise Odd


def crash_at_a_profile(profile, mode):
    os.abort()


def watched_flag(profile, limits):
    return is_in_sandbox(), conversion_to_srgb(profile, limits).flag
