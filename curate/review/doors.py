"""Who may ask: this machine's browser, from our own page, with the cookie of a one-time token.

Any page that a browser has open may send requests to 127.0.0.1, and a name that somebody else
answers for may point there. So Host, Origin and the cookie are checked on every request. Cookies do
not tell ports apart: below a path that nobody can guess, no other server of this machine gets ours.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
TOKEN = "token"  # noqa: S105  (the name of a parameter)
_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST")
_ASK = "open the address that `curate review` printed last; each one opens the page once\n"

Refusal = tuple[int, str]


class Door:
    """The checks before an application; `on_address` is told each address that opens the page."""

    def __init__(self, app: ASGIApp, port: int, on_address: Callable[[str], None]) -> None:
        self._app, self._port, self._on_address = app, port, on_address
        # Browsers leave out the port that http has by default.
        suffix = "" if port == 80 else f":{port}"
        self._hosts = {f"{name}{suffix}" for name in (HOST, "localhost")}
        self._prefix = f"/{secrets.token_urlsafe(16)}"
        self._sessions = set[str]()
        self._renew()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before anything else looks at it."""
        below = scope["path"].startswith(f"{self._prefix}/")
        scope = {**scope, "path": scope["path"].removeprefix(self._prefix)} if below else scope
        refusal = self._refusal(scope, below)
        if refusal is None:
            await self._app(scope, receive, send)
        elif cookie := self._opened(scope, refusal):
            await self._app(scope, receive, _with_cookie(send, cookie))
        else:
            status, reason = refusal
            allowed = {"allow": ", ".join(_METHODS)} if status == 405 else None
            await PlainTextResponse(reason, status, allowed)(scope, receive, send)

    def _renew(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._on_address(f"http://{HOST}:{self._port}{self._prefix}/?{TOKEN}={self._token}")

    def _refusal(self, scope: Scope, below: bool) -> Refusal | None:
        """Why a request is not answered: status and reason."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, "ask for 127.0.0.1 or localhost, with the port\n"
        if scope["method"] not in _METHODS:
            return 405, "only GET, HEAD and POST\n"
        if not below:
            return 404, _ASK
        if not _from_our_page(scope, hosts[0]):
            return 403, "the request comes from another page\n"
        if not self._knows(scope):
            return 401, _ASK
        return None

    def _knows(self, scope: Scope) -> bool:
        """Whether there is a cookie of ours; compared in a time that tells nothing."""
        given = [value for header in _values(scope, b"cookie") for value in self._ours(header)]
        known = [
            secrets.compare_digest(a.encode(), b.encode()) for a in given for b in self._sessions
        ]
        return any(known)

    def _ours(self, header: str) -> list[str]:
        """The values of our cookie among those of every server of this machine.

        One that is no cookie by the book, or a second one of our name, must not hide ours.
        """
        pairs = [pair.strip().partition("=") for pair in header.split(";")]
        return [value for name, _, value in pairs if name == self._cookie]

    @property
    def _cookie(self) -> str:
        # Cookies do not tell ports apart, and a second page must not end the first one's session.
        return f"curate-{self._port}"

    def _opened(self, scope: Scope, refusal: Refusal) -> str | None:
        """The cookie for whoever has the token, which is then used up; None for others."""
        asks = scope["method"] == "GET" and scope["path"] == "/" and refusal[0] == 401
        given = parse_qs(scope["query_string"].decode("latin-1")).get(TOKEN, []) if asks else []
        if len(given) != 1 or not secrets.compare_digest(given[0].encode(), self._token.encode()):
            return None
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        self._renew()
        return f"{self._cookie}={session}; Path={self._prefix}/; HttpOnly; SameSite=Strict"


def _from_our_page(scope: Scope, host: str) -> bool:
    """Whether a request comes from our page, or, to read the page itself, from the person.

    Source: Fetch standard (Origin), Fetch Metadata (Sec-Fetch-Site). What changes something must
    name its origin; a link to the page may stand anywhere, for without the cookie it shows nothing.
    """
    origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
    if scope["method"] == "POST" and not origins:
        return False
    if any(origin != f"http://{host}" for origin in origins):
        return False
    linked = scope["method"] in _READING and scope["path"] == "/"
    return linked or all(site in ("same-origin", "none") for site in sites)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _with_cookie(send: Send, cookie: str) -> Send:
    async def answering(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return answering
