"""Fetches one file from the first of several mirrors that delivers it whole.

What is received goes to `<destination>.part`; only when its checksum is right does it take its final name, in one
atomic step. So a file under its final name is always whole. A part that was cut short stays, and the next call goes on
where it ended; a part with wrong bytes is removed.

Two processes may fetch the same file at once: the first locks the part (the lock ends with the process), any other
writes to a part of its own, `<destination>.part-<random>`, which it removes when it ends. Where there are no such
locks (on Windows, on some network drives) every process writes to a part of its own, and none is left to go on with.
"""

import gzip
import hashlib
import os
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead, responses
from pathlib import Path
from urllib.parse import urlsplit

from sparring import interrupts
from sparring.errors import DataError, DownloadError
from sparring.files import atomic, ownership
from sparring.terminal.output import plain_console, print_line

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the bytes expected (None where the server does not say)."""

TIMEOUT = 15.0
"""Seconds of silence after which a mirror is given up."""

TRIES = 3
"""How often one mirror is asked when it fails in a way that may pass: connection lost, cut short, server error."""

PAUSE = 1.0
"""Seconds before the second try; before the third, twice that."""

LIMIT = 1 << 30
"""No file larger than this (1 GiB, as received or unpacked) is fetched."""

_CHUNK = 1 << 18
_PASSING_STATUSES = {408, 425, 429}
_RANGE_NOT_SATISFIABLE = 416


def no_progress(received: int, expected: int | None) -> None:
    """Shows nothing."""


def fetch(
    urls: Sequence[str],
    destination: Path,
    *,
    sha256: str,
    unpack: bool = True,
    progress: Progress = no_progress,
    timeout: float = TIMEOUT,
    tries: int = TRIES,
    pause: float = PAUSE,
    limit: int = LIMIT,
) -> None:
    """Fetches a file from the first of `urls` that delivers it whole; does nothing if it is already there.

    Args:
        urls: Where the file lies, best first; http and https only.
        destination: The path that the file gets once it is whole and verified. Its folder is made if need be.
        sha256: What the file's SHA-256 must be, in hexadecimal.
        unpack: Whether `sha256` is that of the content inside the gzip wrapper (mirrors may pack the same content
            differently). The file is kept as it was received either way.
        progress: Called for every piece that arrives.
        timeout: Seconds of silence after which a mirror is given up.
        tries: How often one mirror is asked at most when it fails in a way that may pass.
        pause: Seconds before the second try, growing with each further one.
        limit: Bytes, as received and as unpacked, beyond which a file is refused.

    Raises:
        DownloadError: no mirror delivered the file; the message gives each mirror with its reason.
        DataError: one of `urls` is not an http or https address.
    """
    for url in urls:
        _check_address(url)
    order = _Order(sha256, unpack, progress, timeout, tries, pause, limit)
    failures: list[str] = []
    try:
        ownership.make_folder(destination.parent)
        with _claimed_part(destination) as part:
            if destination.is_file() and _fault(destination, order) is None:
                return
            for url in urls:
                try:
                    _fetch_whole(url, part, order)
                except _MirrorFailed as failure:
                    failures.append(f"{url} ({failure})")
                else:
                    _publish(part, destination)
                    return
    except OSError as error:
        raise DownloadError(f"{destination} could not be written: {error.strerror or error}") from None
    raise DownloadError(f"{destination.name} could not be fetched: {'; '.join(failures) or 'no mirror is known'}")


@contextmanager
def shown_progress(label: str) -> Iterator[Progress]:
    """Shows a download on standard error: a bar on a terminal, one plain line anywhere else.

    Args:
        label: What is fetched, in a few words.
    """
    if not sys.stderr.isatty():
        print_line(f"Fetching {label}", stderr=True)
        yield no_progress
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bars(*columns, console=plain_console(stderr=True), transient=True) as bars:
        bar = bars.add_task(label, total=None)

        def show(received: int, expected: int | None) -> None:
            bars.update(bar, completed=received, total=expected)

        yield show


@dataclass(frozen=True)
class _Order:
    """What is wanted and with how much patience; the fields are the arguments of `fetch`."""

    sha256: str
    unpack: bool
    progress: Progress
    timeout: float
    tries: int
    pause: float
    limit: int


class _MirrorFailed(Exception):
    """One mirror did not deliver; the message says why."""

    def __init__(self, reason: str, *, may_pass: bool = False, status: int | None = None) -> None:
        super().__init__(reason)
        self.may_pass = may_pass
        self.status = status


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        usable = False
    if not usable:
        raise DataError(f"cannot fetch {url!r}: only http and https addresses are accepted")


def _fetch_whole(url: str, part: Path, order: _Order) -> None:
    """Completes `part` from one mirror and verifies it; wrong bytes are removed.

    When the wrong bytes began with an earlier attempt's, that attempt may be to blame: once, all is fetched again.
    """
    continued = _receive_all(url, part, order)
    fault = _fault(part, order)
    if fault is not None and continued:
        _empty(part)
        _receive_all(url, part, order)
        fault = _fault(part, order)
    if fault is not None:
        _empty(part)
        raise _MirrorFailed(fault)


def _receive_all(url: str, part: Path, order: _Order) -> bool:
    """Asks one mirror until it has delivered all; True when what was received continues an earlier attempt."""
    attempt = 1
    while True:
        try:
            return _receive(url, part, order)
        except _MirrorFailed as failure:
            if not failure.may_pass or attempt >= order.tries:
                raise
        time.sleep(order.pause * attempt)
        attempt += 1


def _receive(url: str, part: Path, order: _Order) -> bool:
    """Asks one mirror once for what `part` still lacks; True when the answer continued what was there."""
    start = _size(part)
    headers = {"User-Agent": "sparring"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        with _told_as_failure(order.timeout):
            response: HTTPResponse = _opener().open(request, timeout=order.timeout)
    except _MirrorFailed as failure:
        if failure.status == _RANGE_NOT_SATISFIABLE and start:
            return True  # nothing is missing, or the part is another file's; its checksum will tell
        raise
    with response:
        continued = response.status == 206
        if continued and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            _empty(part)
            raise _MirrorFailed("answered with another range than was asked for", may_pass=True)
        received = start if continued else 0
        expected = None if response.length is None else received + response.length
        with part.open("ab" if continued else "wb") as file:
            while True:
                with _told_as_failure(order.timeout):
                    piece = response.read1(_CHUNK)
                if not piece:
                    break
                received += len(piece)
                if received > order.limit:
                    file.truncate(0)
                    raise _MirrorFailed(f"larger than {order.limit} bytes", may_pass=continued)
                file.write(piece)
                order.progress(received, expected)
    if expected is not None and received < expected:
        raise _MirrorFailed(f"cut short: expected {expected} bytes, received {received}", may_pass=True)
    return continued


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https addresses and nothing else, also when a mirror redirects to something else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _told_as_failure(timeout: float) -> Iterator[None]:
    """Turns what the network may raise into `_MirrorFailed`, in words."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        passing = error.code >= 500 or error.code in _PASSING_STATUSES
        raise _MirrorFailed(
            f"HTTP {error.code} {responses.get(error.code, '')}".rstrip(), may_pass=passing, status=error.code
        ) from None
    except IncompleteRead:
        raise _MirrorFailed("cut short", may_pass=True) from None
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _network_failure(cause, timeout) from None


