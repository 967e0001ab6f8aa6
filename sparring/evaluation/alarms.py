"""ALARMS of a run: pure functions of its `judged` events, oldest first, that return a message or None."""

from collections.abc import Callable, Sequence
from typing import Any

Judged = dict[str, Any]
"""The values of one `judged` event, as `sparring.evaluation.monitor` writes them."""

NEEDED = frozenset(
    ("score", "diversity", "copies", "copies_alarm", "right_unseen", "right_fake", "memorising", "memorising_alarm")
)
"""The values that the alarms read from every judgement."""
TOP_SHARE = 0.5
"""Mode collapse: one class has at least this share of the samples and three times its share of the data."""
VARIATION = 0.5
"""Mode collapse: at least this share of the samples would have to change class to match the data."""
LEAST_MODES = 0.25
"""Mode collapse: the samples have less than this share of the modes of the same number of real images."""
LEAST_DIVERSITY = 0.2
"""Mode collapse: the variance of the samples' features is less than this share of that of real images."""
DOMINATION = 0.99
"""The discriminator dominates if it classifies this share of unseen real images and of samples correctly."""
COPIES_SHARE = 0.03
"""Memorisation: at least this share of the samples are copies."""
PATIENCE_JUDGEMENTS, PATIENCE_SHARE, LEAST_GAIN = 6, 0.25, 0.02
"""Flat: for six judgements and a quarter of the steps so far, no score was 2% lower than the best before it."""


def collapse(judged: Sequence[Judged]) -> str | None:
    """Mode collapse in the last two judgements."""
    if len(judged) < 2 or not all(_collapsed(values) for values in judged[-2:]):
        return None
    last = judged[-1]
    if "top_class" in last and last["top_share"] >= TOP_SHARE:
        what = (
            f"{last['top_share']:.0%} of the samples are {last['top_class']!r} ({last['top_due']:.0%} of the data are)"
        )
    elif last.get("variation", 0) > VARIATION:
        what = f"{last['variation']:.0%} of the samples would have to change class to be balanced like the data"
    elif _few_modes(last):
        what = f"the samples have {last['modes']:,} modes, the same number of real images has {last['modes_real']:,}"
    else:
        what = f"the samples vary only {last['diversity']:.0%} as much as real images"
    return f"mode collapse: {what}"


def domination(judged: Sequence[Judged]) -> str | None:
    """A discriminator that was nearly always right in the last two judgements, so that G gets little gradient."""
    if len(judged) < 2 or not all(min(v["right_unseen"], v["right_fake"]) >= DOMINATION for v in judged[-2:]):
        return None
    last = judged[-1]
    return (
        f"the discriminator dominates: it classifies {last['right_unseen']:.1%} of unseen real images and "
        f"{last['right_fake']:.1%} of the samples correctly, so the generator learns little from it"
    )


def memorised(judged: Sequence[Judged]) -> str | None:
    """Samples that are copies of training images, or a discriminator that overfits."""
    last = judged[-1]
    if last["copies_alarm"]:
        return f"memorisation: {copies_words(last['copies'])}"
    return overfitting_words(last["memorising"]) if last["memorising_alarm"] else None


def grid(judged: Sequence[Judged]) -> str | None:
    """A pattern that repeats every few pixels in the samples of the last two judgements."""
    if len(judged) < 2 or not all(values.get("grid_alarm") for values in judged[-2:]):
        return None
    return grid_words(judged[-1]["grid_pixels"], judged[-1]["grid"])


def flat(judged: Sequence[Judged]) -> str | None:
    """Early stopping: the score no longer improves."""
    best, since = float("inf"), 0
    for i, values in enumerate(judged):
        if values["score"] < (1 - LEAST_GAIN) * best:
            best, since = values["score"], i
    waited = judged[-1]["step"] - judged[since]["step"]
    if len(judged) - 1 - since < PATIENCE_JUDGEMENTS or waited < PATIENCE_SHARE * judged[-1]["step"]:
        return None
    return f"flat for {waited:,} steps: stop now, best was step {best_of(judged)['step']:,}"


def copies_words(share: float) -> str:
    """The message about this share of copies among the samples."""
    return f"{share:.1%} of the samples are copies: much closer to a training image than unseen real images are"


def grid_words(pixels: int, power: float) -> str:
    """The message about a grid of so many pixels with this power relative to real images."""
    return (
        f"a grid of {pixels} pixels lies over the samples: at its frequencies they have {power:.1f} times the power of "
        "real images"
    )


def overfitting_words(memorising: float) -> str:
    """The message about a discriminator that rates training images above unseen ones this often."""
    return (
        "overfitting: the discriminator rates a training image as more real than an unseen real image in "
        f"{memorising:.0%} of the cases (50% is chance)"
    )


ALARMS: dict[str, Callable[[Sequence[Judged]], str | None]] = {
    "collapse": collapse,
    "domination": domination,
    "memorisation": memorised,
    "grid": grid,
    "flat": flat,
}
"""Each returns its message if it applies to the newest judgement. A run raises each alarm once."""


def comparable(judged: Sequence[Judged]) -> list[Judged]:
    """The judgements by the same features as the last one: older versions used others where there is no classifier."""
    return [values for values in judged if _features(values) == _features(judged[-1])]


def best_of(judged: Sequence[Judged]) -> Judged:
    """The judgement with the lowest score; the first one of equals."""
    return min(judged, key=lambda values: float(values["score"]))


def _features(values: Judged) -> str:
    return str(values.get("extractor", "classifier" if "top_class" in values else "random features"))


def _collapsed(values: Judged) -> bool:
    return bool(
        values.get("top_share", 0) >= max(TOP_SHARE, 3 * values.get("top_due", 0))
        or values.get("variation", 0) > VARIATION
        or _few_modes(values)
        or values["diversity"] < LEAST_DIVERSITY
    )


def _few_modes(values: Judged) -> bool:
    return "modes" in values and bool(values["modes"] < LEAST_MODES * values["modes_real"])
