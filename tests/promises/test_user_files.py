"""A USER'S FILES: only files of Sparring are overwritten, and no symlink redirects what is written."""

import ast
import contextlib
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparring
from sparring import data
from sparring.cli.main import main
from sparring.data.samples import read_samples
from sparring.errors import OverwriteError
from sparring.files import atomic, checksummed, marks, sample_folder
from sparring.images import save_images, save_picture
from sparring.reports.plots import write_plots
from sparring.runs.run import Run
from sparring.training.reporter import Silence

PACKAGE = Path(sparring.__file__).parent
MINE = b"years of work"
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim.txt"
    path.write_bytes(MINE)
    return path


# ------------------------------------------------------------------------------------------------ links


LINKS: list[Callable[[Path, Path], None]] = [
    lambda link, target: link.symlink_to(target),
    lambda link, target: link.hardlink_to(target),
]


@pytest.mark.parametrize("make_link", LINKS)
@pytest.mark.parametrize("write", [atomic.write_bytes, atomic.append])
def test_a_link_is_replaced_and_never_followed(
    write: Callable[[Path, bytes], None], make_link: Callable[[Path, Path], None], victim: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.txt"
    make_link(path, victim)
    write(path, b"new")
    assert victim.read_bytes() == MINE
    assert path.read_bytes().endswith(b"new") and not path.is_symlink() and path.stat().st_nlink == 1


def test_a_link_at_the_temporary_name_is_not_written_through(
    victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    for name in (f".partial-{os.getpid()}-a.png", f".partial-{os.getpid()}"):
        (tmp_path / name).symlink_to(victim)
    save_picture(path, IMAGES[0])
    assert victim.read_bytes() == MINE

    planted = tmp_path / ".partial-guessed"
    planted.symlink_to(victim)
    monkeypatch.setattr(atomic, "partial_beside", lambda path: planted)
    with pytest.raises(OSError, match="could not be written"):
        save_picture(tmp_path / "b.png", IMAGES[0])
    assert victim.read_bytes() == MINE


def test_nobody_waits_for_the_reader_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "events.jsonl")
    with pytest.raises(OSError, match=r"events\.jsonl could not be written"):
        atomic.append(tmp_path / "events.jsonl", b"new")


def plant(run: Run, victim: Path, make_link: Callable[[Path, Path], None]) -> None:
    """Put a link at every name that is written into a run, but for those that are read first."""
    names = ["losses.png", "accuracy.png", "training.gif", "report.html", "closest.png"]
    (run.path / "export").mkdir()
    (run.path / "export" / "README.md").symlink_to(victim)
    for name in (*names, "export/generator.onnx", "export/generator.html", "grids/00000040.png", "grids/real.png"):
        (run.path / name).unlink(missing_ok=True)
        make_link(run.path / name, victim) if "export" not in name else (run.path / name).symlink_to(victim)


@pytest.mark.parametrize("make_link", [LINKS[0], pytest.param(LINKS[1], marks=pytest.mark.long)])
def test_no_command_writes_through_a_link_of_a_run(
    make_link: Callable[[Path, Path], None], victim: Path, copied_run: Run, tmp_path: Path, with_plots: None
) -> None:
    plant(copied_run, victim, make_link)
    sparring.resume(copied_run.path, steps=40, reporter=Silence())
    write_plots(copied_run)
    run = str(copied_run.path)
    for words in (
        ["export", run, "--format", "safetensors"],
        ["export", run, "--format", "html"],
        ["animate", run, "--out", str(copied_run.path / "training.gif")],
    ):
        assert main(words) in (0, 2)
    assert victim.read_bytes() == MINE
    for name in ("losses.png", "training.gif", "export/README.md", "export/generator.html"):
        assert not (copied_run.path / name).is_symlink()
        assert (copied_run.path / name).stat().st_nlink == 1


@pytest.mark.parametrize("name", ["tensorboard/fake", "tensorboard/real", "checkpoints/00000030", "best/00000030"])
def test_no_folder_of_a_run_is_a_link(name: str, copied_run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = copied_run.path / name
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(elsewhere)
    code = main(["train", "--resume", str(copied_run.path)])
    assert list(elsewhere.iterdir()) == []
    assert code in (0, 2)


# ------------------------------------------------------------------------------------------------ a user's files


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["sample", "RUN", "--out", "a.png"], "a.png"),
        (["sample", "RUN", "--out", "a.npz"], "a.npz"),
        (["sample", "RUN", "--interpolate", "2", "--out", "a.gif"], "a.gif"),
        (["sample", "RUN", "--out", "made"], "made/b.png"),
        (["animate", "RUN"], "training.gif"),
        (["animate", "RUN", "--out", "a.webp"], "a.webp"),
        (["export", "RUN", "--format", "safetensors", "--out", "."], "README.md"),
        (["export", "RUN", "--format", "safetensors", "--out", "."], "generator.json"),
        (["export", "RUN", "--format", "safetensors", "--out", "."], "generator.safetensors"),
        (["export", "RUN", "--format", "html", "--out", "index.html"], "index.html"),
        (["export", "RUN", "--format", "onnx", "--out", "a.onnx"], "a.onnx"),
        (["data", "check", "DATA"], "contact-sheet.png"),
        (["measure", "made.npz", "--data", "DATA"], "made.npz.report.html"),
        (["measure", "made.npz", "--data", "DATA"], "made.npz.measures.json"),
    ],
)
def test_a_file_of_the_user_is_replaced_only_by_force(
    words: list[str],
    name: str,
    tiny_run: Run,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save_images("made.npz", np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8), 8)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MINE)
    named = {"RUN": str(tiny_run.path), "DATA": str(digits)}
    words = [named.get(word, word) for word in words]
    before = {found.name for found in tmp_path.iterdir()}
    assert main(words) == 2
    said = capsys.readouterr().err
    assert name.rpartition("/")[2] in said and "--force" in said and said.count("\n") == 1
    assert path.read_bytes() == MINE and {found.name for found in tmp_path.iterdir()} == before
    if not {"onnx", "measure"} & set(words):  # which take their time
        assert main([*words, "--force"]) == 0, capsys.readouterr().err
        assert main(words) == (2 if name == "made/b.png" else 0)  # then it is ours


