"""THE CHECK of a source with splits: how many images each has, and how many test images are copies."""

import sys
from pathlib import Path

import numpy as np
import pytest
from made_pictures import colourful, encoded, write_files

from sparring.cli.main import main
from sparring.data.pictures import folder
from sparring.data.pictures.listing import Listing
from sparring.data.samples import read_samples
from sparring.errors import DataError
from sparring.recipes import named_recipe
from sparring.recipes.recipe import Recipe, differences

PICTURES = [encoded(colourful(16, 16, seed=i)) for i in range(14)]


def checked(source: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["data", "check", str(source), "--sheet", str(source.parent / "sheet.png"), *options]) == 0
    return capsys.readouterr().out


def test_each_split_is_counted_and_copies_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {f"training/{'ab'[i % 2]}/{i}.png": PICTURES[i] for i in range(8)}
    files |= {f"testing/{'ab'[i % 2]}/{i}.png": PICTURES[i] for i in range(6, 11)}
    files |= {f"val/{i}.png": PICTURES[i] for i in range(11, 14)}
    text = checked(write_files(tmp_path / "set", files), capsys)
    assert "8 images, trained on" in text
    for line in (
        "split training: 8 images, trained on",
        "split testing: 5 images, not",
        "split val: 3 images, not used",
    ):
        assert line in text
    assert "2 of the test images are copies" in text


@pytest.mark.parametrize(("test_folder", "looks"), [("testing", 2), ("val", 1)])
def test_a_folder_is_listed_again_only_for_test_images(
    test_folder: str, looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"training/{i}.png" for i in range(8)] + [f"{test_folder}/{i}.png" for i in range(8, 14)]
    source = write_files(tmp_path / "set", dict(zip(names, PICTURES, strict=True)))
    listed: list[Path] = []
    list_folder = folder.list_folder

    def spy(path: Path, links: bool) -> Listing:
        listed.append(path)
        return list_folder(path, links)

    monkeypatch.setattr(folder, "list_folder", spy)
    checked(source, capsys)
    assert listed == [source] * looks


def test_arrays_with_splits_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8)
    labels = np.arange(30) % 3
    path = tmp_path / "keras.npz"
    np.savez(path, x_train=images[:20], y_train=labels[:20], x_test=images[20:], y_test=labels[20:])
    text = checked(path, capsys)
    assert "split x_train: 20 images" in text and "split x_test: 10 images" in text
    assert "no test image is a copy" in text


def test_what_is_typed_next_has_the_same_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 17, (30, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "some.npz", images=images)
    text = checked(tmp_path / "some.npz", capsys, "--range", "0,16")
    assert "--range 0,16" in text.splitlines()[-1]
    assert main(["data", "check", str(tmp_path / "some.npz")]) == 2
    assert "--range" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_subset_of_links_names_the_option_and_is_read_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path / "all", {f"{i}.png": picture for i, picture in enumerate(PICTURES)})
    for i in range(len(PICTURES)):
        link = tmp_path / "subset" / "ab"[i % 2] / f"{i}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../all/{i}.png")
    assert main(["data", "check", str(tmp_path / "subset")]) == 2
    assert "--follow-links" in capsys.readouterr().err
    text = checked(tmp_path / "subset", capsys, "--follow-links")
    assert "14 images" in text and "--follow-links" in text.splitlines()[-1]
    with pytest.raises(DataError, match="--follow-links"):
        read_samples(tmp_path / "subset")
    assert len(read_samples(tmp_path / "subset", follow_links=True)[0]) == 14


def test_links_decide_nothing_of_what_is_learnt_and_the_range_does() -> None:
    recipe = named_recipe()
    assert not differences(recipe, recipe.replace(follow_links=True))
    assert [name for name, _, _ in differences(recipe, recipe.replace(range="0,1"))] == ["range"]
    old = {name: value for name, value in recipe.to_json().items() if name not in ("range", "follow_links")}
    assert Recipe.from_json(old) == recipe
