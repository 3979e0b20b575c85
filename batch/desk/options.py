"""What `serve` was told, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batch.core.errors import UsageError
from batch.core.location import Place
from batch.desk.origins import is_loopback

HOST, PORT = "127.0.0.1", 8787
MOST_PORT = 65535


@dataclass(frozen=True)
class DeskOptions:
    """reports: the folder. archive: where the images are, None for where the night found them.
    url: what people type in, None for host and port. users: file of passwords. user_header,
    proxy_secret: of a reverse proxy. viewers: names that may look and not mark.
    """

    reports: Path
    archive: Place | None = None
    host: str = HOST
    port: int = PORT
    url: str | None = None
    users: Path | None = None
    user_header: str | None = None
    proxy_secret: Path | None = None
    viewers: tuple[str, ...] = ()
    read_only: bool = False
    opens_browser: bool = False


def check_options(options: DeskOptions) -> None:
    """Refuse what would open the desk to more people than was meant.

    Raises:
        UsageError: says the option, what was found and what to do.
    """
    if options.users is not None and options.user_header is not None:
        raise UsageError("--users: not with --user-header; one of them says who somebody is.")
    if options.proxy_secret is not None and options.user_header is None:
        raise UsageError("--proxy-secret-file: needs --user-header, the header with the name.")
    if not 0 <= options.port <= MOST_PORT:
        raise UsageError(
            f"--port: {options.port} is no port; allowed: 1 to {MOST_PORT}, or 0 for any free one."
        )
    knows_names = options.users is not None or options.user_header is not None
    if options.viewers and not knows_names:
        raise UsageError("--viewer: needs names: --users or --user-header.")
    if is_loopback(options.host):
        return
    if not knows_names:
        raise UsageError(
            f"--host: {options.host} can be reached from other machines; needed: --users FILE, or "
            "--user-header NAME with --proxy-secret-file FILE. Without --host only this machine "
            "reaches the desk."
        )
    if options.url is None:
        raise UsageError(
            f"--host: {options.host} can be reached from other machines; needed: --url with the "
            "address that people type in, e.g. https://desk.hospital.example."
        )
