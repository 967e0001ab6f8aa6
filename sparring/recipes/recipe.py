"""THE RECIPE: everything that decides what a run learns, as frozen dataclasses checked when they are made.

A recipe holds sizes and choices, never code, so that the copy written into a run (JSON) can be read back
without the function that made it. Nothing here imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, cast, get_args, get_origin, get_type_hints

from tyro.conf import Fixed, Suppress, arg

from sparring.errors import RecipeError
from sparring.recipes import roles
from sparring.recipes.arguments import plain, shown, whole_or_same
from sparring.recipes.checks import (
    LARGEST_COUNT,
    check_count,
    check_fraction,
    check_not_negative,
    check_positive,
    parse_range,
)
from sparring.recipes.parts import Discriminator, Generator, Optimizer

LossName = Literal["cross-entropy", "least-squares", "hinge", "wasserstein", "relativistic"]
DataOrder = Literal["replacement", "slice", "sequential", "shuffle"]
Fit = Literal["crop", "pad", "stretch"]
Augment = Literal["never", "always", "adaptive", "auto"]
Channels = Literal["auto", "gray", "color", "alpha"]

HELD_OUT = 0.04
"""Share of the images that our recipes hold out: 2,400 of MNIST's 60,000."""
FEW_IMAGES = 10_000
"""Fewer images than these to train on are augmented, if a recipe leaves it open."""
LARGEST_SIZE = 4096
"""Pixels of a side. Networks and memory give up long before."""
LARGEST_LATENT, LARGEST_BATCH = 4096, 1_000_000
LARGEST_GRID = 10_000
"""Images of a sample grid; its rows and columns are at most a tenth of that."""
LONGEST_LOG_INTERVAL = 1000
"""Steps. A training that is asked to stop goes on to the next point of its curves."""
MOST = {
    "latent_size": LARGEST_LATENT,
    "batch_size": LARGEST_BATCH,
    "grid_rows": LARGEST_GRID // 10,
    "grid_columns": LARGEST_GRID // 10,
    "log_every": LONGEST_LOG_INTERVAL,
}
"""The largest values of settings that are counts; of the others it is what JAX counts steps in."""


# ------------------------------------------------------------------------------------------------ the recipe


