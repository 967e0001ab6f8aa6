"""Access control: only the page whose address the user was given may make requests.

A request must name one of our hosts, so that no other name leads here (DNS rebinding). It must carry the token: once in
the address, then in a strict cookie. It must not come from another origin. A rejected client receives no data.

Cookies ignore ports: a browser sends them to every server of this machine, whoever runs it. The page therefore has a
random path prefix, new at every start, and the cookie is valid only below it. Other servers do not learn the prefix.
They can also set cookies that the browser sends here, so one valid cookie among them is enough.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADER_BYTES = 1 << 20
"""Of the request line and the headers. A browser keeps up to 180 cookies of 4 KiB for a host, and any server of this
machine can make it send all of them here."""
MAX_BODY_BYTES = 2 << 20
"""A drawing of 128 x 128 pixels in colour takes a tenth of it."""
BODY_SECONDS = 5.0
"""The body of a request must arrive within this time."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ("cache-control", "no-store"),
)

FORWARD = """<!doctype html>
<meta charset="utf-8"><title>Sparring</title><meta http-equiv="refresh" content="0; url={prefix}/">
"""
"""Forwards to the page. After an HTTP redirect, the browser would still count the previous page as the origin."""


class Refused(Exception):
    """The request is rejected with an HTTP status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class AccessControl:
    """ASGI middleware that passes authorised requests to `app` and adds security headers to every response."""

    def __init__(self, app: App, *, hosts: frozenset[str], token: str) -> None:
        """`hosts` are the accepted `Host` headers, such as "127.0.0.1:8765"."""
        self._app, self._hosts, self._token = app, hosts, token.encode()
        self._prefix = f"/{secrets.token_urlsafe(24)}"
        port = min(hosts).rpartition(":")[2]
        self._cookie = f"sparring-{port}"  # cookies ignore ports: two pages on a machine need two names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            path = self._authorise(scope)
        except Refused as refused:
            await _refuse(send, refused)
            return
        if path is None:
            await self._forward(send)
            return
        inside = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(inside, _limited(receive), _with_headers(send))

    async def _forward(self, send: Send) -> None:
        """Set the cookie and forward to the page."""
        cookie = f"{self._cookie}={self._token.decode()}; HttpOnly; SameSite=Strict; Path={self._prefix}/"
        headers = [*HEADERS, ("content-type", "text/html; charset=utf-8"), ("set-cookie", cookie)]
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": FORWARD.format(prefix=self._prefix).encode()})

    def _authorise(self, scope: Scope) -> str | None:
        """Return the path below the prefix, or None if the token is in the address. Raises `Refused`."""
        host = _only(scope, b"host")
        if host not in self._hosts:
            raise Refused(403, "the Host header is not that of this page")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, "this page is read-only")
        origin = _only(scope, b"origin")
        if origin and origin != f"http://{host}":
            raise Refused(403, "requests from other pages are rejected")
        if scope["path"] == "/" and self._is_token(_token_in(scope["query_string"])):
            return None
        prefix, slash, path = scope["path"][1:].partition("/")
        below_prefix = _equal(f"/{prefix}", self._prefix) and slash
        if not self._has_cookie(scope) or not below_prefix:
            raise Refused(403, "open the address that sparring printed, or restart sparring watch")
        if _only(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "requests from other pages are rejected")
        if _length(scope) > MAX_BODY_BYTES:
            raise Refused(413, f"the body of a request may have at most {MAX_BODY_BYTES:,} bytes")
        return f"/{path}"

    def _has_cookie(self, scope: Scope) -> bool:
        """Return whether a cookie of our name holds the token. Other servers can set cookies of the same name."""
        pairs = (pair.strip().partition("=") for pair in _only(scope, b"cookie").split(";"))
        return any(self._is_token(value) for name, _, value in pairs if name == self._cookie)

    def _is_token(self, token: str) -> bool:
        return _equal(token, self._token.decode())


def _equal(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _with_headers(send: Send) -> Send:
    """Wrap `send` to add the security headers."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            more = [(name, value) for name, value in _encoded([*HEADERS]) if name not in present]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return wrapped


def _limited(receive: Receive) -> Receive:
    """Wrap `receive` to raise `Refused` if the body is too large or too slow."""
    read, end = 0, asyncio.get_running_loop().time() + BODY_SECONDS
    complete = False

    async def limited() -> Message:
        nonlocal read, complete
        if complete:
            return await receive()  # returns when the client disconnects
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise Refused(408, f"the body of the request did not arrive within {BODY_SECONDS:g} s") from None
        if message["type"] == "http.request":
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
        if read > MAX_BODY_BYTES:
            raise Refused(413, f"the body of a request may have at most {MAX_BODY_BYTES:,} bytes")
        return message

    return limited


async def _refuse(send: Send, refused: Refused) -> None:
    headers = [*HEADERS, ("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": refused.reason.encode() + b"\n"})


def _only(scope: Scope, name: bytes) -> str:
    """Return the only header of that name, or "" if there is none. Raises `Refused` if there are several."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise Refused(400, f"the header {name.decode()} occurs twice")
    return found[0].decode("latin-1") if found else ""


def _length(scope: Scope) -> int:
    length = _only(scope, b"content-length")
    return int(length) if length.isdecimal() else 0


def _token_in(query: bytes) -> str:
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=10).get("token", [""])[0]
    except ValueError:
        return ""


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]
