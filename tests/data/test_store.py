"""THE STORE: written whole or not at all, checked at every opening, and shared by processes that come at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from sparring.data.pictures import store
from sparring.data.pictures.store import UNFINISHED, Failed, Shape, key_of, stored
from sparring.errors import DataError

PIXELS = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3, 1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the store."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


class Writer:
    """Writes `PIXELS`, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, file: BinaryIO) -> tuple[Shape, Failed]:
        self.calls += 1
        file.write(PIXELS.tobytes())
        return (5, 4, 3, 1), {2: "because"}


def test_what_is_stored_is_written_once_and_read_from_the_disk(cache: Path) -> None:
    write = Writer()
    for _ in range(2):
        found = stored("key", 60, write)
        np.testing.assert_array_equal(found.pixels, PIXELS)
        assert isinstance(found.pixels, np.memmap)
        assert not found.pixels.flags.writeable
        assert found.failed == {2: "because"}
    assert write.calls == 1
    assert [path.name for path in cache.iterdir()] == ["key"]


@pytest.mark.parametrize("damage", ["a byte", "cut", "no about", "bad about", "another shape", "open to all"])
def test_what_was_damaged_is_made_anew(damage: str, cache: Path) -> None:
    write = Writer()
    stored("key", 60, write)
    pixels, about = cache / "key" / "pixels", cache / "key" / "about.json"
    content = bytearray(pixels.read_bytes())
    if damage == "a byte":
        content[17] ^= 1
        pixels.write_bytes(content)
    elif damage == "cut":
        pixels.write_bytes(content[:-1])
    elif damage == "no about":
        about.unlink()
    elif damage == "bad about":
        about.write_text('{"shape": [5, 4')
    elif damage == "open to all":
        (cache / "key").chmod(0o777)
    else:
        about.write_text(json.dumps(json.loads(about.read_text()) | {"shape": [5, -4, -3, 1]}))
    np.testing.assert_array_equal(stored("key", 60, write).pixels, PIXELS)
    assert write.calls == 2
    assert [path.name for path in cache.iterdir()] == ["key"]


def test_a_failure_leaves_nothing_behind(cache: Path) -> None:
    def fail(file: BinaryIO) -> tuple[Shape, Failed]:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored("key", 60, fail)
    assert list(cache.iterdir()) == []


def test_another_process_may_be_faster(cache: Path) -> None:
    """Both write; one is first, and both read the same."""
    inner = Writer()

    def write(file: BinaryIO) -> tuple[Shape, Failed]:
        stored("key", 60, inner)
        return inner(file)

    found = stored("key", 60, write)
    np.testing.assert_array_equal(found.pixels, PIXELS)
    assert inner.calls == 2
    assert [path.name for path in cache.iterdir()] == ["key"]


PROCESS = """
import sys, numpy as np
from sparring.data.pictures.store import stored
def write(file):
    for row in range(300):
        file.write(bytes([row % 251]) * 3000)
    return (300, 50, 60, 1), {}
for key in "abcdefgh":
    pixels = stored(key, 1000, write).pixels
    assert (pixels[:, 0, 0, 0] == np.arange(300) % 251).all()
"""


def test_two_processes_at_once_do_not_tear_it(cache: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", PROCESS], env=dict(os.environ)) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(path.name for path in cache.iterdir()) == list("abcdefgh")


def test_nothing_readable_is_stored_too() -> None:
    found = stored("none", 60, lambda file: ((0, 4, 3, 1), {0: "why"}))
    assert found.pixels.shape == (0, 4, 3, 1)
    assert stored("none", 60, lambda file: pytest.fail("again")).failed == {0: "why"}


def test_folders_of_dead_processes_go(cache: Path) -> None:
    old, young = cache / f"{UNFINISHED}old", cache / f"{UNFINISHED}young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    stored("key", 60, Writer())
    assert not old.exists()
    assert young.exists()


def test_a_full_disk_is_said_beforehand(cache: Path) -> None:
    write = Writer()
    with pytest.raises(DataError, match=r"take up to 1,000,000\.0 GB, but .* choose a smaller --size"):
        stored("key", 10**15, write)
    assert write.calls == 0
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be kept in .*; set SPARRING_CACHE"):
        stored("key", 60, Writer())


def test_keys_differ_where_the_words_do(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key_of("a"), key_of("b"), key_of("a", 1), key_of("a", [1]), key_of("a", (2, 1))}
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    assert len(keys | {key_of("a")}) == 6
