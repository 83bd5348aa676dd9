"""When the sensor is looked at."""

from threading import Event

import numpy as np

from firmware_bridge.clock import VirtualClock
from firmware_bridge.rows.pace import Pace


def test_looks_are_spread_over_a_period_that_they_are_a_multiple_of() -> None:
    clock = VirtualClock()
    pace = Pace(clock, 0.1, Event())
    phases = []
    for _ in range(100):
        pace.wait(0.01)
        phases.append(clock.now_s() % 0.01 / 0.01)

    seen = np.histogram(phases, bins=10, range=(0, 1))[0]
    assert seen.min() >= 9  # 10 and one more or less, as multiples of the golden section lie


def test_a_look_that_took_long_is_not_made_up_for() -> None:
    clock = VirtualClock()
    pace = Pace(clock, 0.1, Event())
    clock.sleep_s(1.0)
    pace.wait(0.01)
    first_s = clock.now_s()
    pace.wait(0.01)

    assert clock.now_s() - first_s > 0.09


def test_nobody_waits_for_what_is_closed() -> None:
    clock = VirtualClock()
    closed = Event()
    pace = Pace(clock, 0.1, closed)
    pace.put_off(30.0)
    closed.set()
    pace.wait(0.01)

    assert clock.now_s() == 0


def test_a_look_that_was_put_off_comes_so_much_later() -> None:
    clock = VirtualClock()
    pace = Pace(clock, 0.1, Event())
    pace.put_off(30.0)
    pace.wait(0.01)

    assert 30.0 <= clock.now_s() <= 30.01
