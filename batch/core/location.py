"""Names of places: a folder of this machine, or a prefix of an object store. Imports no library."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from batch.core.errors import UsageError

SCHEME = "s3://"


_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


@dataclass(frozen=True)
class ObjectUrl:
    """A prefix of a bucket: what a folder is elsewhere. prefix: without `/` at either end."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def __truediv__(self, name: str) -> ObjectUrl:
        return ObjectUrl(self.bucket, f"{self.prefix}/{name}".strip("/"))

    def key(self, name: str) -> str:
        """The key of an object below; with an empty name, what all their keys begin with."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def holds(self, other: ObjectUrl) -> bool:
        """Whether the other is this one or below it."""
        return self.bucket == other.bucket and f"{other.key('')}".startswith(self.key(""))


Place = Path | ObjectUrl
"""Where an archive or reports lie."""


def place(word: str) -> Place:
    """A folder or `s3://BUCKET/PREFIX`, as a word of the command line.

    Raises:
        UsageError: another scheme, or a bucket that no store could have.
    """
    if not is_url(word):
        return Path(word)
    bucket, _, prefix = word.removeprefix(SCHEME).partition("/")
    if not word.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
        raise UsageError(f"found {word}; allowed: a folder, or {SCHEME}BUCKET/PREFIX")
    return ObjectUrl(bucket, prefix.strip("/"))


def folder(word: str) -> Path:
    """A folder or file of this machine, as a word of the command line.

    Raises:
        UsageError: a URL, of which a folder `s3:` would be made.
    """
    if is_url(word):
        raise UsageError(f"found {word}; allowed: a path of this machine")
    return Path(word)


def is_url(word: str) -> bool:
    """Whether this is meant as the name of something that is not on this machine."""
    return _ANY_SCHEME.match(word) is not None


def whole_path(option: str, path: Path) -> Path:
    """A path as everything below us understands it: absolute, `~` expanded, links resolved.

    Raises:
        UsageError: it cannot be resolved, or its name is not UTF-8.
    """
    if is_url(str(path)):  # a `Path` of it, which has one slash less
        raise UsageError(
            f"{option}: found {path}; allowed: a path of this machine. Object storage may hold "
            "ARCHIVE and REPORTS."
        )
    try:
        resolved = path.expanduser().resolve()
        _refuse_loop(resolved)
        str(resolved).encode()
    except (OSError, RuntimeError) as error:  # a loop of links, a home that nobody has
        raise UsageError(f"{option}: cannot resolve {path}: {error.args[-1]}.") from error
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{option}: the name {str(path).encode(errors='backslashreplace')!r} is not UTF-8; "
            "choose another."
        ) from error
    return resolved


def _refuse_loop(resolved: Path) -> None:
    """From Python 3.13 on, `Path.resolve` leaves a loop of links as it is and says nothing."""
    try:
        resolved.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
