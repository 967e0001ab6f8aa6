"""Searching for pictures: it ends where there are hardly any, and honest folders of any shape are gone through."""

import itertools
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from made_pictures import encoded, gray, write_files

from sparring.cli.main import main
from sparring.data import collect
from sparring.data.pictures import search
from sparring.data.pictures.folder import list_folder
from sparring.errors import DataError
from sparring.reports import measure as measuring
from sparring.system import mounts
from sparring.web import run_index
from sparring.web.run_index import RunIndex

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of mounts")
PICTURE = encoded(gray())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after 1,000 files instead of 100,000."""
    monkeypatch.setattr(search, "FREE", 1_000)


def empty(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def given_up(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_folder(folder)
    return str(caught.value)


def test_a_folder_without_pictures_is_left_with_a_sentence(tmp_path: Path) -> None:
    empty(tmp_path / "some", (f"{i}.txt" for i in range(2_000)))
    message = given_up(tmp_path / "some")
    assert str(tmp_path / "some") in message
    assert "none is named like a picture" in message
    assert "Give the folder" in message


def test_a_few_pictures_among_many_files_change_nothing(tmp_path: Path) -> None:
    empty(tmp_path / "some", (f"{i}.txt" for i in range(3_000)))
    write_files(tmp_path / "some", {f"{i}.png": b"" for i in range(20)})
    assert " named like a picture" in given_up(tmp_path / "some")


def test_the_walk_ends_by_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty(tmp_path / "some", (f"{i}.txt" for i in range(300)))
    assert len(list_folder(tmp_path / "some").files) == 300
    monkeypatch.setattr(search, "FREE_SECONDS", 0.0)
    assert "Give the folder" in given_up(tmp_path / "some")


@pytest.mark.parametrize("first", ["labels", "zabels"], ids=["before", "after"])
def test_thousands_of_labels_beside_the_pictures_are_passed_over(first: str, tmp_path: Path) -> None:
    empty(tmp_path / "some" / first, (f"{i}.txt" for i in range(2_500)))
    empty(tmp_path / "some" / "images", (f"{i}.jpg" for i in range(2_500)))
    assert len(list_folder(tmp_path / "some").files) == 5_000


def test_pictures_without_endings_are_pictures(tmp_path: Path) -> None:
    write_files(tmp_path / "some", {f"{i:064x}": PICTURE for i in range(2_000)})
    assert len(list_folder(tmp_path / "some").files) == 2_000


def test_a_small_folder_may_hold_anything(tmp_path: Path) -> None:
    empty(tmp_path / "some", (f"{i}.txt" for i in range(900)))
    write_files(tmp_path / "some", {"a.png": PICTURE, "b.png": encoded(gray(seed=1))})
    assert collect(str(tmp_path / "some")).count == 2


@pytest.mark.parametrize("words", [("data", "check"), ("measure",), ("train", "quick", "--data")], ids="/".join)
def test_the_commands_end_with_a_sentence(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty(tmp_path / "some", (f"{i}.txt" for i in range(2_000)))
    assert main([*words, str(tmp_path / "some")]) == 2
    assert "Give the folder with the pictures" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("measure", "/"), ("compare", "/", "/")], ids="/".join)
def test_the_root_of_a_disk_is_no_folder_of_samples(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(words)) == 2
    assert "/ is the root of a disk" in capsys.readouterr().err


def test_what_is_measured_of_the_current_folder_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    monkeypatch.chdir(tmp_path / "made")
    assert measuring._beside(Path(), "report.html") == Path.cwd().parent / "made.report.html"
    assert measuring._beside(Path("x"), "report.html") == Path("x.report.html")


# ------------------------------------------------------------------------------------------------ no folders of a disk


@on_linux
@pytest.mark.parametrize("folder", ["/proc", "/proc/self", "/sys", "/sys/kernel"])
def test_what_the_system_says_of_itself_is_no_folder_of_pictures(folder: str) -> None:
    with pytest.raises(DataError, match="lies in the system folder"):
        list_folder(Path(folder))


def test_such_a_folder_below_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "disk", {"a.png": PICTURE, "proc/b.png": PICTURE})
    inside = os.path.realpath(tmp_path / "disk" / "proc")
    monkeypatch.setattr(mounts, "pseudo_folders", lambda: frozenset([inside]))
    listing = list_folder(tmp_path / "disk")
    assert [file.name for file in listing.files] == ["a.png"]
    assert [problem.name for problem in listing.skipped] == ["proc"]


@on_linux
def test_names_of_mounts_may_hold_spaces() -> None:
    assert "/proc" in mounts.pseudo_folders()
    assert mounts._unescaped(r"/a\040b\134c") == "/a b\\c"


# ------------------------------------------------------------------------------------------------ runs


def test_the_page_searches_for_some_seconds_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "recipe.json").write_text("{}")
    made = RunIndex(tmp_path)
    assert len(made.runs()) == 2
    assert made.complete
    ticks = itertools.count()
    monkeypatch.setattr("sparring.web.run_index.time.monotonic", lambda: 2.0 * next(ticks))
    made = RunIndex(tmp_path)
    assert len(made.runs()) < 2
    assert not made.complete


def test_looking_takes_a_small_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def slow(folder: Path) -> tuple[list[object], bool]:
        looks.append(now[0])
        now[0] += 2.0
        return [], True

    now = [0.0]
    monkeypatch.setattr(run_index, "_search", slow)
    monkeypatch.setattr("sparring.web.run_index.time.monotonic", lambda: now[0])
    made = RunIndex(tmp_path)
    while now[0] < 100:
        made.runs()
        now[0] += 1.0
    assert 3 <= len(looks) <= 6