def test_a_text_that_was_changed_is_the_users(
    tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(tiny_run.path), "--format", "safetensors", "--out", str(tmp_path / "card")]
    assert main(words) == 0 and main(words) == 0
    card = tmp_path / "card" / "README.md"
    card.write_text(card.read_text().replace("licence", "licence (mine)"))
    assert main(words) == 2
    assert "README.md" in capsys.readouterr().err


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    may_replace = marks.claim(path)
    path.write_bytes(MINE)
    with pytest.raises(OverwriteError, match=r"a\.bin"):
        atomic.write_bytes(path, b"new", may_replace)
    assert path.read_bytes() == MINE and list(tmp_path.iterdir()) == [path]


def test_no_export_takes_the_place_of_a_runs_generator(copied_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = copied_run.generator_weights.read_bytes()
    assert main(["export", str(copied_run.path), "--format", "safetensors", "--out", str(copied_run.path)]) == 2
    assert copied_run.generator_weights.read_bytes() == before
    assert "is a run" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ a folder of samples


def test_a_second_set_replaces_the_first_as_a_whole(tmp_path: Path) -> None:
    save_images(tmp_path / "made", IMAGES, 8, ["cat"] * 20 + ["dog"] * 10)
    save_images(tmp_path / "made", IMAGES[:5], 8)
    np.testing.assert_array_equal(read_samples(tmp_path / "made")[0], IMAGES[:5])
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [f"{i}.png" for i in range(5)]


@pytest.mark.parametrize("change", ["a new file", "a changed file", "a link", "one of another set"])
def test_a_set_with_something_of_the_user_is_left_alone(change: str, tmp_path: Path, victim: Path) -> None:
    made = tmp_path / "made"
    save_images(made, IMAGES, 8)
    if change == "a new file":
        (made / "notes.txt").write_bytes(MINE)
    elif change == "a changed file":
        (made / "03.png").write_bytes(MINE)
    elif change == "a link":
        (made / "pictures").symlink_to(tmp_path)
    else:
        save_images(tmp_path / "other", IMAGES[::-1], 8)
        (tmp_path / "other" / "03.png").rename(made / "notes.png")
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    with pytest.raises(OverwriteError, match=r"notes\.|03\.png|pictures"):
        save_images(made, IMAGES[:5], 8)
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("stop", range(1, 60, 3))
def test_a_set_that_is_half_replaced_is_not_read(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    save_images(made, IMAGES[:9], 8)
    left = stop

    def counted(operation: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            return operation(*given, **named)

        return run

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", counted(Path.replace))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        with contextlib.suppress(KeyboardInterrupt):
            save_images(made, IMAGES[10:15], 8)
    try:
        found = read_samples(made)[0]
    except sparring.SparringError as error:
        assert "made" in str(error)
    else:
        assert len(found) in (9, 5)
        np.testing.assert_array_equal(found, IMAGES[:9] if len(found) == 9 else IMAGES[10:15])
    save_images(made, IMAGES[20:23], 8)
    np.testing.assert_array_equal(read_samples(made)[0], IMAGES[20:23])


def test_a_mark_of_somebody_else_reaches_no_file_outside(tmp_path: Path, victim: Path) -> None:
    made, precious = tmp_path / "made", tmp_path / "precious"
    save_images(precious, IMAGES[:3], 8)
    before = (precious / "1.png").read_bytes()
    made.mkdir()
    (made / "cats").symlink_to(precious)
    checksummed.write(made / sample_folder.UNFINISHED, {"sets": [sample_folder.set_of(before), "../victim.txt"]})
    with pytest.raises(OverwriteError, match="cats"):
        save_images(made, IMAGES[:3], 8)
    save_images(made, IMAGES[:3], 8, ["dogs"] * 3, force=True)
    with pytest.raises(OverwriteError, match="link"):
        save_images(made, IMAGES[:3], 8, ["cats"] * 3, force=True)
    assert victim.read_bytes() == MINE and (precious / "1.png").read_bytes() == before


# ------------------------------------------------------------------------------------------------ one way to write

WRITING = {"write_bytes", "write_text", "savez", "savez_compressed", "save", "savefig", "symlink_to", "touch"}
OURS = {"atomic", "checkpoint", "monitor", "sampling", "session", "self"}
"""Who has functions of such names that write by `atomic`."""
ALLOWED = {
    ("files/atomic.py", "open"): "the one way to write",
    ("images.py", "save"): "into a file that `atomic` opened",
    ("images.py", "savez_compressed"): "the same",
    ("reports/plots.py", "savefig"): "the same",
    ("reports/html.py", "save"): "into memory",
    ("web/playground.py", "save"): "into memory",
    ("data/named/download.py", "open"): "a part file in the user's own cache, which is locked",
    ("data/named/download.py", "write_bytes"): "the same",
    ("data/pictures/store.py", "open"): "a file in a new temporary folder",
    ("system/compilation_cache.py", "touch"): "a file in a new temporary folder",
    ("sweeps/sharing.py", "open"): "a new file only",
    ("sweeps/sharing.py", "touch"): "a file that this process holds",
}
"""What else writes, by its module, and why that is safe."""


def writes(path: Path) -> set[tuple[str, str]]:
    """What a module calls that may write a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        owner = getattr(getattr(node.func, "value", None), "id", "")
        owner = owner or getattr(getattr(node.func, "value", None), "attr", "")
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if owner in OURS:
            continue
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        writing = any(word and set(word) <= set("rwaxbt+") and set(word) & set("wax+") for word in words)
        if called in WRITING or (writing and (called == "open" or getattr(node.func, "id", "") == "open")):
            found.add((path.relative_to(PACKAGE).as_posix(), called or "open"))
    return found


def test_nothing_is_written_but_by_the_one_way() -> None:
    found = set().union(*(writes(path) for path in PACKAGE.rglob("*.py")))
    assert found <= set(ALLOWED), found - set(ALLOWED)


def test_pictures_say_what_made_them(tmp_path: Path) -> None:
    save_images(tmp_path / "grid.png", IMAGES, 8)
    save_images(tmp_path / "walk.gif", IMAGES, 8)
    save_images(tmp_path / "made", IMAGES, 8)
    save_images(tmp_path / "all.npz", IMAGES, 8)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.info["Software"] == marks.SHEET
    assert all(marks.is_ours(tmp_path / name) for name in ("grid.png", "walk.gif", "made/00.png", "all.npz"))
    assert marks.is_sheet((tmp_path / "walk.gif").read_bytes())
    assert not marks.is_sheet((tmp_path / "made" / "00.png").read_bytes())
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as mine:
        mine.write(tmp_path / "grid.png")
    assert not marks.is_ours(tmp_path / "mine.npz")


# ------------------------------------------------------------------------------------------------ among the pictures


def test_what_sparring_made_from_many_images_is_not_trained_on(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_images(tmp_path, IMAGES, 8, ["cat"] * 20 + ["dog"] * 10)
    assert main(["data", "check", "."]) == 0
    run = str(tiny_run.path)
    for words in (
        ["sample", run],
        ["sample", run, "--interpolate", "2", "--out", "cat/walk.gif"],
        ["animate", run],
        ["animate", run, "--out", "training.webp"],
        ["animate", run, "--out", "training.png"],
    ):
        assert main(words) == 0
    shutil.copy(tiny_run.real_grid, tmp_path / "dog" / "real.png")
    images = data.load(".")
    assert images.images.shape == (30, 8, 8, 1) and images.class_names == ("cat", "dog")
    capsys.readouterr()
    assert main(["data", "check", ".", "--strict"]) == 0
    assert "7 pictures are left out, because Sparring made them from many images" in capsys.readouterr().out
    (tmp_path / "dog" / "real.png").unlink()
    assert read_samples(tmp_path)[0].shape == (30, 8, 8, 1)
