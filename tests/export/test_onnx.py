"""ONNX: each architecture's file generates the network's images at any batch size; other files are not written."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from made_generators import MADE, made_generator

from sparring import networks
from sparring.errors import ExportError
from sparring.export import layers, onnx
from sparring.export.layers import Scale
from sparring.recipes import named_recipe


@pytest.mark.parametrize(("name", "shape", "conditional"), MADE, ids=str)
def test_the_file_generates_the_networks_images(
    name: str, shape: tuple[int, int, int], conditional: bool, tmp_path: Path
) -> None:
    generator = made_generator(name, shape, conditional)
    assert onnx.write(generator, tmp_path / "generator.onnx") < 5e-5
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
    for count in (1, 7):
        latents = generator.draw_latents(count, seed=3)
        labels = np.arange(count) % 3
        inputs = {"latents": latents} | ({"labels": labels} if conditional else {})
        (images,) = session.run(["images"], inputs)
        ours = generator.values(latents, labels.astype(np.int32) if conditional else None)
        assert images.shape == ours.shape == (count, *shape)
        assert np.ptp(ours) > 0.01
        np.testing.assert_allclose(images, ours, atol=5e-5)


def test_every_architecture_has_layers() -> None:
    assert layers.GENERATORS.keys() == networks.GENERATORS.keys() == {named_recipe(n).generator.kind for n, *_ in MADE}


def test_a_file_with_other_images_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = made_generator("mlp-128", (6, 5, 1), False)
    of_ours = layers.layers_of(generator)
    nudge = Scale(np.full(1, 1.001, np.float32), np.zeros(1, np.float32))
    monkeypatch.setattr(onnx, "layers_of", lambda generator: [*of_ours, nudge])
    with pytest.raises(ExportError, match="was not written"):
        onnx.write(generator, tmp_path / "generator.onnx")
    assert not list(tmp_path.iterdir())
