"""Under which names the desk may be called, and which pages may send to it. Pure.

A page of another site may point its own name at this machine (DNS rebinding); the browser then
sends that name as Host, and the desk does not answer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from batch.core.errors import UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origins:
    """of_hosts: what Host may say, to what Origin must then say. own: what people type in."""

    of_hosts: Mapping[str, str]
    own: str

    @property
    def is_secure(self) -> bool:
        """Whether people come by TLS."""
        return self.own.startswith("https://")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_url(url: str) -> str:
    """The address that people type in, as an origin: `https://desk.hospital.example`.

    Raises:
        UsageError: it is none.
    """
    found = urlsplit(url)
    try:
        port = found.port
    except ValueError:
        port = -1
    is_plain = not (found.query or found.fragment or found.username) and found.path in ("", "/")
    if found.scheme not in _DEFAULT_PORTS or not found.hostname or port == -1 or not is_plain:
        raise UsageError(
            f"--url: {url} is no address of a site; needed: one such as "
            "https://desk.hospital.example, without a path (the desk wants a name of its own)."
        )
    return f"{found.scheme}://{_with_port(found.scheme, found.hostname, port)}"


def origins(host: str, port: int, url: str | None) -> Origins:
    """The names of a desk that listens at an address.

    Args:
        url: what people type in, as `check_url` gave it; None for the address itself.
    """
    names = ["127.0.0.1", "localhost", "::1", host] if is_loopback(host) else [host]
    hosts = [_with_port("http", name.strip("[]"), port) for name in names]
    own = url or f"http://{_with_port('http', host.strip('[]'), port)}"
    return Origins(
        {**{name: f"http://{name}" for name in hosts}, own.partition("://")[2]: own}, own
    )


def _with_port(scheme: str, host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host.lower()
    return name if port in (None, _DEFAULT_PORTS[scheme]) else f"{name}:{port}"
