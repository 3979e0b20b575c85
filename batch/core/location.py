"""Where an archive or reports lie: a folder of this machine, or a prefix of an object store."""

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
    """A prefix in a bucket, which stands for a folder. prefix: without `/` at either end."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def __truediv__(self, name: str) -> ObjectUrl:
        return ObjectUrl(self.bucket, f"{self.prefix}/{name}".strip("/"))

    def key(self, name: str) -> str:
        """The key of an object below this prefix; with an empty name, the start of all its keys."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def holds(self, other: ObjectUrl) -> bool:
        """Whether the other prefix is this one or lies below it."""
        return self.bucket == other.bucket and f"{other.key('')}".startswith(self.key(""))


Place = Path | ObjectUrl
"""Where an archive or reports lie."""


def place(word: str) -> Place:
    """Read a folder or `s3://BUCKET/PREFIX` from a word of the command line.

    Raises:
        UsageError: the word has another scheme, or its bucket is no valid name.
    """
    if not is_url(word):
        return _path(word)
    bucket, _, prefix = word.removeprefix(SCHEME).partition("/")
    if not word.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
        raise UsageError(f"found {word}; allowed: a folder, or {SCHEME}BUCKET/PREFIX")
    return ObjectUrl(bucket, prefix.strip("/"))


def folder(word: str) -> Path:
    """Read a folder or file of this machine from a word of the command line.

    Raises:
        UsageError: the word is a URL; as a path it would make a folder `s3:`.
    """
    if is_url(word):
        raise UsageError(f"found {word}; allowed: a path of this machine")
    return _path(word)


def _path(word: str) -> Path:
    """A path of a word.

    Raises:
        UsageError: the word is empty, which would mean the present folder, or holds a NUL.
    """
    if not word.strip() or "\0" in word:
        raise UsageError(f"found {word!r}; needed: a path. A dot means the present folder.")
    return Path(word)


def is_url(word: str) -> bool:
    """Whether a word is a URL, and so not a path of this machine."""
    return _ANY_SCHEME.match(word) is not None


def whole_path(option: str, path: Path) -> Path:
    """Make a path absolute: `~` expanded, links resolved.

    Raises:
        UsageError: it cannot be resolved, or its name is not UTF-8.
    """
    if is_url(str(path)):  # `Path` has made one slash of two
        raise UsageError(
            f"{option}: found {path}; allowed: a path of this machine. Object storage may hold "
            "ARCHIVE and REPORTS."
        )
    try:
        resolved = path.expanduser().resolve()
        _refuse_loop(resolved)
        str(resolved).encode()
    except (OSError, RuntimeError) as error:  # a loop of links, or `~name` of an unknown user
        raise UsageError(
            f"{option}: cannot resolve {path}: {error.args[-1]}. Give a path without links and ~."
        ) from error
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{option}: the name {str(path).encode(errors='backslashreplace')!r} is not UTF-8; "
            "choose another."
        ) from error
    return resolved


def _refuse_loop(resolved: Path) -> None:
    """Raise for a loop of links; from Python 3.13 on `Path.resolve` no longer does."""
    try:
        resolved.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
