"""`measure` and `compare`: runs and samples, repeatable numbers, and error messages."""

import dataclasses
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring.cli.main import main
from sparring.data import validation
from sparring.errors import ComparisonError, DataError, RunError
from sparring.evaluation import comparison, features, protocol
from sparring.evaluation.comparison import number
from sparring.evaluation.features import general_features, shipped_classifier
from sparring.evaluation.verdict import MEASURES, Verdict
from sparring.files import checksummed
from sparring.images import save_images
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.training import train as training
from sparring.training.reporter import Silence

USUAL = {name: about for name, about in MEASURES.items() if name not in ("modes", "mode_divergence", "recognised")}
"""All measures except those of stacked MNIST."""


@pytest.fixture(scope="module")
def trained(tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run with 60 validation images of 200. Do not write into it."""
    recipe = tiny_recipe.replace(validation=0.3)
    return training.train(recipe, out=tmp_path_factory.mktemp("measured") / "run", reporter=Silence())


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy of it."""
    return Run(Path(shutil.copytree(trained.path, tmp_path / "run")))


@pytest.fixture(scope="module", autouse=True)
def mnist_judge() -> Iterator[None]:
    """Use the shipped classifier of MNIST, because training one takes time."""
    judge = shipped_classifier("mnist")
    choose = features.choose_extractor
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            measuring, "choose_extractor", lambda images, onnx, tell: choose(images, onnx) if onnx else judge
        )
        yield


