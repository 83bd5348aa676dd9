"""The settings file: every typo is an error that names the nearest key."""

from pathlib import Path

import pytest

from deploy.commands.options import changed, host_and_port
from deploy.settings import Settings, SettingsError, read


def write(folder: Path, text: str) -> Path:
    path = folder / "budge.toml"
    path.write_text(text)
    return path


def test_every_key_has_a_default(tmp_path: Path) -> None:
    assert read(write(tmp_path, "")) == Settings()


def test_keys_are_read(tmp_path: Path) -> None:
    settings = read(
        write(
            tmp_path,
            'device = "washer"\n[i2c]\nbus = "emulated"\naddress = 0x6b\n[mqtt]\nwindow = true\n',
        )
    )

    assert settings.device == "washer"
    assert (settings.i2c.bus, settings.i2c.address) == ("emulated", 0x6B)
    assert settings.mqtt.window


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('devise = "x"', "unknown key `devise` in the top level: did you mean `device`?"),
        ('[mqtt]\nhots = "x"', r"unknown key `hots` in \[mqtt\]: did you mean `host`?"),
        ("[mqtt]\nzzz = 1", r"unknown key `zzz` in \[mqtt\]: known there: host, port, "),
        ('[mqtt]\nport = "1883"', r"Expected `int`, got `str` - at `mqtt.port`"),
        ("[mqtt]\nport = 70000", "Expected `int` <= 65535 - at `mqtt.port`"),
        ('device = "a/b"', "`device` is 'a/b', expected letters, digits, - and _, 64 at most"),
        ('device = "a\\n"', r"`device` is 'a\\n', expected letters"),
        ('[mqtt]\nbase = "a/#"', r"`base` in \[mqtt\] is 'a/#', expected up to 128 characters"),
        ("[window]\nlength_s = 0", "Expected `float` >= 0.25 - at `window.length_s`"),
        ("[window]\nhop_s = 3.0", r"`hop_s` in \[window\] is 3, expected at most `length_s`, 2.56"),
        ("[window]\nhop_s = 0.009", "`hop_s` .* expected at least one row, 0.02 s at 50 Hz"),
        (
            "[window]\nrate_hz = 10\nlength_s = 0.5\nhop_s = 0.5",
            "`length_s` .* 5 rows, expected at least 8: 8 rows last 0.8 s",
        ),
        ('classifier = "oracle"', "`classifier` is 'oracle', expected one of discriminant"),
        (
            "[learning]\ndecay_windows = 0.5",
            "Expected `float` >= 1.0 - at `learning.decay_windows`",
        ),
        (
            '[learning]\nstater = "x"',
            r"unknown key `stater` in \[learning\]: did you mean `starter`?",
        ),
        ("heartbeat_s = inf", "`heartbeat_s` is inf, expected a finite number"),
        ("[window]\nrate_hz = nan", "Expected `float` >= 5.0 - at `window.rate_hz`"),
        (
            "[sources.serial]\nbaud = inf",
            "`baud` of `serial` of `sources` is inf, expected a finite",
        ),
        ('[i2c]\nbus = "emulatd"', "`i2c.bus` is 'emulatd', expected a number or \"emulated\""),
        ("[mqtt\n", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(SettingsError, match=sentence) as error:
        read(path)

    assert str(error.value).startswith(str(path))


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no .*nowhere\.toml, expected a"):
        read(tmp_path / "nowhere.toml")


def test_the_state_folder_is_systemds_then_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert Settings().state_path() == Path("/home/pi/.local/state/budge")

    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/budge")
    assert Settings().state_path() == Path("/var/lib/budge")
    assert Settings(state_dir="~/here").state_path() == Path("/home/pi/here")


def test_what_the_command_line_says_is_checked_like_the_file() -> None:
    with pytest.raises(SettingsError, match="--device is 'a/b', expected letters, digits"):
        changed(Settings(), device="a/b")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("pi.local", ("pi.local", 1883)),
        ("192.168.1.5:18830", ("192.168.1.5", 18830)),
        ("[fe80::1%eth0]:18830", ("fe80::1%eth0", 18830)),
        ("[::1]", ("::1", 1883)),
    ],
)
def test_a_broker_is_a_host_and_a_port(said: str, meant: tuple[str, int]) -> None:
    assert host_and_port(said) == meant


@pytest.mark.parametrize(
    "said",
    ["", ":1883", "mqtt://pi:1883", "pi:0", "pi:65536", "pi:x", "::1", "fe80::1:1883", "a b"],
)
def test_a_broker_that_is_none_is_refused_with_examples(said: str) -> None:
    with pytest.raises(SettingsError, match=r"expected HOST:PORT, as in 192.* or \[fe80::1\]:1883"):
        host_and_port(said)
