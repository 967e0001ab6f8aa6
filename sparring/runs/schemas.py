"""SCHEMAS of our JSON files, and how they are checked.

`sparring.files.checksummed` reads the files. Import this module where it is needed only, for msgspec takes its time to
load. Keys that a schema does not name are allowed: a newer version may have written them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from sparring.files.checksummed import OtherFormat
from sparring.recipes.checks import LARGEST_COUNT, LARGEST_NUMBER, MOST_LAYERS

Step = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
"""JAX counts steps in int32."""
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Side = Annotated[int, Meta(ge=1, le=1 << 20)]
"""Pixels."""
Size = Annotated[int, Meta(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Channels = Annotated[int, Meta(ge=1, le=4)]
Shape = tuple[Count, Side, Side, Channels]
"""(N, H, W, C)."""
Number = Annotated[float, Meta(ge=-3.5e38, le=3.5e38)]
"""A finite float32."""
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Share = Annotated[float, Meta(ge=0, le=1)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Weights(Struct):
    """A file of arrays."""

    bytes: Count
    sha256: Sha256


class Manifest(Struct):
    """`manifest.json` of a checkpoint."""

    FORMAT: ClassVar[int] = 1

    format: int
    step: Step
    state: Weights = field(name="state.safetensors")
    run: str | None = None
    """Id of the run; None for versions without ids."""
    recipe: str | None = None
    """`sparring.recipes.digest.digest_of` the recipe."""


class Network(Struct):
    kind: str
    sizes: dict[str, bool | Size | Number | str | list[Count] | None]

    def __post_init__(self) -> None:
        if any(isinstance(size, list) and len(size) > MOST_LAYERS for size in self.sizes.values()):
            raise ValueError(f"A network has more than {MOST_LAYERS} layers")


class Latent(Struct):
    size: Annotated[int, Meta(ge=1, le=4096)]
    std: Annotated[float, Meta(gt=0, le=LARGEST_NUMBER)]


class Origin(Struct):
    """How a generator was trained."""

    recipe: str
    step: Step
    data: str = ""


class Description(Struct):
    """`generator.json`: how to rebuild a generator."""

    FORMAT: ClassVar[int] = 1

    format: int
    network: Network
    latent: Latent
    image_shape: tuple[Side, Side, Channels]
    trained: Origin
    weights: Weights
    classes: dict[str, Count] = {}
    run: str | None = None


class Device(Struct):
    kind: str
    platform: str
    count: Count = 1


class Data(Struct):
    """The images of a run."""

    name: str
    source: str
    shape: Shape
    checksum: str
    classes: dict[str, Count] = {}
    path: str | None = None


class Environment(Struct):
    """`environment.json`."""

    versions: dict[str, str]
    device: Device
    threads: Count | None
    xla_flags: str
    data: Data
    platform: str = ""
    processes: Count = 1
    command: list[str] = []
    run: str | None = None


class Subject(Struct):
    """The subject of a verdict: a run, or samples from elsewhere."""

    kind: Literal["run", "samples"]
    path: str
    command: str
    recipe: str | None = None
    seed: Count | None = None
    step: Step | None = None
    best: bool | None = None
    seconds: Seconds | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "run" and None in (self.recipe, self.seed, self.step, self.best):
            raise ValueError("The subject lacks what is said of a run")


class Against(Struct):
    """The real images of a verdict."""

    name: str
    checksum: str
    training: Count
    unseen: Count
    split: str


class Instrument(Struct):
    """The feature extractor of a verdict."""

    name: str
    sha256: str
    caveat: str


class Measures(Struct):
    """`measures.json`, except the numbers, which `sparring.evaluation.verdict` checks."""

    FORMAT: ClassVar[int] = 1

    format: int
    subject: Subject
    data: Against
    extractor: Instrument


# ------------------------------------------------------------------------------------------------ events


class Event(Struct, kw_only=True):
    """One line of `events.jsonl`, of any kind; kinds that are not in `EVENTS` have these keys only."""

    event: str
    step: Step
    time: Number = 0.0
    seconds: Seconds = 0.0
    run: str | None = None


class Log(Event):
    d_loss: Number = 0.0
    g_loss: Number = 0.0
    accuracy_real: Number = 0.0
    accuracy_fake: Number = 0.0
    d_real: Number = 0.0
    d_fake: Number = 0.0


class Grid(Event):
    file: str = ""
    sha256: Sha256 | None = None


class Judged(Event):
    score: Number = 0.0
    diversity: Number = 0.0
    fine: Number = 0.0
    grid: Number = 0.0
    grid_pixels: Count = 0
    grid_alarm: bool = False
    copies: Share = 0.0
    copies_alarm: bool = False
    right_unseen: Share = 0.0
    right_fake: Share = 0.0
    memorising: Share = 0.0
    memorising_alarm: bool = False
    floor: Number = 0.0
    measure: str = ""
    extractor: str | None = None
    cost: Seconds = 0.0
    cost_share: Number = 0.0
    best: bool = False
    augmentation: Number = 0.0
    confident: Share = 0.0
    variation: Share = 0.0
    variation_band: Share = 0.0
    histogram: list[Count] = []
    modes: Count | None = None
    modes_real: Count | None = None
    top_class: str | None = None
    top_share: Share | None = None
    top_due: Share | None = None

    def __post_init__(self) -> None:
        if (self.modes is None) != (self.modes_real is None):
            raise ValueError("Only one of `modes` and `modes_real` is there")
        if len({part is None for part in (self.top_class, self.top_share, self.top_due)}) > 1:
            raise ValueError("Only some of `top_class`, `top_share` and `top_due` are there")


class Alarm(Event, kw_only=True):
    kind: str
    text: str = ""
    rate: Annotated[float, Meta(gt=0, le=1)] | None = None

    def __post_init__(self) -> None:
        if self.kind == "diverged" and self.rate is None:
            raise ValueError("The alarm `diverged` lacks the `rate`")


class Begun(Event):
    steps: Step = 0
    together: list[Annotated[int, Meta(ge=0, lt=1 << 32)]] = []


class Failed(Event):
    reason: str = ""


EVENTS: dict[str, type[Event]] = {
    "started": Begun,
    "resumed": Begun,
    "log": Log,
    "grid": Grid,
    "judged": Judged,
    "alarm": Alarm,
    "failed": Failed,
}
"""The schemas by kind; other kinds are checked by `Event`."""


def is_event(value: Any) -> bool:
    """Whether a value has the schema of an event."""
    if not isinstance(value, dict) or not isinstance(kind := value.get("event"), str):
        return False
    try:
        msgspec.convert(value, EVENTS.get(kind, Event))
    except (msgspec.ValidationError, ValueError, RecursionError):  # half a surrogate is no text for msgspec
        return False
    return True


# ------------------------------------------------------------------------------------------------ checking

Kind = TypeVar("Kind")


def check(value: Any, kind: type[Kind]) -> Kind:
    """Convert a JSON value to its schema. Raises `ValueError` with what was expected, and where."""
    try:
        found, wanted = value.get("format") if isinstance(value, dict) else None, getattr(kind, "FORMAT", None)
        if type(found) is int and wanted not in (None, found):
            raise OtherFormat(f"has format {found}, but this version reads format {wanted}")
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        raise ValueError(
            f"{what[:1].lower() + what[1:]}{f' at {place[:-1].lstrip(chr(46))!r}' if place else ''}"
        ) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
