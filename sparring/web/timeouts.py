"""Timeouts and limits of connections.

A connection is closed if it sends nothing, stops within a request, or does not read its response. If there are too many
connections, those without a request are closed first.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""The longest silence before the first request, and within a request."""
READ_SECONDS = 20.0
"""The longest time in which a client may read less than a chunk of its response."""
CHUNK_BYTES = 64 << 10
"""Size of the chunks of a file. A slow client holds only one of them in memory."""
MAX_CONNECTIONS = 400
MAX_HEADER_BYTES = 32 << 20
"""Of requests with incomplete headers, over all connections."""


class TimeoutProtocol(H11Protocol):
    """uvicorn's HTTP protocol with timeouts. uvicorn alone waits forever for a request and for a slow client."""

    _request_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _last_cycle: Any = None
    """The request that was being answered at the last check."""
    _header_bytes = 0
    """Bytes that arrived since the last complete request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing pauses when the socket's buffer is full
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, self._check)
        if len(self.connections) > MAX_CONNECTIONS:
            self._close_an_idle_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._request_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        incomplete = self.cycle is before and not self._is_busy()
        self._header_bytes = self._header_bytes + len(data) if incomplete else 0
        others: Any = self.connections
        if self._header_bytes and sum(other._header_bytes for other in others) > MAX_HEADER_BYTES:
            self.transport.abort()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_timer = self.loop.call_later(READ_SECONDS, self._reset_connection)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()

    def _reset_connection(self) -> None:
        """Send a TCP reset, so that the kernel drops its send buffer as well."""
        made = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _check(self) -> None:
        """Close the connection if no request was answered since the last check and none is being answered."""
        if not self._is_busy() and self.cycle is self._last_cycle:
            self.transport.close()
            return
        self._last_cycle = self.cycle
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, self._check)

    def _close_an_idle_connection(self) -> None:
        """Close a connection without a request. Unauthenticated clients can hold only these. Else close this one."""
        others: Any = self.connections - {self}
        next((other for other in others if other.cycle is None), self).transport.abort()
