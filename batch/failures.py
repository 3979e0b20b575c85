"""What may be said of an error: where it arose, and what lies behind it, never what it quotes."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from batch.core.errors import BatchError
from batch.objects.store import store_code

STORE_REFUSED = (
    "the object store refused or did not answer ({}); nothing was published. "
    "Check its address, the credentials and the permission to write, then start again."
)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def places(error: BaseException) -> list[str]:
    """A line for the error and each cause: its kind and the lines of code, without its message."""
    lines = []
    for cause in causes(error):
        frames = traceback.extract_tb(cause.__traceback__)
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
        lines.append(f"{type(cause).__name__} at {where}")
    return lines


def portable(error: BaseException) -> Exception:
    """What another process is told of an error: a failure of ours or of a disk that lies behind
    it, else its kind.
    """
    for cause in causes(error):
        if isinstance(cause, BatchError):
            return cause
        if isinstance(cause, OSError) and (code := store_code(cause)):
            return BatchError(STORE_REFUSED.format(code))
        if isinstance(cause, OSError) and cause.errno is not None:
            return OSError(cause.errno, os.strerror(cause.errno))
    return RuntimeError(type(error).__name__)
