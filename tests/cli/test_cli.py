"""The command line: help, errors, exit status, and the effect of every option."""

import functools
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from started import wait_until

from sparring import __main__
from sparring.cli import main as cli
from sparring.cli import sweep
from sparring.cli.main import main
from sparring.errors import DataError, SparringError, UsageError
from sparring.recipes import DEFAULT, RECIPES
from sparring.recipes.recipe import settings_of
from sparring.runs.run import Run
from sparring.sweeps import space

SUPPRESSED = {"name", "source", "milliseconds_per_step"}


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


# ---------------------------------------------------------------------------------------- words without a training


def test_no_words_show_the_help_and_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: sparring" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_lists_every_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for command in cli.COMMANDS:
        assert re.search(rf"^  {command} +\w", out, re.MULTILINE), command


def test_the_program_is_this_function() -> None:
    (program,) = entry_points(group="console_scripts", name="sparring")
    assert program.load() is __main__.main


def test_the_version_is_the_packages_and_words_come_from_the_command_line_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sparring", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"sparring {version('sparring')}\n"


REFUSED = [
    # an unknown word, with the nearest known one
    ("trian", "there is no command 'trian'; did you mean 'train'?"),
    (
        "xyz",
        "there is no command 'xyz'; the commands are train, sweep, sample, export, animate, watch, measure, compare, "
        "data, recipes, bench",
    ),
    ("train mlp-265", "there is no recipe 'mlp-265'; did you mean 'mlp-256'?"),
    ("train '' --data {tmp}/none", "there is no recipe ''"),
    (
        "train zzz",
        "known are quick, good, best, dcgan, lsgan, wgan-gp, sngan, mlp-128, mlp-sgd, mlp-adam, dcgan-tanh, mlp-256",
    ),
    ("train --stepz 5", "unrecognized options: --stepz; did you mean --steps?"),
    ("train --stepz=5", "unrecognized options: --stepz; did you mean --steps?"),
    ("train --no-miror", "--no-miror; did you mean --no-mirror?"),
    ("train --recipe quick", "unrecognized options: --recipe; "),
    ("train mlp-256 --generator.hiden 3", "--generator.hiden.*did you mean --generator.hidden?"),
    ("recipes --jsn", "--jsn.*did you mean --json?"),
    ("train mlp-256 stray", "stray.*see sparring train --help"),
    ("recipes stray", "stray.*see sparring recipes --help"),
    # of the wrong type, impossible, or missing
    ("train --steps 1.5", "--steps.*'1.5'"),
    ("train --generator-optimizer.beta1 much", "--generator-optimizer.beta1.*'much'"),
    ("train mlp-256 --generator.hidden 8 wide", "--generator.hidden.*'wide'"),
    ("train --data-order sorted", "--data-order.*replacement.*slice.*sequential.*shuffle.*'sorted'"),
    ("train --steps", "missing value.*--steps"),
    ("train --resume", "missing value.*--resume"),
    ("sample", "missing RUN; see sparring sample --help"),
    ("export {run}", "missing --format; see sparring export --help"),
    ("train --size tiny", "--size.*whole number.*'tiny'"),
    ("train --devices some", "--devices.*whole number.* or all.*'some'"),
    ("train --tyro_print_completion bash", "unrecognized options: --tyro_print_completion"),
    ("sample {run} --out", "missing value.*--out"),
    ("train dcgan-tanh --generator.channels 4", "missing value.*--generator.channels"),
    ("train dcgan-tanh --generator.channels 4 5 6", "unrecognized.*6"),
    ("train --steps 0", "steps must be a whole number of 1 or more, not 0"),
    ("train mlp-adam --batch-size 33", "batch_size must be even.*33"),
    ("train --log-every 1001", "log_every must be at most 1000, not 1001"),
    ("train mlp-256 --generator.hidden 8 0", "generator.hidden must be a whole number of 1 or more, not 0"),
    ("train mlp-256 --generator.hidden", "generator.hidden must be one or more whole numbers"),
    ("train --generator-optimizer.beta1 1", "beta1 must be 0 or more and below 1, not 1"),
    ("train --latent-std 0", "latent_std must be a number above 0, not 0"),
    ("train mlp-sgd --generator-optimizer.nesterov", "nesterov needs a momentum above 0"),
    ("train --seed -1", "seed must lie between 0 and 4294967295, not -1"),
    ("train --checkpoint-seconds -1", "--checkpoint-seconds cannot be -1; it should be 0 or more"),
    ("train --checkpoint-seconds nan --data {tmp}/none", "--checkpoint-seconds cannot be nan"),
    ("train --generator.kind mlp", "--generator.kind"),
    # a sweep of what cannot be tried, or of nothing
    ("sweep mlp-256", "there is nothing to try: give a setting several values"),
    ("sweep mlp-265 --seed 0,1", "there is no recipe 'mlp-265'; did you mean 'mlp-256'?"),
    ("sweep --batch-sise 3,4", "--batch-sise.*did you mean --batch-size?"),
    ("sweep --generator.kind mlp,mlp", "--generator.kind"),
    ("sweep --seed", "missing value.*--seed"),
    ("sweep --seed 0,1 stray", "stray.*see sparring sweep --help"),
    ("sweep --seed 0,1 --seed 2", "--seed is given twice.*commas"),
    ("sweep mlp-256 --generator.hidden 8,16 32", "--generator.hidden.*one word, such as 128,256-128"),
    ("sweep --batch-size 32,x", "batch_size cannot be 'x'; it should be a whole number"),
    ("sweep --generator-optimizer.learning-rate 1e-5:1e-3", "learning_rate has a range.*--trials 20"),
    ("sweep --seed 0,1 --trials 0", "the number of trials must lie between 1 and 1,000, not 0"),
    ("sweep --seed 0,1 --data minst", "'minst' is not a data set.*did you mean 'mnist'?"),
    (
        "sweep mlp-256 --seed 0,1 --data {digits}",
        "needs 50 of them or more; validation 0.04 of 200 images is 8",
    ),
    (
        "sweep mlp-256 --seed 0,1 --data {digits} --validation 0.3 --out {run}",
        "{run} is neither empty nor a sweep",
    ),
    ("sweep --resume {tmp}", "{tmp} is not a sweep of Sparring: it has no sweep.json"),
    ("sweep --resume {tmp} --seed 0,1", "--resume.*leave out --seed"),
    ("sweep mlp-256 --resume {tmp}", "--resume.*leave out mlp-256"),
    ("sweep --resume {tmp} --out {tmp}/other", "--resume.*leave out --out"),
    ("sweep --seed 0,1 --checkpoint-seconds nan", "--checkpoint-seconds cannot be nan"),
    # data and runs that are not there, or not what they should be
    ("train --data {tmp}/none", "{tmp}/none' is not a data set"),
    ("train --data minst", "'minst' is not a data set.*did you mean 'mnist'?"),
    ("train mlp-256 --data {digits} --batch-size 201", "holds 192 images .*, but a step takes 201"),
    ("train --data {digits} --out {file}", "{file} is a file; a run needs a folder"),
    ("train --data {digits} --out {digits}", "{digits} is neither empty nor a run of Sparring"),
    ("train --resume {tmp}", "{tmp} is no run of Sparring: it has no recipe.json"),
    ("train --resume={tmp}", "{tmp} is no run of Sparring: it has no recipe.json"),
    ("train --resume {run} --out {tmp}/other", "--resume already names the folder.*--out"),
    ("train mlp-128 --resume {run}", "{run} is a run of mlp-256, not of mlp-128"),
    ("train --resume {run} --batch-size 21", "{run} cannot .*other settings: batch_size was 20 and is now 21"),
    (
        "train --resume {run} --steps 50 --seed 1 --generator.hidden 8 9",
        r"generator.hidden was \[8\] and is now \[8, 9\]; seed was 0 and is now 1;",
    ),
    ("sample {tmp}", "{tmp} is no run of Sparring: it has no recipe.json"),
    ("sample {file}", "notes.json"),
    ("sample {run} --out grid.jpg", "grid.jpg has an unknown ending.*.png, .npz, .gif, or none"),
    ("sample {run} --out walk.gif", "a .gif shows a walk: add --interpolate"),
    ("sample {run} --out walk.GIF", "a .gif shows a walk: add --interpolate"),
    ("sample {run} --count 0", "--count must lie between 1 and 1,000,000, not 0"),
    ("sample {run} --count 1000001", "--count must lie between 1 and 1,000,000, not 1,000,001"),
    ("sample {run} --count 1 --interpolate 4", "--count must lie between 2 and 1,000,000, not 1"),
    ("sample {run} --interpolate 1", "--interpolate must lie between 2 and 10,000, not 1"),
    ("sample {run} --seed -1", "--seed must lie between 0 and 4,294,967,295, not -1"),
    ("sample {run} --seed 4294967296", "--seed must lie between 0 and 4,294,967,295, not 4,294,967,296"),
    ("sample {run} --out {file}/grid.png", "{file}"),
]
"""(words, pattern of the message, in which "." and "?" are literal)"""


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=[words for words, _ in REFUSED])
def test_a_mistake_is_one_sentence(
    words: str,
    sentence: str,
    tiny_run: Run,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("not a run")
    places = {"run": tiny_run.path, "digits": digits, "tmp": tmp_path, "file": tmp_path / "notes"}
    before = {path: path.stat().st_mtime_ns for path in tiny_run.path.rglob("*")}

    assert main(shlex.split(words.format(**places))) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("sparring: ") and err.endswith("\n") and err.count("\n") == 1
    pattern = re.sub(r"\.(?!\*)", r"\.", sentence).replace("?", r"\?")
    assert re.search(pattern.format(**{name: re.escape(str(place)) for name, place in places.items()}), err), err
    assert "Traceback" not in err
    assert not re.search("[─│|+-]{3}", err), "no remains of a box"
    assert list(tmp_path.iterdir()) == [tmp_path / "notes"], "a refused command leaves nothing behind"
    assert {path: path.stat().st_mtime_ns for path in tiny_run.path.rglob("*")} == before


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_mistake_is_one_sentence_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message does not depend on the encoding of the output."""
    for words, sentence in (
        (["train", "--batch-sise", "3"], r"sparring: .*--batch-sise.*; did you mean --batch-size\?\n"),
        (["train", "--steps"], r"sparring: missing value.*; see sparring train --help\n"),
    ):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert main(words) == 2
        said = err.buffer.getvalue().decode(encoding)
        assert re.fullmatch(sentence, said), said
        assert not re.search("[─│|+-]{3}", said), said


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a data set"):
        main(["--debug", "train", "--data", str(tmp_path / "none")])
    with pytest.raises(SparringError, match="is no run of Sparring"):
        main(["sample", str(tmp_path), "--debug"])


def test_an_error_of_the_system_and_ctrl_c_are_a_sentence_and_a_bug_shows_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(words: list[str]) -> int:
        raise errors[0]

    errors: list[BaseException] = [OSError(28, "No space left on device", "/tmp/grid.png")]
    monkeypatch.setattr(cli, "load_command", lambda name: command)
    assert main(["sample"]) == 2
    assert capsys.readouterr().err == "sparring: /tmp/grid.png: No space left on device\n"
    errors = [KeyboardInterrupt()]
    assert main(["sample"]) == 130
    assert capsys.readouterr().err.strip() == "sparring: interrupted"
    errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        main(["sample"])


def test_a_closed_pipe_ends_a_command_quietly() -> None:
    """`sparring --help | head` exits with 141, as shells report SIGPIPE, and prints no error."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "sparring.cli.main", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


# -------------------------------------------------------------------------------------------- help and start-up


ONE_OF_EACH = {tuple(settings_of(make())): name for name, make in RECIPES.items()}.values()
"""A recipe for each set of settings that recipes have."""


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_every_setting_of_a_recipe_is_an_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = help_of(capsys, "train", name)
    settings = settings_of(RECIPES[name]())
    assert len(settings) > 20
    for setting in settings:
        option = re.escape("--" + setting.replace("_", "-"))
        hidden = setting in SUPPRESSED or setting.endswith(".kind")
        assert bool(re.search(rf"{option}[ ,]", shown)) is not hidden, setting


def test_help_of_train_shows_its_own_options_and_the_default_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys, "train")
    for option in ("--out", "--resume", "--tensorboard", "--checkpoint-seconds"):
        assert option in shown
    assert f"(default: {RECIPES[DEFAULT]().steps})" in shown


