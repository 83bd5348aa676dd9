"""`budge doctor`: each thing that can be wrong is found, and what mends it is said."""

import http.server
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from budge import BUDGE, Budge
from journals import teach
from mosquitto import SEARCH, Mosquitto, free_port
from paho.mqtt.enums import CallbackAPIVersion
from patient import case, command, found, put
from phone import Phone

from deploy.doctor import CHECKS, Case, Finding, examine, exit_code
from deploy.messages import Health
from deploy.page.access import Access
from deploy.service import locked
from deploy.settings import I2c, Learning, Mqtt, Page

WELL = Health(
    problem=False,
    state="connected",
    since="2026-11-24T08:00:00.000Z",
    cause=None,
    rate_hz=118.7,
    gaps=2,
    errors=3,
    lost=4,
    waiting=0,
    uptime_s=200_000.0,
    memory_mb=171.0,
    temperature_c=None,
)


# -- the whole of it -----------------------------------------------------------------------------


def budge(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_on_a_machine_with_nothing_every_check_says_so_and_none_fails(tmp_path: Path) -> None:
    nothing = case(tmp_path, outputs=("mqtt", "page"), i2c=I2c(), mqtt=Mqtt(port=free_port()))
    findings = list(examine(nothing))

    assert {"broker", "running", "systemd", "bus", "clock", "memory", "heat"} <= {
        finding.name for finding in findings
    }
    assert not [one for one in findings if "could not be looked at" in one.found]
    assert all(one.mend for one in findings if one.level == "bad")
    assert exit_code(findings) == 1


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Case) -> Iterator[Finding]:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("deploy.checks.clock.check", broken)
    by_name = {finding.name: finding for finding in examine(case(tmp_path))}

    assert by_name["clock"].found == "could not be looked at (ZeroDivisionError: by zero)"
    assert "Python" in by_name


def test_of_a_budge_that_is_well_all_is_good_and_it_goes_on_undisturbed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Phone(broker.port, "pi") as phone:
        config = tmp_path / "budge.toml"
        config.write_text(
            f'device = "pi"\nstate_dir = "{tmp_path}/state"\noutputs = ["mqtt", "page"]\n'
            f'[i2c]\nbus = "emulated"\n[mqtt]\nport = {broker.port}\n'
            f'[page]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        )
        with Budge(tmp_path, "run", "--config", config) as pi:
            phone.wait_for("health", lambda m: m["state"] == "connected", timeout_s=120)
            Access(tmp_path / "state").add("full")
            shown = budge("doctor", "--config", config)
            told = budge("doctor", "--config", config, "--json")
            assert pi.running()
            assert pi.end() == 0
        assert not [m for m in phone.of("health") if m["gaps"]]
    report = json.loads(told.stdout)
    levels = {one["name"]: one["level"] for one in report["checks"]}
    good = ("settings", "broker", "running", "sensor", "storage", "journal", "page", "paired")
    assert {levels[name] for name in good} == {"good"}, shown.stdout
    assert report.keys() == {"v", "budge", "exit", "checks"}
    assert report["checks"][0].keys() == {"name", "level", "found", "mend"}
    assert report["exit"] == told.returncode == shown.returncode
    assert "the running budge says: connected" in shown.stdout


def test_the_screen_shows_what_mends_it_on_a_line_to_copy(tmp_path: Path) -> None:
    config = tmp_path / "budge.toml"
    config.write_text(f'outputs = []\nstate_dir = "{tmp_path}/state"\n[i2c]\nbus = 77\n')
    shown = budge("doctor", "--config", config)

    assert shown.returncode == 1
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert "mend: sudo raspi-config nonint do_i2c 0" in lines
    assert lines[-1].startswith("1 bad, ")
    assert "\x1b" not in shown.stdout
    assert budge("doctor", "--nonsense").returncode == 2


# -- settings ------------------------------------------------------------------------------------


def test_a_typo_in_the_settings_is_named_and_the_rest_is_looked_at_all_the_same(
    tmp_path: Path,
) -> None:
    config = tmp_path / "budge.toml"
    config.write_text("[mqtt]\nhots = 'x'\n")
    report = json.loads(budge("doctor", "--config", config, "--json").stdout)

    first = report["checks"][0]
    assert first["level"] == "bad"
    assert "unknown key `hots` in [mqtt]: did you mean `host`?" in first["found"]
    assert first["mend"] == f"sudo nano {config}"
    assert len(report["checks"]) > len(CHECKS)


def test_names_that_are_not_known_and_files_that_are_not_there_are_found(tmp_path: Path) -> None:
    wrong = case(
        tmp_path, outputs=("mqqt",), inputs=("key",), learning=Learning(starter="/nowhere/x.model")
    )
    wrong.config.touch()
    sentences = [f.found for f in examine(wrong) if f.name == "settings"]

    assert sentences[0].startswith("output 'mqqt' is not known, expected one of console, mqtt")
    assert sentences[1] == "input 'key' is not known, expected one of gpio, keys"
    assert sentences[2] == "`starter` in [learning] is '/nowhere/x.model', where there is no file"


def test_a_password_that_everybody_can_read_is_worth_a_look(tmp_path: Path) -> None:
    careless = case(tmp_path, mqtt=Mqtt(username="pi", password="hush"))  # noqa: S106
    careless.config.touch(0o644)
    assert found("settings", careless)["password"].mend == f"sudo chmod o-r {careless.config}"
    careless.config.chmod(0o640)
    assert "password" not in found("settings", careless)


# -- the broker ----------------------------------------------------------------------------------


class Guarded(Mosquitto):
    """A broker that asks for a password, and lets `pi` do what `acl` says."""

    def __init__(self, folder: Path, acl: str) -> None:
        super().__init__(folder)
        (folder / "acl").write_text(f"user pi\n{acl}\n")
        (folder / "acl").chmod(0o700)
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", folder / "passwd", "pi", "right"],
            check=True,
            env={"PATH": SEARCH},
        )
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {folder}/passwd\nacl_file {folder}/acl\n"
        )


