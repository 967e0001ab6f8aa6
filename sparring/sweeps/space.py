"""THE SEARCH SPACE of a sweep: the values of each setting, as lists or ranges, and the trials drawn from them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from sparring.errors import RecipeError, UsageError
from sparring.recipes.arguments import parse_whole, plain, shown
from sparring.recipes.recipe import Recipe, hints, settings_of, wording
from sparring.recipes.renamed import accept_old_names, with_old_names
from sparring.recipes.roles import Role, names_of

MOST_TRIALS = 1000
"""Largest number of trials."""
DIGITS = 4
"""Significant digits of a value drawn from a range, so that tables show the exact values."""
DRAWS_A_TRIAL = 200
"""Draws per trial before giving up on finding different ones."""
HIDDEN = names_of(Recipe, Role.NAME, Role.DESCRIPTION)
"""Settings that describe a recipe and change nothing."""
JUDGED_BY = names_of(Recipe, Role.IMAGES, Role.PLACE)
"""Settings that decide which images a run is judged by. Scores by different images cannot be ranked."""


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included. Integers for a setting that takes integers.

    Integers are drawn uniformly. Floats are drawn uniformly, or log-uniformly if `low` is positive and `high` at
    least ten times `low`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            end = plain(getattr(self, name))
            if isinstance(end, bool) or not isinstance(end, int | float):
                raise UsageError(f"a range goes from a number to a number, but its {name} is {shown(end)}")
            object.__setattr__(self, name, end)

    @property
    def is_whole(self) -> bool:
        """Whether it holds integers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def is_logarithmic(self) -> bool:
        """Whether numbers are drawn log-uniformly."""
        return not self.is_whole and self.low > 0 and self.high / self.low >= 10 * (1 - 1e-9)


Axis = tuple[Any, ...] | Range
"""The values of one setting: a list or a range."""
Space = dict[str, Axis]
"""Dotted name of a setting -> its values."""
Point = dict[str, Any]
"""A trial: one value for each setting."""


# ------------------------------------------------------------------------------------------------ checks


def make_space(recipe: Recipe, wanted: Mapping[str, Sequence[Any] | Range]) -> Space:
    """Validate the space of a recipe. Raises `RecipeError` for an unknown setting or an invalid value."""
    space: Space = {}
    if not isinstance(wanted, Mapping):
        raise UsageError(f"the space should be a dictionary of settings and values to try, not {shown(wanted)}")
    for name, given_values in accept_old_names(wanted).items():
        values, hint = _values(given_values), hint_of(recipe, name)
        if name in JUDGED_BY and (isinstance(values, Range) or (isinstance(values, tuple) and len(values) > 1)):
            raise RecipeError(f"{name} cannot be swept: runs judged by different images cannot be ranked")
        if isinstance(values, Range):
            space[name] = _checked_range(recipe, name, hint, values)
        elif not isinstance(values, tuple) or not values:
            raise RecipeError(f"{name} needs a list of values to try, not {shown(given_values)}")
        else:
            tried = tuple(float(value) if _is_float(hint, value) else value for value in values)
            if endless := [value for value in tried if isinstance(value, float) and not math.isfinite(value)]:
                raise RecipeError(f"{name} cannot be {endless[0]}; it should be a finite number")
            given = Counter(map(repr, tried))
            if twice := [value for value in tried if given[repr(value)] > 1]:
                raise RecipeError(f"{name} has {value_words(twice[0])} twice among the values to try")
            space[name] = tried
    if not any(isinstance(axis, Range) or len(axis) > 1 for axis in space.values()):
        raise RecipeError("there is nothing to try: give a setting several values")
    return space


