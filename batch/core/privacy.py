"""What a report may say about a patient.

A report never holds names, birth dates or free text. A pseudonym is an HMAC-SHA-256 of issuer and
patient ID under the hospital's own key. The same patient always gets the same pseudonym, and
without the key nobody can find the patient by trying all numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from batch.core.errors import UsageError

MIN_KEY_BYTES = 32
LISTED_LESION = "MANIFEST:"
"""So begins the `lesion_id` of a lesion that a table of `--manifest` names; it is its key, too."""

_QUOTED = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "%/@"})
"""Signs that have a meaning in the keys of lesions."""

_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "tracking_uid")


class Identifiers(StrEnum):
    """How much identity the reports hold."""

    NONE = "none"
    UIDS = "uids"
    FULL = "full"


@dataclass(frozen=True)
class IdentifierPolicy:
    """How a run treats identity.

    level: what is written.
    key: 32 bytes or more; None: no pseudonyms are written.
    """

    level: Identifiers = Identifiers.UIDS
    key: bytes | None = field(default=None, repr=False)

    @property
    def key_id(self) -> str | None:
        """A name of the key that does not reveal it: 16 hex digits.

        Reports with the same key_id have the same pseudonyms and can be joined.
        """
        if self.key is None:
            return None
        return hmac.digest(self.key, b"melanoma-batch key id", hashlib.sha256).hex()[:16]

    def apply(self, attributes: Mapping[str, str | None]) -> dict[str, str | None]:
        """Keep the attributes that a report may hold; the others become None.

        Args:
            attributes: as the DICOM object has them: the UIDs, `tracking_uid`, `tracking_id`,
                `patient_id`, `issuer_of_patient_id` and `accession_number`.

        Returns:
            the same without `tracking_uid` and `tracking_id`, with `patient_pseudonym` and
            `lesion_id`.
        """
        allowed = dict(attributes)
        tracking_uid, tracking_id = allowed.pop("tracking_uid"), allowed.pop("tracking_id")
        full = self.level == Identifiers.FULL
        allowed["patient_pseudonym"] = self._pseudonym(attributes)
        if tracking_id is not None and tracking_id.startswith(LISTED_LESION):
            tracking_id = None  # only a table may name such a lesion, else two would become one
        allowed["lesion_id"] = tracking_uid or (tracking_id if full else None)
        if not full:
            allowed |= {"patient_id": None, "issuer_of_patient_id": None, "accession_number": None}
        if self.level == Identifiers.NONE:
            allowed |= {name: None for name in _UIDS if name in allowed} | {"lesion_id": None}
        return allowed

    def listed_lesion(
        self, issuer: str | None, patient_id: str | None, lesion: str | None
    ) -> str | None:
        """The `lesion_id` of a lesion that a hospital's table names; None if no report may hold it.

        A table's numbers mean something within a patient, so the patient is part of it. With the
        key, and without full identifiers, it is a pseudonym.
        """
        if lesion is None or self.level == Identifiers.NONE:
            return None
        parts = [lesion]
        if patient_id is not None:
            parts = [*([issuer] if issuer else []), patient_id, lesion]
        if self.level == Identifiers.FULL:
            named = "/".join(part.translate(_QUOTED) for part in parts)
            return LISTED_LESION + named
        digest = self._digest("Lesion", *parts)
        return None if digest is None else LISTED_LESION + digest

    def _pseudonym(self, attributes: Mapping[str, str | None]) -> str | None:
        patient_id = attributes["patient_id"]
        if patient_id is None:
            return None
        return self._digest("PatientID", attributes["issuer_of_patient_id"] or "", patient_id)

    def _digest(self, *words: str) -> str | None:
        """HMAC-SHA-256 of words in hex; None without a key."""
        if self.key is None:
            return None
        # the length before each part keeps ("ab", "c") and ("a", "bc") apart
        parts = [word.encode() for word in words]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self.key, message, hashlib.sha256).hex()


def read_key(path: Path) -> bytes:
    """Read the key of the pseudonyms.

    Raises:
        UsageError: not readable, shorter than 32 bytes, or readable by others than its owner.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise UsageError(
                f"--patient-key-file: {path} is no regular file; needed: a file with "
                f"{MIN_KEY_BYTES} bytes or more."
            )
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(4096)
    except OSError as error:
        raise UsageError(
            f"--patient-key-file: cannot read {path} ({error.strerror}). Give a file with "
            f"{MIN_KEY_BYTES} bytes or more that this account may read."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"--patient-key-file: {path} has mode {stat.S_IMODE(mode):o}; allowed: no right for "
            f"group and others. Run: chmod 600 {path}"
        )
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(
            f"--patient-key-file: {len(key)} bytes in {path}; needed: {MIN_KEY_BYTES} or more. "
            f"Make one with: head -c 32 /dev/urandom > {path}"
        )
    return key
