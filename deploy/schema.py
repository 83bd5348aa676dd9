"""Writes `deploy/mqtt.md`, what MQTT says and hears, from the structs and the comments on them.

`python -m deploy.schema > deploy/mqtt.md`; a test fails while that page is not what this writes.
"""

import html
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from deploy import messages
from deploy.messages import RESPONSES, Message, Response, Trace, Window

Struct = type[msgspec.Struct]


class Example(NamedTuple):
    topic: str
    payload: str
    meaning: str


EXAMPLES = (
    Example("label/set", "walking", "this is walking, from now on"),
    Example("label/set", "", "that was it; `stop` and `not labelling` say so, too"),
    Example("label/set", '{"toggle":"walking"}', "start, or stop where it is being taught"),
    Example("label/set", '{"activity":"cycling","last_s":30}', "the last 30 s were cycling"),
    Example(
        "label/set",
        '{"activity":"stairs","start_age_ms":90000,"end_age_ms":30000}',
        "a press that waited for the Wi-Fi: from 90 s to 30 s ago",
    ),
    Example(
        "label/set",
        '{"activity":"stairs","start":"2026-11-24T08:00:00Z","end":"2026-11-24T08:00:40Z"}',
        "that stretch was stairs; the times are those of `transition` and `activity`",
    ),
    Example("label/undo", "undo", "take back the last stretch; anything will do"),
    Example("learning/set", "OFF", "nothing can be taught until `ON`"),
    Example("learning/set", '{"learning":true}', "on again"),
    Example("threshold/set", "35", "what is less sure than 35 % is told as `unsure`"),
    Example("threshold/set", '{"threshold_percent":35}', "the same"),
    Example(
        "request/rename",
        '{"from":"wlaking","to":"walking"}',
        "another name; where there is one like it already, the two become one, for good",
    ),
    Example("request/forget", '{"activity":"walking"}', "as if it had never been taught"),
    Example(
        "request/forget",
        '{"start":"2026-11-24T00:00:00Z","end":"2026-11-25T00:00:00Z"}',
        "nor whatever was taught and recorded then",
    ),
    Example("request/rebuild", "", "teach the model anew all that the journal holds"),
    Example("request/restart", "", "end, and begin again where a service manager sees to it"),
)
# Of fields whose name says nearly all.
MEANINGS = {
    "v": "version of this contract",
    "activity": "its name",
    "start": "when it began",
    "end": "when it ended; null: it has not",
    "since": "when that began",
    "duration_s": "of what has ended",
    "confidence": "0 … 1",
    "novelty": "0 … 1, how unlike anything taught",
    "probabilities": "0 … 1 of each activity",
    "id": "the same of a start and its end",
    "end_s": "its end, in seconds of the source",
    "version": "of budge",
    "device": "its name, as in the topics",
    "source": "where the rows come from",
    "started": "when this budge began",
    "rate_hz": "rows a second",
    "channels": "3: acceleration; 6: and rotation",
    "window_s": "length of a window",
    "hop_s": "from one window to the next",
    "classifier": "its name in the settings",
    "one": "an activity",
    "other": "the other",
    "activities": "by name",
    "gaps": "how often rows were missing since it started",
    "errors": "of the sensor, since it started",
    "uptime_s": "since it started",
    "memory_mb": "that it takes",
    "temperature_c": "of the processor",
    "status": "`ok`: it is done, and on the disk; `error`: it is not",
    "data": "what was done: `action`, and what it was done to",
    "error": "why not, and what to do",
    "transaction": "whatever the command brought",
}
HEAD = """\
# What budge says and hears on MQTT

Written by `python -m deploy.schema` from [messages.py](messages.py); do not edit it here.

Topics are below `<base>/<device>/`, by default `budge/<name of the computer>/`. Payloads are JSON
except where a bare word is shown. Times are RFC 3339 in UTC, fields named `…_s` are seconds. A
field is never renamed, retyped or taken away; new ones may come: pass over what you do not know.

## It says

| topic | retained | QoS | what |
|---|---|---|---|
| `availability` | yes | 1 | `online` or `offline`, bare; said by the broker when budge is cut off |
"""
HEARS = """\
## It hears

Send commands with QoS 1 and never retained: retained ones are ignored. Any JSON command may carry
`"transaction"`, which comes back in the answer (a command that comes twice with one is done once),
and `"sent"`, the time it was sent: one that says *now* and was sent more than 30 s ago is refused.
Under MQTT 5 a message expiry interval does that in the broker, too.

| topic | payload | what it does | answered on |
|---|---|---|---|
"""
SCHEMA = """\
## JSON Schema

Of every message, by the name of its struct.

```json
"""


