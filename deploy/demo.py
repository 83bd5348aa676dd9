"""The whole line without hardware: a simulated wearer, an emulated chip, a thumb on the button.

wearer -> emulated LSM9DS1 -> emulated bus -> driver -> … -> broker -> you
   |                                                           ^
   +------ thumb: what I do now (the first time round) --------+
"""

import shutil
import threading
from contextlib import ExitStack
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from deploy.broker import embedded_broker
from deploy.connection import Client
from deploy.lines import say
from deploy.output import Output
from deploy.pairing import drawn, invite
from deploy.score import Output as Score
from deploy.sensing import open_emulated
from deploy.service import open_outputs, serve, warm_up
from deploy.settings import Settings
from firmware_bridge.clock import MonotonicClock
from firmware_bridge.wearer import FIRST_ROUND_S, Wearer, demo_plan

ACTIVITIES = ("resting", "walking", "stairs", "running")
LATE_S = 1.0  # a thumb is late, by about this
PATIENCE_S = 8.0
HINTS = """
{who}

Try in a second terminal, in this folder:

  hear it          {subscribe} -t 'budge/{device}/#'
  teach it         {button} walking
  that was it      {button} --stop
  take it back     {button} --undo

Ctrl-C ends it. On the right: what the wearer really does.
"""
WITH_THUMB = """\
budge knows nothing yet. For the first {seconds:.0f} s the simulated wearer presses the
button, for {activities}; then budge is on its own."""
WITHOUT_THUMB = """\
budge knows nothing yet, and nobody presses the button but you. The simulated
wearer does {activities}, 15 to 45 s each, over and over."""


class Thumb(threading.Thread):
    """Presses the button for each activity of the first round, over MQTT, as a phone would."""

    def __init__(self, settings: Settings, plan: list[tuple[str, float]], start_s: float) -> None:
        super().__init__(name="budge-thumb", daemon=True)
        self._settings = settings
        self._plan = plan
        self._start_s = start_s
        self._end = threading.Event()

    def run(self) -> None:
        client = Client(self._settings.mqtt)
        client.begin()
        topic = f"{self._settings.mqtt.base}/{self._settings.device}/label/set"
        clock, begins_s = MonotonicClock(), self._start_s
        patient_s = self._start_s + PATIENCE_S  # a slow machine is still connecting
        while not client.is_connected() and clock.now_s() < patient_s:
            self._end.wait(0.05)
        for activity, seconds in [*self._plan, ("stop", 0.0)]:
            # Late for the start; and a little before the end, not to be taught what comes next.
            press_s = begins_s + LATE_S if activity != "stop" else begins_s - LATE_S
            if self._end.wait(max(0.0, press_s - clock.now_s())):
                break
            if client.is_connected():  # heard later, it would be a press of another moment
                client.publish(topic, activity, qos=1)
            begins_s += seconds
        client.disconnect()
        client.loop_stop()

    def end(self) -> None:
        self._end.set()


def run_demo(
    settings: Settings, *, own_port: int | None, manual: bool, seconds: float | None, seed: int
) -> Score:
    """Run the demo for `seconds` or until Ctrl-C; returns how often it was right.

    `own_port`: with a broker of its own on 127.0.0.1, at this port if that is free; None: with the
    settings' broker.
    """
    with ExitStack() as stack:
        if own_port is not None:
            port = stack.enter_context(embedded_broker(own_port))
            mqtt = replace(settings.mqtt, host="127.0.0.1", port=port, protocol="3.1.1")
            settings = replace(settings, mqtt=mqtt)  # that broker knows no MQTT 5
        if settings.state_dir is None:  # a demo begins knowing nothing
            folder = stack.enter_context(TemporaryDirectory(prefix="budge-demo-"))
            settings = replace(settings, state_dir=folder)
        warm_up(settings)

        clock = MonotonicClock()
        plan, start_s = demo_plan(seed, ACTIVITIES), clock.now_s()
        wearer = Wearer(plan, seed, start_s=start_s)
        source = open_emulated(settings, stack, wearer, clock)
        score = Score(source.truth)
        outputs: list[Output] = [*open_outputs(settings, source.truth), score]
        if not settings.console.json:
            say(_hints(settings, embedded=own_port is not None, manual=manual))
            if "page" in settings.outputs:
                invitation = invite(settings)
                say(drawn(invitation))
                here = f"http://localhost:{settings.page.port}/#token={invitation.token}"
                say(f"In a browser on this machine: {here}\n")
        if not manual:
            thumb = Thumb(settings, plan[: len(ACTIVITIES)], start_s)
            stack.callback(thumb.end)
            thumb.start()
        stop = threading.Event()
        if seconds is not None:
            timer = threading.Timer(seconds, stop.set)
            timer.daemon = True
            timer.start()
        serve(settings, source, outputs, stop=stop)
    return score


def _hints(settings: Settings, *, embedded: bool, manual: bool) -> str:
    mqtt = settings.mqtt
    broker = f"{mqtt.host}:{mqtt.port}"
    subscribe = f"mosquitto_sub -v -h {mqtt.host} -p {mqtt.port}"
    if embedded and shutil.which("mosquitto_sub") is None:
        subscribe = f".venv/bin/amqtt_sub --url mqtt://{broker}"  # came with the demo's broker
    who = WITHOUT_THUMB if manual else WITH_THUMB
    return HINTS.format(
        who=who.format(seconds=FIRST_ROUND_S * len(ACTIVITIES), activities=", ".join(ACTIVITIES)),
        button=f".venv/bin/budge label --broker {broker} --device {settings.device}",
        device=settings.device,
        subscribe=subscribe,
    )
