"""The states that budge tells: what it knows, what it is taught, how good it is."""

from importlib.metadata import version

from deploy.labelling import Labelling
from deploy.messages import (
    NOT_LABELLING,
    Ended,
    Info,
    Label,
    Stretch,
    Taught,
    rfc3339,
)
from deploy.settings import Settings
from deploy.timeline import Timeline
from learner.journal import Annotation, Journal
from learner.recognizer import Recognizer

LATEST = 100  # stretches that are told


class Reports:
    """Makes them in wall time, as that is now."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        recognizer: Recognizer,
        labelling: Labelling,
        timeline: Timeline,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._recognizer = recognizer
        self._labelling = labelling
        self._timeline = timeline

    def at(self, journal_us: int) -> str:
        return rfc3339(journal_us + self._timeline.wall_offset_us())

    def info(self) -> Info:
        recognizer, settings = self._recognizer, self._settings
        hop_rows = round(settings.window.hop_s * recognizer.rate_hz)
        return Info(
            version=version("budge"),
            device=settings.device,
            source=settings.source,
            started=self.at(self._timeline.start_us),
            rate_hz=recognizer.rate_hz,
            channels=recognizer.n_channels,
            window_s=recognizer.window_s,
            hop_s=hop_rows / recognizer.rate_hz,
            classifier=settings.classifier,
            activities=dict(recognizer.activities),
            model=recognizer.digest(),
            base=settings.mqtt.base,
        )

    def label(self, refused: str | None) -> Label:
        """`refused`: why the last command was."""
        said, ending = self._labelling.teaching, self._labelling.ending
        return Label(
            label=NOT_LABELLING if said is None else said.activity,
            since=None if said is None else self.at(said.start_us),
            windows=self._labelling.windows,
            error=refused,
            ended=None
            if ending is None
            else Ended(
                reason=ending.reason,
                activity=ending.said.activity,
                start=self.at(ending.said.start_us),
                end=self.at(ending.said.end_us or ending.until_us),
                until=self.at(ending.until_us),
            ),
        )

    def taught(self) -> Taught:
        last = self._labelling.last
        newest = sorted(self._journal.annotations)[-LATEST:]  # by id
        return Taught(
            stretches=tuple(self._stretch(said) for said in newest),
            undo=None if last is None else self._stretch(last),
        )

    def _stretch(self, said: Annotation) -> Stretch:
        return Stretch(
            id=said.id,
            activity=said.activity,
            start=self.at(said.start_us),
            end=None if said.end_us is None else self.at(said.end_us),
            origin=said.origin,
        )
