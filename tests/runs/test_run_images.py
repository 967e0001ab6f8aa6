"""THE IMAGES OF A RUN: they are found by their checksum, also after they were moved."""

import shutil
from pathlib import Path

import pytest

from sparring import data
from sparring.errors import DataError, ResumeError, RunError
from sparring.evaluation import rejection_sampling
from sparring.files import checksummed
from sparring.recipes.recipe import Recipe
from sparring.reports import measure as measuring
from sparring.runs.resume import choose_folder
from sparring.runs.run import Run
from sparring.runs.run_images import load_again
from sparring.training import train as training
from sparring.training.reporter import Silence


@pytest.fixture(scope="module")
def project(tiny_recipe: Recipe, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `pics`, and a run that was trained on that relative path from there."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(digits, folder / "pics")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        training.train(tiny_recipe.replace(data="pics", steps=4), out=Path("runs/x"), reporter=Silence())
    return folder


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Run:
    """A copy of that run at a place that has no `pics` above it."""
    return Run(Path(shutil.copytree(project / "runs" / "x", tmp_path / "copied")))


def checksum(run: Run) -> str:
    return str(run.environment()["data"]["checksum"])


def load(run: Run) -> data.ImageSet:
    return load_again(run, run.recipe().data, data.load, data.ImageSet.checksum)


def test_from_another_folder_it_goes_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = training.resume(run.path, steps=6, reporter=Silence())
    assert done.ended() == "finished" and done.reached() == 6
    assert done.recipe().data == "pics" and done.environment()["data"]["name"] == "pics"
    assert "pics" in done.generator_description.read_text()
    assert str(tmp_path.parent) not in done.generator_description.read_text()


def test_other_images_at_the_same_relative_place_are_passed_over(
    run: Run, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copytree(digits, tmp_path / "pics")) / "train-images-idx3-ubyte"
    other.write_bytes(other.read_bytes()[:-1] + b"\1")
    monkeypatch.chdir(tmp_path)
    assert load(run).checksum() == checksum(run)
    assert rejection_sampling.training_images(run).class_names
    real = measuring._own_images(run, run.recipe().replace(validation=0.5))
    assert real.checksum == checksum(run) and real.name == "pics"


def test_a_project_that_was_moved_as_a_whole_is_found_beside_the_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.move(shutil.copytree(project, tmp_path / "a"), tmp_path / "b"))
    monkeypatch.chdir("/")
    run = Run(moved / "runs" / "x")
    environment = run.environment()
    monkeypatch.setattr(
        Run, "environment", lambda self: environment | {"data": environment["data"] | {"path": str(tmp_path / "gone")}}
    )
    assert Path(load(run).source).is_relative_to(moved / "pics")


def test_moved_images_are_given_by_their_new_place(
    run: Run, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(digits, tmp_path / "pics2")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    done = training.resume(run.path, data="../pics2", steps=6, reporter=Silence())
    assert done.reached() == 6 and done.recipe().data == "../pics2"
    recipe = done.recipe().replace(data="../pics2", steps=8)
    assert choose_folder(tmp_path, "copie", {".": recipe}, done.environment(), print) != run.path, "a finished run"


def test_other_images_are_refused_with_both_sources(run: Run, digits: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(digits, tmp_path / "other"))
    images = other / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\1")
    with pytest.raises(
        ResumeError, match=rf"pics\S* \(checksum {checksum(run)[:12]}\).*other\S* \(checksum.*--data"
    ) as said:
        training.resume(run.path, data=str(other), steps=6, reporter=Silence())
    assert "data was" not in str(said.value)


def test_images_that_are_nowhere_are_asked_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def gone(place: str) -> None:
        raise DataError(f"{place!r} is not a data set")

    with pytest.raises(DataError, match=r"'pics' is not a data set.*say with --data where the images of .*copied"):
        load_again(run, "pics", gone, str)


@pytest.mark.parametrize(("given", "shown"), [(".", "pics"), ("..", "project"), ("../pics", "../pics")])
def test_the_current_folder_is_called_by_its_name(
    given: str, shown: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pics = Path(shutil.copytree(digits, tmp_path / "project" / "pics"))
    if given == "..":
        shutil.copytree(digits, pics.parent, dirs_exist_ok=True)
    monkeypatch.chdir(pics)
    assert data.load(given).name == shown


@pytest.mark.parametrize("path", [["pics"], 5, {}])
def test_a_recorded_place_that_is_no_text_is_damage(path: object, run: Run) -> None:
    for file in (run.environment_file, run.environment_file.with_suffix(".copy.json")):
        content = checksummed.read(file)
        content["data"]["path"] = path
        checksummed.write(file, content)
    with pytest.raises(RunError, match=r"environment\.json is damaged: .*data\.path"):
        load(run)


def test_images_that_are_gone_and_nowhere_else_are_asked_for(run: Run, project: Path, tmp_path: Path) -> None:
    gone = (project / "pics").rename(tmp_path / "gone")
    try:
        with pytest.raises(DataError, match="say with --data where"):
            load(run)
    finally:
        gone.rename(project / "pics")
