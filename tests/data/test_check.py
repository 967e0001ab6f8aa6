"""THE CHECK: what it finds, what it prints, the sheet, and a command that trains."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from made_pictures import colourful, encoded, gray, write_files
from PIL import Image

from sparring.cli.main import main
from sparring.data import check, collect
from sparring.data.pictures.shaping import Shaping
from sparring.recipes import named_recipe
from sparring.training import train as training

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "150")
    return tmp_path


def pets(folder: Path, **more: bytes) -> str:
    """40 cats and 20 dogs of many sizes, one of them three times; and more."""
    cats = {f"cat/{i}.png": encoded(colourful(60 + i, 50, i)) for i in range(40)}
    dogs = {f"dog/{i}.png": encoded(colourful(90, 70 + i, 100 + i)) for i in range(20)}
    same = {f"dog/same {i}.bmp": encoded(colourful(90, 70, 100), "BMP") for i in range(2)}
    write_files(folder / "my pets", cats | dogs | same | more)
    return "my pets"


def test_everything_is_printed(tmp_path: Path, capsys: Printed) -> None:
    source = pets(tmp_path, **{"README.txt": b"hello", "dog/cut.png": encoded(colourful())[:300]})
    assert main(["data", "check", source]) == 0
    text = capsys.readouterr().out
    assert "my pets: 62 images, trained on at 48 x 48 in color" in text
    assert "note: the pictures have many sizes and are trained on at 48 x 48; --size sets another size" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("48 to 63 40", "64 to 95 22", "cat 40", "dog 22"):
        assert line in lines
    assert "2 of the images are copies of others, pixel by pixel" in lines
    assert "the first: dog/0.png, dog/same 0.bmp, dog/same 1.bmp" in lines
    assert "1 left out:" in lines
    assert any(line.startswith("dog/cut.png: damaged: ") for line in lines)
    assert "1 other files or hidden folders ignored" in lines
    assert "the contact sheet: contact-sheet.png" in lines
    assert lines[-1] == ("Train on them: sparring train quick --data 'my pets' --size 48 --validation 0.2")


def test_json_has_all(tmp_path: Path, capsys: Printed) -> None:
    bad = {f"bad/{i:02d}.png": b"" for i in range(30)}
    assert main(["data", "check", pets(tmp_path, **bad), "--json", "--size", "20", "--channels", "gray"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 62
    assert found["shape"] == [20, 20, 1]
    assert found["classes"] == {"cat": 40, "dog": 22}
    assert sum(size["images"] for size in found["sizes"]) == 62
    assert found["problems"] == [{"file": f"bad/{i:02d}.png", "reason": "it is empty"} for i in range(30)]
    assert found["duplicates"] == [["dog/0.png", "dog/same 0.bmp", "dog/same 1.bmp"]]
    assert shlex.split(found["command"])[4:] == [
        "my pets",
        "--size",
        "20",
        "--channels",
        "gray",
        "--validation",
        "0.2",
    ]
    main(["data", "check", "my pets"])
    text = capsys.readouterr().out
    assert text.count("it is empty") == 20
    assert "and 10 more; --json lists all" in text


def test_the_sheet_shows_a_row_a_class(tmp_path: Path) -> None:
    write_files(tmp_path / "two", {f"{name}/{i}.png": encoded(Image.new("RGB", (16, 16), name))
                                   for name in ("red", "blue") for i in range(3)})  # fmt: skip
    assert main(["data", "check", "two", "--sheet", "deep/sheet.png"]) == 0
    with Image.open("deep/sheet.png") as sheet:
        width, height = sheet.size
        below = sheet.getpixel((check.MARGIN + 16, height * 3 // 4))
        above = sheet.getpixel((check.MARGIN + 16, height // 4))
        beyond = sheet.getpixel((width - 10, height // 4))
        name = np.asarray(sheet.crop((0, 0, check.MARGIN, height // 2)))
    assert (above, below, beyond) == ((0, 0, 255), (255, 0, 0), (0, 0, 0))
    assert name.max() > 200, "the name of the class"


def test_the_sheet_without_classes(tmp_path: Path) -> None:
    write_files(tmp_path / "flat", {f"{i}.png": encoded(gray(16, 16, i)) for i in range(30)})
    assert main(["data", "check", "flat"]) == 0
    with Image.open("contact-sheet.png") as sheet:
        assert sheet.mode == "L"
        assert sheet.size == (2 * (12 * 17 + 1), 2 * (3 * 17 + 1))


def test_named_sets_and_idx_files(digits: Path, capsys: Printed) -> None:
    assert main(["data", "check", str(digits), "--size", "32"]) == 0
    text = capsys.readouterr().out
    assert "200 images, trained on at 32 x 32 in gray" in text
    assert text.splitlines()[-1].endswith(f"--data {digits} --size 32 --validation 0.2")


UNTRAINABLE: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({"README.txt": b"hello"}, "some holds no picture that can be trained on; 1 other files are there"),
    "nothing whole": ({"a.png": b""}, "some holds no picture that can be trained on: a.png, it is empty"),
    "one": ({"a.png": encoded(gray())}, "some holds one picture, but a GAN needs at least two different ones"),
    "the same": (
        {"a.png": encoded(gray()), "b.bmp": encoded(gray(), "BMP")},
        "some holds the same picture 2 times, but a GAN needs at least two different ones",
    ),
}


@pytest.mark.parametrize("name", UNTRAINABLE)
def test_what_cannot_be_trained_on_is_status_2_and_a_sentence(name: str, tmp_path: Path, capsys: Printed) -> None:
    files, words = UNTRAINABLE[name]
    write_files(tmp_path / "some", files)
    assert main(["data", "check", "some"]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"sparring: {words}\n"
    assert "sparring train" not in printed.out


def test_strict_is_status_2_where_a_picture_is_left_out(tmp_path: Path, capsys: Printed) -> None:
    source = pets(tmp_path, **{"bad.png": b""})
    assert main(["data", "check", source, "--strict"]) == 2
    assert capsys.readouterr().err == (
        "sparring: my pets holds a picture that cannot be trained on: bad.png, it is empty\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "sparring data check SOURCE"),
        (["chek", "pets"], "sparring data check SOURCE"),
        (["check"], "see sparring data check --help"),
        (["check", "pets", "--sheet", "sheet.jpg"], "sheet.jpg should end in .png"),
        (["check", "pets", "--size", "0"], "size must lie between 1 and 4,096 pixels, not 0"),
        (["check", "nowhere"], "'nowhere' is not a data set"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], sentence: str, capsys: Printed) -> None:
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_help_is_there(capsys: Printed) -> None:
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    assert "--sheet FILE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "shaping", "expected"),
    [
        (2, Shaping(), ["--size", "28", "--validation", "0.2", "--batch-size", "2"]),
        (5, Shaping(), ["--size", "28", "--validation", "0.2", "--batch-size", "4"]),
        (40, Shaping(64), ["--size", "64", "--validation", "0.2"]),
        (40, Shaping(fit="pad"), ["--size", "48", "--fit", "pad", "--validation", "0.2"]),
    ],
)
def test_the_command_fits_small_sets(count: int, shaping: Shaping, expected: list[str], tmp_path: Path) -> None:
    write_files(tmp_path / "few", {f"{i}.png": encoded(colourful(30 + i, 29 + i, i)) for i in range(count)})
    command = check.command(collect("few", shaping=shaping), shaping, named_recipe())
    assert command is not None
    assert shlex.split(command) == ["sparring", "train", "quick", "--data", "few", *expected]


def test_the_command_trains_on_what_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    write_files(tmp_path / "few", {f"{i}.png": encoded(colourful(20 + i, 18, i)) for i in range(9)})
    assert main(["data", "check", "few", "--json"]) == 0
    program, *words = shlex.split(json.loads(capsys.readouterr().out)["command"])
    monkeypatch.setattr(
        training, "train_sessions", lambda sessions, *_: None
    )  # so all is made ready, and nothing is compiled
    assert program == "sparring"
    assert main([*words, "--out", "run"]) == 0, capsys.readouterr().err
    assert json.loads(Path("run/environment.json").read_text())["data"]["shape"] == [9, 16, 16, 3]
