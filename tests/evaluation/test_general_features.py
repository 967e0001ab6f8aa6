"""THE GENERAL FEATURES: they order what is worse after what is better, and the tool that made them makes such ones."""

from pathlib import Path

import instrument
import matplotlib
import numpy as np
import pytest
import train_features
from PIL import Image
from real_mnist import mnist, needs_real_mnist

from sparring.evaluation.classifier import read_classifier
from sparring.evaluation.features import GENERAL_SIDE, general_features
from sparring.images import some_places

SIDE = GENERAL_SIDE


@needs_real_mnist
def test_each_flaw_of_real_digits_is_ordered_by_its_strength() -> None:
    test = mnist("test").only(some_places(10_000, 1_000))
    real, labels = np.asarray(test.images[:500]), np.asarray(test.labels)[:500]
    measure = instrument.distance_from(np.asarray(test.images[500:]), general_features((28, 28, 1)))
    floor = measure(real)
    for kind, sets in instrument.flaws(real, labels).items():
        distances = [floor, *(measure(images) for images in sets[1::2])]
        assert distances == sorted(distances), (kind, distances)


def picture(path: Path, colour: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.new("RGBA" if len(colour) == 4 else "RGB", (90, 60), colour)
    made.paste((0,) * len(colour), (10, 10, 30, 30))
    made.save(path)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two photographs, two drawings with alpha, and a font."""
    for i in range(2):
        picture(tmp_path / f"photographs/{i}.jpg", (200, 100 * i, 50))
        picture(tmp_path / f"drawings/{i}.png", (0, 100 * i, 200, 255))
    fonts = tmp_path / "usr/share/fonts/truetype"
    fonts.mkdir(parents=True)
    (fonts / "a.ttf").write_bytes((Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf").read_bytes())
    monkeypatch.setattr(
        train_features,
        "SOURCES",
        tuple(
            train_features.Source((kind,), f"{kind}/*.*", share, "ours")
            for kind, share in (("photographs", 0.4), ("drawings", 0.5))
        ),
    )
    monkeypatch.setattr(train_features, "NAMED", ())
    monkeypatch.setattr(train_features, "VIEWS", 400)
    return tmp_path


def test_each_picture_and_each_character_is_a_class(sources: Path) -> None:
    images = train_features.views(sources, seed=0)
    assert images.images.shape == (400, SIDE, SIDE, 3) and images.images.dtype == np.uint8
    assert images.labels is not None
    counts = np.bincount(images.labels)
    assert sorted(counts)[-4:] == [80, 80, 100, 100] and counts.sum() == 400
    assert 5 < len(counts) - 4 <= len(train_features.CHARACTERS)
    again = train_features.views(sources, seed=0)
    np.testing.assert_array_equal(images.images[:], again.images[:])


def test_the_network_is_trained_and_written_without_its_head(
    sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_features, "VIEWS", 128)  # one batch
    path = sources / "general.safetensors"
    train_features.train(train_features.views(sources, seed=0), path, seed=0, epochs=1)
    shipped = Path(read_classifier.__code__.co_filename).parent / "judges" / "general.safetensors"
    assert path.stat().st_size == shipped.stat().st_size
    assert '"sha256"' in capsys.readouterr().out
