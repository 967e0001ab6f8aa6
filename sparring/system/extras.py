"""Optional packages. Code that needs one checks for it before long work begins."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sparring.errors import MissingExtra

PACKAGES = {
    "watch": ("starlette", "uvicorn", "plotly"),
    "sweep": ("optuna",),
    "tensorboard": ("tensorboardX",),
    "onnx": ("onnx", "onnxruntime"),
}
"""Packages of the extras in pyproject.toml. `sample` is not listed: without it the digits are downloaded."""


def require(extra: str, what: str) -> None:
    """Raise `MissingExtra` if a package of the extra, which `what` needs, cannot be imported."""
    for name in PACKAGES[extra]:
        load(name, extra, what)


def load(name: str, extra: str, what: str) -> Any:
    """Import a module. Raises `MissingExtra` if that fails."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error.name or name, extra, what) from error


def missing(name: str, extra: str, what: str) -> MissingExtra:
    """Return the error that names the missing package and the command to install it."""
    return MissingExtra(f"{what} needs the package {name}; install it with: pip install 'sparring[{extra}]'")
