"""kill -9 at any moment of teaching: what was acknowledged is there, and the model is the same."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from budge import ROOT, Budge
from mosquitto import Mosquitto
from phone import Phone, seconds

from deploy.messages import RESPONSES, rfc3339
from learner import Recognizer
from learner.journal import Journal
from learner.lessons import Teacher

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"
SHORT = ROOT / "data_samples" / "quarter_turn.csv"
KILLS = 24
COMMANDS = 144
SEED = 20261124
NAMES = ["walking", "resting", "stairs", "cycling"]
HUSHED = "rendezvous"  # taught now and then, and forgotten
COMMAND = {
    "teach": "label/set",
    "undo": "label/undo",
    "rename": "request/rename",
    "forget": "request/forget",
}
ANSWERS = {kind.topic for kind in RESPONSES.values()}


@pytest.fixture(name="broker", scope="module")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


class Told(NamedTuple):
    """What a phone did: taught a stretch of the recording, renamed one, forgot one, or undid."""

    what: str  # teach, undo, rename, forget
    activity: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    to: str = ""


Standing = list[tuple[str, float]]  # activities that stand in the order they were said; seconds


def day_of_presses(rng: random.Random) -> list[Told]:
    """Stretches that overlap and correct each other, and now and then something else.

    What is to be forgotten has minutes of its own, one after the other: its rows go with it.
    """
    told: list[Told] = []
    hushed_s = 450.0
    while len(told) < COMMANDS - 2:
        chance, names = rng.random(), [activity for activity, _ in after(told)]
        old = rng.choice(names) if names else ""
        new = rng.choice(NAMES)
        if names and chance < 0.2:
            told.append(Told("undo"))
        elif names and chance < 0.3 and old not in (new, HUSHED):
            told.append(Told("rename", old, to=new))
        elif HUSHED in names and chance < 0.6:
            told.append(Told("forget", HUSHED))
        elif chance > 0.9 and hushed_s < 590.0:
            told.append(Told("teach", HUSHED, hushed_s, hushed_s + 6.0))
            hushed_s += 6.0
        else:
            start_s = rng.uniform(0, 350)
            told.append(Told("teach", new, start_s, start_s + rng.uniform(6, 100)))
    return [*told, Told("teach", HUSHED, 592.0, 598.0), Told("forget", HUSHED)]


def after(told: list[Told]) -> Standing:
    """What stands after these."""
    standing: Standing = []
    for one in told:
        match one.what:
            case "teach":
                standing.append((one.activity, one.end_s - one.start_s))
            case "undo":
                standing.pop()
            case "rename":
                standing = [(one.to if a == one.activity else a, s) for a, s in standing]
            case "forget":
                standing = [(a, s) for a, s in standing if a != one.activity]
    return standing


def same(one: Standing, other: Standing) -> bool:
    """Times are told in milliseconds."""
    return len(one) == len(other) and all(
        a == b and abs(s - t) < 0.005 for (a, s), (b, t) in zip(one, other, strict=True)
    )


class Hand:
    """Presses for one device over all its lives; times are of the first life's recording."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.zero_s: float | None = None

    def press(self, number: int, one: Told) -> None:
        if one.what != "teach":
            payload = {
                "undo": {},
                "rename": {"from": one.activity, "to": one.to},
                "forget": {"activity": one.activity},
            }[one.what]
            self.phone.press({**payload, "transaction": str(number)}, COMMAND[one.what])
            return
        if self.zero_s is None:
            window = self.phone.wait_for("window", lambda m: m["end_s"] > 599)
            self.zero_s = seconds(window["ts"]) - window["end_s"]
        self.phone.press(
            {
                "activity": one.activity,
                "start": rfc3339(round((self.zero_s + one.start_s) * 1e6)),
                "end": rfc3339(round((self.zero_s + one.end_s) * 1e6)),
                "transaction": str(number),
            }
        )

    def answered(self) -> set[int]:
        """Commands that were acknowledged."""
        answers = [answer for topic in ANSWERS for answer in self.phone.of(topic)]
        assert all(answer["status"] == "ok" for answer in answers), answers
        return {int(answer["transaction"]) for answer in answers}

    def wait(self, number: int, one: Told) -> None:
        """Wait for the answer to a command."""
        topic = RESPONSES[COMMAND[one.what]].topic
        self.phone.wait_for(topic, lambda answer: answer["transaction"] == str(number))


def _taught(windows: int, label: Any) -> bool:
    return bool(label["windows"] >= windows)


def start(folder: Path, broker: Mosquitto, device: str, file: Path) -> Budge:
    return Budge(
        folder,
        *("replay", file, "--speed", "max", "--stay", "--windows", "--device", device),
        *("--broker", broker.address, "--state-dir", folder / "state"),
    )


