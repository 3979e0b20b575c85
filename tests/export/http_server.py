"""An HTTP server on loopback that answers as a test says and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, str, bytes]


@dataclass
class Asked:
    """A request. path, headers, body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """url: without a slash at the end. asked: requests so far."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def http_server(answer: Callable[[int, Asked], Answer]) -> Iterator[Server]:
    """Run it inside the block.

    Args:
        answer: gives status, media type and body for the request's number, from 1, and the request.
    """
    found = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.asked.append(Asked(self.path, dict(self.headers), body))
            status, media_type, content = answer(len(found.asked), found.asked[-1])
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
