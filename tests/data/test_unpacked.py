"""What files unpack to: bombs are refused, what is large is mapped from the disk, and nothing of it stays behind."""

import gzip
import io
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bombs
import numpy as np
import pytest

from sparring.data import check, load
from sparring.data.arrays import idx, unpacked
from sparring.data.arrays import npz as arrays
from sparring.data.selection import pieces, select
from sparring.errors import DataError
from sparring.recipes.recipe import Recipe
from sparring.training import train as training

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited in Linux's way")
TWO = np.stack([np.full((28, 28), value, np.uint8) for value in (30, 200)])
MOST = 260 << 20
"""Bytes of memory: Python, NumPy and Pillow take 100 MiB of it."""


def idx_gz(path: Path, blocks: Iterator[bytes], *shape: int) -> Path:
    with gzip.open(path, "wb", 6) as file:
        file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape))
        file.writelines(blocks)
    return path


def npz(path: Path, blocks: Iterator[bytes], shape: tuple[int, ...], dtype: str) -> Path:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as member:
        member.write(head.getvalue())
        for block in blocks:
            member.write(block)
    return path


def zeros(size: int) -> Iterator[bytes]:
    return (bytes(min(1 << 20, size - start)) for start in range(0, size, 1 << 20))


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(str(path))
    return str(caught.value)


BOMBS: dict[str, Any] = {
    "idx": lambda folder: idx_gz(folder / "bomb.gz", zeros(100_000 * 784), 100_000, 28, 28),
    "npz": lambda folder: npz(folder / "bomb.npz", zeros(100_000 * 784), (100_000, 28, 28), "|u1"),
    "floats": lambda folder: npz(folder / "bomb.npz", zeros(20_000 * 784 * 8), (20_000, 28, 28), "<f8"),
    "labels": lambda folder: idx_gz(folder / "bomb.gz", zeros(80 << 20), 80 << 20),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_far_more_than_pictures_do_is_refused_by_its_header(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = BOMBS[name](tmp_path)
    for module in (idx, arrays):
        monkeypatch.setattr(module, "keep", lambda *given: pytest.fail("it was unpacked"))
    if name == "labels":
        with pytest.raises(DataError, match="more than 200 times its size"):
            idx.labels_from_idx(path)
    else:
        assert "more than 200 times its size" in refused(path)
        assert str(path) in refused(path)


def test_a_header_of_the_archive_that_lies_about_its_size_makes_no_ratio(tmp_path: Path) -> None:
    path = npz(tmp_path / "bomb.npz", zeros(100_000 * 784), (100_000, 28, 28), "|u1")
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\1\2") + 20
    content[place : place + 4] = struct.pack("<I", 1 << 30)
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("form", ["idx", "idx.gz", "npz", "floats"])
def test_what_is_large_is_mapped_from_the_disk_and_the_same(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    cache = tmp_path / "cache"
    monkeypatch.setenv("SPARRING_CACHE", str(cache))
    if form == "idx":
        path = tmp_path / "images"
        path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, *random.shape) + random.tobytes())
    elif form == "idx.gz":
        path = idx_gz(tmp_path / "images.gz", iter([random.tobytes()]), *random.shape)
    elif form == "npz":
        path = npz(tmp_path / "images.npz", iter([random.tobytes()]), random.shape, "|u1")
    else:
        path = npz(tmp_path / "images.npz", iter([(random / 255).tobytes()]), random.shape, "<f8")
    expected = load(str(path)).checksum()
    for module in (unpacked, idx, arrays):
        monkeypatch.setattr(module, "LARGE", 1)
    found = load(str(path))
    assert isinstance(found.images, np.memmap)
    assert found.checksum() == expected
    assert not cache.exists() or list(cache.iterdir()) == []


def test_no_room_on_the_disk_is_said_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = idx_gz(tmp_path / "images.gz", iter([TWO.tobytes()]), *TWO.shape)
    monkeypatch.setattr(unpacked, "LARGE", 1)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    message = refused(path)
    assert "SPARRING_CACHE" in message
    assert str(path) in message


def test_a_damaged_file_is_no_fault_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = idx_gz(tmp_path / "images.gz", iter([TWO.tobytes()]), *TWO.shape)
    path.write_bytes(path.read_bytes()[:-6] + b"\0" * 6)
    monkeypatch.setattr(unpacked, "LARGE", 1)
    assert "gzip data" in refused(path)


def test_little_free_memory_makes_less_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "free_here", lambda: 100 << 20)
    assert unpacked.is_large(30 << 20)
    monkeypatch.setattr(unpacked, "free_here", lambda: None)
    assert not unpacked.is_large(30 << 20)


@on_linux
@pytest.mark.ci
def test_a_file_that_unpacks_to_more_than_memory_is_checked_without_taking_it(tmp_path: Path) -> None:
    images = np.zeros((1000, 28, 28), np.uint8)
    images[:, 10, 5:21] = np.random.default_rng(0).integers(0, 256, (1000, 16), np.uint8)
    path = idx_gz(tmp_path / "many.gz", iter([images.tobytes()] * 350), 350_000, 28, 28)
    assert MOST < 350_000 * 784
    status, peak, _, said = bombs.run("check", path, 8 << 30, tmp_path)
    assert status == 0, said
    assert peak < MOST


@on_linux
def test_a_header_of_4_gib_is_not_read(tmp_path: Path) -> None:
    bomb = b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + bytes(1 << 28)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("images.npy", bomb)
    assert (tmp_path / "a.npz").stat().st_size < 2 << 20
    status, peak, _, said = bombs.run("check", tmp_path / "a.npz", 8 << 30, tmp_path)
    assert status == 2, said
    assert peak < MOST


def test_pieces_of_what_is_mapped_are_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.selection.PIECE_BYTES", 8000)
    monkeypatch.setattr("sparring.data.selection.RELEASED", 1)
    images = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 1), np.uint8)
    images.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r", shape=images.shape)
    np.testing.assert_array_equal(np.concatenate(list(pieces(mapped))), images)
    some = np.arange(0, 300, 7)
    np.testing.assert_array_equal(np.concatenate(list(pieces(select(mapped, some)))), images[some])


def test_check_and_training_refuse_the_same_picture_again_and_again(tmp_path: Path, tiny_recipe: Recipe) -> None:
    path = idx_gz(tmp_path / "same.gz", iter([TWO[:1].repeat(100, 0).tobytes()]), 100, 28, 28)
    with pytest.raises(DataError, match="same picture 100 times") as checked:
        load(str(path)).refuse_alike()
    with pytest.raises(DataError) as trained:
        training.load_images(tiny_recipe.replace(data=str(path)))
    assert str(trained.value) == str(checked.value)


def test_duplicates_are_groups_by_place_or_name() -> None:
    images = np.arange(6, dtype=np.uint8)[[0, 1, 0, 2, 1, 3]][:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    assert check.duplicates(check.digests(images), ()) == [[0, 2], [1, 4]]
    assert check.duplicates(check.digests(images), "fedcba") == [["d", "f"], ["b", "e"]]
    assert check.duplicates(check.digests(images[:1]), ()) == []
    assert check.duplicates(check.digests(images[[0, 0, 0]]), ()) == [[0, 1, 2]]
