"""The checks of `doctor` for object storage; they write only an object of their own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from batch.core.location import ObjectUrl
from batch.operations.doctor_checks import Check, Status, check_by_level
from batch.reports.local import LATEST
from batch.storage.locks import LOCK_FILE
from batch.storage.object_store import ObjectStore, check_store
from batch.storage.shared_folder import fresh_name


def look_at_reports(url: ObjectUrl) -> Iterator[Check]:
    """Bucket, writing, conditions, lock, left-over work and pointer of reports at a URL."""
    check_store("--output", url)
    store = ObjectStore(url)
    yield Check("reports bucket", Status.OK, str(url))
    probe = f".doctor-{fresh_name()}"
    etag = store.put_if(probe, b"1", None)
    try:
        same = store.get(probe).data == b"1"
        found = "write, read and remove work" if same else "what is read is not what was written"
        yield check_by_level("reports writing", same, 1, 1, found, "Ask who runs the store.")
        refused = store.put_if(probe, b"2", None) is None
        refused = refused and store.put_if(probe, b"3", "0" * 32) is None and etag is not None
        found = "conditional writes are honoured" if refused else "conditional writes are ignored"
        remedy = "The lock is best effort here: let only one machine run it."
        yield check_by_level("reports conditions", refused, 1, 0, found, remedy)
    finally:
        store.delete([probe])
    names = {found.name for found in store.objects(LOCK_FILE, most=1)}
    held = LOCK_FILE in names
    yield check_by_level(
        "reports lock", not held, 1, 0, "held" if held else "free", "Wait for that run."
    )
    work = sorted({entry.name.split("/")[1] for entry in store.objects(".in-progress/")})
    yield check_by_level(
        "reports left-over work",
        not work,
        1,
        0,
        f"of {len(work)} runs",
        "The next run takes it up.",
    )
    yield _latest(store)


def look_at_archive(url: ObjectUrl, most: int) -> Iterator[Check]:
    """Bucket, listing and reading of an archive at a URL. most: objects to list."""
    check_store("ARCHIVE", url)
    store = ObjectStore(url)
    listed = list(islice(store.objects(), most))
    found = f"{len(listed)} objects (stops at {most})"
    yield check_by_level("archive listing", len(listed), 1, 1, found, "Is the prefix right?")
    if listed:
        size = len(store.get(listed[0].name).data)
        yield Check("archive reading", Status.OK, f"an object of {size} bytes was read")


def _latest(store: ObjectStore) -> Check:
    try:
        run_id = store.get(LATEST).data.decode("ascii", "replace").strip()
    except FileNotFoundError:
        return Check("reports latest", Status.OK, "no night yet")
    whole = any(store.objects(f"{run_id}/_SUCCESS", most=1))
    remedy = "Let the next run write it."
    found = run_id if whole else "points to no night"
    return check_by_level("reports latest", whole, 1, 1, found, remedy)
