"""A folder takes another's place in one step, so that no reader meets half of it or nothing."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_CWD = -100
_EXCHANGE = 2
_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def put_in_place(fresh: Path, target: Path) -> None:
    """Move a folder to a place; what was there is at `fresh` afterwards.

    On Linux in one step. Where the file system cannot exchange two names (some network ones), in
    two: for an instant there is nothing at the place.

    Raises:
        OSError: the file system refuses; then both are where they were.
    """
    if not os.path.lexists(target):
        os.rename(fresh, target)
        return
    try:
        _exchange(fresh, target)
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        old = fresh.with_name(fresh.name + ".old")
        os.rename(target, old)
        try:
            os.rename(fresh, target)
        except OSError:
            os.rename(old, target)
            raise
        os.rename(old, fresh)


def _exchange(one: Path, other: Path) -> None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError) as error:  # another system, another C library
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if function(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
