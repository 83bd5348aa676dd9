"""Somebody who lives with a budge and has bad luck, as fast as the machine allows."""

import errno
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import paho.mqtt.client as paho
from mosquitto import Mosquitto
from paho.mqtt.enums import CallbackAPIVersion
from rig import Diary
from soak_ledger import Ledger

from deploy.messages import Label, Message, Response
from deploy.output import Command
from deploy.outputs.mqtt import Output as MqttOutput
from firmware_bridge.buses.emulated import EmulatedBus
from firmware_bridge.clock import VirtualClock

NAMES = ("resting", "walking", "stairs", "running", "cycling")
MOST_STANDING = 20  # stretches, before an activity is forgotten: else what is taught fills the disk
TAUGHT_S = (10.0, 60.0)  # how long a stretch is
FORGOTTEN = 0.1  # of the stops, which come with whatever is done next
WAITING = 8  # chunks, which are 2.8 s: the sensor's time waits for the line
ANSWER_S, ANSWERS = 5.0, 12  # how long an answer is waited for, and how often it is asked for
CLOCK_WRONG_S = 400 * 86400.0  # at most
CHANCES = {
    "teach": 45,
    "forgotten stop": 3,
    "stop": 12,
    "switch": 8,
    "toggle": 6,
    "span": 12,
    "undo": 6,
    "rename": 2,
    "forget": 1,
    "threshold": 2,
    "no learning": 2,
    "rebuild": 1,
    "unplug": 2,
    "bus error": 3,
    "dead sensor": 1,
    "broker killed": 2,
    "broker away": 1,
    "clock jump": 2,
    "restart": 2,
}


class SoakClock(Diary):
    """Virtual time that waits for the line to have looked at what the sensor gave."""

    def __init__(self) -> None:
        super().__init__()
        self.line: Any = None  # the pipeline that must keep up; None between two lives
        self.wrong_s = 0.0  # the wall clock, for want of a better one
        self.ended = threading.Event()  # of that life

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        self.appointments.append((time_s, action))

    def pass_by(self, seconds: float) -> None:
        """Let time pass in which nothing happens."""
        VirtualClock.sleep_s(self, seconds)

    def sleep_s(self, seconds: float) -> None:
        if self.line is None:  # nobody is there to whom anything could happen
            self.pass_by(seconds)
            return
        super().sleep_s(seconds)
        while self.line._inbox.waiting >= WAITING and not self.ended.is_set():
            time.sleep(0.001)


