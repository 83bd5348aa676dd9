"""The support bundle: enough to help, and nothing of who somebody is or what they do."""

import json
import zipfile
from pathlib import Path

import pytest
from journals import START_US, S, teach

from deploy.bundle import write
from deploy.doctor import Case, Finding, examine
from deploy.log_lines import Hole, _sentences, own_words, sentences
from deploy.page.access import Access
from deploy.settings import I2c, Mqtt, Settings, SettingsError, read
from learner.journal import Journal

DEVICE, HOST, BASE = "adas-bracelet", "broker.ada.example", "lovelace/home"
ACTIVITIES = ("rendezvous", 'at "the" pub', "Müßiggang", "x")
RETRACTED, FORGOTTEN = "burglary", "insulin"
SECRETS = (
    *("hush-hush", "ada.l", "client-of-ada.pem", "ada.key", "ca-of-ada.pem", "topic-of-ada"),
    *(DEVICE, HOST, BASE, "lovelace", RETRACTED, FORGOTTEN, *ACTIVITIES[:3]),
)


def journal_line(message: str, who: str = "budge") -> str:
    entry = {"MESSAGE": message, "SYSLOG_IDENTIFIER": who, "__REALTIME_TIMESTAMP": "1764000000123"}
    return json.dumps(entry)


MEND = "I2C is switched off, run `sudo raspi-config nonint do_i2c 0`"
LOG = [
    journal_line("Started budge.service - budge.", "systemd"),
    journal_line("07:02:30  rendezvous         ━━━━━━━━━━━━ 100%  ✓  teaching rendezvous: 1"),
    journal_line('{"v":1,"activity":"insulin","confidence":0.93}'),
    journal_line(f"connected to the broker at {HOST}:1883"),
    journal_line(f"refused: {FORGOTTEN} is not taught: start burglary first"),
    journal_line("learnt 4711 windows anew from the journal"),
    journal_line(f"budge: there is no /dev/i2c-1 and no other I2C bus: {MEND}"),
    journal_line("Traceback (most recent call last):"),
    journal_line('  File "/home/ada/budge/deploy/pipeline.py", line 99, in _see'),
    journal_line("    self._happening.see(insulin)"),
    journal_line('  File "/usr/lib/python3.11/socket.py", line 12, in send'),
    journal_line(f"ValueError: {FORGOTTEN} is not in list"),
    journal_line("budge.service: Main process exited, code=exited, status=1/FAILURE", "systemd"),
    "this is no JSON, insulin",
]


