"""WHAT TAKES LONG of a parametrized test: CI runs it after the others."""

from collections.abc import Iterable
from typing import Any

import pytest


def later(values: Iterable[Any], *slow: Any) -> list[Any]:
    """Those values, with the slow ones marked `ci`."""
    return [pytest.param(value, marks=pytest.mark.ci) if value in slow else value for value in values]
