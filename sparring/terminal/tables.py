"""TABLES on a terminal that may be narrow."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_whole(console: Console, table: Table, least: int | None = None) -> None:
    """Print a table. On a terminal of less than `least` characters (by default what its columns need) its lines go on
    in the next row, so that no number loses its end."""
    if least is None:
        least = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if console.width < least:
        table.width = least
    console.print(table, crop=False)
