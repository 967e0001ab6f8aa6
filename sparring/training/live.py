"""THE LIVE VIEW of a training on a terminal; plain lines of text in a file or a pipe."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparring.evaluation.alarms import Judged
from sparring.images import Images, on_squares
from sparring.recipes.recipe import Recipe
from sparring.runs.run import Run
from sparring.terminal.output import plain_console, printable
from sparring.terminal.progress import duration
from sparring.training.reporter import Silence

PLAIN_SECONDS = 5.0
"""Seconds between two plain lines."""
RATE_SECONDS = 10.0
"""Seconds over which the rate of steps is measured."""
PREVIEW_PIXELS = 14
"""Approximate side of an image in the preview."""


def reporter(console: Console | None = None, transient: bool = False) -> Plain:
    """The live view if the output is a terminal, plain lines if it is a file or a pipe.

    A `transient` view is removed when its training ends.
    """
    console = console or plain_console()
    return View(console, transient) if console.is_terminal and not console.is_dumb_terminal else Plain(console)


class Pace:
    """The rate of steps, and the time left, from the last seconds."""

    def __init__(self, step: int, steps: int) -> None:
        self.step, self.steps = step, steps
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, step: int) -> None:
        """Record that `step` is reached now."""
        self.step = step
        now = time.monotonic()
        self._seen.append((now, step))
        while self._seen[0][0] < now - RATE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Steps a second; None before two measurements."""
        if len(self._seen) < 2:
            return None
        (t0, s0), (t1, s1) = self._seen[0], self._seen[-1]
        return (s1 - s0) / (t1 - t0) if t1 > t0 else None

    def words(self) -> str:
        """The rate and the time left."""
        if not self.rate:
            return "measuring" if self._seen else "compiling"
        rate = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.1f}"
        return f"{rate} steps/s, {duration((self.steps - self.step) / self.rate)} left"


