"""Text that a spreadsheet shows and never runs; the nearest of several words. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What makes a cell a formula somewhere; the last four are the full-width forms."""


def spreadsheet_safe(text: str) -> str:
    """Text as a cell that starts no formula and breaks no line.

    Control characters become \\xNN. Before a leading = + - @ stands an apostrophe, and one more
    where there were apostrophes, so that `from_spreadsheet` can undo it.
    """
    shown = "".join(_escaped(c) if is_control(c) else c for c in text)
    return "'" + shown if shown.lstrip("'").startswith(_STARTS) else shown


def from_spreadsheet(cell: str) -> str:
    """The text of a cell, without the apostrophe of `spreadsheet_safe`."""
    is_defused = cell.startswith("'") and cell.lstrip("'").startswith(_STARTS)
    return cell[1:] if is_defused else cell


def one_line(text: str, most: int) -> str:
    """Text from elsewhere, cut to so many characters, without control characters."""
    return "".join(" " if is_control(c) else c for c in text).strip()[:most]


def is_control(character: str) -> bool:
    """Whether a character has no shape of its own: line ends, tabs, marks of direction."""
    return not character.isprintable() and character != " "


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A sentence with a space before it; empty where nothing allowed is near."""
    by_lower = {each.lower(): each for each in allowed}
    found = difflib.get_close_matches(word.lower(), by_lower, 1)
    return f" Did you mean {by_lower[found[0]]!r}?" if found else ""
