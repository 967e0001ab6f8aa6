"""PATIENCE with connections: one that says nothing, or stops in the middle of a request, is closed."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0
"""A connection may be silent for so long before its first request, and within one."""


class Impatient(H11Protocol):
    """uvicorn's protocol, which by itself waits for ever for the first request, and for the rest of a head."""

    _patience: asyncio.TimerHandle | None = None
    _seen: Any = None
    """The request that was answered at the last look."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close what is in no answer, and has not begun one since the last look."""
        busy: Any = self.cycle is not None and not self.cycle.response_complete
        if not busy and self.cycle is self._seen:
            self.transport.close()
            return
        self._seen = self.cycle
        self._patience = self.loop.call_later(SECONDS, self._look)
