"""The command `budge`: each command is one file in `commands/`."""

import io
import logging
import os
import shlex
import sys
from pathlib import Path

import typer

from deploy.commands.activities import activities
from deploy.commands.backup import backup
from deploy.commands.bench import bench
from deploy.commands.demo import demo
from deploy.commands.doctor import doctor
from deploy.commands.evaluate import evaluate
from deploy.commands.import_ import import_
from deploy.commands.label import label
from deploy.commands.pair import pair
from deploy.commands.pool import pool
from deploy.commands.probe import probe
from deploy.commands.purge import purge
from deploy.commands.record import record
from deploy.commands.replay import replay
from deploy.commands.restore import restore
from deploy.commands.run import run
from deploy.commands.upgrade import upgrade
from deploy.settings import SettingsError

# The learner's matrices are small: a second BLAS thread gains nothing, and on a busy machine two
# that wait for each other made a prediction of 10 ms take 3 s. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    help="A sensor that learns what you call things.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    *(demo, run, pair, probe, label, record, replay, evaluate, pool),
    *(backup, restore, purge, doctor, upgrade),
):
    app.command()(command)
app.command("import")(import_)
app.add_typer(activities, name="activities")
app.add_typer(bench, name="bench")


def main() -> None:
    """Run the command; an error that a person can mend is one sentence, not a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character its set lacks is no reason to die
        sys.stdout.reconfigure(errors="replace")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        app()
    except _mendable() as error:
        denied = isinstance(error.__cause__, PermissionError) and isinstance(error, SettingsError)
        print(f"budge: {error}{_as_root() if denied else ''}", file=sys.stderr)
        sys.exit(1)
    except MemoryError:
        print(
            "budge: there is no more memory: end other programs, or raise MemoryMax= of"
            " budge.service; all that was acknowledged is in the journal",
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise  # not of a file that somebody named
        print(f"budge: {error.filename}: {_explained(error)}", file=sys.stderr)
        sys.exit(1)


def _explained(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder: check the name"
    return f"{error.strerror}{_as_root() if isinstance(error, PermissionError) else ''}"


def _as_root() -> str:
    """Name the line that helps a user who may not."""
    return f": try `sudo {shlex.join([str(Path(sys.argv[0]).absolute()), *sys.argv[1:]])}`"


def _mendable() -> tuple[type[Exception], ...]:
    """Errors whose sentence is meant for the owner. Asked for only once one was raised."""
    from deploy.archive import BackupError
    from deploy.broker import BrokerError
    from deploy.client import NoAnswerError
    from deploy.commands.upgrade import UpgradeError
    from deploy.page.access import AccessError
    from deploy.service import ServiceError
    from firmware_bridge.chip import ImuFaultError, ImuNotFoundError
    from firmware_bridge.commissioning.calibration import CalibrationError
    from firmware_bridge.recording import RecordingError
    from firmware_bridge.source import SourceError
    from learner.journal_file import JournalError

    return (
        SettingsError,
        ServiceError,
        BrokerError,
        NoAnswerError,
        AccessError,
        BackupError,
        UpgradeError,
        JournalError,
        SourceError,
        RecordingError,
        ImuNotFoundError,
        ImuFaultError,
        CalibrationError,
    )
