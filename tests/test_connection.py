"""How a broker is reached: protocols, websockets, TLS, and a thread that neither dies nor hangs."""

import logging
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as paho
import pytest
from brokers import StrictBroker, authority, configured, made_by, with_tls, with_websockets
from mosquitto import Mosquitto, free_port
from msgspec.structs import replace
from outlet import eventually, no_socket_left, running

from deploy import connection
from deploy.broker import embedded_broker
from deploy.client import NoAnswerError, connected
from deploy.connection import Client
from deploy.outputs.mqtt import Output
from deploy.settings import Mqtt, Settings, SettingsError

# paho leaves a socket to Python where a handshake fails.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)
Protocol = Literal["3.1.1", "5"]
BOTH: list[Protocol] = ["3.1.1", "5"]


def settings(port: int, **more: Any) -> Settings:
    return Settings(device="test", mqtt=Mqtt(port=port, **more))


def let_in(chosen: Settings) -> bool:
    with running(chosen) as output:
        return output._connected.wait(10)


@pytest.mark.parametrize("protocol", BOTH)
def test_it_speaks_the_protocol_that_is_set(tmp_path: Path, protocol: Protocol) -> None:
    with Mosquitto(tmp_path) as broker, running(settings(broker.port, protocol=protocol)) as output:
        assert output._connected.wait(10)
        assert output._client.protocol == {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}[protocol]


@pytest.mark.parametrize("protocol", BOTH)
def test_it_speaks_through_websockets(tmp_path: Path, protocol: Protocol) -> None:
    broker, port = with_websockets(tmp_path)
    with broker:
        assert let_in(settings(port, transport="websockets", protocol=protocol))


def test_a_broker_that_knows_no_mqtt_5_is_told_with_the_setting_that_helps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with StrictBroker(level=4) as broker, running(settings(broker.port)):
        eventually(lambda: bool(caplog.messages))
        time.sleep(1.5)  # a second try
    told = (
        f"the broker at 127.0.0.1:{broker.port} refused us: Unsupported protocol version,"
        ' it knows no MQTT 5: set protocol = "3.1.1" in [mqtt]'
    )

    assert caplog.messages == [told]


def test_the_demos_broker_is_spoken_to_as_it_can() -> None:
    with embedded_broker(0) as port:
        assert let_in(settings(port, protocol="3.1.1"))


def test_the_command_line_speaks_3_1_1_where_a_broker_knows_no_5() -> None:
    with embedded_broker(0) as port, connected(settings(port)) as client:
        assert client.protocol == paho.MQTTv311


@pytest.mark.parametrize("websockets", [False, True])
@pytest.mark.parametrize("protocol", BOTH)
def test_it_speaks_tls_with_a_broker_whose_authority_it_knows(
    tmp_path: Path, protocol: Protocol, websockets: bool
) -> None:
    ca = authority(tmp_path)
    broker, port = with_tls(tmp_path, websockets=websockets)
    transport = "websockets" if websockets else "tcp"
    with broker:
        assert let_in(settings(port, tls=True, ca=str(ca), protocol=protocol, transport=transport))


def test_a_broker_of_a_stranger_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority(tmp_path)
    (tmp_path / "other").mkdir()
    other = authority(tmp_path / "other")
    broker, port = with_tls(tmp_path)
    with broker:
        chosen = settings(port, tls=True, ca=str(other))
        with running(chosen) as output:
            eventually(lambda: bool(caplog.messages))
            assert not output._connected.is_set()
        with pytest.raises(NoAnswerError, match=r"broker at .* is not trusted"):
            connected(chosen).__enter__()
    told = (
        f"the certificate of the broker at 127.0.0.1:{port} is not trusted (self-signed"
        " certificate in certificate chain): see ca in [mqtt]: going on without it, trying again"
    )

    assert caplog.messages == [told]


def test_a_broker_of_another_name_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = authority(tmp_path)
    broker, port = with_tls(tmp_path)
    made_by(tmp_path, "broker", "127.0.0.2")
    with broker, running(settings(port, tls=True, ca=str(ca))):
        eventually(lambda: bool(caplog.messages))

    assert "IP address mismatch" in caplog.text


def test_a_broker_that_wants_a_certificate_gets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = authority(tmp_path)
    made_by(tmp_path, "pi")
    broker, port = with_tls(tmp_path, certificates=True)
    chosen = settings(port, tls=True, ca=str(ca))
    shown = replace(chosen.mqtt, certificate=str(tmp_path / "pi.crt"), key=str(tmp_path / "pi.key"))
    with broker:
        assert let_in(replace(chosen, mqtt=shown))
        with running(chosen) as output:
            eventually(lambda: bool(caplog.messages))
            assert not output._connected.is_set()
    told = (
        f"the broker at 127.0.0.1:{port} hung up before it greeted us: see in [mqtt] whether it"
        " wants tls, a certificate, websockets, or protocol 3.1.1"
    )

    assert caplog.messages == [told]


def test_tls_with_a_broker_that_has_none_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker, running(settings(broker.port, tls=True)):
        eventually(lambda: bool(caplog.messages))

    assert f"the broker at {broker.address} hung up before it greeted us: see" in caplog.text


