"""Recognizers that were taught something, and one of small windows that is quick to teach."""

import io

from motions import Samples, held, shaken

from learner import Recognizer

RATE_HZ, WINDOW_S = 50.0, 2.56


def untaught() -> Recognizer:
    return Recognizer(rate_hz=RATE_HZ, n_channels=6, window_s=WINDOW_S)


def taught(windows: int = 8) -> Recognizer:
    r = untaught()
    for seed in range(windows):
        r.learn(shaken(2.0, 5.0, seed=seed), "walking")
        r.learn(shaken(3.0, 12.0, seed=seed), "running")
        r.learn(held(seed=seed), "resting")
    return r


def saved(r: Recognizer) -> bytes:
    file = io.BytesIO()
    r.save(file)
    return file.getvalue()


def small(decay: float | None = None) -> Recognizer:
    return Recognizer(rate_hz=20.0, n_channels=3, window_s=1.6, decay=decay)


def brief(hz: float, amplitude: float, seed: int = 0) -> Samples:
    """A window for a small one."""
    return shaken(hz, amplitude, rate_hz=20.0, n_channels=3, window_s=1.6, seed=seed)
