"""Suite `objects`: an object's bytes by obstore, and by botocore, from a server that does nothing.

The server writes prepared answers, so that what is measured is the clients.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from batch.core.location import ObjectUrl
from batch.storage.object_store import ObjectStore
from tests.benchmarks.processes import medians, ratio, rounds_of
from tests.benchmarks.wishes import Table, Wish
from tests.support.s3_server import environment

THREADS = 8
SIZES = (20_000, 400_000, 4_000_000)
"""Bytes: a small picture, and the range of an archive's photographs."""
_URL = ObjectUrl("hospital", "archive")
_SERVER = """
import asyncio, sys
data = bytes(int(sys.argv[1]))
date = "Thu, 26 Nov 2026 12:00:00 GMT"
head = (f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(data)}\\r\\nDate: {date}\\r\\n"
        f'Last-Modified: {date}\\r\\nETag: "abc"\\r\\n\\r\\n').encode()

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(head + data)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def objects(wish: Wish) -> Table:
    """Objects a second and processor milliseconds an object, by eight threads."""
    store = ObjectStore(_URL)
    rows: Table = []
    for size in SIZES:
        with _server(size) as address, environment(address):
            contenders: dict[str, Callable[[], dict[str, float]]] = {
                "obstore": partial(_rates, store.get, wish.images, size),
                "botocore": partial(_rates, lambda key: store.get_dated(key)[0], wish.images, size),
            }
            found = rounds_of(contenders, wish.repetitions)
        for name, rates in medians(found).items():
            rows.append(
                {
                    "bytes": size,
                    "client": name,
                    "objects/s": rates["rate"],
                    "CPU ms an object": rates["cpu_ms"],
                    "CPU, of botocore's": ratio(found, name, "botocore", "cpu_ms"),
                }
            )
    return rows


@contextmanager
def _server(size: int) -> Iterator[str]:
    words = [sys.executable, "-c", _SERVER, str(size)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def _rates(get: Callable[[str], object], count: int, size: int) -> dict[str, float]:
    def length(key: str) -> int:
        return len(get(key).data)  # type: ignore[attr-defined]

    length("0")  # makes the client
    cpu, start = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        if set(pool.map(length, map(str, range(count)))) != {size}:
            raise RuntimeError("an object of another size came")
    seconds = time.perf_counter() - start
    return {"rate": count / seconds, "cpu_ms": (time.process_time() - cpu) / count * 1000}
