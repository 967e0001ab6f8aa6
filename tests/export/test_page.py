"""THE PAGE: one file that makes our pictures in a browser, offline, and whose buttons do what they say."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_generators import MADE, made_generator

from sparring.export import page
from sparring.sampling import Generator

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page of the browser without a network; it fails on any error in a script."""
    context = browser.new_context(offline=True)
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    assert not errors


def opened(tab: Any, generator: Generator, folder: Path, title: str = "digits") -> Any:
    page.write(generator, folder / "page.html", title)
    tab.goto((folder / "page.html").as_uri())
    tab.get_by_text("new pictures").wait_for()
    return tab


def pictures(tab: Any, generator: Generator, count: int) -> tuple[Any, Any]:
    """The same pictures by the page and by our network, as whole numbers."""
    latents = generator.draw_latents(count)
    labels = (np.arange(count) % 3).astype(np.int32)
    made = tab.evaluate(
        "([latents, labels]) => latents.map((z, i) => Array.from(picture(Float32Array.from(z), labels[i])))",
        [latents.tolist(), labels.tolist()],
    )
    ours = generator.images(latents, labels if generator.classes else None)
    return np.array(made).reshape(ours.shape), ours.astype(int)


@pytest.mark.parametrize(("name", "shape", "conditional"), MADE, ids=str)
def test_the_page_makes_our_pictures(
    name: str, shape: tuple[int, int, int], conditional: bool, tab: Any, tmp_path: Path
) -> None:
    generator = made_generator(name, shape, conditional)
    made, ours = pictures(opened(tab, generator, tmp_path), generator, 6)
    assert np.ptp(ours) > 2
    assert np.abs(made - ours).max() <= 1
