"""FAULTS IN A RUN'S FILES: whatever a JSON file holds, who reads it finds what is right, or one sentence.

`benchmarks/fault_files.py` gives the same faults, and many more, to whole commands.
"""

import json
import random
import shutil
import warnings
from pathlib import Path

import faults
import pytest

from sparring.errors import SparringError
from sparring.export import card
from sparring.files import checksummed
from sparring.reports import measure as measuring
from sparring.reports import provenance
from sparring.runs import checkpoint, environment
from sparring.runs import generator as sampling
from sparring.runs.run import Run
from sparring.runs.run_images import load_again
from sparring.web.reader import RunReader
from sparring.web.tail import Tail


def read(run: Run) -> None:
    """What every command reads first."""
    for look in (
        run.recipe,
        run.environment,
        run.ended,
        lambda: list(run.damages()),
        lambda: checkpoint.newest_step(run.checkpoints, run.identity),
        lambda: sampling._saved_step(run),
        lambda: measuring.saved_verdict(run),
    ):
        try:
            look()
        except SparringError as error:
            assert len(str(error)) < 1500 and "\n" not in str(error)
    json.dumps(Tail(run.events_file).read(), allow_nan=False)
    json.loads(RunReader(run.path).read_list())


@pytest.mark.parametrize("tries", [20, pytest.param(20_000, marks=pytest.mark.long)])
def test_json_of_the_wrong_kind_is_damage_like_any_other(tries: int, copied_run: Run, tmp_path: Path) -> None:
    chance, run, folder = random.Random(0), copied_run, tmp_path / "broken"
    (run.path / "measures.json").write_text(json.dumps({"format": 1, "subject": {"kind": "run"}, "measures": {}}))
    for _ in range(tries):
        what, do = faults.damaged(run.path, chance)
        shutil.copytree(run.path, folder)
        do(folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(Run(folder))
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        shutil.rmtree(folder)


def test_no_value_in_the_environment_breaks_what_is_made_of_it(copied_run: Run) -> None:
    """Of each value once, whatever is read of an environment, or the sentence that says it is damaged."""
    whole, recipe = checksummed.read(copied_run.environment_file), copied_run.recipe()
    copied_run.environment_file.with_suffix(".copy.json").unlink()
    for place in faults.json_places(whole):
        for wrong in (faults.MISSING, None, 5, "x", [1], {"x": [1]}):
            checksummed.write(copied_run.environment_file, faults.put_in(whole, place, wrong))
            try:
                found = copied_run.environment()
            except SparringError:
                continue
            load_again(copied_run, recipe.data, str, str)
            assert environment.changes(found, whole) is not None and provenance._machine(found)
            assert card._version_words(found) and card._data_words("x", recipe, found), (place, wrong)
