"""Bad input: every mistake in the words of a command gives one sentence and exit status 2."""

import dataclasses
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz_commands
import pytest
from fuzz_commands import (
    NUMBERS,
    TEXTS,
    Fuzz,
    Option,
    Sandbox,
    harmless,
    make_sandbox,
    option_of,
    options,
    parsers,
    trouble,
)

from sparring import images
from sparring.cli import main as cli
from sparring.errors import RecipeError, UsageError
from sparring.recipes import RECIPES, named_recipe
from sparring.recipes.recipe import Recipe, settings_of
from sparring.runs.run import Run
from sparring.sweeps import space

COMMANDS = [*parsers()]


@pytest.fixture(scope="module")
def box(own_home: None) -> Iterator[Sandbox]:
    """Runs, and unusual files of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        yield make_sandbox(Path(folder).resolve())


@pytest.fixture
def fuzz(box: Sandbox) -> Iterator[Fuzz]:
    """A fuzzer with a fixed seed, whose trainings end before the first step."""
    with harmless(box) as depth:
        yield Fuzz(box, random.Random(1), depth, [0])


# ----------------------------------------------------------------------------------------------------- the fuzz


def test_every_command_is_fuzzed() -> None:
    assert {command.partition(" ")[0] for command in COMMANDS} == set(cli.COMMANDS)
    for command in COMMANDS:
        kind = parsers()[command]
        for recipe in RECIPES if command in ("train", "sweep") else ["mlp-256"]:
            names = {option.name for option in options(command, recipe)}
            own = {field.name for field in dataclasses.fields(kind)} - {"recipe"} - ({"recipes"} & {command})
            assert all({name, "--" + name.replace("_", "-")} & names for name in own)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_with_bad_values(command: str, fuzz: Fuzz) -> None:
    """Of a sweep, one setting of each type: it reads them alike."""
    own = {option_of(field.name) for field in dataclasses.fields(parsers()[command])}

    def alike(option: Option) -> str:
        return str(option.hint) if command == "sweep" and option.name not in own else option.name

    for attempt in fuzz.alone(1 if command in ("train", "sweep") else 2, [command], alike):
        attempt()
    assert fuzz.findings == {}
    every = {option for recipe in RECIPES for option in options(command, recipe)}
    assert {alike(option) for option in every if fuzz.covered[command, option.name]} == set(map(alike, every))


def test_several_options_at_once(fuzz: Fuzz) -> None:
    for _ in range(30):
        fuzz.some()
    assert fuzz.findings == {}


def test_every_setting_takes_or_refuses_every_value() -> None:
    seen = set()
    for recipe in (make() for make in RECIPES.values()):
        for setting in space.settings(recipe):
            kind = (setting, str(space.hint_of(recipe, setting)))
            if kind not in seen:
                seen.add(kind)
                for text in [*NUMBERS[::2], *TEXTS[::16]]:
                    _try(recipe, setting, text)


def _try(recipe: Recipe, setting: str, text: str) -> None:
    try:
        axis = space.parse_axis(recipe, setting, text)
        space.make_space(recipe, {"seed": (0, 1), setting: axis})
        for value in () if isinstance(axis, space.Range) else axis:
            recipe.replace(**{setting: value})
    except RecipeError as error:
        assert str(error)


def test_what_is_no_answer_is_found(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def answering(answer: Any) -> str | None:
        def command(words: list[str]) -> int:
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, str):
                sys.stderr.write(answer)
                return 2
            return int(answer)

        monkeypatch.setattr(cli, "load_command", lambda name: command)
        return trouble(["recipes"])

    assert answering(0) is answering(130) is answering(UsageError("no")) is None
    assert "ZeroDivisionError" in str(answering(ZeroDivisionError("x")))
    assert answering(1) == "status 1"
    assert "no sentence" in str(answering("wrong\n"))
    assert "2 lines" in str(answering("sparring: a\nb\n"))
    assert "characters" in str(answering(f"sparring: {'x' * 700}\n"))
    assert answering("sparring: \n") == "an empty sentence"


@pytest.mark.long
def test_the_fuzz_finds_nothing_in_five_minutes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz_commands.py", "--seconds", "300", "--seed", str(os.getpid())])
    assert fuzz_commands.main() == 0, capsys.readouterr().out


# ------------------------------------------------------------------------------------- what it has found so far


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one sentence of an error."""
    assert cli.main([*words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("sparring: ") and err.endswith("\n") and len(err.splitlines()) == 1 and err[:-1].isprintable()
    assert len(err) <= 600
    return err[len("sparring: ") : -1]


@pytest.mark.parametrize(
    "words",
    [
        ("z" * 100_000,),
        ("train", "z" * 100_000),
        ("train", "--data-order", "z" * 100_000),
        ("train", "--replicas", "z" * 100_000),
        ("train", "--data", "z" * 100_000),
        ("train", "--data", "z " * 50_000),
        ("sweep", "--fit", "9" * 5000),
        ("sample", "y/" * 3000),
    ],
    ids=range(8),
)
def test_a_long_word_is_shortened(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert " ... " in answer(capsys, *words)


TOO_LITTLE = "there is not enough memory for this: "


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        *(
            (PermissionError(13, "Permission denied", name), ": Permission denied")
            for name in ("a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\udcffb")
        ),
        (OSError(28, "No space left on device"), "sparring: No space left on device"),
        (MemoryError(), TOO_LITTLE),
        (MemoryError("Unable to allocate 9 GiB"), TOO_LITTLE),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), TOO_LITTLE),
    ],
)
def test_an_error_of_the_system_is_one_line_without_a_number(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "load_command", lambda name: failing)
    said = f"sparring: {answer(capsys, 'sample')}"
    assert said.startswith("sparring: " + sentence) if sentence is TOO_LITTLE else said.endswith(sentence)


