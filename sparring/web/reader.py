"""Cached JSON about the runs of a folder, and the explorers of their networks."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sparring.errors import SparringError
from sparring.recipes.recipe import settings_of
from sparring.runs.run import Run
from sparring.web import view
from sparring.web.limits import check_metadata, check_run
from sparring.web.responses import json_bytes
from sparring.web.run_index import RunIndex
from sparring.web.tail import Tail

if TYPE_CHECKING:
    from sparring.web.explorer import Explorer

CACHE_SECONDS = 1.0
"""How long an answer is reused. Many clients cost no more than one."""
MAX_EXPLORERS = 3
"""Runs whose networks stay loaded."""
LIVE = ("running", "killed")
"""States that can change without a change to any file."""
UNREADABLE = (
    *(OSError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError),
    *(RecursionError, MemoryError, SparringError),
)
"""What reading a damaged or foreign folder can raise."""

Result = TypeVar("Result")


@dataclass
class Snapshot:
    """A run, or all runs, at one time."""

    time: float
    stamp: str
    """Differs whenever something has changed."""
    content: bytes | None = None
    """The JSON, once a client has requested it."""


class RunReader:
    """Reads the runs of a folder for the page.

    One thread reads runs, and one runs networks. Requests that wait for one of them hold no thread.
    """

    def __init__(self, folder: Path) -> None:
        self.index = RunIndex(folder)
        self._tails: dict[Path, Tail] = {}
        self._cards: dict[Path, tuple[str, dict[str, Any]]] = {}
        self._explorers: OrderedDict[Path, Explorer] = OrderedDict()
        self._snapshots: dict[str | None, Snapshot] = {}
        self._reading, self._exploring = CapacityLimiter(1), CapacityLimiter(1)

    async def find(self, request: Request) -> Run:
        """Return the run in the address. Raises `HTTPException` if there is none."""
        return await self._in_thread(self._find, request.path_params["run"])

    async def stamp(self, key: str | None) -> str:
        """Return the change stamp of a run, or of all runs."""
        known = self._snapshots.get(key)
        if known is not None and time.monotonic() < known.time + CACHE_SECONDS:
            return known.stamp
        return (await self._in_thread(self._snapshot, key)).stamp

    async def read(self, key: str | None) -> bytes:
        """Return a run, or the list of all runs, as JSON. Raises `HTTPException` if it cannot be read."""
        return await self._in_thread(self._read, key)

    async def differences(self, keys: list[str]) -> bytes:
        """Return the differences between the recipes of these runs, as JSON."""

        def compare() -> bytes:
            return json_bytes({"differences": differences([self.index.find(key) for key in keys])})

        return await self._in_thread(compare)

    async def explore(self, run: Run, work: Callable[[Explorer], Result], newest: bool = False) -> Result:
        """Call `work` with the explorer of a run. `newest` reloads it if there is a newer checkpoint.

        Raises `RunError` without a checkpoint, `HTTPException` if the networks cannot be loaded.
        """
        return await to_thread.run_sync(self._explore, run, work, newest, limiter=self._exploring)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await to_thread.run_sync(work, *arguments, limiter=self._reading)

    def _find(self, key: str) -> Run:
        run = self.index.find(key)
        if run is None:
            raise HTTPException(404, "there is no such run; it may have been deleted")
        return run

    # -------------------------------------------------------------------------------------------- JSON

    def _snapshot(self, key: str | None) -> Snapshot:
        now = time.monotonic()
        if (known := self._snapshots.get(key)) is not None and now < known.time + CACHE_SECONDS:
            return known
        self._snapshots = {key: one for key, one in self._snapshots.items() if now < one.time + CACHE_SECONDS}
        found = self._snapshots[key] = Snapshot(now, self._stamp(key))
        return found

    def _stamp(self, key: str | None) -> str:
        if key is None:
            stamps = "|".join(f"{name}:{self._stamp_in_list(run)}" for name, run in self.index.runs().items())
            return hashlib.sha256(stamps.encode()).hexdigest()
        run = self.index.find(key)
        return "gone" if run is None else f"{view.stamp(run)}.{view.is_training(run)}"

    def _stamp_in_list(self, run: Run) -> str:
        _, card = self._cards.get(run.path, ("", {"state": "running"}))
        return f"{view.stamp(run)}.{card['state'] in LIVE and view.is_training(run)}"

    def _read(self, key: str | None) -> bytes:
        snapshot = self._snapshot(key)
        if snapshot.content is None:
            snapshot.content = self.read_list() if key is None else self.read_run(key)
        return snapshot.content

    def read_list(self) -> bytes:
        """Return the cards of all runs as JSON: running ones first, then the last changed."""
        found = self.index.runs()
        paths = {run.path for run in found.values()}
        for cache in (self._tails, self._cards):
            for path in cache.keys() - paths:
                del cache[path]
        cards = [self._card(key, run) for key, run in found.items()]
        cards.sort(key=lambda card: (card["state"] != "running", -card["changed"]))
        return json_bytes({"folder": self.index.folder.name, "runs": cards})

    def read_run(self, key: str) -> bytes:
        """Return one run as JSON. Raises `HTTPException` if it cannot be read."""
        run = self._find(key)
        try:
            check_metadata(run)
            return json_bytes(view.details(self.index.name(run), key, run, self._events(run)))
        except UNREADABLE:
            raise HTTPException(409, "this run cannot be read") from None

    def _card(self, key: str, run: Run) -> dict[str, Any]:
        """Return the card of a run. The last card is reused if the run is not live and has not changed."""
        stamp, name = view.stamp(run), self.index.name(run)
        before, card = self._cards.get(run.path, ("", {}))
        if before != stamp or card["state"] in LIVE:
            try:
                check_metadata(run)
                card = view.card(name, key, run, self._events(run))
                json_bytes(card)
            except UNREADABLE:  # it is being deleted, or another program wrote it
                card = view.unreadable(name, key)
            self._cards[run.path] = (stamp, card)
        return card

    def _events(self, run: Run) -> list[dict[str, Any]]:
        own = run.id
        events = self._tails.setdefault(run.path, Tail(run.events_file)).read()
        return [event for event in events if event.get("run") == own]

    # -------------------------------------------------------------------------------------------- networks

    def _explore(self, run: Run, work: Callable[[Explorer], Result], newest: bool) -> Result:
        from sparring.system.compilation_cache import keep_compiled  # imports JAX, which only the explorer needs
        from sparring.web.explorer import Explorer, newest_step

        keep_compiled()
        explorer = self._explorers.get(run.path)
        if explorer is None or (newest and explorer.trained.step != newest_step(run)):
            try:
                check_run(run)
                explorer = self._explorers[run.path] = Explorer(run)
            except SparringError:
                raise
            except (*UNREADABLE, RuntimeError):  # JAX raises RuntimeError if memory runs out
                raise HTTPException(409, "these networks cannot be loaded") from None
        self._explorers.move_to_end(run.path)
        while len(self._explorers) > MAX_EXPLORERS:
            self._explorers.popitem(last=False)
        return work(explorer)


def differences(runs: Sequence[Run | None]) -> dict[str, list[Any]]:
    """Return the settings that differ, each with one value a run: None for a deleted run or a damaged recipe."""
    settings = [{} if run is None else _settings(run) for run in runs]
    names = dict.fromkeys(name for found in settings for name in found)
    values = {name: [found.get(name) for found in settings] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found[1:])}


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings of a run, or none if they cannot be read."""
    try:
        check_metadata(run)
        found = settings_of(run.recipe())
        json_bytes(found)
        return found
    except UNREADABLE:
        return {}
