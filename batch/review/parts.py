"""Parts of the review: each may fail without taking the others along."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def part(name: str, failed: dict[str, str]) -> Iterator[None]:
    """A part that may fail; what failed is named in `failed` and in the log, by kind and place."""
    try:
        yield
    except Exception as error:
        failed[name] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
        logger.error("review: no %s: %s at %s", name, failed[name], where)
