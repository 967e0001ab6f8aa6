"""THE CROWD before the page: a training, watched by fifty at once, some of them slow, deaf or rude, and by strangers.

python benchmarks/load_page.py --viewers 50 --seconds 60

Prints the rate of the training with and without them, in stretches of time that take turns; how long honest viewers
wait; what the page's process holds before, meanwhile and after; what strangers got; and whether a training that nobody
watched ends with the same weights. Linux, and the extra `watch`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from turns import SETTLING_SECONDS, Stretch, in_turn, print_price, processor_seconds, training, wait_until_it_trains

from sparring.recipes import RECIPES
from sparring.runs.run import Run
from sparring.web import server

LEAVING_SECONDS = 35.0
"""After these the page has let go of all that is gone, or never read."""
OPENED = ("/", "/static/page.js", "/static/parts.js", "/static/run.js", "/static/charts.js", "/plotly.js", "/api/runs")
"""What a browser asks for when the page is opened."""
FOLLOW_SECONDS = 1.0
"""How often a page asks for changes, as in `follow` of connection.js."""
KINDS = ("honest", "honest", "slow", "honest", "deaf", "honest", "rude", "honest", "honest", "stranger")
"""What the viewers are, in turn."""
NICENESS = 10
"""Of the viewers: what is measured is what the page costs, not what they do."""


def main() -> None:
    """Train, let them come and go, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default="mlp-256")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="that they watch, and as long not")
    parser.add_argument("--rounds", type=int, default=4, help="stretches of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watched, alone = Run(Path(folder) / "runs" / "watched"), Run(Path(folder) / "alone")
        watched.path.parent.mkdir()
        constant = ("--schedule-steps", "0")
        with server.serve_in_background(watched.path.parent) as address:
            command = training(given.recipe, watched, *constant, "--steps", "10000000")
            trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            os.nice(NICENESS)
            try:
                found, stretches = watched_and_not(address, watched, given.viewers, given.seconds, given.rounds)
            finally:
                trainer.send_signal(signal.SIGTERM)
                trainer.wait()
        print_found(found)
        print_price(stretches, watched)
        command = training(given.recipe, alone, *constant, "--steps", str(watched.reached()))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        same = alone.generator_weights.read_bytes() == watched.generator_weights.read_bytes()
        print(
            f"{watched.reached():,} steps; weights {'equal' if same else 'DIFFER from'} an unwatched run's, bit for bit"
        )
        if not same or found.trouble():
            sys.exit(1)


# ------------------------------------------------------------------------------------------------ the page's process


class Held(NamedTuple):
    """What the process of the page has of the machine."""

    megabytes: float
    files: int
    threads: int

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {self.files} files and connections, {self.threads} threads"

    def most(self, other: Held) -> Held:
        """Of each the larger one."""
        return Held(max(self[0], other[0]), max(self[1], other[1]), max(self[2], other[2]))

    @staticmethod
    def by(process: int) -> Held:
        """Of that process, now."""
        place = Path("/proc") / str(process)
        lines = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        files = len(list((place / "fd").iterdir()))
        return Held(int(lines["VmRSS"].split()[0]) / 1000, files, int(lines["Threads"]))


def page_process(port: int) -> int:
    """The process that listens there."""
    wanted = f"0100007F:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(line[9] for line in lines if line[1] == wanted and line[3] == "0A")
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(place.readlink()) == f"socket:[{inode}]" and b"sparring.web.server" in command_of(place.parts[2]):
                return int(place.parts[2])
    raise LookupError(f"nobody listens at {port}")


def command_of(process: str) -> bytes:
    return (Path("/proc") / process / "cmdline").read_bytes()


# ------------------------------------------------------------------------------------------------ the viewers


@dataclass
class Found:
    """What they met."""

    held: dict[str, Held] = field(default_factory=dict)
    """By when it was."""
    waits: list[float] = field(default_factory=list)
    """Seconds from an honest request to its whole answer."""
    told: int = 0
    """Changes that honest viewers heard of."""
    answers: Counter[str] = field(default_factory=Counter)
    """What strangers got."""
    leaks: list[bytes] = field(default_factory=list)
    """What they should not have got."""
    cut: int = 0
    """Slow and deaf connections that the page closed."""
    rude: int = 0
    """Connections that were broken off in the middle."""
    failures: Counter[str] = field(default_factory=Counter)
    """Honest requests that went wrong."""
    processor: float = 0.0
    """Share of one processor that the page took while it was watched."""

    def trouble(self) -> list[str]:
        """What should not be, in words."""
        before, after = self.held["before"], self.held["after"]
        found = [f"strangers got {leak[:80]!r}" for leak in self.leaks]
        found += [f"{count} honest requests: {what}" for what, count in self.failures.items()]
        if after.files > before.files + 3:
            found.append(f"the page holds {after.files} files, before {before.files}")
        if self.held["most"].megabytes > before.megabytes + 100:
            found.append(f"the page came to {self.held['most']}")
        return found


@dataclass(frozen=True)
class Address:
    """Where the page is, and what opens it."""

    port: int
    token: str
    place: str

    @classmethod
    def of(cls, printed: str) -> Address:
        """What the page printed, and where that leads."""
        told = urlsplit(printed)
        with urllib.request.urlopen(printed) as door:
            place = str(door.headers["set-cookie"]).partition("Path=")[2].rstrip("/")
        return cls(told.port or 0, parse_qs(told.query)["token"][0], place)

    def request(self, path: str, **headers: str) -> bytes:
        """The bytes of a request, with the host and the cookie, unless other ones are said."""
        sent = {"host": f"127.0.0.1:{self.port}", "cookie": f"sparring-{self.port}={self.token}"} | headers
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        return f"GET {self.place}{path} HTTP/1.1\r\n{head}\r\n".encode()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, broken off at the end, whatever still stands in it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


Viewer = Callable[[Address, str, Found], Coroutine[Any, Any, None]]


async def honest(page: Address, key: str, found: Found) -> None:
    """Opens the page, and asks each second whether the run has changed; then for it and for its newest pictures."""
    async with page.connected() as asking:
        for path in OPENED:
            await answer(page, asking, path, found)
        stamp = shown = None
        while True:
            now = json.loads(await answer(page, asking, f"/api/changes?run={key}", found))["stamp"]
            if now != stamp:
                stamp = now
                found.told += 1
                run = json.loads(await answer(page, asking, f"/api/runs/{key}", found))
                if run["grid"] not in (None, shown):
                    shown = run["grid"]
                    await answer(page, asking, f"/api/runs/{key}/grids/{shown}.png", found)
            await asyncio.sleep(FOLLOW_SECONDS)


async def answer(
    page: Address, asking: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, found: Found
) -> bytes:
    """The body of an answer; how long that took is noted."""
    began = time.monotonic()
    asking[1].write(page.request(path))
    head = await asking[0].readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        found.failures[head.partition(b"\r\n")[0].decode()] += 1
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await asking[0].readexactly(int(length.partition(b":")[2]))
    found.waits.append(time.monotonic() - began)
    return body


async def slow(page: Address, key: str, found: Found) -> None:
    """Takes one byte a second of the largest file, and of the changes."""

    def ended(connection: socket.socket) -> bool:
        with contextlib.suppress(BlockingIOError):
            return not connection.recv(1)
        return False

    await hold(page, found, 1, ended)


async def deaf(page: Address, key: str, found: Found) -> None:
    """Asks again and again, for what is large, and never reads."""
    await hold(page, found, 20, lambda connection: False)


async def hold(page: Address, found: Found, times: int, ended: Callable[[socket.socket], bool]) -> None:
    """Ask so many times on each of two connections, and look each second whether the page closed them."""
    with contextlib.ExitStack() as open_ones:
        connections = [open_ones.enter_context(small_window(page)) for _ in range(2)]
        for connection, path in zip(connections, ("/plotly.js", "/api/changes"), strict=True):
            await asyncio.get_running_loop().sock_sendall(connection, page.request(path) * times)
        while connections:
            await asyncio.sleep(1)
            for connection in list(connections):
                try:
                    is_cut = ended(connection) or gone(connection)
                except OSError:
                    is_cut = True
                if is_cut:
                    found.cut += 1
                    connections.remove(connection)


def small_window(page: Address) -> socket.socket:
    """A connection that takes little at a time."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", page.port))
    connection.setblocking(False)
    return connection


def gone(connection: socket.socket) -> bool:
    """Whether the other side has closed it, as the system sees it (Linux)."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED


ESTABLISHED = 1


async def rude(page: Address, key: str, found: Found) -> None:
    """Asks, and breaks off in the middle of the answer, without a farewell."""
    paths = itertools.cycle((f"/api/runs/{key}", "/plotly.js", "/api/changes", f"/api/runs/{key}/real.png"))
    for path in paths:
        async with page.connected() as (reader, writer):
            writer.write(page.request(path)[: None if found.rude % 3 else 40])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(100)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no end
        found.rude += 1
        await asyncio.sleep(0.1)


async def stranger(page: Address, key: str, found: Found) -> None:
    """Has no token, or comes from somewhere else."""
    ways = (
        {"cookie": ""},
        {"cookie": f"sparring-{page.port}={'x' * len(page.token)}"},
        {"host": f"evil.example:{page.port}"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site"},
    )
    paths = ("/", f"/api/runs/{key}", "/api/changes", "/plotly.js", f"/api/runs/{key}/real.png")
    for way, path in itertools.cycle(itertools.product(ways, paths)):
        async with page.connected() as (reader, writer):
            writer.write(page.request(path, **way))
            got = await reader.read(-1)
        status = got.partition(b"\r\n")[0].decode("latin-1")
        found.answers[status] += 1
        if not status.startswith("HTTP/1.1 403") or page.place.encode() in got or len(got) > 1500:
            found.leaks.append(got)
        await asyncio.sleep(0.1)


VIEWERS: dict[str, Viewer] = {"honest": honest, "slow": slow, "deaf": deaf, "rude": rude, "stranger": stranger}


async def crowd(page: Address, count: int, seconds: float, found: Found) -> None:
    """Let so many viewers come, and after so many seconds go."""
    key = await first_run(page)
    process = page_process(page.port)
    viewers = [
        asyncio.create_task(VIEWERS[kind](page, key, found)) for kind in itertools.islice(itertools.cycle(KINDS), count)
    ]
    began, taken = time.monotonic(), processor_seconds(process)
    while time.monotonic() - began < seconds:
        await asyncio.sleep(0.25)
        now = Held.by(process)
        found.held["most"] = found.held.get("most", now).most(now)
    found.processor = (processor_seconds(process) - taken) / (time.monotonic() - began)
    for viewer in viewers:
        if not viewer.done():
            viewer.cancel()
    for viewer in viewers:
        try:
            await viewer
        except asyncio.CancelledError:
            pass
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            found.failures[repr(error)] += 1
    await asyncio.sleep(0.1)  # for what was broken off


async def first_run(page: Address) -> str:
    """The id of the one run."""
    async with page.connected() as asking:
        return str(json.loads(await answer(page, asking, "/api/runs", Found()))["runs"][0]["id"])


# ------------------------------------------------------------------------------------------------ with and without


def watched_and_not(address: str, run: Run, viewers: int, seconds: float, rounds: int) -> tuple[Found, list[Stretch]]:
    """What they met, and the stretches: without, with, with, without, and so on."""
    wait_until_it_trains(run)
    page, found = Address.of(address), Found()
    asyncio.run(crowd(page, 1, 3, Found()))  # what it loads at the first request is not what is measured
    process = page_process(page.port)
    found.held["before"] = Held.by(process)

    def stretch(is_watched: bool) -> Stretch:
        length, began = SETTLING_SECONDS + seconds / rounds, time.time()
        if is_watched:
            asyncio.run(crowd(page, viewers, length, found))
        else:
            time.sleep(length)
        print(f"{'watched' if is_watched else 'alone'}: page {Held.by(process)}", flush=True)
        return Stretch(is_watched, began + SETTLING_SECONDS, time.time())

    stretches = in_turn(rounds, stretch)
    time.sleep(LEAVING_SECONDS)
    found.held["after"] = Held.by(process)
    return found, stretches


def print_found(found: Found) -> None:
    """What they met."""
    for when in ("before", "most", "after"):
        print(f"the page {when}: {found.held[when]}")
    waits = sorted(found.waits)
    print(
        f"{len(waits):,} honest requests: median {1000 * statistics.median(waits):.0f} ms, 99% within "
        f"{1000 * waits[int(0.99 * len(waits))]:.0f} ms, all within {1000 * waits[-1]:.0f} ms"
    )
    print(f"{found.told:,} changes told; {found.rude:,} connections broken off; {found.cut} slow and deaf ones cut off")
    print(f"strangers got {dict(found.answers)}, {len(found.leaks)} of them more than a refusal")
    print(f"the page took {found.processor:.1%} of one processor while it was watched")
    for words in found.trouble():
        print(f"TROUBLE: {words}")


if __name__ == "__main__":
    main()
