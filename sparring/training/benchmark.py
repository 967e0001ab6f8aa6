"""THE SPEED of a recipe: its compiled loop, timed in turn with a matrix product on the same machine."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from sparring.gan.batch import Batch
from sparring.gan.gan import MNIST_SHAPE, ImageShape, make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import init_state, stack_states
from sparring.recipes.recipe import Recipe
from sparring.system.numerics import fixed
from sparring.terminal.output import plain_console
from sparring.terminal.tables import numbers_table, print_whole
from sparring.training.chunks import CAPACITY, compile_chunk
from sparring.training.devices import ONE_DEVICE, Devices
from sparring.training.feed import Order
from sparring.training.operations import CLASSES, FORMULA, step_operations

IMAGES = 60_000
"""Images of the data, as many as MNIST has."""
SIDE = 2048
"""Rows and columns of the matrices in the product."""
ROUNDS = 9
"""Chunks of steps that are timed, each after the product."""
CHUNK_SECONDS = 0.5
"""Approximate seconds of a chunk."""


@dataclass(frozen=True)
class Speed:
    """The times of a recipe's steps in each round, without compilation."""

    recipe: str
    operations: int
    """Floating-point operations of a step, as `sparring.training.operations` counts them."""
    images: int
    """Real images of a step."""
    steps: int
    """Steps of each round."""
    times: tuple[float, ...]
    """Milliseconds of a step, for each round."""
    product_rates: tuple[float, ...]
    """GFLOP/s of a float32 product of two 2048 x 2048 matrices, timed before each round."""

    @property
    def milliseconds(self) -> float:
        """Milliseconds of a step, median of the rounds."""
        return statistics.median(self.times)

    @property
    def images_per_second(self) -> float:
        """Real images a second."""
        return self.images / self.milliseconds * 1000

    @property
    def rate(self) -> float:
        """GFLOP/s."""
        return self.operations / self.milliseconds / 1e6

    @property
    def product_rate(self) -> float:
        """GFLOP/s of the matrix product, median of the rounds."""
        return statistics.median(self.product_rates)

    @property
    def shares(self) -> tuple[float, ...]:
        """The step's rate divided by the product's, for each round."""
        return tuple(self.operations / t / 1e6 / p for t, p in zip(self.times, self.product_rates, strict=True))

    @property
    def share(self) -> float:
        """The step's rate divided by the product's, median of the rounds."""
        return statistics.median(self.shares)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; rates in operations or images a second, times in milliseconds."""
        return {
            "recipe": self.recipe,
            "milliseconds_per_step": self.milliseconds,
            "images_per_second": self.images_per_second,
            "operations_per_step": self.operations,
            "operations_per_second": self.rate * 1e9,
            "share_of_product": self.share,
            "product_operations_per_second": self.product_rate * 1e9,
            "images_per_step": self.images,
            "steps_per_round": self.steps,
            "rounds": {
                "milliseconds_per_step": self.times,
                "product_operations_per_second": [rate * 1e9 for rate in self.product_rates],
                "share_of_product": self.shares,
            },
        }


# ------------------------------------------------------------------------------------------------ measuring


@fixed()
def measure(
    recipe: Recipe,
    image_shape: ImageShape = MNIST_SHAPE,
    *,
    rounds: int = ROUNDS,
    seconds: float = CHUNK_SECONDS,
    images: int = IMAGES,
    replicas: int = 1,
) -> Speed:
    """Time the compiled loop of a recipe on random pixels, in `rounds` chunks of about `seconds` each.

    With several `replicas`, a step is one of all of them, as in `sparring.training.replicas`.
    """
    loop = Loop(recipe, random_pixels(image_shape, images), replicas)
    product_rate = matrix_product()
    steps = loop.steps_in(seconds)
    times, rates = [], []
    for _ in range(rounds):
        rates.append(product_rate())
        times.append(loop.seconds(steps) / steps * 1000)
    operations, real = replicas * step_operations(recipe, image_shape), replicas * recipe.reals_per_step
    return Speed(recipe.name, operations, real, steps, tuple(times), tuple(rates))


def alike(recipes: Iterable[Recipe]) -> list[list[Recipe]]:
    """Group recipes whose steps do the same work: the same networks, optimisers, batches and penalties."""
    groups: dict[Any, list[Recipe]] = {}
    for recipe in recipes:
        groups.setdefault(_work(recipe), []).append(recipe)
    return list(groups.values())


def _work(recipe: Recipe) -> Any:
    """The settings on which the time of a step depends."""
    return (
        recipe.generator,
        recipe.discriminator,
        type(recipe.generator_optimizer),
        type(recipe.discriminator_optimizer),
        recipe.latent_size,
        recipe.batch_size,
        recipe.reals_per_step,
        recipe.discriminator_updates,
        recipe.generator_noise,
        recipe.loss == "relativistic",  # D also sees real images in the generator's update
        (recipe.r1 != 0, recipe.r2 != 0, recipe.gradient_penalty != 0, recipe.penalty_one_in),
        recipe.ema_half_life > 0,
    )


class Loop:
    """The compiled loop of a recipe, as `sparring train` runs it, on uint8 images (count, H, W, C)."""

    def __init__(
        self, recipe: Recipe, images: NDArray[np.uint8], replicas: int = 1, devices: Devices = ONE_DEVICE
    ) -> None:
        height, width, channels = images.shape[1:]
        gan = make_gan(recipe, (height, width, channels), CLASSES)
        labels = np.arange(len(images), dtype=np.int32) % CLASSES
        self._data = devices.put(Batch(images, labels if gan.classes else None))
        seeds = [recipe.seed + i for i in range(replicas)]
        seed = recipe.seed if replicas == 1 else seeds
        begin = jax.jit(lambda key: init_state(gan, key))
        states = [begin(random_key(each, "weights")) for each in seeds]
        self.state = devices.place(states[0] if replicas == 1 else stack_states(states))
        self._permutation = devices.place(Order(gan.batches, len(images), seed).permutation(0))
        self._chunk = compile_chunk(gan, self.state, self._data, seed, devices)

    def run(self, steps: int) -> NDArray[np.float32]:
        """Train `steps` steps and wait for them. Returns the `METRICS` of the last one (..., 6)."""
        while steps > 0:
            length = min(steps, CAPACITY)
            self.state, rows = self._chunk(self.state, self._data, self._permutation, length)
            steps -= length
        self.state.step.block_until_ready()
        last: NDArray[np.float32] = rows[-1]
        return last

    def seconds(self, steps: int) -> float:
        """Train `steps` steps: the seconds that they took."""
        began = time.perf_counter()
        self.run(steps)
        return time.perf_counter() - began

    def steps_in(self, seconds: float) -> int:
        """The number of steps that take about `seconds`, at most one chunk. Runs some steps, which also warms up."""
        self.run(1)
        steps = 1
        while (taken := self.seconds(steps)) < seconds / 4 and steps < CAPACITY:
            steps = min(4 * steps, CAPACITY)
        return max(1, min(CAPACITY, round(steps * seconds / taken)))


def random_pixels(image_shape: ImageShape = MNIST_SHAPE, count: int = IMAGES) -> NDArray[np.uint8]:
    """`count` images of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (count, *image_shape), np.uint8)


