"""FEATURES: the shipped judges are what they say, other extractors are made and kept, each image is judged alone."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray
from real_mnist import mnist, needs_real_mnist

from sparring import data
from sparring.data import ImageSet
from sparring.data.named.stacked import stack
from sparring.errors import CheckpointError, DataError, MissingExtra
from sparring.evaluation import classifier, features
from sparring.evaluation.classifier import Classifier, read_classifier
from sparring.evaluation.features import (
    BATCH,
    GENERAL,
    SHIPPED,
    Extractor,
    Features,
    choose_extractor,
    general_features,
    onnx_extractor,
    own_classifier,
    ready_extractor,
    shipped_classifier,
    stacked_classifier,
)
from sparring.files.cache_folder import cache_folder
from sparring.images import Images

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
JUDGES = Path(features.__file__).parent / "judges"

needs_real_fashion = pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="dataset-fashion-mnist is not installed")


def pictures(n: int, *shape: int) -> Images:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def assert_equal(found: Features, expected: Features) -> None:
    """The same bits."""
    np.testing.assert_array_equal(found.values, expected.values)
    assert (found.probabilities is None) == (expected.probabilities is None)
    if found.probabilities is not None and expected.probabilities is not None:
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.fixture(scope="session")
def labelled(digits: Path) -> ImageSet:
    """200 printed digits."""
    return data.load(str(digits))


# -------------------------------------------------------------------------------------------------- the shipped judges


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_are_the_ones_in_the_code_and_small(name: str) -> None:
    content = (JUDGES / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHIPPED[name].sha256
    assert len(content) == SHIPPED[name].bytes < 2_000_000
    assert shipped_classifier(name).sha256 == SHIPPED[name].sha256


def test_so_is_the_file_of_the_general_features() -> None:
    content = (JUDGES / "general.safetensors").read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (GENERAL["bytes"], GENERAL["sha256"])
    assert len(content) <= 3_000_000


@pytest.mark.parametrize(
    ("name", "least"),
    [
        pytest.param("mnist", 0.994, marks=needs_real_mnist),
        pytest.param("fashion-mnist", 0.92, marks=[needs_real_fashion, pytest.mark.ci]),
    ],
)
def test_a_judge_knows_as_many_test_images_as_it_says(name: str, least: float) -> None:
    extractor, images = shipped_classifier(name), data.load(name, "test")
    probabilities = extractor(images.images).probabilities
    assert probabilities is not None
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    found = np.mean(probabilities.argmax(axis=1) == images.labels)
    assert found >= least
    assert found == pytest.approx(SHIPPED[name].test_accuracy, abs=1e-4)
    assert f"{found:.2%}" in extractor.caveat


@pytest.mark.parametrize("place", [0, 2000, -1])
def test_a_flipped_bit_in_a_judges_file_is_noticed(place: int, tmp_path: Path) -> None:
    content = bytearray((JUDGES / "mnist.safetensors").read_bytes())
    content[place] ^= 1
    path = tmp_path / "judge.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: its SHA-256 should be"):
        read_classifier(path, SHIPPED["mnist"].expected, (28, 28, 1), 10)


# --------------------------------------------------------------------------------------------------- any extractor


@pytest.fixture(
    scope="module",
    params=[
        lambda: shipped_classifier("mnist"),
        lambda: general_features((28, 28, 1)),
        lambda: general_features((9, 13, 3)),
    ],
    ids=["judge", "general", "general-9x13x3"],
)
def extractor(request: pytest.FixtureRequest) -> Extractor:
    made: Extractor = request.param()
    return made


def test_features_depend_neither_on_neighbours_nor_on_their_number_nor_on_the_order(extractor: Extractor) -> None:
    images = pictures(2 * BATCH + 30, *extractor.image_shape)
    whole = extractor(images)
    assert whole.values.shape == (len(images), 128)
    for part in (slice(1), slice(BATCH - 1, BATCH + 2), slice(7, 2 * BATCH), slice(None, None, -1)):
        assert_equal(extractor(images[part]), whole[part])
    others = images.copy()
    others[1::2] = 255 - others[1::2]
    assert_equal(extractor(others)[::2], whole[::2])


@pytest.mark.parametrize("batch", [1, 64])
def test_the_size_of_a_batch_changes_the_last_bits_at_most(
    batch: int, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(70, *extractor.image_shape)
    whole = extractor(images)
    monkeypatch.setattr(features, "BATCH", batch)
    np.testing.assert_allclose(extractor(images).values, whole.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(28, 28, 3), (27, 28, 1), (28, 28)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], extractor: Extractor) -> None:
    with pytest.raises(DataError, match=r"takes images of the shape \(.*\), not \("):
        extractor(pictures(3, *shape))


def test_features_of_some_images_are_picked_together() -> None:
    whole = Features(np.eye(4, dtype=np.float32), np.eye(4, 2, dtype=np.float32))
    assert_equal(whole[[2, 0]], Features(whole.values[[2, 0]], np.array([[0, 0], [1, 0]], np.float32)))
    assert_equal(Features(whole.values, None)[1:2], Features(whole.values[1:2], None))


# ------------------------------------------------------------------------------------------ a judge of one's own labels


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What judges were trained on, and how; instead of training they get first weights, of another seed each time."""
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    calls: list[dict[str, Any]] = []

    def first_weights(images: ImageSet, **options: Any) -> Classifier:
        calls.append({"images": images, **options})
        _, height, width, channels = images.images.shape
        shape = (height, width, channels)
        weights = classifier._first_weights(shape, len(images.class_names), jax.random.key(len(calls)))
        return Classifier(shape, jax.tree.map(np.asarray, weights))

    monkeypatch.setattr(features, "train_classifier", first_weights)
    return calls


