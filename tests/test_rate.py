"""The chip's clock, learnt from counts and the host's clock."""

from collections.abc import Iterator
from math import floor

import numpy as np
import pytest

from firmware_bridge.rows.rate import Rate

NOMINAL_HZ = 119.0
BEGAN_S = 5000.0  # host time of sample 0


def asked(
    true_hz: float,
    seconds: float,
    *,
    jitter_s: float = 0.005,
    seed: int = 0,
    began_s: float = BEGAN_S,
    drain_s: float = 0.1,
) -> Iterator[tuple[int, float, float]]:
    """Counts of a chip, each with the host's idea of when it was asked: off by `jitter_s` rms."""
    rng = np.random.default_rng(seed)
    for k in range(1, floor(seconds / drain_s) + 1):
        moment_s = k * drain_s + rng.uniform(0, 1 / true_hz)
        told_s = began_s + moment_s + jitter_s * rng.standard_normal()
        yield floor(moment_s * true_hz) + 1, told_s - 0.0003, told_s + 0.0003


def fed(rate: Rate, pairs: Iterator[tuple[int, float, float]]) -> Rate:
    for total, before_s, after_s in pairs:
        rate.observe(total, before_s, after_s)
    return rate


@pytest.mark.parametrize("error", [-0.2, -0.05, 0.0, 0.05, 0.2])
def test_the_rate_is_good_to_a_tenth_of_a_percent_after_a_minute(error: float) -> None:
    true_hz = NOMINAL_HZ * (1 + error)

    rate = fed(Rate(NOMINAL_HZ), asked(true_hz, 60))

    assert rate.rate_hz == pytest.approx(true_hz, rel=1e-3)
    assert rate.doubt < 1e-3


@pytest.mark.parametrize("error", [-0.2, 0.05])
def test_the_moment_of_a_sample_is_known_far_better_than_one_pair_tells_it(error: float) -> None:
    true_hz = NOMINAL_HZ * (1 + error)

    rate = fed(Rate(NOMINAL_HZ), asked(true_hz, 60))

    # 5.5 ms a pair, of which some 150 weigh in at the line's end: 2 * 5.5 / sqrt(150) = 0.9 ms.
    for n in (40 * true_hz, 60 * true_hz):
        assert rate.time_of(n) == pytest.approx(BEGAN_S + n / true_hz, abs=0.003)  # three sigma
        assert rate.sample_at(rate.time_of(n)) == pytest.approx(n)


def test_its_doubt_is_honest() -> None:
    true_hz = NOMINAL_HZ * 1.05
    errors = [
        (rate.rate_hz / true_hz - 1) / rate.doubt
        for seed in range(100)
        for rate in [fed(Rate(NOMINAL_HZ), asked(true_hz, 5, seed=seed))]
    ]

    # 1 if the doubt is right; of 100 draws the rms scatters by 7 %, so this is four sigma.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1.0, abs=0.3)


def test_it_is_ready_within_three_seconds_and_then_right() -> None:
    true_hz = NOMINAL_HZ * 0.81
    rate = Rate(NOMINAL_HZ)
    pairs = asked(true_hz, 3)
    while not rate.ready:
        rate.observe(*next(pairs))

    assert rate.rate_hz == pytest.approx(true_hz, rel=0.006)  # three of its sigmas


def test_a_stored_rate_is_ready_sooner_than_a_datasheet_s() -> None:
    true_hz = NOMINAL_HZ * 1.05

    def pairs_needed(rate: Rate) -> int:
        pairs = list(asked(true_hz, 10))
        return next(k for k, pair in enumerate(pairs) if rate.observe(*pair) and rate.ready)

    stored = pairs_needed(Rate(NOMINAL_HZ, stored_hz=true_hz))
    assert stored < pairs_needed(Rate(true_hz)) - 1


def test_a_count_that_took_long_to_come_is_dropped() -> None:
    rate = fed(Rate(NOMINAL_HZ), asked(NOMINAL_HZ, 20))
    before = rate.rate_hz, rate.time_of(0)
    asked_s = BEGAN_S + 20.1

    taken = rate.observe(floor(20.1 * NOMINAL_HZ), asked_s, asked_s + 0.0006 * 2 + 0.0001)

    assert not taken
    assert (rate.rate_hz, rate.time_of(0)) == before


def test_a_bus_that_became_slow_for_good_is_believed_again() -> None:
    rate = fed(Rate(NOMINAL_HZ), asked(NOMINAL_HZ, 10))
    slow = [(total, t - 0.001, t + 0.001) for total, _, t in asked(NOMINAL_HZ, 20)][100:]

    taken = [rate.observe(*pair) for pair in slow]

    assert not taken[0]
    assert all(taken[20:])


def test_after_a_gap_the_count_is_new_and_the_rate_is_not() -> None:
    true_hz = NOMINAL_HZ * 1.05
    rate = fed(Rate(NOMINAL_HZ), asked(true_hz, 60))
    again_s = BEGAN_S + 100

    rate.restart()
    ready_without_a_pair = rate.ready
    fed(rate, asked(true_hz, 1, began_s=again_s, seed=1))

    assert not ready_without_a_pair
    assert rate.ready
    assert rate.rate_hz == pytest.approx(true_hz, rel=1e-3)
    assert rate.time_of(0) == pytest.approx(again_s, abs=0.006)  # ten pairs: 3 * 5.5 / sqrt(10)


def test_it_follows_a_chip_that_warms_up() -> None:
    warm_hz = NOMINAL_HZ * 1.001
    rate = fed(Rate(NOMINAL_HZ), asked(NOMINAL_HZ, 300))
    grown = floor(300 * NOMINAL_HZ)

    for total, before_s, after_s in asked(warm_hz, 150, began_s=BEGAN_S + 300, seed=1):
        rate.observe(grown + total, before_s, after_s)

    # x memories after a step, (1 + x) exp(-x) of it is left to learn: 4 % of 0.1 % after five.
    # The noise is 11 ppm.
    assert rate.rate_hz == pytest.approx(warm_hz, rel=8e-5)
