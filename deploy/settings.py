"""What the owner may choose: one TOML file, every key with a default, every typo an error."""

import dataclasses
import difflib
import re
import socket
from collections.abc import Sequence
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

DEFAULT_PATH = Path("/etc/budge/budge.toml")

Options = TypeVar("Options")  # the dataclass of one source

# An MQTT topic level and a Home Assistant id at once.
DeviceName = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
BaseTopic = Annotated[str, msgspec.Meta(pattern=r"^[^+#/$\s][^+#\s]{0,127}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class SettingsError(ValueError):
    """The settings cannot be used; the sentence names the file, the key and what is expected."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class I2c(_Table, frozen=True, kw_only=True):
    """A chip on an I2C bus, read by one of `firmware_bridge/chips`."""

    bus: int | Literal["emulated"] = 1  # /dev/i2c-1, the Pi's header; "emulated" needs no hardware
    chip: str = "auto"  # "auto": the one IMU that is there, found as `budge probe` does
    address: int | None = None  # None: the chip's usual one
    axes: str = "x,y,z"  # the body's in the chip's: "x,-z,y" if its y is the chip's z turned round


class Window(_Table, frozen=True, kw_only=True):
    """What the learner looks at. Changing it teaches the model anew from the journal."""

    rate_hz: Annotated[float, msgspec.Meta(ge=5, le=1000)] = 50.0
    length_s: Annotated[float, msgspec.Meta(ge=0.25, le=60)] = 2.56
    hop_s: Positive = 1.28


class Labelling(_Table, frozen=True, kw_only=True):
    guard_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 1.0  # not taught at both ends
    limit_min: Positive = 60.0  # a stop forgotten for so long is made up for


class Journal(_Table, frozen=True, kw_only=True):
    retain_hours: Positive = 24.0  # of rows that no annotation covers


class Mqtt(_Table, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password: str | None = None
    base: BaseTopic = "budge"
    window: bool = False  # publish every window, too
    lossless: bool = False  # hold the line up rather than lose a window: for recordings, which wait


class Console(_Table, frozen=True, kw_only=True):
    json: bool = False  # each message as one line, for a program


class Settings(_Table, frozen=True, kw_only=True):
    device: DeviceName = re.sub(r"[^a-zA-Z0-9_-]", "-", socket.gethostname())[:64] or "budge"
    state_dir: str | None = None  # None: systemd's, else ~/.local/state/budge
    source: str = "i2c"
    classifier: str = "discriminant"
    outputs: tuple[str, ...] = ("console", "mqtt")
    heartbeat_s: Positive = 30.0  # how often the activity is said again
    i2c: I2c = I2c()
    window: Window = Window()
    labelling: Labelling = Labelling()
    journal: Journal = Journal()
    mqtt: Mqtt = Mqtt()
    sources: dict[str, dict[str, Any]] = {}  # [sources.serial] …: the Options of that file
    console: Console = Console()

    def state_path(self) -> Path:
        """The folder for the journal."""
        if self.state_dir is not None:
            return Path(self.state_dir).expanduser()
        if "STATE_DIRECTORY" in environ:  # systemd's StateDirectory=
            return Path(environ["STATE_DIRECTORY"])
        home = environ.get("XDG_STATE_HOME") or "~/.local/state"
        return (Path(home) / "budge").expanduser()


def read(path: Path | None) -> Settings:
    """Read a settings file; without a name the usual one, and defaults if there is none.

    Raises SettingsError.
    """
    if path is None:
        if not DEFAULT_PATH.exists():
            return Settings()
        path = DEFAULT_PATH
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {_explained(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def source_options(settings: Settings, kind: type[Options]) -> Options:
    """Make the options of the chosen source from its table [sources.NAME]. Raises SettingsError."""
    place = f"[sources.{settings.source}]"
    table = settings.sources.get(settings.source, {})
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # of any
    for key in table:
        if key not in known:
            raise SettingsError(_unknown(key, place, known))
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {str(error).replace('`$.', '`')}") from error


def _explained(sentence: str) -> str:
    """Turn msgspec's sentence on an unknown key into one that names the nearest known."""
    found = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", sentence)
    if found is None:
        return sentence.replace("`$.", "`").replace("`$`", "the file")
    key, place = found[1], found[2] or ""
    table: Any = Settings
    for name in filter(None, place.split(".")):
        table = next(f.type for f in msgspec.structs.fields(table) if f.name == name)
        table = next((t for t in get_args(table) if isinstance(t, type)), table)
    known = [field.name for field in msgspec.structs.fields(table)]
    return _unknown(key, f"[{place}]" if place else "the top level", known)


def _unknown(key: str, where: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known there: {', '.join(known)}."
    return f"unknown key `{key}` in {where}: {hint}"
