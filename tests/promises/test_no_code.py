"""NO CODE: no file that Sparring opens can run code, by rules for the source and by canaries in files."""

import ast
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import sparring
from sparring import data
from sparring.cli.main import main
from sparring.data.samples import read_samples
from sparring.errors import SparringError
from sparring.runs import generator as sampling
from sparring.runs.run import Run

SOURCES = sorted(Path(sparring.__file__).parent.rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch", "yaml", "jsonpickle"}
RUNNING = {"eval", "exec", "compile", "__import__"}


def faults(source: str) -> list[str]:
    """What that source does which may run what is in a file."""
    found: list[str | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLING]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").partition(".")[0] in UNPICKLING else []
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            named = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in RUNNING or name in ("os.system", "os.popen"):
                found.append(name)
            if name.rpartition(".")[2] in ("load", "read_array") and name.startswith(("np.", "numpy.")):
                found += [] if named.get("allow_pickle") == "False" else [name]
            if named.get("shell", "False") != "False" or named.get("allow_pickle", "False") != "False":
                found.append(name)
    return [str(name) for name in found]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_a_source_runs_nothing_that_a_file_holds(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "def f():\n    import torch.serialization",
        "eval(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.lib.format.read_array(file)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_check_sees_what_it_looks_for(source: str) -> None:
    assert faults(source)


class Canary:
    """Whoever unpickles it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "it-sang"


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Canary(canary))


def archive(canary: Path) -> bytes:
    """An NPZ of objects, as NumPy itself writes it."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, images=np.array([Canary(canary)] * 3, object), labels=np.arange(3))
    return content.getvalue()


def checkpoint_of_torch(canary: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("archive/data.pkl", pickled(canary))
        file.writestr("archive/version", "3")
    return content.getvalue()


KINDS = {"a pickle": pickled, "an archive of objects": archive, "a checkpoint of PyTorch": checkpoint_of_torch}


@pytest.mark.parametrize("kind", KINDS)
def test_the_canaries_would_sing(kind: str, canary: Path) -> None:
    content = KINDS[kind](canary)
    if kind == "a pickle":
        pickle.loads(content)
    elif kind == "an archive of objects":
        np.load(io.BytesIO(content), allow_pickle=True)["images"]
    else:
        pickle.loads(zipfile.ZipFile(io.BytesIO(content)).read("archive/data.pkl"))
    assert canary.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["data.npz", "data.zip", "data.npy", "train-images-idx3-ubyte", "folder/a.png"])
def test_no_canary_sings_as_data(name: str, kind: str, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(KINDS[kind](canary))
    with pytest.raises(SparringError):
        data.load(str(path.parent if path.suffix == ".png" else path))
    if path.suffix in (".npz", ".npy"):
        with pytest.raises(SparringError):
            read_samples(path)
    assert not canary.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_no_canary_sings_in_a_run(kind: str, canary: Path, copied_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    content = KINDS[kind](canary)
    for path in [path for path in copied_run.path.rglob("*") if path.is_file() and path.name != "lock"]:
        path.write_bytes(content)
    with pytest.raises(SparringError):
        sampling.load(copied_run.path)
    with pytest.raises(SparringError):
        sampling.load(copied_run.generator_weights)
    run = str(copied_run.path)
    for words in (
        ["sample", run],
        ["animate", run],
        ["measure", run],
        ["train", "--resume", run],
        ["compare", run, run],
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not canary.exists()
