"""What a result depends on besides the file: compared between nights, one part for each effect.

A part that changed makes tonight's run read again what it affects, and nothing else: include rules
concern DICOM objects only, a new decoder only what could not be read.
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
    """16 hex digits that name a value made of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def failure_fingerprint(limits: Limits) -> str:
    """What decides whether a file can be read: limits and the decoders' versions."""
    return digest_of([vars(limits), [(name, installed_version(name)) for name in DECODERS]])


def identity_fingerprint(rules: ReadingRules) -> str:
    """What decides which DICOM objects are scored, and what of their identity is written."""
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
    """A library's version; `unknown` for one that was repackaged without metadata."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
