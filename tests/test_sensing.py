"""Settings to sources: the name is the file's, its table the file's Options."""

import json
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import firmware_bridge.sources
from deploy import sensing
from deploy.sensing import open_source
from deploy.settings import Settings, SettingsError, read
from firmware_bridge.buses import linux
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.clock import VirtualClock
from firmware_bridge.emulated_chips import lsm9ds1
from firmware_bridge.source import SourceError
from firmware_bridge.wearer import Wearer

OTHERS = sorted(
    {module.name for module in iter_modules(firmware_bridge.sources.__path__)}
    - {"i2c", "recording"}
)


def opened(folder: Path, text: str) -> None:
    (folder / "budge.toml").write_text(text)
    with ExitStack() as stack:
        open_source(read(folder / "budge.toml"), stack)


def test_an_unknown_source_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"source 'sireal' is not known, expected one of .*i2c.*serial"
    ):
        opened(tmp_path, 'source = "sireal"')


@pytest.mark.parametrize("name", OTHERS)
def test_an_unknown_option_of_a_source_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"unknown key `zzz` in \[sources\.{name}\]: known there"
    ):
        opened(tmp_path, f'source = "{name}"\n[sources.{name}]\nzzz = 1\n')


@pytest.mark.parametrize("name", OTHERS)
def test_an_option_is_of_its_type(tmp_path: Path, name: str) -> None:
    module = import_module(f"firmware_bridge.sources.{name}")
    field = next(iter(module.Options.__dataclass_fields__))

    with pytest.raises(SettingsError, match=rf"\[sources\.{name}\]: Expected `str.*at `{field}`"):
        opened(tmp_path, f'source = "{name}"\n[sources.{name}]\n{field} = [1]\n')


def test_a_serial_port_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="/dev/nowhere"):
        opened(tmp_path, 'source = "serial"\n[sources.serial]\nport = "/dev/nowhere"\n')


def test_the_chip_is_one_of_the_files(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"chip 'lsm9' is not known, expected one of auto, .*lsm9ds1"
    ):
        opened(tmp_path, '[i2c]\nbus = "emulated"\nchip = "lsm9"\n')


def test_the_default_is_the_only_imu_on_the_first_bus() -> None:
    settings = Settings()

    assert (settings.source, settings.i2c.bus, settings.i2c.chip) == ("i2c", 1, "auto")


def test_the_only_imu_is_found_and_its_rate_remembered_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    wearer = Wearer([("walking", 600)])
    bus = EmulatedBus({0x6A: lsm9ds1.Twin(wearer.motion, clock, rate_error=0.03)})
    monkeypatch.setattr(linux, "LinuxBus", lambda _number: bus)
    monkeypatch.setattr(sensing, "MonotonicClock", lambda: clock)
    settings = Settings(state_dir=str(tmp_path))
    first_rows_s = []
    for _ in range(2):
        with ExitStack() as stack:
            source = open_source(settings, stack)
            began_s = clock.now_s()
            for chunk in source.chunks():
                if chunk.first == 0:
                    first_rows_s.append(clock.now_s() - began_s)
                if clock.now_s() - began_s > 30:
                    source.close()
    kept = json.loads((tmp_path / "rates.json").read_text())

    assert kept == {"lsm9ds1@0x6a": pytest.approx(119 * 1.03, rel=1e-4)}
    assert first_rows_s[1] < first_rows_s[0] - 0.5  # it need not be measured first
