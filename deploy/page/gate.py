"""At the door of the page: who comes in, and what all others are told.

Nothing is done and nothing told without a token, and a token counts only in the `Authorization`
header. That is what keeps foreign web pages out: a browser sends this header across origins only
after asking us, and we never agree; and a page that took over our address by a trick with DNS is
another origin, which cannot read the token that the real page has stored. The check of `Origin` is
a second lock on the same door.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Mapping

from starlette.requests import Request

from deploy.page.access import Access, AccessError, Role, Token, holder

log = logging.getLogger(__name__)

MINUTE_S = 60.0
WRONG_PER_ADDRESS = 10  # a minute; a person mistypes, a phone with an old token tries again
WRONG_IN_ALL = 100  # a minute


class RefusedError(Exception):
    """What was asked for is not given; the sentence goes to who asked."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class Attempts:
    """Wrong tokens of the last minute, and from where."""

    def __init__(self) -> None:
        self._wrong: deque[tuple[float, str]] = deque()  # (monotonic s, address)

    def wait_s(self, address: str) -> float:
        """Say how long this address has to wait before it is listened to; 0.0: not at all."""
        self._forget()
        times_s = [at_s for at_s, who in self._wrong if who == address]
        return self._left_s(times_s[0]) if len(times_s) >= WRONG_PER_ADDRESS else 0.0

    def wrong(self, address: str) -> float:
        """Note a wrong token. Returns how long who had it has to wait: there were too many in all.

        Those beyond are refused, not noted: the list stays short.
        """
        self._forget()
        if len(self._wrong) >= WRONG_IN_ALL:
            return self._left_s(self._wrong[0][0])
        self._wrong.append((time.monotonic(), address))
        return 0.0

    def _forget(self) -> None:
        while self._wrong and self._left_s(self._wrong[0][0]) <= 0:
            self._wrong.popleft()

    def _left_s(self, at_s: float) -> float:
        return at_s + MINUTE_S - time.monotonic()


class Gate:
    """One door."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._attempts = Attempts()
        self._trouble: str | None = None

    def tokens(self) -> tuple[Token, ...]:
        """List who may come in: nobody, where the list cannot be read, which is told once."""
        try:
            tokens = self._access.tokens()
        except AccessError as error:
            if str(error) != self._trouble:
                log.warning("the page lets nobody in: %s", error)
            self._trouble = str(error)
            return ()
        self._trouble = None
        return tokens

    def admit(self, request: Request, role: Role) -> Token:
        """Return whose token the request brings, if it may do what `role` may.

        Raises RefusedError.
        """
        hosts, origins = (request.headers.getlist(name) for name in ("host", "origin"))
        if origins and [origin.partition("://")[2].lower() for origin in origins] != [
            host.lower() for host in hosts
        ]:
            raise RefusedError(403, f"the page of {origins[0]!r} has no business here")
        given = request.headers.getlist("authorization")
        if not given:
            raise _unknown("no token")
        address = request.client.host if request.client else ""
        if wait_s := self._attempts.wait_s(address):
            raise _too_many(wait_s)
        scheme, _, secret = given[0].partition(" ")
        bearer = len(given) == 1 and scheme.lower() == "bearer"
        token = holder(self.tokens(), secret.strip()) if bearer else None
        if token is None:
            if wait_s := self._attempts.wrong(address):
                raise _too_many(wait_s)
            raise _unknown("an unknown token")
        if role == "full" and token.role != "full":
            raise RefusedError(
                403, f"{token.name!r} may look, not touch: pair it without --read-only"
            )
        return token


def _unknown(what: str) -> RefusedError:
    return RefusedError(
        401,
        f"{what}: run `budge pair` on the Pi, and send `Authorization: Bearer TOKEN`",
        {"WWW-Authenticate": 'Bearer realm="budge"'},
    )


def _too_many(wait_s: float) -> RefusedError:
    seconds = math.ceil(wait_s)
    return RefusedError(
        429,
        f"too many wrong tokens: wait {seconds} s, and pair anew with `budge pair`",
        {"Retry-After": str(seconds)},
    )
