"""CONVOLUTIONS: every way is the plain one: forward, gradients, and gradients of gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quickly
from jax import Array

from sparring.networks.fast import convolution
from sparring.networks.fast.convolution import convolve, strided_convolve, transposed_convolve, upsample_convolve
from sparring.networks.fast.winograd import winograd


def plain_convolution(x: Array, kernel: Array, padding: str) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


def plain_upsample_convolution(x: Array, kernel: Array) -> Array:
    return plain_convolution(x.repeat(2, axis=1).repeat(2, axis=2), kernel, "same")


def arrays(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def assert_same_to_second_order(
    ours: Callable[[Array, Array], Array], plain: Callable[[Array, Array], Array], x: Array, kernel: Array
) -> None:
    """Equal values, gradients by both arguments, and gradients of the gradients' size (as in a gradient penalty)."""

    def to_second_order(function: Callable[[Array, Array], Array]) -> list[Array]:
        def loss(x: Array, kernel: Array) -> Array:
            return jnp.sum(jnp.sin(function(x, kernel)))

        def penalty(x: Array, kernel: Array) -> Array:
            return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

        return [function(x, kernel), *jax.grad(loss, (0, 1))(x, kernel), *jax.grad(penalty, (0, 1))(x, kernel)]

    results = quickly.jit(lambda: (to_second_order(ours), to_second_order(plain)))()
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * float(jnp.abs(theirs).max()))


WAYS = {
    "patches": convolution._by_patches,
    "taps": convolution._by_taps,
    "winograd": winograd,
}


def chosen(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], kernel: tuple[int, ...]) -> list[str]:
    """Which ways a "valid" convolution of these shapes goes."""
    taken: list[str] = []

    def spy(name: str) -> Callable[[Array, Array], Array]:
        def way(x: Array, kernel: Array) -> Array:
            taken.append(name)
            return WAYS[name](x, kernel)

        return way

    monkeypatch.setattr(convolution, "_by_patches", spy("patches"))
    monkeypatch.setattr(convolution, "_by_taps", spy("taps"))
    monkeypatch.setattr(convolution, "winograd", spy("winograd"))
    jax.eval_shape(lambda: convolve(jnp.zeros(shape), jnp.zeros(kernel), "valid"))
    return taken


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("size", "shape"),
    # one channel with the smaller kernel only: XLA makes one huge loop of Winograd's sums then, slow to compile
    [(3, (2, 8, 8, 3)), (3, (1, 7, 9, 1)), (5, (1, 7, 9, 2)), (5, (2, 6, 5, 2))],
)
def test_every_way_is_the_convolution(way: str, shape: tuple[int, ...], size: int) -> None:
    x, kernel = arrays(shape, (size, size, shape[-1], 4))
    assert_same_to_second_order(WAYS[way], lambda x, k: plain_convolution(x, k, "valid"), x, kernel)


@pytest.mark.parametrize(
    ("padding", "shape", "size", "outputs"),
    [
        ("same", (2, 8, 8, 3), (5, 5), 4),
        ("same", (1, 7, 9, 1), (3, 3), 16),
        ("same", (2, 12, 11, 16), (3, 3), 16),
        ("same", (2, 12, 11, 16), (2, 4), 4),
        ("valid", (1, 7, 9, 1), (2, 4), 16),
        ("valid", (2, 12, 11, 16), (5, 5), 4),
        ("valid", (2, 12, 11, 16), (5, 5), 16),
    ],
)
def test_convolve_is_the_convolution(padding: str, shape: tuple[int, ...], size: tuple[int, int], outputs: int) -> None:
    x, kernel = arrays(shape, (*size, shape[-1], outputs))
    assert_same_to_second_order(
        lambda x, k: convolve(x, k, padding), lambda x, k: plain_convolution(x, k, padding), x, kernel
    )


@pytest.mark.parametrize(
    ("shape", "kernel", "way"),
    [
        ((64, 14, 14, 64), (5, 5, 64, 128), "winograd"),  # the discriminator's second of dcgan-tanh
        ((64, 32, 32, 1), (5, 5, 1, 64), "patches"),  # and its first
        ((64, 9, 9, 128), (3, 3, 128, 256), "patches"),  # the generator's first: 7 x 7 is too small for tiles
        ((64, 16, 16, 64), (3, 3, 64, 4), "taps"),  # and its second
        ((64, 30, 30, 64), (3, 3, 64, 64), "winograd"),
        ((64, 14, 14, 64), (4, 4, 64, 64), "patches"),
    ],
)
def test_the_shapes_decide_the_way(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], kernel: tuple[int, ...], way: str
) -> None:
    assert chosen(monkeypatch, shape, kernel) == [way]


