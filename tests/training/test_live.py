"""THE LIVE VIEW: rate, time left, metrics and preview, and whole trainings on terminals and pipes."""

import io
import os
import re
import select
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import Clock
from rich.console import Console
from rich.text import Text

from sparring.images import Images
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.terminal.progress import duration
from sparring.training import live
from sparring.training.live import Pace, Plain, View, judged_words, metrics_words, preview, reporter

VALUES = {"d_loss": 0.6931, "g_loss": 1.25, "accuracy_real": 0.75, "accuracy_fake": 1.0, "d_real": 0.5, "d_fake": 0.049}
WORDS = "loss D 0.693 G 1.250; D right on real 75% fake 100%; D(x) 0.50 D(G(z)) 0.05"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def console(width: int = 100, height: int = 40, colours: str = "truecolor") -> Console:
    """A terminal whose screen is a string."""
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=colours,  # type: ignore[arg-type]
        highlight=False,
        _environ={},
    )


def screen_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def noise(count: int, height: int, width: int, channels: int) -> Images:
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# ------------------------------------------------------------------------------------------------------ the pace


def test_rate_and_time_left(clock: Clock) -> None:
    pace = Pace(100, 1000)
    assert pace.rate is None
    assert pace.words() == "compiling"
    pace.at(100)
    assert pace.rate is None
    assert pace.words() == "measuring"
    clock.now += 10
    pace.at(200)
    assert pace.rate == pytest.approx(10)
    assert pace.words() == "10 steps/s, 80 s left"


def test_the_rate_is_that_of_the_recent_past(clock: Clock) -> None:
    pace = Pace(0, 100_000)
    for _ in range(20):  # 1 step a second
        clock.now += 1
        pace.at(pace.step + 1)
    assert pace.rate == pytest.approx(1)
    for _ in range(20):  # then 2000
        clock.now += 1
        pace.at(pace.step + 2000)
    assert pace.rate == pytest.approx(2000)
    assert pace.words() == "2,000 steps/s, 30 s left"


def test_rare_news_still_give_a_rate(clock: Clock) -> None:
    pace = Pace(0, 100)
    for _ in range(4):
        clock.now += 60
        pace.at(pace.step + 3)
    assert pace.rate == pytest.approx(0.05)
    assert pace.words() == "0.1 steps/s, 29 min left"


def test_no_rate_where_the_clock_or_the_step_stands_still(clock: Clock) -> None:
    pace = Pace(0, 100)
    pace.at(0)
    pace.at(50)
    assert pace.rate is None
    other = Pace(0, 100)
    other.at(50)
    clock.now += 1
    other.at(50)
    assert other.words() == "measuring"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (51.6, "52 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3600, "60 min"),
        (5999, "100 min"),
        (6000, "1.7 h"),
        (18740, "5.2 h"),
    ],
)
def test_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_metrics_in_words() -> None:
    assert metrics_words(VALUES) == WORDS


def test_a_judgement_in_words() -> None:
    judged = {"measure": "frechet", "score": 5.0, "floor": 2.0, "best": False}
    classes = {"variation": 0.2, "variation_band": 0.05, "confident": 0.5}
    modes = {"modes": 1000, "modes_real": 632, "confident": 0.5}
    assert judged_words(judged) == "judge: 2.5 times as far from unseen images as real ones"
    assert judged_words(judged | classes).endswith("as real ones, classes off by 20% (chance 5%), 50% clear")
    assert judged_words(judged | modes).endswith("as real ones, modes: 1,000 (real ones 632), 50% clear")


# --------------------------------------------------------------------------------------------------- the preview


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("height", "width", "columns", "rows", "across", "lines"),
    [
        # images of 28 x 28 become 14 x 14, which take 14 + 1 characters in 7 + 1 lines
        (28, 28, 100, 40, 6, 2),
        (28, 28, 89, 40, 6, 2),
        (28, 28, 88, 40, 5, 2),
        (28, 28, 30, 40, 2, 2),
        (28, 28, 16, 40, 1, 2),
        (28, 28, 100, 15, 6, 1),
        (28, 28, 100, 6, 6, 1),
        (28, 28, 400, 40, 16, 1),
        # tiny ones stay, large and oblong ones fit
        (2, 3, 100, 40, 16, 1),
        (1, 1, 9, 40, 5, 2),
        (64, 64, 50, 40, 3, 2),
        (28, 56, 100, 40, 6, 2),
        (56, 28, 100, 40, 12, 1),
    ],
)
def test_preview_shows_as_many_images_as_fit(
    height: int, width: int, columns: int, rows: int, across: int, lines: int, channels: int
) -> None:
    shown = preview(noise(16, height, width, channels), columns, rows).plain.splitlines()
    block = max(1, round(max(height, width) / 14))
    small_height, small_width = height // block, width // block
    image_lines = [line for line in shown if line]
    assert len(image_lines) == lines * -(-small_height // 2)
    assert all(line == ("▀" * small_width + " ") * across for line in image_lines)
    assert len(shown) == len(image_lines) + lines, "an empty line below each row"


def colours_of(text: Text) -> list[str]:
    return [str(span.style) for span in text.spans]


def test_preview_has_two_pixels_in_a_character() -> None:
    gray = np.array([[10, 20], [30, 40]], np.uint8).reshape(1, 2, 2, 1)
    assert colours_of(preview(gray, 80, 20)) == ["rgb(10,10,10) on rgb(30,30,30)", "rgb(20,20,20) on rgb(40,40,40)"]
    colour = np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint8).reshape(1, 2, 1, 3)
    assert colours_of(preview(colour, 80, 20)) == ["rgb(1,2,3) on rgb(4,5,6)"]


