"""FLOATING-POINT OPERATIONS: compared with formulas worked out by hand, and with XLA's own count."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from sparring.gan.batch import Batch
from sparring.gan.gan import make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import init_state
from sparring.gan.step import train_step
from sparring.networks.fast import convolution
from sparring.recipes import RECIPES, named_recipe
from sparring.training.operations import count_operations, step_operations, timed

MNIST = (28, 28, 1)

WIDTHS = {
    "mlp-128": ([100, 128, 784], [784, 128, 1]),
    "mlp-sgd": ([100, 256, 512, 1024, 784], [784, 512, 256, 1]),
    "mlp-adam": ([100, 256, 512, 1024, 784], [784, 784, 392, 1]),
    "mlp-256": ([64, 256, 784], [784, 128, 1]),
}
BATCHES = {"mlp-128": (128, 128), "mlp-sgd": (32, 32), "mlp-adam": (16, 32), "mlp-256": (32, 32)}
"""Real images, and as many fakes, in D's update; fakes in G's."""


def dense(widths: list[int]) -> list[int]:
    """Operations of each dense layer for one image."""
    return [2 * a * b for a, b in pairwise(widths)]


def mlp(name: str) -> int:
    """D's fakes; D forward on both halves, the gradients of all weights and of all inputs but the images; then G
    forward, D forward, the gradients of all of D's inputs, of G's weights, and of G's inputs but the noise."""
    g, d = (dense(widths) for widths in WIDTHS[name])
    d_images, g_images = BATCHES[name]
    for_d = 2 * d_images * (2 * sum(d) + sum(d[1:]))
    for_g = g_images * (2 * sum(d) + 2 * sum(g) + sum(g[1:]))
    fakes = 0 if name == "mlp-256" else d_images * sum(g)  # mlp-256's are those of G's update
    return fakes + for_d + for_g


def dcgan_tanh() -> int:
    """Layer by layer: how often, times 64 images, times two, times its multiplications."""
    d_first, d_second = 28 * 28 * 25 * 1 * 64, 10 * 10 * 25 * 64 * 128
    g_first, g_second = 7 * 7 * 9 * 128 * 4 * 64, 14 * 14 * 9 * 64 * 4 * 1
    d = 6 * d_first + 8 * (d_second + 3200 * 1024 + 1024)
    g = 3 * 100 * 1024 + 4 * (1024 * 6272 + g_first + g_second)
    return 2 * 64 * (d + g)


@pytest.mark.parametrize("name", WIDTHS)
def test_an_mlp_counts_what_its_layers_add_up_to(name: str) -> None:
    assert step_operations(named_recipe(name), MNIST) == mlp(name)


def test_dcgan_tanh_counts_what_its_layers_add_up_to() -> None:
    # Beside the layers stand the sums of the generator's taps, a few products of small matrices.
    counted = step_operations(named_recipe("dcgan-tanh"), MNIST)
    assert dcgan_tanh() <= counted <= 1.001 * dcgan_tanh()
    assert counted == pytest.approx(36.3e9, rel=0.005)


def dcgan() -> int:
    """D forward on both batches and the gradients of its weights, and of its inputs but the images; G forward once for
    D's fakes; then G forward and backward, D forward and the gradients of all its inputs. (D's forward pass on the
    real images for G's loss is not needed.) A strided convolution's smaller side is its output's, 25 taps each."""
    first, second = 14 * 14 * 25 * 1 * 32, 7 * 7 * 25 * 32 * 64
    dense_d, dense_g = 49 * 64, 100 * 49 * 64
    d = first + second + dense_d
    g = dense_g + second + first  # the same convolutions, the other way round
    return 2 * 64 * (2 * (2 * d + d - first) + g + 2 * d + 3 * g - dense_g)


def test_dcgan_counts_what_its_layers_add_up_to() -> None:
    assert step_operations(named_recipe("dcgan"), MNIST) == dcgan() == step_operations(named_recipe("lsgan"), MNIST)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in (*WIDTHS, "dcgan-tanh", "dcgan", "lsgan")])
def test_every_other_recipe_can_be_counted(name: str) -> None:
    assert step_operations(named_recipe(name), MNIST) > 1e6


def test_the_networks_convolve_as_before_afterwards() -> None:
    own = convolution.plainly
    step_operations(named_recipe("mlp-256"), MNIST)
    assert convolution.plainly is own