@pytest.fixture(scope="module")
def judged(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The verdict on 100 samples of a copy of `trained`. Do not write into that copy."""
    copy = shutil.copytree(trained.path, tmp_path_factory.mktemp("judged") / "run")
    return measuring.measure(copy, count=100)


@pytest.fixture
def measured(judged: Verdict, tmp_path: Path) -> Run:
    """A copy of the run of `judged`, whose measures name the copy."""
    run = Run(Path(shutil.copytree(judged.subject["path"], tmp_path / "measured")))
    value = checksummed.read(run.measures)
    value["subject"]["path"] = str(run.path)
    checksummed.write(run.measures, value)
    return run


def numbers(verdict: Verdict) -> dict[str, float]:
    return {name: measure.value for name, measure in verdict.measures.items()}


# ------------------------------------------------------------------------------------------------ runs and samples


def test_a_run_is_measured_and_the_verdict_and_a_page_lie_in_it(run: Run) -> None:
    verdict = sparring.measure(run.path)
    assert set(verdict.measures) == set(USUAL)
    assert verdict.subject | {"command": ""} == {
        "kind": "run", "path": str(run.path), "recipe": "mlp-256", "seed": 0, "step": 30, "best": False,
        "seconds": verdict.subject["seconds"], "command": "", "run": run.id,
    }  # fmt: skip
    assert 0 < verdict.subject["seconds"] < 100
    assert Verdict.from_json(checksummed.read(run.measures)) == verdict
    assert "<html" in run.report.read_text() and measuring.report_of(verdict) == run.report


def test_the_same_command_gives_the_same_numbers_and_another_seed_others(run: Run, judged: Verdict) -> None:
    first, second = (measuring.measure(run.path, count=100, seed=3) for _ in range(2))
    assert first == second and numbers(first) != numbers(judged)
    assert shlex.split(first.subject["command"]) == [
        "sparring", "measure", str(run.path), "--count", "100", "--seed", "3",
    ]  # fmt: skip


def test_samples_of_a_run_taken_elsewhere_get_the_same_numbers(
    run: Run, judged: Verdict, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are the same for a run, for its samples in a file, and for its samples in a folder."""
    samples = sampling.load(run.path).sample(100, seed=0)
    share = validation.split_images  # 30% are validation images, samples are judged as if 4% had been
    for name in ("samples.npz", "pictures"):
        save_images(tmp_path / name, samples, 10)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(protocol, "split_images", lambda images, _: share(images, 0.3))
            verdict = measuring.measure(tmp_path / name, data=str(digits))
        assert numbers(verdict) == {k: v for k, v in numbers(judged).items() if k != "memorising"}
        assert (tmp_path / f"{name}.measures.json").is_file() and (tmp_path / f"{name}.report.html").is_file()
        assert verdict.seed is None and verdict.subject["kind"] == "samples"
    monkeypatch.chdir(tmp_path / "pictures")
    here = dataclasses.replace(verdict, subject=verdict.subject | {"path": "."})
    assert measuring.report_of(here).samefile(tmp_path / "pictures.report.html")


def test_the_best_state_is_judged_on_request(run: Run) -> None:
    with pytest.raises(RunError, match="has no best checkpoint: it was not judged while it trained"):
        measuring.measure(run.path, best=True)
    manifest = shutil.copytree(run.checkpoints / "00000030", run.best / "00000020") / "manifest.json"
    checksummed.write(manifest, checksummed.read(manifest) | {"step": 20})
    best = measuring.measure(run.path, count=100, best=True)
    assert (best.subject["step"], best.subject["best"]) == (20, True)
    assert "--best" in best.subject["command"] and "memorising" in best.measures


def test_a_run_whose_data_have_changed_is_not_judged_by_them(run: Run, digits: Path) -> None:
    environment = checksummed.read(run.environment_file)
    environment["data"]["checksum"] = "0" * 64
    for path in (run.environment_file, run.environment_file.with_suffix(".copy.json")):
        checksummed.write(path, environment)
    with pytest.raises(DataError, match="was trained on other images than"):
        measuring.measure(run.path)
    assert measuring.measure(run.path, data=str(digits), count=100).samples == 100


def test_judged_against_other_images_copies_are_still_of_its_own(run: Run, judged: Verdict, tmp_path: Path) -> None:
    """A generator that copies its training images is detected, whatever its samples are compared with."""
    own = protocol.real_images(run.recipe().data, run.recipe().validation)
    others = np.random.default_rng(1).integers(0, 256, (300, 28, 28, 1)).astype(np.uint8)
    np.savez(tmp_path / "others.npz", images=others, labels=np.arange(300) % 10)
    repeated = own.training.images[np.arange(100)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling.Generator, "sample", lambda self, count, seed: repeated[:count])
        verdict = measuring.measure(run.path, data=str(tmp_path / "others.npz"), count=100)
    assert "sample 0 beside training image 0" in run.report.read_text()
    assert verdict.memorisation.distance == 0 < judged.memorisation.distance
    assert verdict.discriminator is not None and judged.discriminator is not None
    assert verdict.discriminator.d_training == judged.discriminator.d_training
    assert any("the 140 images of the training, compared with only 60" in notice for notice in verdict.notices)


def test_missing_training_images_are_reported(run: Run, digits: Path, tmp_path: Path) -> None:
    recipe = checksummed.read(run.recipe_file) | {"data": str(tmp_path / "gone")}
    checksummed.write(run.recipe_file, recipe)
    environment = checksummed.read(run.environment_file)
    environment["data"]["path"] = recipe["data"]
    checksummed.write(run.environment_file, environment)
    others = np.random.default_rng(1).integers(0, 256, (300, 28, 28, 1)).astype(np.uint8)
    np.savez(tmp_path / "others.npz", images=others, labels=np.arange(300) % 10)
    verdict = measuring.measure(run.path, data=str(tmp_path / "others.npz"), count=100)
    assert verdict.discriminator is None
    assert any("are not available, so copies are searched among" in notice for notice in verdict.notices)
    moved = measuring.measure(run.path, data=str(digits), count=100)  # the same images at another place
    assert moved.discriminator is not None and not any("copies" in notice for notice in moved.notices)


def test_a_discriminator_of_another_step_is_not_asked(run: Run) -> None:
    (run.checkpoints / "00000030").rename(run.checkpoints / "00000020")
    assert measuring.measure(run.path, count=100).discriminator is None
    shutil.rmtree(run.checkpoints)
    assert measuring.measure(run.path, count=100).discriminator is None


# ------------------------------------------------------------------------------------------------ side by side


def other_run(run: Run, name: str, **changes: Any) -> Run:
    """A copy of a measured run with something in its measures changed."""
    copy = Run(Path(shutil.copytree(run.path, run.path.with_name(name))))
    value = checksummed.read(copy.measures)
    value["subject"] |= {"path": str(copy.path)}
    for key, change in changes.items():
        value[key] = value[key] | change if isinstance(change, dict) else change
    checksummed.write(copy.measures, value)
    return copy


def test_compare_puts_the_best_first(measured: Run, judged: Verdict, capsys: pytest.CaptureFixture[str]) -> None:
    ratio = judged.measures["frechet_ratio"].value
    better = other_run(measured, "better", measures={"frechet_ratio": {"value": ratio / 2, "error": 0.1, "real": 1.0}})
    assert main(["compare", str(measured.path), str(better.path), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in compared] == [str(better.path), str(measured.path)]
    assert compared[1]["measures"]["frechet_ratio"]["mean"] == ratio


def test_no_number_is_cut_off_on_a_narrow_terminal(
    measured: Run, judged: Verdict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_run(measured, "b")
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: judged)
    for width in (40, 60, 66, 69, 70):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main(["measure", str(measured.path), "--count", "100"]) == 0
        told = capsys.readouterr().out
        assert main(["compare", str(measured.path), str(other.path)]) == 0
        compared = capsys.readouterr().out
        for out in (told, compared):
            assert "…" not in out
            for name, measure in judged.measures.items():
                line = next(line for line in out.splitlines() if line.startswith(f" {MEASURES[name].title} "))
                assert number(measure.value, MEASURES[name].share) in line
                assert measure.real is None or number(measure.real, MEASURES[name].share) in line.split()
        assert ("higher" in told) is (width >= 70)


@pytest.mark.parametrize("width", ["66", "80", "200"])
def test_the_table_shows_every_measure_of_every_run(
    width: str, measured: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    names = [str(measured.path), *(str(other_run(measured, name).path) for name in ("a", "b", "c"))]
    assert main(["compare", *names]) == 0
    out = capsys.readouterr().out
    tables = out.count("real images")
    assert tables == {"66": 4, "80": 2, "200": 1}[width]
    for about in USUAL.values():
        assert out.count(about.title + " ") >= tables


def write_recipe(run: Run, **changes: Any) -> None:
    own = {"run": run.id}
    for path in (run.recipe_file, run.recipe_file.with_suffix(".copy.json")):
        checksummed.write(path, Recipe.from_json(named(path)).replace(**changes).to_json() | own)


def named(path: Path) -> dict[str, Any]:
    return {name: value for name, value in checksummed.read(path).items() if name != "run"}


def test_seeds_of_one_recipe_become_one_line_with_mean_and_spread(
    measured: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [measured]
    for seed, value in ((1, 10.0), (2, 13.0)):
        made = other_run(measured, f"seed-{seed}", measures={"kernel": {"value": value, "error": None, "real": 0.0}})
        write_recipe(made, seed=seed)
        runs.append(made)
    main(["compare", *(str(made.path) for made in runs[1:]), "--by-recipe", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["runs"], row["measures"]["kernel"]) == (2, {"mean": 11.5, "spread": pytest.approx(2.1213203)})
    write_recipe(runs[0], latent_size=7)
    main(["compare", *(str(made.path) for made in runs), "--by-recipe", "--json"])
    assert [row["runs"] for row in json.loads(capsys.readouterr().out)] in ([1, 2], [2, 1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extractor": {"sha256": "f" * 64}}, "was judged by the mnist judge (892351f660cc), but"),
        ({"data": {"checksum": "f" * 64}}, "was judged against the validation images of"),
        ({"data": {"split": "test"}}, "judged against the test images of"),
        ({"samples": 50}, "100 samples"),
    ],
)
def test_different_extractors_data_or_numbers_are_never_compared(
    changes: dict[str, Any], words: str, measured: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    other = other_run(measured, "other", **changes)
    assert main(["compare", str(measured.path), str(other.path)]) == 2
    assert words in capsys.readouterr().err
    with pytest.raises(ComparisonError, match="numbers cannot be compared"):
        comparison.check_comparable([Verdict.from_json(checksummed.read(r.measures)) for r in (measured, other)])


def test_what_was_never_measured_or_has_gone_on_is_measured(run: Run) -> None:
    assert measuring.saved_verdict(run) is None
    other = Run(Path(shutil.copytree(run.path, run.path.with_name("other"))))
    assert main(["compare", str(run.path), str(other.path)]) == 0
    assert measuring.saved_verdict(run) is not None
    training.train(run.recipe(), out=run.path, steps=40, reporter=Silence())
    assert measuring.saved_verdict(run) is None


# ------------------------------------------------------------------------------------------------ the command


def test_measure_prints_the_table_and_where_the_page_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(run.path), "--count", "100"]) == 0
    out = capsys.readouterr().out
    for about in USUAL.values():
        assert about.title in out
    assert "100 samples against 60 validation images of" in out
    assert "the mnist judge (892351f660cc)" in out and "99.62% of the test images" in out
    assert f"the report: {run.report}" in out


def test_measure_as_json_is_the_verdict_and_against_others_shows_all(
    run: Run, measured: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(run.path), "--count", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == checksummed.read(run.measures)
    against = ["--count", "100", "--against", str(measured.path)]
    assert main(["measure", str(run.path), *against, "--json"]) == 0
    found = [verdict["subject"]["path"] for verdict in json.loads(capsys.readouterr().out)]
    assert found == [str(run.path), str(measured.path)]
    assert main(["measure", str(run.path), *against]) == 0
    assert "standard deviation over training seeds" in capsys.readouterr().out


def one_image(folder: Path) -> Path:
    return array(np.zeros((1, 28, 28), np.uint8))(folder)


def array(images: np.ndarray[Any, Any]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.savez(folder / "samples.npz", images=images)
        return folder / "samples.npz"

    return make


def corrupt(folder: Path) -> Path:
    path = one_image(folder)
    path.write_bytes(path.read_bytes()[:200])
    return path


def damaged_measures(folder: Path) -> Path:
    (folder / "recipe.json").write_text("{")
    return folder


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda folder: folder / "nowhere", "does not exist"),
    "an empty folder": (lambda folder: folder, "is neither a run nor a folder of pictures"),
    "no images": (array(np.zeros((0, 28, 28), np.uint8)), "holds no images"),
    "one image": (one_image, "1 samples are too few to judge; at least 20"),
    "the wrong size": (array(np.zeros((50, 32, 32), np.uint8)), "the samples are 32 x 32 x 1, but the images of"),
    "floats that are not numbers": (array(np.full((50, 28, 28), np.nan)), "39,200 values are NaN or infinite"),
    "all the same": (array(np.zeros((50, 28, 28), np.uint8)), "all 50 samples are the same image"),
    "a corrupt file": (corrupt, "is damaged or no archive of plain arrays"),
    "a damaged run": (damaged_measures, "recipe.json is damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence_and_status_2(
    name: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[name]
    assert main(["measure", str(make(tmp_path)), "--data", str(digits)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("sparring: ") and err.count("\n") == 1
    assert words in err


def test_nearly_identical_samples_raise_an_alarm(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.zeros((50, 28, 28), np.uint8)
    images[0, 0, 0] = 1
    assert main(["measure", str(array(images)(tmp_path)), "--data", str(digits)]) == 0
    assert "alarm: mode collapse: 100% of the samples are" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["compare"], "compare needs two runs or more"),
        (["compare", "somewhere"], "compare needs two runs or more"),
        (["compare", "somewhere", "elsewhere"], "does not exist"),
        (["measure", "somewhere", "--count", "5"], "--count must lie between 20 and 10,000"),
        (["measure", "somewhere", "--seed", "-1"], "--seed must lie between 0 and"),
        (["measure"], "missing RUN|SAMPLES"),
    ],
)
def test_impossible_words_are_refused(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert answer in capsys.readouterr().err


def test_general_features_name_their_limits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "choose_extractor", lambda images, onnx, tell: general_features((28, 28, 1)))
    verdict = measuring.measure(run.path, count=100)
    assert "There is no classifier of these images" in verdict.extractor["caveat"]
    assert verdict.balance is None
