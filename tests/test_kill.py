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

from deploy.messages import rfc3339
from learner import Recognizer
from learner.journal import Journal
from learner.lessons import Teacher

DAY = ROOT / "data_samples" / "mixed_day.csv.gz"
SHORT = ROOT / "data_samples" / "quarter_turn.csv"
KILLS = 24
COMMANDS = 144
SEED = 20261124


@pytest.fixture(name="broker", scope="module")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


class Told(NamedTuple):
    """What a phone did: taught a stretch of the recording, or took the last one back."""

    activity: str | None  # None: undo
    start_s: float = 0.0
    end_s: float = 0.0


def day_of_presses(rng: random.Random) -> list[Told]:
    """Stretches that overlap and correct each other, and now and then an undo."""
    told: list[Told] = []
    standing = 0  # not yet taken back
    while len(told) < COMMANDS:
        if standing and rng.random() < 0.2:
            told.append(Told(None))
            standing -= 1
        else:
            start = rng.uniform(0, 500)
            activity = rng.choice(["walking", "resting", "stairs", "cycling"])
            told.append(Told(activity, start, start + rng.uniform(6, 100)))
            standing += 1
    return told


def after(told: list[Told]) -> list[str]:
    """Activities that stand, in the order they were said."""
    standing: list[str] = []
    for one in told:
        if one.activity is None:
            standing.pop()
        else:
            standing.append(one.activity)
    return standing


class Hand:
    """Presses for one device over all its lives; times are of the first life's recording."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.zero_s: float | None = None

    def press(self, number: int, one: Told) -> None:
        if one.activity is None:
            self.phone.press({"transaction": str(number)}, "label/undo")
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
        answers = self.phone.of("response/label")
        assert all(answer["status"] == "ok" for answer in answers), answers
        return {int(answer["transaction"]) for answer in answers}


def _taught(windows: int, label: Any) -> bool:
    return bool(label["windows"] >= windows)


def start(folder: Path, broker: Mosquitto, device: str, file: Path) -> Budge:
    return Budge(
        folder,
        *("replay", file, "--speed", "max", "--stay", "--windows", "--device", device),
        *("--broker", broker.address, "--state-dir", folder / "state"),
    )


def standing(folder: Path) -> list[str]:
    with Journal(folder / "state" / "journal.sqlite") as journal:
        return [said.activity for said in journal.annotations]


def uninterrupted(folder: Path, broker: Mosquitto, told: list[Told]) -> list[str]:
    """The model's digest after each command of a life without an accident."""
    folder.mkdir()
    digests = []
    with Phone(broker.port, "calm") as phone, start(folder, broker, "calm", DAY) as budge:
        hand = Hand(phone)
        digests.append(phone.wait_for("info")["model"])
        for number, one in enumerate(told):
            hand.press(number, one)
            phone.answer(str(number))
            digests.append(phone.of("info")[-1]["model"])  # it goes out before the answer
        assert budge.end() == 0
    assert standing(folder) == after(told)
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
                    phone.answer(str(COMMANDS - 1))
                    assert budge.end() == 0
                else:
                    # In the middle: some are answered, others wait or are being learnt.
                    phone.answer(str(rng.randrange(known, (known + upto + 1) // 2)))
                    time.sleep(rng.uniform(0, 0.02))
                    budge.kill()
                    phone.wait_for("availability", lambda m: m == "offline", after=heard)
            acknowledged = hand.answered()
            there = standing(folder)
            found = [n for n in range(known, upto + 1) if after(told[:n]) == there]
            # One that was on its way may be on the disk without its answer; none may be missing.
            fits = [n for n in found if acknowledged <= set(range(n))]
            assert fits, f"life {life}: acknowledged {sorted(acknowledged)}, on the disk {there}"
            in_the_middle += known < fits[0] < upto
            known = fits[0]

    assert known == COMMANDS
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
