"""What to show to somebody who helps: what is wrong, and nothing of who you are or what you do.

No sensor data, no names of activities, no secrets. A text is let through only if it is known to be
harmless: settings that are numbers, switches or words out of a list; of the log, what systemd says
and the sentences that stand in our own source, with their names left out.
"""

import json
import re
import socket
import sqlite3
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from deploy.archive import JOURNAL
from deploy.doctor import Case, Finding, report
from deploy.log_lines import harmless
from deploy.settings import Settings
from learner.journal_check import read_only

LEFT_OUT = "(left out)"
PACKAGES = (
    *("numpy", "numba", "llvmlite", "smbus2", "paho-mqtt", "msgspec", "typer", "rich"),
    *("starlette", "uvicorn", "segno", "gpiozero"),
)
# Words that say what is used, not who uses it.
HARMLESS = {
    *("source", "classifier", "outputs", "inputs", "protocol", "transport", "bus", "chip", "axes"),
}
LOG_LINES = 500

README = """\
Made by `budge doctor --bundle` for somebody who helps you. Have a look before you send it.

report.json    what the doctor found
settings.json  your settings; words that could say who you are are left out
versions.json  of budge and what it is built on
journal.json   how much there is in the journal; activities are numbers
log.txt        what systemd says of the service, and the sentences of budge without their names
"""


def write(to: Path, case: Case, findings: list[Finding], budge: str) -> None:
    """Make the bundle. Raises OSError."""
    scrub = Scrubber(case)
    files = {
        "README.txt": README,
        "report.json": _json(scrub, report(findings, budge)),
        "settings.json": _json(scrub, plain_settings(case.settings)),
        "versions.json": _json(scrub, {"budge": budge, **_versions()}),
        "journal.json": _json(scrub, _journal(case)),
        "log.txt": scrub("\n".join(_log(case))),
    }
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


class Scrubber:
    """Takes out of a text every word that is known to be private."""

    def __init__(self, case: Case) -> None:
        settings, usual = msgspec.to_builtins(case.settings), msgspec.to_builtins(Settings())
        private: dict[str, str] = {
            **dict.fromkeys(_left_out(settings, usual), LEFT_OUT),
            socket.gethostname(): "(host)",
            str(Path.home()): "(home)",
            case.settings.device: "(device)",
            **{name: f"activity-{k + 1}" for k, name in enumerate(_activities(case))},
        }
        longest_first = sorted(filter(None, private), key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first) or "(?!)",
            re.IGNORECASE,
        )
        # Settings that could not be read may quote anything out of the file.
        self._quoted = re.compile(r"'[^']*'|\"[^\"]*\"" if case.trouble else "(?!)")
        self._shown = {word.lower(): private[word] for word in longest_first}

    def __call__(self, text: str) -> str:
        text = self._quoted.sub(LEFT_OUT, text)
        text = self._pattern.sub(lambda found: self._shown[found[0].lower()], text)
        return re.sub(r"/home/[^/\s]+", "(home)", text)


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings without any word that is not out of a list or the default."""
    found: dict[str, Any] = _plain(msgspec.to_builtins(settings), msgspec.to_builtins(Settings()))
    return found


def _plain(value: Any, default: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        defaults = default if isinstance(default, Mapping) else {}
        return {name: _plain(inner, defaults.get(name), name) for name, inner in value.items()}
    if value is None or isinstance(value, bool | int | float) or key in HARMLESS:
        return value
    return value if value == default and key != "device" else LEFT_OUT


def _left_out(value: Any, default: Any, key: str = "") -> list[str]:
    """List the words that `_plain` leaves out."""
    if isinstance(value, Mapping):
        defaults = default if isinstance(default, Mapping) else {}
        return [
            word
            for name, inner in value.items()
            for word in _left_out(inner, defaults.get(name), name)
        ]
    return [str(value)] if _plain(value, default, key) != value else []


def _activities(case: Case) -> list[str]:
    """Every name that the journal has, also where it was taken back."""
    try:
        with read_only(case.state / JOURNAL) as db:
            names = db.execute("SELECT activity FROM annotation GROUP BY activity ORDER BY min(id)")
            return [str(name) for (name,) in names]
    except sqlite3.Error:
        return []


def _json(scrub: Scrubber, content: Mapping[str, Any]) -> str:
    def scrubbed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: inner if key in {"name", "level"} else scrubbed(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [scrubbed(inner) for inner in value]
        return scrub(value) if isinstance(value, str) else value

    return json.dumps(scrubbed(content), indent=1, ensure_ascii=False)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return {**found, "sqlite": sqlite3.sqlite_version}


def _journal(case: Case) -> dict[str, Any]:
    """Count what is in the journal."""
    counts = {
        "runs": "SELECT count(*) FROM run",
        "rows": "SELECT coalesce(sum(n), 0) FROM rows",
        "annotations": "SELECT count(*) FROM annotation",
        "retracted": "SELECT count(*) FROM annotation WHERE retracted",
        "rates_hz": "SELECT group_concat(DISTINCT rate_hz) FROM run",
        "causes": "SELECT group_concat(DISTINCT substr(cause, 1, 40)) FROM run",
        "version": "PRAGMA user_version",
        "state": "SELECT group_concat(key || ' ' || length(value), ', ') FROM state",
        "schema": "SELECT group_concat(sql, '; ') FROM sqlite_schema",
    }
    try:
        with read_only(case.state / JOURNAL) as db:
            found = {what: db.execute(query).fetchone()[0] for what, query in counts.items()}
            said = db.execute(
                "SELECT count(*), sum(end_us - start_us) / 1000000 FROM annotation"
                " GROUP BY activity ORDER BY min(id)"
            ).fetchall()
    except sqlite3.Error as error:
        return {"trouble": str(error)}
    return {
        **found,
        "activities": {
            f"activity-{k + 1}": {"stretches": n, "seconds": seconds}
            for k, (n, seconds) in enumerate(said)
        },
    }


def _log(case: Case) -> list[str]:
    """Return what may be shown of the service's log, the newest last."""
    said = case.output(
        "journalctl", "-u", "budge.service", "-n", str(LOG_LINES), "-o", "json", "--no-pager"
    )
    if said is None:
        return ["(no log of the service could be read: try with sudo)"]
    return harmless(said.splitlines())
