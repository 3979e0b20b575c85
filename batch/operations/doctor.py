"""Checks whether a run would work on this machine, and gives a remedy for each problem.

Libraries are imported inside the checks, so that a broken installation is a failed check.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path

from batch.archive.access import check_archive
from batch.archive.local import LocalArchive
from batch.core.config import check_apart
from batch.core.errors import DecoderNotStarted, FailureReason, ImageFailure, UsageError
from batch.core.location import ObjectUrl, Place, whole_path
from batch.core.records import ImageLocation
from batch.core.rules import Limits
from batch.images.dicom_kinds import CODECS, Codec
from batch.images.sandbox import call_in_sandbox
from batch.operations.doctor_checks import (
    Check,
    Status,
    check_by_level,
    decoding_problem,
    run_check,
)
from batch.reports.local import LATEST, LocalReports
from batch.reports.run_reader import RUNS, latest_run, notes, stored_run
from batch.storage.locks import LOCK_FILE

MIB, GIB = 1 << 20, 1 << 30


BUILD_YEAR, OPEN_FILES, LISTED, TRIED = 2026, 256, 1000, 3


def examine(archive: Place | None, reports: Place | None, model: str | None) -> list[Check]:
    """Run all checks; those of an argument that is None are left out.

    REPORTS is not made if it is missing, and ARCHIVE is only read.
    """
    unusable: list[Check] = []
    archive = _resolved("--archive", archive, unusable)
    reports = _resolved("--output", reports, unusable)
    looks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("installation", _installation),
        ("machine", _machine),
        ("clock", lambda: [clock_check(datetime.now().astimezone())]),
        ("watched process", _watched_process),
        *((f"decoder {codec}", partial(_decoder, codec)) for codec in Codec),
    ]
    from batch.operations.doctor_objects import look_at_archive, look_at_reports

    if isinstance(reports, ObjectUrl):
        looks.append(("reports store", partial(look_at_reports, reports)))
    elif reports is not None:
        parts: dict[str, Callable[[Path], Iterable[Check]]] = {"folder": _folder}
        if not _why_no_folder(reports):
            parts |= {"names": _names, "lock": _lock, "left-over work": _work, "latest": _latest}
        looks += [(f"reports {name}", partial(look, reports)) for name, look in parts.items()]
    if isinstance(archive, ObjectUrl):
        looks.append(("archive store", partial(look_at_archive, archive, LISTED)))
    elif archive is not None:
        looks.append(("archive", partial(_archive, archive)))
    if archive is not None and reports is not None:
        looks.append(("places", partial(_separate, archive, reports)))
    if model is not None:
        looks.append(("model", partial(_model, model)))
    return unusable + [check for name, look in looks for check in run_check(name, look)]


def _resolved(option: str, given: Place | None, unusable: list[Check]) -> Place | None:
    """A path as a run resolves it; one that it would refuse adds a failed check to `unusable`."""
    try:
        return whole_path(option, given) if isinstance(given, Path) else given
    except UsageError as error:
        unusable.append(Check(option, Status.FAILED, str(error)))
        return None


def clock_check(now: datetime) -> Check:
    """Whether the clock can be right; run ids and the order of nights depend on it."""
    found = f"{now:%Y-%m-%d %H:%M}, time zone {now.tzname()} ({now:%z})"
    return check_by_level("clock", now.year, BUILD_YEAR, BUILD_YEAR, found, "Set the clock (NTP).")


def memory_check(meminfo: str) -> Check:
    """Available memory. meminfo: the text of /proc/meminfo."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    size = int(match[1]) * 1024 if match else 0
    found = f"{size / GIB:.1f} GiB available" if match else "unknown: not in /proc/meminfo"
    return check_by_level(
        "memory", size, 2 * GIB, 0, found, "A run takes 1 to 2 GiB: end other programs."
    )


