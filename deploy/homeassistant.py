"""What Home Assistant is told to make of a device: one document, from what it knows.

Tried against Home Assistant 2026.11 (tests/test_homeassistant.py). `none`, `unknown` and
`unavailable` are states of its own, so no activity may be called so; an option must be known
before it is used, so the document comes before the state.
"""

import hashlib
import re
import socket
import unicodedata
from collections.abc import Iterable
from typing import Any

import msgspec

from deploy.messages import NOT_LABELLING, UNSURE, Info
from deploy.settings import Settings

Document = dict[str, Any]

BUTTON = "label_"  # before an activity's key
BIRTH = "status"  # below the prefix: it says `online` there when it has started
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MAX_STATE_CHARACTERS = 255


def node(settings: Settings) -> str:
    """Name the device among all that Home Assistant knows: devices of two bases are two."""
    base = settings.mqtt.base
    return f"budge_{'' if base == 'budge' else _digest(base) + '_'}{settings.device}"


def topic(settings: Settings) -> str:
    """Return where the document is published, retained."""
    return f"{settings.homeassistant.prefix}/device/{node(settings)}/config"


def key(activity: str) -> str:
    """Make an id of a name that depends on nothing but the name, so that no other changes it."""
    name = activity.casefold()
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", name):
        return slug  # no other name gives this
    return f"{slug}_{_digest(name)}".strip("_")


def document(
    settings: Settings, info: Info, taught: str | None, said_before: Iterable[str] = ()
) -> Document:
    """Describe the device and its entities.

    `taught` is what is being taught, which need not be known yet. Components of `said_before` that
    are no more are taken back.
    """
    activities = sorted(info.activities, key=str.casefold)
    selectable = activities if taught is None else sorted({*activities, taught}, key=str.casefold)
    root = f"{settings.mqtt.base}/{settings.device}"
    components = _states(root, activities) | _commands(root, selectable)
    for activity in activities:
        components[BUTTON + key(activity)] = {
            "platform": "button",
            "name": f"I am {activity}",
            "icon": "mdi:gesture-tap-button",
            "command_topic": f"{root}/label/set",
            # A second press stops it: a tile on a phone is one button.
            "payload_press": msgspec.json.encode({"toggle": activity}).decode(),
        }
    entities = re.sub(r"[^a-z0-9]+", "_", f"budge_{settings.device}".casefold()).strip("_")
    for name, component in components.items():
        component["unique_id"] = f"{node(settings)}_{name}"
        component["default_entity_id"] = f"{component['platform']}.{entities}_{name}"
    device = {
        "identifiers": [node(settings)],
        "name": f"budge {settings.device}",
        "manufacturer": "budge",
        "model": "motion sensor that learns activities",
        "sw_version": info.version,
    }
    if "page" in settings.outputs and settings.page.host not in LOOPBACK:
        host = socket.gethostname().split(".")[0]
        device["configuration_url"] = f"http://{host}.local:{settings.page.port}/"
    return {
        "device": device,
        "origin": {"name": "budge", "sw_version": info.version},
        "availability_topic": f"{root}/availability",
        "qos": 1,
        "components": components
        | {gone: {"platform": "button"} for gone in said_before if gone not in components},
    }


def buttons(document: bytes) -> set[str]:
    """Name the buttons of activities in a document; none where it is something else."""
    try:
        components = msgspec.json.decode(document, type=_Kept).components
    except (msgspec.DecodeError, UnicodeDecodeError):
        return set()
    return {
        name
        for name, component in components.items()
        if name.startswith(BUTTON) and len(component) > 1  # else it was taken back there
    }


class _Kept(msgspec.Struct):
    components: dict[str, Document]


def _states(root: str, activities: list[str]) -> Document:
    return {
        "activity": {
            "platform": "sensor",
            "name": "Activity",
            "icon": "mdi:run",
            "device_class": "enum",
            "options": [*activities, UNSURE],
            "state_topic": f"{root}/activity",
            "value_template": "{{ value_json.activity }}",
            "json_attributes_topic": f"{root}/activity",
            # Each change of an attribute is written to the recorder: so only these.
            "json_attributes_template": "{{ {'confidence': value_json.confidence,"
            " 'since': value_json.since} | tojson }}",
        },
        "confidence": {
            "platform": "sensor",
            "name": "Confidence",
            "icon": "mdi:gauge",
            "state_topic": f"{root}/activity",
            "value_template": "{{ (value_json.confidence * 100) | round(0) }}",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "entity_category": "diagnostic",
        },
        "since": {
            "platform": "sensor",
            "name": "Activity since",
            "device_class": "timestamp",
            "state_topic": f"{root}/activity",
            "value_template": "{{ value_json.since }}",
        },
        "transition": {
            "platform": "event",
            "name": "Transition",
            "icon": "mdi:swap-horizontal",
            "event_types": ["started", "ended"],
            "state_topic": f"{root}/transition",
        },
        "advice": {
            "platform": "sensor",
            "name": "What to teach",
            "icon": "mdi:school",
            "state_topic": f"{root}/scores",
            "value_template": _text("value_json.advice or 'nothing for now'"),
            "entity_category": "diagnostic",
        },
        "drifting": {
            "platform": "sensor",
            "name": "Drifting",
            "icon": "mdi:tag-hidden",
            "state_topic": f"{root}/health",
            "value_template": _text("value_json.drifting | join(', ') or 'nothing'"),
            "json_attributes_topic": f"{root}/health",
            "json_attributes_template": "{{ {'advice': value_json.advice} | tojson }}",
            "entity_category": "diagnostic",
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "state_topic": f"{root}/health",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_topic": f"{root}/health",
            "json_attributes_template": "{{ {'sensor': value_json.state,"
            " 'cause': value_json.cause} | tojson }}",
            "entity_category": "diagnostic",
        },
        "software": {
            "platform": "sensor",
            "name": "Software",
            "icon": "mdi:package-variant",
            "state_topic": f"{root}/info",
            "value_template": "{{ value_json.version }}",
            "entity_category": "diagnostic",
        },
    }


def _commands(root: str, selectable: list[str]) -> Document:
    return {
        "doing": {
            "platform": "select",
            "name": "I am doing",
            "icon": "mdi:tag",
            "options": [NOT_LABELLING, *selectable],
            "state_topic": f"{root}/label",
            "value_template": "{{ value_json.label }}",
            "command_topic": f"{root}/label/set",
            # A bare name may look like JSON.
            "command_template": "{{ {'activity': value} | tojson }}",
        },
        "undo": {
            "platform": "button",
            "name": "Undo last label",
            "icon": "mdi:undo",
            "command_topic": f"{root}/label/undo",
            "payload_press": "undo",
            "entity_category": "config",
        },
        "learning": {
            "platform": "switch",
            "name": "Learning",
            "icon": "mdi:school-outline",
            "state_topic": f"{root}/controls",
            "value_template": "{{ 'ON' if value_json.learning else 'OFF' }}",
            "command_topic": f"{root}/learning/set",
            "entity_category": "config",
        },
        "threshold": {
            "platform": "number",
            "name": "Minimum confidence",
            "icon": "mdi:tune",
            "min": 0,
            "max": 100,
            "step": 1,
            "mode": "slider",
            "unit_of_measurement": "%",
            "state_topic": f"{root}/controls",
            "value_template": "{{ value_json.threshold_percent }}",
            "command_topic": f"{root}/threshold/set",
            "entity_category": "config",
        },
    }


def _text(expression: str) -> str:
    return f"{{{{ ({expression})[:{MAX_STATE_CHARACTERS}] }}}}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
