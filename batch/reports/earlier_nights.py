"""What earlier nights' run.json tell, for comparison; no Parquet of them is opened."""

from __future__ import annotations

from batch.reports.local import RUN_FILE, LocalReports
from batch.review.night_report import LAST_NIGHTS
from batch.review.nights import NightRecord, night_record
from batch.storage.files import read_json

_SECOND = len("20260101T000000Z")


def is_earlier(night: str, run_id: str) -> bool:
    """Whether a published night came before a run; both are run ids.

    A run id begins with the second of its start. Of one second are only nights that were short and
    followed each other at once; they all came before the one that asks.
    """
    return night != run_id and night[:_SECOND] <= run_id[:_SECOND]


def earlier_nights(
    reports: LocalReports, run_id: str, last: int = LAST_NIGHTS
) -> list[NightRecord]:
    """The complete nights before one, newest first, at most `last`.

    A night whose run.json cannot be read is passed over, and the one before it takes its place.

    Args:
        run_id: of the night that is compared; run ids begin with the time of their start.
    """
    found: list[NightRecord] = []
    for earlier in reports.nights():
        if not is_earlier(earlier, run_id):
            continue
        run = read_json(reports.night(earlier) / RUN_FILE)
        record = night_record(run) if run is not None else None
        if record is not None:
            found.append(record)
        if len(found) == last:
            break
    return found
