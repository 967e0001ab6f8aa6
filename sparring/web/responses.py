"""JSON and files as HTTP responses."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from sparring.files.untrusted import open_plain
from sparring.runs.run import Run
from sparring.web.timeouts import CHUNK_BYTES

STATIC = Path(__file__).parent / "static"
SHARED = {"latents.js": STATIC.parent.parent / "export" / "latents.js"}
"""Files that exported pages use as well."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = SHARED | {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
MAX_FILE_BYTES = 64 << 20
"""Larger files are not sent."""
CACHED = {"cache-control": "private, max-age=3600"}
"""Headers of files that never change at their address."""


def json_bytes(value: dict[str, Any]) -> bytes:
    """Encode as ASCII JSON. File names may contain lone surrogates. Raises `ValueError` for NaN or infinity."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def from_json(content: bytes) -> Response:
    """Return a response with this JSON."""
    return Response(content, media_type="application/json")


def static(name: str) -> Response:
    """Return a file of the page."""
    path = FILES.get(name)
    if path is None:
        raise HTTPException(404, "there is no such file")
    return Response(path.read_bytes(), media_type=f"{TYPES[path.suffix]}; charset=utf-8")


def plotly() -> Response:
    """Return Plotly's script from the installed package."""
    import plotly as package

    path = Path(package.__file__).parent / "package_data" / "plotly.min.js"
    return _file(path, "text/javascript", CACHED)


def image(run: Run, path: Path, headers: dict[str, str] | None = None) -> Response:
    """Return a PNG file of the run. A file behind a symlink is refused: it may lie anywhere."""
    if path.resolve() != run.path.resolve() / path.relative_to(run.path):
        raise HTTPException(404, "there is no such image")
    return _file(path, "image/png", headers or {})


def _file(path: Path, kind: str, headers: dict[str, str]) -> Response:
    try:
        file = open_plain(path, MAX_FILE_BYTES)
    except OSError:
        raise HTTPException(404, "there is no such image; it may have been deleted") from None
    length = {"content-length": str(os.fstat(file.fileno()).st_size)}
    return StreamingResponse(_chunks(file), media_type=kind, headers=length | headers)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield the file as fast as the client reads it. Only one chunk per client is in memory."""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
