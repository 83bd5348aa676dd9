"""The model of a device: kept between two lives, taught anew, begun with what others taught."""

import json
import logging
from io import BytesIO
from pathlib import Path

from deploy.settings import Settings, SettingsError
from learner.classifier import InexactError
from learner.journal import Journal
from learner.lessons import Teacher
from learner.recognizer import ModelFileError, Recognizer

log = logging.getLogger(__name__)


def new_recognizer(settings: Settings, n_channels: int) -> Recognizer:
    """Make one that was taught nothing, with the starter of the settings. SettingsError."""
    learning = settings.learning
    try:
        return untaught(
            settings,
            n_channels,
            starter=None if learning.starter is None else _starter(settings, n_channels),
            decay=learning.decay_windows,
        )
    except InexactError as error:
        raise SettingsError(f"[learning] cannot be used: {error}") from error


def _starter(settings: Settings, n_channels: int) -> Recognizer:
    file = Path(settings.learning.starter or "").expanduser()
    try:
        starter = Recognizer.load(file)
    except OSError as error:
        raise SettingsError(f"`starter` in [learning]: {file}: {error.strerror}") from error
    except ModelFileError as error:
        raise SettingsError(f"`starter` in [learning]: {error}") from error
    found, expected = kind(starter), kind(untaught(settings, n_channels))
    if found != expected:
        raise SettingsError(
            f"`starter` in [learning], {file}, is a model of {found}, expected {expected}: pool"
            " devices with these settings, or change [window]"
        )
    return starter


def untaught(
    settings: Settings,
    n_channels: int,
    *,
    starter: Recognizer | None = None,
    decay: float | None = None,
) -> Recognizer:
    """Make one of the settings' kind."""
    return Recognizer(
        rate_hz=settings.window.rate_hz,
        n_channels=n_channels,
        window_s=settings.window.length_s,
        classifier=settings.classifier,
        starter=starter,
        decay=decay,
    )


def open_recognizer(
    settings: Settings, journal: Journal, n_channels: int
) -> tuple[Recognizer, Teacher]:
    """Take the snapshot if it is of this journal, else teach a new model all the journal holds."""
    recognizer = new_recognizer(settings, n_channels)
    hop = round(settings.window.hop_s * settings.window.rate_hz)
    guard_us = round(settings.labelling.guard_s * 1e6)
    kept = journal.recall("snapshot")
    if kept is not None and journal.recall("snapshot of") == _identity(
        settings, journal, recognizer
    ):
        try:
            recognizer = Recognizer.load(
                BytesIO(kept), starter=recognizer.starter, decay=recognizer.decay
            )
        except ModelFileError as error:
            log.warning("the model's snapshot is not usable (%s): learning anew", error)
        else:
            return recognizer, Teacher(journal, recognizer, hop=hop, guard_us=guard_us)
    teacher = Teacher(journal, recognizer, hop=hop, guard_us=guard_us)
    if journal.annotations:
        windows = teacher.rebuild()
        log.info("learnt %d windows anew from the journal", windows)
    unusable_s = journal.unusable_s(rate_hz=settings.window.rate_hz, channels=n_channels)
    if unusable_s:
        log.warning(
            "%.0f s of what was taught rest: they were recorded with another rate or number of"
            " channels than %g Hz and %d, and count again when those come back",
            unusable_s,
            settings.window.rate_hz,
            n_channels,
        )
    return recognizer, teacher


def keep_snapshot(settings: Settings, journal: Journal, recognizer: Recognizer) -> None:
    """Keep the model, so that the next start need not learn it anew."""
    file = BytesIO()
    recognizer.save(file)
    # One after the other and the name last: a cut in between leaves a name that does not fit.
    journal.remember("snapshot of", b"")
    journal.remember("snapshot", file.getvalue())
    journal.remember("snapshot of", _identity(settings, journal, recognizer))


def kept_snapshot(journal: Journal) -> bytes | None:
    """Return the model that was kept if it is of all that the journal holds, however it was cut."""
    kept, of = journal.recall("snapshot"), journal.recall("snapshot of")
    try:
        found = json.loads(of or b"[]")[:2]
    except (ValueError, TypeError):  # somebody else's, restored
        return None
    return kept if found == _position(journal) else None


def _position(journal: Journal) -> list[int]:
    return [journal.revision, journal.end_us]


def _identity(settings: Settings, journal: Journal, recognizer: Recognizer) -> bytes:
    """Name what a model follows from: annotations, rows, how they are cut, what it began with."""
    return json.dumps(
        [
            *_position(journal),
            recognizer.n_channels,
            settings.window.rate_hz,
            settings.window.length_s,
            settings.window.hop_s,
            settings.labelling.guard_s,
            settings.classifier,
            recognizer.decay,
            None if recognizer.starter is None else recognizer.starter.digest(),
        ]
    ).encode()


def kind(recognizer: Recognizer) -> str:
    """Say what two models must have in common to be put together."""
    return (
        f"{recognizer.n_channels} channels, {recognizer.rate_hz:g} Hz, windows of"
        f" {recognizer.window_s:g} s, {recognizer.classifier}"
    )
