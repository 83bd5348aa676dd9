"""Tables of figures, and the progress of measuring them."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned text, whatever the width of the terminal or the pipe; the first column is names."""
    columns = [head, *rows]
    widths = [max(len(row[k]) for row in columns) for k in range(len(head))]
    print(title)
    for name, *cells in columns:
        line = "  ".join(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))
        print(f"  {name.ljust(widths[0])}  {line}")
    print()


def print_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to be pasted into a .md, which is as easy to read here."""
    columns = [head, *rows]
    widths = [max(len(row[k]) for row in columns) for k in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for name, *cells in [head, rule, *columns[1:]]:
        line = " | ".join(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))
        print(f"| {name.ljust(widths[0])} | {line} |")


def with_progress(things: Iterable[T], doing: str, total: int | None = None) -> Iterable[T]:
    """On standard error, so that standard output is the figures and nothing else."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    # into a file or a pipe it would leave an empty line
    silent = not console.is_terminal
    return track(things, doing, total, console=console, transient=True, disable=silent)
