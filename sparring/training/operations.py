"""FLOATING-POINT OPERATIONS of a step, by formulas for matrix products and convolutions.

A step is traced, not run. Common subexpressions count once and unused results do not count, because the compiler
removes both. Convolutions count by `FORMULA`, for any implementation.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from sparring.gan.batch import Batch
from sparring.gan.gan import MNIST_SHAPE, ImageShape, make_gan
from sparring.gan.randomness import random_key
from sparring.gan.state import TrainState, init_state
from sparring.gan.step import train_step
from sparring.networks.fast import convolution
from sparring.recipes.recipe import Recipe

FORMULA = (
    "MFLOP are the millions of floating-point operations of a step, counted by formulas: a dense layer 2 N in out; a "
    "convolution 2 N H W kh kw C_in C_out, with the sides H and W of its smaller image; each for the forward pass, for "
    "the gradient of the weights and for that of the inputs, wherever a step needs them; nothing else. They are those "
    "of direct convolutions, also where fewer multiplications do. Nearest up-sampling and a 5x5 convolution are, as "
    "the same function, a 3x3 convolution of the small image to 4 C_out channels."
)


CLASSES = 10
"""Classes of conditional networks for the count."""


def step_operations(recipe: Recipe, image_shape: ImageShape) -> int:
    """Floating-point operations of one step of a recipe on images of a shape."""
    gan = make_gan(recipe, image_shape, CLASSES)
    state = jax.eval_shape(lambda key: init_state(gan, key), random_key(0, "weights"))
    plan, latent_size = gan.batches, gan.latents.size
    labels = jnp.zeros(plan.real, jnp.int32) if gan.classes else None
    real = Batch(_numbers(plan.real, *image_shape), labels)
    noise, fresh = _numbers(plan.real, latent_size), _numbers(plan.size, latent_size)

    def step(state: TrainState, real: Batch, noise: Array, fresh: Array) -> tuple[TrainState, Array]:
        return train_step(gan, state, real, noise, noise if plan.reuse_noise else fresh, jax.random.key(0))

    with _direct_convolutions():
        return count_operations(step, state, real, noise, fresh)


def timed(recipe: Recipe, image_shape: ImageShape) -> Recipe:
    """The recipe with `milliseconds_per_step` for images of a shape, in proportion to the operations."""
    if image_shape == MNIST_SHAPE:
        return recipe
    times_as_many = step_operations(recipe, image_shape) / step_operations(recipe, MNIST_SHAPE)
    return recipe.replace(milliseconds_per_step=recipe.milliseconds_per_step * times_as_many)


def _numbers(*shape: int) -> Any:
    return jax.eval_shape(lambda: jnp.zeros(shape))


def count_operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Floating-point operations of the products and convolutions on which the results of a function depend.

    The arguments are arrays or their shapes. Raises `ValueError` for a product in a loop of unknown length.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    graph = _Graph()
    inputs = [graph.add(("input", i)) for i in range(len(closed.in_avals))]
    return graph.operations(graph.trace(closed.jaxpr, closed.consts, inputs))


@contextmanager
def _direct_convolutions() -> Iterator[None]:
    """Trace convolutions in their direct form, also where another one is faster."""
    own = convolution.plainly
    convolution.plainly = lambda: True
    try:
        yield
    finally:
        convolution.plainly = own


# ---------------------------------------------------------------------------------------- what is computed from what


Value = tuple[int, int]
"""The number of a node in the graph, and of one of its outputs."""


@dataclass(frozen=True)
class _Node:
    operations: int
    inputs: tuple[Value, ...]


class _Graph:
    """The graph of a computation. Equal operations on equal values are one node."""

    def __init__(self) -> None:
        self._nodes: list[_Node] = []
        self._numbers: dict[Hashable, int] = {}

    def add(self, what: Hashable, operations: int = 0, inputs: tuple[Value, ...] = ()) -> Value:
        """The first output of the node of an operation and its inputs; adds the node if it is new."""
        number = self._numbers.setdefault((what, inputs), len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(_Node(operations, inputs))
        return number, 0

    def trace(self, jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """Add the operations of a jaxpr on these inputs; functions that it calls are inlined."""
        values: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        values |= {v: self.add(("constant", id(c))) for v, c in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Value:
            return self.add(("literal", str(atom.aval), repr(atom.val))) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            arguments = tuple(read(atom) for atom in equation.invars)
            called = _called(equation)
            if called is not None:
                outputs = self.trace(called.jaxpr, called.consts, arguments)
            else:
                number, _ = self.add(_identity(equation), _operations(equation), arguments)
                outputs = [(number, i) for i in range(len(equation.outvars))]
            values |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def operations(self, outputs: list[Value]) -> int:
        """Operations of all nodes on which these outputs depend."""
        needed: set[int] = set()
        waiting = [number for number, _ in outputs]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting += [number for number, _ in self._nodes[number].inputs]
        return sum(self._nodes[number].operations for number in needed)


LOOPS = ("scan", "while", "cond")


def _called(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The function that the equation calls once; None for any other equation."""
    body = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if body is None or equation.primitive.name in LOOPS:
        return None
    return body if isinstance(body, ClosedJaxpr) else ClosedJaxpr(body, ())


def _identity(equation: JaxprEqn) -> Hashable:
    """A key that equal operations share; each loop has its own."""
    if equation.primitive.name in LOOPS:
        return id(equation)
    return equation.primitive.name, str(sorted(equation.params.items(), key=lambda item: item[0]))


# ------------------------------------------------------------------------------------------------ the formulas


def _operations(equation: JaxprEqn) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "scan":
        return int(params["length"]) * _all_of(params["jaxpr"])
    if name == "cond":
        return max(_all_of(branch) for branch in params["branches"])
    if name == "while" and _all_of(params["body_jaxpr"]):
        raise ValueError("the operations of a loop of unknown length cannot be counted")
    return 0


def _all_of(body: ClosedJaxpr) -> int:
    return count_operations(jaxpr_as_fun(body), *body.in_avals)


def _product(equation: JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    inner: int = math.prod(left[axis] for axis in contracted)
    return 2 * math.prod(_shape(equation.outvars[0])) * inner


def _convolution(equation: JaxprEqn) -> int:
    """Operations of a convolution, or of one of its gradients: each tap meets each pixel of the smaller image once.

    On each axis, taps and that image are the two smaller ones of image, kernel and output. Which is which differs: the
    gradient of the kernel has the taps as its output.
    """
    numbers = equation.params["dimension_numbers"]
    image, kernel, output = (_shape(atom) for atom in (*equation.invars, *equation.outvars))
    axes = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    sides = [sorted((image[a], kernel[b], output[c])) for a, b, c in axes]
    met: int = math.prod(smaller * middle for smaller, middle, _ in sides)
    batch, features, inputs = output[numbers.out_spec[0]], kernel[numbers.rhs_spec[0]], kernel[numbers.rhs_spec[1]]
    return int(2 * batch * features * inputs * met)


def _shape(atom: Any) -> tuple[int, ...]:
    return cast(tuple[int, ...], atom.aval.shape)
