"""THE SETTINGS of a recipe in groups: description, data, networks, objective, optimisation, length and display.

The metadata of a field say its role (`sparring.recipes.roles`); a field without any decides what a step computes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import DisallowNone, Fixed, Suppress, arg

from sparring.errors import RecipeError
from sparring.recipes import roles
from sparring.recipes.checks import (
    check_count,
    check_count_or_zero,
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

VALIDATION_SHARE = 0.04
"""Share of the images that are validation images in the recipes that come with Sparring: 2,400 of MNIST's 60,000."""
FEW_IMAGES = 10_000
"""Fewer training images than this are augmented, if a recipe leaves it open."""
STRONG_PENALTY, WEAK_PENALTY, STRONG_PENALTY_BELOW = 1.0, 0.1, 4_000
"""Weights of R1 and R2 if a recipe leaves them open: the strong one for fewer training images than the last number."""
FEW_IN_CLASS, MANY_CLASSES = 20, 1_000
"""With a class of fewer images, or more classes, the networks get no classes, if a recipe leaves it open."""
LARGEST_SIZE = 4096
"""Pixels of a side. Networks and memory give up long before."""
LARGEST_LATENT, LARGEST_BATCH = 4096, 1_000_000
LARGEST_GRID = 10_000
"""Images of a sample grid; its rows and columns are at most a tenth of that."""
LONGEST_LOG_INTERVAL = 1000
"""Steps. A training that is asked to stop goes on to the next point of its curves."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a recipe is. Nothing here changes what is learnt."""

    name: Annotated[str, Fixed, Suppress] = field(metadata=roles.NAME)
    """Name of the recipe."""
    source: Annotated[str, Fixed, Suppress] = field(metadata=roles.DESCRIPTION)
    """Where the system comes from."""
    milliseconds_per_step: Annotated[float, Fixed, Suppress] = field(metadata=roles.DESCRIPTION)
    """Measured on two CPU cores; used for the expected time only."""

    def __post_init__(self) -> None:
        check_positive("milliseconds_per_step", self.milliseconds_per_step)


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images are trained on, and how they are prepared."""

    data: str = field(default="mnist", metadata=roles.PLACE)
    """The images to learn from: the name of a data set, or the path of a folder, a zip, an NPZ or an IDX file."""
    follow_links: bool = field(default=False, metadata=roles.PLACE)
    """Follow symbolic links that lead out of the folder of pictures."""
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
    """The numbers in the files that are black and white, such as 0,1 or 0,4095. By default they are found from the
    numbers; an unusual range is reported, and an ambiguous one is refused."""
    mirror: bool = False
    """Mirror each real image with probability 1/2: as good as twice as many images, where left and right are alike."""
    validation: float = field(default=0.0, metadata=roles.IMAGES)
    """Share of the images that are validation images: they are not trained on, and the run is judged by them while it
    trains. 0 for none."""

    def __post_init__(self) -> None:
        check_fraction("validation", self.validation)
        if self.size is not None and not 1 <= self.size <= LARGEST_SIZE:
            raise RecipeError(f"size must lie between 1 and {LARGEST_SIZE:,} pixels, not {self.size}")
        if self.range is not None:
            parse_range(self.range)


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Both networks, and what the generator starts from and leaves."""

    generator: Generator
    """The network that turns latents into images."""
    discriminator: Discriminator
    """The network that tells real images from generated ones."""
    latent_size: int
    """Dimension of the latents."""
    latent_std: float = 1.0
    """Standard deviation of the normal latents."""
    conditional: DisallowNone[bool | None] = False
    """Both networks get the class of each image, so that images of a class can be asked for; the data need labels.
    None: where there are 2 to 1,000 classes of 20 images or more."""
    ema_half_life: float = 0.0
    """Half-life, in steps, of the exponential moving average (EMA) of the generator's params, from which samples come;
    at first a twentieth of the steps done. 0 for no EMA."""

    def __post_init__(self) -> None:
        check_count("latent_size", self.latent_size, LARGEST_LATENT)
        check_positive("latent_std", self.latent_std)
        check_not_negative("ema_half_life", self.ema_half_life)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What the networks minimise."""

    loss: LossName = "cross-entropy"
    """The losses of both networks (`sparring.gan.losses` has the formulas and sources)."""
    r1: float | None = 0.0
    """Weight of the R1 gradient penalty, on D's gradient at real images; 0 for none. None: 0.1, or 1 for fewer than
    4,000 training images."""
    r2: float | None = 0.0
    """Weight of the R2 gradient penalty, the same at fakes."""
    gradient_penalty: float = 0.0
    """Weight of WGAN-GP's gradient penalty, which pulls the length of D's gradient between real images and fakes
    towards 1; 0 for none."""
    penalty_values: int = 0
    """Height x width x channels of the images that `r1` and `r2` are meant for. For other images they are scaled in
    proportion, like squared distances between images. 0: they are not scaled."""
    penalty_one_in: int = 1
    """The gradient penalties are computed on one image in so many: the same on average, and cheaper by as much."""
    augment: Augment = "never"
    """Whether the discriminator sees augmented images, real and fake (`sparring.gan.augmentation`), so that it does not
    overfit: `adaptive` adapts the strength, `auto` does so for fewer than 10,000 training images."""

    def __post_init__(self) -> None:
        for name in ("r1", "r2", "gradient_penalty"):
            if getattr(self, name) is not None:
                check_not_negative(name, getattr(self, name))
        check_count_or_zero("penalty_values", self.penalty_values)
        check_count("penalty_one_in", self.penalty_one_in)

    @property
    def penalised(self) -> bool:
        """Whether there is a gradient penalty."""
        return any(weight != 0 for weight in (self.r1, self.r2, self.gradient_penalty))


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How a step updates the params."""

    generator_optimizer: Optimizer
    """How the generator's params are updated."""
    discriminator_optimizer: Optimizer
    """How the discriminator's params are updated."""
    batch_size: int
    """Images in a batch: fakes in the generator's update, and real ones and fakes for the discriminator."""
    data_order: DataOrder
    """How real batches are drawn: `replacement` at random with replacement, `slice` a run of neighbours at a random
    place, `sequential` in the data's order, `shuffle` a new permutation each epoch."""
    discriminator_steps: int = 1
    """Updates of the discriminator, each on a batch of its own, before one of the generator."""
    discriminator_batch: Literal["full", "half"] = "full"
    """Real images, and as many fakes, that the discriminator sees in a step: `batch_size` of each, or half."""
    discriminator_updates: Literal["joint", "separate"] = "joint"
    """One update on the mean of both losses, or two: first on the real batch, then on the fakes."""
    discriminator_fakes: Literal["inference", "training"] = "inference"
    """Mode of the generator's BatchNorm when it makes the discriminator's fakes."""
    generator_noise: Literal["fresh", "reuse"] = "fresh"
    """The generator's update draws new latents, or takes those of the discriminator's fakes again."""
    seed: int = 0
    """Decides the initial params, the noise and the order of the data."""

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size, LARGEST_BATCH)
        check_count("discriminator_steps", self.discriminator_steps)
        if self.discriminator_batch == "half" and self.batch_size % 2:
            raise RecipeError(f"batch_size must be even where the discriminator sees half of it, not {self.batch_size}")
        if self.generator_noise == "reuse" and self.discriminator_steps > 1:
            raise RecipeError("the generator's update cannot take again the noise of several discriminator steps")
        if not 0 <= self.seed < 2**32:
            raise RecipeError(f"seed must lie between 0 and {2**32 - 1}, not {self.seed}")

    @property
    def real_batch_size(self) -> int:
        """Real images, and as many fakes, that the discriminator sees in an update."""
        return self.batch_size if self.discriminator_batch == "full" else self.batch_size // 2

    @property
    def reals_per_step(self) -> int:
        """Real images that the discriminator sees before the generator's update."""
        return self.real_batch_size * self.discriminator_steps


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long is trained, and what changes on the way."""

    steps: int = field(metadata=roles.LENGTH)
    """Length of the training. One step updates the discriminator and then the generator."""
    schedule_steps: int = 0
    """Steps over which learning rates and gradient penalties change to their final values, along half a cosine; 0 for
    never."""
    learning_rate_end: float = 1.0
    """Final learning rates, as a multiple of the initial ones."""
    penalty_end: float = 1.0
    """Final weights of the gradient penalties, as a multiple of the initial ones."""

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count_or_zero("schedule_steps", self.schedule_steps)
        for name in ("learning_rate_end", "penalty_end"):
            check_not_negative(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Display:
    """What is judged, logged and shown during the training."""

    judge_every: int = field(default=0, metadata=roles.JUDGEMENT)
    """Steps between judgements on the validation images, or more if they took over 5% of the time; 0 for never."""
    log_every: int = field(metadata=roles.DISPLAY)
    """Steps that each point of the curves averages over."""
    grid_every: int = field(metadata=roles.DISPLAY)
    """Steps between sample grids."""
    grid_rows: int = field(metadata=roles.DISPLAY)
    """Rows of the sample grid."""
    grid_columns: int = field(metadata=roles.DISPLAY)
    """Columns of the sample grid."""

    def __post_init__(self) -> None:
        check_count_or_zero("judge_every", self.judge_every)
        check_count("log_every", self.log_every, LONGEST_LOG_INTERVAL)
        check_count("grid_every", self.grid_every)
        for name in ("grid_rows", "grid_columns"):
            check_count(name, getattr(self, name), LARGEST_GRID // 10)
        if self.grid_rows * self.grid_columns > LARGEST_GRID:
            raise RecipeError(
                f"a grid of {self.grid_rows} x {self.grid_columns} images is too large; {LARGEST_GRID:,} are the most"
            )
