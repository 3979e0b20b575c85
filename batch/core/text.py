"""Text that is safe in a spreadsheet or on one line, and suggestions for misspelt words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

MASK = "********"
_SECRETS = (
    "password", "passwd", "secret", "token", "credential", "access-key", "api-key", "account-key",
    "sas-key", "connection-string",
)  # fmt: skip
_USER_PART = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^/\s@]+@")
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


def escaped(text: str) -> str:
    """A text whose control characters are shown by number, so that no terminal obeys them."""
    return "".join(_escaped(c) if is_control(c) else c for c in text)


def is_secret(name: str) -> bool:
    """Whether an option of this name holds what nobody may read."""
    return any(word in name.lower().replace("_", "-") for word in _SECRETS)


def without_password(text: str) -> str:
    """A text with the user part of every URL in it masked."""
    return _USER_PART.sub(rf"\1{MASK}@", text)


def masked(words: Iterable[str]) -> list[str]:
    """Words of a command line: values of options that hold secrets are masked.

    An option and its value may be one word, `--token=value`, or two.
    """
    shown: list[str] = []
    after_secret = False
    for word in words:
        name, is_joined, _ = word.partition("=")
        is_option = word.startswith("-")
        if is_option and is_secret(name):
            shown.append(f"{name}={MASK}" if is_joined else name)
        elif after_secret and not is_option:
            shown.append(MASK)
        else:
            shown.append(without_password(word))
        after_secret = is_option and is_secret(name) and not is_joined
    return shown


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
