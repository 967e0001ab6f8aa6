"""The requests of the explore view: parse the JSON, call the explorer, encode the result."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sparring.images import picture
from sparring.web.responses import json_bytes

if TYPE_CHECKING:
    from sparring.web.explorer import Explorer

MAX_IMAGES = 64
"""Images that one request may generate."""


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in the request. Raises `HTTPException` if there is none."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "the request must have the content type application/json")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "the request is not valid JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the request must be a JSON object")
    return body


def description(explorer: Explorer) -> bytes:
    """Return what the explore view needs to know about the networks."""
    height, width, channels = explorer.trained.image_shape
    return json_bytes(
        {
            "step": explorer.trained.step,
            "latent": {"size": explorer.size, "std": explorer.std},
            "classes": list(explorer.classes),
            "height": height,
            "width": width,
            "channels": channels,
            "background": explorer.background.tolist(),
            "directions": np.round(explorer.directions, 5).tolist(),
            "strengths": np.round(explorer.strengths, 4).tolist(),
        }
    )


def images(body: dict[str, Any], explorer: Explorer) -> bytes:
    """Generate images from latents. Returns one PNG with the images in a column."""
    latents = _numbers(body.get("latents"), 2)
    if not 1 <= len(latents) <= MAX_IMAGES or latents.shape[1] != explorer.size:
        raise HTTPException(400, f"latents must be 1 to {MAX_IMAGES} lists of {explorer.size} numbers")
    labels = None
    if explorer.classes:
        given = body.get("labels") or [0] * len(latents)
        if not isinstance(given, list) or len(given) != len(latents):
            raise HTTPException(400, "labels must be a list with one label for each latent")
        labels = np.array([_label(value, explorer) for value in given], np.int32)
    made = explorer.images(latents, labels)
    return _png(made.reshape(-1, *made.shape[2:]))


def discriminator(body: dict[str, Any], explorer: Explorer) -> bytes:
    """Run the discriminator on an image."""
    found = explorer.discriminate(*_image_and_label(body, explorer))
    if not np.isfinite(found.logit) or not np.isfinite(found.gradient).all():
        raise HTTPException(409, "the output of this discriminator is NaN or infinite")
    return json_bytes(
        {
            "logit": found.logit,
            "label": found.label,
            "above_samples": found.above_samples,
            "above_real": found.above_real,
            "gradient": np.round(found.gradient, 3).tolist(),
        }
    )


def nearest(body: dict[str, Any], explorer: Explorer) -> bytes:
    """Search for the generated image that is nearest to an image."""
    found = explorer.nearest(*_image_and_label(body, explorer))
    if not np.isfinite(found.difference):
        raise HTTPException(409, "the output of this generator is NaN or infinite")
    pixels = found.image.reshape(-1).tolist()
    return json_bytes({"latent": found.latent.tolist(), "pixels": pixels, "difference": found.difference})


def _image_and_label(body: dict[str, Any], explorer: Explorer) -> tuple[NDArray[np.uint8], int | None]:
    """Return the image (H, W, C) and its label. Without a label, the discriminator's most likely class is used."""
    pixels, shape = _numbers(body.get("pixels"), 1), explorer.trained.image_shape
    if pixels.size != np.prod(shape) or pixels.min() < 0 or pixels.max() > 255:
        raise HTTPException(400, f"pixels must be {np.prod(shape):,} numbers from 0 to 255")
    label = body.get("label")
    return pixels.reshape(shape).astype(np.uint8), None if label is None else _label(label, explorer)


def _numbers(value: Any, dimensions: int) -> NDArray[np.float32]:
    try:
        numbers = np.array(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        numbers = np.full(0, np.nan, np.float32)
    if numbers.ndim != dimensions or not numbers.size or not (np.abs(numbers) <= 1e4).all():
        raise HTTPException(400, "the request must contain finite numbers")
    return numbers


def _label(value: Any, explorer: Explorer) -> int:
    if type(value) is not int or not 0 <= value < max(1, len(explorer.classes)):
        raise HTTPException(400, f"a label must be an integer below {max(1, len(explorer.classes))}")
    return value


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    picture(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()
