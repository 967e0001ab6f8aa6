"""THE ENVIRONMENT: a run records it, and differences are named."""

import copy
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pytest

from sparring import data
from sparring.runs import environment
from sparring.runs.run import Run


@pytest.fixture
def described(digits: Path) -> dict[str, Any]:
    return environment.describe(data.load(str(digits)), given=str(digits))


def test_all_that_may_matter_is_described(described: dict[str, Any], digits: Path) -> None:
    assert described["versions"] == {"python": platform.python_version()} | {
        name: version(name) for name in ("sparring", "jax", "jaxlib", "flax", "optax", "numpy")
    }
    assert described["device"]["platform"] == jax.default_backend()
    assert (described["device"]["count"], described["processes"]) == (1, 1)
    assert described["device"]["kind"]
    assert described["platform"] == platform.platform()
    assert described["threads"] >= 1
    assert described["command"] == sys.argv
    images = data.load(str(digits))
    assert described["data"] == {
        "name": str(digits),
        "source": images.source,
        "path": str(digits),
        "shape": [200, 28, 28, 1],
        "classes": {str(digit): 20 for digit in range(10)},
        "checksum": images.checksum(),
    }


def test_it_is_json(described: dict[str, Any]) -> None:
    assert json.loads(json.dumps(described)) == described


def test_flags_of_xla_are_noted(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = data.load(str(digits))
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert environment.describe(images)["xla_flags"] == ""
    monkeypatch.setenv("XLA_FLAGS", "--xla_made_up=1")
    assert environment.describe(images)["xla_flags"] == "--xla_made_up=1"


def test_a_run_holds_its_environment(tiny_run: Run, described: dict[str, Any]) -> None:
    assert tiny_run.environment() | {"command": []} == described | {"command": []}


def test_nothing_changed(described: dict[str, Any]) -> None:
    assert environment.changes(described, copy.deepcopy(described)) == []


def test_changes_are_named(described: dict[str, Any]) -> None:
    old = copy.deepcopy(described)
    old["versions"]["jax"] = "0.1.2"
    assert environment.changes(old, described) == [f"jax 0.1.2 is now {version('jax')}"]
    old["threads"] = 77
    old["xla_flags"] = "--old"
    old["device"] = {"kind": "abacus", "platform": "wood", "count": 1}
    old["processes"] = 2
    found = environment.changes(old, described)
    assert len(found) == 5
    assert "processes 2 is now 1" in found
    assert f"threads 77 is now {described['threads']}" in found
    assert f"xla_flags '--old' is now {described['xla_flags']!r}" in found
    assert any(change.startswith("device ") and "abacus" in change for change in found)


def test_what_cannot_change_a_result_is_not_named(described: dict[str, Any]) -> None:
    old = copy.deepcopy(described)
    old["versions"]["sparring"] = "0.0.0"
    old["command"] = ["another"]
    old["platform"] = "another kernel"
    assert environment.changes(old, described) == []


def test_a_run_from_before_there_were_several_processes_had_one(described: dict[str, Any]) -> None:
    old = copy.deepcopy(described)
    del old["processes"]
    assert environment.changes(old, described) == []


def test_a_package_that_was_not_noted_before_is_a_change(described: dict[str, Any]) -> None:
    old = copy.deepcopy(described)
    del old["versions"]["optax"]
    assert environment.changes(old, described) == [f"optax None is now {version('optax')}"]
