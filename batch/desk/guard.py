"""What every request must pass, and what every answer carries, whatever it asks for."""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batch.desk.origins import Origins
from batch.runtime.logs import log_failure

logger = logging.getLogger(__name__)
MOST_BODY = 16 * 1024
"""Bytes of a request: a mark with the longest comment has less."""
_BODY_SECONDS = 10.0
_ON_EVERY_ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"


class Guard:
    """Refuses calls under another name and from other sites; logs failures without their words."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _ON_EVERY_ANSWER.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _NO_CONTENT)
            await send(message)

        why = self._complaint(scope["method"], Headers(scope=scope))
        if why is not None:
            await refusal(*why)(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            return
        except Exception as error:  # its words may quote values
            log_failure(error)
            if not has_begun:
                text = "The desk failed; its log says where."
                await refusal(500, text)(scope, receive, send_guarded)

    def _complaint(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence for a request that is refused; None for one that may go on."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._origins.of_hosts:
            return 421, "This desk is not called by that name. See --url in batch/desk/README.md."
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return 405, "Method not allowed."
        if headers.getlist("origin") != [self._origins.of_hosts[hosts[0]]]:
            return 403, "Only pages of this desk may send to it."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY:
            return 413, f"Too long; allowed: {MOST_BODY} bytes."
        return None


def refusal(status: int, sentence: str, **more: object) -> JSONResponse:
    """An answer that says why not."""
    return JSONResponse({"error": sentence, **more}, status)


async def read_body(request: Request, kind: str) -> bytes:
    """The body of a request.

    Args:
        kind: the media type that it must have.

    Raises:
        HTTPException: another type, too long, or too slow.
    """
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != kind:
        raise HTTPException(415, f"Content-Type: needed: {kind}.")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise HTTPException(413, f"Too long; allowed: {MOST_BODY} bytes.")
    except TimeoutError as error:
        raise HTTPException(408, "The request did not arrive in time.") from error
    return bytes(body)
