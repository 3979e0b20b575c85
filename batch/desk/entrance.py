"""Coming in: who sends a request, and the pages on which one signs in.

One of three ways: a link that the desk prints and that opens it once; names with passwords; or a
reverse proxy that vouches for a name.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from batch.desk.guard import read_body, refusal
from batch.desk.origins import Origins
from batch.desk.page import digest, template
from batch.desk.people import Passwords, Person, Proxy, TooManyTries
from batch.desk.sessions import HOURS, OneTimeLinks, Sessions

logger = logging.getLogger(__name__)
FORM = "application/x-www-form-urlencoded"
TOKEN_HEADER = "X-Desk-Token"
_CHECKS_AT_ONCE = 2
"""Passwords that are checked at a time: a flood of them must not hold up the marks."""


@dataclass(frozen=True)
class Visitor:
    """Who sends a request. page_token: what a page that was served to them sends along."""

    person: Person
    page_token: str


class Entrance:
    """One way in. links, passwords, proxy: exactly one of them."""

    def __init__(
        self,
        origins: Origins,
        links: OneTimeLinks | None = None,
        passwords: Passwords | None = None,
        proxy: Proxy | None = None,
        viewers: Collection[str] = (),
        is_read_only: bool = False,
    ) -> None:
        self._links, self._passwords, self._proxy = links, passwords, proxy
        self._viewers, self._is_read_only = frozenset(viewers), is_read_only
        self._sessions = Sessions()
        self._checks = anyio.CapacityLimiter(_CHECKS_AT_ONCE)
        self._is_secure = origins.is_secure
        port = origins.own.rpartition(":")[2].strip("/")
        self._cookie = "__Host-desk" if origins.is_secure else f"melanoma-desk-{port}"

    def visitor(self, request: Request) -> Visitor | None:
        """Who sends a request; None for somebody unknown."""
        if self._proxy is not None:
            name = self._proxy.name(request.headers.raw)
            return None if name is None else self._as_visitor(name, f"name {name}")
        cookie = request.cookies.get(self._cookie, "")
        session = self._sessions.find(cookie)
        return None if session is None else self._as_visitor(session.name, f"session {cookie}")

    def routes(self) -> list[Route]:
        """The addresses of this way in."""
        found = []
        if self._links is not None:
            found = [Route("/enter", self._enter, methods=["GET"])]
        if self._passwords is not None:
            found = [
                Route("/login", self._ask, methods=["GET"]),
                Route("/login", self._login, methods=["POST"]),
            ]
        if self.can_sign_out:
            found.append(Route("/logout", self._logout, methods=["POST"]))
        return found

    @property
    def can_sign_out(self) -> bool:
        """Whether the desk itself knows who is in; behind a proxy the proxy does."""
        return self._proxy is None

    def outside(self) -> Response:
        """What somebody unknown gets instead of the page."""
        if self._passwords is not None:
            return RedirectResponse("/login", 303)
        if self._links is not None:
            return _page(401, "", "Open the link that the desk printed when it was started, or the "
                         "newest one that it printed since. Each link opens it once.")  # fmt: skip
        return _page(401, "", "The proxy in front of this desk did not say who you are.")

    def _as_visitor(self, name: str | None, whose: str) -> Visitor:
        may_mark = not self._is_read_only and name not in self._viewers
        return Visitor(Person(name, may_mark), self._sessions.page_token(whose))

    async def _enter(self, request: Request) -> Response:
        key = request.query_params.get("key", "")
        if request.method != "GET" or self._links is None or not self._links.use(key):
            return _page(403, "", "This link was used already, or is of an earlier start. Open the "
                         "newest link that the desk printed.")  # fmt: skip
        logger.info("a browser came in by the link")
        # not a redirect: a cookie of this kind does not follow one that began on another site
        return self._let_in(_page(200, '<meta http-equiv="refresh" content="0;url=/">', "Opening…"))

    async def _ask(self, request: Request) -> Response:
        return _page(200, _form(), "")

    async def _login(self, request: Request) -> Response:
        fields = parse_qs((await read_body(request, FORM)).decode("utf-8", "replace"))
        name, password = (fields.get(each, [""])[0] for each in ("name", "password"))
        assert self._passwords is not None
        try:
            is_right = await to_thread.run_sync(
                self._passwords.is_right, name, password, limiter=self._checks
            )
        except TooManyTries:
            logger.warning("too many wrong passwords for one name")
            return _page(429, _form(), "Too many wrong passwords. Try again in a minute.")
        if not is_right:  # somebody may have typed the password as the name
            logger.warning("a wrong name or password")
            return _page(403, _form(), "Name or password is wrong.")
        logger.info("signed in: %s", name)
        return self._let_in(RedirectResponse("/", 303), name)

    async def _logout(self, request: Request) -> Response:
        visitor = self.visitor(request)
        if visitor is None or request.headers.get(TOKEN_HEADER) != visitor.page_token:
            return refusal(403, "This page is not signed in.")
        self._sessions.end(request.cookies.get(self._cookie, ""))
        logger.info("signed out: %s", visitor.person.name or "a browser that came by the link")
        answer = Response(status_code=204)
        answer.delete_cookie(self._cookie, path="/", secure=self._is_secure, httponly=True)
        return answer

    def _let_in(self, answer: Response, name: str | None = None) -> Response:
        answer.set_cookie(
            self._cookie, self._sessions.start(name), max_age=HOURS * 3600, path="/",
            secure=self._is_secure, httponly=True, samesite="strict",
        )  # fmt: skip
        return answer


def _form() -> str:
    return template("login.html")


def _page(status: int, more: str, sentence: str) -> HTMLResponse:
    style = template("entrance.css")
    text = template("entrance.html")
    for name, value in (("STYLE", style), ("MORE", more), ("SENTENCE", html.escape(sentence))):
        text = text.replace(f"@{name}@", value)
    policy = (
        f"default-src 'none'; style-src {digest(style)}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(text, status, {"Content-Security-Policy": policy})