TOGETHER = "--coordinator a:1 --processes 2 --process 0"
NO_HOST = "--host should be the name or the address of a machine, not "


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--data", "a\0b"), "an argument cannot contain the character NUL"),
        *((("watch", ".", "--host", host), NO_HOST) for host in ("\udcff", "a" * 64, "a..b")),
        *(
            (("train", *TOGETHER.replace(usual, odd).split()), sentence)
            for usual, odd, sentence in (
                ("a:1", "a:²", "--coordinator should be HOST:PORT"),
                ("a:1", f"a:{'9' * 5000}", "--coordinator should be HOST:PORT"),
                ("processes 2", f"processes {'9' * 5000}", "--processes should be a whole number"),
                ("process 0", "process ٣", "--process should be a whole number"),
            )
        ),
    ],
    ids=range(8),
)
def test_a_word_that_can_be_none_of_its_kind(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(capsys, *words).startswith(sentence)


@pytest.mark.parametrize("command", ["train", "sweep", "sample", "bench"])
def test_options_of_the_parser_itself_are_unknown(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--tyro-print-completion", "bash"], ["--tyro-write-completion", "bash", str(tmp_path / "x")]):
        assert answer(capsys, command, *words).startswith(f"unrecognized options: {words[0]}")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("option", ["--name", "--source", "--milliseconds-per-step"])
def test_what_says_something_of_a_recipe_is_no_option(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert option in answer(capsys, "train", option, "1", "--steps", "1")
    assert option in answer(capsys, "sweep", option, "1", "--seed", "0,1")


def test_a_name_that_the_output_cannot_hold_is_written_in_ascii(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(box.work)
    assert trouble(["sample", str(box.run), "--out", "\udcff-ä.npz"], encoding="ascii") is None
    assert Path("\udcff-ä.npz").is_file()


@pytest.mark.parametrize("kind", ["html", "safetensors"])
def test_an_export_from_images_whose_name_is_no_text(
    kind: str, copied_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    from sparring import export
    from sparring.runs import generator as sampling

    generator = sampling.load(copied_run.path)
    generator.description["trained"]["data"] = "/x/\udcff.npz"
    sampling.write(generator, copied_run.path.parent / "g.safetensors")
    path, _ = export.export(copied_run.path.parent / "g.safetensors", kind, licence="\udcfe")  # type: ignore[arg-type]
    written = path if path.is_file() else path / "README.md"
    assert "\\udcff.npz" in written.read_text("utf-8")


def test_a_pipe_is_not_waited_for(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    for pipe in ("pipe", "pipe.npz"):
        said = answer(capsys, "measure", str(box.folder / "odd" / pipe))
        assert "is neither a run, nor an .npz or .npy file, nor a folder of pictures" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--count 1000000", "grid.png would have 676,104,004 pixels for 1,000,000 images"),
        ("--count 1000000 --interpolate 10000", "the number of images must lie between 1 and 1,000,000"),
        ("--count 20 --interpolate 5000 --out x.gif", "x.gif would have 921,600,000 pixels for 100,000 images"),
        ("--counts 0=9223372036854775808", "--counts takes numbers up to 1,000,000, not 9223372036854775808"),
        (f"--counts 0={'9' * 5000}", "--counts takes numbers up to 1,000,000, not 999"),
        ("--counts 0=1000000 1=1000000", "the number of images must lie between 1 and 1,000,000, not 2,000,000"),
    ],
    ids=range(6),
)
def test_more_images_than_there_is_room_for(
    words: str, sentence: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = box.conditional if "--counts" in words else box.run
    monkeypatch.chdir(box.work)
    assert answer(capsys, "sample", str(run), *words.split()).startswith(sentence)


def test_images_for_which_there_is_no_memory(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sparring.training.memory.free_here", lambda: 10**6)
    said = answer(capsys, "sample", str(box.run), "--count", "100000", "--out", "x.npz")
    assert said == "100,000 images take 14 MB of memory, and 1 MB are free"


def test_the_largest_pictures_are_written() -> None:
    images.refuse_huge(Path("x.png"), 70_000, (28, 28, 1), 265)
    images.refuse_huge(Path("x.npz"), 10**9, (28, 28, 1), 1)
    with pytest.raises(UsageError, match=r"x\.PNG would have .* pixels .*\.npz file or a folder"):
        images.refuse_huge(Path("x.PNG"), 90_000, (28, 28, 1), 300)


LARGEST = 2**31 - 1


@pytest.mark.parametrize(
    ("recipe", "changes", "sentence"),
    [
        ("mlp-256", {"steps": 2**31}, f"steps must be at most {LARGEST}, not 2147483648"),
        ("mlp-256", {"grid_every": 2**63}, f"grid_every must be at most {LARGEST}, not {2**63}"),
        ("mlp-256", {"judge_every": 2**63}, f"judge_every must lie between 0 and {LARGEST}, not {2**63}"),
        ("mlp-256", {"schedule_steps": 2**31}, f"schedule_steps must lie between 0 and {LARGEST}, not 2147483648"),
        ("mlp-256", {"penalty_values": 10**400}, f"penalty_values must lie between 0 and {LARGEST}, not 1000"),
        ("mlp-256", {"batch_size": 2**31}, "batch_size must be at most 1000000, not 2147483648"),
        ("mlp-256", {"latent_size": 10**9}, "latent_size must be at most 4096, not 1000000000"),
        ("mlp-256", {"grid_rows": 1001}, "grid_rows must be at most 1000, not 1001"),
        ("mlp-256", {"grid_rows": 200, "grid_columns": 200}, "a grid of 200 x 200 images is too large; 10,000 are the"),
        ("mlp-256", {"generator.hidden": (10**9,)}, "generator.hidden must be at most 65536, not 1000000000"),
        (
            "mlp-256",
            {"discriminator.hidden": (1,) * 101},
            "discriminator.hidden must be at most 100 whole numbers, not",
        ),
        ("mlp-256", {"generator.hidden": (65536,) * 2}, "generator.hidden has layers of 65,536 and 65,536 neurons, so"),
        ("dcgan-tanh", {"generator.channels": (9, 4097)}, "generator.channels must be at most 4096, not 4097"),
        ("quick", {"generator.blocks": 10**9}, "generator.blocks must be at most 100, not 1000000000"),
        ("quick", {"discriminator.dense": 10**9}, "discriminator.dense must be at most 65536, not 1000000000"),
        ("dcgan", {"generator.channels": 10**9}, "generator.channels must be at most 4096, not 1000000000"),
        ("dcgan-tanh", {"generator.dense": 10**9}, "generator.dense must be at most 65536, not 1000000000"),
        ("mlp-256", {"generator_optimizer.learning_rate": 1e308}, "learning_rate must be at most 3e+38, not 1e+308"),
        ("mlp-256", {"latent_std": 10**400}, "latent_std must be at most 3e+38, not 1000"),
        ("quick", {"r1": 1e39}, "r1 must be at most 3e+38, not 1e+39"),
    ],
)
def test_what_no_machine_can_hold_is_refused(recipe: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        named_recipe(recipe).replace(**changes)
    assert str(error.value).startswith(sentence)


def test_a_whole_number_that_no_device_takes_is_a_float() -> None:
    for name, value in (("latent_std", 10**19), ("r1", 2**31), ("generator_optimizer.learning_rate", 10**20)):
        changed = named_recipe("mlp-256").replace(**{name: value})
        assert isinstance(settings_of(changed)[name], float) and settings_of(changed)[name] == value
        whole = json.loads(json.dumps(changed.to_json()).replace(repr(float(value)), str(value)))
        assert repr(Recipe.from_json(whole)) == repr(changed)
    assert named_recipe("mlp-256").replace(latent_std=3).to_json()["latent_std"] == 3


def test_a_range_with_too_few_numbers_comes_to_an_end() -> None:
    narrow = {"generator_optimizer.learning_rate": space.Range(1e-3, 1.00001e-3)}
    with pytest.raises(RecipeError, match=r"only \d different trials could be drawn, not 20: numbers are rounded to 4"):
        space.make_points(named_recipe("mlp-256"), space.make_space(named_recipe("mlp-256"), narrow), 20, 0)


def test_a_very_long_list_of_values_is_refused_at_once() -> None:
    recipe = named_recipe("mlp-256")
    with pytest.raises(RecipeError, match="this grid has 200,000 trials, more than 1,000"):
        space.make_points(recipe, space.make_space(recipe, {"seed": range(200_000)}), None, 0)
    with pytest.raises(RecipeError, match="seed has 7 twice among the values to try"):
        space.make_space(recipe, {"seed": [*range(200_000), 7]})
