"""ALARMS: what the judgements of a run say in plain words. Pure functions of the events `judged`, the oldest first."""

from collections.abc import Callable, Sequence
from typing import Any

Judged = dict[str, Any]
"""The values of one judgement, as `sparring.evaluation.monitor` writes them into the events."""

NEEDED = frozenset(
    ("score", "diversity", "copies", "copies_alarm", "right_unseen", "right_fake", "memorising", "memorising_alarm")
)
"""What the alarms look at in every judgement."""
TOP_SHARE = 0.5
"""A class that has half of all samples, and three times what it has in the data: collapse."""
VARIATION = 0.5
LEAST_MODES = 0.25
"""Modes among the samples over those among as many real images, below which most modes are missing."""
LEAST_DIVERSITY = 0.2
"""Variance of the samples' features over that of real images below which they are all alike."""
DOMINATION = 0.99
"""So much right about unseen real images and about samples, and the generator learns little from it."""
COPIES_SHARE = 0.03
"""So large a share of copies among the samples is an alarm."""
PATIENCE_JUDGEMENTS, PATIENCE_SHARE, LEAST_GAIN = 6, 0.25, 0.02
"""Flat: for six judgements, and a quarter of all steps so far, nothing has come 2% below the best score before."""


def collapse(judged: Sequence[Judged]) -> str | None:
    """Whether the generator has been making nearly the same picture, two judgements long."""
    if len(judged) < 2 or not all(_collapsed(values) for values in judged[-2:]):
        return None
    last = judged[-1]
    if "top_class" in last and last["top_share"] >= TOP_SHARE:
        what = (
            f"{last['top_share']:.0%} of the samples are {last['top_class']!r} ({last['top_due']:.0%} of the data are)"
        )
    elif last.get("variation", 0) > VARIATION:
        what = f"{last['variation']:.0%} of the samples would have to be of another class to be balanced like the data"
    elif _few_modes(last):
        what = f"{last['modes']:,} modes are among the samples, {last['modes_real']:,} among as many real images"
    else:
        what = f"the samples vary only {last['diversity']:.0%} as much as real images"
    return f"collapse: {what}"


def domination(judged: Sequence[Judged]) -> str | None:
    """Whether the discriminator has been nearly always right, two judgements long: then G hears nothing from it."""
    if len(judged) < 2 or not all(min(v["right_unseen"], v["right_fake"]) >= DOMINATION for v in judged[-2:]):
        return None
    last = judged[-1]
    return (
        f"the discriminator dominates: it is right about {last['right_unseen']:.1%} of unseen real images and "
        f"{last['right_fake']:.1%} of the samples, so the generator learns little from it"
    )


def memorised(judged: Sequence[Judged]) -> str | None:
    """Whether samples are copies of training images, or the discriminator knows those by heart."""
    last = judged[-1]
    if last["copies_alarm"]:
        return f"memorisation: {copying(last['copies'])}"
    return f"memorisation: {knowing(last['memorising'])}" if last["memorising_alarm"] else None


def flat(judged: Sequence[Judged]) -> str | None:
    """The patience rule: whether to stop now."""
    best, since = float("inf"), 0
    for i, values in enumerate(judged):
        if values["score"] < (1 - LEAST_GAIN) * best:
            best, since = values["score"], i
    waited = judged[-1]["step"] - judged[since]["step"]
    if len(judged) - 1 - since < PATIENCE_JUDGEMENTS or waited < PATIENCE_SHARE * judged[-1]["step"]:
        return None
    return f"flat for {waited:,} steps: stop now, best was step {best_of(judged)['step']:,}"


def copying(share: float) -> str:
    """So many copies among the samples, in words."""
    return f"{share:.1%} of the samples are copies: far closer to a training image than unseen real images are"


def knowing(memorising: float) -> str:
    """A discriminator that finds training images more real than unseen ones so often, in words."""
    return (
        "the discriminator knows its training images: it finds one more real than an unseen real image in "
        f"{memorising:.0%} of the cases, where 50% is chance"
    )


ALARMS: dict[str, Callable[[Sequence[Judged]], str | None]] = {
    "collapse": collapse,
    "domination": domination,
    "memorisation": memorised,
    "flat": flat,
}
"""Each says its text where it holds after the newest judgement; a run raises each once."""


def best_of(judged: Sequence[Judged]) -> Judged:
    """The judgement with the lowest score, the first of equals."""
    return min(judged, key=lambda values: float(values["score"]))


def _collapsed(values: Judged) -> bool:
    return bool(
        values.get("top_share", 0) >= max(TOP_SHARE, 3 * values.get("top_due", 0))
        or values.get("variation", 0) > VARIATION
        or _few_modes(values)
        or values["diversity"] < LEAST_DIVERSITY
    )


def _few_modes(values: Judged) -> bool:
    return "modes" in values and bool(values["modes"] < LEAST_MODES * values["modes_real"])