def space_checks(free: int, inodes_free: int, inodes: int) -> Iterator[Check]:
    """Free bytes, and free inodes if the file system counts them (btrfs does not)."""
    found, remedy = f"{free / GIB:.2f} GiB free", "Free space, or try `melanoma-batch prune`."
    yield check_by_level("reports space", free, GIB, 100 * MIB, found, remedy)
    if inodes:
        yield check_by_level(
            "reports inodes", inodes_free, 10_000, 1_000, f"{inodes_free} free", remedy
        )


def _decoder(codec: Codec) -> Iterator[Check]:
    syntaxes = [uid for uid, codec_of_uid in CODECS.items() if codec_of_uid == codec]
    problems = []
    for uid in syntaxes:
        try:
            problem = call_in_sandbox(decoding_problem, (uid,), Limits.decode_seconds, 4 * GIB)
        except DecoderNotStarted as error:
            problem = f"no process started ({error.detail})"
        except ImageFailure as failure:
            problem = f"{failure.reason} {failure.detail}"
        problems += [f"{uid}: {problem}"] if problem else []
    found = "; ".join(problems) or f"all transfer syntaxes ({len(syntaxes)}) decoded"
    yield check_by_level(
        f"decoder {codec}", not problems, 1, 1, found, "Install the package again."
    )


def _watched_process() -> Iterator[Check]:
    found = "started and answered"
    try:
        call_in_sandbox(os.getpid, (), Limits.decode_seconds, 4 * GIB)
    except DecoderNotStarted as error:
        found = f"did not start ({error.detail})"
    remedy = "Look at memory, at `ulimit -a`, and whether the working directory exists."
    yield check_by_level("watched process", found.startswith("started"), 1, 1, found, remedy)


def _installation() -> Iterator[Check]:
    supported = sys.platform == "linux" and (3, 11) <= sys.version_info[:2] < (3, 14)
    found = f"{sys.version.split()[0]} on {sys.platform}, {os.uname().release}"
    yield check_by_level("python", supported, 1, 1, found, "Use Python 3.11 to 3.13 on Linux.")
    try:
        requirements = metadata.requires("melanoma-batch") or []
    except metadata.PackageNotFoundError:
        yield Check("libraries", Status.WARNING, "unknown: a checkout", "pip install it.")
        return
    for name in sorted(
        re.split(r"[^\w.-]", word)[0] for word in requirements if "extra" not in word
    ):
        found = ""
        with suppress(metadata.PackageNotFoundError):
            found = metadata.version(name)
        yield check_by_level(
            f"library {name}", bool(found), 1, 1, found or "missing", "Install it."
        )


def _machine() -> Iterator[Check]:
    yield Check("cores", Status.OK, f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable")
    yield memory_check(Path("/proc/meminfo").read_text(encoding="utf-8"))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] % (1 << 64)  # unlimited is -1
    yield check_by_level(
        "open files", files, OPEN_FILES, 0, f"limit {files}", f"ulimit -n {OPEN_FILES}"
    )


def _model(id_or_folder: str) -> Iterator[Check]:
    from batch.model.artifact import find_artifact, verify_artifact

    artifact = find_artifact(id_or_folder)
    verify_artifact(artifact)
    found = f"{artifact.manifest.model_id} {artifact.manifest.model_sha256[:8]} passed its checks"
    yield Check("model", Status.OK, found)


def _folder(reports: Path) -> Iterator[Check]:
    folder = _nearest(reports)
    found = f"{folder}" if folder == reports else f"not there; would be made below {folder}"
    why_no_folder = _why_no_folder(reports)
    remedy = "Needed: a folder, or a new name."
    yield check_by_level("reports folder", not why_no_folder, 1, 1, why_no_folder or found, remedy)
    if why_no_folder:
        return
    disk = os.statvfs(folder)
    yield from space_checks(disk.f_bavail * disk.f_frsize, disk.f_favail, disk.f_files)
    found, remedy = "write, fsync, flock, rename and symlink work", "Check owner and permissions."
    try:
        _write(folder)
    except OSError as error:
        found = f"cannot write in {folder} ({error.strerror})"
    yield check_by_level("reports writing", not found.startswith("cannot"), 1, 1, found, remedy)


