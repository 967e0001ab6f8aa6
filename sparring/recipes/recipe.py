"""THE RECIPE: everything that decides what a run learns, as frozen dataclasses checked when they are made.

A recipe holds sizes and choices, never code, so that the copy written into a run (JSON) can be read back
without the function that made it. Nothing here imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Union, cast, get_args, get_origin, get_type_hints

from sparring.errors import RecipeError
from sparring.recipes import roles
from sparring.recipes.arguments import plain, shown, whole_or_same
from sparring.recipes.checks import LARGEST_COUNT, LARGEST_NUMBER
from sparring.recipes.parts import Discriminator, Generator, Optimizer
from sparring.recipes.renamed import accept_old_names, with_new_names
from sparring.recipes.settings import (
    FEW_IMAGES,
    FEW_IN_CLASS,
    MANY_CLASSES,
    STRONG_PENALTY,
    STRONG_PENALTY_BELOW,
    WEAK_PENALTY,
    Data,
    Description,
    Display,
    Length,
    Networks,
    Objective,
    Optimization,
)


@dataclass(frozen=True, kw_only=True)
class Recipe(Display, Length, Optimization, Objective, Networks, Data, Description):
    """One GAN and how it is trained. Its settings are in `sparring.recipes.settings`, a class for each group.

    The fields come in the order of the bases from the last to the first, as dataclasses collect them.
    """

    def __post_init__(self) -> None:
        for name, hint in hints(Recipe).items():
            object.__setattr__(self, name, _plain(hint, getattr(self, name)))
        _check_types(self)
        for group in Recipe.__bases__:
            group.__post_init__(self)  # type: ignore[attr-defined]
        if self.discriminator_updates == "separate" and (self.loss != "cross-entropy" or self.penalised):
            raise RecipeError("separate updates of the discriminator need the loss cross-entropy, without penalties")
        if self.loss == "relativistic" and self.real_batch_size != self.batch_size:
            raise RecipeError("the relativistic loss pairs each fake with a real image, so batches have to be full")

    def fitted(self, count: int, class_counts: Mapping[str, int]) -> Recipe:
        """The same recipe with all decided that depends on the number of training images, and of images by class."""
        decided: dict[str, Any] = {}
        if self.augment == "auto":
            decided["augment"] = "adaptive" if count < FEW_IMAGES else "never"
        weight = STRONG_PENALTY if count < STRONG_PENALTY_BELOW else WEAK_PENALTY
        decided |= {name: weight for name in ("r1", "r2") if getattr(self, name) is None}
        if self.conditional is None:
            enough = min(class_counts.values(), default=0) >= FEW_IN_CLASS
            decided["conditional"] = enough and 2 <= len(class_counts) <= MANY_CLASSES
        return dataclasses.replace(self, **decided)

    @property
    def expected_seconds(self) -> float:
        """How long the whole training takes on two CPU cores, start and compilation not counted."""
        return self.steps * self.milliseconds_per_step / 1000

    def replace(self, **changes: Any) -> Recipe:
        """The same recipe with other settings; a part's setting is named with a dot.

        >>> from sparring.recipes import RECIPES
        >>> RECIPES["mlp-adam"]().replace(batch_size=64, **{"generator_optimizer.learning_rate": 1e-4}).batch_size
        64

        Raises `RecipeError` for an unknown name or an impossible value.
        """
        return cast(Recipe, _replace(self, accept_old_names(changes), "the recipe"))

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values; a part says its kind."""
        return cast(dict[str, Any], _encode(self))

    @staticmethod
    def check_generator(kind: str, sizes: dict[str, Any]) -> None:
        """Raise `RecipeError` where no generator of that kind has these sizes."""
        _decode(Generator, {"kind": kind} | sizes, "generator")

    @classmethod
    def from_json(cls, value: Any) -> Recipe:
        """The recipe that `to_json` wrote. Raises `RecipeError` where a name or a type is wrong."""
        settings = with_new_names(value) if isinstance(value, dict) else value
        return cast(Recipe, _decode(cls, settings, "recipe"))


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Every setting by its dotted name, parts opened up: `{"batch_size": 32, "generator.kind": "mlp", ...}`."""
    return _flatten(recipe.to_json(), "")


def differences(
    old: Recipe, new: Recipe, counted: tuple[roles.Role, ...] = roles.DECISIVE
) -> list[tuple[str, Any, Any]]:
    """(name, old value, new value) of each setting that differs, of the roles that are counted."""
    before, after = settings_of(old), settings_of(new)
    names = roles.names_of(Recipe, *counted)
    return [
        (name, before.get(name), after.get(name))
        for name in before | after
        if name.partition(".")[0] in names and before.get(name) != after.get(name)
    ]


# ------------------------------------------------------------------------------------------------ JSON

KINDS: dict[Any, dict[str, type]] = {
    part: {option.kind: option for option in get_args(part)} for part in (Generator, Discriminator, Optimizer)
}


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        kind = {"kind": value.kind} if hasattr(value, "kind") else {}
        return kind | {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return list(value) if isinstance(value, tuple) else value


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint in KINDS:
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in KINDS[hint]:
            raise RecipeError(f"{where} has the unknown kind {kind!r}; known are {', '.join(KINDS[hint])}")
        return _decode(KINDS[hint][kind], {k: v for k, v in value.items() if k != "kind"}, where)
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(cast(type, hint), value, where)
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    return value


def _decode_dataclass(cls: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise RecipeError(f"{where} should be an object, not {value!r}")
    kinds = hints(cls)
    if unknown := sorted(set(value) - set(kinds)):
        raise RecipeError(f"{where} has the unknown setting {unknown[0]!r}")
    fields = [field for field in dataclasses.fields(cls) if field.name not in value]
    if missing := [f.name for f in fields if f.default is dataclasses.MISSING]:
        raise RecipeError(f"{where} lacks the setting {missing[0]!r}")
    made = cls(**{name: _plain(kinds[name], _decode(kinds[name], v, f"{where}.{name}")) for name, v in value.items()})
    _check_types(made)
    return made


@cache
def hints(cls: type) -> dict[str, Any]:
    """The type of each setting of a recipe or of a part."""
    return {name: hint for name, hint in get_type_hints(cls).items() if get_origin(hint) is not ClassVar}


def _flatten(value: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat |= _flatten(item, f"{prefix}{name}.") if isinstance(item, dict) else {prefix + name: item}
    return flat


def _replace(part: Any, changes: dict[str, Any], where: str) -> Any:
    own = {name: value for name, value in changes.items() if "." not in name}
    for name in changes:
        if not hasattr(part, name.partition(".")[0]):
            raise RecipeError(f"{where} has no setting {name!r}")
    for head in {name.partition(".")[0] for name in changes if "." in name}:
        inner = {name.partition(".")[2]: value for name, value in changes.items() if name.startswith(f"{head}.")}
        own[head] = _replace(own.get(head, getattr(part, head)), inner, head)
    kinds = hints(part.__class__)
    made = dataclasses.replace(part, **{name: _plain(kinds.get(name), value) for name, value in own.items()})
    _check_types(made)
    return made


# ------------------------------------------------------------------------------------------------ checks


def _check_types(part: Any) -> None:
    """Refuse a value whose type is not the field's: JSON and Python callers are not checked by the command line."""
    for name, hint in hints(part.__class__).items():
        value = getattr(part, name)
        if not _fits(hint, value):
            raise RecipeError(f"{name} cannot be {shown(value)}; it should be {wording(hint)}")


def _plain(hint: Any, value: Any) -> Any:
    """A value of another kind whose meaning is plain, as the setting takes it: NumPy's numbers, 1e4 for 10,000, a path,
    a list of widths. All else as it is."""
    kinds = {hint, *get_args(hint)} if get_origin(hint) in (Union, UnionType) else {hint}
    if str in kinds and isinstance(value, os.PathLike):
        return os.fspath(value)
    if int in kinds:
        return whole_or_same(value)
    if get_origin(hint) is tuple:
        value = value.tolist() if hasattr(value, "tolist") else value
        return tuple(whole_or_same(item) for item in value) if isinstance(value, list | tuple) else value
    value = plain(value)
    if float in kinds and isinstance(value, int) and LARGEST_COUNT < abs(value) <= LARGEST_NUMBER:
        return float(value)  # JAX takes no longer integers
    return value


def _fits(hint: Any, value: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (Union, UnionType):
        return any(_fits(option, value) for option in args)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(args[0], item) for item in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def wording(hint: Any) -> str:
    """What a setting of that type takes, in words."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return words.get(hint, str(hint).replace("sparring.recipes.parts.", ""))
