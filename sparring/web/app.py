"""The routes of the page. Every route only reads, and identifies runs by their ids."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sparring.errors import SparringError
from sparring.terminal.output import shell_quoted
from sparring.web import playground, responses
from sparring.web.auth import Refused
from sparring.web.reader import RunReader

MAX_COMPARED = 8
"""Runs in one comparison."""
STEP = re.compile("[0-9]{1,16}")


def make_app(folder: Path) -> Starlette:
    """Return the application for the runs in `folder`, without access control."""
    routes = _Routes(folder)
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/static/{name}", routes.static),
            Route("/plotly.js", routes.plotly),
            Route("/api/runs", routes.runs),
            Route("/api/changes", routes.changes),
            Route("/api/compare", routes.compare),
            Route("/api/runs/{run}", routes.run),
            Route("/api/runs/{run}/grids/{step}.png", routes.grid),
            Route("/api/runs/{run}/real.png", routes.real),
            Route("/api/runs/{run}/closest.png", routes.closest),
            Route("/api/runs/{run}/explorer", routes.explorer),
            Route("/api/runs/{run}/images", routes.images, methods=["POST"]),
            Route("/api/runs/{run}/discriminator", routes.discriminator, methods=["POST"]),
            Route("/api/runs/{run}/nearest", routes.nearest, methods=["POST"]),
        ],
        exception_handlers={
            Refused: lambda request, error: PlainTextResponse(str(error), getattr(error, "status", 400)),
            HTTPException: lambda request, error: PlainTextResponse(str(error.detail), error.status_code),
            SparringError: lambda request, error: PlainTextResponse(str(error), 409),
        },
    )
    app.router.redirect_slashes = False  # a redirect would drop the secret prefix, which access control has removed
    return app


class _Routes:
    """The endpoints, one method a route."""

    def __init__(self, folder: Path) -> None:
        self.reader = RunReader(folder)
        self.command = f"sparring watch {shell_quoted(str(folder))}"

    async def page(self, request: Request) -> Response:
        return responses.static("page.html")

    async def static(self, request: Request) -> Response:
        return responses.static(request.path_params["name"])

    async def plotly(self, request: Request) -> Response:
        return responses.plotly()

    async def runs(self, request: Request) -> Response:
        return responses.from_json(await self.reader.read(None))

    async def run(self, request: Request) -> Response:
        return responses.from_json(await self.reader.read(request.path_params["run"]))

    async def grid(self, request: Request) -> Response:
        run = await self.reader.find(request)
        return responses.image(run, run.grid(_step(request.path_params["step"])), responses.CACHED)

    async def real(self, request: Request) -> Response:
        run = await self.reader.find(request)
        return responses.image(run, run.real_grid)

    async def closest(self, request: Request) -> Response:
        run = await self.reader.find(request)
        return responses.image(run, run.closest)

    async def changes(self, request: Request) -> Response:
        stamp = await self.reader.stamp(request.query_params.get("run"))
        return responses.from_json(responses.json_bytes({"stamp": stamp, "again": self.command}))

    async def compare(self, request: Request) -> Response:
        keys = request.query_params.get("runs", "").split(",")[:MAX_COMPARED]
        return responses.from_json(await self.reader.differences(keys))

    async def explorer(self, request: Request) -> Response:
        run = await self.reader.find(request)
        return responses.from_json(await self.reader.explore(run, playground.description, newest=True))

    async def images(self, request: Request) -> Response:
        run = await self.reader.find(request)
        body = await playground.read_body(request)
        png = await self.reader.explore(run, partial(playground.images, body))
        return Response(png, media_type="image/png")

    async def discriminator(self, request: Request) -> Response:
        run = await self.reader.find(request)
        body = await playground.read_body(request)
        return responses.from_json(await self.reader.explore(run, partial(playground.discriminator, body)))

    async def nearest(self, request: Request) -> Response:
        run = await self.reader.find(request)
        body = await playground.read_body(request)
        return responses.from_json(await self.reader.explore(run, partial(playground.nearest, body)))


def _step(word: str) -> int:
    """Parse the step in an address. Raises `HTTPException` if it is not a step."""
    if not STEP.fullmatch(word):
        raise HTTPException(404, "there is no such image")
    return int(word)