def _nearest(place: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    place = place.absolute()
    return next(p for p in (place, *place.parents) if os.path.lexists(p))


def _why_no_folder(reports: Path) -> str:
    """Why the reports folder cannot be made or used; empty if it can."""
    folder = _nearest(reports)
    if not folder.is_dir():
        return f"{folder} is a file, or a link to nothing"
    try:
        os.lstat(reports)
    except (FileNotFoundError, PermissionError):
        return ""
    except OSError as error:
        return f"this cannot be a name ({error.strerror})"
    return ""


def _names(reports: Path) -> Iterator[Check]:
    """Fail if something else has a name that the job uses in REPORTS."""
    LocalReports(reports).check_layout()
    yield from ()


def _separate(archive: Place, reports: Place) -> Iterator[Check]:
    """Fail if archive and reports lie inside each other."""
    check_apart(archive, reports)
    yield from ()


def _write(folder: Path) -> None:
    """Do what locking and publishing do, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as place:
        with open(f"{place}/file", "wb", buffering=0) as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(f"{place}/file", f"{place}/night")
        os.symlink("night", f"{place}/latest")


def _lock(reports: Path) -> Iterator[Check]:
    """Whether a run holds the lock. A free lock is taken for an instant, shared."""
    found, path = "free", reports / LOCK_FILE
    with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found = f"held: {file.read(400).strip()}"
    yield check_by_level("reports lock", found == "free", 1, 0, found, "Wait for that run to end.")


def _work(reports: Path) -> Iterator[Check]:
    runs = len(list((reports / ".in-progress").glob("*")))
    remedy = "The next run takes it up."
    yield check_by_level("reports left-over work", not runs, 1, 0, f"of {runs} runs", remedy)


def _latest(reports: Path) -> Iterator[Check]:
    run_id, nights = latest_run(reports), reports / RUNS
    if run_id is None:
        is_new = not os.path.lexists(reports / LATEST) and not any(nights.glob("*"))
        rank, found = (2, "no night yet") if is_new else (0, "points to no night")
    else:
        run = stored_run(nights / run_id)
        rank = 0 if not run.complete else 1 if notes(run) else 2
        found = f"{run_id} {notes(run) or 'complete'}"
    remedy = "Point it to a complete night: ln -sfn runs/RUN_ID latest"
    yield check_by_level("reports latest", rank, 2, 1, found, remedy)


def _archive(archive: Path) -> Iterator[Check]:
    check_archive(archive)
    device = "another" if archive.stat().st_dev != os.stat("/").st_dev else "the"
    found = f"{'a' if os.path.ismount(archive) else 'no'} mount point, on {device} device "
    yield Check("archive folder", Status.OK, found + ("than /" if device != "the" else "of /"))
    storage, start = LocalArchive(archive.absolute()), time.monotonic()
    locations = list(islice(storage.list_files(), LISTED))
    found = f"{len(locations)} files in {time.monotonic() - start:.2f} s (stops at {LISTED})"
    yield check_by_level("archive listing", len(locations), 1, 1, found, "Is the archive mounted?")
    readings = list(islice(_readable(storage, locations), TRIED))
    found = f"{sum(readings)} of {len(readings)} examples opened and read"
    fail = min(1, len(readings))  # one unreadable file is only a row of the report
    yield check_by_level(
        "archive reading", sum(readings), len(readings), fail, found, "Check permissions."
    )


def _readable(storage: LocalArchive, listed: Iterable[ImageLocation]) -> Iterator[bool]:
    """Whether files can be read; links, pipes and files that are too large do not count."""
    for location in listed:
        try:
            storage.read(location, Limits.file_bytes)
            yield True
        except ImageFailure as failure:
            if failure.reason == FailureReason.NOT_READABLE:
                yield False
