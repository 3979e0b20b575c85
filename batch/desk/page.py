"""A night's page as the desk serves it: told that it is on a desk, and allowed to ask it. Pure.

The file of the night stays as it is. Its own content security policy stands in a `meta` element and
forbids every connection; here it becomes a header that allows those to the desk, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_POLICY = re.compile(
    rb'<meta\s+http-equiv="Content-Security-Policy"\s+content="([^"]*)"\s*>', re.IGNORECASE
)
_ROOT = b"<html"
_END = b"</body>"


class NotOurPage(ValueError):
    """A page that the desk cannot serve; the message is a phrase of ours."""


@dataclass(frozen=True)
class ServedPage:
    """The page up to the place of the settings, the rest, and its policy as a header's text."""

    before: bytes
    after: bytes
    policy: str

    def html(self, settings: Mapping[str, object]) -> bytes:
        """The page with what its script must know, as `data-desk` of the root element."""
        told = html.escape(json.dumps(settings, ensure_ascii=True), quote=True)
        return b"".join([self.before, f' data-desk="{told}"'.encode(), self.after])


def served_page(stored: bytes) -> ServedPage:
    """The page of a night, ready to be served.

    Raises:
        NotOurPage: it has no policy, no root element or no end.
    """
    found = _POLICY.search(stored)
    root, end = stored.find(_ROOT), stored.rfind(_END)
    if found is None or not 0 <= root < found.start() < end:
        raise NotOurPage("the page of the night is not one that this program wrote")
    root += len(_ROOT)
    script = client_script()
    after = b"".join(
        [
            stored[root : found.start()],
            stored[found.end() : end],
            f"<script>{script}</script>\n".encode(),
            stored[end:],
        ]
    )
    policy = html.unescape(found[1].decode("utf-8", "replace"))
    return ServedPage(stored[:root], after, _on_the_desk(policy, script))


@cache
def client_script() -> str:
    """The script that sends marks to the desk and asks for those of others."""
    return template("client.js")


def template(name: str) -> str:
    """The text of a file in `templates/`."""
    return (resources.files("batch.desk") / "templates" / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """A script or style as a policy names it."""
    found = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(found).decode('ascii')}'"


def _on_the_desk(policy: str, script: str) -> str:
    """The page's own policy, with the desk as the one place to ask and to have pictures from."""
    rules: dict[str, list[str]] = {}
    for rule in policy.split(";"):
        name, *sources = rule.split() or [""]
        if name:
            rules[name] = sources
    for name, source in (
        ("script-src", digest(script)),
        ("connect-src", "'self'"),
        ("img-src", "'self'"),
    ):
        there = [each for each in rules.get(name, []) if each not in ("'none'", "file:")]
        rules[name] = list(dict.fromkeys([*there, source]))
    rules["frame-ancestors"] = ["'none'"]
    return "; ".join(" ".join([name, *sources]) for name, sources in rules.items())
