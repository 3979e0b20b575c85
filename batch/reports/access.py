"""Reports wherever they lie: the kind of storage and the lock that belong to a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from batch.core.location import ObjectUrl
from batch.reports.local import LocalReports
from batch.reports.objects import ObjectReports
from batch.storage.locks import exclusive, holder
from batch.storage.object_lock import hold_objects, object_holder
from batch.storage.object_store import ObjectStore


class HeldReports(Protocol):
    """Proof of holding reports."""

    def check(self) -> None:
        """Make sure that they are still the ones that were locked.

        Raises:
            ReportsLost: they are not.
        """


class _Both:
    def __init__(self, *locks: HeldReports) -> None:
        self._locks = locks

    def check(self) -> None:
        for lock in self._locks:
            lock.check()


def open_reports(root: Path, url: ObjectUrl | None) -> LocalReports:
    """Reports that can be read.

    Args:
        root: their folder; with `url` the copy of them on this machine, which is brought up to
            date.

    Raises:
        OSError: the store does not answer.
    """
    if url is None:
        return LocalReports(root)
    reports = ObjectReports(root, store=ObjectStore(url))
    reports.refresh()
    return reports


def who_holds(root: Path, url: ObjectUrl | None) -> str:
    """Who holds reports, in the holder's own words; empty when nobody does.

    Raises:
        OSError: the store does not answer.
    """
    return holder(root) if url is None else object_holder(ObjectStore(url))


@contextmanager
def hold(
    root: Path, url: ObjectUrl | None, owner: str
) -> Iterator[tuple[LocalReports, HeldReports]]:
    """Hold reports; nobody else writes there meanwhile.

    Raises:
        ReportsLocked: another run holds them. UsageError: they cannot be written.
    """
    with ExitStack() as stack:
        lock: HeldReports = stack.enter_context(exclusive(root, owner))
        if url is None:
            yield LocalReports(root), lock
        else:
            store = ObjectStore(url)
            lock = _Both(lock, stack.enter_context(hold_objects(store, owner)))
            yield ObjectReports(root, store=store), lock
