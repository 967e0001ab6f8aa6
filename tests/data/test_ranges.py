"""RANGES: the same digits, saved with every usual range of numbers, are the same images; what is doubtful is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import printed_digit, write_idx
from made_pictures import encoded, write_files
from numpy.typing import NDArray
from PIL import Image

from sparring.data import Shaping, collect, load
from sparring.data.arrays.ranges import BYTES, choose_range, numbers_of
from sparring.data.samples import read_samples
from sparring.errors import DataError, RecipeError
from sparring.recipes import named_recipe
from sparring.sweeps.space import make_space, parse_axis

DIGITS = np.stack([printed_digit(i % 10, np.random.default_rng(i)) for i in range(20)])
UNIT = DIGITS / 255
STEP = 0.5 / 255
"""Half a gray level."""


def one_pixel(values: NDArray[Any], value: float) -> NDArray[Any]:
    changed = values.copy()
    changed[0, 0, 0] = value
    return changed


ARRAYS: dict[str, tuple[NDArray[Any], bool]] = {
    "uint8": (DIGITS, False),
    "floats in [0, 1]": (UNIT, False),
    "float16": (UNIT.astype(np.float16), False),
    "big-endian": (UNIT.astype(">f4"), False),
    "floats in [-1, 1]": (UNIT * 2 - 1, False),
    "one pixel below 0": (one_pixel(UNIT, -1e-6), False),
    "one pixel at -0.3": (one_pixel(UNIT, -0.3), True),
    "one pixel above 1": (one_pixel(UNIT, 1.0000001), False),
    "a little below -1": (one_pixel(UNIT * 2 - 1, -1.0000001), False),
    "overshoot": (one_pixel(one_pixel(UNIT, -0.05)[::-1], 1.06)[::-1], True),
    "[-0.5, 0.5]": (UNIT - 0.5, True),
    "float 0 to 255": (DIGITS.astype(np.float32), True),
    "int64 0 to 255": (DIGITS.astype(np.int64), True),
    "uint16 0 to 255": (DIGITS.astype(np.uint16), True),
    "uint16 0 to 65535": (DIGITS.astype(np.uint16) * 257, False),
    "12 bits": (np.rint(UNIT * 4095).astype(np.uint16), True),
    "10 bits": (np.rint(UNIT * 1023).astype(np.int32), True),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_digits_of_every_usual_range_are_the_same_images(name: str, tmp_path: Path) -> None:
    array, unusual = ARRAYS[name]
    np.savez(tmp_path / "some.npz", images=array)
    collection = collect(str(tmp_path / "some.npz"))
    assert collection.images is not None
    distance = np.asarray(collection.images.images)[..., 0].astype(int) - DIGITS
    distance[:1, 0, 0] = distance[-1:, 0, 0] = 0  # the pixel that some of them change
    assert np.abs(distance).max() <= 1
    assert any("--range" in note for note in collection.notes) == unusual


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_black_and_white_alone(kind: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", images=(DIGITS > 127).astype(kind))
    assert np.unique(np.asarray(load(str(tmp_path / "some.npz")).images)).tolist() == [0, 255]


def test_idx_files_of_0_and_1_are_black_and_white(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", (DIGITS > 127).astype(np.uint8))
    for source in (tmp_path, tmp_path / "train-images-idx3-ubyte"):
        collection = collect(str(source))
        assert collection.images is not None
        assert np.unique(np.asarray(collection.images.images)).tolist() == [0, 255]
        assert "0 and 1 only" in collection.notes[0]


REFUSED: dict[str, NDArray[Any]] = {
    "standardised": (UNIT - 0.1307) / 0.3081,
    "percent": np.rint(UNIT * 100),
    "whole percent": np.rint(UNIT * 100).astype(np.int32),
    "0 to 16": UNIT * 16,
    "centred bytes": DIGITS - 128.0,
    "signed bytes": (DIGITS.astype(int) - 128).astype(np.int8),
    "faint": UNIT * 0.6 - 0.3,
    "24 bits": DIGITS.astype(np.int32) * 65793,
    "far above 1": one_pixel(UNIT, 1.5),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_several_things_is_refused_until_a_range_is_given(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "some.npz")
    np.savez(path, images=REFUSED[name])
    with pytest.raises(DataError, match=r"--range LOW,HIGH, for example --range -?[0-9.]+,[0-9.]+") as refused:
        load(path)
    assert path in str(refused.value)
    array = REFUSED[name]
    given = (float(array.min()), float(array.max() if name != "far above 1" else 1))
    if name == "faint":
        given = (-0.3, 0.3)
    images = np.asarray(load(path, shaping=Shaping(range=given)).images)[..., 0].astype(int)
    assert np.abs(images - DIGITS)[1:].max() <= 1


def test_a_given_range_comes_first_and_what_it_cuts_off_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", images=UNIT)
    collection = collect(str(tmp_path / "some.npz"), shaping=Shaping(range=(0.25, 0.5)))
    assert collection.images is not None
    assert np.asarray(collection.images.images)[..., 0][UNIT > 0.5].min() == 255
    assert "clipped" in collection.notes[0]


@pytest.mark.parametrize(
    "array", [np.zeros((9, 8, 8)), np.zeros((9, 8, 8), int), np.ones((9, 8, 8)), -np.ones((9, 8, 8))]
)
def test_images_of_one_value_are_read(array: NDArray[Any]) -> None:
    assert choose_range(numbers_of([array]), None).range in ((0, 1), (0, 255), (-1, 1))


def test_dark_bytes_are_read_as_they_are_with_a_note() -> None:
    reading = choose_range(numbers_of([np.arange(16, dtype=np.uint8)]), None)
    assert reading.range == BYTES
    assert "look black" in str(reading.note) and "--range 0,15" in str(reading.note)


def test_nan_is_refused_with_its_number(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", images=one_pixel(UNIT, np.nan))
    with pytest.raises(DataError, match="1 values are NaN or infinite"):
        load(str(tmp_path / "some.npz"))


def test_training_images_decide_for_test_images(tmp_path: Path) -> None:
    path = str(tmp_path / "some.npz")
    np.savez(path, x_train=UNIT - 0.5, x_test=np.full((5, 28, 28), 0.25))
    assert np.unique(np.asarray(load(path, "test").images)).tolist() == [191]


# ------------------------------------------------------------------------------------------------ pictures


def folder_of(tmp_path: Path, array: NDArray[Any], kind: str) -> Path:
    return write_files(
        tmp_path / "pics", {f"{i}.{kind.lower()}": encoded(Image.fromarray(one), kind) for i, one in enumerate(array)}
    )


PICTURES: dict[str, tuple[NDArray[Any], str]] = {
    "12 bits in 16": (np.rint(UNIT * 4095).astype(np.uint16), "PNG"),
    "8 bits in 16": (DIGITS.astype(np.uint16), "PNG"),
    "16 bits": (DIGITS.astype(np.uint16) * 257, "PNG"),
    "12 bits in a TIFF": (np.rint(UNIT * 4095).astype(np.uint16), "TIFF"),
    "int32 0 to 255": (DIGITS.astype(np.int32), "TIFF"),
    "floats": (UNIT.astype(np.float32), "TIFF"),
    "floats in [-1, 1]": ((UNIT * 2 - 1).astype(np.float32), "TIFF"),
    "floats to 255": (DIGITS.astype(np.float32), "TIFF"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_every_usual_range_are_the_same_images(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, *PICTURES[name])
    collection = collect(str(folder))
    assert collection.images is not None
    by_name = [collection.names.index(f"{i}.{PICTURES[name][1].lower()}") for i in range(len(DIGITS))]
    found = np.asarray(collection.images.images)[by_name][..., 0].astype(int)
    assert np.abs(found - DIGITS).max() <= 1
    assert bool(collection.notes) == (name not in ("16 bits", "floats", "floats in [-1, 1]"))
    samples, _ = read_samples(folder)
    assert np.array_equal(np.sort(samples.sum((1, 2, 3))), np.sort(found.sum((1, 2))))


def test_one_dark_picture_is_not_read_in_its_own_way(tmp_path: Path) -> None:
    array = DIGITS.astype(np.uint16) * 257
    array[0] //= 257
    collection = collect(str(folder_of(tmp_path, array, "PNG")))
    assert collection.images is not None
    dark = np.asarray(collection.images.images)[collection.names.index("0.png")]
    assert dark.max() <= 1


def test_masks_of_0_and_1_are_black_and_white(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, (DIGITS > 127).astype(np.uint8), "PNG")
    collection = collect(str(folder))
    assert collection.images is not None
    assert np.unique(np.asarray(collection.images.images)).tolist() == [0, 255]
    assert "0 and 1 only" in collection.notes[0]
    assert np.asarray(load(str(folder), shaping=Shaping(range=(0, 255))).images).max() == 1


def test_pictures_that_could_be_several_things_are_left_out_with_the_option(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, (UNIT * 16).astype(np.float32), "TIFF")
    with pytest.raises(DataError, match="--range 0,16"):
        load(str(folder))
    read = np.asarray(load(str(folder), shaping=Shaping(range=(0, 16))).images).astype(int)
    assert abs(read.sum() - DIGITS.sum()) <= 50
    with pytest.raises(DataError, match="--range 0,16"):
        read_samples(folder)
    assert read_samples(folder, (0, 16))[0].max() == 255


# ------------------------------------------------------------------------------------------------ the setting


@pytest.mark.parametrize("text", ["1,0", "0", "a,b", "0,1,2", "0,inf", "nan,1", "", "0:1"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="range must be two numbers"):
        named_recipe().replace(range=text)


def test_a_range_is_one_value_of_a_sweep() -> None:
    recipe = named_recipe()
    assert parse_axis(recipe, "range", "-0.5,0.5") == ("-0.5,0.5",)
    assert parse_axis(recipe, "range", "none") == (None,)
    with pytest.raises(RecipeError, match="range cannot be swept"):
        make_space(recipe, {"range": ["0,1", "0,2"]})


def test_a_named_set_has_its_range() -> None:
    with pytest.raises(DataError, match="mnist is read as it is"):
        load("mnist", shaping=Shaping(range=(0, 1)))