@pytest.mark.ci
def test_a_judge_is_trained_on_ones_own_labels(
    labelled: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path))
    monkeypatch.setattr(features, "OWN_LEAST_STEPS", 25)
    told: list[tuple[int, int]] = []

    def tell(what: str, done: int = 0, total: int = 0) -> None:
        told.append((done, total))

    extractor = own_classifier(labelled, tell)
    probabilities = extractor(labelled.images).probabilities
    assert probabilities is not None
    assert np.mean(probabilities.argmax(axis=1) == labelled.labels) > 0.5
    assert told[-1][0] == told[-1][1]
    assert extractor.has_classes
    assert extractor.image_shape == (28, 28, 1)

    monkeypatch.delattr(features, "train_classifier")
    again = own_classifier(labelled)
    assert_equal(again(labelled.images[:20]), extractor(labelled.images[:20]))
    assert (again.sha256, again.caveat) == (extractor.sha256, extractor.caveat)


def test_a_judge_learns_all_classes_also_where_they_take_turns(
    labelled: ImageSet, trained: list[dict[str, Any]]
) -> None:
    own_classifier(labelled)
    assert len(np.unique(trained[0]["images"].labels)) == 10


def test_a_judge_may_be_trained_on_nine_images(labelled: ImageSet, trained: list[dict[str, Any]]) -> None:
    own_classifier(replace(labelled, images=labelled.images[:9], labels=_labels(labelled)[:9]))
    assert len(trained) == 1


