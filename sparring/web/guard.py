"""THE GUARD: who may ask. On a machine with other users, and in a browser with other pages, that is only the page whose
address the person was given.

Every request names one of the hosts that are ours, so that no other name leads here (DNS rebinding); carries the
token, once in the address and from then on in a strict cookie; and comes from no other origin. Who is refused learns
nothing.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import cookie_parser

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

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
            fresh = self._admit(scope)
        except Refused as refused:
            await _refuse(send, refused)
            return
        await self._app(scope, _limited(receive), self._sealed(send, fresh))

    def _admit(self, scope: Scope) -> bool:
        """Whether the token came in the address, so that the answer sets the cookie. Raises `Refused`."""
        host = _only(scope, b"host")
        if host not in self._hosts:
            raise Refused(403, "this page does not answer to that name")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            raise Refused(405, "nothing can be changed here")
        origin = _only(scope, b"origin")
        if origin and origin != f"http://{host}":
            raise Refused(403, "other pages may not ask")
        fresh = scope["path"] == "/" and self._fits(_token_in(scope["query_string"]))
        if not fresh and not self._fits(self._in_cookie(scope)):
            raise Refused(403, "open the address that sparring printed: the token is in it")
        if not fresh and _only(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "other pages may not ask")
        if _length(scope) > MOST_BODY:
            raise Refused(413, f"a request may have {MOST_BODY:,} bytes")
        return fresh

    def _in_cookie(self, scope: Scope) -> str:
        return cookie_parser(_only(scope, b"cookie")).get(self._cookie, "")

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def _sealed(self, send: Send, fresh: bool) -> Send:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{self._cookie}={self._token.decode()}; HttpOnly; SameSite=Strict; Path=/"
                added = _encoded([*HEADERS, *([("set-cookie", cookie)] if fresh else [])])
                said = {name for name, _ in message["headers"]}
                more = [(name, value) for name, value in added if name not in said]
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
