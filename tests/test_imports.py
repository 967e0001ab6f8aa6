"""Imports go one way: a module knows only what stands before it in this list."""

import ast
from pathlib import Path

import pytest

import sparring

ROOT = Path(sparring.__file__).parent

ORDER = [
    "isolation",
    "interrupts",
    "errors",
    "numerics",
    "arguments",
    "extras",
    "checks",
    "parts",
    "recipe",
    "recipes.modern",
    "recipes.classics",
    "recipes.tutorials",
    "recipes",
    "plain",
    "progress",
    "atomic",
    "sealed",
    "private",
    "marks",
    "sample_folder",
    "schemas",
    "selection",
    "batched",
    "images",
    "machine",
    "mounts",
    "data.images",
    "data.formats",
    "data.cache",
    "data.unpacked",
    "data.idx",
    "data.download",
    "data.files",
    "data.ranges",
    "data.splits",
    "data.arrays",
    "data.named",
    "data.stacked",
    "data.shaping",
    "data.decode",
    "data.search",
    "data.parallel",
    "data.folder",
    "data.archive",
    "data.shards",
    "data.label_file",
    "data.idx_set",
    "data.labels",
    "data.index",
    "data.store",
    "data.pictures",
    "data",
    "data.check",
    "data.batches",
    "data.holdout",
    "randomness",
    "classes",
    "networks.layers",
    "networks.products",
    "networks.winograd",
    "networks.convolution",
    "networks.features",
    "networks.mlp",
    "networks.dcgan_tanh",
    "networks.patch",
    "networks.conditional",
    "networks.dcgan",
    "networks",
    "augmentation",
    "examples",
    "losses",
    "penalties",
    "schedule",
    "optimizers",
    "game",
    "state",
    "step",
    "processes",
    "devices",
    "operations",
    "memory",
    "windows",
    "chunk",
    "plan",
    "environment",
    "lock",
    "identity",
    "run",
    "run_images",
    "checkpoint",
    "continuation",
    "trained",
    "sampling",
    "samples",
    "alarms",
    "metrics",
    "metrics.frechet",
    "metrics.kernel",
    "metrics.neighbours",
    "metrics.balance",
    "metrics.modes",
    "metrics.memorisation",
    "metrics.discriminator",
    "metrics.judge",
    "metrics.features",
    "metrics.glance",
    "metrics.asked",
    "metrics.verdict",
    "metrics.protocol",
    "monitor",
    "animation",
    "plots",
    "tensorboard",
    "terminal",
    "writer",
    "session",
    "stopping",
    "training",
    "scoring",
    "choosing",
    "catalogue",
    "speed",
    "charts",
    "page",
    "curves",
    "history",
    "comparison",
    "report",
    "measuring",
    "compiled",
    "export.layers",
    "export.onnx",
    "export.page",
    "export.card",
    "export",
    "sweeps",
    "sweeps.space",
    "sweeps.folder",
    "sweeps.journal",
    "sweeps.sharing",
    "sweeps.ranking",
    "sweeping",
    "replicas",
    "web",
    "web.shelf",
    "web.plain",
    "web.tail",
    "web.view",
    "web.player",
    "web.guard",
    "web.patience",
    "web.app",
    "web.server",
    "cli",
    "__main__",
]

STRANGERS = {
    "networks": {"recipe", "recipes", "data", "training", "run"},
    "losses": {"recipe", "recipes", "data", "networks"},
    "metrics": {"recipe", "recipes", "run", "training"},
    "alarms": {"run", "metrics", "training"},
    "run": {"training", "chunk", "step", "state", "networks", "checkpoint"},
    "plots": {"training", "networks", "checkpoint"},
    "sweeps": {"training", "state", "step", "networks", "metrics"},
    "report": {"training", "networks", "checkpoint", "sampling"},
    "web": {"training", "session", "chunk", "step", "monitor", "writer"},
}
"""Who must not know whom, although the order alone would allow it."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `sparring`, but for the package itself."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imported(path: Path) -> set[str]:
    """The modules of the package that this file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    known = modules()
    own = {name.removeprefix("sparring.") for name in names if name.startswith("sparring.")}
    return {name for name in own if name in known}


def test_the_list_names_every_module() -> None:
    assert set(ORDER) == set(modules())


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    allowed = {name, *ORDER[: ORDER.index(name)]}
    assert imported(modules()[name]) <= allowed


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_stay_strangers(name: str) -> None:
    files = [path for module, path in modules().items() if module.partition(".")[0] == name]
    assert files
    for path in files:
        assert {module.partition(".")[0] for module in imported(path)}.isdisjoint(STRANGERS[name])


def test_the_check_sees_an_import_of_any_form(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "import sparring.run\nfrom sparring import losses\nfrom sparring.data import batches\n"
        "def f():\n    from sparring.training import train\n"
    )
    assert imported(file) == {"run", "losses", "data", "data.batches", "training"}
