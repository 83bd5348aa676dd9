"""`budge bench`: figures that anybody can measure again, without hardware."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

bench = typer.Typer(
    help="Measure what budge promises. Example: budge bench sensing", no_args_is_help=True
)

# Two transfers a drain, and two a frame: the fewest and the most of all chips.
COST_CHIPS = ("mpu6050", "lsm9ds1")
COST_S = 60.0
DAY_S = 86400.0


@bench.callback()
def _commands() -> None:
    """Keep the command's name in the command line while it is the only one."""


@bench.command()
def sensing(
    cost: Annotated[
        bool, typer.Option("--cost", help="CPU and memory instead: some five minutes.")
    ] = False,
) -> None:
    """Say how true each chip's rate is and how clean the rows, or what reading costs.

    The chips are emulated and read by their real drivers; the host wakes up late and is wrong
    about the time by 5 ms rms.

    Example: budge bench sensing --cost
    """
    if cost:
        _print_cost()
        _print_growth()
    else:
        _print_timing()
        _print_resampling()


def _print_timing() -> None:
    from firmware_bridge import figures

    errors = figures.CLOCK_ERRORS
    head = [f"{error:+.0%}" for error in errors]
    rates, places = [], []
    for name in _with_progress(figures.chip_names(), "measuring"):
        row = [figures.timing(name, error, seed) for seed, error in enumerate(errors)]
        rates.append([name, *(f"{each.rate_error * 1e6:+.0f}" for each in row)])
        places.append([name, *(f"{each.place_s * 1e3:.1f}" for each in row)])
    _print_table("rate measured in 60 s less the true one, ppm, by error of the clock", head, rates)
    _print_table("furthest any 5 s of rows lay from where they say, ms", head, places)


def _print_resampling() -> None:
    from firmware_bridge import figures

    rows = [
        [name, *(f"{figures.worst_resampling_db(name, tone):.0f}" for tone in figures.TONES_HZ)]
        for name in figures.chip_names()
    ]
    head = [f"{tone} Hz" for tone in figures.TONES_HZ]
    _print_table("error of a sine on the 50 Hz grid, dB, at the worst clock error", head, rows)


def _print_cost() -> None:
    from firmware_bridge import figures

    rows = []
    for name in _with_progress(COST_CHIPS, "draining in real time"):
        spent = figures.cost(name, COST_S)
        own, emulation = (s / spent.seconds for s in (spent.cpu_s, spent.emulation_cpu_s))
        rows.append(
            [
                *(name, f"{spent.transfers / spent.seconds:.0f}", f"{3600 * own:.2f}"),
                *(f"{own:.3%}", f"{3600 * emulation:.2f}"),
            ]
        )
    head = ["transfers/s", "CPU s/h", "of a core", "emulation, CPU s/h"]
    _print_table(f"source and driver, drained ten times a second for {COST_S:.0f} s", head, rows)


def _print_growth() -> None:
    from firmware_bridge import figures

    (grown,) = [
        figures.growth(name, DAY_S)
        for name in _with_progress(COST_CHIPS[:1], "a day of sensor time")
    ]
    print(
        f"a day of {grown.chip}: {grown.blocks:+d} Python objects and"
        f" {grown.rss_bytes / 1024:+.0f} KiB of memory since its tenth minute"
    )


def _with_progress(names: Sequence[str], doing: str) -> Iterable[str]:
    """On standard error, so that standard output is the figures and nothing else."""
    from rich.console import Console
    from rich.progress import track

    return track(names, doing, console=Console(stderr=True), transient=True)


def _print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned text, whatever the width of the terminal or the pipe."""
    columns = [["chip", *head], *rows]
    widths = [max(len(row[k]) for row in columns) for k in range(len(columns[0]))]
    print(title)
    for name, *cells in columns:
        line = "  ".join(cell.rjust(w) for cell, w in zip(cells, widths[1:], strict=True))
        print(f"  {name.ljust(widths[0])}  {line}")
    print()
