"""The real MNIST, read once, for the tests that need it: they run where SPARRING_DATA names a folder that holds it."""

import os
from functools import cache

import pytest

from sparring import data
from sparring.data import ImageSet, Split

needs_real_mnist = pytest.mark.skipif(
    not os.environ.get("SPARRING_DATA"), reason="SPARRING_DATA names no folder with the real MNIST"
)


@cache
def mnist(split: Split) -> ImageSet:
    """The training or the test images."""
    return data.load("mnist", split)
