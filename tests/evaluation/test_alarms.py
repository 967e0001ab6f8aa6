"""Alarms: raised where they should be, silent where all is well, in words with the figures in them."""

from typing import Any

import pytest

from sparring.evaluation.alarms import ALARMS, Judged, best_of, collapse, comparable, domination, flat, grid, memorised

WELL: Judged = {
    "step": 1000, "score": 10.0, "floor": 1.0, "diversity": 0.9, "copies": 0.01, "copies_alarm": False,
    "right_unseen": 0.7, "right_fake": 0.8, "memorising": 0.5, "memorising_alarm": False,
    "variation": 0.05, "variation_band": 0.05, "top_class": "1", "top_share": 0.12, "top_due": 0.11,
}  # fmt: skip


def run_of(*changes: dict[str, Any]) -> list[Judged]:
    """Judgements every 1,000 steps, each all right but for its changes."""
    return [WELL | {"step": 1000 * (i + 1)} | change for i, change in enumerate(changes)]


@pytest.mark.parametrize("kind", ALARMS)
def test_a_run_that_gets_better_raises_none(kind: str) -> None:
    judged = run_of(*({"score": 50.0 / (i + 1)} for i in range(20)))
    assert all(ALARMS[kind](judged[: i + 1]) is None for i in range(20))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top_class": "8", "top_share": 0.9, "top_due": 0.1, "variation": 0.8}, "90% of the samples are '8' (10% of"),
        ({"variation": 0.6, "top_share": 0.4}, "60% of the samples would have to change class"),
        ({"modes": 120, "modes_real": 632}, "the samples have 120 modes, the same number of real images has 632"),
        ({"diversity": 0.1}, "vary only 10% as much as real images"),
    ],
)
def test_collapse_is_an_alarm_when_it_lasts(change: dict[str, Any], words: str) -> None:
    assert collapse(run_of(change)) is None
    assert collapse(run_of(change, {}, change)) is None
    assert words in (collapse(run_of({}, change, change)) or "")


def test_collapse_is_seen_without_classes() -> None:
    without = {"step": 1000, "diversity": 0.05}
    assert "vary only 5%" in (collapse([without, without]) or "")
    assert collapse([without, without | {"diversity": 0.5}]) is None


def test_a_class_that_the_data_have_most_of_is_no_collapse() -> None:
    change = {"top_share": 0.6, "top_due": 0.55}
    assert collapse(run_of(change, change)) is None


def test_most_modes_of_the_data_are_no_collapse() -> None:
    change = {"modes": 300, "modes_real": 632}
    assert collapse(run_of(change, change)) is None


def test_a_dominating_discriminator() -> None:
    change = {"right_unseen": 0.995, "right_fake": 1.0}
    assert domination(run_of(change)) is None
    assert domination(run_of({"right_unseen": 0.995, "right_fake": 0.98}, change)) is None
    assert "99.5% of unseen real images and 100.0% of the samples" in (domination(run_of(change, change)) or "")


def test_memorisation_of_samples_and_by_the_discriminator() -> None:
    assert memorised(run_of({})) is None
    assert "6.0% of the samples are copies" in (memorised(run_of({"copies": 0.06, "copies_alarm": True})) or "")
    assert "in 71% of the cases" in (memorised(run_of({"memorising": 0.71, "memorising_alarm": True})) or "")


def test_only_judgements_by_the_same_features_are_compared() -> None:
    older = [{"step": 100, "score": 0.01}, {"step": 200, "score": 0.02}]
    newer = [{"step": step, "score": 5.0, "extractor": "general features"} for step in (300, 400)]
    assert comparable([*older, *newer]) == newer and comparable(older) == older
    classified = WELL | {"extractor": "classifier"}  # older versions do not name the classifier
    assert comparable([WELL, classified]) == [WELL, classified]


def test_a_grid_over_the_samples_of_two_judgements() -> None:
    change = {"grid": 3.24, "grid_pixels": 4, "grid_alarm": True}
    assert grid(run_of(change)) is None
    assert grid(run_of(change, change | {"grid_alarm": False})) is None
    assert grid([WELL, WELL]) is None  # those of older versions say nothing about it
    text = grid(run_of({}, change, change)) or ""
    assert "a grid of 4 pixels" in text and "3.2 times" in text


def test_flat_names_the_best_step_after_six_judgements_without_gain() -> None:
    scores = [30.0, 20.0, 10.0, 10.5, 9.95, 11.0, 10.2, 9.9, 12.0]
    judged = run_of(*({"score": score} for score in scores))
    assert [flat(judged[: i + 1]) is not None for i in range(9)] == [False] * 8 + [True]
    assert flat(judged) == "flat for 6,000 steps: stop now, best was step 8,000"


def test_flat_waits_for_a_quarter_of_the_steps_so_far() -> None:
    early = run_of(*({"score": 20.0 - i} for i in range(10)))
    close = [WELL | {"step": 10_000 + 100 * i, "score": 11.0} for i in range(1, 20)]
    assert flat(early + close) is None
    assert flat([*early, *close, WELL | {"step": 14_000, "score": 11.0}]) is not None


def test_a_gain_of_two_percent_starts_the_patience_anew() -> None:
    scores = [10.0] + [10.0] * 5 + [9.79] + [9.79] * 5
    judged = run_of(*({"score": score} for score in scores))
    assert all(flat(judged[: i + 1]) is None for i in range(len(judged)))


def test_scores_below_zero_as_the_kernel_distance_has() -> None:
    scores = [0.5, 0.001, *[0.002] * 6]
    assert flat(run_of(*({"score": score} for score in scores))) is not None


def test_the_best_is_the_first_of_the_lowest() -> None:
    assert best_of(run_of({"score": 3.0}, {"score": 2.0}, {"score": 2.0}))["step"] == 2000
