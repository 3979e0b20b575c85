"""What somebody may have meant by a word that is none of those allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A sentence with a space before it; empty where nothing allowed is near."""
    by_lower = {each.lower(): each for each in allowed}
    found = difflib.get_close_matches(word.lower(), by_lower, 1)
    return f" Did you mean {by_lower[found[0]]!r}?" if found else ""