class Phone:
    """Presses by MQTT; hears the answers, and keeps none."""

    def __init__(self, port: int, root: str) -> None:
        self._root = root
        self.answers: SimpleQueue[str | None] = SimpleQueue()  # their transactions
        self.there = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(root + "response/#", 1)
        self._client.on_subscribe = lambda *_: self.there.set()
        self._client.on_disconnect = lambda *_: self.there.clear()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.answers.put(json.loads(message.payload)["transaction"])

    def press(self, topic: str, payload: bytes) -> None:
        self._client.publish(self._root + topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()  # else they are closed when garbage is collected, and warn


@dataclass
class Sensor:
    """A chip that stays while services come and go."""

    twin: Any
    bus: EmulatedBus

    @property
    def address(self) -> int:
        return next(iter(self.bus._chips))


class Owner:
    """An output that presses at random, and to whom things happen: in the sensor's time.

    What it does it does while the clock sleeps, on the reader's thread: time stands still until
    the answer is there.
    """

    def __init__(
        self,
        clock: SoakClock,
        sensor: Sensor,
        broker: Mosquitto,
        phone: Phone,
        *,
        seed: int,
        every_s: float,
        ledger: Ledger,
    ) -> None:
        """`every_s`: between two things that happen, on average."""
        self._clock = clock
        self._sensor = sensor
        self._broker = broker
        self._phone = phone
        self._rng = random.Random(seed)
        self._every_s = every_s
        self.mqtt: MqttOutput  # of this life
        self.ledger = ledger
        self.happened: Counter[str] = Counter()
        self.by_mqtt = 0
        self.restarting = False  # this life ends so that another begins
        self.ended = False
        self._plugged = self._broker_there = True
        self._asked = 0
        self._command: Command | None = None
        self._first = self._rng.sample(list(CHANCES), len(CHANCES))
        self._later(self._happen)

    def live(self, mqtt: MqttOutput) -> None:
        """Begin another life."""
        self.mqtt = mqtt
        self.restarting = False
        self.ledger.restarted()
        self._clock.ended.clear()

    def end(self) -> None:
        """End the last life."""
        self.ended = True
        self._clock.ended.set()

    def died(self) -> None:
        """Clear up after a life."""
        self.mqtt._client._reset_sockets()  # as of the phone

    # -- as an output ----------------------------------------------------------------------------

    def start(self, command: Command) -> None:
        self._command = command
        self._clock.line = command.func.__self__  # type: ignore[attr-defined]

    def send(self, message: Message) -> None:
        if isinstance(message, Response):
            self.ledger.take(message, self._clock.line._timeline.wall_offset_us())
        elif isinstance(message, Label):
            self.ledger.ended(message, self._clock.line._timeline.wall_offset_us())

    def close(self) -> None:
        self._clock.line = None

    # -- what happens ----------------------------------------------------------------------------

    def _later(self, action: Callable[[], None]) -> None:
        self._clock.at(self._clock.now_s() + self._rng.expovariate(1 / self._every_s), action)

    def _happen(self) -> None:
        self._later(self._happen)
        if self._clock.ended.is_set():
            return
        if self._first:  # each once, then by chance
            kind = self._first.pop()
        else:
            kind = self._rng.choices(list(CHANCES), list(CHANCES.values()))[0]
        self.happened[kind] += 1
        getattr(self, "_" + kind.replace(" ", "_"))()

    def _ask(self, topic: str, **payload: Any) -> None:
        self._asked += 1
        transaction = str(self._asked)
        data = msgspec.json.encode({**payload, "transaction": transaction})
        by_mqtt = self.mqtt._connected.is_set() and self._phone.there.is_set()
        answers = self._phone.answers if by_mqtt else SimpleQueue()
        self.by_mqtt += by_mqtt
        for _ in range(ANSWERS):
            if by_mqtt:
                self._phone.press(topic, data)
            else:
                assert self._command is not None
                self._command(topic, data, lambda response: answers.put(response.transaction))
            try:
                while answers.get(timeout=ANSWER_S) != transaction:
                    pass
            except Empty:  # the broker did not know yet that budge listens
                continue
            return
        raise AssertionError(f"no answer to {topic} {data!r} {'by MQTT' * by_mqtt}")

    def _teach(self) -> None:
        self._forgotten_stop()
        if self._rng.random() >= FORGOTTEN:
            self._clock.at(self._clock.now_s() + self._rng.uniform(*TAUGHT_S), self._stop)

    def _forgotten_stop(self) -> None:
        if len(self.ledger.standing) >= MOST_STANDING:
            self._forget()
        if self.ledger.open is None:
            self._ask("label/set", activity=self._rng.choice(NAMES))

    def _stop(self) -> None:
        if self.ledger.open is not None and not self._clock.ended.is_set():
            self._ask("label/set", activity="stop")

    def _switch(self) -> None:
        if self.ledger.open is not None:
            self._ask("label/set", activity=self._rng.choice(NAMES))

    def _toggle(self) -> None:
        self._ask("label/set", toggle=self._rng.choice(NAMES))

    def _span(self) -> None:
        if self.ledger.open is None:
            seconds = self._rng.uniform(5, 120)
            self._ask("label/set", activity=self._rng.choice(NAMES), last_s=seconds)

    def _undo(self) -> None:
        self._ask("label/undo")

    def _rename(self) -> None:
        old, new = self._rng.sample(NAMES, 2)
        self._ask("request/rename", **{"from": old, "to": new})

    def _forget(self) -> None:
        self._stop()  # what is being taught cannot be forgotten
        if self.ledger.standing:
            self._ask("request/forget", activity=self.ledger.standing[0].activity)

    def _threshold(self) -> None:
        self._ask("threshold/set", threshold_percent=self._rng.randint(0, 60))

    def _no_learning(self) -> None:
        self._ask("learning/set", learning=False)
        self._later(self._learning_again)

    def _learning_again(self) -> None:
        if self._clock.ended.is_set():  # nobody listens: it is as for the next life
            self._later(self._learning_again)
        else:
            self._ask("learning/set", learning=True)

    def _rebuild(self) -> None:
        self._ask("request/rebuild")

    def _unplug(self) -> None:
        if self._plugged:
            self._plugged = False
            self._sensor.bus.unplug(self._sensor.address)
            self._later(self._plug)

    def _plug(self) -> None:
        self._plugged = True
        self._sensor.bus.plug(self._sensor.address)

    def _bus_error(self) -> None:
        self._sensor.bus.fail(
            self._rng.choice((errno.EREMOTEIO, errno.ETIMEDOUT)), self._rng.randint(1, 20)
        )

    def _dead_sensor(self) -> None:
        self._sensor.twin.stuck = True
        self._later(self._revive)

    def _revive(self) -> None:
        self._sensor.twin.stuck = False

    def _broker_killed(self) -> None:
        process = self._broker._process
        if process is not None:
            process.kill()
            process.wait(10)
            self._broker.start()

    def _broker_away(self) -> None:
        if self._broker_there:
            self._broker_there = False
            self._broker.stop()
            self._later(self._broker_back)

    def _broker_back(self) -> None:
        self._broker_there = True
        self._broker.start()

    def _clock_jump(self) -> None:
        right = self._rng.random() < 0.5
        self._clock.wrong_s = 0.0 if right else self._rng.uniform(-CLOCK_WRONG_S, CLOCK_WRONG_S)

    def _restart(self) -> None:
        if self._plugged:  # without a sensor it would not begin
            self.restarting = True
            self._clock.ended.set()
