"""What the owner may choose: one TOML file, every key with a default, every typo an error."""

import dataclasses
import difflib
import re
import socket
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from math import isfinite
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from deploy.input import check_meanings
from deploy.key_names import CODES, nearest

DEFAULT_PATH = Path("/etc/budge/budge.toml")

Options = TypeVar("Options")  # the dataclass of one source

DEVICE = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # an MQTT topic level and a Home Assistant id at once
BASE = re.compile(r"[^+#/$\s][^+#\s]{0,127}")
MIN_WINDOW_ROWS = 8  # the learner's
Positive = Annotated[float, msgspec.Meta(gt=0)]
MOST = 1e9  # of any number: in microseconds, too, it is a time


class SettingsError(ValueError):
    """The settings cannot be used; the sentence names the file, the key and what is expected."""


def _finite(key: str, value: object) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{key} is {value}, expected a finite number")
    if isinstance(value, float) and abs(value) > MOST:
        raise ValueError(f"{key} is {value:g}, expected at most {MOST:g}")
    if isinstance(value, dict):
        for inner in value.items():
            _finite(f"`{inner[0]}` of {key}", inner[1])


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checked whenever it is made, so also when the command line changes it. Raises ValueError."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            _finite(self._key(name), getattr(self, name))

    def _key(self, name: str) -> str:
        """Name a key as its owner would look for it."""
        return f"`{name}` in [{type(self).__name__.lower()}]"


def _check_base(key: str, base: str) -> None:
    if not BASE.fullmatch(base):
        raise ValueError(
            f"{key} is {base!r}, expected up to 128 characters without spaces, + and #, the first"
            " neither / nor $"
        )


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

    def __post_init__(self) -> None:
        super().__post_init__()
        rows, hop_rows = round(self.rate_hz * self.length_s), round(self.rate_hz * self.hop_s)
        if rows < MIN_WINDOW_ROWS:
            raise ValueError(
                f"{self._key('length_s')} is {self.length_s:g}, at {self.rate_hz:g} Hz that is"
                f" {rows} rows, expected at least {MIN_WINDOW_ROWS}: {MIN_WINDOW_ROWS} rows last"
                f" {MIN_WINDOW_ROWS / self.rate_hz:g} s"
            )
        if self.hop_s > self.length_s:
            raise ValueError(
                f"{self._key('hop_s')} is {self.hop_s:g}, expected at most `length_s`,"
                f" {self.length_s:g}: between windows nothing would be seen"
            )
        if hop_rows < 1:
            raise ValueError(
                f"{self._key('hop_s')} is {self.hop_s:g}, expected at least one row,"
                f" {1 / self.rate_hz:g} s at {self.rate_hz:g} Hz"
            )


class Learning(_Table, frozen=True, kw_only=True):
    """Changing it teaches the model anew from the journal."""

    starter: str | None = None  # a file of `budge pool`: begin with what others have taught
    # After so many more taught windows, one counts half; None: always in full.
    decay_windows: Annotated[float, msgspec.Meta(ge=1)] | None = None


class Labelling(_Table, frozen=True, kw_only=True):
    guard_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 1.0  # not taught at both ends
    limit_min: Positive = 60.0  # a stop forgotten for so long is made up for


class Journal(_Table, frozen=True, kw_only=True):
    retain_hours: Positive = 24.0  # of rows that no annotation covers
    max_mb: Positive = 2000.0  # of the file: what nothing covers is dropped sooner


