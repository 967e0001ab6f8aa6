"""The package: the public names, which `import sparring` provides without importing JAX."""

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import sparring
from sparring import data, errors, recipes
from sparring.evaluation import verdict
from sparring.recipes import recipe
from sparring.reports import measure as measuring
from sparring.runs import generator as sampling
from sparring.runs import run
from sparring.sweeps import space
from sparring.sweeps import study as sweeping
from sparring.training import train as training

HOMES: dict[str, Any] = {
    "RECIPES": recipes.RECIPES,
    "Generator": sampling.Generator,
    "ImageSet": data.ImageSet,
    "Range": space.Range,
    "Recipe": recipe.Recipe,
    "Run": run.Run,
    "SparringError": errors.SparringError,
    "Verdict": verdict.Verdict,
    "load": sampling.load,
    "measure": measuring.measure,
    "named_recipe": recipes.named_recipe,
    "resume": training.resume,
    "sweep": sweeping.sweep,
    "train": training.train,
}


def in_new_process(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_neither_the_import_nor_recipes_wait_for_jax() -> None:
    program = "import sys, sparring; print({'jax', 'numpy', 'PIL', 'rich'} & set(sys.modules)); "
    program += "sparring.RECIPES, sparring.Recipe, sparring.Run; print('jax' in sys.modules)"
    assert in_new_process(program).split() == ["set()", "False"]


def test_names_stay_what_they_are_whatever_is_imported() -> None:
    """An import of a module also sets an attribute of the package, which must not hide a public name."""
    program = (
        "import sparring, sparring.training.train, sparring.cli.main\n"
        "for name in sorted(sparring.__all__):\n"
        "    for time in ('first', 'second'):\n"
        "        print(name, type(getattr(sparring, name)).__name__)\n"
    )
    kinds = {"RECIPES": "dict", "load": "function", "named_recipe": "function", "resume": "function"}
    kinds |= {"train": "function", "sweep": "function", "measure": "function", "SparringError": "type"}
    expected = [(name, kinds.get(name, "type")) for name in sorted(sparring.__all__) for _ in range(2)]
    assert [tuple(line.split()) for line in in_new_process(program).splitlines()] == expected


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, Any] = {}
    exec("from sparring import *", names)
    del names["__builtins__"]
    assert names == HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sparring' has no attribute 'tarin'"):
        _ = sparring.tarin
    assert not hasattr(sparring, "__version_info__")


def test_the_tree_of_errors_matches_the_classes() -> None:
    """Each line of the tree is a class below its base class, and every class has a line."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(r"^    ([ │├└─]*)(\w+)(?:  .*)?$", errors.__doc__ or "", re.M):
        path[len(indent) // 4 :] = [name]
        parents[name] = path[-2] if len(path) > 1 else ""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    assert set(parents) == {kind.__name__ for kind in kinds}
    for kind in kinds:
        assert parents[kind.__name__] in ("", kind.__bases__[0].__name__), kind
    assert [name for name, parent in parents.items() if not parent] == ["SparringError", "DamageWarning"]