@pytest.mark.parametrize(
    ("acl", "password", "words", "mend"),
    [
        ("topic readwrite budge/#", "right", "a message goes there and back in", None),
        ("topic readwrite budge/#", "wrong", "refused us: ", "username and password in [mqtt]"),
        ("topic write budge/#", "right", "did not come back", "topic readwrite budge/pi/#"),
    ],
)
def test_the_broker_lets_us_in_or_it_is_said_why_not(
    acl: str, password: str, words: str, mend: str | None, tmp_path: Path
) -> None:
    with Guarded(tmp_path, acl) as broker:
        mqtt = Mqtt(port=broker.port, username="pi", password=password)
        finding = found("broker", case(tmp_path, outputs=("mqtt",), mqtt=mqtt))["broker"]

    assert finding.level == ("bad" if mend else "good")
    assert words in finding.found
    assert (mend or "") in (finding.mend or "")


def test_where_no_broker_listens_it_is_said_what_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = case(tmp_path, outputs=("mqtt",), mqtt=Mqtt(port=free_port()))
    finding = found("broker", alone)["broker"]
    assert (finding.level, "Connection refused" in finding.found) == ("bad", True)
    assert finding.mend is not None
    assert finding.mend.startswith("sudo systemctl restart mosquitto")

    elsewhere = case(tmp_path, outputs=("mqtt",), mqtt=Mqtt(host="127.9.9.9", port=free_port()))
    mend = found("broker", elsewhere)["broker"].mend
    assert mend == "host and port in [mqtt]; `ping 127.9.9.9` says whether it is on"


def test_who_wants_no_broker_is_not_told_of_one(tmp_path: Path) -> None:
    assert found("broker", case(tmp_path))["broker"].level == "none"


# -- the service ---------------------------------------------------------------------------------


