"""`sparring recipes`: the numbers of parameters that the tutorials state, and the table."""

import functools
import json
from collections.abc import Iterator

import pytest

from sparring.cli import recipes as catalogue
from sparring.cli.main import main
from sparring.recipes import DEFAULT, RECIPES, named_recipe
from sparring.recipes.recipe import Recipe

PARAMETERS = {
    "mlp-128": (114_064, 100_609),
    "mlp-sgd": (1_493_520, 533_505),
    "mlp-adam": (1_493_520, 923_553),
    "dcgan-tanh": (6_763_777, 3_485_441),
    "mlp-256": (218_128, 100_609),
}


@pytest.fixture(scope="module", autouse=True)
def counted_once() -> Iterator[None]:
    """Making the networks takes the time of these tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(catalogue, "entry", functools.cache(catalogue.entry))
        yield


def test_as_json_they_hold_every_setting_and_the_parameters_of_the_tutorials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["recipes", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert [*entries] == [*RECIPES]
    assert entries["dcgan-tanh"]["expected_seconds"] == pytest.approx(90_000 * 0.14)
    for name, entry in entries.items():
        parameters = entry.pop("generator_parameters"), entry.pop("discriminator_parameters")
        assert parameters == PARAMETERS.get(name, parameters)
        del entry["expected_seconds"]
        assert Recipe.from_json(entry) == named_recipe(name)
        assert entry == json.loads(json.dumps(named_recipe(name).to_json()))


def test_parameters_follow_the_sizes() -> None:
    small = named_recipe("mlp-256").replace(latent_size=2, **{"generator.hidden": (3,), "discriminator.hidden": (5, 7)})
    entry = catalogue.entry(small)
    assert entry["generator_parameters"] == (2 + 1) * 3 + (3 + 1) * 784
    assert entry["discriminator_parameters"] == (784 + 1) * 5 + (5 + 1) * 7 + (7 + 1)


def test_the_table_lists_every_recipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows.keys() >= RECIPES.keys()
    for name, (generator, discriminator) in PARAMETERS.items():
        recipe = named_recipe(name)
        assert recipe.source in rows[name]
        assert f"G {generator:,}" in rows[name] and f"{recipe.steps:,}" in rows[name]
        assert f"D {discriminator:,}" in out
    assert "3.5 h" in rows["dcgan-tanh"] and "57 s" in rows["mlp-256"]
    assert [name for name, row in rows.items() if row.split()[1:2] == ["*"]] == [DEFAULT]
    assert "G mlp 256-512-1024; D mlp 784-392" in out


def test_the_table_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    for name in RECIPES:
        assert f" {name} " in out
