"""`melanoma-batch serve`: the desk as a process, from the first check to an orderly end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batch import __version__
from batch.archive.access import check_archive
from batch.core.errors import UsageError
from batch.core.location import whole_path
from batch.desk.mark_file import MarkFile, only_writer
from batch.desk.night import Nights, NoNight
from batch.desk.options import DeskOptions, check_options
from batch.desk.origins import check_url, origins
from batch.desk.people import read_passwords, read_proxy
from batch.desk.sessions import OneTimeLinks
from batch.reports.local import LocalReports
from batch.runtime.terminal import say

logger = logging.getLogger(__name__)
_BACKLOG, _MOST_AT_ONCE, _END_SECONDS = 128, 500, 5


def serve(options: DeskOptions) -> None:
    """Serve the desk until SIGINT or SIGTERM.

    Raises:
        UsageError: an option cannot be used, the extra [desk] is not installed, or there is no
            night. ReportsLocked: another desk takes marks for these reports.
    """
    check_options(options)
    try:
        import uvicorn

        from batch.desk.app import Desk, desk_app
        from batch.desk.entrance import Entrance
    except ImportError as error:
        raise UsageError(
            "serve: needs the packages starlette and uvicorn, which are not installed. "
            "Install them with: pip install melanoma-batch[desk]"
        ) from error
    url = check_url(options.url) if options.url else None
    passwords = read_passwords(options.users) if options.users else None
    proxy = read_proxy(options.user_header, options.proxy_secret) if options.user_header else None
    if options.archive is not None:
        check_archive(options.archive)
    _log_to_stderr()
    with ExitStack() as stack:
        root, nights, marks = _open_reports(options, stack)
        listener = stack.enter_context(_listener(options.host, options.port))
        own = origins(options.host, listener.getsockname()[1], url)
        has_names = passwords is not None or proxy is not None
        links = None if has_names else OneTimeLinks(lambda key: _tell_link(own.own, key))
        entrance = Entrance(own, links, passwords, proxy, options.viewers, options.read_only)
        app = desk_app(Desk(root, nights, marks, entrance, options.archive), own)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False,
            lifespan="off", ws="none", http="h11", loop="asyncio",
            limit_concurrency=_MOST_AT_ONCE, timeout_graceful_shutdown=_END_SECONDS,
        )  # fmt: skip
        logger.info("melanoma-batch %s serves the desk", __version__)
        address = _link(own.own, links.key) if links else own.own
        _tell_start(address, links is not None, None if options.read_only else marks.path)
        if options.opens_browser:
            threading.Thread(target=_open_browser, args=(address,), daemon=True).start()
        _run(uvicorn.Server(config).run, listener)


def _open_reports(options: DeskOptions, stack: ExitStack) -> tuple[Path, Nights, MarkFile]:
    """The reports folder, its nights and its marks; held until the stack is closed.

    Raises:
        UsageError: no night that can be shown. ReportsLocked: another desk takes marks.
    """
    root = whole_path("REPORTS", options.reports)
    if not root.is_dir():
        raise UsageError(f"REPORTS: no folder {root}; run `melanoma-batch score` first.")
    nights = Nights(LocalReports(root))
    try:
        is_private = nights.latest().has_patient_ids
    except NoNight as error:
        raise UsageError(f"REPORTS: {error}") from error
    if not options.read_only:
        stack.enter_context(only_writer(root))
    return root, nights, MarkFile(root, is_private, is_writer=not options.read_only)


def _tell_start(address: str, is_link: bool, marks: Path | None) -> None:
    lines = [f"Desk       {address}"]
    if is_link:
        lines.append("           opens once, in one browser; then the next link stands here")
    lines += [
        f"Marks      {marks or 'none are taken (--read-only)'}",
        "End        Ctrl-C, or SIGTERM",
    ]
    say("\n".join(lines) + "\n", sys.stdout)


def _run(run: Callable[..., None], listener: socket.socket) -> None:
    """Run until a signal: uvicorn ends in order, and then raises it again for whoever waits."""
    kept = {kind: signal.signal(kind, lambda *_: None) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):
            run(sockets=[listener])
    finally:
        for kind, handler in kept.items():
            signal.signal(kind, handler)
    say("The desk has ended; every mark that was told as saved is in the file.\n", sys.stdout)


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises:
        UsageError: the address is taken, or not this machine's.
    """
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.create_server(found[0][4][:2], family=found[0][0], backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"--host, --port: cannot listen at {host}, port {port} "
            f"({error.strerror}). Is another desk running "
            "there? Choose another --port."
        ) from error
    with listener:
        yield listener


def _link(own: str, key: str) -> str:
    return f"{own}/enter?key={key}"


def _tell_link(own: str, key: str) -> None:
    say(f"Next link  {_link(own, key)}\n", sys.stdout)


def _open_browser(address: str) -> None:
    with suppress(webbrowser.Error, OSError):
        if webbrowser.open(address):
            return
    say("No browser was found; open the link by hand.\n", sys.stderr)


def _log_to_stderr() -> None:
    """The lines of this program, without anybody else's: libraries quote what they work on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    ours = logging.getLogger("batch")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    logging.raiseExceptions = False
    for library in ("uvicorn", "uvicorn.error", "asyncio", "starlette"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
