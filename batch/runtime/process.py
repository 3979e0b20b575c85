"""Settings of this process: memory, share of the machine, and imports of heavy libraries.

glibc gets two arenas, so that freed memory returns to the system. Imported modules are frozen, so
that the garbage collector skips them. TensorFlow is imported without its start-up messages and
without settings that would change what it computes.
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
    """Let all threads share two arenas of glibc; with another C library nothing happens.

    By default each thread may get an arena of its own, which keeps the memory that the largest
    image of this thread needed. Sharing costs no time here, since codecs and the model allocate
    seldom and in large pieces.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


CORES_A_PROCESS = 4
BYTES_A_PROCESS = 2 << 30
"""A process takes 1.0 to 1.2 GB, and up to 1 GB more while it decodes a large image."""


CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_cores() -> int:
    """Cores that this process may use; `taskset` or a container may allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory of this machine, or of its container if that has a lower limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or it holds the word "max"
            memory = min(memory, int(Path(name).read_text()))
    return memory


def default_processes() -> int:
    """How many processes score side by side without `--processes`.

    One process for every four cores, since one interpreter keeps about four busy, and as many as
    fit into memory, since each has a model of its own.
    """
    return max(1, min(available_cores() // CORES_A_PROCESS, available_memory() // BYTES_A_PROCESS))


@contextmanager
def freeze_imports() -> Iterator[None]:
    """Turn garbage collection off inside the block, and freeze the modules imported in it.

    Frozen objects are never looked at again by the collector. Reference counts free memory as
    before.
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


KERAS_ENVIRONMENT = {"KERAS_BACKEND": BACKEND, "KERAS_HOME": os.devnull}
"""Variables that Keras reads at its import. /dev/null as home can hold no file, so Keras reads no
keras.json of other work and writes none."""


FOREIGN_SETTINGS = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "KERAS_NNX_ENABLED",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TF2_BEHAVIOR",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""Variables set for other work, which this process removes. They would cut training short, change
scores, or end the process at a misspelt word. Variables for devices, memory and threads (CUDA_…,
TF_FORCE_GPU_…) stay as they are."""


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Send file descriptor 2 to /dev/null inside the block.

    TensorFlow prints start-up lines although TF_CPP_MIN_LOG_LEVEL is set
    (tensorflow/tensorflow#100442); cron would mail them every night. Python exceptions still raise.
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

    Keras also imports scikit-learn and matplotlib if they are installed, for features that this
    program does not use. Hiding them saves a second of every start. Backend, float type and order
    of the axes are set here, whatever a keras.json or the environment says.

    Raises:
        BatchError: other code imported Keras before, with another backend.
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        _check_backend()
        return
    _set_environment()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence_native_stderr(), _hide_modules("sklearn", "matplotlib"):
        import keras
        import tensorflow

        del tensorflow
    _check_backend()
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def _set_environment() -> None:
    """Set and remove environment variables of Keras and TensorFlow, for child processes, too."""
    foreign = [name for name in FOREIGN_SETTINGS if os.environ.pop(name, None) is not None]
    foreign += [n for n, value in KERAS_ENVIRONMENT.items() if os.environ.get(n, value) != value]
    os.environ.update(KERAS_ENVIRONMENT)
    if foreign:
        logger.info("settings of the environment passed over: %s", ", ".join(sorted(foreign)))


def _check_backend() -> None:
    import keras

    if (backend := keras.config.backend()) != BACKEND:
        raise BatchError(
            f"KERAS_BACKEND: Keras was imported with the backend {backend!r} before this job could "
            f"choose; needed: {BACKEND!r}. Start the job in a process of its own."
        )


@contextmanager
def _hide_modules(*modules: str) -> Iterator[None]:
    """Let `import` raise ModuleNotFoundError for these modules, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
