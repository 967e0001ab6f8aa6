"""THE SERVER: the process of the page. It is bound to this machine, prints the address with its token, and yields to
whoever trains.

`serve_in_background` starts it for the time of a training: it then ends when the trainer does, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sparring import interrupts
from sparring.errors import SparringError, UsageError
from sparring.system import extras, isolation
from sparring.terminal.output import print_line

LOOPBACK = "127.0.0.1"
PORT, PORTS = 8765, 20
"""The first port that is tried, and how many."""
NICENESS = 10
"""A trainer on the same machine comes first."""
WAITING = 256 << 10
"""Bytes that the system keeps at most for a reader; by itself it would go up to 4 MiB."""


def serve(
    folder: Path, *, host: str = LOOPBACK, port: int | None = None, report: Callable[[str], None] = print_line
) -> None:
    """Answer until Ctrl-C; `report` gets the address. Without a port the first free one from `PORT` on is taken.

    Raises `MissingExtra` without the extra `watch`, `UsageError` where the port is taken or the host is not ours.
    """
    require()
    try:
        import uvicorn

        from sparring.web.app import make_app
        from sparring.web.auth import MOST_HEAD, Guard
        from sparring.web.timeouts import Impatient
    except ImportError as error:  # what these need themselves
        raise extras.missing(error.name or "", "watch", "the page") from error
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    os.environ["JAX_PLATFORMS"] = "cpu"  # other devices are the trainer's
    with _listener(host, port) as listener:
        token, taken = secrets.token_urlsafe(24), listener.getsockname()[1]
        guarded = Guard(make_app(folder), hosts=_names(host, taken), token=token)
        config = uvicorn.Config(
            guarded,
            http=Impatient,
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=MOST_HEAD,
            lifespan="off",
        )
        report(f"http://{_shown(host)}:{taken}/?token={token}")
        with interrupts.welcome(), contextlib.suppress(KeyboardInterrupt):
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def require() -> None:
    """Raise `MissingExtra` where what the page needs is not installed."""
    extras.require("watch", "the page")


@contextmanager
def serve_in_background(folder: Path) -> Iterator[str]:
    """The page of a folder in a process of its own, for as long as the block takes: its address.

    Raises `MissingExtra` without the extra `watch`, `UsageError` where it cannot start.
    """
    require()
    process = subprocess.Popen(
        isolation.command("sparring.web.server", "background_main", str(folder)),
        env=isolation.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the trainer
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if not said.startswith("http://"):
            raise UsageError(said or "the page did not start")
        yield said
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.communicate()


def background_main(folder: str) -> None:
    """The process that `serve_in_background` starts: it ends when nobody holds its standard input any more."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
    try:
        serve(Path(folder), report=partial(print_line, flush=True))
    except SparringError as error:
        print_line(str(error))


def _listener(host: str, port: int | None) -> socket.socket:
    ports = [port] if port is not None else [*range(PORT, PORT + PORTS), 0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in ports:
        try:
            made = socket.create_server((host, wanted), family=family, backlog=512)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"there can be no page at {host}, port {wanted}: {error.strerror}") from None
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING)  # of all its connections
            return made
    raise UsageError(f"port {port} is in use; leave --port out, and a free one is taken")


def _names(host: str, port: int) -> frozenset[str]:
    """The names that a browser may have asked for, each with the port."""
    names = {host, _shown(host)}
    if host in (LOOPBACK, "localhost", "::1"):
        names |= {"localhost", LOOPBACK, "[::1]"}
    elif host in ("0.0.0.0", "::"):
        own = socket.gethostname()
        names |= {own, "localhost", LOOPBACK}
        with contextlib.suppress(OSError):
            names |= {str(found[4][0]) for found in socket.getaddrinfo(own, None)}
    return frozenset(f"{name}:{port}" for name in names)


def _shown(host: str) -> str:
    """As it stands in an address."""
    if host == "0.0.0.0":
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether only this machine can ask there."""
    with contextlib.suppress(OSError):
        found: list[Any] = socket.getaddrinfo(host, None)
        return all(entry[4][0] == "::1" or str(entry[4][0]).startswith("127.") for entry in found)
    return False