def _network_failure(cause: BaseException | str, timeout: float) -> _MirrorFailed:
    if isinstance(cause, TimeoutError):
        return _MirrorFailed(f"silent for {timeout:g} s")
    if isinstance(cause, ConnectionRefusedError):
        return _MirrorFailed("connection refused")
    if isinstance(cause, socket.gaierror):
        return _MirrorFailed("no such host, or no network")
    if isinstance(cause, (ConnectionError, HTTPException)):
        return _MirrorFailed("connection lost", may_pass=True)
    if isinstance(cause, OSError):
        return _MirrorFailed(cause.strerror or str(cause))
    return _MirrorFailed(str(cause))


def _fault(path: Path, order: _Order) -> str | None:
    """What is wrong with the content of `path`; None when its checksum is right. Never unpacks beyond the limit."""
    digest = hashlib.sha256()
    length = 0
    try:
        with path.open("rb") as raw:
            zipped = order.unpack and raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            content = gzip.GzipFile(fileobj=raw) if zipped else raw
            while piece := content.read1(_CHUNK):
                length += len(piece)
                if length > order.limit:
                    return f"wrong bytes: more than {order.limit} when unpacked"
                digest.update(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return "wrong bytes: damaged gzip data"
    if digest.hexdigest() != order.sha256:
        return f"wrong bytes: expected SHA-256 {order.sha256}, found {digest.hexdigest()}"
    return None


def _publish(part: Path, destination: Path) -> None:
    """Writes `part` through to the disk and gives it its final name."""
    atomic.sync(part)
    part.replace(destination)
    atomic.sync(destination.parent)


@contextmanager
def _claimed_part(destination: Path) -> Iterator[Path]:
    """A part file that no other process writes to; see the head of this file for what becomes of it."""
    shared = destination.with_name(f"{destination.name}.part")
    lock = _lock(shared)
    if lock is None:
        own = destination.with_name(f"{destination.name}.part-{secrets.token_hex(4)}")
        try:
            with interrupts.temporary(own):
                yield own
        finally:
            own.unlink(missing_ok=True)
        return
    try:
        yield shared
    finally:
        if _is_at(lock, shared) and _size(shared) == 0:
            shared.unlink()
        os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`, which is made if need be; None when it cannot be had."""
    if sys.platform == "win32":
        return None
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # its last owner renamed or removed the file before the lock was ours


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that `path` names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _empty(path: Path) -> None:
    """Leaves `path` without content, but in its place, so that a lock on it goes on holding."""
    path.write_bytes(b"")