def publish(port: int, health: Health) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    payload = msgspec.json.encode(health)
    client.publish("budge/pi/health", payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_what_a_running_budge_says_of_its_sensor_is_passed_on(tmp_path: Path) -> None:
    gap = msgspec.structs.replace(WELL, problem=True, state="gap", cause="unplugged", waiting=50)
    with Mosquitto(tmp_path) as broker, locked(tmp_path / "state"):
        for health in (WELL, gap):
            publish(broker.port, health)
            running = case(tmp_path, outputs=("mqtt",), mqtt=Mqtt(port=broker.port))
            by_name = {finding.name: finding for finding in examine(running)}
            assert by_name["running"].found == "up 2 days, 171 MB of memory, as it last told"
            assert by_name["sensor"].level == ("bad" if health.problem else "good")
            said = by_name["sensor"].found
            assert "118.7 Hz, 2 gaps, 3 errors, 4 readings lost" in said
            assert ("unplugged" in said) == health.problem
            assert ("pace" in by_name) == (health.waiting > 10)


def test_a_sensor_that_a_running_budge_reads_is_left_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "state"):
        running = case(tmp_path, i2c=I2c(bus=1))
        put(running, "dev/i2c-1")
        by_name = found("sensor", running)

    assert by_name["bus"].level == "good"
    assert by_name["sensor"].found == "left alone: a budge may be reading it"


UNIT = "LoadState={}\nActiveState={}\nSubState={}\nUnitFileState={}\nNRestarts={}\nResult={}\n"


@pytest.mark.parametrize(
    ("states", "level", "words"),
    [
        (("not-found", "inactive", "dead", "", 0, "success"), "note", "budge is no service here"),
        (("loaded", "active", "running", "enabled", 0, "success"), "good", "started at boot"),
        (("loaded", "active", "running", "disabled", 0, "success"), "note", "not started at boot"),
        (("loaded", "active", "running", "enabled", 7, "success"), "note", "restarted 7 times"),
        (("loaded", "failed", "failed", "enabled", 1, "exit-code"), "bad", "failed (exit-code)"),
        (("loaded", "activating", "auto-restart", "enabled", 9, ""), "bad", "again and again"),
    ],
)
def test_what_systemd_knows_of_the_service_is_read(
    states: tuple[object, ...],
    level: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command(monkeypatch, tmp_path, "systemctl", UNIT.format(*states))
    booted = case(tmp_path)
    put(booted, "run/systemd/system/x")
    finding = found("service", booted)["systemd"]

    assert (finding.level, words in finding.found) == (level, True), finding


def test_a_service_that_is_installed_and_does_not_run_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(
        monkeypatch,
        tmp_path,
        "systemctl",
        UNIT.format("loaded", "inactive", "dead", "enabled", 0, ""),
    )
    booted = case(tmp_path)
    put(booted, "run/systemd/system/x")
    finding = found("service", booted)["running"]
    assert (finding.level, finding.mend) == ("bad", "sudo systemctl start budge")


@contextmanager
def serving(page: bytes) -> Iterator[int]:
    """Serve one page on a port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_who_has_the_port_of_the_page_is_found_out(tmp_path: Path) -> None:
    def page(port: int) -> Finding:
        return found("service", case(tmp_path, outputs=("page",), page=Page(port=port)))["page"]

    assert page(free_port()).level == "good"
    with serving(b"<title>something else</title>") as port:
        assert page(port).found == f"another program has port {port}"
    with locked(tmp_path / "state"):
        assert page(free_port()).found.startswith("nothing answers on port")
        with serving(b"<title>budge</title>") as port:
            assert page(port).found == f"http://{socket.gethostname()}.local:{port}/"


def test_it_is_said_whether_anybody_is_paired(tmp_path: Path) -> None:
    paged = case(tmp_path, outputs=("page",), page=Page(port=free_port()))
    assert found("service", paged)["paired"].mend == "budge pair"
    teach(tmp_path / "state")
    Access(tmp_path / "state").add("full")
    Access(tmp_path / "state").add("read")
    assert found("service", paged)["paired"].found == "2 with the page, 1 may only look"
