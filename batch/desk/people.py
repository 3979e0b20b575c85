"""Who is at the desk: names with passwords, or names that a reverse proxy vouches for.

A file of passwords has lines `name:hash`, as Apache's `htpasswd -B` writes them.
"""

from __future__ import annotations

import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch.core.errors import UsageError
from batch.core.text import one_line
from batch.desk.mark_rows import REVIEWER_MOST

_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_NOBODY = b"$2b$12$1SQ8lgoEKvfeOM9FngvX3uhmNVZI9KSrKn6o2eM.6KXr2aM8gUcxC"
"""Checked for names that are not in the file, so that the time of an answer tells no name."""
_PASSWORD_MOST = 72
"""Bytes: bcrypt looks at no more."""
_TRIES, _PAUSE_SECONDS = 5, 60.0
_NAMES_KEPT = 1000
_SECRET_LEAST = 16


@dataclass(frozen=True)
class Person:
    """name: None where the desk does not know it: then the page asks. may_mark: or only look."""

    name: str | None
    may_mark: bool


class TooManyTries(Exception):
    """Too many wrong passwords for a name; the next try counts in a minute."""


class Passwords:
    """Names and their passwords, read once at the start."""

    def __init__(
        self, hashes: Mapping[str, bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hashes, self._clock = hashes, clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def is_right(self, name: str, password: str) -> bool:
        """Whether it is this name's password. Takes a fifth of a second on purpose.

        Raises:
            TooManyTries.
        """
        import bcrypt

        failed, last = self._failed.get(name, (0, 0.0))
        if self._clock() - last > _PAUSE_SECONDS:
            failed = 0
        if failed >= _TRIES:
            raise TooManyTries
        given = password.encode()
        is_short = len(given) <= _PASSWORD_MOST and b"\0" not in given
        same = bcrypt.checkpw(given if is_short else b"", self._hashes.get(name, _NOBODY))
        if same and is_short and name in self._hashes:
            self._failed.pop(name, None)
            return True
        self._failed[name] = failed + 1, self._clock()
        self._failed.move_to_end(name)
        while len(self._failed) > _NAMES_KEPT:
            self._failed.popitem(last=False)
        return False


def read_passwords(path: Path) -> Passwords:
    """Read a file of passwords.

    Raises:
        UsageError: it cannot be read, others can write it, or a line is not of its form.
    """
    try:
        import bcrypt  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--users: needs the package bcrypt, which is not installed. "
            "Install it with: pip install melanoma-batch[desk]"
        ) from error
    text = _private_text("--users", path)
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, found = line.partition(":")
        if not _is_name(name) or not _HASH.fullmatch(found.strip()) or name in hashes:
            raise UsageError(
                f"--users: line {number} of {path} is not name:hash with a name of its own and a "
                "bcrypt hash. Make it with: htpasswd -B FILE NAME"
            )
        hashes[name] = found.strip().encode()
    if not hashes:
        raise UsageError(f"--users: no line in {path}. Add one with: htpasswd -B FILE NAME")
    return Passwords(hashes)


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy that says who is there. header: in lower case. secret: that it sends along,
    so that nobody beside it can name himself.
    """

    header: bytes
    secret: bytes

    SECRET_HEADER = b"x-desk-secret"

    def name(self, headers: Collection[tuple[bytes, bytes]]) -> str | None:
        """The name that it vouches for; None when it does not, or says two."""
        secrets = [value for key, value in headers if key == self.SECRET_HEADER]
        names = [value for key, value in headers if key == self.header]
        if len(secrets) != 1 or len(names) != 1:
            return None
        if not hmac.compare_digest(secrets[0], self.secret):
            return None
        name = names[0].decode("utf-8", "replace").strip()
        return name if _is_name(name) else None


def read_proxy(header: str, secret_file: Path | None) -> Proxy:
    """The proxy of `--user-header`.

    Raises:
        UsageError: no secret, one that others can read, or too short a one.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", header):
        raise UsageError("--user-header: no name of a header; needed: one such as X-Remote-User.")
    if header.lower().encode() == Proxy.SECRET_HEADER:
        raise UsageError("--user-header: X-Desk-Secret carries the secret; name another header.")
    if secret_file is None:
        raise UsageError(
            "--user-header: needs --proxy-secret-file with the secret that the proxy sends as "
            "X-Desk-Secret. Without it everybody on this machine could name himself anybody."
        )
    secret = _private_text("--proxy-secret-file", secret_file).strip()
    if len(secret) < _SECRET_LEAST or not secret.isascii() or not secret.isprintable():
        raise UsageError(
            f"--proxy-secret-file: needed: one line of {_SECRET_LEAST} or more plain characters. "
            "Make it with: openssl rand -hex 32"
        )
    return Proxy(header.lower().encode(), secret.encode())


def _is_name(name: str) -> bool:
    return 0 < len(name) <= REVIEWER_MOST and one_line(name, REVIEWER_MOST) == name


def _private_text(option: str, path: Path) -> str:
    """The text of a file that nobody else can change, and others cannot read.

    Raises:
        UsageError.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{option}: cannot read {path} ({getattr(error, 'strerror', None) or 'not UTF-8'})."
        ) from error
    if mode & 0o027:
        raise UsageError(
            f"{option}: others can read or write {path} (mode {mode & 0o777:o}); allowed: 640 and "
            f"stricter. Run: chmod 600 {path}"
        )
    return text
