"""Imports go one way, from the top of the README's rooms to the bottom; files and functions have limits of size."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import sparring

ROOT = Path(sparring.__file__).parent
README = (ROOT.parent / "README.md").read_text()
UNWANTED = {"utils", "helpers", "common", "core", "base", "misc"}
MOST_PARAMETERS, MOST_LINES, MOST_FUNCTION_LINES, MOST_NESTED = 7, 400, 60, 4
PUBLIC = {"training.train.train", "training.replicas.train_replicas", "sweeps.study.sweep", "reports.measure.measure"}
"""`sparring.train` and its siblings have a parameter for each option."""

UNRELATED = {
    "networks": {"recipes", "data", "training", "runs"},
    "evaluation.metrics": {"recipes", "runs", "training"},
    "evaluation.alarms": {"runs", "training"},
    "reports": {"training", "networks"},
    "sweeps.space": {"training", "gan", "networks", "evaluation"},
    "web": {"training"},
}
"""What these do not import, although the order of the rooms would allow it."""


def rooms(readme: str) -> list[str]:
    """The rooms in the README's tree, from top to bottom."""
    tree = readme[readme.index("\nsparring/\n") :].split("```")[0]
    return re.findall(r"^  (\w+)(?:/|\.py) ", tree, re.M)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `sparring`, but for the package itself."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = modules()


@cache
def imported(path: Path) -> set[str]:
    """The modules of the package that this file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                names.add(name if name.removeprefix("sparring.") in MODULES else node.module)
    own = {name.removeprefix("sparring.") for name in names if name.startswith("sparring.")}
    return {name for name in own if name in MODULES}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def upward(order: list[str]) -> list[str]:
    """The imports that go against that order of rooms, as "importer -> imported"."""
    place = {room: i for i, room in enumerate(order)}
    return [
        f"{name} -> {other}"
        for name, path in MODULES.items()
        for other in imported(path)
        if place[room_of(other)] > place[room_of(name)]
    ]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import one another in a circle."""
    found, done = [], set[str]()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                visit(other, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_the_readme_names_every_room_and_every_room_its_files() -> None:
    order = rooms(README)
    assert len(order) == len(set(order))
    assert set(order) == {room_of(name) for name in MODULES}
    for path in MODULES.values():
        package = path.parent.parent if path.name == "__init__.py" else path.parent
        if package != ROOT:
            name = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
            text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
            assert re.search(rf"^\s*{name}", text, re.M), f"{package.name}/__init__.py does not list {name}"


def test_a_module_imports_only_from_rooms_above_its_own() -> None:
    assert upward(rooms(README)) == []


def test_any_room_that_moves_up_is_noticed() -> None:
    """Each room has something above it that it needs; so a line of the README that is moved makes the test fail."""
    order = rooms(README)
    for i, room in enumerate(order):
        needed = {room_of(other) for name, path in MODULES.items() if room_of(name) == room for other in imported(path)}
        if needed - {room}:
            assert upward([room, *order[:i], *order[i + 1 :]]), room


def test_no_imports_go_in_circles() -> None:
    assert circles({name: imported(path) for name, path in MODULES.items()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_rooms_do_not_import_each_other(name: str) -> None:
    files = [path for module, path in MODULES.items() if module == name or module.startswith(f"{name}.")]
    assert files
    for path in files:
        assert {room_of(module) for module in imported(path)}.isdisjoint(UNRELATED[name]), path


def test_no_room_has_a_name_that_says_nothing() -> None:
    assert {part for name in MODULES for part in name.split(".")}.isdisjoint(UNWANTED)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines without those of its docstring."""
    whole = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return whole - ((first.end_lineno or 0) - first.lineno + 1 if is_text else 0)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def nesting(node: ast.AST, depth: int = 0) -> int:
    """How many statements lie in each other, within one function."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        inner = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)
        is_elif = isinstance(child, ast.If) and isinstance(node, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child, depth + (inner and not is_elif)))
    return deepest


def test_nothing_is_too_long_too_deep_or_has_too_many_parameters() -> None:
    found = []
    for name, path in MODULES.items():
        text = path.read_text()
        if text.count("\n") > MOST_LINES:
            found.append(f"{name}: {text.count(chr(10))} lines")
        for function in functions(ast.parse(text)):
            if length(function) > MOST_FUNCTION_LINES:
                found.append(f"{name}.{function.name}: {length(function)} lines")
            if nesting(function) > MOST_NESTED:
                found.append(f"{name}.{function.name}: nested {nesting(function)} deep")
            if parameters(function) > MOST_PARAMETERS and f"{name}.{function.name}" not in PUBLIC:
                found.append(f"{name}.{function.name}: {parameters(function)} parameters")
    assert found == []


def test_the_check_sees_an_import_of_any_form(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import sparring.runs.run\nfrom sparring.gan import losses\nfrom sparring.data import batches, load\n"
        "def f():\n    from sparring.training.train import train\n"
    )
    assert imported(file) == {"runs.run", "gan.losses", "data.batches", "data", "training.train"}