def settings(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe that may be swept, by their dotted names, with their values."""
    everything = settings_of(recipe).items()
    return {name: value for name, value in everything if name not in HIDDEN and not name.endswith(".kind")}


def hint_of(recipe: Recipe, name: str) -> Any:
    """The type of a setting. Raises `RecipeError` for an unknown name, with the nearest one."""
    known = settings(recipe)
    if not isinstance(name, str):
        raise UsageError(f"settings are called by their names, not by {shown(name)}")
    if name not in known:
        import difflib  # imported late, because `--help` does not need it

        near = difflib.get_close_matches(name, known, n=1)
        raise RecipeError(f"{recipe.name} has no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    head, _, tail = name.rpartition(".")
    part: Any = getattr(recipe, head) if head else recipe
    return hints(part.__class__)[tail]


def _values(values: Any) -> Any:
    """Convert a list of values to a tuple of Python's numbers. Anything else is returned unchanged."""
    values = values.tolist() if getattr(values, "ndim", 0) == 1 else values
    if isinstance(values, Range):
        return values
    return tuple(plain(value) for value in values) if isinstance(values, list | tuple | range) else values


def _checked_range(recipe: Recipe, name: str, hint: Any, wanted: Range) -> Range:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if int not in kinds and float not in kinds:
        raise RecipeError(f"{name} takes no numbers, so it has no ranges")
    if not (math.isfinite(wanted.low) and math.isfinite(wanted.high) and wanted.low < wanted.high):
        raise RecipeError(f"the range of {name} should go up, not from {wanted.low!r} to {wanted.high!r}")
    made = Range(float(wanted.low), float(wanted.high)) if float in kinds else wanted
    for end in (made.low, made.high):
        recipe.replace(**{name: end})
    return made


def _is_float(hint: Any, value: Any) -> bool:
    return (hint is float or float in get_args(hint)) and isinstance(value, int) and not isinstance(value, bool)


# ------------------------------------------------------------------------------------------------ the trials


def make_points(recipe: Recipe, space: Space, trials: int | None, seed: int) -> list[Point]:
    """Make the trials: the whole grid, with the last setting changing fastest, or `trials` different random points.

    Random points are drawn by Optuna's RandomSampler with the seed. Raises `RecipeError` for too many trials, for a
    range without `trials`, and for a trial that the recipe refuses.
    """
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        raise RecipeError(f"the number of trials must lie between 1 and {MOST_TRIALS:,}, not {trials:,}")
    endless = next((name for name, axis in space.items() if isinstance(axis, Range) and not axis.is_whole), None)
    ranges = [name for name, axis in space.items() if isinstance(axis, Range)]
    if ranges and trials is None:
        raise RecipeError(f"{ranges[0]} has a range to draw from, so it needs a number of trials, such as --trials 20")
    size = math.inf if endless else math.prod(len(_whole(axis)) for axis in space.values())
    if trials is None and size > MOST_TRIALS:
        raise RecipeError(
            f"this grid has {size:,} trials, more than {MOST_TRIALS:,}; --trials 20, for example, draws 20 of them"
        )
    if trials is None or size <= trials:
        grid = itertools.product(*map(_whole, space.values()))
        points = [dict(zip(space, values, strict=True)) for values in grid]
    else:
        points = _draw(space, trials, seed)
    for point in points:
        try:
            recipe.replace(**point)
        except RecipeError as error:
            raise RecipeError(f"the trial with {point_words(point)} is impossible: {error}") from None
    return points


def _whole(axis: Axis) -> Sequence[Any]:
    """All values of a list or of a range of integers."""
    return range(int(axis.low), int(axis.high) + 1) if isinstance(axis, Range) else axis


def _draw(space: Space, trials: int, seed: int) -> list[Point]:
    """Draw `trials` different points of a space that has more."""
    with quiet_optuna() as optuna:
        sampler = optuna.samplers.RandomSampler(seed=seed)
        study = optuna.create_study(sampler=sampler)
        study.ask()
        (trial,) = study.trials
    kinds = distributions(space)
    points: list[Point] = []
    for _ in range(DRAWS_A_TRIAL * trials):
        drawn = {name: sampler.sample_independent(study, trial, name, kind) for name, kind in kinds.items()}
        point = {name: _undo(space[name], value) for name, value in drawn.items()}
        if point not in points:
            points.append(point)
        if len(points) == trials:
            return points
    raise RecipeError(
        f"only {len(points):,} different trials could be drawn, not {trials:,}: numbers are rounded to {DIGITS} "
        "digits; widen a range or take fewer trials"
    )


def distributions(space: Space) -> dict[str, Any]:
    """The space as Optuna's distributions."""
    optuna = load_optuna()

    def of(axis: Axis) -> Any:
        if not isinstance(axis, Range):
            return optuna.distributions.CategoricalDistribution([_simple(value) for value in axis])
        if axis.is_whole:
            return optuna.distributions.IntDistribution(int(axis.low), int(axis.high))
        return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.is_logarithmic)

    return {name: of(axis) for name, axis in space.items()}


def stored(point: Point) -> dict[str, Any]:
    """A trial as Optuna stores it. Renamed settings keep their old names there, so that older sweeps can be resumed."""
    return with_old_names({name: _simple(value) for name, value in point.items()})


def _simple(value: Any) -> Any:
    """A value without tuples, which Optuna does not have."""
    return value_words(value) if isinstance(value, tuple) else value


