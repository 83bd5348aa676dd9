"""deploy/install on this very Debian, under an overlay: nothing of it is touched."""

import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from mosquitto import Mosquitto
from overlay import INSIDE, MEMORY, Overlay, impossible
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from deploy.settings import read

pytestmark = pytest.mark.timeout(900)  # half a minute; pip on a busy machine takes its time

CHECKOUT = "/root/checkout"
INSTALL = f"{CHECKOUT}/deploy/install"
ACL, PASSWORDS = "/etc/mosquitto/budge.acl", "/etc/mosquitto/budge.passwd"


@pytest.fixture(name="machine", scope="module")
def _machine() -> Iterator[Overlay]:
    why = impossible()
    if why is not None:
        pytest.skip(f"not run: {why}")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield Overlay(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="dry", scope="module")
def _dry(machine: Overlay) -> tuple[str, set[str]]:
    ended = machine.run(f"{INSIDE}/deploy/install --dry-run")
    assert ended.returncode == 0, ended.stdout
    return ended.stdout, machine.files()


@pytest.fixture(name="said", scope="module")
def _said(machine: Overlay, dry: tuple[str, set[str]]) -> str:
    """What the installation said; before it nothing was changed."""
    # A checkout that nobody works on: another content would be another version.
    parts = "pyproject.toml README.md LICENSE deploy firmware_bridge learner"
    machine.run(f"mkdir {CHECKOUT} && cd {INSIDE} && cp -r {parts} {CHECKOUT}")
    ended = machine.run(INSTALL)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(name="secret")
def _secret(machine: Overlay, said: str) -> dict[str, str]:
    """Each role's password."""
    own = read(machine.written("/etc/budge/budge.toml")).mqtt.password or ""
    return {**passwords(said), "budge": own}


def passwords(said: str) -> dict[str, str]:
    """The passwords that were shown, by role."""
    shown = said.partition("shown this once:\n")[2].splitlines()
    return dict(line.split() for line in shown if line.startswith("    "))


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(dry: tuple[str, set[str]]) -> None:
    said, files = dry

    assert not files
    for file in ("/etc/budge/budge.toml", "/etc/mosquitto/conf.d/budge.conf", ACL):
        assert f"would write: {file}" in said
    assert "would make:  /opt/budge/" in said


def test_the_command_is_there(machine: Overlay, said: str) -> None:
    ended = machine.run("budge --help && budge run --help")
    assert ended.returncode == 0, ended.stdout
    assert "A sensor that learns what you call things" in ended.stdout


def test_its_settings_are_valid_and_only_root_may_read_them(machine: Overlay, said: str) -> None:
    path = machine.written("/etc/budge/budge.toml")
    settings = read(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings.mqtt.username == "budge"
    assert settings.mqtt.password
    assert settings.mqtt.password not in said
    assert "console" not in settings.outputs  # each line would be written to the SD card


def test_a_second_time_it_finds_all_as_it_should_be(machine: Overlay, said: str) -> None:
    before = {file: machine.written(file).lstat().st_mtime_ns for file in machine.files()}
    ended = machine.run(INSTALL)

    assert ended.returncode == 0, ended.stdout
    assert "already" in ended.stdout
    assert not passwords(ended.stdout)
    after = {file: machine.written(file).lstat().st_mtime_ns for file in machine.files()}
    changed = {file for file in {*before, *after} if before.get(file) != after.get(file)}
    assert not {file for file in changed if file.startswith(("/etc", "/opt"))}


def test_passwords_are_kept_as_hashes_which_only_the_broker_may_read(
    machine: Overlay, said: str
) -> None:
    path = machine.written(PASSWORDS)
    kept = path.read_text()

    assert set(passwords(said)) == {"phone", "reader"}
    assert sorted(line.partition(":")[0] for line in kept.splitlines()) == [
        "budge",
        "phone",
        "reader",
    ]
    assert all(password not in kept for password in passwords(said).values())
    assert path.owner() == "mosquitto"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Client:
    """One role at the broker; MQTT 5, since only there it says that it refuses something."""

    def __init__(self, port: int, role: str | None, password: str) -> None:
        self.refused: str | None = None
        self.heard: list[str] = []
        self._answers: dict[int, Any] = {}
        self._news = threading.Condition()
        self._ready = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if role is not None:
            client.username_pw_set(role, password)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_publish = self._on_publish
        client.on_message = lambda _c, _d, message: self.heard.append(message.topic)
        client.connect("127.0.0.1", port, keepalive=20)
        client.loop_start()
        self._client = client
        assert self._ready.wait(10)

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _p: Any
    ) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            client.disconnect()
            self._ready.set()
        else:
            client.subscribe("#", options=SubscribeOptions(qos=1, noLocal=True))

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _p: Any) -> None:
        with self._news:
            self._answers[mid] = reason
            self._news.notify_all()

    def may_write(self, topic: str) -> bool:
        mid = self._client.publish(topic, "x", qos=1).mid
        with self._news:
            assert self._news.wait_for(lambda: mid in self._answers, 10)
            return not self._answers[mid].is_failure

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(name="broker")
def _broker(machine: Overlay, said: str, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker on loopback with the very files that were installed."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY))  # where user mosquitto may go
    folder.chmod(0o755)
    for file in (ACL, PASSWORDS):
        copy = Path(shutil.copy(machine.written(file), folder))
        shutil.chown(copy, "mosquitto", "mosquitto")
    broker = Mosquitto(folder)
    installed = machine.written("/etc/mosquitto/conf.d/budge.conf").read_text()
    broker._config.write_text(
        installed.replace("listener 1883", f"listener {broker.port} 127.0.0.1").replace(
            "/etc/mosquitto", str(folder)
        )
    )
    with broker:
        yield broker
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            "budge",
            ["budge/pi/activity", "budge/pi/response/label", "homeassistant/device/pi/config"],
            ["zigbee2mqtt/lamp/set"],
        ),
        (
            "phone",
            [
                *("budge/pi/label/set", "budge/pi/label/undo", "budge/pi/learning/set"),
                *("budge/pi/threshold/set", "budge/pi/request/rebuild", "homeassistant/status"),
            ],
            ["budge/pi/activity", "budge/pi/response/label", "budge/pi/availability"],
        ),
        ("reader", [], ["budge/pi/label/set", "budge/pi/activity", "homeassistant/status"]),
    ],
)
def test_each_role_may_do_what_it_is_for_and_no_more(
    broker: Mosquitto, secret: dict[str, str], role: str, may: list[str], may_not: list[str]
) -> None:
    client = Client(broker.port, role, secret[role])
    listener = Client(broker.port, "reader", secret["reader"])
    try:
        assert [topic for topic in may if not client.may_write(topic)] == []
        assert [topic for topic in may_not if client.may_write(topic)] == []
        assert {topic for topic in listener.heard if not topic.startswith("budge/")} <= {
            "homeassistant/device/pi/config",
            "homeassistant/status",
        }
    finally:
        client.close()
        listener.close()