def test_a_judge_no_better_than_chance_counts_no_classes(
    labelled: ImageSet, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = own_classifier(labelled)
    found = blind(labelled.images[:20])
    assert not blind.has_classes
    assert found.probabilities is None and found.values.shape == (20, 128)
    assert "no better than chance" in blind.caveat
    monkeypatch.setattr(features, "accuracy", lambda classifier, images: 0.55)
    able = own_classifier(replace(labelled, labels=9 - _labels(labelled)))
    assert able.has_classes and able(labelled.images[:20]).probabilities is not None


@pytest.mark.parametrize(("counts", "bound"), [([25, 25, 25, 25], 0.335), ([90, 10], 0.959), ([40], 1.0)])
def test_chance_is_the_largest_class_and_its_error_band(counts: list[int], bound: float) -> None:
    labels = np.arange(len(counts)).repeat(counts).astype(np.int32)
    names = tuple(map(str, range(len(counts))))
    images = ImageSet("x", np.zeros((len(labels), 8, 8, 1), np.uint8), labels, names, "the test")
    assert features.chance_accuracy(images) == pytest.approx(bound, abs=0.001)


def test_a_judge_learns_from_nine_tenths_and_tells_of_the_others(
    labelled: ImageSet, trained: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "chance_accuracy", lambda checked: -1.0)
    images = np.array(labelled.images)
    images[:, 0, 0, 0] = np.arange(200)  # so that each is known by its first pixel
    extractor = own_classifier(replace(labelled, images=images))
    learnt = np.asarray(trained[0]["images"].images)[:, 0, 0, 0]
    kept = np.setdiff1d(np.arange(200), learnt)
    assert len(np.unique(learnt)) == len(learnt) == 180
    np.testing.assert_array_equal(trained[0]["images"].labels, _labels(labelled)[learnt])
    probabilities = extractor(images[kept]).probabilities
    assert probabilities is not None
    right = np.mean(probabilities.argmax(axis=1) == _labels(labelled)[kept])
    assert f"classifies {right:.0%} of the validation images" in extractor.caveat


@pytest.mark.parametrize(("copies", "epochs"), [(1, 384), (100, 5)])
def test_a_judge_sees_each_image_five_times_and_few_images_more_often(
    copies: int, epochs: int, labelled: ImageSet, trained: list[dict[str, Any]]
) -> None:
    """600 batches of 128 are 384 times 200."""
    places = np.arange(200 * copies) % 200
    own_classifier(replace(labelled, images=labelled.images[places, 10:18, 10:18], labels=_labels(labelled)[places]))
    assert epochs <= trained[0]["epochs"] <= 1.12 * epochs


def test_other_data_have_another_judge(labelled: ImageSet, trained: list[dict[str, Any]]) -> None:
    first = own_classifier(labelled)
    other = own_classifier(replace(labelled, labels=9 - _labels(labelled)))
    assert len({first.sha256, other.sha256}) == len(trained) == 2
    assert own_classifier(replace(labelled, name="elsewhere")).sha256 == first.sha256
    assert own_classifier(replace(labelled, labels=9 - _labels(labelled))).sha256 == other.sha256
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        (".safetensors", Path.unlink),
        (".safetensors", lambda path: path.write_bytes(path.read_bytes()[:-100])),
        (".json", lambda path: path.write_bytes(b"")),
        (".json", lambda path: path.write_bytes(b"[1]")),
        (".json", lambda path: path.write_text(path.read_text().replace('"accuracy"', '"other"'))),
    ],
    ids=["missing", "cut", "empty", "other", "without its accuracy"],
)
def test_a_damaged_judge_is_trained_anew(
    ending: str, damage: Callable[[Path], object], labelled: ImageSet, trained: list[dict[str, Any]]
) -> None:
    own_classifier(labelled)
    damage(cache_folder() / "judges" / f"{labelled.checksum()}{ending}")
    second = own_classifier(labelled)
    assert len(trained) == 2
    assert own_classifier(labelled).sha256 == second.sha256
    assert len(trained) == 2


def _labels(images: ImageSet) -> NDArray[np.int32]:
    assert images.labels is not None
    return images.labels


# ----------------------------------------------------------------------------------------------------- general features


def test_general_features_see_colour_and_what_is_transparent() -> None:
    gray, colour, alpha = pictures(10, 40, 24, 1), pictures(10, 40, 24, 3), pictures(10, 40, 24, 4)
    as_colour = general_features((40, 24, 3))
    assert_equal(general_features((40, 24, 1))(gray), as_colour(np.repeat(gray, 3, axis=-1)))
    see_through, opaque = alpha.copy(), alpha.copy()
    see_through[..., 3], opaque[..., 3] = 0, 255
    with_alpha = general_features((40, 24, 4))
    assert_equal(with_alpha(opaque), as_colour(np.ascontiguousarray(alpha[..., :3])))
    assert np.ptp(with_alpha(see_through).values, axis=0).max() == 0  # whatever colours are hidden
    swapped = as_colour(colour[..., ::-1].copy())
    assert np.abs(swapped.values - as_colour(colour).values).max() > 0.1


def test_general_features_say_that_they_cannot_count_classes() -> None:
    extractor = general_features((12, 12, 1))
    assert not extractor.has_classes
    assert extractor(pictures(3, 12, 12, 1)).probabilities is None
    assert "classes cannot be counted" in extractor.caveat


def test_stacked_mnist_is_judged_channel_by_channel(labelled: ImageSet) -> None:
    stacked = stack(labelled, 300, seed=0)
    extractor, digits = stacked_classifier(), shipped_classifier("mnist")
    found = extractor(stacked.images)
    channels = [digits(np.ascontiguousarray(stacked.images[..., i : i + 1])) for i in range(3)]
    np.testing.assert_array_equal(found.values, np.concatenate([one.values for one in channels], axis=1))
    assert found.probabilities is not None and found.probabilities.shape == (300, 1000)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
    said = np.stack([one.probabilities.argmax(axis=1) for one in channels if one.probabilities is not None])
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), [100, 10, 1] @ said)
    assert (extractor.sha256, extractor.modes, digits.modes) == (digits.sha256, True, False)
    assert "99.62%" in extractor.caveat and "98.9%" in extractor.caveat


