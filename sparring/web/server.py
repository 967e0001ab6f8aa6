"""The server process of the page. It listens on this machine and prints the address with its token.

`serve_in_background` runs it during a training. It then ends with the training process, however that ends.
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
"""The first port to try, and how many."""
NICENESS = 10
"""A training on the same machine takes precedence."""
SEND_BUFFER_BYTES = 256 << 10
"""Of a connection's socket. By default Linux buffers up to 4 MiB."""


def serve(
    folder: Path, *, host: str = LOOPBACK, port: int | None = None, report: Callable[[str], None] = print_line
) -> None:
    """Serve until Ctrl-C. `report` gets the address. `port=None` takes the first free port from `PORT` on.

    Raises `MissingExtra` without the extra `watch`, `UsageError` if the port is in use or the host is not of this
    machine.
    """
    require()
    try:
        import uvicorn

        from sparring.web.app import make_app
        from sparring.web.auth import MAX_HEADER_BYTES, AccessControl
        from sparring.web.timeouts import TimeoutProtocol
    except ImportError as error:  # a dependency of these packages
        raise extras.missing(error.name or "", "watch", "the page") from error
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    os.environ["JAX_PLATFORMS"] = "cpu"  # the training uses the other devices
    with _listener(host, port) as listener:
        token, taken = secrets.token_urlsafe(24), listener.getsockname()[1]
        app = AccessControl(make_app(folder), hosts=_host_names(host, taken), token=token)
        config = uvicorn.Config(
            app,
            http=TimeoutProtocol,
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            lifespan="off",
        )
        report(f"http://{_in_url(host)}:{taken}/?token={token}")
        with interrupts.ctrl_c_ends_normally(), contextlib.suppress(KeyboardInterrupt):
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def require() -> None:
    """Raise `MissingExtra` if a package that the page needs is not installed."""
    extras.require("watch", "the page")


@contextmanager
def serve_in_background(folder: Path) -> Iterator[str]:
    """Serve a folder from a separate process while the block runs. Yields the address.

    Raises `MissingExtra` without the extra `watch`, `UsageError` if the process cannot start.
    """
    require()
    process = subprocess.Popen(
        isolation.command("sparring.web.server", "background_main", str(folder)),
        env=isolation.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C goes to the training only
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line.startswith("http://"):
            raise UsageError(line or "the page did not start")
        yield line
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.communicate()


def background_main(folder: str) -> None:
    """Run the process that `serve_in_background` starts. It exits when the parent closes its standard input or ends."""

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
                raise UsageError(f"the page cannot listen at {host}, port {wanted}: {error.strerror}") from None
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # its connections inherit it
            return made
    raise UsageError(f"port {port} is in use; leave out --port to take a free one")


def _host_names(host: str, port: int) -> frozenset[str]:
    """Return the accepted `Host` headers."""
    names = {host, _in_url(host)}
    if host in (LOOPBACK, "localhost", "::1"):
        names |= {"localhost", LOOPBACK, "[::1]"}
    elif host in ("0.0.0.0", "::"):
        own = socket.gethostname()
        names |= {own, "localhost", LOOPBACK}
        with contextlib.suppress(OSError):
            names |= {str(found[4][0]) for found in socket.getaddrinfo(own, None)}
    return frozenset(f"{name}:{port}" for name in names)


def _in_url(host: str) -> str:
    """Return the host as part of a URL."""
    if host == "0.0.0.0":
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to the host."""
    with contextlib.suppress(OSError):
        found: list[Any] = socket.getaddrinfo(host, None)
        return all(entry[4][0] == "::1" or str(entry[4][0]).startswith("127.") for entry in found)
    return False
