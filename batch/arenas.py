"""Memory that is freed comes back: glibc's allocator held to two arenas."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def few_arenas() -> None:
    """Have threads share two arenas, where the C library is glibc; elsewhere nothing happens.

    By default a thread may get one of its own, which keeps what its largest image took. Sharing
    costs no time here: codecs and the model allocate seldom and much.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
