"""THE ANSWERS of the page: which address gives what. All only read, and know runs by their ids."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from sparring.errors import SparringError
from sparring.images import picture
from sparring.recipe import settings_of
from sparring.run import Run
from sparring.web import view
from sparring.web.guard import Refused
from sparring.web.shelf import Shelf
from sparring.web.tail import Tail, open_plain

if TYPE_CHECKING:
    from sparring.web.player import Player

STATIC = Path(__file__).parent / "static"
SHARED = {"latents.js": STATIC.parent.parent / "export" / "latents.js"}
"""What exported pages use as well."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOOK_SECONDS = 1.0
"""How often a page that is open hears of changes."""
MOST_LISTENERS = 500
MOST_PICTURES = 64
"""Of one request."""
MOST_PLAYERS = 3
"""Runs whose networks are kept ready."""
LARGEST_GRID = 64 << 20
"""Bytes of a picture that is still shown."""
MOST_COMPARED = 8
KEPT = {"cache-control": "private, max-age=3600"}
"""Of what never changes under its address."""


class Page:
    """What the answers are made of: the runs, the tails of their events, and the players."""

    def __init__(self, folder: Path) -> None:
        self.shelf = Shelf(folder)
        self.listeners = 0
        self._tails: dict[Path, Tail] = {}
        self._cards: dict[Path, tuple[str, dict[str, Any]]] = {}
        self._players: OrderedDict[Path, Player] = OrderedDict()
        self._reading, self._playing = threading.Lock(), threading.Lock()

    def run(self, request: Request) -> tuple[str, Run]:
        """The id that the address names, and its run. Raises `HTTPException` where there is none."""
        key = request.path_params["run"]
        run = self.shelf.find(key)
        if run is None:
            raise HTTPException(404, "there is no such run (any more)")
        return key, run

    def cards(self) -> list[dict[str, Any]]:
        """All runs, the newest first."""
        with self._reading:
            found = self.shelf.runs()
            there = {run.path for run in found.values()}
            for known in (self._tails, self._cards):
                for path in known.keys() - there:
                    del known[path]
            cards = [self._card(key, run) for key, run in found.items()]
        return sorted(cards, key=lambda card: (card["state"] != "running", -card["changed"]))

    def _card(self, key: str, run: Run) -> dict[str, Any]:
        """The card of a run; of one that is not trained and has not changed the card of before."""
        stamp, name = view.stamp(run), self.shelf.name(run)
        before, card = self._cards.get(run.path, ("", {}))
        if before != stamp or card["state"] == "running":
            try:
                card = view.card(name, key, run, self._events(run))
            except (OSError, ValueError, TypeError, ArithmeticError):  # it is being removed, or is no run of ours
                card = view.unreadable(name, key)
            self._cards[run.path] = (stamp, card)
        return card

    def whole(self, key: str, run: Run) -> dict[str, Any]:
        """One run."""
        with self._reading:
            try:
                return view.whole(self.shelf.name(run), key, run, self._events(run))
            except (OSError, ValueError, TypeError, ArithmeticError):
                raise HTTPException(409, "this run cannot be read") from None

    def play(self, run: Run, do: Callable[[Player], Any], newest: bool = False) -> Any:
        """What `do` makes of the run's player; one at a time. With `newest`, one of the newest checkpoint.

        Raises `RunError` where there is nothing to play with.
        """
        from sparring.compiled import keep_compiled  # JAX is not needed before
        from sparring.web.player import Player, newest_step

        with self._playing:
            keep_compiled()
            player = self._players.get(run.path)
            if player is None or (newest and player.trained.step != newest_step(run)):
                player = self._players[run.path] = Player(run)
            self._players.move_to_end(run.path)
            while len(self._players) > MOST_PLAYERS:
                self._players.popitem(last=False)
            return do(player)

    def _events(self, run: Run) -> list[dict[str, Any]]:
        return self._tails.setdefault(run.path, Tail(run.events_file)).read()


