"""Silence for native libraries that write to standard error while they load."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Send file descriptor 2 to nowhere for a while.

    TensorFlow's start-up lines ignore TF_CPP_MIN_LOG_LEVEL (tensorflow/tensorflow#100442) and
    would stand in every cron mail. Python exceptions still raise.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up lines; a second call costs nothing.

    Keras takes along scikit-learn and matplotlib wherever they are installed, for wrappers and
    pictures that nobody here uses: a second of every start. It does without what is not found.
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_stderr_silenced(), _not_found("sklearn", "matplotlib"):
        import keras
        import tensorflow

        del keras, tensorflow


@contextmanager
def _not_found(*modules: str) -> Iterator[None]:
    """Let `import` raise ModuleNotFoundError for these, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
