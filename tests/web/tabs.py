"""Helpers for tests of the page in a browser tab."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pytest

SECONDS = 20_000
Result = TypeVar("Result")


def awaited(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a separate thread, because this one may run Playwright's event loop."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, work).result()


def opened(tab: Any, address: str, name: str, part: str = "") -> Any:
    """Open the view of one run."""
    tab.goto(address)
    tab.locator("h3 a", has_text=name).click()
    tab.get_by_role("heading", name=name, exact=True).wait_for()
    if part:
        tab.get_by_text("Explore the networks").click()
        tab.get_by_role("heading", name=f"Explore {name}").wait_for()
    return tab


def until(tab: Any, holds: Callable[[], bool]) -> None:
    """Wait for a condition. The page's content security policy prevents Playwright from waiting within the page."""
    for _ in range(SECONDS // 100):
        if holds():
            return
        tab.wait_for_timeout(100)
    pytest.fail("it did not come to that")


def pixels(tab: Any, label: str) -> Any:
    """Return the pixels of the canvas with that label: (H, W, 4)."""
    found = tab.get_by_label(label, exact=True).evaluate(
        "c => ({h: c.height, w: c.width, d: Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)})"
    )
    return np.array(found["d"], np.uint8).reshape(found["h"], found["w"], 4)


def until_changed(tab: Any, label: str, before: Any) -> None:
    until(tab, lambda: (pixels(tab, label) != before).any())


def until_settled(tab: Any, label: str) -> None:
    """Wait until the canvas has not changed for half a second."""

    def is_settled() -> bool:
        before = pixels(tab, label)
        tab.wait_for_timeout(500)
        return bool((pixels(tab, label) == before).all())

    until(tab, is_settled)


def same(tab: Any, one: str, other: str) -> bool:
    """Return whether two canvases show the same image. Batches of other sizes may round a pixel otherwise."""
    return bool((np.abs(pixels(tab, one).astype(int) - pixels(tab, other)) <= 1).all())


def until_same(tab: Any, one: str, other: str) -> None:
    until(tab, lambda: same(tab, one, other))


def until_text(tab: Any, place: Any, words: str) -> None:
    """Wait until the element contains this text."""
    until(tab, lambda: words in place.text_content())