def make_app(folder: Path) -> Starlette:
    """The application for the runs in a folder, without its guard."""
    page = Page(folder)

    async def opened(request: Request) -> Response:
        return _static("page.html")

    async def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    async def plotly(request: Request) -> Response:
        return _file(_plotly(), "text/javascript", KEPT)

    async def runs(request: Request) -> Response:
        return JSONResponse({"folder": page.shelf.folder.name, "runs": await run_in_threadpool(page.cards)})

    async def one(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(page.whole, *page.run(request)))

    async def grid(request: Request) -> Response:
        _, run = page.run(request)
        return _inside(run, run.grid(request.path_params["step"]), KEPT)

    async def real(request: Request) -> Response:
        _, run = page.run(request)
        return _inside(run, run.real_grid)

    async def closest(request: Request) -> Response:
        _, run = page.run(request)
        return _inside(run, run.closest)

    async def changes(request: Request) -> Response:
        if page.listeners >= MOST_LISTENERS:
            raise HTTPException(503, "too many pages are open")
        return StreamingResponse(_changes(page, request.query_params.get("run")), media_type="text/event-stream")

    async def compare(request: Request) -> Response:
        keys = request.query_params.get("runs", "").split(",")[:MOST_COMPARED]
        found = [run for key in keys if (run := page.shelf.find(key)) is not None]
        return JSONResponse({"differences": await run_in_threadpool(differences, found)})

    async def player(request: Request) -> Response:
        _, run = page.run(request)
        return JSONResponse(await run_in_threadpool(page.play, run, _described, newest=True))

    async def pictures(request: Request) -> Response:
        _, run = page.run(request)
        asked = await _asked(request)
        return Response(await run_in_threadpool(page.play, run, partial(_pictures, asked)), media_type="image/png")

    async def opinion(request: Request) -> Response:
        _, run = page.run(request)
        asked = await _asked(request)
        return JSONResponse(await run_in_threadpool(page.play, run, partial(_opinion, asked)))

    async def nearest(request: Request) -> Response:
        _, run = page.run(request)
        asked = await _asked(request)
        return JSONResponse(await run_in_threadpool(page.play, run, partial(_nearest, asked)))

    return Starlette(
        routes=[
            Route("/", opened),
            Route("/static/{name}", static),
            Route("/plotly.js", plotly),
            Route("/api/runs", runs),
            Route("/api/changes", changes),
            Route("/api/compare", compare),
            Route("/api/runs/{run}", one),
            Route("/api/runs/{run}/grids/{step:int}.png", grid),
            Route("/api/runs/{run}/real.png", real),
            Route("/api/runs/{run}/closest.png", closest),
            Route("/api/runs/{run}/player", player),
            Route("/api/runs/{run}/pictures", pictures, methods=["POST"]),
            Route("/api/runs/{run}/opinion", opinion, methods=["POST"]),
            Route("/api/runs/{run}/nearest", nearest, methods=["POST"]),
        ],
        exception_handlers={
            Refused: lambda request, error: PlainTextResponse(str(error), getattr(error, "status", 400)),
            HTTPException: lambda request, error: PlainTextResponse(str(error.detail), error.status_code),
            SparringError: lambda request, error: PlainTextResponse(str(error), 409),
        },
    )


def differences(runs: list[Run]) -> dict[str, list[Any]]:
    """Of each setting that is not the same in all runs its values, None where a recipe cannot be read."""
    settings = []
    for run in runs:
        try:
            settings.append(settings_of(run.recipe()))
        except SparringError:
            settings.append({})
    names = dict.fromkeys(name for found in settings for name in found)
    values = {name: [found.get(name) for found in settings] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found[1:])}


# ------------------------------------------------------------------------------------------------ files


def _static(name: str) -> Response:
    """A file of the page; of its own folder only, for a name with a slash fits no route."""
    path = SHARED.get(name, STATIC / name)
    if path.name != name or name.startswith(".") or path.suffix not in TYPES or not path.is_file():
        raise HTTPException(404, "there is no such file")
    return Response(path.read_bytes(), media_type=f"{TYPES[path.suffix]}; charset=utf-8")


def _plotly() -> Path:
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def _inside(run: Run, path: Path, headers: dict[str, str] | None = None) -> Response:
    """A picture of a run, unless it is a link, or lies behind one: that might lead to anything."""
    if path.resolve() != run.path.resolve() / path.relative_to(run.path):
        raise HTTPException(404, "there is no such picture")
    return _file(path, "image/png", headers or {})


def _file(path: Path, kind: str, headers: dict[str, str]) -> Response:
    try:
        with open_plain(path) as file:
            content = file.read(LARGEST_GRID + 1)
    except OSError:
        raise HTTPException(404, "there is no such picture (any more)") from None
    if len(content) > LARGEST_GRID:
        raise HTTPException(404, "the picture is too large")
    return Response(content, media_type=kind, headers=headers)


