"""What a program loads stays to its end: the garbage collector need not go through it.

TensorFlow, Keras and Beam make some million objects. Looking for garbage among them costs a fifth
of the start, again whenever a night collects, and most of a second at the end.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def permanent() -> Iterator[None]:
    """While this is open nothing is collected; if modules were loaded meanwhile, what there is then
    never is. Counted references go on freeing what nothing refers to.
    """
    was_enabled, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded:
            gc.freeze()
        if was_enabled:
            gc.enable()