@pytest.mark.parametrize("name", ["mlp-128", "mlp-256"])
def test_xla_counts_about_the_same(name: str) -> None:
    recipe = named_recipe(name)
    gan = make_gan(recipe, MNIST)
    state = jax.eval_shape(lambda key: init_state(gan, key), random_key(0, "weights"))
    noise = jnp.zeros((recipe.batch_size, recipe.latent_size))

    def step(state: Any, images: Array, noise: Array, fresh: Array) -> Any:
        return train_step(
            gan,
            state,
            Batch(images),
            noise,
            noise if recipe.generator_noise == "reuse" else fresh,
            random_key(0, "steps"),
        )

    compiled = jax.jit(step).lower(state, jnp.zeros((recipe.batch_size, *MNIST)), noise, noise).compile()
    xla = compiled.cost_analysis()
    assert xla is not None
    # XLA's has activations, losses and optimisers in it.
    assert step_operations(recipe, MNIST) == pytest.approx(xla["flops"], rel=0.06)


# ------------------------------------------------------------------------------------------------ piece by piece


def convolve(x: Array, kernel: Array, padding: str = "VALID", stride: int = 1) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


IMAGES, KERNEL = jnp.zeros((3, 12, 12, 4)), jnp.zeros((5, 5, 4, 6))
MATRIX = jnp.zeros((10, 10))


@pytest.mark.parametrize(("padding", "stride", "side"), [("VALID", 1, 8), ("SAME", 1, 12), ("SAME", 2, 6)])
def test_a_convolution_and_each_gradient_count_the_same(padding: str, stride: int, side: int) -> None:
    once = 2 * 3 * side * side * 25 * 4 * 6

    def loss(x: Array, kernel: Array) -> Array:
        return jnp.sum(convolve(x, kernel, padding, stride) ** 2)

    assert count_operations(loss, IMAGES, KERNEL) == once
    assert count_operations(jax.grad(loss, 1), IMAGES, KERNEL) == 2 * once
    assert count_operations(jax.grad(loss, (0, 1)), IMAGES, KERNEL) == 3 * once


def test_so_do_a_transposed_convolution_and_its_gradients() -> None:
    once = 2 * 3 * 12 * 12 * 25 * 4 * 6

    def loss(x: Array, kernel: Array) -> Array:
        y = jax.lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        assert y.shape == (3, 24, 24, 6)
        return jnp.sum(y**2)

    assert count_operations(loss, IMAGES, KERNEL) == once
    assert count_operations(jax.grad(loss, 1), IMAGES, KERNEL) == 2 * once
    assert count_operations(jax.grad(loss, (0, 1)), IMAGES, KERNEL) == 3 * once


def scanned(a: Array) -> Any:
    return jax.lax.fori_loop(0, 7, lambda _, x: x @ a, a)


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (lambda a: a @ a, 1),
        (lambda a: jnp.einsum("ij,kj->ik", a, a) + a, 1),
        (lambda a: (a @ a) + (a @ a), 1),  # computed once, used twice
        (lambda a: (a @ a) @ (a @ a.T), 3),
        (lambda a: (a @ a, a @ a.T)[0], 1),  # what nothing needs
        (lambda a: jax.jit(lambda x: (x @ x, x @ x.T))(a)[1], 1),
        (jax.jit(jax.nn.relu), 0),
        (jax.remat(lambda a: jnp.tanh(a @ a)), 1),
        (scanned, 7),
        (lambda a: jax.lax.cond(a[0, 0] > 0, lambda: a @ a @ a, lambda: a @ a), 2),
    ],
)
def test_what_is_needed_counts_once(function: Callable[[Array], Any], products: int) -> None:
    assert count_operations(function, MATRIX) == products * 2 * 10**3


def test_a_loop_of_unknown_length_cannot_be_counted() -> None:
    def doubled(a: Array) -> Any:
        return jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, a)

    with pytest.raises(ValueError, match="unknown length"):
        count_operations(doubled, MATRIX)


def test_the_expected_time_grows_with_the_operations() -> None:
    recipe = named_recipe("mlp-256")
    assert timed(recipe, MNIST) is recipe
    larger = timed(recipe, (64, 64, 3))
    ratio = step_operations(recipe, (64, 64, 3)) / step_operations(recipe, MNIST)
    assert ratio > 10
    assert larger.milliseconds_per_step == pytest.approx(ratio * recipe.milliseconds_per_step)
    assert larger.replace(milliseconds_per_step=recipe.milliseconds_per_step) == recipe