def test_preview_shows_images_from_the_first_to_the_last() -> None:
    """For those of a conditional generator stand a class a row."""
    gray = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    shown = colours_of(preview(gray, 10, 3))
    assert shown == [f"rgb({i},{i},{i}) on rgb({i},{i},{i})" for i in range(0, 100, 11)]


def test_preview_doubles_the_last_line_of_an_odd_height() -> None:
    odd = np.array([10, 20, 30], np.uint8).reshape(1, 3, 1, 1)
    assert colours_of(preview(odd, 80, 20)) == ["rgb(10,10,10) on rgb(20,20,20)", "rgb(30,30,30) on rgb(30,30,30)"]


def test_preview_takes_means_of_blocks() -> None:
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[0, 0, 0], image[0, 1, 1] = 100, 200
    assert colours_of(preview(image, 80, 20))[0] == "rgb(75,75,75) on rgb(0,0,0)"


# --------------------------------------------------------------------------------------------- plain and live view


def test_a_terminal_gets_the_view_and_all_else_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(reporter(console()), View)
    assert type(reporter(Console(file=io.StringIO(), _environ={}))) is Plain
    assert type(reporter(Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}))) is Plain
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert type(reporter()) is Plain


def test_plain_lines_come_now_and_then_and_at_the_end(clock: Clock, tiny_recipe: Recipe, tmp_path: Path) -> None:
    told = Plain(Console(file=io.StringIO(), width=40, highlight=False, _environ={}))
    told.begin(Run(tmp_path / "[run]"), tiny_recipe.replace(steps=2000, milliseconds_per_step=90.0), 500, 10)
    for step in range(600, 2001, 100):
        clock.now += 2
        told.progress(step, VALUES)
    told.grid(2000, noise(6, 28, 28, 1))
    told.end()
    lines = screen_of(told.console).splitlines()
    assert lines[:2] == [
        "mlp-256: 2,000 steps, 10 an epoch; about 2 min on two CPU cores",
        f"writing to {tmp_path}/[run]",
    ]
    assert lines[2] == f"step 600 of 2,000, measuring; {WORDS}"
    assert lines[3] == f"step 900 of 2,000, 50 steps/s, 22 s left; {WORDS}"
    assert [line.split(" of ")[0] for line in lines[2:]] == [
        f"step {step}" for step in ("600", "900", "1,200", "1,500", "1,800", "2,000")
    ]


def test_the_first_line_says_how_many_replicas_and_that_they_take_longer(tiny_recipe: Recipe, tmp_path: Path) -> None:
    told = Plain(Console(file=io.StringIO(), width=40, highlight=False, _environ={}))
    told.begin(Run(tmp_path), tiny_recipe.replace(steps=2000, milliseconds_per_step=90.0), 500, 10, replicas=8)
    first = "8 replicas of mlp-256: 2,000 steps, 10 an epoch; about 18 min on two CPU cores"
    assert screen_of(told.console).splitlines()[0] == first


def drawn(screen: Console, recipe: Recipe, run: Run, samples: Images) -> str:
    """All that a view writes, without colours."""
    view = reporter(screen)
    assert isinstance(view, View)
    view.begin(run, recipe, 0, 10)
    view.progress(20, VALUES)
    view.grid(20, samples)
    view.progress(30, VALUES)
    view.end()
    return ESCAPES.sub("", screen_of(screen))


def test_the_view_shows_progress_numbers_and_samples(tiny_recipe: Recipe, tmp_path: Path) -> None:
    text = drawn(console(), tiny_recipe, Run(tmp_path), noise(6, 28, 28, 1))
    assert "30/30" in text
    assert WORDS in text
    assert "steps/s" in text
    assert "samples after step 20" in text
    assert ("▀" * 14 + " ") * 6 in text


@pytest.mark.parametrize("width", [1, 8, 15, 16, 30])
@pytest.mark.parametrize("height", [1, 13, 14, 40])
def test_the_view_fits_into_small_terminals(width: int, height: int, tiny_recipe: Recipe, tmp_path: Path) -> None:
    screen = console(width, height)
    text = drawn(screen, tiny_recipe, Run(tmp_path), noise(6, 28, 28, 1))
    told = text.index(str(tmp_path)) + len(str(tmp_path))  # what was said before the view: the terminal breaks it
    assert all(len(line) <= width for line in re.split(r"[\r\n]+", text[told:]))
    assert ("▀" in text) == (width >= 16 and height >= 14)