@pytest.mark.parametrize("size", [3, 5])
def test_winograd_is_exact_to_a_few_roundings(size: int) -> None:
    """In float32, against the direct sum in float64: within 1e-5 of the largest output; its gradients within 1e-4."""
    x, kernel, g = arrays((4, 14, 14, 32), (size, size, 32, 24), (4, 15 - size, 15 - size, 24))

    def results(function: Callable[[Array, Array], Array], x: Array, kernel: Array, g: Array) -> list[Array]:
        y, back = jax.vjp(function, x, kernel)
        return [y, *back(g)]

    ours = results(winograd, x, kernel, g)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(array), jnp.float64) for array in (x, kernel, g)]
        exact = results(lambda x, k: plain_convolution(x, k, "valid"), *wide)
        again = results(winograd, *wide)
        for mine, theirs in zip(again, exact, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12 * float(jnp.abs(theirs).max()))
    for mine, theirs, bound in zip(ours, exact, (1e-5, 1e-5, 1e-4), strict=True):
        assert np.abs(np.asarray(mine) - np.asarray(theirs)).max() < bound * np.abs(np.asarray(theirs)).max()


@pytest.mark.parametrize("way", WAYS)
def test_every_way_can_be_mapped(way: str) -> None:
    """Several networks at once, as replicas are."""
    xs, kernels = arrays((3, 2, 8, 8, 2), (3, 3, 3, 2, 4))
    gradients = jax.grad(lambda x, k: jnp.sum(jnp.sin(WAYS[way](x, k))), (0, 1))
    alone = jax.jit(gradients)
    mapped = jax.jit(jax.vmap(gradients))(xs, kernels)
    for i in range(3):
        for one, all_ in zip(alone(xs[i], kernels[i]), mapped, strict=True):
            np.testing.assert_allclose(one, all_[i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (1, 4, 5, 1), (1, 10, 10, 16)])
@pytest.mark.parametrize("outputs", [1, 4])
def test_upsample_convolve_is_upsampling_and_convolution(shape: tuple[int, ...], outputs: int) -> None:
    x, kernel = arrays(shape, (5, 5, shape[-1], outputs))
    assert_same_to_second_order(upsample_convolve, plain_upsample_convolution, x, kernel)


# ------------------------------------------------------------------------------------------------ stride 2


def plain_strided(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 2), ((2, 2), (2, 2)), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


def plain_transposed(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_transpose(
        x, kernel[::-1, ::-1], (2, 2), ((2, 3), (2, 3)), dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )


STRIDED = [((8, 8), (3, 5)), ((7, 10), (1, 4)), ((5, 1), (2, 1)), ((14, 14), (16, 16))]
TRANSPOSED = [((4, 4), (5, 3)), ((7, 5), (4, 1)), ((1, 2), (2, 2)), ((7, 7), (16, 16))]


@pytest.mark.parametrize(("side", "channels"), STRIDED)
def test_a_strided_convolution_is_the_plain_one(side: tuple[int, int], channels: tuple[int, int]) -> None:
    x, kernel = arrays((2, *side, channels[0]), (5, 5, *channels))
    assert_same_to_second_order(strided_convolve, plain_strided, x, kernel)


@pytest.mark.parametrize(("side", "channels"), TRANSPOSED)
def test_a_transposed_convolution_is_the_plain_one(side: tuple[int, int], channels: tuple[int, int]) -> None:
    x, kernel = arrays((2, *side, channels[0]), (5, 5, *channels))
    assert_same_to_second_order(transposed_convolve, plain_transposed, x, kernel)


@pytest.mark.parametrize(("side", "channels"), TRANSPOSED)
def test_it_is_the_gradient_of_a_strided_one(side: tuple[int, int], channels: tuple[int, int]) -> None:
    x, kernel = arrays((2, *side, channels[0]), (5, 5, *channels))
    image = jnp.zeros((2, 2 * side[0], 2 * side[1], channels[1]))
    _, back = jax.vjp(lambda image: plain_strided(image, kernel.transpose(0, 1, 3, 2)), image)
    np.testing.assert_allclose(transposed_convolve(x, kernel), back(x)[0], rtol=1e-4, atol=1e-4)


def test_where_a_cpu_is_not_at_work_xla_convolves(monkeypatch: pytest.MonkeyPatch) -> None:
    x, kernel = arrays((2, 7, 6, 3), (5, 5, 3, 4))
    ways: list[Callable[[], Array]] = [
        lambda: convolve(x, kernel, "same"),
        lambda: convolve(x, kernel, "valid"),
        lambda: strided_convolve(x, kernel),
        lambda: transposed_convolve(x, kernel),
    ]
    on_a_cpu = [way() for way in ways]
    monkeypatch.setattr(convolution, "plainly", lambda: True)
    monkeypatch.setattr(convolution, "product", None)
    for way, expected in zip(ways, on_a_cpu, strict=True):
        np.testing.assert_allclose(way(), expected, rtol=1e-4, atol=1e-4)
