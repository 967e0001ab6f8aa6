"""Tables on a terminal that may be narrow."""

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def numbers_table(name: str, *numbers: str) -> Table:
    """A table with a column of names and columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def print_text(console: Console, text: str) -> None:
    """Print a text as it is; the terminal wraps its lines."""
    console.print(text, soft_wrap=True, markup=False)


def print_whole(console: Console, table: Table, least: int | None = None) -> None:
    """Print a table without cutting off numbers: on a terminal narrower than `least` characters its lines wrap.

    `least` is the width that the columns need by default."""
    if least is None:
        least = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if console.width < least:
        table.width = least
    console.print(table, crop=False)
