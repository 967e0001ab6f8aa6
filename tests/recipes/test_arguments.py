"""ARGUMENTS: values of other kinds work in Python where their meaning is plain; else one error names them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring import export
from sparring.cli.main import main
from sparring.errors import UsageError
from sparring.evaluation.features import shipped_classifier
from sparring.recipes import arguments, named_recipe
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs.generator import Generator
from sparring.runs.run import Run
from sparring.sweeps import study as sweeping
from sparring.sweeps.space import Range, make_space
from sparring.training import replicas

# ------------------------------------------------------------------------------------------------ settings

TAKEN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"steps": np.int64(3)}, {"steps": 3}),
    ({"steps": np.uint8(3)}, {"steps": 3}),
    ({"steps": np.array(3)}, {"steps": 3}),
    ({"steps": 1e4}, {"steps": 10_000}),
    ({"steps": np.float64(1e4)}, {"steps": 10_000}),
    ({"data": Path("some") / "where"}, {"data": str(Path("some/where"))}),
    ({"generator_optimizer.learning_rate": np.float32(2e-4)}, {"generator_optimizer.learning_rate": 2e-4}),
    ({"generator_optimizer.learning_rate": np.float16(0.5)}, {"generator_optimizer.learning_rate": 0.5}),
    ({"validation": np.float64(0.25)}, {"validation": 0.25}),
    ({"mirror": np.bool_(True)}, {"mirror": True}),
    ({"size": np.int32(16)}, {"size": 16}),
    ({"generator.hidden": [8, np.int64(16)]}, {"generator.hidden": (8, 16)}),
    ({"generator.hidden": np.array([8, 16])}, {"generator.hidden": (8, 16)}),
    ({"seed": np.uint32(2**32 - 1)}, {"seed": 2**32 - 1}),
]


@pytest.mark.parametrize(("given", "meant"), TAKEN, ids=lambda one: repr(one)[:60])
def test_settings_take_values_whose_meaning_is_plain(given: dict[str, Any], meant: dict[str, Any]) -> None:
    recipe = named_recipe("mlp-256")
    made, expected = recipe.replace(**given), recipe.replace(**meant)
    assert made == expected and made.to_json() == expected.to_json()
    assert Recipe.from_json(made.to_json()) == expected
    assert all(type(a) is type(b) for a, b in zip(_values(made), _values(expected), strict=True))


def _values(recipe: Recipe) -> list[Any]:
    return [value for part in (recipe, recipe.generator, recipe.generator_optimizer) for value in vars(part).values()]


REFUSED: list[tuple[str, Any, str]] = [
    ("steps", 2.5, "steps"),
    ("steps", np.float32(2.5), "steps"),
    ("steps", True, "steps"),
    ("steps", np.bool_(True), "steps"),
    ("steps", "10", "'10'"),
    ("steps", None, "None"),
    ("steps", float("nan"), "nan"),
    ("steps", float("inf"), "inf"),
    ("steps", np.arange(3), r"shape \(3,\)"),
    ("seed", -1, "-1"),
    ("seed", 2**32, "seed"),
    ("data", 3, "data"),
    ("data", None, "data"),
    ("data", np.zeros((10, 28, 28)), r"shape \(10, 28, 28\)"),
    ("mirror", 1, "mirror"),
    ("validation", "0.1", "validation"),
    ("validation", True, "validation"),
    ("generator.hidden", 8, "hidden"),
    ("generator.hidden", [8, 1.5], "hidden"),
    ("generator.hidden", "8", "hidden"),
    ("generator.hidden", [], "hidden"),
    ("generator", "mlp", "generator"),
    ("loss", 3, "loss"),
    ("loss", ["hinge"], "loss"),
    ("no_such_setting", 1, "no_such_setting"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED, ids=lambda one: repr(one)[:40])
def test_other_settings_are_one_error_that_names_them(name: str, value: Any, message: str) -> None:
    with pytest.raises(sparring.SparringError, match=message) as error:
        named_recipe("mlp-256").replace(**{name: value})
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


# ------------------------------------------------------------------------------------------------ functions


@pytest.fixture(scope="module")
def generator(tiny_run: Run) -> Generator:
    return sparring.load(tiny_run)


@pytest.mark.parametrize("given", [3, 3.0, np.int64(3), np.float32(3), np.array(3)], ids=repr)
def test_a_number_of_samples_may_be_of_any_kind(given: Any, generator: Generator) -> None:
    assert np.array_equal(generator.sample(given, seed=given), generator.sample(3, 3))


WRONG_NUMBERS = [2.5, -1, 0, True, "3", None, float("nan"), float("inf"), np.arange(2), 2**40, b"3", [3]]


@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=repr)
def test_other_numbers_of_samples_are_one_error_that_names_them(value: Any, generator: Generator) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: generator.sample(value),
        lambda: generator.draw_latents(value),
        lambda: generator.usual_labels(value),
        lambda: generator.interpolate(value, 4),
        lambda: generator.interpolate(4, value),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"^(count|stops|images) should be ") as error:
            call()
        assert str(error.value).count("\n") == 0


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0", None], ids=repr)
def test_a_seed_is_a_whole_number_from_0_to_2_to_the_32(seed: Any, generator: Generator) -> None:
    calls: list[Callable[[], Any]] = [lambda: generator.sample(1, seed), lambda: generator.interpolate(2, 2, seed)]
    for call in calls:
        with pytest.raises(UsageError, match="seed should be "):
            call()


def test_latents_and_labels_of_other_kinds(generator: Generator) -> None:
    latents = generator.draw_latents(2)
    assert np.array_equal(generator.images(latents.tolist()), generator.images(latents))
    not_finite = [np.where(latents == latents[0, 0], value, latents) for value in (np.nan, np.inf)]
    for wrong in (3, "latents", None, latents[0], latents.astype(str), [[1, 2], [3]], latents > 0, *not_finite):
        with pytest.raises(UsageError, match="latents should"):
            generator.images(wrong)
    with pytest.raises(UsageError, match="labels"):
        generator.images(latents, np.zeros(2, np.int32))


WRONG_PATHS = [None, 3, 1.5, True, b"runs", "", "a\0b", ["runs"], {"path": "runs"}, np.zeros(3)]


def test_a_file_in_place_of_the_folder_of_runs_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    calls: list[Callable[[], Any]] = [
        lambda: sparring.train("mlp-256", runs=file),
        lambda: replicas.train_replicas(2, "mlp-256", runs=file),
        lambda: sparring.sweep("mlp-256", {"seed": [0, 1]}, sweeps=file),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"(runs|sweeps) should be a folder, and .*file is not one"):
            call()


@pytest.mark.parametrize("value", WRONG_PATHS, ids=repr)
def test_what_is_no_path_is_one_error_that_names_it(
    value: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given: Any = False if value is None else value
    calls: list[Callable[[], Any]] = [
        lambda: sparring.load(value),
        lambda: sparring.resume(value),
        lambda: Run(value),
        lambda: sparring.train("mlp-256", out=given),
        lambda: sparring.train("mlp-256", runs=value),
        lambda: sparring.sweep("mlp-256", {"seed": [0, 1]}, out=given),
        lambda: sparring.measure("samples.npz", extractor=given),
        lambda: replicas.train_replicas(2, "mlp-256", out=given),
        lambda: replicas.train_replicas(2, "mlp-256", runs=value),
        lambda: sweeping.resume(value),
        lambda: export.export(value, "html"),
        lambda: export.export("run", "html", out=given),
    ]
    if not isinstance(value, np.ndarray):
        calls.append(lambda: sparring.measure(value))
    for call in calls:
        with pytest.raises(UsageError, match="should be a path or a run, not"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "named"), [({"format": "pdf"}, "format"), ({"licence": None}, "licence"), ({"best": "yes"}, "best")]
)
def test_an_export_is_of_a_known_format(wrong: dict[str, Any], named: str, tiny_run: Run, tmp_path: Path) -> None:
    given: dict[str, Any] = {"format": "safetensors", "out": tmp_path / "made"} | wrong
    with pytest.raises(UsageError, match=f"{named} should be "):
        export.export(tiny_run.path, **given)
    assert not list(tmp_path.iterdir())


def test_a_run_is_as_good_as_its_path(tiny_run: Run, generator: Generator) -> None:
    expected = generator.sample(2)
    for path in (tiny_run, tiny_run.path, str(tiny_run.path), Run(str(tiny_run.path))):  # type: ignore[arg-type]
        assert np.array_equal(sparring.load(path).sample(2), expected)


OPTIONS: Mapping[str, list[Any]] = {
    "recipe": [None, 3, Path("mlp-256"), ["mlp-256"], {}],
    "tensorboard": [1, "yes", None],
    "strict": [1, "no", None],
    "stop_when_flat": [0, None],
    "checkpoint_seconds": [-1, float("nan"), float("inf"), "15", None, True],
    "retries": [-1, 1.5, "3", None, True],
    "window": [-1, 1.5, "64", True],
    "devices": [1.5, "two", True, [1]],
    "run": [Run(Path("runs"))],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_the_wrong_kind_is_one_error_before_anything_begins(
    name: str, digits: Path, tmp_path: Path
) -> None:
    for value in OPTIONS[name]:
        options: dict[str, Any] = {"recipe": "mlp-256", "data": digits, "out": tmp_path / "run"} | {name: value}
        with pytest.raises(UsageError, match=name):
            sparring.train(**options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [None, 3, ["quick"], named_recipe])
def test_a_recipe_is_called_by_its_name(name: Any) -> None:
    with pytest.raises(sparring.SparringError):
        sparring.named_recipe(name)


SPACES: list[Any] = [
    3,
    "seed",
    [("seed", [0, 1])],
    {3: [0, 1]},
    {"seed": 3},
    {"seed": "01"},
    {"seed": None},
    {"seed": []},
]


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_what_is_no_space_is_one_error(space: Any) -> None:
    with pytest.raises(sparring.SparringError):
        make_space(named_recipe("mlp-256"), space)


def test_a_space_may_be_of_arrays_and_numpys_numbers() -> None:
    recipe = named_recipe("mlp-256")
    rates = "generator_optimizer.learning_rate"
    whole: Any = np.int64(8)
    wanted: dict[str, Any] = {rates: np.array([1e-4, 3e-4]), "seed": range(2), "batch_size": Range(whole, 64)}
    made = make_space(recipe, wanted)
    assert made == {rates: (1e-4, 3e-4), "seed": (0, 1), "batch_size": Range(8, 64)}
    assert type(made[rates][0]) is float and made["batch_size"].is_whole  # type: ignore[index, union-attr]


@pytest.mark.parametrize("ends", [("a", 3), (0, None), (True, 3), (np.zeros(2), 3)], ids=repr)
def test_a_range_goes_from_a_number_to_a_number(ends: Any) -> None:
    with pytest.raises(UsageError, match="a range goes from a number to a number"):
        Range(*ends)


def test_an_image_set_is_of_arrays() -> None:
    with pytest.raises(sparring.SparringError, match="the images must be an array, not"):
        sparring.ImageSet("mine", [[1]], None, (), "here")  # type: ignore[arg-type]
    with pytest.raises(sparring.SparringError, match="the labels must be an array, not"):
        sparring.ImageSet("mine", np.zeros((1, 8, 8, 1), np.uint8), [0], ("a",), "here")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ measuring an array


def test_an_array_of_samples_is_measured_and_nothing_is_written(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = shipped_classifier("mnist")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "choose_extractor", lambda *words: judge)
    samples = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1), np.uint8)
    verdicts = [sparring.measure(given, data=digits) for given in (samples, samples[..., 0], samples / 255)]  # type: ignore[arg-type]
    assert all(verdict.measures == verdicts[0].measures for verdict in verdicts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((30, 28)), "shape"),
        (np.zeros((30, 28, 28, 7), np.uint8), "channels"),
        (np.zeros((30, 28, 28), str), "images should be"),
        (np.zeros((0, 28, 28), np.uint8), "no images|too few"),
        (np.zeros((5, 28, 28), np.uint8), "too few"),
    ],
)
def test_an_array_that_is_no_images_is_one_error(samples: Any, message: str, digits: Path) -> None:
    with pytest.raises(sparring.SparringError, match=message):
        sparring.measure(samples, data=digits)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [19, 10_001, 2.5, True, "100", None], ids=repr)
def test_a_run_is_measured_by_a_whole_number_of_samples(count: Any, tiny_run: Run) -> None:
    with pytest.raises(UsageError, match="count should be"):
        sparring.measure(tiny_run, count=count)


# ------------------------------------------------------------------------------------------------ words of a command

WHOLE = {
    "3000": 3000,
    "3_000": 3000,
    "3e3": 3000,
    "3E3": 3000,
    "1.5e3": 1500,
    "3e+3": 3000,
    "+3": 3,
    "-3": -3,
    "0e0": 0,
}


@pytest.mark.parametrize("text", WHOLE)
def test_whole_numbers_may_be_written_as_people_do(text: str) -> None:
    assert arguments.parse_whole(text) == WHOLE[text]


@pytest.mark.parametrize(
    "text", ["1.5", "1.0", "10,000", "1e-1", "15e-1", "", "x", "1e", "nan", "1e400", "0x10", "1e3e3"]
)
def test_other_texts_are_no_whole_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="should be a whole number, such as 3000 or 3e3"):
        arguments.parse_whole(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train mlp-256 --steps 1e4 --retries 2e0 --size 1e1 --data NOWHERE", "NOWHERE"),
        ("train mlp-256 --steps 10_000 --data NOWHERE", "NOWHERE"),
        ("train mlp-256 --steps 1.5", "--steps"),
        ("train mlp-256 --steps 10,000", "10,000"),
        ("train mlp-256 --size 1.5", "should be a whole number, such as 3000 or 3e3, or none, not '1.5'"),
        (
            "train mlp-256 --devices 1.5",
            "--devices should be a whole number, such as 3000 or 3e3, or none, or all, not '1.5'",
        ),
        ("sample RUN --count 1.5", "should be a whole number, such as 3000 or 3e3, or none, not '1.5'"),
        ("measure RUN --count 1.5", "should be a whole number"),
        ("sweep mlp-256 --steps 1e4,2e4 --data NOWHERE", "NOWHERE"),
        ("sweep mlp-256 --steps 1.5,2", "steps cannot be '1.5'"),
    ],
)
def test_every_whole_number_of_a_command_may_be_in_scientific_form(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err
