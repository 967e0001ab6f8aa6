"""Load: fifty clients at once, some slow or unauthenticated. The training computes the same as without them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import load_page
import pytest
from load_page import Address, Found, Held
from tabs import awaited

from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.web import server, timeouts

pytest.importorskip("starlette", reason="needs the extra `watch`")
pytest.importorskip("uvicorn", reason="needs the extra `watch`")
pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")


def watched(recipe: Recipe, run: Run, viewers: int, seconds: float) -> Found:
    """Return what `viewers` clients observe during a training of the recipe."""
    run.path.mkdir(parents=True)
    found = Found()
    with server.serve_in_background(run.path.parent) as printed:
        page = Address.of(printed)
        trainer = threading.Thread(target=training.train, args=[recipe], kwargs={"out": run.path})
        trainer.start()
        while not run.exists():
            time.sleep(0.05)
        process = load_page.page_process(page.port)
        awaited(load_page.crowd(page, 1, 0.3, Found()))
        found.held["before"] = Held.by(process)
        awaited(load_page.crowd(page, viewers, seconds, found))
        trainer.join()
        end = time.monotonic() + load_page.LEAVING_SECONDS
        while Held.by(process).files > found.held["before"].files and time.monotonic() < end:
            time.sleep(0.1)
        found.held["after"] = Held.by(process)
    return found


def check(found: Found, run: Run, alone: Run) -> None:
    """Check that no client had a problem and that the training is unchanged."""
    assert not found.trouble()
    assert found.told and found.rude and found.answers and set(found.answers) == {"HTTP/1.1 403 Forbidden"}
    assert found.held["most"].threads < found.held["before"].threads + 4
    assert run.generator_weights.read_bytes() == alone.generator_weights.read_bytes()
    told, expected = (
        [event["event"] for event in one.events() if event["event"] != "checkpoint"]  # these come by the clock
        for one in (run, alone)
    )
    assert told == expected


@pytest.mark.parametrize(("steps", "seconds"), [(2_000, 2), pytest.param(20_000, 60, marks=pytest.mark.long)])
def test_fifty_viewers_change_nothing(steps: int, seconds: int, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tiny_recipe.replace(steps=steps, grid_every=steps // 10)
    alone = training.train(recipe, out=tmp_path / "alone")
    run = Run(tmp_path / "runs" / "run")
    found = watched(recipe, run, 50, seconds)
    check(found, run, alone)
    if seconds == 60:
        assert found.cut >= 10, "clients that read nothing or one byte per second are disconnected"
        assert sorted(found.waits)[len(found.waits) // 2] < 1.0


# ------------------------------------------------------------------------------------------------ one connection


class Transport:
    """A fake asyncio transport."""

    ended = ""

    def get_extra_info(self, name: str) -> Any:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0, "writing must pause as soon as a client does not read"

    def abort(self) -> None:
        self.ended = "cut off"

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def is_closing(self) -> bool:
        return bool(self.ended)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "READ_SECONDS", 0.2)
    monkeypatch.setattr(timeouts, "MAX_CONNECTIONS", 3)


def connection(state: Any) -> tuple[timeouts.TimeoutProtocol, Transport]:
    """Return a new connection and its transport."""
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    made = timeouts.TimeoutProtocol(uvicorn.Config(app, lifespan="off", log_level="critical"), state, {})
    transport: Any = Transport()
    made.connection_made(transport)
    return made, transport


def test_a_client_that_does_not_read_is_disconnected(brief: None) -> None:
    from uvicorn.server import ServerState

    async def read_and_not() -> tuple[str, str]:
        state = ServerState()
        (deaf, first), (slow, second) = connection(state), connection(state)
        for _ in range(6):
            if not deaf.flow.write_paused:
                deaf.pause_writing()
            slow.pause_writing()
            await asyncio.sleep(0.1)
            slow.resume_writing()
        for one in (deaf, slow):
            one.connection_lost(None)
        return first.ended, second.ended.replace("closed", "")

    assert awaited(read_and_not()) == ("cut off", "")


def test_connections_without_a_request_are_closed_first(brief: None) -> None:
    from uvicorn.server import ServerState

    async def crowded() -> tuple[list[str], list[str]]:
        state = ServerState()
        asking = [connection(state) for _ in range(2)]
        for made, _ in asking:
            made.cycle = made  # type: ignore[assignment]  # something was asked on it
        silent = [connection(state) for _ in range(2)]
        return [transport.ended for _, transport in asking], [transport.ended for _, transport in silent]

    assert awaited(crowded()) == (["", ""], ["cut off", ""])


def test_unfinished_requests_take_little_memory_in_all(brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers may have 1 MiB, because of foreign cookies. Four hundred of these must not be held in memory."""
    from uvicorn.server import ServerState

    monkeypatch.setattr(timeouts, "MAX_HEADER_BYTES", 1000)

    async def begun() -> list[str]:
        state = ServerState()
        made = [connection(state) for _ in range(3)]
        for one, _ in made:
            one.data_received(b"GET / HTTP/1.1\r\nhost: a\r\ncookie: " + b"x" * 400)
        for one, _ in made[:2]:
            one.connection_lost(None)
        return [transport.ended for _, transport in made]

    assert awaited(begun()) == ["closed", "closed", "cut off"]


def test_a_file_is_not_held_in_memory_for_a_slow_client(copied_run: Run) -> None:
    """Thirty clients never read a file of 4.7 MB. The server holds one chunk for each."""
    with server.serve_in_background(copied_run.path) as printed, contextlib.ExitStack() as open_ones:
        page = Address.of(printed)
        awaited(load_page.crowd(page, 1, 1.0, Found()))
        process = load_page.page_process(page.port)
        before = Held.by(process).megabytes
        for _ in range(30):
            deaf: socket.socket = open_ones.enter_context(load_page.small_window(page))
            deaf.sendall(page.request("/plotly.js"))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert Held.by(process).megabytes < before + 30
            time.sleep(0.1)