def test_the_view_shows_no_picture_where_there_are_no_colours(tiny_recipe: Recipe, tmp_path: Path) -> None:
    text = drawn(console(colours="standard"), tiny_recipe, Run(tmp_path), noise(6, 28, 28, 1))
    assert WORDS in text
    assert "▀" not in text and "samples" not in text


def test_the_view_needs_no_unicode(tiny_recipe: Recipe, tmp_path: Path) -> None:
    content = io.BytesIO()
    ascii_only = io.TextIOWrapper(content, encoding="ascii", write_through=True)
    screen = Console(file=ascii_only, force_terminal=True, width=100, height=40, color_system="truecolor", _environ={})
    view = reporter(screen)
    view.begin(Run(tmp_path), tiny_recipe, 0, 10)
    view.grid(20, noise(6, 28, 28, 1))
    view.progress(30, VALUES)
    view.end()
    assert WORDS.encode() in content.getvalue()


# ---------------------------------------------------------------------------------- whole trainings, in subprocesses


def train_words(digits: Path, out: Path) -> list[str]:
    options = "--steps 30 --grid-every 10 --log-every 5 --batch-size 20 --grid-rows 2 --grid-columns 3"
    sizes = "--generator.hidden 8 --discriminator.hidden 8"
    words = ["train", "mlp-256", *options.split(), *sizes.split(), "--data", str(digits), "--out", str(out)]
    return [sys.executable, "-m", "sparring.cli.main", *words]


def in_terminal(command: list[str], columns: int, rows: int, variables: dict[str, str]) -> tuple[int, str]:
    """Exit status of the command, and what it writes into a terminal of that size."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"} | variables
    written = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            while select.select([ours], [], [], 120)[0]:
                piece = os.read(ours, 1 << 16)
                if not piece:
                    break
                written += piece
        except OSError:  # Linux's way to say that the other side is closed
            pass
        finally:
            os.close(ours)
        return process.wait(timeout=60), written.decode()


@pytest.mark.ci
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals in the standard library")
def test_trainings_on_terminals_and_pipes(digits: Path, tmp_path: Path) -> None:
    """One test for all, so that the slow starts are few."""
    colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}

    piped = subprocess.run(
        train_words(digits, tmp_path / "piped"), capture_output=True, text=True, timeout=300, env=os.environ | colours
    )
    assert (piped.returncode, piped.stderr) == (0, "")
    lines = piped.stdout.splitlines()
    assert "\x1b" not in piped.stdout and "\r" not in piped.stdout
    assert lines[0].startswith("mlp-256: 30 steps, 9 an epoch;")
    assert lines[1] == f"writing to {tmp_path / 'piped'}"
    assert any(re.match(r"step 30 of 30, .*steps/s.*; loss D \d\.\d{3} G \d\.\d{3}; ", line) for line in lines)

    status, text = in_terminal(train_words(digits, tmp_path / "wide"), 100, 40, colours)
    assert status == 0
    assert "\x1b[38;2;" in text, "true colours"
    text = ESCAPES.sub("", text)
    assert re.search(r"[\d,]+ steps/s, 0 s left", text)
    assert re.search(r"loss D \d\.\d{3} G \d\.\d{3}; D right on real \d+% fake \d+%; D\(x\) 0\.\d\d", text)
    assert "30/30" in text and "samples after step 30" in text
    assert ("▀" * 14 + " ") * 6 in text

    status, text = in_terminal(train_words(digits, tmp_path / "narrow"), 30, 40, colours)
    assert status == 0
    text = ESCAPES.sub("", text)
    assert "steps/s" in text and "30/30" in text
    assert {len(line.rstrip()) for line in text.splitlines() if "▀" in line} == {29}

    status, text = in_terminal(train_words(digits, tmp_path / "dumb"), 100, 40, {"TERM": "dumb"})
    assert status == 0
    assert "\x1b" not in text and "▀" not in text
    assert "step 30 of 30, " in text


def test_a_transient_view_is_gone_after_each_of_several_trainings(tiny_recipe: Recipe, tmp_path: Path) -> None:
    screen = console()
    view = reporter(screen, transient=True)
    assert isinstance(view, View)
    for _ in range(2):
        before = len(screen_of(screen))
        view.begin(Run(tmp_path), tiny_recipe, 0, 10)
        assert not view._values and view._samples is None, "nothing is left of the one before"
        view.grid(10, noise(6, 28, 28, 1))
        view.progress(30, VALUES)
        view.end()
        drawn = screen_of(screen)[before:]
        assert drawn.endswith("\x1b[2K"), "the last lines are wiped"
        assert "\x1b[1A" not in drawn[: drawn.index("/30")], "and what stands above is not"
