"""EXTRAS: optional packages. What needs one asks for it before anything long begins."""

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
"""What each extra of pyproject.toml brings that is imported, but for `sample`: without it digits are downloaded."""


def require(extra: str, what: str) -> None:
    """Raise `MissingExtra` where a package of that extra cannot be imported; `what` needs it."""
    for name in PACKAGES[extra]:
        load(name, extra, what)


def load(name: str, extra: str, what: str) -> Any:
    """The module of that name. Raises `MissingExtra` where it cannot be imported."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error.name or name, extra, what) from error


def missing(name: str, extra: str, what: str) -> MissingExtra:
    """The error that says how to install the extra with a package of that name."""
    return MissingExtra(f"{what} needs the package {name}; install it with: pip install 'sparring[{extra}]'")
