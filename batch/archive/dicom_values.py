"""A dataset's values by keyword, several times faster than pydicom's own conversion.

One string in ASCII and one 16-bit number are decoded here; several values, text that needs its
character set, and all else are pydicom's. An object has some thirty such values, and pydicom's
conversion of each holds the interpreter that other threads are waiting for.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

# PS3.5 6.2: of the default character repertoire, or in a character set; each of those holds ASCII
_STRINGS = frozenset({"CS", "DA", "DT", "TM", "UI", "LO", "SH"})
_ESCAPE = b"\x1b"
_PADDING = " \0"


class PlainValues:
    """What `dicom_attributes` reads from: `get(keyword)` as a dataset has it."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def get(self, keyword: str) -> Any:
        """The value: str, int, a list of PlainValues for the items of a sequence, or whatever
        pydicom makes of it; None when absent.

        Raises:
            Exception: of many kinds, for a value that pydicom cannot convert.
        """
        tag = _tag(keyword)
        element = self._dataset.get_item(tag)
        if element is None:
            return None
        if isinstance(element, RawDataElement) and element.value:
            value = element.value
            if element.VR in _STRINGS and _is_plain(value):
                return value.decode("ascii").rstrip(_PADDING)
            if element.VR == "US" and len(value) == 2:
                return int.from_bytes(value, "little" if element.is_little_endian else "big")
        element = self._dataset[tag]
        if element.VR == "SQ":
            return [PlainValues(item) for item in element.value or ()]
        return element.value


def _is_plain(value: bytes) -> bool:
    """One value in ASCII; a change of character set is told in ASCII, too (ISO 2022)."""
    return value.isascii() and b"\\" not in value and _ESCAPE not in value


@cache
def _tag(keyword: str) -> BaseTag:
    found = tag_for_keyword(keyword)
    if found is None:
        raise KeyError(keyword)  # a mistake of ours, not the file's
    return Tag(found)
