"""SHAPING: the right part at the right size, and no trace of colours that cannot be seen."""

import numpy as np
import pytest
from made_pictures import colourful, gray
from numpy.typing import NDArray
from PIL import Image

from sparring.data.pictures.shaping import LARGEST_OWN, Shaping, choose_size, shape
from sparring.recipes.settings import Channels, Fit

FITS: list[Fit] = ["crop", "pad", "stretch"]


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right, a green line of a tenth in the middle."""
    picture = Image.new("RGB", (width, height), (255, 0, 0))
    picture.paste((0, 0, 255), (width // 2, 0, width, height))
    picture.paste((0, 255, 0), (width // 2 - width // 20, 0, width // 2 + width // 20, height))
    return picture


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("channels", "depth"), [("auto", 3), ("gray", 1), ("color", 3), ("alpha", 4)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(8, 8), (13, 7), (1, 1), (90, 90)])
def test_every_picture_gets_the_size_and_the_channels(
    fit: Fit, channels: Channels, depth: int, mode: str, size: tuple[int, int]
) -> None:
    for width, height in ((40, 30), (1, 60), (8, 8)):
        made = shape(colourful(width, height).convert(mode), size, fit, channels)
        assert made.shape == (*size, depth)
        assert made.dtype == np.uint8


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_of_that_size_keeps_its_pixels(fit: Fit, mode: str) -> None:
    picture = colourful(20, 20).convert(mode)
    made = shape(picture, (20, 20), fit, "gray" if mode == "L" else "color")
    np.testing.assert_array_equal(np.squeeze(made), np.asarray(picture))


def test_crop_takes_the_middle_in_proportion() -> None:
    made = shape(halves(400, 100), (20, 20), "crop", "color")
    green = (made[..., 1] > 128).mean()
    assert green == pytest.approx(0.4, abs=0.06), "40 of the middle 100 columns are green"
    assert made[10, 0].tolist()[0] > 200 and made[10, 19].tolist()[2] > 200, "the middle, not a side"


def test_pad_keeps_everything_between_black_bars() -> None:
    made = shape(halves(400, 100), (20, 20), "pad", "color")
    assert not made[:7].any() and not made[13:].any()
    assert made[10, 1, 0] > 200 and made[10, 18, 2] > 200
    assert (made[10, :, 1] > 128).sum() == pytest.approx(2, abs=1)


def test_stretch_keeps_everything_out_of_proportion() -> None:
    made = shape(halves(400, 100), (20, 20), "stretch", "color")
    assert (made.max(axis=-1) > 100).all()
    assert (made[10, :, 1] > 128).sum() == pytest.approx(2, abs=1)


def test_bars_are_clear_where_a_picture_can_be_transparent() -> None:
    solid = Image.new("RGBA", (40, 10), (10, 20, 30, 255))
    assert shape(solid, (20, 20), "pad", "color")[0, 0].tolist() == [255, 255, 255]
    assert shape(solid, (20, 20), "pad", "alpha")[0, 0].tolist() == [0, 0, 0, 0]
    assert shape(solid.convert("RGB"), (20, 20), "pad", "alpha")[0, 0].tolist() == [0, 0, 0, 0]
    assert shape(solid.convert("RGB"), (20, 20), "pad", "alpha")[10, 10].tolist() == [10, 20, 30, 255]


def hidden(width: int, height: int) -> Image.Image:
    """A black disc on loud colours that nobody can see, because they are fully transparent."""
    pixels: NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
    pixels[...] = (255, 0, 255, 0)
    y, x = np.indices((height, width))
    pixels[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(width, height) / 3) ** 2] = (0, 0, 0, 255)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("side", [7, 24, 48, 100])
def test_hidden_colours_leave_no_trace(fit: Fit, side: int) -> None:
    made = shape(hidden(48, 48), (side, side), fit, "color")
    assert (made == made[..., :1]).all(), "black on white has no colour"
    assert made[0, 0].tolist() == [255, 255, 255]
    kept = shape(hidden(48, 48), (side, side), fit, "alpha")
    assert not kept[..., :3].any(), "all that is seen is black, and what is not seen is made so"
    assert 0 < kept[..., 3].mean() < 255


@pytest.mark.parametrize("side", [20, 64, 150])
def test_what_is_transparent_is_black(side: int) -> None:
    """Scaling rings: beside a clear edge a colour may come out where the alpha does not."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(random.random((64, 64)) < 0.1, 255, 0)
    made = shape(Image.fromarray(pixels), (side, side), "crop", "alpha")
    clear = made[made[..., 3] == 0]
    assert len(clear) > 20
    assert not clear.any()


def test_half_transparent_colours_are_mixed_with_white() -> None:
    made = shape(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), (4, 4), "crop", "color")
    assert np.abs(made[0, 0].astype(int) - [255, 127, 127]).max() <= 1


def test_scaling_down_is_anti_aliased() -> None:
    stripes: NDArray[np.uint8] = np.zeros((64, 64), np.uint8)
    stripes[::2] = 255
    made = shape(Image.fromarray(stripes), (16, 16), "crop", "gray")
    assert np.abs(made.astype(int)[2:-2] - 128).max() <= 4


def test_gray_stays_without_colour() -> None:
    made = shape(gray(), (16, 16), "crop", "auto")
    assert (made[..., :1] == made).all()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(30, 20), (30, 20)], (30, 20)),
        ([(100, 100), (64, 90), (200, 80)], (64, 64)),
        ([(10, 10), (12, 12)], (16, 16)),
        ([(28, 28), (200, 28), (500, 27)], (28, 28)),
        ([(1000, 800), (2000, 900)], (128, 128)),
        ([(LARGEST_OWN, LARGEST_OWN)], (LARGEST_OWN, LARGEST_OWN)),
        ([(LARGEST_OWN + 1, 5)], (16, 16)),
        ([(512, 512)] * 3, (128, 128)),
    ],
)
def test_without_a_size_one_is_chosen(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    size, why = choose_size(Shaping(), sizes)
    assert size == expected
    assert (why is None) == (sizes == [expected] * len(sizes))
    if why is not None:
        assert f"{expected[1]} x {expected[0]}" in why and "--size" in why


def test_a_size_that_is_asked_for_is_taken() -> None:
    assert choose_size(Shaping(size=40), [(30, 20), (7, 9)]) == ((40, 40), None)
