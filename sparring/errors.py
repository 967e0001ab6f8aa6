"""The errors that Sparring raises on purpose. Their messages are written for the user.

    SparringError
    ├── RecipeError          a setting of a recipe is impossible, or a recipe is unknown
    ├── DataError            a data set is missing, damaged, or not what it claims to be
    │   └── DownloadError    a file could not be downloaded completely
    ├── ClassError           a class is unknown, or is needed and missing
    ├── RunError             a run folder is missing, foreign, or in use
    │   ├── CheckpointError  a checkpoint is damaged or does not fit
    │   └── ResumeError      a run cannot be resumed because a setting differs
    ├── OutOfMemory          a step needs more memory than there is
    ├── DiskError            a file could not be written, for example on a full disk; also an OSError
    ├── OverwriteError       a file that Sparring did not make would be replaced
    ├── ComparisonError      results that were measured differently cannot be compared
    ├── TrainingDiverged     a loss became NaN or infinite
    ├── ExportError          an export does not compute what the generator computes, or is too large
    ├── DeviceError          there are too few devices, or they cannot share a batch
    ├── ProcessError         processes that train together cannot connect, disagree, or one of them failed
    │   └── ProcessLost      a process disappeared
    ├── UsageError           the words of a command or the arguments of a function make no sense; also a ValueError
    └── MissingExtra         an optional package is missing

    DamageWarning            a damaged file is replaced by an older one or by its copy; a UserWarning

The command line prints the message of an error as one sentence and exits with status 2.
"""

import re


def reason(error: BaseException) -> str:
    """Return the message of any error on one line, without memory addresses; the name of its class if it is empty."""
    return without_addresses(" ".join(str(error).split())) or type(error).__name__


def without_addresses(text: str) -> str:
    """Replace representations with memory addresses: `<_io.BytesIO object at 0x7f0c1e2d3a10>` becomes "the data"."""
    return re.sub(r"\bat 0x[0-9a-fA-F]+", "in memory", re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the data", text))


class SparringError(Exception):
    """Base class of every error that a user can cause or repair."""


class RecipeError(SparringError):
    """A setting is impossible, or a recipe is unknown."""


class DataError(SparringError):
    """A data set is missing, damaged, or not what it claims to be."""


class DownloadError(DataError):
    """A file could not be downloaded completely from any of its mirrors."""


class ClassError(SparringError):
    """A class is unknown, or a class is needed and none is given."""


class RunError(SparringError):
    """A run folder is missing, foreign, or in use."""


class CheckpointError(RunError):
    """A checkpoint is damaged or does not fit the networks."""


class ResumeError(RunError):
    """A run cannot be resumed because a setting that decides its outcome differs."""


class OutOfMemory(SparringError):
    """A step needs more memory than there is."""


class DiskError(SparringError, OSError):
    """A file could not be written. The old file is still in place."""


class OverwriteError(SparringError):
    """A file that Sparring did not make would be replaced. It is kept."""


class ComparisonError(SparringError):
    """Results that were measured differently cannot be compared."""


class TrainingDiverged(SparringError):
    """A loss became NaN or infinite."""


class ExportError(SparringError):
    """An export does not compute what the generator computes, or is too large."""


class DeviceError(SparringError):
    """There are fewer devices than requested, or they cannot share a batch evenly."""


class ProcessError(SparringError):
    """Processes that train together cannot connect, were started differently, or one of them failed."""


class ProcessLost(ProcessError):
    """Another process disappeared. JAX cannot be used any more, and would wait for that process at exit."""


class UsageError(SparringError, ValueError):
    """The words of a command or the arguments of a function make no sense."""


class MissingExtra(SparringError):
    """An optional package is missing."""


class DamageWarning(UserWarning):
    """A file is damaged, and an older one or its copy is used instead."""
