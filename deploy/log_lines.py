"""Which lines of the service's log may be shown: those whose words we wrote ourselves.

The log of a budge is a diary: the console's lines say what somebody did and when, and warnings name
activities, some of which were forgotten since. So a line is known by the sentence in our source it
was made from, and only that sentence is shown; of what was filled in, numbers alone.

    source   log.warning("%s: the rate of %s is %r, expected about %g Hz", …)
    log      /home/ada/rates.json: the rate of lsm9ds1@0x6a is 'x', expected about 119 Hz
    shown    …: the rate of … is …, expected about 119 Hz
"""

import ast
import builtins
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

OURS = ("deploy", "firmware_bridge", "learner")
FILLED = "…"
# Of our own in a sentence; with fewer it would fit anybody's, or be the name of an activity.
LEAST_LETTERS, LEAST_SPACES = 12, 2
LONGEST = 1000  # characters of a line
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?%?")
SPECIFIER = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?([a-zA-Z])")
FRAME = re.compile(
    r' *File "(?:[^"]*?/)?((?:(?:deploy|firmware_bridge|learner)/(?:\w+/)*)?\w+\.py)", line (\d+).*'
)
ERROR = re.compile(r"([\w.]*?(\w+))(: .*)?")


class Hole(NamedTuple):
    """Where something is filled into a sentence."""

    number: bool


Sentence = tuple[str | Hole, ...]


def harmless(entries: Iterable[str]) -> list[str]:
    """Return what may be shown of the lines of `journalctl -o json`, with their time in s."""
    shown = []
    for entry in entries:
        try:
            fields = json.loads(entry)
            message, who = str(fields.get("MESSAGE", "")), fields.get("SYSLOG_IDENTIFIER")
            at_s = int(fields.get("__REALTIME_TIMESTAMP", 0)) // 1_000_000
        except (ValueError, TypeError, AttributeError):
            continue
        text = message if who == "systemd" else own_words(message)
        if text is not None:
            shown.append(f"{at_s} {text}")
    return shown


def own_words(line: str) -> str | None:
    """Return a line without what was filled into it; None where it is none of ours."""
    if line.startswith("Traceback (most recent call last)") or len(line) > LONGEST:
        return line[:9] if line.startswith("Traceback") else None
    if found := FRAME.fullmatch(line):
        return f"  {found[1]}, line {found[2]}"
    for longest, parts in _sentences():
        if longest in line and (found := _pattern(parts).fullmatch(line)):
            filled = iter(found.groups())
            return "".join(
                part if isinstance(part, str) else _shown(part, next(filled)) for part in parts
            )
    if (found := ERROR.fullmatch(line)) and _is_error(found[2]):
        return found[1]
    return None


def _shown(hole: Hole, value: str) -> str:
    return value if hole.number and NUMBER.fullmatch(value) else FILLED


def _is_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


@cache
def _sentences() -> list[tuple[str, Sentence]]:
    """Every sentence of ours, the one with the most letters of its own first.

    Each with its longest part, which is looked for first: most lines are none of ours.
    """
    found = {sentence for file in _sources() for sentence in sentences(file.read_text())}
    return [
        (max((part for part in sentence if isinstance(part, str)), key=len), sentence)
        for sentence in sorted(found, key=_letters, reverse=True)
        if _letters(sentence) >= LEAST_LETTERS and _spaces(sentence) >= LEAST_SPACES
    ]


def _pattern(sentence: Sentence) -> re.Pattern[str]:
    parts = (re.escape(part) if isinstance(part, str) else "(.*?)" for part in sentence)
    return re.compile("(?:budge: )?" + "".join(parts))


def _sources() -> Iterator[Path]:
    for package in OURS:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or []:
            yield from Path(folder).rglob("*.py")


def _letters(sentence: Sentence) -> int:
    return sum(letter.isalpha() for part in sentence if isinstance(part, str) for letter in part)


def _spaces(sentence: Sentence) -> int:
    return sum(part.count(" ") for part in sentence if isinstance(part, str))


def sentences(source: str) -> Iterator[Sentence]:
    """Find every text in a file, with its holes; those that are no sentences do no harm."""
    tree = ast.parse(source)
    within = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield tuple(
                str(part.value)
                if isinstance(part, ast.Constant)
                else Hole(isinstance(part, ast.FormattedValue) and part.format_spec is not None)
                for part in node.values
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in within
        ):
            yield _of_a_template(node.value)


def _of_a_template(template: str) -> Sentence:
    """Cut a text at what `%` would fill in."""
    parts: list[str | Hole] = []
    end = 0
    for found in SPECIFIER.finditer(template):
        parts += [template[end : found.start()], Hole(found[1] in "dfgeGxX")]
        end = found.end()
    return (*parts, template[end:])
