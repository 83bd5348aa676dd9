"""The progress of one long work, on standard error, and nothing where nobody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown() -> Iterator[Callable[[str, float], None]]:
    """Show what is being done and which share of it is, 0 … 1."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)

        def told(doing: str, share: float) -> None:
            progress.update(task, description=doing, completed=share)

        yield told
