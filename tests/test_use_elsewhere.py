"""The code of docs/use-elsewhere.md makes our images."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparring
from sparring import export
from sparring.run import Run

TORCH, ONNX = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parent.parent / "docs" / "use-elsewhere.md").read_text(), re.DOTALL
)


def executed(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/use-elsewhere.md", "exec"), names)
    return names


@pytest.mark.parity
def test_pytorch(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    assert len([line for line in TORCH.splitlines() if line and "import" not in line]) <= 10
    network = executed(TORCH, tiny_run.path, monkeypatch)["generator"]
    generator = sparring.load(tiny_run.path)
    latents = generator.draw_latents(20).copy()
    theirs = network(torch.from_numpy(latents)).detach().numpy().reshape(20, *generator.image_shape)
    np.testing.assert_allclose(theirs, generator.values(latents), atol=1e-5)


def test_onnx(tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export.export(tiny_run.path, "onnx", out=tmp_path / "generator.onnx")
    images = executed(ONNX, tmp_path, monkeypatch)["images"]
    assert images.shape == (64, 28, 28, 1)
    assert np.abs(images).max() <= 1