def test_a_sentence_of_the_help_is_broken_only_where_the_line_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = help_of(capsys, "train").splitlines()
    assert any("`crop` takes the middle" in line and "`stretch` distorts it" in line for line in lines)
    assert any("root mean square" in line and "section 6" in line for line in lines), "of a part of the recipe"


def test_help_does_not_wait_for_jax() -> None:
    program = (
        "import sys\n"
        "from sparring.cli.main import main\n"
        "for words in sys.argv[1:]:\n"
        "    try:\n"
        "        status = main(words.split())\n"
        "    except SystemExit as end:\n"
        "        status = end.code or 0\n"
        "    slow = {'jax', 'flax', 'optax', 'matplotlib', 'PIL', 'rich'} & set(sys.modules)\n"
        "    if slow or status:\n"
        "        sys.exit(f'{words}: {status}, imported {slow}')\n"
    )
    words = ["--help", "--version", "train --help", "sweep --help", "sample --help", "recipes --help"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("usage: sparring") == 5


def test_help_answers_at_once() -> None:
    """Compare with the import of JAX, which takes 0.8 s on an idle machine, because machines differ."""

    def seconds(*words: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True, timeout=60)
        return time.perf_counter() - began

    program = ["-m", "sparring.cli.main"]
    for _ in range(10):  # until no busy moment hits one of them
        jax = seconds("-c", "import jax")
        overall, of_train = seconds(*program, "--help"), seconds(*program, "train", "--help")
        if overall < min(jax / 2, 0.5) and of_train < jax:
            return
    pytest.fail(f"{overall:.2f} s, of train {of_train:.2f} s, and the import of JAX {jax:.2f} s")


# -------------------------------------------------------------------------------------------------------- train


def test_train_with_every_option_and_then_resume(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run")
    options = (
        "--steps 12 --grid-every 6 --log-every 4 --grid-rows 2 --grid-columns 3 --batch-size 20 --seed 7 "
        "--data-order sequential --latent-size 5 --latent-std 0.5 --generator-noise reuse "
        "--discriminator-updates=joint --discriminator-fakes training --discriminator-batch half "
        "--generator.hidden 16 8 --generator.negative-slope 0.1 --generator.initialization torch-uniform "
        "--generator.batch-norm-momentum 0.7 --discriminator.hidden 8 --generator-optimizer.no-epsilon-hat "
        "--generator-optimizer.learning-rate 2e-3 --discriminator_optimizer.learning_rate 0.01"
    )
    words = ["train", "mlp-128", *options.split(), "--data", str(digits), "--out", str(run.path)]
    assert main([*words, "--tensorboard", "--checkpoint-seconds", "0"]) == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert f"sparring sample {run.path}" in out
    recipe = settings_of(run.recipe())
    chosen = {
        "steps": 12,
        "grid_every": 6,
        "log_every": 4,
        "grid_rows": 2,
        "grid_columns": 3,
        "batch_size": 20,
        "seed": 7,
        "data": str(digits),
        "data_order": "sequential",
        "latent_size": 5,
        "latent_std": 0.5,
        "generator_noise": "reuse",
        "discriminator_updates": "joint",
        "discriminator_fakes": "training",
        "discriminator_batch": "half",
        "generator.hidden": [16, 8],
        "generator.negative_slope": 0.1,
        "generator.initialization": "torch-uniform",
        "generator.batch_norm_momentum": 0.7,
        "discriminator.hidden": [8],
        "generator_optimizer.epsilon_hat": False,
        "generator_optimizer.learning_rate": 2e-3,
        "discriminator_optimizer.learning_rate": 0.01,
    }
    unchanged = settings_of(RECIPES["mlp-128"]())
    assert recipe == unchanged | chosen
    assert all(unchanged[name] != value for name, value in chosen.items()), "every option was put to use"
    assert [step for step, _ in run.all_grids()] == [0, 6, 12]
    assert any(run.tensorboard.glob("events.out.tfevents.*"))
    saved = [event["step"] for event in run.events() if event["event"] == "checkpoint"]
    assert saved[0] < 12, "--checkpoint-seconds 0 saves after every chunk"
    assert run.ended() == "finished"

    assert main(["train", "mlp-128", f"--resume={run.path}", "--steps", "16"]) == 0
    out = capsys.readouterr().out
    assert "after step 12" in out
    assert run.reached() == 16 and run.ended() == "finished"
    assert settings_of(run.recipe()) == recipe | {"steps": 16}

    before = run.events_file.read_bytes()
    assert main([*words, "--steps", "16"]) == 0, "the same folder again, which has nothing left to do"
    assert "is finished: it has done 16 of 16 steps" in capsys.readouterr().out
    assert run.events_file.read_bytes() == before


def test_ctrl_c_saves_everything_and_says_how_to_go_on(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path / "run")
    sizes = "--generator.hidden 8 --discriminator.hidden 8 --batch-size 20 --grid-rows 2 --grid-columns 2"
    steps = "--steps 100000000 --log-every 10"
    words = ["train", "mlp-256", *sizes.split(), *steps.split(), "--data", str(digits), "--out", str(run.path)]
    with subprocess.Popen(
        [sys.executable, "-m", "sparring.cli.main", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(run, "log", process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err == ""
    stopped = run.reached()
    assert f"stopped after step {stopped:,}" in out
    assert run.ended() == "stopped"
    assert (run.checkpoints / f"{stopped:08d}" / "manifest.json").is_file()
    assert json.loads(run.generator_description.read_bytes())["trained"]["step"] == stopped
    assert run.generator_weights.is_file() and run.animation.is_file()

    again = out.strip().partition("Go on with: ")[2].split()
    assert again == ["sparring", "train", "--resume", str(run.path)]
    assert main([*again[1:], "--steps", str(stopped + 10)]) == 0
    assert f"after step {stopped:,}" in capsys.readouterr().out
    assert run.ended() == "finished" and run.reached() == stopped + 10


@pytest.mark.parametrize(("end", "status"), [("stopped", 130), ("finished", 0)])
def test_a_proposed_command_can_be_pasted_into_a_shell(
    end: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparring.training import train as training

    run = Run(tmp_path / "it's a run")
    run.path.mkdir()
    run.add_event(end, 10)
    monkeypatch.setattr(training, "train", lambda *args, **options: run)
    assert main(["train"]) == status
    command = re.search(r"sparring (train|sample) .*", capsys.readouterr().out)
    assert command is not None
    assert shlex.split(command[0])[-1] == str(run.path)


# -------------------------------------------------------------------------------------------------------- sweep


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ("--seed 0,1", {"seed": "0,1"}),
        ("--batch_size=3", {"batch_size": "3"}),
        ("--generator.hidden 8 16 --seed -1", {"generator.hidden": "8-16", "seed": "-1"}),
        ("--generator-optimizer.epsilon-hat --seed 1", {"generator_optimizer.epsilon_hat": "true", "seed": "1"}),
        ("--generator-optimizer.no-epsilon-hat", {"generator_optimizer.epsilon_hat": "false"}),
        ("--generator-optimizer.epsilon-hat true,false", {"generator_optimizer.epsilon_hat": "true,false"}),
    ],
)
def test_values_to_try_are_parsed_by_setting(words: str, texts: dict[str, str]) -> None:
    assert sweep.parse_values(words.split(), RECIPES["mlp-256"]()) == texts


def test_a_setting_that_a_recipe_leaves_open_is_a_flag_too() -> None:
    quick = RECIPES["quick"]()
    assert quick.conditional is None
    for words, text in (("--conditional", "true"), ("--no-conditional", "false"), ("--conditional true,none", None)):
        assert sweep.parse_values(words.split(), quick) == {"conditional": text or "true,none"}
    assert space.parse_axis(quick, "conditional", "true,none") == (True, None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--seed", "missing value for --seed"),
        ("--generator.hidden --seed 1", "missing value for --generator.hidden"),
        ("--name a --seed 1", "unrecognized options: --name"),
        ("--seed 0,1 stray", "stray"),
        ("--mirror true,false stray", "stray"),
        ("--mirror --no-mirror", "--mirror is given twice"),
        ("--trails 3", "did you mean --trials?"),
    ],
)
def test_values_that_are_not_understood_are_refused(words: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        sweep.parse_values(words.split(), RECIPES["mlp-256"]())


# ------------------------------------------------------------------------------------------------------- sample


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load and compile a generator only once."""
    from sparring.runs import generator as sampling

    monkeypatch.setattr(sampling, "load", LOADED.setdefault("load", functools.cache(sampling.load)))


LOADED: dict[str, Any] = {}


def sampled(run: Path, out: Path, *options: str) -> NDArray[np.uint8]:
    """Return the images of an `.npz` that `sparring sample` wrote."""
    assert main(["sample", str(run), "--out", str(out), *options]) == 0
    with np.load(out) as file:
        assert file.files == ["images"]
        images: NDArray[np.uint8] = file["images"]
    return images


def test_sample_writes_a_grid_of_64_by_default(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(tiny_run.path)]) == 0
    assert capsys.readouterr().out == "64 images in grid.png\n"
    with Image.open("grid.png") as grid:
        assert (grid.format, grid.mode, grid.size) == ("PNG", "L", (2 * (8 * 29 + 1), 2 * (8 * 29 + 1)))


@pytest.mark.usefixtures("loaded_once")
def test_sample_as_an_array_also_of_the_generator_file_alone_and_as_a_folder(tiny_run: Run, tmp_path: Path) -> None:
    images = sampled(tiny_run.path, tmp_path / "new" / "folder" / "images.npz", "--count", "11")
    assert images.shape == (11, 28, 28, 1)
    assert images.dtype == np.uint8
    assert images.std() > 0
    alone = sampled(tiny_run.generator_weights, tmp_path / "alone.npz", "--count", "11")
    np.testing.assert_array_equal(alone, images)
    folder = tmp_path / "images"
    assert main(["sample", str(tiny_run.path), "--count", "11", "--out", str(folder)]) == 0
    assert sorted(path.name for path in folder.glob("*.png")) == [f"{i:02d}.png" for i in range(11)]
    for i in range(11):
        with Image.open(folder / f"{i:02d}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), images[i, :, :, 0])


@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize("name", ["grid.png", "images.npz"])
def test_the_same_seed_gives_the_same_bytes_and_another_others(name: str, tiny_run: Run, tmp_path: Path) -> None:
    def content(seed: int, folder: str) -> bytes:
        out = tmp_path / folder / name
        assert main(["sample", str(tiny_run.path), "--count", "4", "--seed", str(seed), "--out", str(out)]) == 0
        return out.read_bytes()

    assert content(5, "first") == content(5, "second")
    assert content(5, "first") != content(6, "third")


@pytest.mark.usefixtures("loaded_once")
def test_walks_as_grid_array_folder_and_animation(tiny_run: Run, tmp_path: Path) -> None:
    def walk(name: str, *options: str) -> Path:
        words = ["sample", str(tiny_run.path), "--interpolate", "5", "--seed", "3", "--out", str(tmp_path / name)]
        assert main([*words, *options]) == 0
        return tmp_path / name

    with np.load(walk("walk.npz", "--count", "3")) as file:
        images = file["images"]
    assert images.shape == (2 * 5, 28, 28, 1)
    with Image.open(walk("walk.png", "--count", "3")) as grid:
        assert grid.size == (2 * (5 * 29 + 1), 2 * (2 * 29 + 1)), "a row from each latent to the next"
        np.testing.assert_array_equal(np.asarray(grid)[2:58:2, 2:58:2], images[0, :, :, 0])
    assert len(list(walk("walk", "--count", "3").glob("*.png"))) == 10
    with Image.open(walk("walk.gif")) as animation:
        assert getattr(animation, "n_frames", 1) == 2 * 5, "there and back again"
        assert animation.size == (8 * 28, 8 * 28)
    with np.load(walk("short.npz")) as file:
        assert file["images"].shape == (5, 28, 28, 1), "two latents, and the way between them"
