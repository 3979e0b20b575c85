"""Opens and locks reports in a folder or in object storage."""

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
    """The lock of reports, while it is held."""

    def check(self) -> None:
        """Make sure that the reports are still the ones that were locked.

        Raises:
            ReportsLost: they are not.
        """


class _BothLocks:
    def __init__(self, *locks: HeldReports) -> None:
        self._locks = locks

    def check(self) -> None:
        for lock in self._locks:
            lock.check()


def open_reports(root: Path, url: ObjectUrl | None) -> LocalReports:
    """Open reports for reading.

    Args:
        root: their folder; with `url` their copy on this machine, which is brought up to date.
        url: of reports in object storage, or None.

    Raises:
        OSError: the store does not answer.
    """
    if url is None:
        return LocalReports(root)
    reports = ObjectReports(root, store=ObjectStore(url))
    reports.refresh()
    return reports


def who_holds(root: Path, url: ObjectUrl | None) -> str:
    """Who holds the lock of reports, as the lock says; empty if nobody does.

    Raises:
        OSError: the store does not answer.
    """
    return holder(root) if url is None else object_holder(ObjectStore(url))


@contextmanager
def hold(
    root: Path, url: ObjectUrl | None, owner: str
) -> Iterator[tuple[LocalReports, HeldReports]]:
    """Open reports and hold their lock inside the block, so that nobody else writes there.

    Args:
        root, url: as in `open_reports`.
        owner: who holds them, for the message that another run gets.

    Raises:
        ReportsLocked: another run holds them. UsageError: they cannot be written.
    """
    with ExitStack() as stack:
        lock: HeldReports = stack.enter_context(exclusive(root, owner))
        if url is None:
            yield LocalReports(root), lock
        else:
            store = ObjectStore(url)
            lock = _BothLocks(lock, stack.enter_context(hold_objects(store, owner)))
            yield ObjectReports(root, store=store), lock
