"""THE RANKING: the best first, means over seeds, and a table that fits wherever it is shown."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sparring.evaluation.comparison import distance_words
from sparring.sweeps.ranking import Place, print_ranking, rank
from sparring.sweeps.sharing import State, Trial

RATE = "generator_optimizer.learning_rate"


def trial(number: int, score: float | None, state: State = "finished", measure: str = "frechet", **point: Any) -> Trial:
    about = {"value": score, "error": 0.5, "floor": 2.0, "measure": measure, "seconds": 10.0 * (number + 1)}
    return Trial(number, point, state, {"reason": "it diverged"} if score is None else about)


def ranked(*trials: Trial) -> list[Place]:
    return rank(trials, [Path(f"s/trial-{trial.number:04d}") for trial in trials])


def shown(places: list[Place], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_ranking(places, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_lowest_score_is_the_first() -> None:
    places = ranked(trial(0, 9.0, batch_size=16), trial(1, 3.0, batch_size=32), trial(2, None, "failed", batch_size=64))
    assert [(place.rank, place.settings["batch_size"]) for place in places] == [(1, 32), (2, 16), (None, 64)]
    assert places[0].best == Path("s/trial-0001") and places[0].score == 3.0 and places[0].spread == 0.5
    assert places[2].best is None


def test_seeds_are_taken_together() -> None:
    scores = {(16, 0): 4.0, (16, 1): 8.0, (16, 2): 6.0, (32, 0): 1.0, (32, 1): 30.0, (32, 2): 2.0}
    places = ranked(*(trial(i, s, batch_size=b, seed=k) for i, ((b, k), s) in enumerate(scores.items())))
    assert [(place.rank, place.settings, place.score) for place in places] == [
        (1, {"batch_size": 16}, 6.0),
        (2, {"batch_size": 32}, 11.0),
    ]
    assert places[0].spread == pytest.approx(2.0), "over the seeds, n - 1"
    assert places[0].seconds == 20.0 and places[0].best == Path("s/trial-0000")


def test_what_failed_with_one_seed_is_behind_what_never_failed() -> None:
    places = ranked(
        trial(0, 1.0, batch_size=16, seed=0),
        trial(1, None, "failed", batch_size=16, seed=1),
        trial(2, 8.0, batch_size=32, seed=0),
        trial(3, 9.0, batch_size=32, seed=1),
    )
    assert [place.settings["batch_size"] for place in places] == [32, 16]
    assert "0.50 ± 0.25 (1 of 2)" in shown(places, 100)


def test_the_table_as_json() -> None:
    places = ranked(trial(0, 4.0, hidden=(8, 16), seed=3), trial(1, None, "failed", hidden=(8, 16), seed=4))
    assert [place.to_json() for place in places] == [
        {
            "rank": 1,
            "settings": {"hidden": [8, 16]},
            "score": 4.0,
            "spread": 0.5,
            "floor": 2.0,
            "measure": "frechet",
            "seconds": 10.0,
            "trials": [
                {"number": 0, "run": "s/trial-0000", "state": "finished", "seed": 3, "score": 4.0},
                {"number": 1, "run": "s/trial-0001", "state": "failed", "seed": 4, "reason": "it diverged"},
            ],
        }
    ]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits(width: int) -> None:
    def point(rate: float) -> dict[str, Any]:
        return {RATE: rate, "discriminator_optimizer.learning_rate": 2e-4, "seed": 0}

    places = ranked(
        trial(0, 9.0, **point(1e-4)),
        trial(1, 3.0, **point(1e-3)),
        trial(2, None, "running", **point(1e-2)),
    )
    text = shown(places, width)
    table = text[: text.index("Frechet distance")]
    assert all(len(line.rstrip()) <= width for line in table.splitlines())
    for word in ("0.001", "0.0002", "1.50 ± 0.25", "4.50 ± 0.25", "running", "trial-0001"):
        assert word in table, word
    assert ("20 s" in table) is (width > 60)
    assert table.index("trial-0001") < table.index("trial-0000") < table.index("trial-0002")
    assert "other processes: 1 of 3 trials" in text
    assert text.endswith("Judge the best against the test images: sparring measure s/trial-0001\n")


def test_a_kernel_distance_is_shown_as_it_is() -> None:
    text = shown(ranked(trial(0, 0.0123, measure="kernel", seed=1), trial(1, 0.5, measure="kernel", seed=2)), 100)
    assert "0.256 ± 0.3" in text and "kernel distance from validation" in text and "as a multiple" not in text


def test_a_wide_spread_is_a_plain_number() -> None:
    assert distance_words(25.71, 10.25, {"measure": "kernel"}) == "25.7 ± 10"
    assert distance_words(0.571, 0.0125, {"measure": "kernel"}) == "0.571 ± 0.01"


def test_nothing_finished_yet() -> None:
    text = shown(ranked(trial(0, None, "waiting", batch_size=1), trial(1, None, "failed", batch_size=2)), 80)
    assert "not finished: 1 of 2 trials" in text and "trial-0001 failed: it diverged" in text
    assert "sparring measure" not in text
