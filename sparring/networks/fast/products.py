"""MATRIX PRODUCTS whose gradients are products again, without transposed copies.

Differentiating `a @ b` leaves it to XLA to turn the gradient for b around, and on a CPU it does so by copying; written
out, the step of a convolutional GAN took 149 ms instead of 218 (`docs/log.md`).
"""

import jax
from jax import Array, lax


@jax.custom_vjp
def product(a: Array, b: Array) -> Array:
    """a (M,K) times b (K,N): (M,N). Gradients of any order."""
    return _contract(a, 1, b, 0)


@jax.custom_vjp
def _product_nt(a: Array, b: Array) -> Array:
    """a (M,K) times the transpose of b (N,K): (M,N)."""
    return _contract(a, 1, b, 1)


@jax.custom_vjp
def _product_tn(a: Array, b: Array) -> Array:
    """The transpose of a (K,M) times b (K,N): (M,N)."""
    return _contract(a, 0, b, 0)


def _contract(a: Array, i: int, b: Array, j: int) -> Array:
    return lax.dot_general(a, b, (((i,), (j,)), ((), ())))


Pair = tuple[Array, Array]


def _product_backward(saved: Pair, g: Array) -> Pair:
    a, b = saved
    return _product_nt(g, b), _product_tn(a, g)


def _product_nt_backward(saved: Pair, g: Array) -> Pair:
    a, b = saved
    return product(g, b), _product_tn(g, a)


def _product_tn_backward(saved: Pair, g: Array) -> Pair:
    a, b = saved
    return _product_nt(b, g), product(a, g)


product.defvjp(lambda a, b: (product(a, b), (a, b)), _product_backward)
_product_nt.defvjp(lambda a, b: (_product_nt(a, b), (a, b)), _product_nt_backward)
_product_tn.defvjp(lambda a, b: (_product_tn(a, b), (a, b)), _product_tn_backward)
