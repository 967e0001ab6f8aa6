"""MEMORISATION: the nearest training images are those of an exact search, and planted copies of MNIST are found out."""

import numpy as np
import pytest
from numpy.typing import NDArray
from real_mnist import mnist, needs_real_mnist

from sparring.data.selection import select
from sparring.evaluation.metrics import memorisation as module
from sparring.evaluation.metrics.memorisation import PAIRS, Lookup, Nearest, lookup, memorisation
from sparring.images import Images

Values = NDArray[np.float64]


def pictures(n: int, seed: int, shape: tuple[int, int, int] = (12, 10, 1)) -> Images:
    """Images of noise, some brighter than others, so that they are not all equally far from each other."""
    random = np.random.default_rng(seed)
    return (random.integers(0, 256, (n, *shape)) * random.uniform(0.3, 1, (n, 1, 1, 1))).astype(np.uint8)


def exact(images: Images, training: Images) -> Nearest:
    """By the squared differences of all pairs, in whole numbers; a part is every fiftieth training image."""
    rows, others = (x.reshape(len(x), -1).astype(np.float64) for x in (images, training))
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * rows @ others.T
    parts = [squares[:, i::50].min(axis=1) for i in range(min(50, len(training)))]
    nearest, usual = (np.sqrt(x / rows.shape[1]) for x in (squares.min(axis=1), np.median(parts, axis=0)))
    return Nearest(squares.argmin(axis=1), nearest, nearest / np.maximum(usual, 1e-9))


def assert_equal(found: Nearest, expected: Nearest) -> None:
    """The same bits, but for the closeness, which is computed in single precision."""
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.distances, expected.distances)
    np.testing.assert_allclose(found.closeness, expected.closeness, rtol=1e-4, atol=1e-6)


def with_closeness(*closeness: float) -> Nearest:
    """Images of that closeness, each to a training image of its own."""
    values = np.array(closeness)
    return Nearest(np.arange(len(values)), values * 50, values)


# ------------------------------------------------------------------------------------------------------- the look-up


@pytest.mark.parametrize("training", [2, 49, 50, 51, 101, 730])
def test_the_nearest_training_images_are_those_of_an_exact_search(training: int) -> None:
    images, others = pictures(40, seed=1), pictures(training, seed=2)
    assert_equal(lookup(others)(images), exact(images, others))


