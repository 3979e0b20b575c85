"""Where SR documents go: a folder, a PACS by STOW-RS, or one by C-STORE."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from batch.core.errors import UsageError
from batch.export.credentials import Credentials
from batch.export.dicom_sr import as_file
from batch.storage.files import private_files, sync

for _library in ("dicomweb_client", "pynetdicom", "retrying"):  # these quote what they send
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)

TRIES, FIRST_WAIT_SECONDS = 3, 1.0
_SECONDS = 60
_TRY_LATER = (408, 429, 500, 502, 503, 504)
_REFUSED_ALL = (401, 403, 404, 405, 407)
_HIGHEST_PORT = 65535


class NotTaken(Exception):
    """A receiver did not take a document. The message says why and quotes no patient data."""


class ReceiverLost(NotTaken):
    """The receiver takes nothing at all: it does not answer, or refuses who asks."""


class Receiver(Protocol):
    """Takes documents. kind: `folder`, `stow` or `c-store`. name: for people and for the log."""

    kind: str
    name: str

    def has(self, document_uid: str, study_uid: str) -> bool:
        """Whether a document that was handed over is still there, as far as it can be seen."""

    def store(self, document: Dataset) -> None:
        """Hand a document over.

        Raises:
            NotTaken: it was not taken. ReceiverLost: no other one would be, either.
        """

    def close(self) -> None:
        """End the connection."""


class SrFolder:
    """`FOLDER/<study>/<document>.dcm`, its owner's alone, since the documents hold names."""

    kind = "folder"

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
                f"--dicom-sr: cannot make {folder} ({error.strerror}). Choose another folder."
            ) from error

    def has(self, document_uid: str, study_uid: str) -> bool:
        """See `Receiver`."""
        return self._path(document_uid, study_uid).is_file()

    def store(self, document: Dataset) -> None:
        """See `Receiver`. The file is complete or not there."""
        path = self._path(str(document.SOPInstanceUID), str(document.StudyInstanceUID))
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with private_files():
                path.parent.mkdir(exist_ok=True)
                temporary.write_bytes(as_file(document))
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        except OSError as error:
            raise ReceiverLost(f"cannot be written ({error.strerror})") from error
        finally:
            temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """See `Receiver`."""

    def _path(self, document_uid: str, study_uid: str) -> Path:
        return self._folder / study_uid / f"{document_uid}.dcm"


class StowServer:
    """A PACS by STOW-RS."""

    kind = "stow"

    def __init__(
        self, url: str, credentials: Credentials, wait: Callable[[float], None] = time.sleep
    ) -> None:
        from dicomweb_client import DICOMwebClient

        self.name, self._wait = url, wait
        self._client = DICOMwebClient(url, session=credentials.session(), timeout=_SECONDS)
        self._client.set_http_retry_params(retry=False)

    def has(self, document_uid: str, study_uid: str) -> bool:
        """See `Receiver`: not asked, the log is believed."""
        return True

    def store(self, document: Dataset) -> None:
        """See `Receiver`. A busy server is asked again."""
        import requests

        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                answer = self._client.store_instances([document])
                _check_stored(answer, str(document.SOPInstanceUID))
                return
            except requests.HTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                if status in _REFUSED_ALL:
                    raise ReceiverLost(f"the server refuses (HTTP {status})") from None
                if status not in _TRY_LATER or is_last:
                    raise NotTaken(f"the server did not take it (HTTP {status})") from None
            except requests.RequestException as error:
                if is_last:
                    raise ReceiverLost(f"the server fails ({type(error).__name__})") from None
            except NotTaken:
                raise
            except Exception as error:  # an answer that is no DICOM JSON or XML
                raise NotTaken(f"its answer was not understood ({type(error).__name__})") from None
            self._wait(FIRST_WAIT_SECONDS * 2**attempt)

    def close(self) -> None:
        """See `Receiver`."""


def _check_stored(answer: Any, document_uid: str) -> None:
    """Believe only an answer that names the document as stored: a proxy's page of log-in does not,
    and comes with HTTP 200, too.
    """
    failed = answer.get("FailedSOPSequence") or []
    if len(failed):
        reason = failed[0].get("FailureReason")
        code = f"0x{int(reason):04X}" if reason is not None else "no reason"
        raise NotTaken(f"the server did not take it (failure {code})")
    stored = answer.get("ReferencedSOPSequence") or []
    if document_uid not in {str(one.get("ReferencedSOPInstanceUID")) for one in stored}:
        raise NotTaken("its answer does not say that it was stored")


class StoreScp:
    """A PACS by C-STORE. One association serves all documents."""

    kind = "c-store"

    def __init__(
        self, address: str, calling: str, wait: Callable[[float], None] = time.sleep
    ) -> None:
        """address: HOST:PORT:AET.

        Raises:
            UsageError: it has another form.
        """
        from pynetdicom import AE, build_context

        self._host, self._port, self._called = parse_address(address)
        self.name, self._wait = address, wait
        self._entity = AE(ae_title=calling)
        for seconds in ("acse_timeout", "dimse_timeout", "network_timeout"):
            setattr(self._entity, seconds, _SECONDS)
        self._entity.connection_timeout = _SECONDS
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        self._contexts = [build_context(Comprehensive3DSRStorage, one) for one in syntaxes]
        self._association: Any = None

    def has(self, document_uid: str, study_uid: str) -> bool:
        """See `Receiver`: not asked, the log is believed."""
        return True

    def store(self, document: Dataset) -> None:
        """See `Receiver`. A connection that breaks is made again."""
        for attempt in range(TRIES):
            status = self._send(document)
            if status is not None and "Status" in status:
                code = int(status.Status)
                if code == 0 or 0xB000 <= code <= 0xBFFF:  # taken, perhaps with a warning
                    return
                if 0xA700 <= code <= 0xA7FF and attempt < TRIES - 1:  # out of resources
                    self._wait(FIRST_WAIT_SECONDS * 2**attempt)
                    continue
                raise NotTaken(f"the server did not take it (status 0x{code:04X})")
            self._wait(FIRST_WAIT_SECONDS * 2**attempt)
        raise ReceiverLost("the server does not answer, or refuses this AE title or SR documents")

    def close(self) -> None:
        """See `Receiver`."""
        if self._association is not None and self._association.is_established:
            self._association.release()

    def _send(self, document: Dataset) -> Dataset | None:
        """The status; None if there was no connection."""
        if self._association is None or not self._association.is_established:
            self._association = self._entity.associate(
                self._host, self._port, contexts=self._contexts, ae_title=self._called
            )
        if not self._association.is_established:
            return None
        try:
            found: Dataset = self._association.send_c_store(document)
        except (ValueError, RuntimeError):  # no context was accepted, or the connection is gone
            self._association.abort()
            return None
        return found


def parse_address(address: str) -> tuple[str, int, str]:
    """HOST:PORT:AET as its parts.

    Raises:
        UsageError: it has another form.
    """
    host, _, rest = address.strip().partition(":")
    if address.startswith("["):  # an address of IPv6
        host, _, rest = address[1:].partition("]:")
    port, _, title = rest.partition(":")
    is_port = port.isdigit() and 0 < int(port) <= _HIGHEST_PORT
    if not (host and is_port and 0 < len(title.strip()) <= 16 and title.isascii()):
        raise UsageError(
            f"--c-store: found {address}; allowed: HOST:PORT:AET, e.g. pacs.example:104:ARCHIVE, "
            "with an AE title of 16 characters at most."
        )
    return host, int(port), title.strip()
