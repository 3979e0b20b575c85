"""Fingerprints of everything but the file that a result depends on.

A run compares its fingerprints with those of the last night and reads again only what a change
affects. Other include rules affect DICOM objects only; a new decoder affects only files that could
not be read.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from batch.core.rules import Limits, ReadingRules

DECODERS = (
    "Pillow",
    "simplejpeg",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
    "imagecodecs",
)


def digest_of(value: Any) -> str:
    """The digest of a value that JSON can hold, as 16 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def failure_fingerprint(limits: Limits) -> str:
    """Fingerprint of what decides whether a file can be read: limits and versions of decoders."""
    return digest_of([vars(limits), [(name, installed_version(name)) for name in DECODERS]])


def identity_fingerprint(rules: ReadingRules) -> str:
    """Fingerprint of the include and exclude rules and of the identifier policy."""
    selection, identifiers = rules.selection, rules.identifiers
    return digest_of(
        [
            sorted((rule.attribute, rule.value) for rule in selection.include),
            sorted((rule.attribute, rule.value) for rule in selection.exclude),
            identifiers.level.value,
            identifiers.key_id,
        ]
    )


def installed_version(library: str) -> str:
    """A library's version; `unknown` if it is not installed or has no metadata."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
