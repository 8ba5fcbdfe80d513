"""Every request is checked before it reaches the page: host, origin, size, token.

Browsers send requests for any site that asks. So a request must name a host that is this machine
(against DNS rebinding), and one that changes something must come from the page itself.
"""

from __future__ import annotations

import hmac
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from edge_ovss.live.page.address import PageAddress, ip_address

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[str, str]

LARGEST_BODY = 4096
WORDS = "/api/words"
_LARGEST_WORDS = 65536  # a long list of words
LARGEST_HEADERS = 16384
_LONGEST_QUERY = 256
_SAFE = frozenset({"GET", "HEAD"})
_METHODS = frozenset({*_SAFE, "POST", "PUT"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
# Served without a token: they hold nothing of the run.
_OPEN = frozenset({"/", "/login", "/icon.svg"})
_ASSETS = "/assets/"
_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        b"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        b"require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused: an HTTP status and one sentence."""

    status: int
    text: str


class Guard:
    """An ASGI application that passes on what is allowed, and adds headers to every answer.

    Args:
        app: The page.
        address: Where it listens.
        token: What a viewer must have; None if no token is needed.
    """

    def __init__(self, app: App, address: PageAddress, token: str | None) -> None:
        self._app = app
        self._names = frozenset(_own_names(address.host))
        self._token = token
        self.cookie = cookie_name(address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.text})
            return
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            await _refuse(_with_headers(send), refusal)

    def _refusal(self, scope: Scope) -> Refusal | None:
        pairs = [(name.decode("latin-1"), v.decode("latin-1")) for name, v in scope["headers"]]
        headers = dict(pairs)
        if [name for name, _ in pairs].count("host") != 1:
            return Refusal(400, "A request needs exactly one Host header.")
        checks = (self._host, self._form, self._origin)
        found = next((no for check in checks if (no := check(scope, headers))), None)
        if found is not None:
            return found
        scope["edge_ovss.token_ok"] = self._has_token(headers)
        if scope["edge_ovss.token_ok"] or _is_open(scope):
            return None
        return Refusal(401, "The token is missing or wrong. It was printed when the run started.")

    def _host(self, scope: Scope, headers: Headers) -> Refusal | None:
        del scope
        found = _HOST.fullmatch(headers["host"])
        name = "" if found is None else found[1].lower().strip("[]").rstrip(".")
        # A name can be made to point here by anyone who owns it; a bare address cannot.
        if name in self._names or ip_address(name) is not None:
            return None
        known = ", ".join(sorted(self._names))
        text = f"This page answers to {known} and to IP addresses. For another name of this machine"
        return Refusal(421, f"{text}, start with --serve NAME:PORT.")

    @staticmethod
    def _form(scope: Scope, headers: Headers) -> Refusal | None:
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            return Refusal(405, f"Expected one of {', '.join(sorted(_METHODS))}.")
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY:
            return Refusal(414, "The address is too long.")
        if sum(len(name) + len(value) for name, value in headers.items()) > LARGEST_HEADERS:
            return Refusal(431, f"Expected headers of at most {LARGEST_HEADERS} bytes.")
        length = headers.get("content-length", "0")
        largest = largest_body(scope["path"])
        if not length.isdecimal() or len(length) > 9 or int(length) > largest:
            return Refusal(413, f"Expected a body of at most {largest} bytes.")
        return None

    @staticmethod
    def _origin(scope: Scope, headers: Headers) -> Refusal | None:
        """Refuse requests that another site makes a browser send."""
        foreign = Refusal(403, "The request comes from another site.")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            opened = headers.get("sec-fetch-mode") == "navigate" and not changes
            return None if opened else foreign
        origin = headers.get("origin")
        if origin is None or not changes:
            return None
        own = {f"{scheme}://{headers['host'].lower()}" for scheme in ("http", "https")}
        return None if origin.lower() in own else foreign

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.accepts(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return cookie is not None and self.accepts(cookie.value)

    def accepts(self, given: str) -> bool:
        """Whether a token is the right one; the time it takes does not tell how much is right."""
        if self._token is None:
            return True
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def largest_body(path: str) -> int:
    """Return how many bytes a request to a path may have besides its headers."""
    return _LARGEST_WORDS if path == WORDS else LARGEST_BODY


def cookie_name(address: PageAddress) -> str:
    """Return the name of the cookie: browsers share cookies between the ports of a host."""
    return f"edge_ovss_{address.port}"


def _own_names(host: str) -> Iterable[str]:
    yield "localhost"
    for name in (host, socket.gethostname()):
        plain = name.lower().rstrip(".")
        if plain and ip_address(plain) is None:
            yield plain
            if "." not in plain:
                yield f"{plain}.local"  # what mDNS calls it


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return scope["type"] == "http" and (path in _OPEN or path.startswith(_ASSETS))


def _with_headers(send: Send) -> Send:
    async def add(event: Event) -> None:
        if event["type"] == "http.response.start":
            own = {name for name, _ in event["headers"]}
            extra = [pair for pair in _HEADERS if pair[0] not in own]
            event = {**event, "headers": [*event["headers"], *extra]}
        await send(event)

    return add


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = f"{refusal.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # a body that was not read may follow
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="edge-ovss"'))
    if refusal.status == 405:
        headers.append((b"allow", ", ".join(sorted(_METHODS)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
