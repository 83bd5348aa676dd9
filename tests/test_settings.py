"""The settings file: every typo is an error that names the nearest key."""

from pathlib import Path

import pytest

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
        ('device = "a/b"', r"matching regex .* at `device`"),
        ('[mqtt]\nbase = "a/#"', r"matching regex .* at `mqtt.base`"),
        ("[window]\nlength_s = 0", "Expected `float` >= 0.25 - at `window.length_s`"),
        ('[i2c]\nbus = "emulatd"', "at `i2c.bus`"),
        ("[mqtt\n", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(SettingsError, match=sentence) as error:
        read(path)

    assert str(error.value).startswith(str(path))


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: No such file"):
        read(tmp_path / "nowhere.toml")


def test_the_state_folder_is_systemds_then_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert Settings().state_path() == Path("/home/pi/.local/state/budge")

    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/budge")
    assert Settings().state_path() == Path("/var/lib/budge")
    assert Settings(state_dir="~/here").state_path() == Path("/home/pi/here")
