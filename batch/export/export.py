"""`melanoma-batch export`: results of the latest night into a PACS and an EHR.

It is a command of its own and never part of `score`: documents hold the patient's name, which no
report does. The name goes from the image to the document and nowhere else.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.archive.access import check_archive, open_archive
from batch.core.errors import UsageError
from batch.core.location import Place, whole_path
from batch.core.privacy import Identifiers
from batch.core.text import spreadsheet_safe
from batch.export import export_fhir
from batch.export.accounts import Account, State
from batch.export.credentials import check_url, credentials
from batch.export.export_log import FOLDER, ExportLog, only_exporter
from batch.export.selection import TIERS, Selection, select
from batch.reports.local import LocalReports
from batch.storage.files import private_files

if TYPE_CHECKING:
    from batch.export.receivers import Receiver

CALLING = "MELANOMABATCH"
NOT_EXPORTED = "not_exported.csv"
_LEVELS = tuple(Identifiers)


@dataclass(frozen=True)
class ExportOptions:
    """What `export` was told.

    tiers: words with commas. identifiers: of FHIR; None for the night's. archive: None for where
    the night found it. The rest are the receivers, each None where it is not wanted.
    """

    tiers: str = "alert"
    identifiers: str | None = None
    archive: Place | None = None
    dicom_sr: Path | None = None
    stow: str | None = None
    stow_credentials: Path | None = None
    c_store: str | None = None
    calling_aet: str = CALLING
    fhir: Path | None = None
    fhir_server: str | None = None
    fhir_credentials: Path | None = None

    @property
    def wants_dicom(self) -> bool:
        """Whether documents go anywhere."""
        return not (self.dicom_sr is self.stow is self.c_store is None)


@dataclass(frozen=True)
class Exported:
    """What was done. accounts: by kind of receiver and its name, in the order of the work."""

    selection: Selection
    accounts: tuple[tuple[str, Account], ...]

    @property
    def has_failed(self) -> bool:
        """Whether something was not handed over that could have been."""
        return any(account.has_failed for _, account in self.accounts)

    def as_json(self) -> dict[str, Any]:
        """The accounts as JSON can hold them."""
        return {
            "run_id": self.selection.run_id,
            "copies": self.selection.copies,
            "exports": [{"kind": kind, **account.as_json()} for kind, account in self.accounts],
            "failed": self.has_failed,
        }


def export(
    reports: LocalReports, options: ExportOptions, now: datetime, environment: Mapping[str, str]
) -> Exported:
    """Export the latest night to every receiver that was named.

    Raises:
        UsageError: an option cannot be used, no night is published, or the extra is missing.
        ReportsLocked: another export runs. LedgerImbalance: the counts do not add up.
    """
    tiers = chosen_tiers(options.tiers)
    with ExitStack() as stack:
        receivers = _dicom_receivers(options, reports, environment, stack)
        resources = _fhir_receivers(options, reports, environment)
        if not receivers and not resources:
            raise UsageError(
                "export: nothing says where to; needed: at least one of --dicom-sr, --stow, "
                "--c-store, --fhir, --fhir-server."
            )
        reports.fetch(FOLDER)
        folder = stack.enter_context(only_exporter(reports.root))
        logs = {one.name: ExportLog(folder, f"sr-{one.kind}", one.name) for one in receivers}
        fhir_logs = {one.name: ExportLog(folder, "fhir", one.name) for one in resources}
        selection = _select(reports, tiers, now, logs, fhir_logs)
        accounts: list[tuple[str, Account]] = []
        if receivers:
            read = _reader(selection, options.archive)
            from batch.export.export_sr import export_documents, exported_images

            for one in receivers:
                log = logs[one.name]
                own = selection.following(exported_images(log), ())
                accounts.append((one.kind, export_documents(own, one, log, read)))
        if resources:
            level = export_fhir.Level(_level(options.identifiers, selection.identifiers))
            salt = export_fhir.read_salt(folder)
            for server in resources:
                log = fhir_logs[server.name]
                own = selection.following(
                    export_fhir.exported_images(log), export_fhir.exported_lesions(log)
                )
                account = export_fhir.export_resources(own, server, log, level, salt)
                accounts.append(("fhir", account))
        exported = Exported(selection, tuple(accounts))
        _write_not_exported(folder / NOT_EXPORTED, exported)
        reports.send(FOLDER)
    return exported


def chosen_tiers(words: str) -> tuple[str, ...]:
    """The tiers of `--tiers`.

    Raises:
        UsageError: one is not known, or none is given.
    """
    tiers = tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    unknown = [tier for tier in tiers if tier not in TIERS]
    if unknown or not tiers:
        raise UsageError(
            f"--tiers: found {', '.join(unknown) or 'nothing'}; allowed, with commas: "
            f"{', '.join(TIERS)}. What is below the band is never exported: nothing says cleared."
        )
    return tiers


def describe(exported: Exported) -> str:
    """Lines for a person on what was done."""
    selection = exported.selection
    lines = [f"Night      {selection.run_id}"]
    for kind, account in exported.accounts:
        what = "lesions" if kind == "fhir" else "documents, one a study"
        lines += [
            f"{kind:10} {account.receiver}",
            f"           {account.written:>8} {what}, handed over ({account.amended} amend earlier "
            f"ones); {account.unchanged} unchanged",
            f"Images     {len(account.states):>8} = {_sum(account.counts())}",
            f"Alerts     {len(account.alerts):>8} = {_sum(account.counts(only_alerts=True))}",
        ]
    if selection.copies:
        lines.append(f"Copies     {selection.copies:>8} further files of the same images")
    lines += ["No alert does not mean cleared; of what is below the band nothing is exported.", ""]
    return "\n".join(lines)


def complaints(exported: Exported) -> list[str]:
    """A line for each image that failed: its path and the reason."""
    images = exported.selection.images
    return [
        f"{images[image_id].path if image_id in images else image_id}: {reason}"
        for _, account in exported.accounts
        for image_id, reason in account.reasons.items()
    ]


def _sum(counts: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())


def _select(
    reports: LocalReports,
    tiers: tuple[str, ...],
    now: datetime,
    logs: Mapping[str, ExportLog],
    fhir_logs: Mapping[str, ExportLog],
) -> Selection:
    follow: set[str] = set()
    lesions: set[str] = set()
    for log in logs.values():
        follow |= {name for line in log.all_latest().values() for name in line.get("images", ())}
    for log in fhir_logs.values():
        follow |= export_fhir.exported_images(log)
        lesions |= export_fhir.exported_lesions(log)
    return select(reports, tiers, now, follow, lesions)


def _reader(selection: Selection, archive: Place | None) -> Callable[..., Any]:
    from batch.export.export_sr import archive_reader

    place = archive or selection.archive
    if place is None:
        raise UsageError(
            "--archive: this night does not say where its images are; name the archive."
        )
    place = whole_path("--archive", place) if isinstance(place, Path) else place
    check_archive(place)
    return archive_reader(open_archive(place), selection)


def _dicom_receivers(
    options: ExportOptions,
    reports: LocalReports,
    environment: Mapping[str, str],
    stack: ExitStack,
) -> list[Receiver]:
    if not options.wants_dicom:
        return []
    try:
        import dicomweb_client  # noqa: F401
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "export: DICOM needs the packages highdicom, dicomweb-client and pynetdicom, which are "
            "not installed. Install them with: pip install 'melanoma-batch[dicom]'"
        ) from error
    from batch.export.receivers import SrFolder, StoreScp, StowServer

    found: list[Receiver] = []
    if options.dicom_sr is not None:
        found.append(SrFolder(_outside("--dicom-sr", options.dicom_sr, reports)))
    if options.stow is not None:
        secret = credentials("STOW", options.stow_credentials, environment)
        found.append(StowServer(check_url("--stow", options.stow), secret))
    if options.c_store is not None:
        found.append(StoreScp(options.c_store, options.calling_aet))
    for one in found:
        stack.callback(one.close)
    return found


def _fhir_receivers(
    options: ExportOptions, reports: LocalReports, environment: Mapping[str, str]
) -> list[export_fhir.FhirReceiver]:
    found: list[export_fhir.FhirReceiver] = []
    if options.fhir is not None:
        found.append(export_fhir.NdjsonFolder(_outside("--fhir", options.fhir, reports)))
    if options.fhir_server is not None:
        secret = credentials("FHIR", options.fhir_credentials, environment)
        url = check_url("--fhir-server", options.fhir_server)
        found.append(export_fhir.FhirServer(url, secret))
    return found


def _outside(option: str, folder: Path, reports: LocalReports) -> Path:
    """A folder for what holds names; never within REPORTS, which hold none."""
    whole, root = whole_path(option, folder), reports.root.resolve()
    if whole == root or root in whole.parents:
        raise UsageError(
            f"{option}: {whole} is inside the reports, which never hold names; choose a folder "
            "outside."
        )
    return whole


def _level(asked: str | None, of_night: str) -> Identifiers:
    """The identifiers that resources hold.

    Raises:
        UsageError: more is asked for than the night holds.
    """
    night = Identifiers(of_night) if of_night in _LEVELS else Identifiers.UIDS
    if asked is None:
        return night
    level = Identifiers(asked)
    if _LEVELS.index(level) > _LEVELS.index(night):
        raise UsageError(
            f"--identifiers: found {level}; the night was scored with {night}, and its tables hold "
            f"no more. Score with --identifiers {level}, or ask for {night}."
        )
    return level


def _write_not_exported(path: Path, exported: Exported) -> None:
    """Name what has no document or resource, and why: path, image, receiver, state, reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("path", "image_id", "receiver", "state", "reason"))
    images = exported.selection.images
    for kind, account in exported.accounts:
        for image_id, state in sorted(account.states.items()):
            if state in (State.EXPORTED, State.UNCHANGED):
                continue
            where = images[image_id].path if image_id in images else ""
            where = where.encode("utf-8", "backslashreplace").decode()
            row = (where, image_id, f"{kind} {account.receiver}", state.value)
            writer.writerow(
                [spreadsheet_safe(w) for w in (*row, account.reasons.get(image_id, ""))]
            )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with private_files():
        temporary.write_text("\ufeff" + text.getvalue(), encoding="utf-8", newline="")
    os.replace(temporary, path)
