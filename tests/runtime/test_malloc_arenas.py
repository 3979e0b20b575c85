"""The allocator's arenas, counted by glibc itself in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import ctypes, sys, tempfile, threading
from batch.runtime.process import limit_malloc_arenas
libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info") or not hasattr(libc, "gnu_get_libc_version"):
    sys.exit(77)
if sys.argv[1] == "few":
    limit_malloc_arenas()
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def take():
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap "))
"""


def arenas(which: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, which], capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("another C library than glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_threads_share_two():
    assert arenas("few") <= 2 < arenas("many")
