"""The command line: help with an example, mistakes as one sentence, recordings that play again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from budge import BUDGE, Budge
from mosquitto import Mosquitto, free_port
from phone import Phone

from deploy.cli import main
from firmware_bridge.recordings.files import read

COMMANDS = (
    *("demo", "run", "probe", "replay", "label", "record", "evaluate", "import", "pool"),
    *("activities list", "activities rename", "activities merge", "activities forget"),
    *("bench sensing", "bench learning"),
    *("pair", "backup", "restore", "purge", "doctor", "upgrade"),
)


def budge(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = budge(*command.split(), "--help")

    assert shown.returncode == 0
    assert "Example" in shown.stdout
    assert f"budge {command}" in shown.stdout


def test_help_keeps_the_brackets_that_a_terminal_s_markup_would_eat() -> None:
    assert "./deploy/venv '.[bench]'" in budge("bench", "learning", "--help").stdout


def test_help_waits_for_no_compiler() -> None:
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, deploy.cli; print({'numba', 'numpy', 'amqtt', 'paho'} & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert seen.stdout == "set()\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("time_s,ax,ay\n0,1,2\n", "bad.csv, line 1: "),
        ("time_s,ax,ay,az\n0,1,2,3\n0.02,1,nan,3\n", "bad.csv, line 3: "),
        ("time_s,ax,ay,az\n0,1,2,3\n0.02,1,up,3\n", "bad.csv, line 3: "),
        ("time_s,ax,ay,az\n0,1,2,3\n0.02,1,2,3\n0.01,1,2,3\n", "bad.csv, line 4: "),
    ],
)
def test_a_bad_recording_is_one_sentence_with_file_and_line(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "bad.csv").write_text(content)
    ended = budge("replay", "bad.csv", "--state-dir", "state", folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"budge: {sentence}"), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "expected" in ended.stderr


def test_a_missing_recording_is_one_sentence() -> None:
    ended = budge("replay", "nowhere.csv")

    assert ended.returncode == 1
    assert ended.stderr == ("budge: nowhere.csv: there is no such file or folder: check the name\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_read_the_settings_is_told_the_line_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "budge.toml"
    file.touch(0o600)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    typed = [str(BUDGE), "label", "spin cycle", "--config"]
    monkeypatch.setattr(sys, "argv", [*typed, "/nowhere.toml"])
    with pytest.raises(SystemExit):
        main()  # what it imports may be root's alone
    monkeypatch.setattr(sys, "argv", [*typed, str(file)])
    capfd.readouterr()
    os.seteuid(65534)
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        os.seteuid(0)
    line = f"sudo {BUDGE} label 'spin cycle' --config {file}"
    assert capfd.readouterr().err == (
        f"budge: {file} cannot be read (Permission denied): try `{line}`\n"
    )


def test_without_a_broker_a_label_says_what_to_check() -> None:
    ended = budge("label", "walking", "--broker", f"127.0.0.1:{free_port()}")

    assert ended.returncode == 1
    assert "no broker at 127.0.0.1:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_budge_a_label_says_what_to_check(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        ended = budge("label", "walking", "--broker", broker.address, "--device", "nobody")

    assert ended.returncode == 1
    assert "no budge answered on budge/nobody/" in ended.stderr


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    ended = budge("replay", "x.csv", "--speed", speed)

    assert ended.returncode == 2
    assert "is not a speed" in ended.stderr


@pytest.mark.parametrize(
    "command", [("record", "x.csv", "--seconds"), ("demo", "--seconds")], ids=["record", "demo"]
)
@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(
    tmp_path: Path, command: tuple[str, ...], seconds: str
) -> None:
    ended = budge(*command, seconds, folder=tmp_path)

    assert ended.returncode == 2
    assert "is not a time" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    ended = budge("demo", "--port", port)

    assert ended.returncode == 2
    assert "--port" in ended.stderr


def test_a_folder_is_no_recording_and_that_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").mkdir()
    ended = budge("replay", "walk.csv", "--state-dir", "state", folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr == "budge: walk.csv: Is a directory\n"


def test_a_recording_shorter_than_a_window_is_told_so(tmp_path: Path) -> None:
    rows = "".join(f"{k / 50:.2f},0,0,9.8\n" for k in range(127))  # a window has 128
    (tmp_path / "short.csv").write_text("time_s,ax,ay,az\n" + rows)
    ended = budge("replay", "short.csv", "--state-dir", "state", folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "budge: short.csv: its longest run lasts 2.54 s, expected at least a window of 2.56 s: "
    )
    assert ended.stderr.count("\n") == 1


def test_a_walk_is_not_recorded_over_another(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text("hours of work")
    ended = budge("record", "walk.csv", folder=tmp_path)

    assert ended.returncode == 2
    assert "is there already" in ended.stderr
    assert (tmp_path / "walk.csv").read_text() == "hours of work"


def test_a_sample_is_made_again_over_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "rest.csv").write_text("old")
    made = budge("record", "--wearer", "rest", "rest.csv", folder=tmp_path)

    assert made.returncode == 0
    assert read(tmp_path / "rest.csv").rows > 0


def test_run_without_a_bus_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "budge.toml").write_text("[i2c]\nbus = 250\n")
    ended = budge("run", "--config", "budge.toml", "--state-dir", "state", folder=tmp_path)

    assert ended.returncode == 1
    assert "/dev/i2c-250" in ended.stderr
    assert "raspi-config" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_run_reads_the_emulated_chip_that_the_settings_name(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        (tmp_path / "budge.toml").write_text(
            'device = "pi"\noutputs = ["mqtt"]\nstate_dir = "state"\n'
            '[i2c]\nbus = "emulated"\n'
            f"[mqtt]\nport = {broker.port}\nwindow = true\n"
        )
        with Budge(tmp_path, "run", "--config", "budge.toml") as service:
            window = phone.wait_for("window")
            assert service.end() == 0

    assert window["activity"] == "unsure"
    assert (tmp_path / "state" / "journal.sqlite").exists()


def test_a_hang_up_of_systemd_s_reads_the_settings_anew_and_bad_ones_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    settings = tmp_path / "budge.toml"
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        good = (
            'device = "pi"\noutputs = ["mqtt"]\nstate_dir = "state"\n'
            f'[i2c]\nbus = "emulated"\n[mqtt]\nport = {broker.port}\nwindow = true\n[window]\n'
        )
        settings.write_text(good)
        with Budge(tmp_path, "run", "--config", "budge.toml") as service:
            first = phone.wait_for("info")
            phone.wait_for("window")
            settings.write_text("hop = 1\n")
            before = len(phone.messages)
            service.hang_up()
            again = phone.wait_for("info", lambda info: info["started"] != first["started"])
            phone.wait_for("window", after=before)
            settings.write_text(good + "hop_s = 0.64\n")
            service.hang_up()
            assert phone.wait_for("info", lambda info: info["hop_s"] < 1.0)
            assert service.end() == 0

    assert again["hop_s"] == first["hop_s"]
    assert "going on with the settings as they were" in service.log


def test_what_was_recorded_plays_again(tmp_path: Path) -> None:
    (tmp_path / "budge.toml").write_text('[i2c]\nbus = "emulated"\n')
    made = budge(
        *("record", "still.csv.gz", "--seconds", "4", "--activity", "sitting"),
        *("--config", "budge.toml"),
        folder=tmp_path,
    )
    recording = read(tmp_path / "still.csv.gz")

    assert made.stdout == "still.csv.gz: 200 rows, 4.0 s\n"
    assert (recording.rows, recording.n_channels, recording.activities) == (200, 6, ("sitting",))
    assert recording.rate_hz == pytest.approx(50.0)
    played = budge(
        *("replay", "still.csv.gz", "--speed", "max", "--state-dir", "state"), folder=tmp_path
    )
    assert played.returncode == 0
    assert "right in 0 of 2 labelled windows (0.0%)" in played.stdout


def test_record_refuses_a_name_it_cannot_write(tmp_path: Path) -> None:
    ended = budge("record", "walk.txt", folder=tmp_path)

    assert ended.returncode == 2
    assert "must end in .csv or .csv.gz" in ended.stderr
