"""Exports FHIR: files by resource type, or transactions to a server, one a lesion."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from batch.core.errors import UsageError
from batch.core.privacy import LISTED_LESION
from batch.export import fhir
from batch.export.accounts import Account, State
from batch.export.contract import stable_uuid
from batch.export.credentials import Credentials
from batch.export.export_log import ExportLog
from batch.export.fhir import Level, Resource
from batch.export.receivers import FIRST_WAIT_SECONDS, TRIES, NotTaken, ReceiverLost
from batch.export.selection import ExportImage, ExportLesion, Selection
from batch.storage.files import private_files, sync

TYPES = ("Device", "Observation", "Task")
SALT_FILE = "salt"
_SALTED = ("PATTERN:", "TRACKING:", LISTED_LESION)
"""Keys of lesions that may hold a patient's number, which could be found by trying."""
_MEDIA_TYPE = "application/fhir+json"
_SECONDS = 60
_TRY_LATER = (408, 429, 500, 502, 503, 504)
_REFUSED_ALL = (401, 403, 404, 405, 415)


@dataclass(frozen=True)
class Package:
    """Resources that are handed over together: a lesion, or an image that is on no list any more.

    key: in the log. images: ids of the images that it accounts for. observations: identifier of
    the Observation, by image_id. task: to remember while it is open; None without one.
    """

    key: str
    resources: tuple[Resource, ...]
    images: tuple[str, ...]
    observations: Mapping[str, str] = field(default_factory=dict)
    task: Resource | None = None

    @property
    def digest(self) -> str:
        """Of its content."""
        return hashlib.sha256(json.dumps(self.resources, sort_keys=True).encode()).hexdigest()


class FhirReceiver(Protocol):
    """Takes packages.

    name: for people and for the log. takes_at_end: whether nothing is kept before `finish`.
    """

    name: str
    takes_at_end: bool

    def store(self, package: Package) -> None:
        """Hand a package over.

        Raises:
            NotTaken: it was not taken. ReceiverLost: no other one would be, either.
        """

    def finish(self, packages: Sequence[Package]) -> None:
        """Called at the end with every package, those that are unchanged included.

        Raises:
            ReceiverLost: nothing was taken.
        """


