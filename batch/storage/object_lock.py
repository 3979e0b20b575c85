"""The lock of reports in object storage: an object that only one run can write.

A server with conditional writes (If-None-Match, If-Match; Amazon's and most others) lets only one
of two runs write the object. Some servers ignore conditions. To find out, a run that took the lock
writes it once more under a condition that does not hold. If that succeeds, the lock is best effort,
and a warning says so.
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
"""Between writing a lock on a server without conditions and reading who holds it."""

_LOST = (
    "--output: the lock of {url} is no longer ours: this run gave no sign of life for so long that "
    "another run took the lock, or somebody removed it. Nothing was published. Start again."
)
_UNCONDITIONAL = (
    "melanoma-batch: {url}: this server takes no conditional writes (If-None-Match), so two runs "
    "that start in the same instant may both go on. Let only one machine run it.\n"
)


@dataclass
class ObjectLock:
    """The lock of reports in object storage.

    owner: who holds it, for the message that another run gets.
    token: names this holder; no other process has it.
    etag: of the lock object as this run last wrote it.
    conditional: whether the server honours conditions.
    """

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
        state = _read_lock(self.store)
        if state is None or _lock_facts(state.lock).get("token") != self.token:
            raise ReportsLost(_LOST.format(url=self.store.url))

    def take(self) -> None:
        """Take the lock.

        Raises:
            ReportsLocked: another run holds it and gave a sign of life lately.
        """
        state = _read_lock(self.store)
        if state is not None and state.silent_seconds < DEAD_AFTER_SECONDS:
            raise self._refusal(state)
        etag = self.store.put_if(
            LOCK_FILE, self._text(), state.lock.version.etag if state else None
        )
        if etag is None:
            raise self._refusal(_read_lock(self.store))
        self.etag = etag
        second_etag = self.store.put_if(LOCK_FILE, self._text(), None)
        if second_etag is not None:  # written although the lock exists: no conditions here
            self.etag, self.conditional = second_etag, False
            say(_UNCONDITIONAL.format(url=self.store.url), sys.stderr)
            time.sleep(SETTLE_SECONDS)
            self.check()

    def beat(self) -> None:
        """Write the lock again, so that it stays young, unless another run took it."""
        etag = self.store.put_if(LOCK_FILE, self._text(), self.etag)
        self.etag = etag or self.etag

    def release(self) -> None:
        """Remove the lock if it is ours. If the store does not answer, the lock ages and ends."""
        with suppress(OSError, ReportsLost):
            self.check()
            self.store.delete([LOCK_FILE])

    def _text(self) -> bytes:
        facts = {
            "owner": self.owner,
            "host": os.uname().nodename,
            "process": os.getpid(),
            "token": self.token,
        }
        return json.dumps(facts).encode()

    def _refusal(self, state: _LockState | None) -> ReportsLocked:
        facts = _lock_facts(state.lock) if state else {}
        holder = ", ".join(f"{name} {facts[name]}" for name in ("owner", "host") if name in facts)
        return ReportsLocked(
            f"--output: another run holds {self.store.url} ({holder or 'unknown'}). Wait for it to "
            f"end. Or, if it is dead, for {DEAD_AFTER_SECONDS / 60:.0f} minutes."
        )


@contextmanager
def hold_objects(store: ObjectStore, owner: str) -> Iterator[ObjectLock]:
    """Hold the lock of reports in object storage inside the block.

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
    """The owner of a lock that gave a sign of life lately; empty if there is none.

    Raises:
        OSError: the store does not answer.
    """
    state = _read_lock(store)
    if state is None or state.silent_seconds >= DEAD_AFTER_SECONDS:
        return ""
    return str(_lock_facts(state.lock).get("owner", ""))


class _LockState(NamedTuple):
    """A lock object that exists. now: by the store's clock, as is its time of modification."""

    lock: Content
    now: datetime

    @property
    def silent_seconds(self) -> float:
        return (self.now - self.lock.version.modified).total_seconds()


def _read_lock(store: ObjectStore) -> _LockState | None:
    try:
        return _LockState(*store.get_dated(LOCK_FILE))
    except FileNotFoundError:
        return None


def _lock_facts(lock: Content) -> dict[str, object]:
    try:
        value = json.loads(lock.data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
