"""THE TUTORIAL: its commands work as they stand, in their order, on few digits and cut short; and every option that a
guide names is one."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from sparring import data
from sparring.cli.main import COMMANDS, main
from sparring.evaluation.features import shipped_classifier
from sparring.images import save_images
from sparring.reports import measure as measuring

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = [
    "tutorial.md",
    "commands.md",
    "learn.md",
    "watch.md",
    "extend.md",
    "use-elsewhere.md",
    "streaming.md",
    "distributed.md",
]


def commands(name: str) -> list[list[str]]:
    """The commands in the shell blocks of a guide, and those within its sentences."""
    text = (DOCS / name).read_text()
    lines = [line for block in re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += [" ".join(words.split()) for words in re.findall(r"`(sparring [^`]*)`", text)]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("sparring ")]


@pytest.mark.parametrize("name", GUIDES)
def test_every_option_that_a_guide_names_is_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _, command, *said in commands(name):
        if command in ("COMMAND", "--debug"):
            continue
        assert command in COMMANDS
        words = [word for word in said if not word.strip("[]|.").isupper()]  # such as RUN
        recipe = words[:1] if command in ("train", "sweep") and words and not words[0].startswith("-") else []
        with pytest.raises(SystemExit):
            main([command, *(recipe if "soft" not in recipe else []), "--help"])
        known = capsys.readouterr().out.replace("_", "-")
        for option in (word for word in words if word.startswith("--")):
            assert option in known, f"{name}: sparring {command} has no {option}"


@pytest.mark.long
def test_the_commands_of_the_tutorial(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load, judge = data.load, shipped_classifier("mnist")
    monkeypatch.setattr(
        data, "load", lambda source, *rest, **more: load(str(digits) if source == "mnist" else source, *rest, **more)
    )
    monkeypatch.setattr(measuring, "choose_extractor", lambda images, onnx, tell: judge)
    save_images(Path("pictures"), np.random.default_rng(0).integers(0, 256, (140, 40, 36, 3), dtype=np.uint8), 8)
    used = commands("tutorial.md")
    assert len(used) > 15
    for _, *words in used:
        short = {
            "train": ["--steps", "2", "--grid-every", "1"],
            "sweep": ["--steps", "2", "--validation", "0.4"],
        }
        if words[0] != "watch":
            assert main([*words, *short.get(words[0], [])]) == 0
    made = {"digits.png", "learning.gif", "walk.webp", "sevens.png", "own.png", "own.html", "own", "contact-sheet.png"}
    assert made <= {path.name for path in tmp_path.iterdir()}