# ---------------------------------------------------------------------------------------------- which one is chosen


def test_stacked_mnist_gets_the_judge_of_mnist(labelled: ImageSet, trained: list[dict[str, Any]]) -> None:
    stacked = stack(labelled, 30, seed=0)
    for extractor in (choose_extractor(stacked), ready_extractor(stacked)):
        assert extractor.modes and extractor.image_shape == (28, 28, 3)
    assert not trained


@needs_real_mnist
@pytest.mark.parametrize("split", ["train", "test"])
def test_mnist_gets_its_judge_also_where_it_comes_by_path(split: data.Split, trained: list[dict[str, Any]]) -> None:
    named = mnist(split)
    by_path = data.load(named.source, split)
    assert choose_extractor(named).sha256 == choose_extractor(by_path).sha256 == SHIPPED["mnist"].sha256
    assert not trained


@needs_real_fashion
def test_fashion_mnist_gets_its_judge_also_where_it_comes_by_path() -> None:
    by_path = data.load(str(DEBIAN_FASHION), "test")
    assert choose_extractor(by_path).sha256 == SHIPPED["fashion-mnist"].sha256
    assert choose_extractor(data.load("fashion-mnist", "test")).sha256 == SHIPPED["fashion-mnist"].sha256


def test_images_with_labels_get_a_judge_of_them(labelled: ImageSet, trained: list[dict[str, Any]]) -> None:
    extractor = choose_extractor(labelled)
    assert len(trained) == 1
    assert extractor.sha256 == own_classifier(labelled).sha256


@needs_real_mnist
def test_what_is_ready_needs_no_training(labelled: ImageSet, trained: list[dict[str, Any]]) -> None:
    assert ready_extractor(mnist("test")).sha256 == SHIPPED["mnist"].sha256
    assert ready_extractor(labelled).sha256 == general_features((28, 28, 1)).sha256
    assert not trained


@pytest.mark.parametrize("labels", ["none", "one"])
def test_images_without_two_labels_get_general_features(
    labels: str, labelled: ImageSet, trained: list[dict[str, Any]]
) -> None:
    if labels == "none":
        images = replace(labelled, labels=None, class_names=())
    else:
        images = replace(labelled, labels=np.zeros(200, np.int32))
    assert choose_extractor(images).sha256 == general_features((28, 28, 1)).sha256
    assert not trained


@pytest.mark.parametrize(("height", "width"), [(7, 28), (28, 7)])
def test_images_too_small_to_be_judged_are_refused(height: int, width: int) -> None:
    images = ImageSet("tiny", pictures(20, height, width, 1), None, (), "here")
    with pytest.raises(DataError, match=f"images of {height} x {width} pixels are too small to be judged"):
        choose_extractor(images)


def test_images_of_eight_pixels_are_large_enough() -> None:
    images = ImageSet("small", pictures(20, 8, 8, 1), None, (), "here")
    assert choose_extractor(images)(images.images).values.shape == (20, 128)


# ---------------------------------------------------------------------------------------------- networks in ONNX files

Make = Callable[..., Path]
"""(the sizes of the input, operations, element type) -> a file with that network."""

SHAPE = (8, 10, 3)
KERNEL = np.random.default_rng(1).normal(size=(8 * 10 * 3, 4)).astype(np.float32)