def test_websockets_with_a_broker_that_has_none_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker, running(settings(broker.port, transport="websockets")):
        eventually(lambda: bool(caplog.messages))

    assert caplog.messages[0].startswith(f"no websocket at {broker.address}/mqtt (")
    assert "see transport and path in [mqtt]" in caplog.messages[0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ca": "/none"}, r"`ca` in \[mqtt\] is used with tls = true alone"),
        ({"tls": True, "ca": "/none"}, "`ca` in .* is '/none', which cannot be read: No such file"),
        ({"tls": True, "ca": __file__}, r"`ca` in .*, expected certificates as PEM"),
        ({"tls": True, "key": __file__}, r"`key` in \[mqtt\] needs its `certificate`"),
        (
            {"tls": True, "certificate": __file__},
            "`certificate` and `key` in .* are no pair of PEM",
        ),
    ],
)
def test_what_cannot_be_used_for_tls_is_an_error_that_names_it(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Client(Mqtt(**given))


def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    made, locked = tmp_path / "pi.key", tmp_path / "locked.key"
    authority(tmp_path)
    made_by(tmp_path, "pi")
    command = ("openssl", "pkcs8", "-topk8", "-passout", "pass:x", "-in", made, "-out", locked)
    subprocess.run(command, check=True, capture_output=True)
    chosen = Mqtt(tls=True, certificate=str(tmp_path / "pi.crt"), key=str(locked))

    with pytest.raises(SettingsError, match="no pair of PEM files without a password"):
        Client(chosen)


# -- the thread ----------------------------------------------------------------------------------


def test_an_error_in_the_thread_does_not_end_the_connection_for_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(tmp_path) as broker, running(settings(broker.port)) as output:
        assert output._connected.wait(10)
        mend = output._client.on_round

        def stumble() -> None:
            output._client.on_round = mend
            raise ZeroDivisionError("a mistake")

        output._client.on_round = stumble
        eventually(lambda: output._client.on_round is mend)
        eventually(lambda: caplog.text.count("beginning anew") == 1)
        with connected(settings(broker.port)) as phone:
            heard = threading.Event()
            phone.on_message = lambda *_: heard.set()
            phone.subscribe("budge/test/transition", qos=1)
            output._outbox.put("budge/test/transition", b"{}")
            assert heard.wait(10)

        assert output.alive


def test_a_host_that_is_none_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with running(settings(1883, host="a..b")) as output:
        eventually(lambda: bool(caplog.messages))
        time.sleep(1.5)  # a second try

        assert output.alive
    sentence = "no broker at a..b:1883 ('a..b' is no name of a computer)"
    assert caplog.messages == [f"{sentence}: going on without it, trying again"]


def test_a_thread_that_hangs_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ALIVE_S", 2.5)  # paho goes round once a second
    held, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> bool:
        held.set()
        return go_on.wait(30)

    with Mosquitto(tmp_path) as broker, connected(settings(broker.port)) as phone:
        output = Output(settings(broker.port), None)
        output.start(hang)
        assert output._connected.wait(10)
        time.sleep(3)
        assert output.alive  # with nothing to do

        phone.publish("budge/test/label/set", "walking", qos=1)
        assert held.wait(10)
        eventually(lambda: not output.alive, 4)
        go_on.set()
        eventually(lambda: output.alive)
        output.close()


def test_a_thread_that_finds_no_broker_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ALIVE_S", 6.0)  # a try every 5 s at the least
    with running(settings(free_port())) as output:
        for _ in range(16):
            time.sleep(0.5)
            assert output.alive


# -- what must arrive ----------------------------------------------------------------------------


def test_a_broker_is_never_sent_more_than_it_takes_at_once() -> None:
    with StrictBroker(receive_maximum=3) as broker, running(settings(broker.port)) as output:
        output._outbox.put("first", b"")
        for number in range(30):
            output._outbox.put(f"m{number}", b"")
        eventually(lambda: "m29" in broker.topics)

    assert broker.most == 3
    wanted = ["first", *(f"m{number}" for number in range(30))]
    assert [topic for topic in broker.topics if topic in wanted] == wanted


@pytest.mark.parametrize("protocol", BOTH)
def test_what_was_said_while_the_broker_was_away_arrives_in_order_up_to_a_limit(
    tmp_path: Path, protocol: Protocol
) -> None:
    broker = configured(tmp_path, "allow_anonymous true", "max_inflight_messages 5")
    heard: list[int] = []
    with running(settings(broker.port, protocol=protocol)) as output:
        taken = [output._outbox.put("test/n", str(number).encode()) for number in range(1200)]
        with broker, connected(settings(broker.port)) as phone:
            phone.on_message = lambda _c, _d, message: heard.append(int(message.payload))
            phone.subscribe("test/n", qos=1)
            eventually(lambda: 999 in heard, 20)
            time.sleep(0.5)

    assert taken == [True] * 1000 + [False] * 200
    assert heard == list(range(1000))


def test_a_connection_that_has_ended_leaves_no_socket(tmp_path: Path) -> None:
    with no_socket_left():
        with Mosquitto(tmp_path) as broker:
            with running(settings(broker.port)) as output:
                assert output._connected.wait(10)
            with connected(settings(broker.port)) as client:
                assert client.is_connected()
        with running(settings(broker.port)):
            pass  # nobody is there


def test_no_connection_goes_on_with_an_older_session() -> None:
    with StrictBroker() as broker, running(settings(broker.port)) as output:
        assert output._connected.wait(10)
        output._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        eventually(lambda: len(broker.clean) == 2)

    assert broker.clean == [True, True]


def test_what_a_broker_forbids_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "acl").write_text("topic read #\n")
    broker = configured(tmp_path, "allow_anonymous true", f"acl_file {tmp_path / 'acl'}")
    with broker, running(settings(broker.port)) as output:
        output._outbox.put("budge/test/transition", b"{}")
        eventually(lambda: "does not take" in caplog.text)

    assert (
        f"the broker at {broker.address} does not take what we say (Not authorized):"
        " let the user write to budge/test/#" in caplog.messages
    )
