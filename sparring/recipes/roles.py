"""ROLES of settings: whether they decide what is learnt. Each field of `Recipe` has its role as metadata."""

from __future__ import annotations

import dataclasses
from enum import Enum, auto
from typing import Any

KEY = "role"


class Role(Enum):
    """What a setting decides."""

    LEARNT = auto()
    """What a training step computes. A field without metadata has this role."""
    NAME = auto()
    """Which recipe it is."""
    IMAGES = auto()
    """Which images are used, and how they are prepared."""
    PLACE = auto()
    """Where the images are; their checksum says whether they are the same."""
    LENGTH = auto()
    """How many steps are trained."""
    JUDGEMENT = auto()
    """When a run is judged during the training."""
    DISPLAY = auto()
    """What is logged and shown during the training."""
    DESCRIPTION = auto()
    """Nothing: it describes the recipe."""


NAME, IMAGES, PLACE, LENGTH, JUDGEMENT, DISPLAY, DESCRIPTION = (
    {KEY: role}
    for role in (Role.NAME, Role.IMAGES, Role.PLACE, Role.LENGTH, Role.JUDGEMENT, Role.DISPLAY, Role.DESCRIPTION)
)
"""Metadata of fields."""

DECISIVE = (Role.NAME, Role.LEARNT, Role.IMAGES)
"""A run does not resume with other values of these settings."""
DIGESTED = (*DECISIVE, Role.DISPLAY)
"""Settings in a checkpoint's digest of the recipe, which has had those of the display from the beginning."""


def names_of(recipe: Any, *roles: Role) -> frozenset[str]:
    """The names of the settings with one of these roles."""
    return frozenset(
        field.name for field in dataclasses.fields(recipe) if field.metadata.get(KEY, Role.LEARNT) in roles
    )