@pytest.fixture
def make_onnx(tmp_path: Path) -> Make:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def make(sizes: list[Any], *operations: str, element: str = "FLOAT", inputs: int = 1) -> Path:
        """The operations one after the other, on float32, two of them with a constant."""
        helper, kind = onnx.helper, onnx.TensorProto
        constants = {"MatMul": KERNEL, "Sub": np.float32(0.5)}
        nodes = [helper.make_node("Cast", ["images0"], ["x0"], to=kind.FLOAT)]
        for i, operation in enumerate(operations):
            more = [operation] if operation in constants else []
            nodes.append(helper.make_node(operation, [f"x{i}", *more], [f"x{i + 1}"]))
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info(f"images{i}", getattr(kind, element), sizes) for i in range(inputs)],
            [helper.make_tensor_value_info(f"x{len(operations)}", kind.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / "network.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def by_kernel(images: NDArray[Any], channels_first: bool) -> NDArray[Any]:
    given = images.transpose(0, 3, 1, 2) if channels_first else images
    product: NDArray[Any] = given.reshape(len(images), -1).astype(np.float32) @ KERNEL
    return product


@pytest.mark.parametrize(
    ("sizes", "channels_first"),
    [
        (["n", 3, 8, 10], True),
        (["n", 8, 10, 3], False),
        ([BATCH, 3, 8, 10], True),
        (["n", "c", "h", "w"], True),
        (["n", "h", "w", 3], False),
    ],
)
@pytest.mark.parametrize(("element", "scale"), [("FLOAT", 255), ("UINT8", 1)])
def test_an_onnx_network_gets_images_as_its_input_says(
    sizes: list[Any], channels_first: bool, element: str, scale: float, make_onnx: Make
) -> None:
    path = make_onnx(sizes, "Flatten", "MatMul", element=element)
    extractor = onnx_extractor(path, SHAPE)
    images = pictures(BATCH + 5, *SHAPE)
    found = extractor(images)
    np.testing.assert_allclose(found.values, by_kernel(images, channels_first) / scale, rtol=1e-3, atol=1e-3 / scale)
    assert found.probabilities is None
    assert not extractor.has_classes
    assert extractor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_features_of_an_onnx_network_are_flattened(make_onnx: Make) -> None:
    images = pictures(7, *SHAPE)
    found = onnx_extractor(make_onnx(["n", *SHAPE], "Relu"), SHAPE)(images)
    np.testing.assert_allclose(found.values, images.reshape(7, -1) / 255, rtol=1e-6)


def test_an_onnx_network_comes_before_all_others(make_onnx: Make) -> None:
    images = ImageSet("mnist", pictures(20, *SHAPE), np.arange(20, dtype=np.int32), tuple("abcdefghijklmnopqrst"), "")
    path = make_onnx(["n", *SHAPE], "Flatten", "MatMul")
    assert choose_extractor(images, onnx=path).name == "network.onnx"


OTHER_IMAGES = r"takes images of the shape .*, but these are 8 x 10 x 3"
NO_IMAGES = "should take one array of images, float or uint8"


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        *((sizes, {}, OTHER_IMAGES) for sizes in (["n", 1, 8, 10], ["n", 10, 8, 3], ["n", 240], [])),
        *((["n", *SHAPE], other, NO_IMAGES) for other in ({"element": "DOUBLE"}, {"element": "INT64"}, {"inputs": 2})),
    ],
)
def test_an_onnx_network_of_something_else_is_refused(
    sizes: list[Any], options: dict[str, Any], message: str, make_onnx: Make
) -> None:
    with pytest.raises(DataError, match=message):
        onnx_extractor(make_onnx(sizes, "Relu", **options), SHAPE)


@pytest.mark.parametrize(
    ("sizes", "operations", "message"),
    [
        ([1, *SHAPE], ["Flatten"], "cannot judge"),
        (["n", "c", "h", "w"], ["MatMul"], "cannot judge"),
        (["n", *SHAPE], ["Sub", "Log"], "should give finite features"),
        (["n", *SHAPE], ["ReduceMax"], "should give finite features, one row an image"),
    ],
    ids=["of one image", "of other sizes", "with NaN", "one for all images"],
)
def test_an_onnx_network_without_features_for_each_image_is_refused(
    sizes: list[Any], operations: list[str], message: str, make_onnx: Make
) -> None:
    extractor = onnx_extractor(make_onnx(sizes, *operations), SHAPE)
    with pytest.raises(DataError, match=message):
        extractor(pictures(5, *SHAPE))


def test_an_onnx_network_need_not_bear_black_images(make_onnx: Make) -> None:
    """One that normalises what it is given."""
    extractor = onnx_extractor(make_onnx(["n", *SHAPE], "Reciprocal"), SHAPE)
    assert extractor(pictures(5, *SHAPE) // 2 + 1).values.shape == (5, 240)


def test_a_file_that_is_no_onnx_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    with pytest.raises(DataError, match=r"network.onnx cannot be read: No such file"):
        onnx_extractor(path, SHAPE)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        onnx_extractor(tmp_path, SHAPE)
    for content in (b"", b"no network", bytes(range(256)) * 10):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not a network that onnxruntime can run"):
            onnx_extractor(path, SHAPE)


def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sparring\[onnx\]'"):
        onnx_extractor(tmp_path / "network.onnx", SHAPE)
