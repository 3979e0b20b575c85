"""Text that is safe in a spreadsheet or on one line, and suggestions for misspelt words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A cell that begins with one of these is a formula in some spreadsheet. The last four are the
full-width forms."""


def spreadsheet_safe(text: str) -> str:
    """Make a cell of a text, such that it starts no formula and breaks no line.

    Control characters become \\xNN. A text that begins with = + - @, also after apostrophes, gets
    an apostrophe before it; `from_spreadsheet` takes it away.
    """
    shown = "".join(_escaped(c) if is_control(c) else c for c in text)
    return "'" + shown if shown.lstrip("'").startswith(_STARTS) else shown


def from_spreadsheet(cell: str) -> str:
    """The text of a cell, without the apostrophe of `spreadsheet_safe`."""
    is_defused = cell.startswith("'") and cell.lstrip("'").startswith(_STARTS)
    return cell[1:] if is_defused else cell


def one_line(text: str, most: int) -> str:
    """Cut a text to `most` characters and replace its control characters by spaces."""
    return "".join(" " if is_control(c) else c for c in text).strip()[:most]


def is_control(character: str) -> bool:
    """Whether a character is invisible, like a line end, a tab or a mark of direction."""
    return not character.isprintable() and character != " "


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A question with a space before it, as " Did you mean 'side'?"; empty if no word is near."""
    by_lower = {candidate.lower(): candidate for candidate in allowed}
    nearest = difflib.get_close_matches(word.lower(), by_lower, 1)
    return f" Did you mean {by_lower[nearest[0]]!r}?" if nearest else ""