def page() -> str:
    """Return the whole page."""
    return "".join(_sections())


def kinds() -> list[type[Message]]:
    """List the messages that go to the broker; every answer is like `Response`."""
    found = [kind for kind in vars(messages).values() if _is_struct(kind)]
    return [
        kind
        for kind in found
        if issubclass(kind, Message)
        and kind not in {Message, Trace}
        and (kind is Response or not issubclass(kind, Response))
    ]


def meaning(kind: Struct, field: str) -> str:
    """Return what the comment on a field says, else what its name says. Raises KeyError."""
    source = inspect.getsource(kind)
    found = re.search(rf"^    {field}: [^#\n]*# (.*)$", source, re.MULTILINE)
    said = found[1] if found else MEANINGS[field]
    return said.replace("None", "null").replace("False", "false")  # as JSON has it


def schema() -> dict[str, Any]:
    """Return the JSON Schema of every message, with the meaning of every field."""
    _, parts = msgspec.json.schema_components(kinds(), ref_template="#/$defs/{name}")
    for name, part in parts.items():
        for field, type_ in part["properties"].items():
            type_["description"] = meaning(getattr(messages, name), field)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": parts}


def _sections() -> Iterator[str]:
    yield HEAD
    answers = " ".join(f"`{topic}`" for topic in sorted({a.topic for a in RESPONSES.values()}))
    for kind in kinds():
        topic = answers if kind is Response else f"`{kind.topic}`"
        qos = 0 if kind.retained or kind is Window else 1
        retained = "yes" if kind.retained else "no"
        said = "The answer to a command." if kind is Response else _about(kind)
        yield f"| {topic} | {retained} | {qos} | {said} |\n"
    for kind in kinds():
        yield f"\n### {'response/…' if kind is Response else kind.topic}\n\n"
        yield from _table(kind)
    for part in sorted(
        (part for part in vars(messages).values() if _is_struct(part)), key=lambda k: k.__name__
    ):
        if not issubclass(part, Message):
            yield f"\n### {part.__name__}\n\n{_about(part)}\n\n"
            yield from _table(part)
    yield "\n" + HEARS
    for topic, payload, what in EXAMPLES:
        yield f"| `{topic}` | {f'`{payload}`' if payload else ''} | {what} |"
        yield f" `{RESPONSES[topic].topic}` |\n"
    yield "\n" + SCHEMA + msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode()
    yield "\n```\n"


def _table(kind: Struct) -> Iterator[str]:
    yield "| field | type | meaning |\n|---|---|---|\n"
    for field in msgspec.structs.fields(kind):
        yield f"| `{field.name}` | {_words(field.type)} | "
        yield f"{html.escape(meaning(kind, field.name), quote=False)} |\n"


def _words(type_: Any) -> str:
    """Say a type as JSON has it."""
    origin, arguments = get_origin(type_), [_words(a) for a in get_args(type_) if a is not ...]
    if origin in {types.UnionType, Union}:  # one and the same from Python 3.14 on
        return " or ".join(arguments)
    if origin is dict:
        return f"object of {arguments[1]}"
    if origin is tuple:
        return f"list of {arguments[0]}"
    names = {str: "text", float: "number", int: "integer", bool: "boolean", type(None): "null"}
    return names.get(type_, f"[{type_.__name__}](#{type_.__name__.lower()})")


def _about(kind: Struct) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _is_struct(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, msgspec.Struct)


if __name__ == "__main__":
    print(page(), end="")
