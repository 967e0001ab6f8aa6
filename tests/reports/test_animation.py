"""Animations: each format opens, shows the right frames, and respects the size limit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.cli.main import main
from sparring.errors import RunError
from sparring.reports import animation
from sparring.runs import generator as sampling
from sparring.runs.run import Run


def frames_of(path: Path) -> list[Image.Image]:
    frames = []
    with Image.open(path) as opened:
        for i in range(getattr(opened, "n_frames", 1)):
            opened.seek(i)
            opened.load()
            frames.append(opened.copy())
    return frames


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_a_training_in_every_format(ending: str, tiny_run: Run, tmp_path: Path) -> None:
    path = tmp_path / f"training{ending}"
    assert animation.save_training(tiny_run, path) == 4
    frames = [np.asarray(frame.convert("L")) for frame in frames_of(path)]
    assert len(frames) == 4
    for frame, (_, grid) in zip(frames, tiny_run.all_grids(), strict=True):
        with Image.open(grid) as opened:
            off = np.abs(frame[: opened.height].astype(int) - np.asarray(opened))
        assert off.mean() < 6 if ending == ".webp" else not off.any()


def test_a_large_one_is_reduced_and_a_small_one_stays(tiny_run: Run, tmp_path: Path) -> None:
    with Image.open(tiny_run.grid(30)) as opened:
        width, height = opened.size
    animation.save_training(tiny_run, tmp_path / "small.gif", largest=width // 2)
    animation.save_training(tiny_run, tmp_path / "whole.gif", largest=4 * width)
    assert frames_of(tmp_path / "small.gif")[0].size == (width // 2, height // 2 + animation.CAPTION)
    assert frames_of(tmp_path / "whole.gif")[0].size == (width, height + animation.CAPTION)


def test_a_small_gif_has_few_grays(tiny_run: Run, tmp_path: Path) -> None:
    generator = sampling.load(tiny_run.path)
    for largest, most in ((None, 256), (5000, animation.COLOURS)):
        animation.save_walk(generator, tmp_path / "walk.gif", largest=largest)
        frames = [np.asarray(frame.convert("L")) for frame in frames_of(tmp_path / "walk.gif")]
        grays = set(np.stack(frames).reshape(-1).tolist())
        assert most // 2 < len(grays) <= most


def test_it_takes_as_long_as_it_should(tiny_run: Run, tmp_path: Path) -> None:
    animation.save_training(tiny_run, tmp_path / "a.gif", seconds=2.0)
    assert [frame.info["duration"] for frame in frames_of(tmp_path / "a.gif")] == [500] * 4


def test_the_images_of_a_walk_are_the_generators_and_it_has_no_seam(tiny_run: Run, tmp_path: Path) -> None:
    generator = sampling.load(tiny_run.path)
    count = animation.save_walk(generator, tmp_path / "walk.png", seed=3)
    frames = [np.asarray(frame.convert("L")).astype(int) for frame in frames_of(tmp_path / "walk.png")]
    assert len(frames) == count == animation.STOPS * animation.IMAGES
    stops = generator.draw_latents(animation.WALK_ROWS * animation.WALK_COLUMNS * animation.STOPS, 3)
    first, second = generator.images(stops[[0, animation.STOPS]])
    assert np.abs(frames[0][2:58:2, 2:58:2] - first[..., 0]).max() <= 1
    assert np.abs(frames[0][2:58:2, 60:116:2] - second[..., 0]).max() <= 1
    moves = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert 0 < moves[-1] <= 1.5 * max(moves[:-1])


@pytest.mark.parametrize("of", ["training", "walk"])
def test_the_command(
    of: str, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["animate", str(tiny_run.path), "--of", of, "--largest", "100"]) == 0
    assert f"pictures in {of}.gif" in capsys.readouterr().out
    assert max(frames_of(tmp_path / f"{of}.gif")[0].size) <= 100 + animation.CAPTION


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("{run} --out a.mp4", "a.mp4 has an unknown ending; use .gif, .webp or .png"),
        ("{run} --largest 3", "--largest must lie between 32 and 4,096, not 3"),
        ("{run} --seconds nan", "--seconds must lie between 0.1 and 600, not nan"),
        ("{run} --seed 1", "--best and --seed need a walk: add --of walk"),
        ("{run}/missing", "missing is no run of Sparring"),
        ("{run}/missing --of walk", "missing is no run of Sparring"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    words: str, sentence: str, tiny_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["animate", *words.format(run=tiny_run.path).split()]) == 2
    assert sentence in capsys.readouterr().err


def test_without_grids_there_is_nothing_to_show(new_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no grids of samples yet"):
        animation.save_training(new_run, tmp_path / "a.gif")