@pytest.fixture(name="bundle")
def _bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is in a bundle of somebody with secrets everywhere."""
    state = teach(tmp_path / "state", *ACTIVITIES)
    with Journal(state / "journal.sqlite") as journal:
        journal.retract(journal.annotate(RETRACTED, START_US, START_US + S, "test"))
    secret = Access(state).add("full", "ada.l's phone")[1]
    settings = Settings(
        device=DEVICE,
        state_dir=str(state),
        outputs=("mqtt", "page"),
        i2c=I2c(bus="emulated"),
        mqtt=Mqtt(
            host=HOST,
            username="ada.l",
            password="hush-hush",  # noqa: S106
            base=BASE,
            tls=True,
            ca="/home/ada/ca-of-ada.pem",
            certificate="client-of-ada.pem",
            key="ada.key",
        ),
        sources={"mqtt": {"topic": "topic-of-ada", "password": "hush-hush", "port": 1884}},
    )
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (tmp_path / "log").write_text("\n".join(LOG))
    (bin_ / "journalctl").write_text(f'#!/bin/sh\ncat "{tmp_path}/log"\n')
    (bin_ / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    case = Case(settings, tmp_path / "budge.toml", root=tmp_path / "root")
    findings = [*examine(case), Finding("x", "bad", f"{DEVICE} said rendezvous", f"ping {HOST}")]
    write(tmp_path / "bundle.zip", case, findings, "0.1.0")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    members["the token"] = secret
    return members


def test_no_secret_no_name_and_no_movement_is_in_it(bundle: dict[str, str]) -> None:
    token = bundle.pop("the token")
    for name, content in bundle.items():
        folded = content.casefold()
        for secret in (*SECRETS, token):
            assert secret.casefold() not in folded, (name, secret)
            assert json.dumps(secret)[1:-1].casefold() not in folded, (name, secret)
        assert "SQLite format" not in content


def test_what_helps_is_in_it(bundle: dict[str, str]) -> None:
    settings = json.loads(bundle["settings.json"])
    left_out = "(left out)"
    assert settings["mqtt"]["password"] == settings["mqtt"]["ca"] == left_out
    assert (settings["mqtt"]["port"], settings["mqtt"]["tls"]) == (1883, True)
    assert settings["sources"]["mqtt"] == {
        "topic": left_out,
        "password": left_out,
        "port": 1884,
    }
    journal = json.loads(bundle["journal.json"])
    assert (journal["version"], journal["rows"], journal["retracted"]) == (1, 1500, 1)
    assert journal["activities"]["activity-1"] == {"stretches": 1, "seconds": 1}
    assert len(journal["activities"]) == 5
    assert "CREATE TABLE annotation" in journal["schema"]
    report = json.loads(bundle["report.json"])
    assert report["checks"][-1]["found"] == "(device) said activity-1"
    assert report["checks"][-1]["mend"] == "ping (left out)"
    assert json.loads(bundle["versions.json"])["numpy"][0].isdigit()


def test_of_the_log_only_our_own_words_are_left(bundle: dict[str, str]) -> None:
    assert [line.partition(" ")[2] for line in bundle["log.txt"].splitlines()] == [
        "Started budge.service - budge.",
        "connected to the broker at …",
        "learnt 4711 windows anew from the journal",
        f"there is no … and no other I2C bus: {MEND}",
        "Traceback",
        "  deploy/pipeline.py, line 99",
        "  socket.py, line 12",
        "ValueError",
        "budge.service: Main process exited, code=exited, status=1/FAILURE",
    ]


def test_settings_that_cannot_be_read_are_quoted_to_nobody(tmp_path: Path) -> None:
    config = tmp_path / "budge.toml"
    config.write_text('[mqtt]\npassword = "hush-hush"\nbase = "home of/ada lovelace"\n')
    with pytest.raises(SettingsError, match="ada lovelace") as trouble:
        read(config)
    case = Case(Settings(state_dir=str(tmp_path)), config, str(trouble.value), tmp_path / "root")
    write(tmp_path / "bundle.zip", case, list(examine(case)), "0.1.0")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        report = archive.read("report.json").decode()

    assert "ada" not in report
    assert "`base` in [mqtt] is (left out), expected up to 128 characters" in report


def test_numbers_stay_and_words_go() -> None:
    assert own_words("learnt 12 windows anew from the journal") == (
        "learnt 12 windows anew from the journal"
    )
    assert own_words("learnt many windows anew from the journal") == (
        "learnt … windows anew from the journal"
    )
    assert own_words("walking") is None
    assert own_words("walking for 12 minutes, as on every day") is None
    assert own_words("MyError: walking") is None


def test_whatever_is_filled_into_any_sentence_of_ours_does_not_get_through() -> None:
    every = [sentence for _, sentence in _sentences()]
    lines = ["".join(p if isinstance(p, str) else "zebra" for p in parts) for parts in every]
    shown = [own_words(line) for line in lines]

    assert len(every) > 500
    assert not [text for text in shown if text is not None and "zebra" in text]
    assert sum(text is None for text in shown) < len(every) / 5  # most are still told


def test_sentences_of_the_source_are_found() -> None:
    source = 'log.info("a %s and %.1f b", x, y)\nraise E(f"c {z} d {n:.0f}")\n'
    word, number = Hole(number=False), Hole(number=True)

    assert {*sentences(source)} == {
        ("a ", word, " and ", number, " b"),
        ("c ", word, " d ", number),
        (".0f",),
    }
