"""THE NOTEBOOK of examples/ runs from its first cell to its last, with fewer steps, and shows what it says."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient")

NOTEBOOK = Path(__file__).parent.parent / "examples" / "first_gan.ipynb"
SHORTER = {
    'sparring.train("quick", out="first-gan")': 'sparring.train("quick", out="first-gan", steps=30, grid_every=10)',
    "steps=18_000": "steps=300, grid_every=100",
    "sparring.measure(run.path)": "sparring.measure(run.path, count=500)",
    "sparring.measure(old.path)": "sparring.measure(old.path, count=500)",
}


@pytest.fixture
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        for said, shorter in SHORTER.items():
            cell.source = cell.source.replace(said, shorter)
    folder = tmp_path_factory.mktemp("notebook")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(notebook: Any, said: str) -> list[Any]:
    """Of the cell with these words."""
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and said in cell.source)
    return list(cell.outputs)


def test_each_replacement_is_of_something() -> None:
    text = NOTEBOOK.read_text().replace('\\"', '"')
    assert all(said in text for said in SHORTER)


@pytest.mark.ci
def test_a_run_shows_itself_pictures_are_shown_and_it_is_judged(executed: Any) -> None:
    assert any("first-gan" in output.get("data", {}).get("text/html", "") for output in outputs(executed, '"quick"'))
    for said in ("Image(filename", "sample(64, seed=1), rows=4, columns=16, scale=2))", "interpolate"):
        cells = [cell for cell in executed.cells if cell.cell_type == "code" and said in cell.source]
        kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
        assert kinds & {"image/png", "image/gif"}
    (printed,) = (output["text"] for output in outputs(executed, "real digits") if output.output_type == "stream")
    assert [line.split()[0] for line in printed.splitlines()] == ["frechet_ratio", "precision", "recall", "variation"]
