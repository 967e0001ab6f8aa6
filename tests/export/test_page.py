"""The exported page: it generates the network's images offline, and its buttons work."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_generators import MADE, made_generator
from PIL import Image

from sparring.export import page
from sparring.runs.generator import Generator


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    """A page of the browser without a network, for all tests; they fail on any error in a script."""
    opened, errors = browser.new_page(offline=True), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert not errors


def opened(tab: Any, generator: Generator, folder: Path, title: str = "digits") -> Any:
    page.write(generator, folder / "page.html", title)
    tab.goto((folder / "page.html").as_uri())
    tab.get_by_text("new images").wait_for()
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


def test_int8_is_taken_where_float16_is_too_much(tab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = made_generator("mlp-128", (28, 28, 1), True)
    written = page.write(generator, tmp_path / "half.html", "digits")
    assert written.kind == "float16" and written.close > 0.99
    monkeypatch.setattr(page, "MAX_FLOAT16_BYTES", written.size - 1)
    coarse = page.write(generator, tmp_path / "coarse.html", "digits")
    assert coarse.kind == "int8" and coarse.size < written.size
    made, ours = pictures(opened(tab, generator, tmp_path), generator, 50)
    assert np.mean(np.abs(made - ours) <= 1) == pytest.approx(coarse.close, abs=0.02)
    monkeypatch.setattr(page, "MIN_CLOSE", 1.01)
    assert page.write(generator, tmp_path / "coarse.html", "digits").kind == "float16"


def shown(tab: Any) -> str:
    """All pixels of the grid."""
    pixels: str = tab.evaluate("canvas.toDataURL()")
    return pixels


def test_the_buttons(tab: Any, tmp_path: Path) -> None:
    opened(tab, made_generator("mlp-128", (28, 28, 1), True), tmp_path)
    first = shown(tab)
    tab.get_by_role("button", name="New").click()
    tab.get_by_text("new images").wait_for()
    second = shown(tab)
    tab.get_by_role("button", name="dog").click()
    tab.get_by_text("new images").wait_for()
    dogs = shown(tab)
    assert len({first, second, dogs}) == 3
    assert tab.get_by_role("button", name="dog").get_attribute("aria-pressed") == "true"
    walk = tab.get_by_role("button", name="Walk")
    walk.click()
    tab.wait_for_timeout(500)
    moving = shown(tab)
    tab.wait_for_timeout(500)
    assert moving not in (dogs, shown(tab))
    walk.click()
    tab.get_by_text("new images").wait_for()
    still = shown(tab)
    tab.wait_for_timeout(300)
    assert shown(tab) == still
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save as PNG").click()
    with Image.open(download.value.path()) as saved:
        assert saved.size == (233, 88)


def test_a_generator_without_classes_has_no_buttons_for_them(tab: Any, tmp_path: Path) -> None:
    opened(tab, made_generator("mlp-128", (28, 28, 1), False), tmp_path)
    assert tab.get_by_role("button").all_inner_texts() == ["New", "Walk", "Save as PNG"]


def test_names_are_text(tab: Any, tmp_path: Path) -> None:
    """Whatever a class or a data set is called."""
    generator = made_generator("mlp-128", (28, 28, 1), True)
    classes = {"</script><script>bad = 1</script>": 1, "<b>$model": 2, "fish": 3}
    named = dataclasses.replace(generator, description=generator.description | {"classes": classes})
    opened(tab, named, tmp_path, title="<img src=x onerror='bad = 1'> & co")
    assert tab.title() == "<img src=x onerror='bad = 1'> & co"
    assert tab.evaluate("typeof bad") == "undefined"
    assert tab.locator("#classes button").all_inner_texts()[1:] == list(classes)
