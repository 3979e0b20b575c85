"""Who has come in: links that open the desk once, and the browsers that are in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

HOURS = 12
"""A day's work; then one signs in again."""
_MOST = 1000


@dataclass(frozen=True)
class Session:
    """A browser that is in. name: None after a link, which names nobody."""

    name: str | None
    until: float


class OneTimeLinks:
    """The key of the one link that opens the desk now. Used once, the next one takes its place."""

    def __init__(self, on_new: Callable[[str], None] = lambda _: None) -> None:
        self._lock = threading.Lock()
        self._on_new = on_new
        self.key = secrets.token_urlsafe(32)

    def use(self, key: str) -> bool:
        """Whether this is the key; from then on it is none."""
        with self._lock:
            if not hmac.compare_digest(key.encode(), self.key.encode()):
                return False
            self.key = secrets.token_urlsafe(32)
        self._on_new(self.key)
        return True


class Sessions:
    """The browsers that are in, in memory only: a new start of the desk asks everybody again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._by_digest: OrderedDict[bytes, Session] = OrderedDict()

    def start(self, name: str | None) -> str:
        """Let a browser in; what it shows from now on, in a cookie."""
        token = secrets.token_urlsafe(32)
        self._by_digest[_digest(token)] = Session(name, self._clock() + HOURS * 3600)
        while len(self._by_digest) > _MOST:
            self._by_digest.popitem(last=False)
        return token

    def find(self, token: str) -> Session | None:
        """The session of a cookie; None when there is none, or it is over."""
        found = self._by_digest.get(_digest(token))
        if found is None or found.until < self._clock():
            self.end(token)
            return None
        return found

    def end(self, token: str) -> None:
        """Forget a browser."""
        self._by_digest.pop(_digest(token), None)

    def page_token(self, whose: str) -> str:
        """What a page that this desk served to a browser, or to a person, sends with its marks. No
        other site can know it.
        """
        return hmac.new(self._secret, whose.encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
