"""Download a file from the first of several mirrors that works.

The download is written to `<destination>.part` and renamed in one atomic step when its checksum is right, so a file
under its final name is always complete. A part that was cut short stays, and the next call continues it. A part with
wrong bytes is removed.

Several processes may fetch the same file. The first one locks the part; the lock ends with the process. Any other
process writes to its own part, `<destination>.part-<random>`, and removes it when it ends. Without file locks (on
Windows, on some network drives), every process writes to its own part, and no part is continued.
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
"""Called with (bytes received so far, bytes expected or None if the server does not send a length)."""

_CHUNK = 1 << 18
_PASSING_STATUSES = {408, 425, 429}
_RANGE_NOT_SATISFIABLE = 416


def no_progress(received: int, expected: int | None) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Limits:
    """Limits of a download."""

    timeout: float = 15.0
    """Seconds without data after which a mirror is given up."""
    tries: int = 3
    """Requests to one mirror if it fails in a way that may pass: connection lost, file cut short, server error."""
    pause: float = 1.0
    """Seconds before the second try; twice as many before the third."""
    size: int = 1 << 30
    """Largest file in bytes (1 GiB), as received and unpacked."""


def fetch(
    urls: Sequence[str],
    destination: Path,
    *,
    sha256: str,
    unpack: bool = True,
    progress: Progress = no_progress,
    limits: Limits = Limits(),
) -> None:
    """Download a file from the first of several mirrors that works. Do nothing if the file is already there.

    Args:
        urls: Addresses of the file, best first; http and https only.
        destination: The final path of the file. Its folder is created if needed.
        sha256: The expected SHA-256, in hexadecimal.
        unpack: Whether `sha256` is that of the content inside the gzip wrapper, because mirrors may compress the same
            content differently. The file is kept as it was received.
        progress: Called for every block that arrives.
        limits: When to give up.

    Raises:
        DownloadError: No mirror delivered the file. The message lists each mirror with its reason.
        DataError: One of `urls` is not an http or https address.
    """
    for url in urls:
        _check_address(url)
    wanted = _Wanted(sha256, unpack, progress, limits)
    failures: list[str] = []
    try:
        ownership.make_folder(destination.parent)
        with _claimed_part(destination) as part:
            if destination.is_file() and _fault(destination, wanted) is None:
                return
            for url in urls:
                try:
                    _fetch_whole(url, part, wanted)
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
    """Show a download on standard error: a progress bar on a terminal, one plain line elsewhere."""
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
class _Wanted:
    """The wanted file: arguments of `fetch`."""

    sha256: str
    unpack: bool
    progress: Progress
    limits: Limits


class _MirrorFailed(Exception):
    """A mirror did not deliver the file. The message is the reason."""

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


def _fetch_whole(url: str, part: Path, wanted: _Wanted) -> None:
    """Complete `part` from one mirror and verify it. Remove it if its bytes are wrong.

    If they continue an earlier attempt, that attempt may be the cause, so the whole file is fetched once more.
    """
    continued = _receive_all(url, part, wanted)
    fault = _fault(part, wanted)
    if fault is not None and continued:
        _empty(part)
        _receive_all(url, part, wanted)
        fault = _fault(part, wanted)
    if fault is not None:
        _empty(part)
        raise _MirrorFailed(fault)


def _receive_all(url: str, part: Path, wanted: _Wanted) -> bool:
    """Request the file until one mirror has sent all of it. True if this continued an earlier attempt."""
    attempt = 1
    while True:
        try:
            return _receive(url, part, wanted)
        except _MirrorFailed as failure:
            if not failure.may_pass or attempt >= wanted.limits.tries:
                raise
        time.sleep(wanted.limits.pause * attempt)
        attempt += 1


def _receive(url: str, part: Path, wanted: _Wanted) -> bool:
    """Request the missing bytes of `part` once. True if the response continued the bytes that were there."""
    start = _size(part)
    headers = {"User-Agent": "sparring"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        with _network_errors(wanted.limits.timeout):
            response: HTTPResponse = _opener().open(request, timeout=wanted.limits.timeout)
    except _MirrorFailed as failure:
        if failure.status == _RANGE_NOT_SATISFIABLE and start:
            return True  # nothing is missing, or the part is of another file; the checksum decides
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
                with _network_errors(wanted.limits.timeout):
                    piece = response.read1(_CHUNK)
                if not piece:
                    break
                received += len(piece)
                if received > wanted.limits.size:
                    file.truncate(0)
                    raise _MirrorFailed(f"larger than {wanted.limits.size} bytes", may_pass=continued)
                file.write(piece)
                wanted.progress(received, expected)
    if expected is not None and received < expected:
        raise _MirrorFailed(f"cut short: expected {expected} bytes, received {received}", may_pass=True)
    return continued


def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https addresses only, even if a mirror redirects to another scheme."""
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
def _network_errors(timeout: float) -> Iterator[None]:
    """Turn network errors into `_MirrorFailed`."""
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
        return _MirrorFailed(f"no data for {timeout:g} s")
    if isinstance(cause, ConnectionRefusedError):
        return _MirrorFailed("connection refused")
    if isinstance(cause, socket.gaierror):
        return _MirrorFailed("no such host, or no network")
    if isinstance(cause, (ConnectionError, HTTPException)):
        return _MirrorFailed("connection lost", may_pass=True)
    if isinstance(cause, OSError):
        return _MirrorFailed(cause.strerror or str(cause))
    return _MirrorFailed(str(cause))


def _fault(path: Path, wanted: _Wanted) -> str | None:
    """The fault of the content of `path`; None if its checksum is right. Never unpacks more than the limit."""
    digest = hashlib.sha256()
    length = 0
    try:
        with path.open("rb") as raw:
            zipped = wanted.unpack and raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            content = gzip.GzipFile(fileobj=raw) if zipped else raw
            while piece := content.read1(_CHUNK):
                length += len(piece)
                if length > wanted.limits.size:
                    return f"wrong bytes: more than {wanted.limits.size} when unpacked"
                digest.update(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return "wrong bytes: damaged gzip data"
    if digest.hexdigest() != wanted.sha256:
        return f"wrong bytes: expected SHA-256 {wanted.sha256}, found {digest.hexdigest()}"
    return None


def _publish(part: Path, destination: Path) -> None:
    """Write `part` through to the disk and give it its final name."""
    atomic.sync(part)
    part.replace(destination)
    atomic.sync(destination.parent)


@contextmanager
def _claimed_part(destination: Path) -> Iterator[Path]:
    """A part file that no other process writes to (see the top of this file)."""
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
    """A file descriptor that holds the lock on `path`; None if another process holds it. Creates the file."""
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
        os.close(descriptor)  # its last owner renamed or removed the file before we got the lock


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` is still the open file."""
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
    """Empty the file but keep it, so that a lock on it stays valid."""
    path.write_bytes(b"")
