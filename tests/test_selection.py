"""A SELECTION of images: it is asked for as an array is, reads no more than that, and copies nothing before."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring import selection
from sparring.selection import ALIGNMENT, aligned, pieces, select

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
    with pytest.raises(ValueError, match="without being copied"):
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
