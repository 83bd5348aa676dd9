"""The states as Prometheus reads them: text format 0.0.4, written by hand."""

from collections.abc import Mapping

from deploy.messages import UNSURE, Activity, Controls, Health, Info, Label, Message, Scores

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class _Text:
    """Lines of the format, family by family."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(
        self, name: str, kind: str, what: str, samples: list[tuple[Labels, float | None]]
    ) -> None:
        """Write all samples of one metric; None: not known."""
        self.lines += [f"# HELP budge_{name} {what}", f"# TYPE budge_{name} {kind}"]
        for labels, value in samples:
            if value is not None:
                pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
                which = f"{{{pairs}}}" if pairs else ""
                self.lines.append(f"budge_{name}{which} {float(value)!r}")

    def gauge(self, name: str, what: str, value: float | None) -> None:
        self.family(name, "gauge", what, [({}, value)])

    def counter(self, name: str, what: str, value: float) -> None:
        self.family(f"{name}_total", "counter", what, [({}, value)])


def metrics(states: Mapping[str, Message], watchers: int) -> str:
    """Write what is known; what nobody has told yet is left out."""
    text = _Text()
    text.gauge("page_clients", "Pages that are watching.", watchers)
    for state in states.values():
        match state:
            case Info():
                _info(text, state)
            case Activity():
                info = states.get(Info.topic)
                _activity(text, state, info.activities if isinstance(info, Info) else {})
            case Scores():
                _scores(text, state)
            case Health():
                _health(text, state)
            case Controls():
                text.gauge("learning", "1 while budge may be taught.", state.learning)
                text.gauge(
                    "threshold_ratio",
                    "An activity less sure than this is told as unsure.",
                    state.threshold_percent / 100,
                )
            case Label():
                text.gauge(
                    "label_windows", "Windows learnt of what is being taught.", state.windows
                )
    return "\n".join(text.lines) + "\n"


def _info(text: _Text, info: Info) -> None:
    about = {"version": info.version, "device": info.device}
    text.family("info", "gauge", "Who is speaking; always 1.", [(about, 1)])
    text.family(
        "windows_taught",
        "gauge",
        "Windows taught of each activity.",
        [({"activity": name}, windows) for name, windows in info.activities.items()],
    )


def _activity(text: _Text, state: Activity, known: Mapping[str, int]) -> None:
    names = dict.fromkeys((*known, UNSURE, state.activity))
    text.family(
        "activity",
        "gauge",
        "1 for what is happening now, 0 for all else.",
        [({"activity": name}, name == state.activity) for name in names],
    )
    text.gauge("activity_confidence", "How sure that is, 0 to 1.", state.confidence)
    text.gauge("novelty", "How unlike anything taught it is, 0 to 1.", state.novelty)


def _scores(text: _Text, scores: Scores) -> None:
    text.family(
        "score_right",
        "gauge",
        "Share of windows recognised before they were taught, 0 to 1.",
        [({"activity": name}, score.right) for name, score in scores.activities.items()],
    )


def _health(text: _Text, health: Health) -> None:
    text.gauge("problem", "1 while something is wrong.", health.problem)
    text.gauge("rate_hertz", "Sample rate of the sensor, measured.", health.rate_hz)
    text.gauge("waiting_chunks", "Rows that wait for the learner, in chunks.", health.waiting)
    text.gauge("drifting_activities", "Activities that have drifted.", len(health.drifting))
    text.gauge("uptime_seconds", "Since the line was started.", health.uptime_s)
    memory = None if health.memory_mb is None else health.memory_mb * 1e6
    text.gauge("memory_bytes", "Resident memory of the process.", memory)
    text.gauge("temperature_celsius", "Of the processor.", health.temperature_c)
    text.counter("gaps", "Gaps in the recording.", health.gaps)
    text.counter("errors", "Errors of the sensor.", health.errors)
    text.counter("lost", "Samples that never came.", health.lost)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