# ------------------------------------------------------------------------------------------------ changes


async def _changes(page: Page, key: str | None) -> AsyncIterator[str]:
    """A line each time something has changed, of one run or of any; and one every now and then, which shows that
    somebody still listens."""
    page.listeners += 1
    try:
        before, silent = None, 0.0
        while True:
            now = await run_in_threadpool(_stamp, page, key)
            if now != before or silent >= 15:
                yield f"data: {json.dumps(now)}\n\n"
                before, silent = now, 0.0
            silent += LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        page.listeners -= 1


def _stamp(page: Page, key: str | None) -> str:
    if key is None:
        return "|".join(f"{name}:{view.stamp(run)}" for name, run in page.shelf.runs().items())
    run = page.shelf.find(key)
    return "gone" if run is None else view.stamp(run)


# ------------------------------------------------------------------------------------------------ playing


async def _asked(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises `HTTPException` where there is none."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "the request should be JSON")
    try:
        asked = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is no JSON") from None
    if not isinstance(asked, dict):
        raise HTTPException(400, "the request should be an object")
    return asked


def _described(player: Player) -> dict[str, Any]:
    height, width, channels = player.trained.image_shape
    return {
        "step": player.trained.step,
        "latent": {"size": player.size, "std": player.std},
        "classes": list(player.classes),
        "height": height,
        "width": width,
        "channels": channels,
        "directions": np.round(player.directions, 5).tolist(),
        "strengths": np.round(player.strengths, 4).tolist(),
    }


def _pictures(asked: dict[str, Any], player: Player) -> bytes:
    """The pictures one below the other, as a PNG."""
    latents = _numbers(asked.get("latents"), 2)
    if not 1 <= len(latents) <= MOST_PICTURES or latents.shape[1] != player.size:
        raise HTTPException(400, f"latents should be 1 to {MOST_PICTURES} of {player.size} numbers")
    labels = None
    if player.classes:
        labels = np.array([_label(value, player) for value in asked.get("labels") or [0] * len(latents)], np.int32)
        if len(labels) != len(latents):
            raise HTTPException(400, "there should be a label for each latent")
    images = player.pictures(latents, labels)
    return _png(images.reshape(-1, *images.shape[2:]))


def _opinion(asked: dict[str, Any], player: Player) -> dict[str, Any]:
    found = player.opinion(*_shown(asked, player))
    if not np.isfinite(found.logit) or not np.isfinite(found.slope).all():
        raise HTTPException(409, "this discriminator's answers are no numbers any more")
    return {
        "logit": found.logit,
        "label": found.label,
        "above_samples": found.above_samples,
        "above_real": found.above_real,
        "slope": np.round(found.slope, 3).tolist(),
    }


def _nearest(asked: dict[str, Any], player: Player) -> dict[str, Any]:
    found = player.nearest(*_shown(asked, player))
    if not np.isfinite(found.difference):
        raise HTTPException(409, "this generator's pictures are no numbers any more")
    return {
        "latent": found.latent.tolist(),
        "pixels": found.image.reshape(-1).tolist(),
        "difference": found.difference,
    }


def _shown(asked: dict[str, Any], player: Player) -> tuple[NDArray[np.uint8], int | None]:
    """The image (H, W, C) and the class of a request, None where it leaves that to the discriminator."""
    pixels, shape = _numbers(asked.get("pixels"), 1), player.trained.image_shape
    if pixels.size != np.prod(shape) or pixels.min() < 0 or pixels.max() > 255:
        raise HTTPException(400, f"pixels should be {np.prod(shape):,} numbers from 0 to 255")
    label = asked.get("label")
    return pixels.reshape(shape).astype(np.uint8), None if label is None else _label(label, player)


def _numbers(value: Any, dimensions: int) -> NDArray[np.float32]:
    try:
        numbers = np.array(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        numbers = np.full(0, np.nan, np.float32)
    if numbers.ndim != dimensions or not numbers.size or not (np.abs(numbers) <= 1e4).all():
        raise HTTPException(400, "the request should hold finite numbers")
    return numbers


def _label(value: Any, player: Player) -> int:
    if type(value) is not int or not 0 <= value < max(1, len(player.classes)):
        raise HTTPException(400, f"a label should be a whole number below {max(1, len(player.classes))}")
    return value


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    picture(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()