@pytest.mark.parametrize(
    ("training", "shape", "rows"),
    [
        (3, (12, 10, 1), 1),
        (99, (12, 10, 1), 200),
        (730, (12, 10, 1), 120),
        pytest.param(101, (40, 33, 3), 1, marks=pytest.mark.long),
        pytest.param(101, (40, 33, 3), 120, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_training_images_that_do_not_stay_on_the_device_are_found_as_well(
    training: int, shape: tuple[int, int, int], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, others = pictures(40, seed=1, shape=shape), pictures(training, seed=2, shape=shape)
    expected = lookup(others)(images)
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    monkeypatch.setattr(module, "BLOCK_BYTES", rows * module._reduced(others[:1]).size)
    assert_equal(lookup(select(others, np.arange(training)))(images), expected)


def test_the_means_of_blocks_are_rounded_as_exact_ones_are() -> None:
    images = pictures(5, seed=3, shape=(70, 33, 3))
    blocks = images[:, :69].reshape(5, 23, 3, 11, 3, 3).astype(np.float64)
    np.testing.assert_array_equal(module._reduced(images), np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8))


@needs_real_mnist
def test_digits_are_looked_up_as_by_an_exact_search(find: Lookup, unseen: Nearest) -> None:
    assert_equal(unseen, exact(mnist("test").images[:1500], mnist("train").images[:6000]))


@pytest.mark.parametrize("rows", [1, 17, 40, 1000])
def test_rows_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, others = pictures(40, seed=1), pictures(200, seed=2)
    whole = lookup(others)(images)
    monkeypatch.setattr(module, "ROWS", rows)
    assert_equal(lookup(others)(images), whole)


@pytest.mark.parametrize("parts", [1, 7, 50, 300])
def test_the_nearest_does_not_depend_on_the_parts(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, others = pictures(40, seed=1), pictures(200, seed=2)
    expected = exact(images, others)
    monkeypatch.setattr(module, "PARTS", parts)
    found = lookup(others)(images)
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.distances, expected.distances)


@pytest.mark.parametrize("stops", [(1,), (100, 101), (250,), (7, 260, 290)])
def test_an_image_is_looked_up_alike_among_others_and_alone(stops: tuple[int, ...]) -> None:
    images, find = pictures(300, seed=1), lookup(pictures(200, seed=2))
    whole = find(images)
    found = [find(part) for part in np.split(images, stops)]
    for name in ("places", "distances", "closeness"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in found]), getattr(whole, name))


@needs_real_mnist
def test_the_order_of_the_training_images_hardly_counts(unseen: Nearest) -> None:
    """Not even where they are sorted by class, as many data sets are."""
    training = mnist("train")
    order = np.argsort(np.asarray(training.labels)[:6000], kind="stable")
    found = lookup(training.images[:6000][order])(mnist("test").images[:1500])
    np.testing.assert_array_equal(order[found.places], unseen.places)
    np.testing.assert_array_equal(found.distances, unseen.distances)
    assert np.abs(found.closeness - unseen.closeness).mean() < 0.02


@pytest.mark.parametrize("training", [2, 7, 60, 200])
def test_an_exact_copy_has_closeness_zero(training: int) -> None:
    others = pictures(training, seed=2)
    found = lookup(others)(others)
    np.testing.assert_array_equal(found.places, np.arange(training))
    assert not found.distances.any()
    assert not found.closeness.any()


def test_new_images_have_a_closeness_near_one() -> None:
    closeness = lookup(pictures(2000, seed=2))(pictures(100, seed=1)).closeness
    assert 0.7 < closeness.min() < closeness.max() <= 1


def test_a_training_image_may_come_many_times() -> None:
    others = np.concatenate([np.repeat(pictures(1, seed=2), 20, axis=0), pictures(180, seed=3)])
    images = np.concatenate([others[:1], pictures(20, seed=1)])
    found, expected = lookup(others)(images), exact(images, others)
    assert found.places[0] < 20
    np.testing.assert_array_equal(found.distances, expected.distances)
    np.testing.assert_allclose(found.closeness, expected.closeness, rtol=1e-4)
    assert found.closeness[0] == 0


def test_training_images_that_are_all_equal_have_a_closeness() -> None:
    others = np.repeat(pictures(1, seed=2), 60, axis=0)
    found = lookup(others)(np.concatenate([others[:1], pictures(1, seed=1)]))
    np.testing.assert_allclose(found.closeness, [0, 1], rtol=1e-4)


@pytest.mark.parametrize(("shape", "block", "rest"), [((24, 32, 3), 2, 0), ((25, 17, 1), 4, 2), ((30, 11, 1), 3, 1)])
def test_large_images_are_compared_by_the_means_of_blocks(shape: tuple[int, int, int], block: int, rest: int) -> None:
    """What is finer than a block, and what is left over at the edge, does not count."""
    random = np.random.default_rng(0)
    small = [random.integers(60, 196, (n, *shape)).astype(np.uint8) for n in (10, 70)]
    fine = np.zeros((block, block))
    fine[0, 0], fine[-1, -1] = 60, -60
    finer = [np.tile(fine, shape[:2])[None, ..., None] * random.choice([-1, 1], (len(x), 1, 1, 1)) for x in small]
    large = [np.kron(x, np.ones((1, block, block, 1))) + y for x, y in zip(small, finer, strict=True)]
    images, others = (np.pad(x, ((0, 0), (0, 0), (0, rest), (0, 0))).astype(np.uint8) for x in large)
    assert_equal(lookup(others)(images), exact(*small))


def test_a_narrow_image_keeps_its_pixels() -> None:
    others = pictures(60, seed=2, shape=(8, 300, 1))
    np.testing.assert_array_equal(lookup(others)(others).places, np.arange(60))


# ---------------------------------------------------------------------------------------------------- the judgement


def test_copies_are_closer_than_three_quarters_of_the_closest_hundredth_of_the_unseen() -> None:
    unseen, samples = with_closeness(*np.arange(1, 1001) / 1000), with_closeness(0.001, 0.0081, 0.0083, 0.5)
    found = memorisation(samples, unseen)
    assert found.threshold == pytest.approx(0.75 * 0.011, abs=1e-4)
    assert found.copies == 0.5
    assert found.copies_unseen == 0.008
    assert found.error == 0.25  # of a share of a half among four
    assert found.distance == pytest.approx(50 * 0.0082)
    assert found.distance_unseen == pytest.approx(50 * 0.5005)


@pytest.mark.parametrize(
    ("copies", "n", "raised"),
    [(0, 1000, False), (29, 1000, False), (30, 1000, True), (299, 10_000, False), (300, 10_000, True), (4, 50, False)],
)
def test_the_alarm_is_raised_where_copies_are_many_and_no_chance(copies: int, n: int, raised: bool) -> None:
    unseen = with_closeness(*np.linspace(0.5, 1, 10_000))
    assert memorisation(with_closeness(*[0.1] * copies, *[0.9] * (n - copies)), unseen).alarm == raised


def test_the_alarm_is_seldom_raised_by_chance() -> None:
    random = np.random.default_rng(0)
    raised = [memorisation(*(with_closeness(*random.random(1000)) for _ in range(2))).alarm for _ in range(300)]
    assert np.mean(raised) < 0.03


def test_pairs_are_the_closest_and_list_a_training_image_once() -> None:
    random = np.random.default_rng(0)
    closeness = random.permutation(200) / 200
    samples = Nearest(random.integers(0, 40, 200), closeness * 50, closeness)
    pairs = memorisation(samples, with_closeness(*random.random(100))).closest
    best = {int(place): closeness[samples.places == place].min() for place in np.unique(samples.places)}
    expected = sorted(best.items(), key=lambda item: item[1])[:PAIRS]
    assert [(pair.training, pair.closeness) for pair in pairs] == expected
    for pair in pairs:
        assert samples.places[pair.sample] == pair.training
        assert samples.distances[pair.sample] == pair.distance
        assert closeness[pair.sample] == pair.closeness


def suspicious(samples: Nearest, unseen: Nearest) -> int:
    found = [pair.suspicious for pair in memorisation(samples, unseen).closest]
    assert found == sorted(found, reverse=True), "the suspicious ones come first"
    return sum(found)


def test_only_pairs_that_unseen_images_do_not_explain_are_suspicious() -> None:
    usual = np.linspace(0.5, 1, 1000)
    unseen = with_closeness(*usual)
    assert suspicious(with_closeness(*usual), unseen) == 0
    assert suspicious(with_closeness(0.0, *usual[1:]), unseen) == 1, "one copy"
    assert suspicious(with_closeness(*[0.1] * 7, *usual[7:]), unseen) == 7
    assert suspicious(with_closeness(*[0.38] * 7, *usual[7:]), unseen) == 0, "below what is usual, but hardly"
    doubles = with_closeness(*[0.0] * 5, *usual[5:])  # five of a thousand real images come twice
    assert suspicious(with_closeness(*[0.0] * 5, *usual[5:]), doubles) == 0
    assert suspicious(with_closeness(*[0.0] * 100, *usual[100:]), doubles) == PAIRS
    assert suspicious(with_closeness(*[0.0] * 5, *usual[5:]), with_closeness(*[0.0] * 50, *usual[50:])) == 0


def test_unseen_images_are_seldom_suspicious() -> None:
    random = np.random.default_rng(0)
    found = [
        suspicious(*(with_closeness(*random.normal(0.9, 0.12, 250).clip(0.3)) for _ in range(2))) for _ in range(300)
    ]
    assert np.mean(np.array(found) > 0) < 0.05


def test_fewer_training_images_than_pairs_are_all_listed() -> None:
    samples = Nearest(np.arange(50) % 3, np.full(50, 9.0), np.full(50, 0.5))
    pairs = memorisation(samples, with_closeness(0.1, 0.9)).closest
    assert [(pair.sample, pair.training) for pair in pairs] == [(0, 0), (1, 1), (2, 2)]


# ------------------------------------------------------------------------------------- 6,000 digits, and copies of them


@pytest.fixture(scope="module")
def find() -> Lookup:
    return lookup(mnist("train").images[:6000])


@pytest.fixture(scope="module")
def unseen(find: Lookup) -> Nearest:
    return find(mnist("test").images[:1500])


def real(n: int = 1500, start: int = 1500) -> Images:
    """Test images beside the first 1,500."""
    return mnist("test").images[start : start + n]


def training_images(n: int, seed: int = 0) -> Images:
    return mnist("train").images[np.random.default_rng(seed).choice(6000, n, replace=False)]


def noisy(images: Images, deviation: float = 20) -> Images:
    noise = np.random.default_rng(1).normal(0, deviation, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def planted(copies: Images) -> Images:
    """Real images, 1,500 in all, with copies among them."""
    return np.concatenate([real(1500 - len(copies)), copies])


@needs_real_mnist
def test_copies_of_one_training_image_in_twenty_are_found(find: Lookup, unseen: Nearest) -> None:
    """A generator that makes only copies, of a twentieth of its training images."""
    copied = training_images(300)
    found = memorisation(find(copied[np.arange(1500) % 300]), unseen)
    assert found.alarm
    assert found.copies == 1
    assert len({pair.training for pair in found.closest}) == PAIRS
    assert all(pair.closeness == 0 and pair.suspicious for pair in found.closest)


@needs_real_mnist
@pytest.mark.parametrize("deviation", [0, 20])
def test_one_copy_in_twenty_samples_is_found_also_with_noise(deviation: float, find: Lookup, unseen: Nearest) -> None:
    copies = noisy(training_images(75), deviation)
    found = memorisation(find(planted(copies)), unseen)
    assert found.alarm
    assert 0.04 < found.copies < 0.06
    assert min(pair.sample for pair in found.closest) >= 1425, "the closest pairs are planted ones"


@needs_real_mnist
def test_copies_with_noise_are_nearly_all_found(find: Lookup, unseen: Nearest) -> None:
    found = memorisation(find(noisy(training_images(1000))), unseen)
    assert found.alarm
    assert found.copies > 0.8
    assert found.distance < found.distance_unseen / 2


@needs_real_mnist
@pytest.mark.parametrize("start", [1500, 4500, 7500])
def test_unseen_digits_raise_no_alarm(start: int, find: Lookup, unseen: Nearest) -> None:
    found = memorisation(find(real(start=start)), unseen)
    assert not found.alarm
    assert found.copies < 0.02
    assert sum(pair.suspicious for pair in found.closest) <= 1, "one in 3,000 has a double"


@needs_real_mnist
@pytest.mark.parametrize("digit", range(10))
def test_unseen_digits_of_one_class_raise_no_alarm(digit: int, find: Lookup, unseen: Nearest) -> None:
    images = mnist("test").images[1500:]
    of_class = images[np.asarray(mnist("test").labels)[1500:] == digit]
    assert not memorisation(find(of_class), unseen).alarm