def _undo(axis: Axis, drawn: Any) -> Any:
    """Convert a value drawn by Optuna to a value of the setting."""
    if not isinstance(axis, Range):
        return next(value for value in axis if _simple(value) == drawn and type(_simple(value)) is type(drawn))
    if axis.is_whole:
        return int(drawn)
    return min(max(float(f"{drawn:.{DIGITS}g}"), axis.low), axis.high)


def load_optuna() -> Any:
    """Import Optuna. Raises `MissingExtra` if it is not installed."""
    from sparring.system import extras

    return extras.load("optuna", "sweep", "a sweep")


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Import Optuna, which prints only errors within the block."""
    optuna = load_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)


# ------------------------------------------------------------------------------------------------ as text


def parse_axis(recipe: Recipe, name: str, text: str) -> Axis:
    """Parse the values of a setting: "1e-4", "1e-4,3e-4", "1e-5:1e-3", "true,false", "128,256-128" (widths).

    Raises `RecipeError` for anything else.
    """
    hint = hint_of(recipe, name)
    if hint is str or str in get_args(hint):  # a comma may be part of the value
        return (None if text == "none" and hint is not str else text,)
    low, colon, high = text.partition(":")
    if colon:
        ends = _parse(name, hint, low), _parse(name, hint, high)
        if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends):
            raise RecipeError(f"{name} takes no numbers, so it has no ranges")
        return Range(*ends)
    return tuple(_parse(name, hint, item) for item in text.split(","))


def _parse(name: str, hint: Any, text: str) -> Any:
    """Parse one value. "none" is None if the setting allows it."""
    text, origin, args = text.strip(), get_origin(hint), get_args(hint)
    if origin in (Union, UnionType) and type(None) in args:
        if text.lower() == "none":
            return None
        hint = next(kind for kind in args if kind is not type(None))
    try:
        if hint is bool:
            return {"true": True, "false": False}[text.lower()]
        if hint is int:
            return parse_whole(text)
        if hint is float:
            return float(text)
        if origin is tuple:
            return tuple(parse_whole(width) for width in text.split("-"))
        if origin is Literal and text in args:
            return text
    except (ValueError, KeyError):
        pass
    raise RecipeError(f"{name} cannot be {text!r}; it should be {_wording(hint)}")


def _wording(hint: Any) -> str:
    return 'whole numbers, joined by "-" where they are several' if get_origin(hint) is tuple else wording(hint)


def value_words(value: Any) -> str:
    """Format a value."""
    if isinstance(value, (tuple, list)):
        return "-".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def axis_words(axis: Axis) -> str:
    """Format the values of a setting."""
    if isinstance(axis, Range):
        return f"{value_words(axis.low)}:{value_words(axis.high)}"
    return ",".join(map(value_words, axis))


def point_words(point: Point) -> str:
    """Format a trial in one line."""
    return ", ".join(f"{name} {value_words(value)}" for name, value in point.items())


# ------------------------------------------------------------------------------------------------ JSON


def axis_to_json(axis: Axis) -> Any:
    """Plain JSON values."""
    if isinstance(axis, Range):
        return dataclasses.asdict(axis)
    return [list(value) if isinstance(value, tuple) else value for value in axis]


def axis_from_json(value: Any) -> Axis:
    """Read what `axis_to_json` wrote. Raises `TypeError`, `KeyError` or `ValueError` for anything else."""
    if isinstance(value, dict):
        ends = value["low"], value["high"]
        if not all(map(is_number, ends)) or not ends[0] < ends[1]:
            raise ValueError(f"not a range of numbers: {value!r:.80}")
        return Range(*ends)
    if not isinstance(value, list) or not value:
        raise TypeError(f"not a list of values: {value!r:.80}")
    return tuple(map(_value, value))


def point_to_json(point: Point) -> dict[str, Any]:
    """Plain JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in point.items()}


def point_from_json(value: Any, space: Space) -> Point:
    """Read what `point_to_json` wrote of a point in the space. Raises `TypeError` or `ValueError` for anything else."""
    point = {name: _value(item) for name, item in value.items()}
    if point.keys() != space.keys() or not all(_is_in(item, space[name]) for name, item in point.items()):
        raise ValueError(f"a trial that is not in this sweep: {value!r:.80}")
    return point


def _is_in(value: Any, axis: Axis) -> bool:
    return is_number(value) and axis.low <= value <= axis.high if isinstance(axis, Range) else value in axis


def is_number(value: Any) -> bool:
    """Whether it is a finite number of a usual size."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300


def _value(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(width, int) for width in value):
        return tuple(value)
    if not isinstance(value, (str, int, float, NoneType)):
        raise TypeError(f"not a value of a setting: {value!r:.80}")
    return value