@pytest.mark.parametrize(("role", "password"), [(None, ""), ("phone", "wrong"), ("other", "x")])
def test_who_has_no_password_is_not_let_in(
    broker: Mosquitto, role: str | None, password: str
) -> None:
    client = Client(broker.port, role, password)
    client.close()

    assert client.refused == "Not authorized"


def test_a_broker_that_somebody_set_up_is_left_alone(machine: Overlay, said: str) -> None:
    ended = machine.run(
        f"rm /etc/mosquitto/conf.d/budge.conf; "
        f"echo 'listener 1884' >/etc/mosquitto/conf.d/mine.conf; {INSTALL} --dry-run"
    )
    machine.run(f"rm /etc/mosquitto/conf.d/mine.conf; {INSTALL}")

    assert ended.returncode == 0, ended.stdout
    assert "mosquitto is set up already, by /etc/mosquitto/conf.d/mine.conf" in ended.stdout
    assert "would write: /etc/mosquitto" not in ended.stdout


def test_the_bus_is_switched_on_in_config_txt_and_a_reboot_asked_for(
    machine: Overlay, said: str
) -> None:
    if Path("/dev/i2c-1").exists():
        pytest.skip("not run: this machine has a bus")
    machine.run("mkdir -p /boot/firmware && echo arm_64bit=1 >/boot/firmware/config.txt")
    first, second = (machine.run(INSTALL) for _ in range(2))

    config = machine.written("/boot/firmware/config.txt").read_text()
    assert config.startswith("arm_64bit=1\n")
    assert config.count("dtparam=i2c_arm=on\n") == 1
    for ended in (first, second):
        assert "To do: Reboot" in ended.stdout
    assert machine.written("/etc/modules-load.d/budge.conf").read_text() == "i2c-dev\n"


def test_buttons_on_the_header_bring_what_reads_them(machine: Overlay, said: str) -> None:
    settings = "/etc/budge/budge.toml"
    machine.run(f"cp -p {settings} {settings}.kept; sed -i '1i inputs = [\"gpio\"]' {settings}")
    first, second = (machine.run(INSTALL).stdout for _ in range(2))
    machine.run(f"mv {settings}.kept {settings}")
    python = "/opt/budge/current/bin/python"
    found = machine.run(
        f"{python} -c 'from importlib.util import find_spec as find;"
        ' print(*(find(name) is not None for name in ("gpiozero", "lgpio")))\''
    )
    devices = machine.written("/etc/systemd/system/budge.service.d/devices.conf").read_text()

    gpiozero, lgpio = found.stdout.split()
    assert gpiozero == "True"
    for ended in (first, second):
        assert ("To do: There is no ready-made lgpio" in ended) == (lgpio == "False"), ended
    assert "DeviceAllow=char-gpiochip rw" in devices


def test_an_unknown_option_and_a_missing_root_are_one_sentence(machine: Overlay) -> None:
    unknown = machine.run(f"{INSTALL} --dryrun")
    nobody = machine.run(f"setpriv --reuid=65534 --clear-groups {INSIDE}/deploy/install")

    assert unknown.stdout == (
        "install: --dryrun is not known, expected --dry-run, --uninstall or nothing\n"
    )
    assert nobody.stdout.startswith("install: this needs root: sudo ./deploy/install")
    assert unknown.returncode == nobody.returncode == 1


def test_uninstalled_all_is_gone_but_the_data_and_the_settings(machine: Overlay, said: str) -> None:
    machine.run("mkdir -p /var/lib/private/budge && echo rows >/var/lib/private/budge/journal")
    ended = machine.run(f"{INSTALL} --uninstall")
    left = machine.run(
        "ls -d /opt/budge /usr/local/bin/budge /etc/systemd/system/budge.service /etc/budge/*"
        " /etc/mosquitto/*/budge* /etc/mosquitto/budge* /var/lib/private/budge/* 2>/dev/null"
    )

    assert ended.returncode == 0, ended.stdout
    assert left.stdout.split() == ["/etc/budge/budge.toml", "/var/lib/private/budge/journal"]
    assert "sudo rm -r /var/lib/private/budge" in ended.stdout
    again = machine.run(f"{INSTALL} --uninstall")
    assert again.returncode == 0, again.stdout
