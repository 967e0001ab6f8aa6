"""THE ANSWERS of the page: which address gives what. All only read, and know runs by their ids."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from sparring.errors import SparringError
from sparring.files.untrusted import open_plain
from sparring.images import picture
from sparring.recipes.recipe import settings_of
from sparring.runs.run import Run
from sparring.terminal.output import shell_quoted
from sparring.web import view
from sparring.web.auth import Refused
from sparring.web.limits import check_about, check_whole
from sparring.web.run_index import RunIndex
from sparring.web.tail import Tail
from sparring.web.timeouts import PIECE

if TYPE_CHECKING:
    from sparring.web.explorer import Player

STATIC = Path(__file__).parent / "static"
SHARED = {"latents.js": STATIC.parent.parent / "export" / "latents.js"}
"""What exported pages use as well."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = SHARED | {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}
SAME_SECONDS = 1.0
"""For so long everybody who asks gets what was seen last: many viewers cost no more than one."""
MOST_PICTURES = 64
"""Of one request."""
MOST_PLAYERS = 3
"""Runs whose networks are kept ready."""
LARGEST_GRID = 64 << 20
"""Bytes of a picture that is still shown."""
MOST_COMPARED = 8
LIVE = ("running", "killed")
"""States that change without anything being written."""
STEP = re.compile("[0-9]{1,16}")
KEPT = {"cache-control": "private, max-age=3600"}
"""Of what never changes under its address."""
NO_RUN = (
    *(OSError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError),
    *(RecursionError, MemoryError, SparringError),
)
"""What reading something raises that is no run of ours."""

Result = TypeVar("Result")


@dataclass
class Look:
    """A run, or all of them, as seen at one time."""

    at: float
    stamp: str
    """Another one when anything has changed."""
    answer: bytes | None = None
    """What is told of it, once somebody has asked."""


class Page:
    """What the answers are made of: the runs, the tails of their events, and the players.

    One thing is read at a time, and one played with; who waits for his turn holds no thread.
    """

    def __init__(self, folder: Path) -> None:
        self.index = RunIndex(folder)
        self._tails: dict[Path, Tail] = {}
        self._cards: dict[Path, tuple[str, dict[str, Any]]] = {}
        self._players: OrderedDict[Path, Player] = OrderedDict()
        self._looks: dict[str | None, Look] = {}
        self._reading, self._playing = CapacityLimiter(1), CapacityLimiter(1)

    async def run(self, request: Request) -> Run:
        """The run that the address names. Raises `HTTPException` where there is none."""
        return await self._read(self._find, request.path_params["run"])

    def _find(self, key: str) -> Run:
        run = self.index.find(key)
        if run is None:
            raise HTTPException(404, "there is no such run (any more)")
        return run

    async def stamp(self, key: str | None) -> str:
        """What is another one when anything of that run, or of any, has changed since."""
        known = self._looks.get(key)
        if known is not None and time.monotonic() < known.at + SAME_SECONDS:
            return known.stamp
        return (await self._read(self._look, key)).stamp

    async def told(self, key: str | None) -> bytes:
        """One run, or the list of all, as JSON. Raises `HTTPException` where it cannot be read."""
        return await self._read(self._told, key)

    async def differences(self, keys: list[str]) -> bytes:
        """How the recipes of these runs differ, as JSON."""

        def look() -> bytes:
            return _json({"differences": differences([self.index.find(key) for key in keys])})

        return await self._read(look)

    async def _read(self, work: Callable[..., Result], *given: Any) -> Result:
        return await to_thread.run_sync(work, *given, limiter=self._reading)

    def _look(self, key: str | None) -> Look:
        now = time.monotonic()
        if (known := self._looks.get(key)) is not None and now < known.at + SAME_SECONDS:
            return known
        self._looks = {key: look for key, look in self._looks.items() if now < look.at + SAME_SECONDS}
        found = self._looks[key] = Look(now, self._stamp(key))
        return found

    def _stamp(self, key: str | None) -> str:
        if key is None:
            all_stamps = "|".join(f"{name}:{self._stamp_in_list(run)}" for name, run in self.index.runs().items())
            return hashlib.sha256(all_stamps.encode()).hexdigest()
        run = self.index.find(key)
        return "gone" if run is None else f"{view.stamp(run)}.{view.is_trained(run)}"

    def _stamp_in_list(self, run: Run) -> str:
        _, card = self._cards.get(run.path, ("", {"state": "running"}))
        return f"{view.stamp(run)}.{card['state'] in LIVE and view.is_trained(run)}"

    def _told(self, key: str | None) -> bytes:
        look = self._look(key)
        if look.answer is None:
            look.answer = self._list() if key is None else self._whole(key)
        return look.answer

    def _list(self) -> bytes:
        """All runs, the newest first."""
        found = self.index.runs()
        there = {run.path for run in found.values()}
        for known in (self._tails, self._cards):
            for path in known.keys() - there:
                del known[path]
        cards = [self._card(key, run) for key, run in found.items()]
        cards.sort(key=lambda card: (card["state"] != "running", -card["changed"]))
        return _json({"folder": self.index.folder.name, "runs": cards})

    def _card(self, key: str, run: Run) -> dict[str, Any]:
        """The card of a run; of one that is not trained and has not changed the card of before."""
        stamp, name = view.stamp(run), self.index.name(run)
        before, card = self._cards.get(run.path, ("", {}))
        if before != stamp or card["state"] in LIVE:
            try:
                check_about(run)
                card = view.card(name, key, run, self._events(run))
                _json(card)
            except NO_RUN:  # it is being removed, or is no run of ours
                card = view.unreadable(name, key)
            self._cards[run.path] = (stamp, card)
        return card

    def _whole(self, key: str) -> bytes:
        run = self._find(key)
        try:
            check_about(run)
            return _json(view.whole(self.index.name(run), key, run, self._events(run)))
        except NO_RUN:
            raise HTTPException(409, "this run cannot be read") from None

    async def play(self, run: Run, do: Callable[[Player], Result], newest: bool = False) -> Result:
        """What `do` makes of the run's player. With `newest`, one of the newest checkpoint.

        Raises `RunError` where there is nothing to play with.
        """
        return await to_thread.run_sync(self._play, run, do, newest, limiter=self._playing)

    def _play(self, run: Run, do: Callable[[Player], Result], newest: bool) -> Result:
        from sparring.system.compilation_cache import keep_compiled  # JAX is not needed before
        from sparring.web.explorer import Player, newest_step

        keep_compiled()
        player = self._players.get(run.path)
        if player is None or (newest and player.trained.step != newest_step(run)):
            try:
                check_whole(run)
                player = self._players[run.path] = Player(run)
            except SparringError:
                raise
            except (*NO_RUN, RuntimeError):  # JAX's where there is not enough memory
                raise HTTPException(409, "these networks cannot be explored") from None
        self._players.move_to_end(run.path)
        while len(self._players) > MOST_PLAYERS:
            self._players.popitem(last=False)
        return do(player)

    def _events(self, run: Run) -> list[dict[str, Any]]:
        own = run.id
        return [
            event for event in self._tails.setdefault(run.path, Tail(run.events_file)).read() if event.get("run") == own
        ]