@dataclass(frozen=True)
class Recipe:
    """One GAN and how it is trained. `steps` is how far to go; all else decides what is learnt on the way."""

    name: Annotated[str, Fixed, Suppress] = field(metadata=roles.NAME)
    """Name of the recipe."""
    source: Annotated[str, Fixed, Suppress] = field(metadata=roles.DESCRIPTION)
    """Where the system comes from."""
    generator: Generator
    """The network that turns latents into images."""
    discriminator: Discriminator
    """The network that tells real images from generated ones."""
    generator_optimizer: Optimizer
    """How the generator's weights follow its gradients."""
    discriminator_optimizer: Optimizer
    """How the discriminator's weights follow its gradients."""
    latent_size: int
    """Numbers in one latent."""
    batch_size: int
    """Images in a batch: fakes in the generator's update, and real ones and fakes for the discriminator."""
    data_order: DataOrder
    """How real batches are drawn: `replacement` at random with replacement, `slice` a run of neighbours at a random
    place, `sequential` in the data's order, `shuffle` a new permutation each epoch."""
    steps: int = field(metadata=roles.LENGTH)
    """Length of the training. One step updates the discriminator and then the generator."""
    grid_every: int = field(metadata=roles.DISPLAY)
    """Steps from one sample grid to the next."""
    grid_rows: int = field(metadata=roles.DISPLAY)
    """Rows of the sample grid."""
    grid_columns: int = field(metadata=roles.DISPLAY)
    """Columns of the sample grid."""
    log_every: int = field(metadata=roles.DISPLAY)
    """Steps that one point of the curves is the mean of."""
    milliseconds_per_step: Annotated[float, Fixed, Suppress] = field(metadata=roles.DESCRIPTION)
    """Measured on two CPU cores; used for the expected time only."""
    latent_std: float = 1.0
    """Standard deviation of the normal latents."""
    loss: LossName = "cross-entropy"
    """What the networks play for (`sparring.gan.losses` has the formulas and sources)."""
    r1: float = 0.0
    """Weight of the penalty on D's gradient at real images; 0 for none."""
    r2: float = 0.0
    """Weight of the same penalty at fakes."""
    gradient_penalty: float = 0.0
    """Weight of WGAN-GP's penalty, which holds D's gradient between real images and fakes at length 1."""
    penalty_values: int = 0
    """Height x width x channels of the images that `r1` and `r2` are meant for; for other images they change in
    proportion, as do squared distances between images. 0: they are the same for all."""
    penalty_one_in: int = 1
    """The penalties are taken on one image in so many of a batch: the same on average, and as much cheaper."""
    discriminator_steps: int = 1
    """Updates of the discriminator, each on a batch of its own, before one of the generator."""
    average_half_life: float = 0.0
    """Samples come from a moving average of the generator's weights in which one of so many steps ago counts half as
    much as now's; shorter at first, a twentieth of the steps done. 0 for none: samples come from the weights."""
    schedule_steps: int = 0
    """Over so many steps rates and penalties go to their ends, by half a cosine, and stay there; 0 for never."""
    learning_rate_end: float = 1.0
    """Where the learning rates go: so many times their first values."""
    penalty_end: float = 1.0
    """Where the weights of the penalties go: so many times their first values."""
    discriminator_batch: Literal["full", "half"] = "full"
    """Real images, and as many fakes, that the discriminator sees in a step: `batch_size` of each, or half."""
    discriminator_updates: Literal["joint", "separate"] = "joint"
    """One update on the mean of both losses, or two: first on the real batch, then on the fakes."""
    discriminator_fakes: Literal["inference", "training"] = "inference"
    """Mode of the generator's BatchNorm when it makes the discriminator's fakes."""
    generator_noise: Literal["fresh", "reuse"] = "fresh"
    """The generator's update draws new latents, or takes those of the discriminator's fakes again."""
    conditional: bool = False
    """Both networks are told the class of each image, so that classes can be asked for; the data need labels."""
    augment: Augment = "never"
    """Whether the discriminator sees augmented images, real and fake (`sparring.gan.augmentation`), so that it does not
    overfit: `adaptive` adapts the strength, `auto` does so for fewer than 10,000 training images."""
    mirror: bool = False
    """Half of the real images, by chance, are mirrored: as good as twice as many, where left and right are alike."""
    data: str = field(default="mnist", metadata=roles.PLACE)
    """The images to learn from: the name of a data set, or the path of a folder, a zip, an NPZ or an IDX file."""
    size: Annotated[int | None, arg(metavar="INT")] = field(default=None, metadata=roles.IMAGES)
    """Pixels of a side to train at. None: the images' own size; where pictures have many, the largest of 16, 28, 32,
    48, 64, 96 and 128 that half of them reach."""
    fit: Fit = field(default="crop", metadata=roles.IMAGES)
    """How a picture of other proportions is made square: `crop` takes the middle, `pad` adds bars, black ones or clear
    ones where it can be transparent, `stretch` distorts it."""
    channels: Channels = field(default="auto", metadata=roles.IMAGES)
    """`gray`, `color`, or `alpha`, which is color and transparency. `auto`: gray if all images are, else color. Without
    alpha, what is transparent becomes white."""
    range: Annotated[str | None, arg(metavar="LOW,HIGH")] = field(default=None, metadata=roles.IMAGES)
    """The numbers in the files that are black and white, such as 0,1 or 0,4095. By default this is seen from the
    numbers; what is unusual is said, and what could be several things is refused."""
    follow_links: bool = field(default=False, metadata=roles.PLACE)
    """Follow symbolic links that lead out of the folder of pictures."""
    held_out: float = field(default=0.0, metadata=roles.IMAGES)
    """Share of the images that is not trained on, by which the run is judged while it trains; 0 to judge none."""
    judge_every: int = field(default=0, metadata=roles.JUDGEMENT)
    """Steps from one judgement on the held-out images to the next, if 5% of the time allows so many; 0 for never."""
    seed: int = 0
    """Decides the first weights, the noise and the order of the data."""

    def __post_init__(self) -> None:
        for name, hint in _hints(Recipe).items():
            object.__setattr__(self, name, _plain(hint, getattr(self, name)))
        _check_types(self)
        for name in (
            "latent_size", "batch_size", "steps", "grid_every", "grid_rows", "grid_columns", "log_every",
            "penalty_one_in", "discriminator_steps",
        ):  # fmt: skip
            check_count(name, getattr(self, name), MOST.get(name, LARGEST_COUNT))
        if self.grid_rows * self.grid_columns > LARGEST_GRID:
            raise RecipeError(
                f"a grid of {self.grid_rows} x {self.grid_columns} images is too large; {LARGEST_GRID:,} are the most"
            )
        check_positive("latent_std", self.latent_std)
        check_positive("milliseconds_per_step", self.milliseconds_per_step)
        if self.discriminator_batch == "half" and self.batch_size % 2:
            raise RecipeError(f"batch_size must be even where the discriminator sees half of it, not {self.batch_size}")
        if self.size is not None and not 1 <= self.size <= LARGEST_SIZE:
            raise RecipeError(f"size must lie between 1 and {LARGEST_SIZE:,} pixels, not {self.size}")
        if self.range is not None:
            parse_range(self.range)
        for name in ("r1", "r2", "gradient_penalty", "average_half_life", "learning_rate_end", "penalty_end"):
            check_not_negative(name, getattr(self, name))
        if self.discriminator_updates == "separate" and (self.loss != "cross-entropy" or self.penalised):
            raise RecipeError("separate updates of the discriminator need the loss cross-entropy, without penalties")
        if self.loss == "relativistic" and self.real_batch_size != self.batch_size:
            raise RecipeError("the relativistic loss pairs each fake with a real image, so batches have to be full")
        if self.generator_noise == "reuse" and self.discriminator_steps > 1:
            raise RecipeError("the generator's update cannot take again the noise of several discriminator steps")
        check_fraction("held_out", self.held_out)
        for name in ("judge_every", "schedule_steps", "penalty_values"):
            if not 0 <= getattr(self, name) <= LARGEST_COUNT:
                raise RecipeError(f"{name} must lie between 0 and {LARGEST_COUNT}, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise RecipeError(f"seed must lie between 0 and {2**32 - 1}, not {self.seed}")

    @property
    def real_batch_size(self) -> int:
        """Real images, and as many fakes, that the discriminator sees in a step."""
        return self.batch_size if self.discriminator_batch == "full" else self.batch_size // 2

    @property
    def reals_per_step(self) -> int:
        """Real images that the discriminator sees before the generator's update."""
        return self.real_batch_size * self.discriminator_steps

    def fitted(self, count: int) -> Recipe:
        """The same recipe with all decided that depends on how many images there are to train on."""
        if self.augment != "auto":
            return self
        return dataclasses.replace(self, augment="adaptive" if count < FEW_IMAGES else "never")

    @property
    def penalised(self) -> bool:
        """Whether the discriminator's gradient is held down."""
        return self.r1 > 0 or self.r2 > 0 or self.gradient_penalty > 0

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
        return cast(Recipe, _replace(self, changes, "the recipe"))

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
        return cast(Recipe, _decode(cls, value, "recipe"))


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
    hints = _hints(cls)
    if unknown := sorted(set(value) - set(hints)):
        raise RecipeError(f"{where} has the unknown setting {unknown[0]!r}")
    fields = [field for field in dataclasses.fields(cls) if field.name not in value]
    if missing := [f.name for f in fields if f.default is dataclasses.MISSING]:
        raise RecipeError(f"{where} lacks the setting {missing[0]!r}")
    made = cls(**{name: _decode(hints[name], v, f"{where}.{name}") for name, v in value.items()})
    _check_types(made)
    return made


def _hints(cls: type) -> dict[str, Any]:
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
    hints = _hints(type(part))
    made = dataclasses.replace(part, **{name: _plain(hints.get(name), value) for name, value in own.items()})
    _check_types(made)
    return made


# ------------------------------------------------------------------------------------------------ checks


def _check_types(part: Any) -> None:
    """Refuse a value whose type is not the field's: JSON and Python callers are not checked by the command line."""
    for name, hint in _hints(type(part)).items():
        value = getattr(part, name)
        if not _fits(hint, value):
            raise RecipeError(f"{name} cannot be {shown(value)}; it should be {_wording(hint)}")


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
    return plain(value)


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


def _wording(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return words.get(hint, str(hint).replace("sparring.recipes.parts.", ""))
