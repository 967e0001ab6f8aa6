"""THE GUARD: who may ask. On a machine with other users, and in a browser with other pages, that is only the page whose
address the person was given.

Every request names one of the hosts that are ours, so that no other name leads here (DNS rebinding); carries the
token, once in the address and from then on in a strict cookie; and comes from no other origin. Who is refused learns
nothing.

Cookies know no ports: a browser shows them to every server of this machine, whoever runs it. So the page lies at a
place that is drawn at every start, and the cookie is for that place alone, which no other server knows. For the same
reason any other server of this machine can set cookies that the browser sends here: one of ours among them is enough.
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

MOST_HEAD = 1 << 20
"""Bytes of the first line and the headers of a request. A browser keeps up to 180 cookies of 4 KiB for a host, and any
server of this machine can make it send all of them here."""
MOST_BODY = 2 << 20
"""Bytes of the largest request: a drawing of 128 x 128 pixels in colour takes a tenth of it."""
BODY_SECONDS = 5.0
"""What a request carries has to be there by then."""
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

DOOR = """<!doctype html>
<meta charset="utf-8"><title>Sparring</title><meta http-equiv="refresh" content="0; url={place}/">
"""
"""Leads on to the page as a link of its own would; a redirection would still come from wherever the person was."""


class Refused(Exception):
    """The request is not answered."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Guard:
    """Lets through to `app` what may pass, and gives every answer the headers that hold a browser to it."""

    def __init__(self, app: App, *, hosts: frozenset[str], token: str) -> None:
        """`hosts` are names with the port, as browsers send them: "127.0.0.1:8765"."""
        self._app, self._hosts, self._token = app, hosts, token.encode()
        self._place = f"/{secrets.token_urlsafe(24)}"
        port = min(hosts).rpartition(":")[2]
        self._cookie = f"sparring-{port}"  # cookies know no ports, so two pages on one machine need two names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            path = self._admit(scope)
        except Refused as refused:
            await _refuse(send, refused)
            return
        if path is None:
            await self._open(send)
            return
        inside = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(inside, _limited(receive), _sealed(send))

    async def _open(self, send: Send) -> None:
        """Give the cookie, and lead to the place of the page."""
        cookie = f"{self._cookie}={self._token.decode()}; HttpOnly; SameSite=Strict; Path={self._place}/"
        headers = [*HEADERS, ("content-type", "text/html; charset=utf-8"), ("set-cookie", cookie)]
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": DOOR.format(place=self._place).encode()})

    def _admit(self, scope: Scope) -> str | None:
        """The path within the page's place; None where the token came in the address. Raises `Refused`."""
        host = _only(scope, b"host")
        if host not in self._hosts:
            raise Refused(403, "this page does not answer to that name")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, "nothing can be changed here")
        origin = _only(scope, b"origin")
        if origin and origin != f"http://{host}":
            raise Refused(403, "other pages may not ask")
        if scope["path"] == "/" and self._fits(_token_in(scope["query_string"])):
            return None
        place, slash, path = scope["path"][1:].partition("/")
        known = _same(f"/{place}", self._place) and slash
        if not self._has_cookie(scope) or not known:
            raise Refused(403, "open the address that sparring printed, or start sparring watch anew")
        if _only(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "other pages may not ask")
        if _length(scope) > MOST_BODY:
            raise Refused(413, f"a request may have {MOST_BODY:,} bytes")
        return f"/{path}"

    def _has_cookie(self, scope: Scope) -> bool:
        """Whether one of the cookies of our name has the token. Other servers may have set more of that name."""
        pairs = (pair.strip().partition("=") for pair in _only(scope, b"cookie").split(";"))
        return any(self._fits(value) for name, _, value in pairs if name == self._cookie)

    def _fits(self, token: str) -> bool:
        return _same(token, self._token.decode())


def _same(one: str, other: str) -> bool:
    """Whether they are, in the same time whatever they have in common."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _sealed(send: Send) -> Send:
    """The same, with the headers that hold a browser to the page."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = {name for name, _ in message["headers"]}
            more = [(name, value) for name, value in _encoded([*HEADERS]) if name not in said]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sealed


def _limited(receive: Receive) -> Receive:
    """The body, up to its limit in bytes and in seconds. Raises `Refused` beyond it."""
    read, end = 0, asyncio.get_running_loop().time() + BODY_SECONDS
    whole = False

    async def limited() -> Message:
        nonlocal read, whole
        if whole:
            return await receive()  # waits until the other side is gone
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise Refused(408, "the request did not come to its end") from None
        if message["type"] == "http.request":
            read += len(message.get("body", b""))
            whole = not message.get("more_body", False)
        if read > MOST_BODY:
            raise Refused(413, f"a request may have {MOST_BODY:,} bytes")
        return message

    return limited


async def _refuse(send: Send, refused: Refused) -> None:
    headers = [*HEADERS, ("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": refused.words.encode() + b"\n"})


def _only(scope: Scope, name: bytes) -> str:
    """The one header of that name; nothing where there is none. Raises `Refused` where there are several."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise Refused(400, f"the header {name.decode()} comes twice")
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