def standing(folder: Path) -> Standing:
    with Journal(folder / "state" / "journal.sqlite") as journal:
        return [
            (said.activity, ((said.end_us or 0) - said.start_us) / 1e6)
            for said in journal.annotations
        ]


def uninterrupted(folder: Path, broker: Mosquitto, told: list[Told]) -> list[str]:
    """The model's digest after each command of a life without an accident."""
    folder.mkdir()
    digests = []
    with Phone(broker.port, "calm") as phone, start(folder, broker, "calm", DAY) as budge:
        hand = Hand(phone)
        digests.append(phone.wait_for("info")["model"])
        for number, one in enumerate(told):
            hand.press(number, one)
            hand.wait(number, one)
            digests.append(phone.of("info")[-1]["model"])  # it goes out before the answer
        assert budge.end() == 0
    assert same(standing(folder), after(told))
    return digests


def test_kill_9_at_any_moment_loses_no_acknowledged_label_and_not_a_bit_of_the_model(
    tmp_path: Path, broker: Mosquitto
) -> None:
    rng = random.Random(SEED)
    told = day_of_presses(rng)
    digests = uninterrupted(tmp_path / "calm", broker, told)

    folder = tmp_path / "killed"
    folder.mkdir()
    known = 0  # commands whose effect is on the disk
    in_the_middle = 0
    with Phone(broker.port, "killed") as phone:
        hand = Hand(phone)
        for life in range(KILLS + 1):
            heard = len(phone.messages)
            with start(folder, broker, "killed", DAY if life == 0 else SHORT) as budge:
                phone.wait_for("availability", lambda m: m == "online", after=heard)
                info = phone.wait_for("info", after=heard)
                assert info["model"] == digests[known], f"life {life}: not the same bits"
                if life == KILLS:
                    upto = COMMANDS
                else:
                    upto = min(known + rng.randint(6, 12), COMMANDS - (KILLS - life))
                for number in range(known, upto):  # without waiting for answers
                    hand.press(number, told[number])
                if life == KILLS:
                    hand.wait(COMMANDS - 1, told[-1])
                    assert budge.end() == 0
                else:
                    # In the middle: some are answered, others wait or are being learnt.
                    answered = rng.randrange(known, (known + upto + 1) // 2)
                    hand.wait(answered, told[answered])
                    time.sleep(rng.uniform(0, 0.02))
                    budge.kill()
                    phone.wait_for("availability", lambda m: m == "offline", after=heard)
            acknowledged = hand.answered()
            there = standing(folder)
            found = [n for n in range(known, upto + 1) if same(after(told[:n]), there)]
            # One that was on its way may be on the disk without its answer; none may be missing.
            fits = [n for n in found if acknowledged <= set(range(n))]
            assert fits, f"life {life}: acknowledged {sorted(acknowledged)}, on the disk {there}"
            in_the_middle += known < fits[0] < upto
            known = fits[0]

    assert known == COMMANDS
    assert HUSHED.encode() not in (folder / "state" / "journal.sqlite").read_bytes()
    assert phone.of("info")[-1]["model"] == digests[-1]
    assert in_the_middle >= KILLS / 4, "the kills must hit the teaching, not the pauses"


def test_kill_9_while_the_button_is_down_keeps_the_stretch_up_to_there(
    tmp_path: Path, broker: Mosquitto
) -> None:
    rng = random.Random(SEED)
    for life in range(4):
        folder = tmp_path / str(life)
        folder.mkdir()
        device = f"down{life}"
        with Phone(broker.port, device) as phone:
            with Budge(
                folder,
                *("replay", DAY, "--speed", "20", "--device", device),
                *("--broker", broker.address, "--state-dir", folder / "state"),
            ) as budge:
                phone.wait_for("availability", lambda m: m == "online")
                phone.press({"activity": "resting", "transaction": "1"})
                phone.wait_for("response/label", lambda m: m["status"] == "ok")
                taught = phone.wait_for("label", partial(_taught, 2 + life))
                time.sleep(rng.uniform(0, 0.3))
                budge.kill()
                phone.wait_for("availability", lambda m: m == "offline")  # behind all it said
            heard = len(phone.messages)
            with start(folder, broker, device, SHORT) as budge:
                info = phone.wait_for("info", after=heard)
                label = phone.wait_for("label", after=heard)
                assert budge.end() == 0
                assert "was cut off when budge stopped" in budge.log

        assert label["label"] == "not labelling"
        assert info["activities"]["resting"] >= taught["windows"]
        with Journal(folder / "state" / "journal.sqlite") as journal:
            (said,) = journal.annotations
            assert said.end_us is not None
            anew = Recognizer(rate_hz=50.0, n_channels=6, window_s=2.56)
            Teacher(journal, anew, hop=64, guard_us=1_000_000).rebuild()
        assert info["model"] == anew.digest()