def matrix_product() -> Callable[[], float]:
    """A function that times a float32 product of two 2048 x 2048 matrices: GFLOP/s, the median of three."""
    matrix = jnp.asarray(np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32))
    product = jax.jit(jnp.dot)
    product(matrix, matrix).block_until_ready()

    def once() -> float:
        began = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        return 2 * SIDE**3 / (time.perf_counter() - began) / 1e9

    return lambda: statistics.median(once() for _ in range(3))


# ------------------------------------------------------------------------------------------------ showing


def print_table(speeds: list[Speed]) -> None:
    """Print the speeds, and how they were measured."""
    table = numbers_table("recipe", "ms a step", "from-to", "images/s", "MFLOP", "GFLOP/s", "share")
    for speed in speeds:
        table.add_row(
            speed.recipe,
            f"{speed.milliseconds:.3g}",
            f"{min(speed.times):.3g}-{max(speed.times):.3g}",
            f"{speed.images_per_second:,.0f}",
            f"{speed.operations / 1e6:,.1f}",
            f"{speed.rate:,.0f}",
            f"{speed.share:.0%}",
        )
    rates = [rate for speed in speeds for rate in speed.product_rates]
    console = plain_console()
    print_whole(console, table)
    middle, low, high = statistics.median(rates), min(rates), max(rates)
    console.print(
        "Medians of the rounds, compilation not counted. The share is of the rate of a float32 product of "
        f"{SIDE} x {SIDE} matrices, timed in turn with the steps on {_device()}: {middle:,.0f} GFLOP/s "
        f"({low:,.0f}-{high:,.0f}).\n"
    )
    console.print(FORMULA)


def _device() -> str:
    first = jax.devices()[0]
    return "this processor" if first.platform == "cpu" else first.device_kind


def to_json(speeds: list[Speed]) -> dict[str, Any]:
    """The speeds, and how they were measured, as JSON values."""
    first = jax.devices()[0]
    return {
        "device": {"kind": first.device_kind, "platform": first.platform, "count": jax.device_count()},
        "jax": jax.__version__,
        "product": f"float32, {SIDE} x {SIDE}",
        "formula": FORMULA,
        "speeds": [speed.to_json() for speed in speeds],
    }