def make_app(folder: Path) -> Starlette:
    """The application for the runs in a folder, without its guard."""
    page, again = Page(folder), f"sparring watch {shell_quoted(str(folder))}"

    async def opened(request: Request) -> Response:
        return _static("page.html")

    async def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    async def plotly(request: Request) -> Response:
        return _file(_plotly(), "text/javascript", KEPT)

    async def runs(request: Request) -> Response:
        return _told(await page.told(None))

    async def one(request: Request) -> Response:
        return _told(await page.told(request.path_params["run"]))

    async def grid(request: Request) -> Response:
        run = await page.run(request)
        return _inside(run, run.grid(_step(request.path_params["step"])), KEPT)

    async def real(request: Request) -> Response:
        run = await page.run(request)
        return _inside(run, run.real_grid)

    async def closest(request: Request) -> Response:
        run = await page.run(request)
        return _inside(run, run.closest)

    async def changes(request: Request) -> Response:
        return _told(_json({"stamp": await page.stamp(request.query_params.get("run")), "again": again}))

    async def compare(request: Request) -> Response:
        keys = request.query_params.get("runs", "").split(",")[:MOST_COMPARED]
        return _told(await page.differences(keys))

    async def player(request: Request) -> Response:
        run = await page.run(request)
        return _told(await page.play(run, _described, newest=True))

    async def pictures(request: Request) -> Response:
        run = await page.run(request)
        asked = await _asked(request)
        return Response(await page.play(run, partial(_pictures, asked)), media_type="image/png")

    async def opinion(request: Request) -> Response:
        run = await page.run(request)
        asked = await _asked(request)
        return _told(await page.play(run, partial(_opinion, asked)))

    async def nearest(request: Request) -> Response:
        run = await page.run(request)
        asked = await _asked(request)
        return _told(await page.play(run, partial(_nearest, asked)))

    made = Starlette(
        routes=[
            Route("/", opened),
            Route("/static/{name}", static),
            Route("/plotly.js", plotly),
            Route("/api/runs", runs),
            Route("/api/changes", changes),
            Route("/api/compare", compare),
            Route("/api/runs/{run}", one),
            Route("/api/runs/{run}/grids/{step}.png", grid),
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
    made.router.redirect_slashes = False  # its redirections lead out of the place that the guard has cut off
    return made


def differences(runs: Sequence[Run | None]) -> dict[str, list[Any]]:
    """Of each setting that is not the same in all runs its values, None where a run is gone or its recipe damaged."""
    settings = [{} if run is None else _settings(run) for run in runs]
    names = dict.fromkeys(name for found in settings for name in found)
    values = {name: [found.get(name) for found in settings] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found[1:])}


def _settings(run: Run) -> dict[str, Any]:
    """The settings of a run; none where they cannot be read."""
    try:
        check_about(run)
        found = settings_of(run.recipe())
        _json(found)
        return found
    except NO_RUN:
        return {}


# ------------------------------------------------------------------------------------------------ files


def _static(name: str) -> Response:
    """A file of the page."""
    path = FILES.get(name)
    if path is None:
        raise HTTPException(404, "there is no such file")
    return Response(path.read_bytes(), media_type=f"{TYPES[path.suffix]}; charset=utf-8")


def _plotly() -> Path:
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def _step(word: str) -> int:
    """The step that a part of an address names. Raises `HTTPException` where that is no step."""
    if not STEP.fullmatch(word):
        raise HTTPException(404, "there is no such picture")
    return int(word)


def _inside(run: Run, path: Path, headers: dict[str, str] | None = None) -> Response:
    """A picture of a run, unless it is a link, or lies behind one: that might lead to anything."""
    if path.resolve() != run.path.resolve() / path.relative_to(run.path):
        raise HTTPException(404, "there is no such picture")
    return _file(path, "image/png", headers or {})


def _file(path: Path, kind: str, headers: dict[str, str]) -> Response:
    try:
        file = open_plain(path, LARGEST_GRID)
    except OSError:
        raise HTTPException(404, "there is no such picture (any more)") from None
    length = {"content-length": str(os.fstat(file.fileno()).st_size)}
    return StreamingResponse(_pieces(file), media_type=kind, headers=length | headers)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What is in a file, as fast as it is read; nobody has more of it in our memory than a piece."""
    with file:
        while piece := file.read(PIECE):
            yield piece


def _json(value: dict[str, Any]) -> bytes:
    """In ASCII, for names of files may hold what is no text. Raises `ValueError` where a number is none."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _told(content: bytes) -> Response:
    return Response(content, media_type="application/json")


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


def _described(player: Player) -> bytes:
    height, width, channels = player.trained.image_shape
    about = {
        "step": player.trained.step,
        "latent": {"size": player.size, "std": player.std},
        "classes": list(player.classes),
        "height": height,
        "width": width,
        "channels": channels,
        "background": player.background.tolist(),
        "directions": np.round(player.directions, 5).tolist(),
        "strengths": np.round(player.strengths, 4).tolist(),
    }
    return _json(about)


def _pictures(asked: dict[str, Any], player: Player) -> bytes:
    """The pictures one below the other, as a PNG."""
    latents = _numbers(asked.get("latents"), 2)
    if not 1 <= len(latents) <= MOST_PICTURES or latents.shape[1] != player.size:
        raise HTTPException(400, f"latents should be 1 to {MOST_PICTURES} of {player.size} numbers")
    labels = None
    if player.classes:
        given = asked.get("labels") or [0] * len(latents)
        if not isinstance(given, list) or len(given) != len(latents):
            raise HTTPException(400, "there should be a list with a label for each latent")
        labels = np.array([_label(value, player) for value in given], np.int32)
    images = player.pictures(latents, labels)
    return _png(images.reshape(-1, *images.shape[2:]))


def _opinion(asked: dict[str, Any], player: Player) -> bytes:
    found = player.opinion(*_shown(asked, player))
    if not np.isfinite(found.logit) or not np.isfinite(found.slope).all():
        raise HTTPException(409, "this discriminator's answers are no numbers any more")
    about = {
        "logit": found.logit,
        "label": found.label,
        "above_samples": found.above_samples,
        "above_real": found.above_real,
        "slope": np.round(found.slope, 3).tolist(),
    }
    return _json(about)


def _nearest(asked: dict[str, Any], player: Player) -> bytes:
    found = player.nearest(*_shown(asked, player))
    if not np.isfinite(found.difference):
        raise HTTPException(409, "this generator's pictures are no numbers any more")
    pixels = found.image.reshape(-1).tolist()
    return _json({"latent": found.latent.tolist(), "pixels": pixels, "difference": found.difference})


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
