"""`sparring measure`: judge a run, or samples made elsewhere."""

from __future__ import annotations

import json as jsonlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from sparring.cli.parsing import MAX_SEED, Flag, check_range, optional, parse
from sparring.runs.run import Run
from sparring.terminal.output import plain_console, print_block, print_line

if TYPE_CHECKING:
    from sparring.evaluation.verdict import Verdict


@dataclass(frozen=True)
class MeasureOptions:
    """Judge a run, or samples made elsewhere: quality, variety, class balance, and copies of training images.

    Writes the numbers and a page (report.html) into the run, or beside the samples."""

    subject: Annotated[Positional[Path], arg(metavar="RUN|SAMPLES")]
    """Folder of a run. Or samples made elsewhere: an .npz or .npy file, or a folder of pictures."""
    against: Annotated[tuple[Path, ...], optional("RUN ...")] = ()
    """Other runs to compare with. Runs without results are measured first."""
    data: Annotated[str | None, optional("DATA")] = None
    """The real images: a name or a path. Default: the training data of the run; for samples, mnist."""
    count: int = 10_000
    """Number of samples to draw from a run. For stacked MNIST, 10,000 means 26,000."""
    seed: int = 0
    """Seed for the samples."""
    best: Flag = False
    """Judge the state with the best score during training instead of the last one."""
    extractor: Annotated[Path | None, optional("FILE")] = None
    """An ONNX network that computes the features, in place of the judge (needs the extra `onnx`)."""
    force: Flag = False
    """Replace an existing file even if Sparring did not make it."""
    range: Annotated[str | None, optional("LOW,HIGH")] = None
    """For samples: the values of black and white in the files, as for `sparring train`."""
    follow_links: Flag = False
    """For samples: follow symbolic links that lead out of their folder."""
    json: Flag = False
    """Print JSON."""


def run(words: list[str]) -> int:
    """Run `sparring measure RUN|SAMPLES [OPTIONS]`."""
    given = parse(MeasureOptions, words, "sparring measure")
    check_range("--count", given.count, 20, 10_000)
    check_range("--seed", given.seed, 0, MAX_SEED)

    from sparring.evaluation import comparison
    from sparring.reports import measure as measuring
    from sparring.terminal import progress

    not_written: list[str] = []
    with progress.shown(str(given.subject)) as report:
        verdict = measuring.measure(
            given.subject,
            data=given.data,
            count=given.count,
            seed=given.seed,
            best=given.best,
            extractor=given.extractor,
            force=given.force,
            range=given.range,
            follow_links=given.follow_links,
            tell=report,
            not_kept=not_written.append,
        )
    console = plain_console()
    if not given.json:
        comparison.print_verdict(verdict, console)
    verdicts = [verdict, *verdicts_of(given.against)]
    comparison.check_comparable(verdicts)
    if given.json:
        print_block(jsonlib.dumps([v.to_json() for v in verdicts] if given.against else verdict.to_json(), indent=2))
    elif given.against:
        comparison.print_comparison(comparison.rows(verdicts, by_recipe=False), console)
    if not_written:
        _print_not_written(not_written[0])
        return 2
    if not given.json:
        print_line(f"the report: {measuring.report_of(verdict)}")
    return 0


def verdicts_of(runs: tuple[Path, ...]) -> list[Verdict]:
    """Return the saved verdict of each run. Runs without a verdict on their last step are measured now."""
    from sparring.reports import measure as measuring
    from sparring.terminal import progress

    verdicts = []
    for path in runs:
        verdict = measuring.saved_verdict(Run(path))
        if verdict is None:
            with progress.shown(str(path)) as report:
                verdict = measuring.measure(path, tell=report, not_kept=_print_not_written)
        verdicts.append(verdict)
    return verdicts


def _print_not_written(text: str) -> None:
    """Print that the results could not be written, for example into a read-only run."""
    print_line(f"sparring: {text}", stderr=True)
