"""The process: its memory, its share of the machine, and how it imports heavy libraries.

glibc's allocator is held to two arenas, so that freed memory comes back; what was imported is
frozen, so that the garbage collector passes it over; TensorFlow is imported without its messages
and without settings that would change what it computes.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch.core.errors import BatchError

logger = logging.getLogger(__name__)


_M_ARENA_MAX = -8  # malloc.h


ARENAS = 2


def limit_malloc_arenas() -> None:
    """Have threads share two arenas, where the C library is glibc; elsewhere nothing happens.

    By default a thread may get one of its own, which keeps what its largest image took. Sharing
    costs no time here: codecs and the model allocate seldom and much.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


CORES_A_PROCESS = 4


BYTES_A_PROCESS = 2 << 30
"""One takes 1.0 to 1.2 GB, and a large image up to one more."""


CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_cores() -> int:
    """Cores that this process may use, which `taskset` and containers may have made fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that this machine has, or its container may use."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # there is none, or its word is "max"
            found = min(found, int(Path(name).read_text()))
    return found


def default_processes() -> int:
    """So many processes score side by side where nobody says how many.

    One interpreter keeps some four cores busy; each process has a model of its own.
    """
    return max(1, min(available_cores() // CORES_A_PROCESS, available_memory() // BYTES_A_PROCESS))


@contextmanager
def freeze_imports() -> Iterator[None]:
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


BACKEND = "tensorflow"


SETTLED = {"KERAS_BACKEND": BACKEND, "KERAS_HOME": os.devnull}
"""What Keras reads at its import. A home that can hold no file: no keras.json of somebody else's
other work is read there, and none is written."""


PASSED_OVER = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TF2_BEHAVIOR",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""Settings of other work that would cut training short, change scores, or end the process where a
word in them is misspelt. Devices, memory and threads (CUDA_…, TF_FORCE_GPU_…) stay as they are."""


@contextmanager
def silence_native_stderr() -> Iterator[None]:
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

    Backend, float type and order of the axes are the job's, whatever a keras.json or the
    environment says.

    Raises:
        BatchError: Keras was imported before, by somebody else, with another backend.
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        _check_backend()
        return
    _settle_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence_native_stderr(), _not_found("sklearn", "matplotlib"):
        import keras
        import tensorflow

        del tensorflow
    _check_backend()
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def _settle_environment() -> None:
    """Set and unset what Keras and TensorFlow read; processes started later inherit it."""
    foreign = [name for name in PASSED_OVER if os.environ.pop(name, None) is not None]
    foreign += [n for n, value in SETTLED.items() if os.environ.get(n, value) != value]
    os.environ.update(SETTLED)
    if foreign:
        logger.info("settings of the environment passed over: %s", ", ".join(sorted(foreign)))


def _check_backend() -> None:
    import keras

    if (found := keras.config.backend()) != BACKEND:
        raise BatchError(
            f"KERAS_BACKEND: Keras was imported with the backend {found!r} before this job could "
            f"choose; needed: {BACKEND!r}. Start the job in a process of its own."
        )


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