class NdjsonFolder:
    """`FOLDER/<type>.ndjson`, each replaced as a whole, its owner's alone."""

    takes_at_end = True

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            UsageError: it cannot be made.
        """
        self._folder, self.name = folder, str(folder)
        try:
            with private_files():
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--fhir: cannot make {folder} ({error.strerror}). Choose another folder."
            ) from error

    def store(self, package: Package) -> None:
        """See `FhirReceiver`: the files are written at the end."""

    def finish(self, packages: Sequence[Package]) -> None:
        """See `FhirReceiver`."""
        resources = {one["id"]: one for package in packages for one in package.resources}
        try:
            for kind in TYPES:
                lines = [
                    json.dumps(one, ensure_ascii=False, sort_keys=False)
                    for one in resources.values()
                    if one["resourceType"] == kind
                ]
                self._write(f"{kind}.ndjson", "".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise ReceiverLost(f"cannot be written ({error.strerror})") from error

    def _write(self, name: str, text: str) -> None:
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            with private_files():
                temporary.write_text(text, encoding="utf-8")
            sync(temporary)
            os.replace(temporary, self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)


class FhirServer:
    """A FHIR R4 server that takes transactions."""

    takes_at_end = False

    def __init__(
        self, url: str, credentials: Credentials, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.name, self._wait = url, wait
        self._session = credentials.session()
        self._session.headers.update({"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE})

    def store(self, package: Package) -> None:
        """See `FhirReceiver`. A busy server is asked again."""
        import requests

        data = json.dumps(fhir.bundle(package.resources)).encode()
        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                answer = self._session.post(self.name, data, timeout=_SECONDS)
            except requests.RequestException as error:
                if is_last:
                    raise ReceiverLost(f"the server fails ({type(error).__name__})") from None
            else:
                if answer.ok:
                    return
                if answer.status_code in _REFUSED_ALL:
                    raise ReceiverLost(f"the server refuses (HTTP {answer.status_code})")
                if answer.status_code not in _TRY_LATER or is_last:
                    raise NotTaken(f"the server did not take it (HTTP {answer.status_code})")
            self._wait(FIRST_WAIT_SECONDS * 2**attempt)

    def finish(self, packages: Sequence[Package]) -> None:
        """See `FhirReceiver`: all were sent already."""


def export_resources(
    selection: Selection, receiver: FhirReceiver, log: ExportLog, level: Level, salt: bytes
) -> Account:
    """Hand the resources of a selection over to one receiver.

    Args:
        salt: of the names of lesions that may hold a patient's number.

    Raises:
        LedgerImbalance: an image ended in no state or in two.
    """
    account = Account.of(selection, receiver.name)
    account.settle(selection.left_archive, State.LEFT_ARCHIVE)
    packages = list(_packages(selection, log, level, salt))
    lost, failures = "", 0
    taken: list[Package] = []
    for package in packages:
        latest = log.latest(package.key)
        if latest is not None and latest.get("digest") == package.digest:
            account.settle(package.images, State.UNCHANGED)
            account.unchanged += 1
            continue
        try:
            if lost:
                raise NotTaken(lost)
            receiver.store(package)
        except NotTaken as failure:
            account.settle(package.images, State.FAILED, str(failure))
            account.has_failed = True
            failures += 1
            if not lost and (
                isinstance(failure, ReceiverLost) or failures == MOST_FAILURES_IN_A_ROW
            ):
                lost = f"not tried, since before it: {failure}"
            continue
        failures = 0
        taken.append(package)
        account.amended += latest is not None
        account.written += 1
        if not receiver.takes_at_end:
            _note(log, package)
    try:
        receiver.finish(packages)
    except ReceiverLost as failure:
        for package in taken:
            account.settle(package.images, State.FAILED, str(failure))
        account.written = account.amended = 0
        account.has_failed = True
        taken = []
    for package in taken:
        account.settle(package.images, State.EXPORTED)
        if receiver.takes_at_end:
            _note(log, package)
    account.check(selection)
    return account


MOST_FAILURES_IN_A_ROW = 5
"""So many packages in a row that a receiver does not take end the export to it."""


def exported_images(log: ExportLog) -> set[str]:
    """Ids of the images whose Observations were handed over."""
    return {name for line in log.all_latest().values() for name in line.get("observations", ())}


def exported_lesions(log: ExportLog) -> set[str]:
    """Keys of the lesions whose Tasks were handed over and are open."""
    lines = log.all_latest().values()
    return {line["lesion"] for line in lines if line.get("task") and line.get("lesion")}


def read_salt(folder: Path) -> bytes:
    """Random bytes of these reports, made once."""
    path = folder / SALT_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        salt = secrets.token_bytes(32)
        with private_files():
            path.write_bytes(salt)
        sync(path)
        return salt


def _note(log: ExportLog, package: Package) -> None:
    open_task = package.task if package.task and package.task["status"] == "requested" else None
    log.add(
        package.key,
        digest=package.digest,
        observations=dict(package.observations),
        lesion=package.key.partition(":")[2] if package.key.startswith("lesion:") else None,
        task=open_task,
    )


def _packages(selection: Selection, log: ExportLog, level: Level, salt: bytes) -> Iterable[Package]:
    replaced = _Replaced(log)
    listed: set[str] = set()
    for lesion in selection.lesions.values():
        package = _lesion_package(lesion, selection, replaced, level, salt, listed)
        listed |= set(package.images) | set(lesion.image_ids)
        yield package
    for image in selection.images.values():
        if image.image_id not in listed:
            value, before = replaced.value(image)
            found = fhir.observation(image, level, value, before)
            yield Package(
                f"image:{image.image_id}",
                (fhir.device(image.contract), found),
                (image.image_id,),
                {image.image_id: value},
            )
    yield from _cancelled(selection, log)


def _lesion_package(
    lesion: ExportLesion,
    selection: Selection,
    replaced: _Replaced,
    level: Level,
    salt: bytes,
    listed: set[str],
) -> Package:
    images = [selection.images[name] for name in lesion.image_ids if name in selection.images]
    images.sort(key=lambda image: (-image.score, image.image_id))
    without_score = [
        name for name in lesion.image_ids if name in selection.without_score and name not in listed
    ]
    contracts = {image.contract.digest: image.contract for image in images}
    if without_score or not images:
        contracts.setdefault(selection.contract.digest, selection.contract)
    devices = [fhir.device(contract) for contract in contracts.values()]
    observations, values = [], {}
    for image in images:
        values[image.image_id], before = replaced.value(image)
        observations.append(fhir.observation(image, level, values[image.image_id], before))
    observations += [fhir.absent_observation(n, selection.contract) for n in without_score]
    subject = next(filter(None, map(level.subject, images)), None)
    newest = max((image.scored_at for image in images), default=None)
    name = lesion.key
    value = stable_uuid("task", *([salt.hex()] if name.startswith(_SALTED) else []), name).hex
    found = fhir.task(lesion, value, observations, devices[0], subject, level, newest)
    return Package(
        f"lesion:{name}",
        (*devices, *observations, found),
        tuple([i.image_id for i in images if i.image_id not in listed] + without_score),
        values,
        found,
    )


def _cancelled(selection: Selection, log: ExportLog) -> Iterable[Package]:
    """Tasks that were open and whose lesions are on the list no more."""
    for key, line in sorted(log.all_latest().items()):
        lesion, before = line.get("lesion"), line.get("task")
        if before and lesion and lesion not in selection.listed:
            found = fhir.cancelled(before, selection.started_at)
            found.pop("requester", None)
            yield Package(key, (found,), (), line.get("observations", {}), found)


class _Replaced:
    """Which Observation of an image was handed over last, and before it."""

    def __init__(self, log: ExportLog) -> None:
        self._values: dict[str, list[str]] = {}
        for lines in log.every():
            for image_id, value in lines.get("observations", {}).items():
                known = self._values.setdefault(image_id, [])
                if value not in known[-1:]:
                    known.append(value)

    def value(self, image: ExportImage) -> tuple[str, str | None]:
        """The identifier of an image's Observation, and of the one that it replaces."""
        known = self._values.get(image.image_id, [])
        value = fhir.observation_value(image)
        before = known[-2] if len(known) > 1 else None
        if known and known[-1] in (value, fhir.observation_value(image, before)):
            return known[-1], before
        if value in known:  # the score went back to what it was
            value = fhir.observation_value(image, known[-1])
        return value, known[-1] if known else None
