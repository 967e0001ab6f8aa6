"""The section of a report on how to repeat it: commands, classifier, data, environment and recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparring.errors import SparringError
from sparring.evaluation.verdict import Verdict
from sparring.recipes.recipe import settings_of
from sparring.reports.html import facts
from sparring.runs.run import Run
from sparring.terminal.output import html_escaped as escape
from sparring.terminal.output import shell_joined


def provenance(verdict: Verdict, run: Run | None) -> str:
    """Return the section on how to repeat the measurement and the training."""
    environment, settings = _environment(run), _settings(run)
    commands = [("Repeat the measurement", str(verdict.subject["command"]))]
    if trained := environment.get("command"):
        commands.append(("Repeat the training", _training_command(trained)))
    blocks = "".join(
        f'<h3>{title}</h3><pre tabindex="0"><code>{escape(command)}</code></pre>' for title, command in commands
    )
    recipe = f"<h3>Recipe</h3>{facts(settings, 'settings')}" if settings else ""
    return (
        f"<section><h2>How to repeat this</h2>{blocks}<h3>Environment</h3>"
        f"{facts([*_instrument(verdict), *_machine(environment)], 'made-with')}{recipe}</section>"
    )


def _instrument(verdict: Verdict) -> list[tuple[str, str]]:
    extractor, data = verdict.extractor, verdict.data
    return [
        ("Measured by", extractor["name"]),
        ("its SHA-256", extractor["sha256"]),
        ("its limits", extractor["caveat"]),
        ("Judged against", f"{data['name']}, {data['training']:,} training and {data['unseen']:,} unseen images"),
        ("their checksum", data["checksum"]),
    ]


def _machine(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the data, versions and devices of the training."""
    if not environment:
        return []
    versions, device, data = environment["versions"], environment["device"], environment["data"]
    found = [
        ("Trained on", f"{data.get('name')}, from {data.get('source')}"),
        ("its checksum", str(data.get("checksum"))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Device", f"{device.get('count')} x {device.get('kind')}, {environment['threads']} threads"),
    ]
    flags = [("XLA flags", str(environment["xla_flags"]))] if environment["xla_flags"] else []
    return [*found, ("Platform", str(environment.get("platform"))), *flags]


def _environment(run: Run | None) -> dict[str, Any]:
    try:
        return {} if run is None else run.environment()
    except SparringError:
        return {}


def _settings(run: Run | None) -> list[tuple[str, str]]:
    try:
        return [] if run is None else [(name, _value(value)) for name, value in settings_of(run.recipe()).items()]
    except SparringError:
        return []


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _training_command(command: Sequence[str]) -> str:
    """Return a command as typed in a shell."""
    program = Path(command[0])
    ours = program.stem == "sparring" or "sparring" in program.parts[-3:-1]  # sparring/cli/main.py, or cli.py
    return shell_joined(["sparring" if ours else command[0], *command[1:]])
