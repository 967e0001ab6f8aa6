"""Tables on a terminal that may be narrow."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_whole(console: Console, table: Table, least: int | None = None) -> None:
    """Print a table without cutting off numbers: on a terminal narrower than `least` characters its lines wrap.

    `least` is the width that the columns need by default."""
    if least is None:
        least = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if console.width < least:
        table.width = least
    console.print(table, crop=False)
