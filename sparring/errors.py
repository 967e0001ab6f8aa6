"""The errors that Sparring raises on purpose, each in the words of the person who meets it.

    SparringError
    ├── RecipeError        a setting of a recipe is impossible, or there is no such recipe
    ├── DataError          a data set is missing, damaged, or not what it says it is
    │   └── DownloadError  a file could not be fetched whole
    ├── RunError           a run directory is missing, foreign, or in use
    │   ├── CheckpointError  a checkpoint is damaged or does not fit
    │   └── ResumeError      a run cannot go on because a setting differs
    ├── OutOfMemory        a step takes more memory than there is
    ├── DiskError          a file could not be written: the disk is full, say; it is an OSError, too
    ├── OverwriteError     a file would be replaced that Sparring did not make
    ├── ComparisonError    results that were measured differently cannot be compared
    ├── TrainingDiverged   a loss stopped being a finite number
    ├── ExportError        what an export makes is not what the generator makes
    ├── DeviceError        there are not the devices that were asked for, or they cannot share a batch
    ├── ProcessError       processes that train together cannot meet, disagree, or one of them has failed
    │   └── ProcessLost      one of them is gone without a word
    ├── UsageError         the words of a command, or the arguments of a function, do not make sense; it is a
    │                      ValueError, too
    └── MissingExtra       an optional package is needed for what was asked

The command line prints the message of any of them as one sentence and exits with status 2.
"""

import re


def reason(error: BaseException) -> str:
    """What an error of any kind says, on one line and without addresses in memory; its kind, where it says nothing."""
    return without_addresses(" ".join(str(error).split())) or type(error).__name__


def without_addresses(text: str) -> str:
    """The text without what Python calls objects by: `<_io.BytesIO object at 0x7f0c1e2d3a10>` is "the data"."""
    return re.sub(r"\bat 0x[0-9a-fA-F]+", "in memory", re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "the data", text))


class SparringError(Exception):
    """Base of every error that a user can cause or repair."""


class RecipeError(SparringError):
    """A setting is impossible, or a recipe is unknown."""


class DataError(SparringError):
    """A data set is missing, damaged, or not what it claims to be."""


class DownloadError(DataError):
    """A file could not be fetched whole from any of its mirrors."""


class RunError(SparringError):
    """A run directory is missing, foreign, or in use."""


class CheckpointError(RunError):
    """A checkpoint is damaged or does not fit the networks."""


class ResumeError(RunError):
    """A run cannot go on because a setting that decides its outcome has changed."""


class TrainingDiverged(SparringError):
    """A loss stopped being a finite number."""


class ClassError(SparringError):
    """A class was asked for that there is not, or none where one has to be named."""


class ExportError(SparringError):
    """What an export makes is not what the generator makes, or is more than it may be."""


class DeviceError(SparringError):
    """There are not the devices that were asked for, or they cannot share a batch evenly."""


class ProcessError(SparringError):
    """Processes that train together cannot meet, were started differently, or one of them failed or is gone."""


class ProcessLost(ProcessError):
    """Another process is gone without a word. JAX cannot be used any more, and would wait for it at the end."""


class UsageError(SparringError, ValueError):
    """What was asked for does not make sense, as it was asked."""


class MissingExtra(SparringError):
    """An optional package is needed for what was asked."""


class OutOfMemory(SparringError):
    """A step takes more memory than there is."""


class DiskError(SparringError, OSError):
    """A file could not be written; what was there before is there still."""


class OverwriteError(SparringError):
    """A file would be replaced that Sparring did not make. It is kept."""


class DamageWarning(UserWarning):
    """Something is damaged, and something older or its copy is used instead."""


class ComparisonError(SparringError):
    """Results that were measured differently cannot be compared."""
