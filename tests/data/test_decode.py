"""DECODING: every kind of picture comes out as it is meant, and whatever is wrong is a reason, never another error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import bomb, colourful, encoded, gray
from numpy.typing import NDArray
from PIL import Image

from sparring.data.arrays.ranges import Numbers
from sparring.data.pictures.decode import (
    HEAD,
    MAX_PIXELS,
    Ranges,
    Unreadable,
    decode,
    is_picture,
    look,
    look_numbers,
    quiet,
)


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(content))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "JPEG"])
def test_every_format_is_known_by_its_bytes(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    content = encoded(colourful(), kind, **options)
    assert is_picture(content[:HEAD])
    assert look(content) == (30, 40)
    difference = pixels(content).astype(int) - np.asarray(colourful())
    assert np.abs(difference).mean() < (10 if kind in ("GIF", "JPEG") else 1e-9)


@pytest.mark.parametrize(
    "head",
    [b"", b"# Read me", b"BMW and other cars, a long list", b"%PDF-1.7", b"P5 is a key", b"RIFF0000WAVE", b"PK\3\4"],
)
def test_other_files_are_no_pictures(head: bytes) -> None:
    assert not is_picture(head)


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX"])
def test_formats_that_are_not_listed_are_not_opened(kind: str) -> None:
    with pytest.raises(Unreadable, match="its header cannot be read"):
        decode(encoded(colourful(16, 16), kind))


def test_a_bomb_is_refused_by_its_header() -> None:
    with quiet():
        for open_it in (look, decode):
            with pytest.raises(Unreadable, match="the limit of 89,478,485"):
                open_it(bomb())


def test_a_picture_just_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.pictures.decode.MAX_PIXELS", 40 * 30 - 1)
    with pytest.raises(Unreadable, match="40 x 30 pixels, more than the limit of 1,199"):
        look(encoded(colourful()))
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_is_refused(kind: str, share: float) -> None:
    content = encoded(colourful(200, 200), kind)
    with pytest.raises(Unreadable, match="damaged"):
        decode(content[: int(share * len(content))])


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65534, 65535]], np.uint16)
    expected = [[0, 0, 1, 1, 128, 255, 255]]
    assert decode(encoded(Image.fromarray(values))).mode == "L"
    for kind in ("PNG", "TIFF"):
        assert pixels(encoded(Image.fromarray(values), kind)).tolist() == expected


def test_sixteen_bits_with_a_transparent_value() -> None:
    values = np.array([[0, 257, 65535]], np.uint16)
    content = encoded(Image.fromarray(values), transparency=257)
    read = decode(content)
    assert read.mode == "RGBA"
    assert np.asarray(read)[0, :, 3].tolist() == [255, 0, 255]


def test_floats_are_read_as_between_0_and_1_unless_a_range_is_given() -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 128, 255]]
    for other in ((-1, 1), (0, 300)):
        given = Image.fromarray((values * (other[1] - other[0]) + other[0]).astype(np.float32))
        assert np.asarray(decode(encoded(given, "TIFF"), ranges=Ranges(floats=other))).tolist() == [[0, 128, 255]]
    for read in (decode, look_numbers):
        with pytest.raises(Unreadable, match="NaN"):
            read(encoded(Image.fromarray(values * np.nan), "TIFF"))


def test_whole_numbers_of_32_bits() -> None:
    values = np.array([[0, 257 * 7, 65535]], np.int32)
    assert pixels(encoded(Image.fromarray(values), "TIFF")).tolist() == [[0, 7, 255]]


def test_the_numbers_of_pictures_of_more_than_8_bits_are_looked_at() -> None:
    content = encoded(Image.fromarray(np.array([[3, 9]], np.uint16)))
    assert look_numbers(content) == Numbers("uint16", 3, 9, 0, 2)
    assert look_numbers(encoded(Image.fromarray(np.array([[-3, 9]], np.int32)), "TIFF")) == Numbers(
        "int32", -3, 9, 0.5, 2
    )
    assert look_numbers(encoded(colourful(), "TIFF")) is None
    assert look_numbers(encoded(colourful())) is None


def test_bytes_of_another_range_are_stretched_and_alpha_is_not() -> None:
    half = Ranges(bytes=(0, 127))
    assert np.asarray(decode(encoded(Image.fromarray(np.array([[0, 127, 200]], np.uint8))), ranges=half)).tolist() == [
        [0, 255, 255]
    ]
    clear = np.array([[[127, 0, 127, 100]]], np.uint8)
    assert np.asarray(decode(encoded(Image.fromarray(clear)), ranges=half)).tolist() == [[[255, 0, 255, 100]]]


def test_palettes() -> None:
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    indexed.putdata([0, 1])
    assert pixels(encoded(indexed)).tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert pixels(encoded(indexed, transparency=b"\xff\x00")).tolist() == [[[255, 0, 0, 255], [0, 0, 255, 0]]]


def test_black_and_white() -> None:
    picture = Image.new("1", (2, 1))
    picture.putdata([0, 255])
    assert pixels(encoded(picture)).tolist() == [[0, 255]]


def test_cmyk() -> None:
    content = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    red = decode(content)
    assert red.mode == "RGB"
    assert np.abs(np.asarray(red).astype(int) - [255, 0, 0]).max() <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation(kind: str) -> None:
    lying = Image.new("RGB", (24, 16))
    lying.paste((255, 255, 255), (0, 0, 24, 8))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right, so that white comes to lie on the right
    content = encoded(lying, kind, exif=exif)
    read = decode(content).convert("L")
    assert read.size == (16, 24)
    assert read.getpixel((14, 12)) > 200  # type: ignore[operator]
    assert read.getpixel((1, 12)) < 50  # type: ignore[operator]
    if kind == "JPEG":
        assert look(content) == (24, 16)


def test_damaged_exif_data_do_no_harm() -> None:
    content = encoded(colourful(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff garbage")
    with quiet():
        assert decode(content).size == (40, 30)
        assert look(content) == (30, 40)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(content)[0, 0].tolist()[:3] == [255, 0, 0]


def test_a_large_jpeg_is_decoded_at_a_fraction() -> None:
    content = encoded(colourful(800, 640), "JPEG")
    assert decode(content).size == (800, 640)
    small = decode(content, least=32)
    assert 96 <= min(small.size) < 640
    assert decode(content, least=640).size == (800, 640)


SEEDS = [
    encoded(colourful()),
    encoded(colourful(), "JPEG"),
    encoded(gray(), "GIF"),
    encoded(colourful(), "TIFF"),
    encoded(colourful(), "WEBP"),
    encoded(colourful(), "BMP"),
    encoded(colourful(), "JPEG", exif=bytes.fromhex("457869660000492a0008000000010012010300010000000600000000000000")),
]


@settings(max_examples=150, deadline=None)
@given(
    content=st.sampled_from(SEEDS),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    share=st.floats(0, 1),
)
def test_damage_is_a_reason_or_does_no_harm(content: bytes, places: list[tuple[float, int]], share: float) -> None:
    damaged = bytearray(content[: max(int(share * len(content)), len(content) // 3) if share < 0.7 else len(content)])
    for place, value in places:
        damaged[int(place * (len(damaged) - 1))] = value
    results: list[Any] = []
    with quiet():
        for open_it in (look, lambda some: decode(some, 16)):
            try:
                results.append(open_it(bytes(damaged)))
            except Unreadable as unreadable:
                assert str(unreadable)
                assert "\n" not in str(unreadable)
    for result in results:
        assert isinstance(result, tuple) or result.mode in ("L", "RGB", "RGBA")
