"""Images: rounding, grids pixel by pixel, and atomic files."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.files import atomic
from sparring.images import (
    WRITERS,
    Images,
    grid,
    grid_scale,
    on_squares,
    picture,
    save_animation,
    save_images,
    save_picture,
    some_places,
    square_columns,
    to_uint8,
)


def noise(count: int, height: int = 5, width: int = 4, channels: int = 1) -> Images:
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


# ------------------------------------------------------------------------------------------------------- rounding


def test_to_uint8_maps_the_ends_rounds_between_and_clips_what_lies_outside() -> None:
    values = np.array([-1, 1, 0.001, -0.001, -1 + 1 / 255 - 1e-4, -1 + 1 / 255 + 1e-4, 1 - 1 / 255 + 1e-4])
    assert to_uint8(values).tolist() == [0, 255, 128, 127, 0, 1, 255]
    assert to_uint8(np.array([-1.5, -1e9, 1.01, 1e9])).tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_to_uint8_undoes_what_training_does_to_pixels(kind: type) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    back = to_uint8((pixels / 127.5 - 1).astype(kind))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, pixels)


# ---------------------------------------------------------------------------------------------------------- grids


def test_grid_pixel_by_pixel() -> None:
    one, two, three = (np.full((2, 3, 1), value, np.uint8) for value in (1, 2, 3))
    sheet = grid(np.stack([one, two, three]), rows=2, columns=2)
    assert sheet[..., 0].tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 2, 2, 2, 0],
        [0, 1, 1, 1, 0, 2, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 3, 3, 3, 0, 0, 0, 0, 0],  # the fourth place stays black
        [0, 3, 3, 3, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert sheet.shape == (7, 9, 1)
    assert sheet.dtype == np.uint8


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("gap", [0, 1, 3])
def test_grid_holds_every_image_at_its_place(channels: int, gap: int) -> None:
    images = on_squares(noise(6, channels=channels))
    channels = images.shape[-1]
    sheet = grid(images, rows=2, columns=3, gap=gap)
    assert sheet.shape == (2 * (5 + gap) + gap, 3 * (4 + gap) + gap, channels)
    for i, image in enumerate(images):
        y, x = gap + i // 3 * (5 + gap), gap + i % 3 * (4 + gap)
        np.testing.assert_array_equal(sheet[y : y + 5, x : x + 4], image)
        sheet[y : y + 5, x : x + 4] = 0
    assert not sheet.any(), "all else is black"


def test_grid_scale_repeats_pixels() -> None:
    images = noise(2)
    plain, tripled = grid(images, 1, 2), grid(images, 1, 2, scale=3)
    assert tripled.shape == (3 * plain.shape[0], 3 * plain.shape[1], 1)
    for y in range(3):
        for x in range(3):
            np.testing.assert_array_equal(tripled[y::3, x::3], plain)


def test_grid_leaves_out_what_has_no_place() -> None:
    images = noise(5)
    np.testing.assert_array_equal(grid(images, 1, 2), grid(images[:2], 1, 2))


@pytest.mark.parametrize(
    ("count", "columns"),
    [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (63, 8), (64, 8), (65, 9), (1_000_000, 1000)],
)
def test_square_columns(count: int, columns: int) -> None:
    assert square_columns(count) == columns


def test_only_small_images_are_enlarged() -> None:
    assert grid_scale(28, 28) == grid_scale(64, 64) == 2
    assert grid_scale(65, 28) == grid_scale(28, 65) == 1


# ---------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_save_picture_loses_nothing(channels: int, mode: str, tmp_path: Path) -> None:
    (image,) = noise(1, channels=channels)
    save_picture(tmp_path / "a.png", image)
    assert picture(image).mode == mode
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.png").reshape(image.shape), image)


def test_save_images_as_grid_and_as_array(tmp_path: Path) -> None:
    images = noise(5, channels=3)
    save_images(tmp_path / "new" / "folder" / "a.PNG", images, columns=3)
    np.testing.assert_array_equal(pixels_of(tmp_path / "new" / "folder" / "a.PNG"), grid(images, 2, 3, 2))
    save_images(tmp_path / "a.npz", images, columns=3)
    with np.load(tmp_path / "a.npz") as file:
        assert file.files == ["images"]
        np.testing.assert_array_equal(file["images"], images)


def test_save_images_as_folder(tmp_path: Path) -> None:
    images = noise(101, channels=3)
    save_images(tmp_path / "a", images, columns=3)
    files = sorted((tmp_path / "a").glob("*.png"))
    assert [file.name for file in files] == [f"{i:03d}.png" for i in range(101)]
    np.testing.assert_array_equal(np.stack([pixels_of(file) for file in files]), images)


def test_save_images_as_animation(tmp_path: Path) -> None:
    images = np.stack([np.full((5, 4, 1), value, np.uint8) for value in (0, 90, 200)])
    save_images(tmp_path / "a.gif", images, columns=3)
    with Image.open(tmp_path / "a.gif") as animation:
        assert (animation.format, animation.size) == ("GIF", (4 * 8, 5 * 8))
        assert getattr(animation, "n_frames", 1) == 3
        assert animation.info["loop"] == 0, "endless"
        for i, value in enumerate((0, 90, 200)):
            animation.seek(i)
            assert set(np.asarray(animation.convert("L")).flat) == {value}
            assert animation.info["duration"] == 80


def test_save_animation_lets_the_last_picture_stay(tmp_path: Path) -> None:
    frames = [Image.new("L", (3, 3), value) for value in (0, 100, 200)]
    save_animation(tmp_path / "a.gif", frames, 120, 2500)
    durations = []
    with Image.open(tmp_path / "a.gif") as animation:
        for i in range(3):
            animation.seek(i)
            durations.append(animation.info["duration"])
    assert durations == [120, 120, 2500]


def test_the_same_images_make_the_same_bytes(tmp_path: Path) -> None:
    for ending in (".png", ".npz", ".gif"):
        save_images(tmp_path / f"a{ending}", noise(4), columns=2)
        save_images(tmp_path / f"b{ending}", noise(4), columns=2)
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


# --------------------------------------------------------------------------------------------------- all or nothing


def half_then_fail(file: BinaryIO) -> None:
    file.write(b"half")
    raise OSError(28, "No space left on device")


def kill(file: BinaryIO) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("write", "error"), [(half_then_fail, OSError), (kill, KeyboardInterrupt)])
@pytest.mark.parametrize("old", [b"the old content", None])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    old: bytes | None, write: Callable[[BinaryIO], None], error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error):
        atomic.write_file(path, write)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({} if old is None else {"a.png": old})


@pytest.mark.parametrize("ending", [".png", ".npz", ".gif"])
def test_every_writer_is_atomic(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"the old content")

    def full_disk(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "sync", full_disk)  # when all is written, and before it has its name
    with pytest.raises(OSError, match="No space left"):
        WRITERS[ending](path, noise(4), 2, None, None)
    assert path.read_bytes() == b"the old content"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("count", "wanted"), [(10, 3), (3, 10), (1, 5), (60_000, 10_000)])
def test_some_places_are_different_ones_in_order_and_always_the_same(count: int, wanted: int) -> None:
    places = some_places(count, wanted)
    assert len(places) == min(count, wanted)
    assert (np.diff(places) > 0).all() and places[0] >= 0 and places[-1] < count
    assert np.array_equal(places, some_places(count, wanted))


def test_some_places_are_from_everywhere() -> None:
    parts = np.bincount(some_places(60_000, 10_000) // 6000, minlength=10)
    assert parts.min() > 900 and parts.max() < 1100