class Mqtt(_Table, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    username: str | None = None
    password: str | None = None
    protocol: Literal["3.1.1", "5"] = "5"  # 5: the broker says why it refuses something
    transport: Literal["tcp", "websockets"] = "tcp"
    path: str = "/mqtt"  # of websockets
    tls: bool = False
    ca: str | None = None  # a file, of who signed the broker's certificate; None: the system's
    certificate: str | None = None  # files, of our own certificate and its key, if it wants one
    key: str | None = None
    base: str = "budge"
    window: bool = False  # publish every window, too
    lossless: bool = False  # hold the line up rather than lose a window: for recordings, which wait

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_base(self._key("base"), self.base)


class Homeassistant(_Table, frozen=True, kw_only=True):
    discovery: bool = True  # say on MQTT what Home Assistant may make of this device
    prefix: str = "homeassistant"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_base(self._key("prefix"), self.prefix)


class Page(_Table, frozen=True, kw_only=True):
    host: str = "0.0.0.0"  # every network the Pi is on; what is not paired can do nothing
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080


class Keys(_Table, frozen=True, kw_only=True):
    """A shutter, a keyboard, a game pad, for `inputs = ["keys"]`; deploy/input.py has the words."""

    device: str | None = None  # what Linux calls it, or the first words of that
    press: dict[str, str] = {}
    hold: dict[str, str] = {}  # for a second or more

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device is not None and not self.device.strip():
            raise ValueError(
                f"{self._key('device')} is empty, expected what Linux calls the device"
            )
        for place, meanings in (("[keys.press]", self.press), ("[keys.hold]", self.hold)):
            for key in meanings:
                if key not in CODES:
                    raise ValueError(
                        f"unknown key `{key}` in {place}: did you mean `{nearest(key)}`?"
                    )
            check_meanings(place, meanings)


class Gpio(_Table, frozen=True, kw_only=True):
    """Buttons between a pin and ground, for `inputs = ["gpio"]`; deploy/input.py has the words."""

    press: dict[int, str] = {}
    hold: dict[int, str] = {}  # for a second or more

    def __post_init__(self) -> None:
        super().__post_init__()
        for place, meanings in (("[gpio.press]", self.press), ("[gpio.hold]", self.hold)):
            for number in meanings:
                if number not in range(4, 28):  # 0 to 3 are I2C, where the sensor and HATs answer
                    raise ValueError(
                        f"`{number}` in {place} is no pin for a button, expected 4 to 27, as in"
                        " GPIO17: not the place on the header"
                    )
            check_meanings(place, meanings)


class Console(_Table, frozen=True, kw_only=True):
    json: bool = False  # each message as one line, for a program
    lossless: bool = False  # wait for a slow reader rather than leave lines out: for recordings
    reader_ends: bool = False  # a reader that goes away ends budge, as with others in a pipe


class Settings(_Table, frozen=True, kw_only=True):
    device: str = re.sub(r"[^a-zA-Z0-9_-]", "-", socket.gethostname())[:64] or "budge"
    state_dir: str | None = None  # None: systemd's, else ~/.local/state/budge
    source: str = "i2c"
    classifier: str = "discriminant"
    outputs: tuple[str, ...] = ("console", "mqtt", "page")
    inputs: tuple[str, ...] = ()  # keys that teach: "keys", "gpio"
    heartbeat_s: Positive = 30.0  # how often the activity is said again
    i2c: I2c = I2c()
    window: Window = Window()
    learning: Learning = Learning()
    labelling: Labelling = Labelling()
    journal: Journal = Journal()
    mqtt: Mqtt = Mqtt()
    sources: dict[str, dict[str, Any]] = {}  # [sources.serial] …: the Options of that file
    homeassistant: Homeassistant = Homeassistant()
    page: Page = Page()
    keys: Keys = Keys()
    gpio: Gpio = Gpio()
    console: Console = Console()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not DEVICE.fullmatch(self.device):
            raise ValueError(
                f"`device` is {self.device!r}, expected letters, digits, - and _, 64 at most"
            )
        if self.classifier not in classifiers():
            raise ValueError(
                f"`classifier` is {self.classifier!r}, expected one of {', '.join(classifiers())}"
            )

    def _key(self, name: str) -> str:
        return f"`{name}`"

    def state_path(self) -> Path:
        """The folder for the journal."""
        if self.state_dir is not None:
            return Path(self.state_dir).expanduser()
        if "STATE_DIRECTORY" in environ:  # systemd's StateDirectory=
            return Path(environ["STATE_DIRECTORY"])
        home = environ.get("XDG_STATE_HOME") or "~/.local/state"
        return (Path(home) / "budge").expanduser()


@cache
def classifiers() -> list[str]:
    """List the files in `learner/classifiers`, without importing what they compute with."""
    folder = Path(find_spec("learner").submodule_search_locations[0])  # type: ignore[index,union-attr]  # a package
    return sorted(file.stem for file in (folder / "classifiers").glob("[!_]*.py"))


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
    except FileNotFoundError as error:
        raise SettingsError(
            f"there is no {path}, expected a settings file: check the name, or leave --config out"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror})") from error
    except msgspec.ValidationError as error:
        found = error.__cause__  # of a check of ours, whose sentence needs no help
        sentence = str(found) if isinstance(found, ValueError) else _explained(str(error))
        raise SettingsError(f"{path}: {sentence}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
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
    """Turn msgspec's sentence into one that names the nearest known key or what is allowed."""
    if found := re.fullmatch(r"Invalid enum value '(.*)' - at `\$\.(.*)`", sentence):
        return f"`{found[2]}` is {found[1]!r}, expected {_allowed(found[2].split('.'))}"
    found = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", sentence)
    if found is None:
        return sentence.replace("`$.", "`").replace("`$`", "the file")
    key, place = found[1], found[2] or ""
    table = _type(list(filter(None, place.split("."))))
    known = [field.name for field in msgspec.structs.fields(table)]
    return _unknown(key, f"[{place}]" if place else "the top level", known)


def _type(place: list[str]) -> Any:
    """Return the type of the key at this place."""
    found: Any = Settings
    for name in place:
        found = next(f.type for f in msgspec.structs.fields(found) if f.name == name)
    return found


def _allowed(place: list[str]) -> str:
    """Say which words a key takes, and that a number will do where it does."""
    kinds = get_args(_type(place))
    words = [f'"{word}"' for kind in kinds for word in get_args(kind)]
    return " or ".join(["a number", *words] if int in kinds else words)


def _unknown(key: str, where: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known there: {', '.join(known)}."
    return f"unknown key `{key}` in {where}: {hint}"
