"""PATIENCE with connections: one that says nothing, stops in the middle of a request, or does not read its answer, is
closed; and where there are too many, those that have asked for nothing make room.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0
"""A connection may be silent for so long before its first request, and within one."""
READING_SECONDS = 20.0
"""So long the system may hold what it was given for a reader, and he takes not even `PIECE` of it."""
PIECE = 64 << 10
"""Bytes that are handed over at a time, so that nobody who reads slowly has more than these in our memory."""
MOST_CONNECTIONS = 400
MOST_HEADS = 32 << 20
"""Bytes of requests that have not come to the end of their headers, of all connections together."""


class Impatient(H11Protocol):
    """uvicorn's protocol, which by itself waits for ever: for the first request, the rest of one, and for readers."""

    _patience: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _seen: Any = None
    """The request that was answered at the last look."""
    _head = 0
    """Bytes that came since the last request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing pauses as soon as the system takes no more
        self._patience = self.loop.call_later(SECONDS, self._look)
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._patience, self._reading):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        self._head = self._head + len(data) if self.cycle is before and not self._is_busy() else 0
        others: Any = self.connections
        if self._head and sum(other._head for other in others) > MOST_HEADS:
            self.transport.abort()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(READING_SECONDS, self._cut_off)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading is not None:
            self._reading.cancel()

    def _cut_off(self) -> None:
        """Reset the connection, so that the system keeps nothing for it either."""
        made = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _look(self) -> None:
        """Close what is in no answer, and has not begun one since the last look."""
        if not self._is_busy() and self.cycle is self._seen:
            self.transport.close()
            return
        self._seen = self.cycle
        self._patience = self.loop.call_later(SECONDS, self._look)

    def _make_room(self) -> None:
        """End a connection on which nothing was asked for yet, for only these can strangers hold; without one, this."""
        others: Any = self.connections - {self}
        next((other for other in others if other.cycle is None), self).transport.abort()