class Plain(Silence):
    """Prints lines of text, and shows no images."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace = Pace(0, 1)
        self._reported = float("-inf")

    def print(self, text: str) -> None:
        """Print one line."""
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None:
        """Print what is trained, the expected time, and the folder."""
        self.pace = Pace(step, recipe.steps)
        self._reported = float("-inf")
        what = recipe.name if replicas == 1 else f"{replicas} replicas of {recipe.name}"
        left = duration((recipe.steps - step) * recipe.milliseconds_per_step * replicas / 1000)
        self.print(f"{what}: {recipe.steps:,} steps, {epoch:,} an epoch; about {left} on two CPU cores")
        self.print(f"writing to {run.path}")

    def progress(self, step: int, values: dict[str, float]) -> None:
        """Print a line every `PLAIN_SECONDS`, and one at the end."""
        self.pace.at(step)
        if time.monotonic() - self._reported < PLAIN_SECONDS and step < self.pace.steps:
            return
        self._reported = time.monotonic()
        self.print(f"step {step:,} of {self.pace.steps:,}, {self.pace.words()}; {metrics_words(values)}")

    def judged(self, values: Judged) -> None:
        """Print one line."""
        self.print(f"step {values['step']:,}: {judged_words(values)}")


class View(Plain):
    """A progress bar, the metrics and the newest samples, redrawn in place."""

    def __init__(self, console: Console, transient: bool = False) -> None:
        super().__init__(console)
        self._transient = transient
        self._reset()

    def _reset(self) -> None:
        """Start a new view. A `Live` that was used before would erase the lines that it drew."""
        self._values: dict[str, float] = {}
        self._judged: Judged | None = None
        self._samples: tuple[int, Images] | None = None
        self._preview: tuple[int, Text] | None = None
        self._live = Live(
            console=self.console, get_renderable=self._draw, refresh_per_second=4, transient=self._transient
        )

    def begin(self, run: Run, recipe: Recipe, step: int, epoch: int, replicas: int = 1) -> None:
        """Start drawing."""
        super().begin(run, recipe, step, epoch, replicas)
        self._reset()
        self._live.start()

    def progress(self, step: int, values: dict[str, float]) -> None:
        """Show the new metrics at the next redraw."""
        self.pace.at(step)
        self._values = values

    def grid(self, step: int, samples: Images) -> None:
        """Show the new samples at the next redraw."""
        self._samples = (step, samples)

    def judged(self, values: Judged) -> None:
        """Show the new judgement at the next redraw."""
        self._judged = values

    def end(self) -> None:
        """Stop redrawing."""
        self._live.stop()

    def _draw(self) -> Group:
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        bar = ProgressBar(total=self.pace.steps, completed=self.pace.step)
        line.add_row(bar, f"{self.pace.step:,}/{self.pace.steps:,}")
        parts: list[Table | Text] = [line, Text(self.pace.words(), style="dim")]
        if self._values:
            parts.append(Text(metrics_words(self._values)))
        if self._judged is not None:
            parts.append(Text(f"step {self._judged['step']:,}: {judged_words(self._judged)}"))
        if self._samples is not None and can_show(self.console):
            step, samples = self._samples
            if self._preview is None or self._preview[0] != step:
                self._preview = (step, preview(samples, self.console.width, self.console.height - 10))
            parts += [Text(f"samples after step {step:,}", style="dim"), self._preview[1]]
        return Group(*parts)


def metrics_words(values: dict[str, float]) -> str:
    """The metrics of a step, in one line."""
    return (
        f"loss D {values['d_loss']:.3f} G {values['g_loss']:.3f}; "
        f"D right on real {values['accuracy_real']:.0%} fake {values['accuracy_fake']:.0%}; "
        f"D(x) {values['d_real']:.2f} D(G(z)) {values['d_fake']:.2f}"
    )


def judged_words(values: Judged) -> str:
    """A judgement in one line: the distance from validation images, as a multiple of that of real images."""
    if values["measure"] == "frechet":
        words = [f"judge: {values['score'] / values['floor']:.1f} times as far from unseen images as real ones"]
    else:
        words = [f"judge: kernel distance {values['score']:.3g} from unseen images (real ones {values['floor']:.2g})"]
    if "variation" in values:
        words.append(f"classes off by {values['variation']:.0%} (chance {values['variation_band']:.0%})")
    if "modes" in values:
        words.append(f"modes: {values['modes']:,} (real ones {values['modes_real']:,})")
    if "confident" in values:
        words.append(f"{values['confident']:.0%} clear")
    if "augmentation" in values:
        words.append(f"augmented at {values['augmentation']:.0%}")
    return ", ".join(words) + (" *best so far*" if values["best"] else "")


def can_show(console: Console) -> bool:
    """Whether the terminal has the colours, characters and size for a preview."""
    rich_enough = console.color_system in ("256", "truecolor") and console.encoding.startswith("utf")
    return rich_enough and console.width >= PREVIEW_PIXELS + 2 and console.height >= PREVIEW_PIXELS


def preview(samples: Images, width: int, height: int) -> Text:
    """Samples that fit into `width` x `height` characters; a character shows two pixels, one above the other.

    They are evenly spread from the first to the last, because a conditional generator has one class a row.
    """
    small = _shrink(on_squares(samples))
    _, h, w, _ = small.shape
    columns = max(1, min(len(small), (width + 1) // (w + 1)))
    rows = max(1, min(len(small) // columns, (height * 2) // (h + 2), 2))
    small = small[np.linspace(0, len(small) - 1, rows * columns).round().astype(int)]
    text = Text(no_wrap=True)
    for row in range(rows):
        for y in range(0, h, 2):
            for image in small[row * columns : (row + 1) * columns]:
                for upper, lower in zip(image[y], image[min(y + 1, h - 1)], strict=True):
                    text.append("▀", style=f"rgb({_rgb(upper)}) on rgb({_rgb(lower)})")
                text.append(" ")
            text.append("\n")
        text.append("\n")
    return text


def _shrink(samples: Images) -> Images:
    """Images with sides of about `PREVIEW_PIXELS`; each pixel is the mean of a block."""
    n, h, w, c = samples.shape
    block = max(1, round(max(h, w) / PREVIEW_PIXELS))
    h, w = h // block, w // block
    blocks = samples[:, : h * block, : w * block].reshape(n, h, block, w, block, c)
    small: Images = blocks.mean(axis=(2, 4)).astype(np.uint8)
    return small


def _rgb(pixel: NDArray[np.uint8]) -> str:
    red, green, blue = (pixel[:3] if len(pixel) >= 3 else np.repeat(pixel[:1], 3)).tolist()
    return f"{red},{green},{blue}"
