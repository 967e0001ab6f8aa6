"""What the tests of the page in a browser share: a folder of runs, a page of it, and a tab."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabs import HARMLESS, SECONDS

from sparring import atomic
from sparring.images import grid, save_picture
from sparring.recipe import Recipe
from sparring.run import Run


@pytest.fixture(scope="session")
def runs(tiny_run: Run, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one of another recipe that was judged, a conditional one, and what is left of a failed one."""
    pytest.importorskip("starlette", reason="needs the extra `watch`")
    pytest.importorskip("plotly", reason="needs the extra `watch`")
    from sparring import training  # here, so that tests that need no JAX do not wait for it
    from sparring.session import Silence

    folder = tmp_path_factory.mktemp("watched") / "runs"
    shutil.copytree(tiny_run.path, folder / "plain")
    wider = tiny_recipe.replace(**{"generator.hidden": (16,), "batch_size": 10})
    judged = training.train(wider, out=folder / "judged", reporter=Silence())
    for step, score in ((10, 9.0), (20, 4.0), (30, 5.0)):
        told = {"measure": "frechet", "histogram": [30] * 5 + [10] * 5, "copies": 0.1, "suspicious": 2}
        judged.add_event("judged", step, score=score, floor=1.5, **told)
    judged.add_event("alarm", 20, kind="collapse", text="collapse: <i>half</i> of the samples are '3'")
    judged.add_event("finished", 30, seconds=1.0)
    random = np.random.default_rng(0)
    save_picture(judged.closest, grid(random.integers(0, 256, (8, 28, 28, 1)).astype(np.uint8), 1, 8, 2))
    training.train(tiny_recipe.replace(conditional=True), out=folder / "conditional", reporter=Silence())
    failed = Run(folder / "failed")
    failed.grids.mkdir(parents=True)
    atomic.write_json(failed.recipe_file, tiny_recipe.to_json())
    shutil.copy(tiny_run.environment_file, failed.environment_file)
    failed.add_event("started", 0)
    failed.add_event("failed", 7, reason="the losses are no longer finite at step 7")
    return folder


@pytest.fixture(scope="session")
def address(runs: Path) -> Iterator[str]:
    from sparring.web import server

    with server.beside(runs) as told:
        yield told


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab without a way to anywhere but this machine; it fails on any error in a script."""
    context = browser.new_context(viewport={"width": 1200, "height": 1600}, accept_downloads=True)
    opened, errors = context.new_page(), list[str]()

    def leaving(route: Any) -> None:
        errors.append(f"asked for {route.request.url}")
        route.abort()

    def logged(message: Any) -> None:
        if message.type == "error" and not message.text.startswith(HARMLESS):
            errors.append(message.text)

    context.route(lambda url: "//127.0.0.1:" not in url, leaving)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", logged)
    opened.set_default_timeout(SECONDS)
    yield opened
    context.close()
    assert not errors
