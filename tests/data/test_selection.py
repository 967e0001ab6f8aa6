"""A SELECTION of images: it is asked for as an array is, reads no more than that, and copies nothing before."""

import mmap
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.data import selection
from sparring.data.selection import ALIGNMENT, aligned, pieces, select

WHOLE = np.random.default_rng(0).integers(0, 256, (20, 3, 2, 1), np.uint8)
PLACES = np.array([3, 17, 0, 5, 5, 11])


@pytest.mark.parametrize(
    "which", [2, slice(1, 4), slice(None), np.array([5, 0]), np.arange(6) % 2 == 0, np.array([[1, 2], [3, 4]])]
)
def test_it_gives_what_an_array_gives(which: Any) -> None:
    np.testing.assert_array_equal(select(WHOLE, PLACES)[which], WHOLE[PLACES][which])


def test_it_looks_like_an_array() -> None:
    some, array = select(WHOLE, PLACES), WHOLE[PLACES]
    assert (len(some), some.shape, some.size, some.dtype, some.ndim) == (6, array.shape, 36, array.dtype, 4)
    np.testing.assert_array_equal(np.asarray(some), array)
    np.testing.assert_array_equal(np.asarray(some, np.float32), array.astype(np.float32))
    np.testing.assert_array_equal(np.stack(list(some)), array)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(some, copy=False)


def test_of_a_selection_some_are_selected_from_the_whole() -> None:
    mask = np.array([True, False, True, True, False, True])
    some = select(select(WHOLE, PLACES), mask)
    assert some.whole is WHOLE
    np.testing.assert_array_equal(some.places, [3, 0, 5, 11])
    np.testing.assert_array_equal(np.asarray(some), WHOLE[PLACES][mask])


def test_only_what_is_asked_for_is_in_memory(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(bytes(8 << 20))
    whole = np.memmap(tmp_path / "images", np.uint8, "r", shape=(8, 1024, 1024, 1))
    tracemalloc.start()
    some = select(select(whole, np.arange(8)), np.arange(0, 8, 2))
    assert some[:1].shape == (1, 1024, 1024, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * (1 << 20)


@pytest.mark.parametrize("which", [3, slice(2, 9), np.array([0, 49, 7]), np.array([[1, 2], [3, 4]])])
def test_what_is_mapped_is_read_alike(which: Any, tmp_path: Path) -> None:
    """Wherever it begins in the file, and in the last page, too."""
    images = np.random.default_rng(0).integers(0, 256, (50, 40, 40, 1), np.uint8)
    (tmp_path / "images").write_bytes(bytes(5000) + images.tobytes())
    whole = np.memmap(tmp_path / "images", np.uint8, "r", 5000, images.shape)
    for mapped, expected in ((whole, images), (whole[3:, ..., 0, None], images[3:]), (whole[::2], images[::2])):
        places = np.arange(len(mapped))[::-1]
        if np.max(np.arange(50)[which]) < len(mapped):
            np.testing.assert_array_equal(select(mapped, places)[which], expected[places][which])


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="the system takes no such advice")
def test_the_disk_is_told_what_will_be_read_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(bytes(100 * 5000))
    told: list[tuple[int, int]] = []

    class Mapped(mmap.mmap):
        def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
            assert option == mmap.MADV_WILLNEED
            told.append((start, start + length))

    class Whole(np.ndarray):
        _mmap: Mapped

    with (tmp_path / "images").open("rb") as file:
        mapped = Mapped(file.fileno(), 0, access=mmap.ACCESS_READ)
    whole = np.frombuffer(mapped, np.uint8)[5000:].reshape(99, 50, 100, 1).view(Whole)
    whole._mmap = mapped
    select(whole, np.arange(99))[np.array([90, 2])]
    page = mmap.PAGESIZE
    assert told == [(455_000 // page * page, 460_000), (15_000 // page * page, 20_000)]


@pytest.mark.parametrize("images", [WHOLE, select(WHOLE, np.arange(19, -1, -1))], ids=["array", "selection"])
def test_the_pieces_are_the_whole(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "PIECE_BYTES", 6 * 7)
    found = list(pieces(images))
    assert [len(piece) for piece in found] == [7, 7, 6]
    np.testing.assert_array_equal(np.concatenate(found), np.asarray(images))


@pytest.mark.parametrize(("shape", "dtype"), [((3, 5), np.uint8), ((7,), np.int32), ((), np.uint8)])
def test_memory_begins_where_a_device_wants_it(shape: tuple[int, ...], dtype: Any) -> None:
    made = aligned(shape, dtype)
    assert made.ctypes.data % ALIGNMENT == 0
    assert (made.shape, made.dtype) == (shape, dtype)
