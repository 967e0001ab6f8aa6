"""What the tests share: no network, no real home folder, a few made-up digits and a finished tiny run."""

import gc
import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before NumPy is there: its threads that wait for a busy processor cost up to 28 times as much as one thread alone.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sparring.files import atomic
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run

COMPILED = Path(__file__).parent.parent / ".pytest_cache" / "compiled" / "main"
"""What XLA compiled is kept, for all workers, the programs that they start, and the next session."""
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(COMPILED))
# Who reads what another is just writing compiles it himself; pytest's own processes are told so in pyproject.toml.
os.environ.setdefault("PYTHONWARNINGS", "ignore:Error reading persistent compilation cache entry:UserWarning")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Of what is trained so briefly compiling takes most of the time, also in the programs that tests start.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

TERMINAL_VARIABLES = (
    "COLUMNS",
    "LINES",
    "FORCE_COLOR",
    "NO_COLOR",
    "COLORTERM",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)
"""What would change how a terminal is written to."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `ci` takes long."""
    for item in items:
        if item.get_closest_marker("ci"):
            item.add_marker("long")


@pytest.fixture(scope="module", autouse=True)
def drop_compiled_programs() -> Iterator[None]:
    """After the tests of a file, drop JAX's compiled programs, and exclude what is left from garbage collection.

    Without this, the last tests of a session take twice as long as they do alone.
    """
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Homes and caches are folders of the tests, nothing is downloaded; SPARRING_DATA stays as it is."""
    home = tmp_path_factory.mktemp("home")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        environment.setenv("XDG_CACHE_HOME", str(home / "cache"))
        environment.setenv("SPARRING_CACHE", str(home / "cache" / "sparring"))
        environment.setenv("SPARRING_OFFLINE", "1")
        environment.setenv("MPLCONFIGDIR", str(shared / "matplotlib"))  # its list of fonts is made once for all
        for name in TERMINAL_VARIABLES:
            environment.delenv(name, raising=False)
        environment.setattr(os, "nice", lambda by: 0)  # a server in this process would slow all later tests
        yield


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SPARRING_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with IDX files: 200 gray images of 28 x 28, each a printed digit at a random place, and their labels."""
    random = np.random.default_rng(0)
    labels = np.arange(200, dtype=np.uint8) % 10
    folder = tmp_path_factory.mktemp("digits")
    write_idx(folder / "train-images-idx3-ubyte", np.stack([printed_digit(int(label), random) for label in labels]))
    write_idx(folder / "train-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(digits: Path) -> Recipe:
    """mlp-256 with 8 neurons a layer, on all `digits`: 30 steps, 10 an epoch; not judged while it trains."""
    return named_recipe("mlp-256").replace(
        data=str(digits),
        batch_size=20,
        steps=30,
        grid_every=10,
        grid_rows=2,
        grid_columns=3,
        log_every=5,
        validation=0.0,
        judge_every=0,
        **{"generator.hidden": (8,), "discriminator.hidden": (8,)},
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory, no_plots: Callable[[Run], None]) -> Run:
    """A finished run of `tiny_recipe`, for all tests of a session: do not write into it."""
    from sparring.training import train as training  # here, so that tests that need no JAX do not wait for it

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sparring.reports.plots.write_plots", no_plots)
        return training.train(tiny_recipe, out=tmp_path_factory.mktemp("tiny") / "run")


@pytest.fixture
def copied_run(tiny_run: Run, tmp_path: Path) -> Run:
    """A copy of `tiny_run` that may be changed."""
    return Run(Path(shutil.copytree(tiny_run.path, tmp_path / "copied")))


@pytest.fixture
def new_run(tiny_recipe: Recipe, tmp_path: Path) -> Run:
    """A run that has a recipe and nothing else."""
    run = Run(tmp_path / "new")
    run.grids.mkdir(parents=True)
    atomic.write_json(run.recipe_file, tiny_recipe.to_json())
    return run


@pytest.fixture
def compiled_fully() -> Iterator[None]:
    """XLA optimises as it does for users."""
    import jax

    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]
    yield
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session", autouse=True)
def no_plots() -> Iterator[Callable[[Run], None]]:
    """Runs end without their plots and animation, which take as long as all else of a tiny one. What writes them."""
    from sparring.reports import plots

    write_plots = plots.write_plots
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plots, "write_plots", lambda run: None)
        yield write_plots


@pytest.fixture
def with_plots(no_plots: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end with them, as for users."""
    monkeypatch.setattr("sparring.reports.plots.write_plots", no_plots)


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; tests that need it are skipped where one of the two is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--renderer-process-limit=1"]
        started = playwright.chromium.launch(executable_path=program, args=flags)
        yield started
        started.close()


HARMLESS_LOGS = "Failed to load resource"
"""A server that ends, or says that something is not there, is what some tests of the page are about."""


@pytest.fixture(scope="session")
def runs(tiny_run: Run, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one of another recipe that was judged, a conditional one, and what is left of a failed one."""
    pytest.importorskip("starlette", reason="needs the extra `watch`")
    pytest.importorskip("plotly", reason="needs the extra `watch`")
    from sparring.images import grid, save_picture
    from sparring.training import train as training  # here, so that tests that need no JAX do not wait for it
    from sparring.training.reporter import Silence

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
    atomic.write_json(failed.environment_file, tiny_run.environment())
    failed.add_event("started", 0)
    failed.add_event("failed", 7, reason="the losses are no longer finite at step 7")
    return folder


@pytest.fixture(scope="session")
def address(runs: Path) -> Iterator[str]:
    from sparring.web import server

    with server.serve_in_background(runs) as told:
        yield told


@pytest.fixture(scope="session")
def window(browser: Any) -> Any:
    """One for most tests, because opening one costs as much as a test."""
    opened = browser.new_page(viewport={"width": 1200, "height": 1600}, accept_downloads=True)
    opened.set_default_timeout(20_000)
    return opened


PLOTLY = "**/plotly.js"


def draw_nothing(route: Any) -> None:
    route.fulfill(body="window.Plotly = { react: async () => {}, purge() {} };", content_type="text/javascript")


@pytest.fixture
def windows(browser: Any) -> Iterator[Any]:
    """For several windows, which draw no charts."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    context.route(PLOTLY, draw_nothing)
    yield context
    context.close()


@pytest.fixture
def tab(window: Any) -> Iterator[Any]:
    """A tab that draws no charts. It fails if it asks anybody but this machine, and on any error in a script."""
    errors = list[str]()

    def asked(request: Any) -> None:
        if request.url.startswith("http") and "//127.0.0.1:" not in request.url:
            errors.append(f"asked for {request.url}")

    def logged(message: Any) -> None:
        if message.type == "error" and not message.text.startswith(HARMLESS_LOGS):
            errors.append(message.text)

    window.route(PLOTLY, draw_nothing)
    listeners = {"request": asked, "pageerror": lambda error: errors.append(str(error)), "console": logged}
    for event, listener in listeners.items():
        window.on(event, listener)
    yield window
    window.goto("about:blank")
    window.unroute_all(behavior="ignoreErrors")
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    assert not errors


@pytest.fixture
def charts(tab: Any) -> None:
    """The tab draws them, as for users: the script for it is large."""
    tab.unroute(PLOTLY)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """An IDX file of unsigned bytes."""
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def printed_digit(digit: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A digit in the default font at a random place, (28, 28)."""
    image = Image.new("L", (28, 28))
    place = (float(random.uniform(5, 10)), float(random.uniform(0, 4)))
    ImageDraw.Draw(image).text(place, str(digit), fill=255, font=ImageFont.load_default(size=20))
    return np.asarray(image)
