"""What libraries say of damaged pictures reaches nobody raw: neither from Python nor from C, whatever the format."""

import io
import logging
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from made_pictures import colourful, encoded, write_files
from PIL import Image

from sparring.cli.main import main
from sparring.data import collect
from sparring.data.pictures.decode import Unreadable, decode, look, quiet
from sparring.data.samples import read_samples
from sparring.errors import DataError, reason

pytestmark = pytest.mark.usefixtures("cache")
GOOD = {"1.png": encoded(colourful()), "2.png": encoded(colourful(seed=1))}


def tiff(tags: dict[int, tuple[int, int, int]], content: bytes = b"") -> bytes:
    """A TIFF of 8 x 8 with these tags (kind, count, value) changed or added."""
    usual = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    usual |= {273: (4, 1, 8), 278: (3, 1, 8), 279: (4, 1, 64)} | tags
    pixels = (content or bytes(range(64))).ljust(64, b"\0")
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(usual.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(usual)) + entries + bytes(4)


def damaged_tiff(compression: str) -> bytes:
    content = bytearray(encoded(colourful(), "TIFF", compression=compression))
    random.Random(0).shuffle(middle := content[20:400])
    content[20:400] = middle
    return bytes(content)


def palette_with_transparency() -> bytes:
    picture = colourful().quantize(16)
    return encoded(picture, "PNG", transparency=bytes(range(16)))


HOSTILE = {
    "samples.tif": tiff({277: (3, 1, 9000), 258: (3, 1, 8)}),
    "metadata.tif": tiff({305: (2, 40, 100_000), 270: (2, 5000, 8)}),
    "count.tif": tiff({278: (3, 2, 8)}),
    "lzw.tif": damaged_tiff("tiff_lzw"),
    "zip.tif": damaged_tiff("tiff_adobe_deflate"),
    "jpeg.tif": damaged_tiff("jpeg"),
    "lzma.tif": damaged_tiff("lzma"),
    "fax.tif": tiff({259: (3, 1, 4), 258: (3, 1, 1)}, bytes(range(255, 191, -1))),
    "large.ppm": b"P6 9400 9400 255\n",
    "palette.png": palette_with_transparency(),
    "cut.jpg": encoded(colourful(), "JPEG")[:300],
    "cut.png": encoded(colourful())[:200],
    "cut.webp": encoded(colourful(), "WEBP")[:90],
    "cut.gif": encoded(colourful(), "GIF")[:200],
}


@pytest.mark.filterwarnings("ignore")
def test_the_inputs_do_make_libraries_speak(caplog: pytest.LogCaptureFixture) -> None:
    """Without `quiet`: else the other tests show nothing."""
    for content in HOSTILE.values():
        for look_at in (look, decode):
            try:
                look_at(content)
            except Unreadable as unreadable:
                assert " at 0x" not in str(unreadable)
    assert "More samples per pixel" in caplog.text


@pytest.mark.filterwarnings("error")
def test_nothing_of_it_reaches_the_terminal_or_whoever_imports_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path / "some", GOOD | HOSTILE)
    assert main(["data", "check", str(tmp_path / "some"), "--sheet", str(tmp_path / "sheet.png")]) == 0
    out, err = capfd.readouterr()
    assert (err, caplog.text) == ("", "")
    assert "samples.tif: damaged" in out
    problems = {problem.name: problem.reason for problem in collect(str(tmp_path / "some")).problems}
    assert {"samples.tif", "large.ppm", "cut.png"} <= set(problems)
    assert not any(" at 0x" in words or "<" in words for words in problems.values())
    assert capfd.readouterr().err == caplog.text == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", HOSTILE)
def test_samples_are_judged_or_refused_in_silence(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_files(tmp_path / "some", {name: HOSTILE[name]})
    try:
        read_samples(tmp_path / "some")
    except DataError as error:
        assert " at 0x" not in str(error)
    assert capfd.readouterr().err == ""


def test_others_hear_the_log_again_afterwards() -> None:
    log = logging.getLogger("PIL")
    log.setLevel(logging.INFO)
    with quiet():
        assert not logging.getLogger("PIL.TiffImagePlugin").isEnabledFor(logging.ERROR)
    assert log.level == logging.INFO
    log.setLevel(logging.NOTSET)


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_no_reason_holds_an_address() -> None:
    assert " at 0x" in str(raised(lambda: Image.open(io.BytesIO(b"no picture"))))
    assert "0x" not in reason(raised(lambda: Image.open(io.BytesIO(b"no picture"))))
    assert reason(TypeError("cannot read <_io.BytesIO object at 0x7f00aa>")) == "cannot read the data"
    assert "0x7f" not in reason(TypeError("<bound method X.y of <X object at 0x7f00aa>> failed"))
    assert reason(ValueError("the type 0x0d is unknown")) == "the type 0x0d is unknown"
    assert reason(ValueError()) == "ValueError"
