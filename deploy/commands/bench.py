"""`budge bench`: figures that anybody can measure again, without hardware."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.tables import print_table, with_progress

bench = typer.Typer(
    help="Measure what budge promises. Example: budge bench sensing", no_args_is_help=True
)

# Two transfers a drain, and two a frame: the fewest and the most of all chips.
COST_CHIPS = ("mpu6050", "lsm9ds1")
COST_S = 60.0
DAY_S = 86400.0


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


@bench.command()
def learning(
    file: Annotated[
        Path | None,
        typer.Argument(help="A labelled recording; its first person. Default: emulated wearer."),
    ] = None,
    windows: Annotated[
        int, typer.Option(min=1000, help="Of the long run: 1000000 takes some minutes.")
    ] = 20_000,
    labels: Annotated[
        str | None, typer.Option(help="The first so many, or their names: sitting,walking.")
    ] = None,
) -> None:
    r"""Say what a window costs, beside River's and scikit-learn's learners, and what a start costs.

    All are timed in this run on the same windows, one after another, so keep the machine quiet.
    What is compared with needs the extra: ./deploy/venv '.\[bench]'

    Example: budge bench learning --windows 1000000
    """
    from deploy import benching
    from deploy.evaluating import load
    from learner.evaluation import speed
    from learner.evaluation.protocols import next_session

    people = (
        benching.wearer()
        if file is None
        else load([file], benching.WINDOW_S, benching.HOP_S, labels)
    )
    split = next_session(people.windows, 0)
    entrants = list(with_progress(speed.race(people.windows, split), "racing", speed.ENTRANTS))
    benching.print_race(entrants)
    benching.print_traffic(speed.traffic(people.windows, split))
    lessons = with_progress(range(windows), "long run", windows)
    benching.print_long_run(speed.long_run(people.windows, split, lessons, windows))
    benching.print_start()


def _print_timing() -> None:
    from firmware_bridge import figures

    errors = figures.CLOCK_ERRORS
    head = ["chip", *(f"{error:+.0%}" for error in errors)]
    rates, places = [], []
    for name in with_progress(figures.chip_names(), "measuring"):
        row = [figures.timing(name, error, seed) for seed, error in enumerate(errors)]
        rates.append([name, *(f"{each.rate_error * 1e6:+.0f}" for each in row)])
        places.append([name, *(f"{each.place_s * 1e3:.1f}" for each in row)])
    print_table("rate measured in 60 s less the true one, ppm, by error of the clock", head, rates)
    print_table("furthest any 5 s of rows lay from where they say, ms", head, places)


def _print_resampling() -> None:
    from firmware_bridge import figures

    rows = [
        [name, *(f"{figures.worst_resampling_db(name, tone):.0f}" for tone in figures.TONES_HZ)]
        for name in figures.chip_names()
    ]
    head = ["chip", *(f"{tone} Hz" for tone in figures.TONES_HZ)]
    print_table("error of a sine on the 50 Hz grid, dB, at the worst clock error", head, rows)


def _print_cost() -> None:
    from firmware_bridge import figures

    rows = []
    for name in with_progress(COST_CHIPS, "draining in real time"):
        spent = figures.cost(name, COST_S)
        own, emulation = (s / spent.seconds for s in (spent.cpu_s, spent.emulation_cpu_s))
        rows.append(
            [
                *(name, f"{spent.transfers / spent.seconds:.0f}", f"{3600 * own:.2f}"),
                *(f"{own:.3%}", f"{3600 * emulation:.2f}"),
            ]
        )
    head = ["chip", "transfers/s", "CPU s/h", "of a core", "emulation, CPU s/h"]
    print_table(f"source and driver, drained 25 times a second for {COST_S:.0f} s", head, rows)


def _print_growth() -> None:
    from firmware_bridge import figures

    (grown,) = [
        figures.growth(name, DAY_S)
        for name in with_progress(COST_CHIPS[:1], "a day of sensor time")
    ]
    print(
        f"a day of {grown.chip}: {grown.blocks:+d} Python objects and"
        f" {grown.rss_bytes / 1024:+.0f} KiB of memory since its tenth minute"
    )
