"""One run at a time on reports in object storage: an object that only one can have made.

A server that honours conditions (If-None-Match, If-Match: Amazon's and most others) lets one of two
starts write it. What a server ignores cannot be known before it is tried, so it is tried on the
lock that was just taken; where it fails the lock is best effort, and that is said.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from batch.core.errors import ReportsLocked, ReportsLost
from batch.runtime.terminal import say
from batch.storage.locks import DEAD_AFTER_SECONDS, LOCK_FILE, heartbeat
from batch.storage.object_store import Content, ObjectStore
from batch.storage.shared_folder import fresh_name

SETTLE_SECONDS = 2.0
"""Between writing a lock on a server without conditions, and looking whose it is."""

_LOST = (
    "--output: the lock of {url} is no longer ours: this run was silent for so long that another "
    "took it for dead, or somebody removed it. Nothing was published. Start again."
)
_UNCONDITIONAL = (
    "melanoma-batch: {url}: this server takes no conditional writes (If-None-Match), so two runs "
    "that start in the same instant may both go on. Let only one machine run it.\n"
)


@dataclass
class ObjectLock:
    """Proof of holding reports. etag: of the lock object as we wrote it last."""

    store: ObjectStore
    owner: str
    token: str = field(default_factory=fresh_name)
    etag: str = ""
    conditional: bool = True

    def check(self) -> None:
        """Make sure that the lock is still ours.

        Raises:
            ReportsLost: it is not. OSError: the store does not answer.
        """
        found = _look(self.store)
        if found is None or _told(found.lock).get("token") != self.token:
            raise ReportsLost(_LOST.format(url=self.store.url))

    def take(self) -> None:
        """Take the lock.

        Raises:
            ReportsLocked: a run holds it that gave a sign of life lately.
        """
        found = _look(self.store)
        if found is not None and found.silent_seconds < DEAD_AFTER_SECONDS:
            raise self._refusal(found)
        etag = self.store.put_if(
            LOCK_FILE, self._text(), found.lock.version.etag if found else None
        )
        if etag is None:
            raise self._refusal(_look(self.store))
        self.etag = etag
        again = self.store.put_if(LOCK_FILE, self._text(), None)
        if again is not None:  # it was written although there was one: ours
            self.etag, self.conditional = again, False
            say(_UNCONDITIONAL.format(url=self.store.url), sys.stderr)
            time.sleep(SETTLE_SECONDS)
            self.check()

    def beat(self) -> None:
        """Write it again, so that its age tells that we live; not over somebody else's."""
        etag = self.store.put_if(LOCK_FILE, self._text(), self.etag)
        self.etag = etag or self.etag

    def release(self) -> None:
        """Give it back, if it is ours. A store that does not answer keeps it until it is old."""
        with suppress(OSError, ReportsLost):
            self.check()
            self.store.delete([LOCK_FILE])

    def _text(self) -> bytes:
        told = {
            "owner": self.owner,
            "host": os.uname().nodename,
            "process": os.getpid(),
            "token": self.token,
        }
        return json.dumps(told).encode()

    def _refusal(self, found: _Seen | None) -> ReportsLocked:
        told = _told(found.lock) if found else {}
        holder = ", ".join(f"{name} {told[name]}" for name in ("owner", "host") if name in told)
        return ReportsLocked(
            f"--output: another run holds {self.store.url} ({holder or 'unknown'}). Wait for it to "
            f"end. Or, if it is dead, for {DEAD_AFTER_SECONDS / 60:.0f} minutes."
        )


@contextmanager
def hold_objects(store: ObjectStore, owner: str) -> Iterator[ObjectLock]:
    """Hold reports in object storage.

    Raises:
        ReportsLocked: another run holds them. OSError: the store does not answer.
    """
    lock = ObjectLock(store, owner)
    lock.take()
    try:
        with heartbeat(lock.beat):
            yield lock
    finally:
        lock.release()


def object_holder(store: ObjectStore) -> str:
    """Who holds reports in object storage and gave a sign of life lately; empty when nobody does.

    Raises:
        OSError: the store does not answer.
    """
    found = _look(store)
    if found is None or found.silent_seconds >= DEAD_AFTER_SECONDS:
        return ""
    return str(_told(found.lock).get("owner", ""))


class _Seen(NamedTuple):
    """A lock that was found. now: by the store's clock, which its age is by, too."""

    lock: Content
    now: datetime

    @property
    def silent_seconds(self) -> float:
        return (self.now - self.lock.version.modified).total_seconds()


def _look(store: ObjectStore) -> _Seen | None:
    try:
        return _Seen(*store.get_dated(LOCK_FILE))
    except FileNotFoundError:
        return None


def _told(found: Content) -> dict[str, object]:
    try:
        value = json.loads(found.data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
