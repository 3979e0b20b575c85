"""Types of the values on the command line; a refusal says what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from batch.core.errors import UsageError
from batch.core.location import folder, place
from batch.core.text import did_you_mean


class Converted(click.ParamType):
    """A type made of a function that converts a word to its value.

    Args:
        name: of the type.
        convert: raises ValueError or UsageError, which say what was found and what is allowed.
        completes: what a shell offers: `file`, `dir` or `plain`.
    """

    def __init__(self, name: str, convert: Callable[[str], Any], completes: str = "plain") -> None:
        self.name = name
        self._convert, self._completes = convert, completes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a word of the command line, of a file or of the environment."""
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except (UsageError, ValueError) as error:
            self.fail(str(error), param, ctx)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split a variable with several values, one on each line, since values may hold spaces."""
        return [line.strip() for line in rv.splitlines() if line.strip()]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave paths to the shell."""
        if self._completes == "plain":
            return []
        return [CompletionItem(incomplete, type=self._completes)]


class OneOf(Converted):
    """One of several words; the refusal of a mistyped one names the nearest."""

    def __init__(self, *words: str) -> None:
        super().__init__("|".join(words), self._checked)
        self.words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The allowed words."""
        return self.name

    def _checked(self, word: str) -> str:
        if word not in self.words:
            hint = did_you_mean(word, self.words)
            raise ValueError(f"found {word}; allowed: {', '.join(self.words)}.{hint}")
        return word

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin with what was typed."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


def whole_number(low: int | None = None) -> Converted:
    """A whole number, not below `low`."""

    def convert(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            raise ValueError(f"found {word}; allowed: a whole number") from None
        if low is not None and value < low:
            raise ValueError(f"found {value}; allowed: {low} or more")
        return value

    return Converted("N", convert)


def share(includes_zero: bool) -> Converted:
    """A number from 0 to 1; includes_zero: whether 0 is allowed."""
    allowed = "0 to 1" if includes_zero else "above 0, up to 1"

    def convert(word: str) -> float:
        value = _number(word, allowed)
        if not (0 < value <= 1 or (value == 0 and includes_zero)):
            raise ValueError(f"found {word}; allowed: {allowed}")
        return value

    return Converted("SHARE", convert)


def value_range(word: str) -> tuple[float, float]:
    """Read `LOW,HIGH`.

    Raises:
        ValueError: the word has another form.
    """
    allowed = "low,high, e.g. 0,255 or 0,1"
    numbers = [_number(part, allowed) for part in word.split(",")]
    if len(numbers) != 2 or not -1e6 < numbers[0] < numbers[1] < 1e6:
        raise ValueError(f"found {word}; allowed: {allowed}")
    return numbers[0], numbers[1]


def _number(word: str, allowed: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"found {word}; allowed: {allowed}") from None


TEXT = Converted("TEXT", str)
FILE = Converted("FILE", folder, "file")
FOLDER = Converted("FOLDER", folder, "dir")
READABLE = Converted("PATH", folder, "file")
"""A file or folder of this machine; a URL and an empty word are refused."""
PLACE = Converted("PLACE", place, "dir")
"""A folder, or a prefix of an object store."""
RANGE = Converted("LOW,HIGH", value_range)
NUMBER = Converted("NUMBER", lambda word: _number(word, "a number"))
