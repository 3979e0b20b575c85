"""On the path of a worker under test: the archive's storage is slow, and tells what was read."""

import os
import time

from batch.archive.local import LocalArchive

SECONDS = float(os.environ["SLOW_READS_SECONDS"])
_read = LocalArchive.read


def _slow_read(self, location, max_bytes):
    with open(os.environ["SLOW_READS_LOG"], "a") as log:  # one short line: written whole
        log.write(f"{os.getpid()} {os.fsencode(location.path).hex()} {time.monotonic()}\n")
    time.sleep(SECONDS)
    return _read(self, location, max_bytes)


LocalArchive.read = _slow_read
