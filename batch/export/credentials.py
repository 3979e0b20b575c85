"""How the job proves who it is to a server: from the environment or a file, never an option.

A file is TOML with `token`, or `user` and `password`; for mutual TLS `certificate` and `key`, and
`ca` for an authority of the hospital's own. The environment has the same, as
MELANOMA_BATCH_STOW_TOKEN or MELANOMA_BATCH_FHIR_PASSWORD.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batch.core.errors import UsageError

if TYPE_CHECKING:
    import requests

NAMES = ("token", "user", "password", "certificate", "key", "ca")


@dataclass(frozen=True)
class Credentials:
    """token: of a bearer. user, password: basic. certificate, key, ca: paths of PEM files."""

    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate: str | None = None
    key: str | None = None
    ca: str | None = None

    def session(self) -> requests.Session:
        """An HTTP session that uses them, and nothing from ~/.netrc."""
        import requests
        from requests.auth import HTTPBasicAuth

        session = requests.Session()
        session.trust_env = False
        if self.token:
            session.headers["Authorization"] = f"Bearer {self.token}"
        elif self.user is not None:
            session.auth = HTTPBasicAuth(self.user.encode(), (self.password or "").encode())
        if self.certificate:
            session.cert = (self.certificate, self.key) if self.key else self.certificate
        if self.ca:
            session.verify = self.ca
        return session


def credentials(server: str, file: Path | None, environment: Mapping[str, str]) -> Credentials:
    """Read the credentials of a server; none is allowed.

    Args:
        server: `STOW` or `FHIR`, as in the names of the variables. file: comes first.

    Raises:
        UsageError: the file cannot be read, is open to others, or holds something else.
    """
    option = f"--{server.lower()}-credentials"
    if file is not None:
        return Credentials(**_from_file(option, file))
    prefix = f"MELANOMA_BATCH_{server}_"
    found = {name: environment.get(prefix + name.upper()) for name in NAMES}
    return Credentials(**{name: value for name, value in found.items() if value})


def check_url(option: str, url: str) -> str:
    """The URL of a server, without a slash at its end.

    Raises:
        UsageError: it is none, or holds a user or a password, which everybody on the machine sees.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{option}: found {parts.scheme or 'no scheme'}; allowed: an address that begins with "
            "https:// or http://."
        )
    if "@" in parts.netloc:
        name = option.strip("-").upper().split("-")[0]
        raise UsageError(
            f"{option}: the address holds a user or a password, which everybody on this machine "
            f"can see. Put them into a file ({'--' + name.lower()}-credentials) or into "
            f"MELANOMA_BATCH_{name}_USER and MELANOMA_BATCH_{name}_PASSWORD."
        )
    return url.rstrip("/")


def _from_file(option: str, file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(
                    f"{option}: {file} is readable by others than its owner; allowed: mode 0600. "
                    f"chmod 600 {file}"
                )
            found = tomllib.load(opened)
    except OSError as error:
        raise UsageError(f"{option}: cannot read {file} ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f'{option}: {file} is no TOML; needed: lines as token = "…". Its content is not shown.'
        ) from error
    unknown = sorted(
        name for name in found if name not in NAMES or not isinstance(found[name], str)
    )
    if unknown:
        raise UsageError(
            f"{option}: {file} has {', '.join(unknown)}; allowed, as texts: {', '.join(NAMES)}."
        )
    return found
