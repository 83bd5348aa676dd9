"""A real Home Assistant without a browser, on loopback, at a broker.

It is not a package that this project can install (it wants its own Python): name its command with
BUDGE_HOME_ASSISTANT, as in BUDGE_HOME_ASSISTANT=/srv/homeassistant/bin/hass.
"""

import http.client
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import pytest
from mosquitto import free_port

COMMAND = "BUDGE_HOME_ASSISTANT"
# The first start may install what its integrations want.
START_S = 240.0

CONFIGURATION = """
homeassistant:
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
onboarding:
automation: !include automations.yaml
script: !include scripts.yaml
"""


def installed() -> list[str]:
    """Return its command, or skip the test."""
    if COMMAND not in os.environ:
        pytest.skip(f"needs a real Home Assistant: set {COMMAND} to its command hass")
    return shlex.split(os.environ[COMMAND])


def _first(field: dict[str, Any]) -> Any:
    """Return what a browser shows of a field without a default."""
    options = field["selector"].get("select", {}).get("options", [False])
    return options[0]["value"] if isinstance(options[0], dict) else options[0]


class HomeAssistant:
    """One process, set up as its owner would do it with the mouse."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._command = installed()
        self.folder = folder / "home-assistant"
        self.folder.mkdir()
        self._port = free_port()
        self._broker_port = broker_port
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self._port))
        for name in ("automations", "scripts"):
            (self.folder / f"{name}.yaml").write_text("")

    @property
    def log(self) -> str:
        """What it has said so far; its warnings name what it does not take."""
        return (self.folder / "out.log").read_text()

    def start(self) -> None:
        with (self.folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(
                [*self._command, "-c", str(self.folder), "--log-no-color"], stdout=out, stderr=out
            )
        self._wait(lambda: self._post("GET", "/api/onboarding")[0] == 200, START_S)
        if not self._token:
            self._set_up()
        self._wait(lambda: self.get("/api/config")["state"] == "RUNNING", START_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _set_up(self) -> None:
        client = f"http://127.0.0.1:{self._port}/"
        owner = {"name": "Ada", "username": "ada", "password": "lovelace", "language": "en"}
        code = self.post("/api/onboarding/users", {"client_id": client, **owner})["auth_code"]
        form = {"client_id": client, "grant_type": "authorization_code", "code": code}
        self._token = self._post("POST", "/auth/token", urlencode(form))[1]["access_token"]
        flow = "/api/config/config_entries/flow"
        begun = self.post(flow, {"handler": "mqtt", "show_advanced_options": False})
        # What the form holds already is sent back, as a browser does it.
        fields: dict[str, Any] = {"broker": "127.0.0.1", "port": self._broker_port}
        for field in begun["data_schema"]:
            inner = field["schema"] if field.get("type") == "expandable" else [field]
            held = {f["name"]: f.get("default", _first(f)) for f in inner if f["required"]}
            fields = (held if inner == [field] else {field["name"]: held}) | fields
        done = self.post(f"{flow}/{begun['flow_id']}", fields)
        assert done["type"] == "create_entry", done

    def get(self, path: str) -> Any:
        return self._post("GET", path)[1]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        status, answer = self._post("POST", path, json.dumps(body))
        assert status < 300, answer
        return answer

    def call(self, service: str, entity: str = "", **data: Any) -> None:
        if entity:
            data["entity_id"] = entity
        self.post(f"/api/services/{service}", data)

    def tap(self, question: dict[str, Any], title: str, **more: str) -> None:
        """Answer a notification, as the app on a phone does it."""
        (action,) = [a["action"] for a in question["data"]["actions"] if a["title"] == title]
        self.post("/api/events/mobile_app_notification_action", {"action": action, **more})

    def states(self) -> dict[str, dict[str, Any]]:
        """Return every entity by its id."""
        return {state["entity_id"]: state for state in self.get("/api/states")}

    def wait_for(
        self, entity: str, that: Callable[[dict[str, Any]], bool], timeout_s: float = 30.0
    ) -> dict[str, Any]:
        """Return the entity when it is as wanted."""
        self._wait(lambda: that(self.states().get(entity, {"state": None})), timeout_s)
        return self.states().get(entity, {"state": None})

    def _wait(self, that: Callable[[], bool], timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        while not that():
            assert time.monotonic() < end_s, "it never came"
            assert self._process is not None
            assert self._process.poll() is None, self.log
            time.sleep(0.2)

    def _post(self, verb: str, path: str, body: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        kind = "json" if body is None or body.startswith("{") else "x-www-form-urlencoded"
        headers = {"Content-Type": f"application/{kind}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(verb, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except OSError:
            return 0, None  # not there yet
        finally:
            connection.close()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            print(self.log)
