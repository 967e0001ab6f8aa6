"""The code of docs/use-elsewhere.md makes our images."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import sparring
from sparring import export
from sparring.gan.gan import make_gan
from sparring.gan.state import init_state
from sparring.recipes import named_recipe
from sparring.runs import generator as sampling
from sparring.runs.run import Run

TORCH, ONNX = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parent.parent / "docs" / "use-elsewhere.md").read_text(), re.DOTALL
)


def executed(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/use-elsewhere.md", "exec"), names)
    return names


@pytest.mark.parity
@pytest.mark.parametrize("name", ["mlp-128", "mlp-256"])
def test_pytorch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    assert len([line for line in TORCH.splitlines() if line and "import" not in line]) <= 10
    recipe = named_recipe(name)
    state = init_state(make_gan(recipe, (28, 28, 1)), jax.random.key(0))
    sampling.write(
        sampling.Generator(
            sampling.describe(recipe, (28, 28, 1), {}, {"recipe": recipe.name, "step": 0}),
            state.generator.params,
            state.generator.batch_stats,
        ),
        tmp_path / "generator.safetensors",
    )
    names = executed(TORCH, tmp_path, monkeypatch)
    assert names["images"].shape == (64, 28, 28, 1)
    generator = sparring.load(tmp_path / "generator.safetensors")
    latents = generator.draw_latents(20).copy()
    theirs = names["generator"](torch.from_numpy(latents)).detach().numpy().reshape(20, *generator.image_shape)
    np.testing.assert_allclose(theirs, generator.values(latents), atol=1e-5)


def test_onnx(tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export.export(tiny_run.path, "onnx", out=tmp_path / "generator.onnx")
    images = executed(ONNX, tmp_path, monkeypatch)["images"]
    assert images.shape == (64, 28, 28, 1)
    assert np.abs(images).max() <= 1
