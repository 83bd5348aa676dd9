"""What a chip's clock really does: how fast it samples, and when each sample was taken.

An IMU samples by its own oscillator, which is off by percents (LSM6DSO: up to 19 %) but drifts
little. It does not say when. What can be asked is how many samples there were by now, so we fit a
line to pairs (samples taken so far, host time of asking), as Klipper does for accelerometers; the
slope is the period, the line itself the moment of any sample. When the host woke up to ask is
never taken for the time of a sample.

The fit is recursive least squares in two states, written as a Kalman filter that forgets: it
starts from what the datasheet says as from any other measurement, and knows its own doubt.
"""

from math import exp, inf, nan, sqrt

NOMINAL_DOUBT = 0.1  # 1 sigma of a datasheet's rate: the worst of our chips may be 19 % off
STORED_DOUBT = 0.0015  # 1 sigma of a rate measured on another day, at another temperature
GAP_DOUBT = 0.001  # 1 sigma of a rate measured before a short gap
JITTER_S = 0.005  # 1 sigma of the host between asking and looking at the clock, under load
# Older pairs weigh less than 1/e. Twice as long would be less noisy than 11 ppm and 0.7 ms, but lag
# four times as far behind a chip that warms up: at 100 ppm a minute, 6 ms instead of 1.5.
MEMORY_S = 30.0

READY_DOUBT = 0.002  # 0.2 % is 2 ms after the first second, and by then it is better known
READY_TIME_S = 0.003

SHORTEST_ASK_S = 100e-6  # no count comes faster: 48 bits at 400 kHz
BELIEVE = 1.1  # how much a refused pair raises what counts as quick: a slower bus convinces in 8


class Rate:
    """The line through (samples, host time). Sample n counts from 0 at the last `restart`."""

    def __init__(self, nominal_hz: float, stored_hz: float | None = None) -> None:
        """`stored_hz` is a rate measured earlier on this very chip."""
        doubt = NOMINAL_DOUBT if stored_hz is None else STORED_DOUBT
        self._period_s = 1.0 / (stored_hz or nominal_hz)
        self._var_period = (doubt * self._period_s) ** 2
        self._quickest_s = inf
        self._forget_line()

    def restart(self, doubt: float = GAP_DOUBT) -> None:
        """Samples count from 0 again; the rate is still known, to `doubt` at best."""
        self._var_period = max(self._var_period, (doubt * self._period_s) ** 2)
        self._forget_line()

    def _forget_line(self) -> None:
        self._n = nan  # the sample, with its fraction, at which _time_s holds
        self._time_s = nan
        self._var_time = inf
        self._cov = 0.0
        self._asked_s = nan

    def observe(self, total: int, before_s: float, after_s: float) -> bool:
        """Take in that `total` samples were taken by a moment between `before_s` and `after_s`.

        False if the pair was dropped: asking took so long that the moment is anyone's guess.
        """
        duration_s = max(after_s - before_s, SHORTEST_ASK_S)
        if duration_s > 2 * self._quickest_s:
            self._quickest_s *= BELIEVE
            return False
        self._quickest_s = min(self._quickest_s, duration_s)
        # The newest sample, total - 1, is on average half a period old.
        self._fit(total - 0.5, (before_s + after_s) / 2)
        return True

    def _fit(self, n: float, asked_s: float) -> None:
        noise = JITTER_S**2 + self._period_s**2 / 12  # the count is rounded to whole samples
        if self._var_time == inf:
            self._n, self._time_s, self._asked_s = n, asked_s, asked_s
            self._var_time = noise
            return
        # Carry the line on to n. All doubt grows by 1/keep: that is the forgetting.
        steps = n - self._n
        keep = exp(-(asked_s - self._asked_s) / MEMORY_S)
        self._n, self._asked_s = n, asked_s
        self._time_s += steps * self._period_s
        var_time = self._var_time + steps * (2 * self._cov + steps * self._var_period)
        cov = self._cov + steps * self._var_period
        # Weigh the new pair against it.
        gain = 1 / (var_time + noise * keep)
        late_s = asked_s - self._time_s
        self._time_s += gain * var_time * late_s
        self._period_s += gain * cov * late_s
        self._var_time = gain * var_time * noise
        self._var_period = (self._var_period - gain * cov * cov) / keep
        self._cov = gain * cov * noise

    @property
    def rate_hz(self) -> float:
        return 1.0 / self._period_s

    @property
    def doubt(self) -> float:
        """1 sigma of the rate, as a part of it."""
        return sqrt(self._var_period) / self._period_s

    @property
    def ready(self) -> bool:
        """Known well enough to put samples on a grid: about 2 s from a datasheet's figure."""
        return self.doubt < READY_DOUBT and sqrt(self._var_time) < READY_TIME_S

    def time_of(self, n: float) -> float:
        """Host time at which sample n was taken; not a number before the first pair."""
        return self._time_s + (n - self._n) * self._period_s

    def sample_at(self, time_s: float) -> float:
        """Which sample, with its fraction, was taken at this host time."""
        return self._n + (time_s - self._time_s) / self._period_s
