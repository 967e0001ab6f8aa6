"""`sparring sweep`: train a recipe with several values of its settings, and rank the runs."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import AvoidSubcommands, UseAppendAction, arg

from sparring import interrupts
from sparring.cli.parsing import (
    Flag,
    as_option,
    check_seconds,
    is_flag,
    negated,
    option_names,
    optional,
    parse,
    parse_known,
    setting_options,
    split_recipe,
    unrecognized,
    wants_help,
)
from sparring.errors import UsageError
from sparring.recipes import DEFAULT, named_recipe
from sparring.recipes.recipe import Recipe
from sparring.sweeps import space
from sparring.terminal.output import plain_console, print_block, shell_quoted

PROGRAM = "sparring sweep [RECIPE]"


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The options that are not settings of the recipe."""

    trials: Annotated[int | None, optional("INT")] = None
    """Number of different trials to draw at random. By default all combinations are tried."""
    draw_seed: int = 0
    """Seed for drawing the trials."""
    out: Annotated[Path | None, optional("FOLDER")] = None
    """Folder of the sweep. Default: sweeps/RECIPE-TIME. A sweep that is already there is resumed."""
    resume: Annotated[Path | None, optional("FOLDER")] = None
    """Resume the sweep in this folder, or help the processes that are working on it."""
    tensorboard: Flag = False
    """Also write TensorBoard files (needs the extra `tensorboard`)."""
    checkpoint_seconds: float = 15.0
    """Seconds between checkpoints. A killed run loses at most this much work."""
    json: Flag = False
    """Print the ranking as JSON."""


@dataclass(frozen=True, kw_only=True)
class SweepWithSettings(SweepOptions):
    """Train a recipe with several values of its settings, and rank the runs by their scores.

    The recipe's name comes first and may be left out. Every setting is an option. It takes one value, a list with
    commas (1e-4,3e-4 or true,false or none,0.8; widths as 128,256-128) or, with --trials, a range (1e-5:1e-3).

    Run the same command again to resume a sweep that was stopped. Several processes with the same --out share the
    trials."""

    recipe: Annotated[AvoidSubcommands[Recipe], arg(name="")]


def run(words: list[str]) -> int:
    """Run `sparring sweep [RECIPE] [OPTIONS]`."""
    name, words = split_recipe(words)
    given, rest = parse_known(SweepOptions, words, PROGRAM)
    recipe = named_recipe(DEFAULT if name is None else name)
    if wants_help(rest):
        parse(SweepWithSettings, rest, PROGRAM, SweepWithSettings(recipe=recipe, **vars(given)))
    texts = parse_values(rest, recipe)
    check_seconds(given.checkpoint_seconds)
    if given.resume is not None:
        _refuse_changes(given, [name, *map(as_option, texts)])
    values = {setting: space.parse_axis(recipe, setting, text) for setting, text in texts.items()}

    from sparring.sweeps import study
    from sparring.training import live

    reporter = live.reporter(plain_console(stderr=given.json), transient=True)
    sweep = partial(study.sweep, recipe, values, trials=given.trials, draw_seed=given.draw_seed, out=given.out)
    if given.resume is not None:
        sweep = partial(study.resume, given.resume)
    done = sweep(tensorboard=given.tensorboard, checkpoint_seconds=given.checkpoint_seconds, reporter=reporter)
    if given.json:
        print_block(jsonlib.dumps([place.to_json() for place in done.places], indent=2))
    else:
        done.print(plain_console())
    if done.stopped:
        reporter.print(f"Go on with: sparring sweep --resume {shell_quoted(str(done.path))}")
        return interrupts.EXIT_STATUS
    return 0


def _refuse_changes(given: SweepOptions, others: Iterable[str | None]) -> None:
    """Raise `UsageError` for anything that would change the sweep to resume."""
    options = {"--out": given.out, "--trials": given.trials, "--draw-seed": given.draw_seed or None}
    changes = [*filter(None, others), *(option for option, value in options.items() if value is not None)]
    if changes:
        raise UsageError(f"--resume cannot change a sweep; leave out {changes[0]}")


def parse_values(words: list[str], recipe: Recipe) -> dict[str, str]:
    """Parse the options of a recipe's settings into the text of their values, by the dotted names of the settings.

    Raises `UsageError`.
    """
    settings = space.settings(recipe)
    known = [*option_names(SweepOptions), *setting_options(settings)]
    given = vars(parse(_values_class(settings), words, PROGRAM, known=known))
    texts = {}
    for name, usual in settings.items():
        occurrences = [*given[_key(name)], *(["false"] if given.get(_key(negated(name))) else [])]
        if len(occurrences) > 1:
            raise UsageError(f"{as_option(name)} is given twice; separate the values to try with commas")
        if occurrences:
            texts[name] = _value_text(name, usual, occurrences[0])
    return texts


def _values_class(settings: dict[str, Any]) -> type:
    """A dataclass with a field for each setting, which holds the words of each occurrence of its option."""
    fields: list[Any] = []
    for name, usual in settings.items():
        kind: Any = tuple[tuple[str, ...], ...] if isinstance(usual, list) or is_flag(name, usual) else tuple[str, ...]
        hint = UseAppendAction[kind]
        fields.append((_key(name), Annotated[hint, arg(name=as_option(name)[2:])], ()))
        if is_flag(name, usual):
            fields.append((_key(negated(name)), Annotated[Flag, arg(name=as_option(negated(name))[2:])], False))
    return dataclasses.make_dataclass("Values", fields, frozen=True)


def _key(name: str) -> str:
    return name.replace(".", "__")


def _value_text(name: str, usual: Any, words: str | tuple[str, ...]) -> str:
    """The text of the values, from the words that follow the option of a setting."""
    if isinstance(words, str):
        return words
    if is_flag(name, usual):
        if len(words) > 1:
            raise unrecognized(words[1:], "sparring sweep", [])
        return words[0] if words else "true"
    if not words:
        raise UsageError(f"missing value for {as_option(name)}; see sparring sweep --help")
    if len(words) > 1 and any("," in word for word in words):
        raise UsageError(f"{as_option(name)}: write widths to try as one word, such as 128,256-128")
    return "-".join(words)
