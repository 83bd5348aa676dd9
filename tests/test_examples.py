"""Every example is loaded by the program it is for, beside a real budge and a real broker."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from budge import BUDGE, ROOT, Budge
from hat import until
from mosquitto import SEARCH, Mosquitto, free_port
from phone import Phone

from deploy.messages import Activity, Health, Message, Transition, rfc3339

EXAMPLES = ROOT / "deploy" / "examples"


@contextmanager
def running(log: Path, *command: str | Path) -> Iterator[None]:
    """Run a program until we are done with it; what it said is shown when that went wrong."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    except BaseException:
        print(log.read_text())
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def ask(port: int, path: str, data: Any = None, **headers: str) -> Any:
    """Ask a server here over HTTP; None while it is not there or not ready."""
    headers["Accept"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        if data is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["Content-Type"] = "application/json"
            connection.request("POST", path, json.dumps(data), headers)
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    assert answer.status < 300, (answer.status, body)
    return json.loads(body) if body[:1] in (b"{", b"[") else body


@pytest.fixture(name="broker", scope="module")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(name="phone", scope="module")
def _phone(broker: Mosquitto) -> Iterator[Phone]:
    with Phone(broker.port, "pi") as phone:
        yield phone


class Pi:
    """Where the budge of these tests is: `budge run` with an emulated chip."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.page_port = free_port()
        self.config = folder / "budge.toml"
        self.config.write_text(
            f'device = "pi"\nstate_dir = "{folder}/state"\noutputs = ["mqtt", "page"]\n'
            f'[i2c]\nbus = "emulated"\n[mqtt]\nport = {broker.port}\n'
            f'[page]\nhost = "127.0.0.1"\nport = {self.page_port}\n'
        )


@pytest.fixture(name="pi", scope="module")
def _pi(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto, phone: Phone) -> Iterator[Pi]:
    folder = tmp_path_factory.mktemp("pi")
    pi = Pi(folder, broker)
    with Budge(folder, "run", "--config", pi.config):
        phone.wait_for("activity", timeout_s=120)
        yield pi


def test_the_table_names_every_example() -> None:
    table = (EXAMPLES / "README.md").read_text()
    for name in {file.name for file in EXAMPLES.iterdir()} - {"README.md"}:
        assert f"| [{name}]({name}) |" in table


# Node-RED


def node_red() -> list[str]:
    """Return how to run it; BUDGE_NODE_RED is the folder that npm installed it into."""
    if folder := os.environ.get("BUDGE_NODE_RED"):
        return ["node", str(Path(folder) / "node_modules" / "node-red" / "red.js")]
    if command := shutil.which("node-red"):
        return [command]
    pytest.skip("needs Node-RED: npm install node-red@4, and its folder in BUDGE_NODE_RED")


def test_the_node_red_flow_teaches_and_switches_a_lamp(
    tmp_path: Path, broker: Mosquitto, phone: Phone, pi: Pi
) -> None:
    command, port, log = node_red(), free_port(), tmp_path / "log"
    flow = json.loads((EXAMPLES / "node-red.json").read_text())
    (broker_node,) = [node for node in flow if node["type"] == "mqtt-broker"]
    broker_node |= {"broker": "127.0.0.1", "port": str(broker.port)}
    (lamp_node,) = [node for node in flow if node["id"] == "budge_lamp"]
    lamp_node["topic"] = "budge/lamp/set"  # where a Phone listens
    (tmp_path / "settings.js").write_text(
        f'module.exports = {{uiHost: "127.0.0.1", uiPort: {port}, telemetry: {{enabled: false}}}}'
    )
    with (
        Phone(broker.port, "lamp") as lamp,
        running(log, *command, "--userDir", tmp_path, "--settings", tmp_path / "settings.js"),
    ):
        until(lambda: "Started flows" in log.read_text(), "Node-RED is there")
        ask(port, "/flows", flow, **{"Node-RED-API-Version": "v1"})
        until(lambda: "Connected to broker" in log.read_text(), "the flow is connected")
        known = {kind for nodes in ask(port, "/nodes") for kind in nodes["types"]}
        assert {node["type"] for node in flow} <= known | {"tab"}
        assert ask(port, "/flows") == flow

        ask(port, "/inject/budge_teach", {})
        phone.wait_for("label", lambda m: m["label"] == "walking" and m["windows"] >= 3)
        assert phone.of("taught")[-1]["undo"]["origin"] == "mqtt"
        ask(port, "/inject/budge_teach", {})
        phone.wait_for("response/label", lambda m: m["data"].get("action") == "stopped")
        assert lamp.wait_for("set") == {"state": "ON"}

        before = len(phone.messages)
        ask(port, "/inject/budge_last", {})
        phone.wait_for("response/label", lambda m: m["data"]["action"] == "taught", after=before)
        ask(port, "/inject/budge_back", {})
        phone.wait_for("response/label", lambda m: m["data"]["action"] == "undone", after=before)

    assert {m["status"] for m in phone.of("response/label")} == {"ok"}
    assert "[error]" not in log.read_text()


# Prometheus


def test_prometheus_takes_the_configuration_and_reads_a_real_budge(tmp_path: Path, pi: Pi) -> None:
    command = shutil.which("prometheus", path=SEARCH)
    if command is None:
        pytest.skip("needs Prometheus: sudo apt-get install prometheus")
    checked = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", EXAMPLES / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr

    paired = subprocess.run(
        [BUDGE, "pair", "--config", pi.config, "--name", "prometheus", "--read-only", "--json"],
        capture_output=True,
        check=True,
    )
    (tmp_path / "budge.token").write_text(json.loads(paired.stdout)["token"] + "\n")
    text = (EXAMPLES / "prometheus.yml").read_text()
    for shown, here in [
        ("/etc/prometheus/budge.token", str(tmp_path / "budge.token")),
        ("pi.local:8080", f"127.0.0.1:{pi.page_port}"),
        ("15s", "1s"),
    ]:
        assert shown in text
        text = text.replace(shown, here)
    (tmp_path / "prometheus.yml").write_text(text)
    port = free_port()

    def result(query: str) -> list[Any]:
        answer = ask(port, f"/api/v1/query?query={query}")
        return answer["data"]["result"] if answer else []

    with running(
        tmp_path / "log",
        command,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ):
        until(lambda: result("budge_info"), "budge has been read")
        (info,), (up,) = result("budge_info"), result("up")
        happening = result("sum(budge_activity)")

    assert info["metric"]["device"] == "pi"
    assert info["metric"]["job"] == "budge"
    assert up["value"][1] == happening[0]["value"][1] == "1"


# Telegraf

STAMP = rfc3339(1_795_600_000_250_000)
SENT: dict[str, Message] = {
    "activity": Activity(
        activity="walking", confidence=0.93, since=STAMP, ts=STAMP, novelty=0.1, probabilities={}
    ),
    "transition": Transition(
        id="1", event_type="started", activity="walking", start=STAMP, end=None, duration_s=None
    ),
    "health": Health(
        problem=False,
        state="connected",
        since=STAMP,
        cause=None,
        rate_hz=119.0,
        gaps=0,
        errors=0,
        lost=0,
        waiting=0,
        uptime_s=60.0,
        memory_mb=None,
        temperature_c=None,
    ),
}
TYPES = {"string": str, "float": float, "int": int, "bool": bool}


def telegraf_inputs() -> dict[str, Any]:
    config = tomllib.loads((EXAMPLES / "telegraf.conf").read_text())
    assert config.keys() == {"inputs"}
    return {one["topics"][0].split("/")[2]: one for one in config["inputs"]["mqtt_consumer"]}


@pytest.mark.parametrize("topic", SENT)
def test_telegraf_asks_for_fields_that_are_there_and_of_their_type(topic: str) -> None:
    one = telegraf_inputs()[topic]
    (parser,) = one["json_v2"]
    (levels,) = one["topic_parsing"]
    kinds = {field.name: field.type for field in msgspec.structs.fields(type(SENT[topic]))}

    assert one["topics"] == [levels["topic"]] == [f"budge/+/{topic}"]
    assert levels["tags"] == "_/device/_"
    assert parser["measurement_name"] == f"budge_{topic}"
    for field in parser["field"]:
        assert kinds[field["path"]] in (TYPES[field["type"]], TYPES[field["type"]] | None)
    if "timestamp_path" in parser:  # never null, and in the layout that Go writes RFC 3339 in
        assert kinds[parser["timestamp_path"]] is str
        assert datetime.fromisoformat(parser["timestamp_format"].removesuffix("07:00"))


def test_telegraf_is_told_of_all_that_it_is_there_for() -> None:
    assert telegraf_inputs().keys() == SENT.keys()


def test_telegraf_writes_points(tmp_path: Path, broker: Mosquitto) -> None:
    command = shutil.which("telegraf")
    if command is None:
        pytest.skip("needs Telegraf, which Debian does not have")
    text = (EXAMPLES / "telegraf.conf").read_text().replace("localhost:1883", broker.address)
    config, log = tmp_path / "telegraf.conf", tmp_path / "log"
    config.write_text(text + '[agent]\nflush_interval = "1s"\n[[outputs.file]]\n')
    with Phone(broker.port, "washer") as phone, running(log, command, "--config", config):
        for topic, message in SENT.items():

            def heard(topic: str = topic, message: Message = message) -> bool:
                phone.press(msgspec.json.encode(message), topic)
                return f"budge_{topic},device=washer" in log.read_text()

            until(heard, f"a point of {topic} is written")
