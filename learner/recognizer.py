"""The learner's public face: checks what comes in, keeps the filter over time, saves and loads."""

import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from learner import classifier as contract
from learner.classifier import Classifier, WindowShape
from learner.drift import Drift
from learner.features import Floats, Samples
from learner.forward_filter import ForwardFilter

FORMAT, VERSION = "budge model", 4
# What a file that is no model, or a damaged one, leads to.
DAMAGE = (
    *(ValueError, KeyError, TypeError, AttributeError, RuntimeError, SyntaxError),
    *(OSError, EOFError, MemoryError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)

# Above this novelty a window is like nothing that was taught.
UNKNOWN_ABOVE = 0.85
# Where belief in an activity is above this, what goes on is plain, and other things can be seen.
PLAIN = 0.95


class ModelFileError(ValueError):
    """A file that is no model, or a model of another version. The sentence says which."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one window shows."""

    activity: str | None  # None: nothing that was taught
    confidence: float  # probability of the activity that is named, 0 when none is
    novelty: float  # 0 (like what was taught) to 1 (like nothing that was taught)
    probabilities: dict[str, float]  # of every activity, in the order first taught


class Recognizer:
    """Learns activities window by window and recognizes them. Used by one thread at a time.

    A window is `samples`: (window_rows, n_channels) float32, acceleration in m/s² with gravity,
    then, with six channels, rotation in rad/s. Anything else raises ValueError. Windows are only
    borrowed, never kept or changed.
    """

    def __init__(
        self,
        rate_hz: float,
        n_channels: int,
        window_s: float,
        classifier: str = "discriminant",
        *,
        starter: Self | None = None,
        decay: float | None = None,
    ) -> None:
        """`starter`: what others have taught, as a start that gives way to the owner's lessons.

        `decay`: half-life in taught windows, for a sensor that moves or a person who changes; None
        forgets nothing. The starter is copied, by `clear` anew, and of the same
        kind: rate, channels, window.
        """
        if not (math.isfinite(rate_hz) and rate_hz > 0.0):
            raise ValueError(f"rate_hz is {rate_hz}, expected a positive number")
        if n_channels not in (3, 6):
            raise ValueError(
                f"n_channels is {n_channels}, expected 3 (accelerometer) or 6 (+ gyro)"
            )
        if not (math.isfinite(window_s) and round(rate_hz * window_s) >= 8):
            raise ValueError(
                f"window_s is {window_s}: at {rate_hz} Hz a window needs at least 8 rows"
            )
        self.rate_hz, self.n_channels, self.window_s = float(rate_hz), n_channels, float(window_s)
        self.window_rows = round(rate_hz * window_s)
        if decay is not None and not (math.isfinite(decay) and decay >= 1.0):
            raise ValueError(f"decay is {decay}, expected a half-life of at least 1 window")
        self.classifier = classifier
        self.decay = decay
        self.starter = starter
        from learner import kernels

        self._kernels = kernels
        self.clear()
        # kernels are compiled for the kind of array they meet: all windows go through this one
        self._samples = np.zeros((self.window_rows, n_channels), dtype=np.float32)
        self._flat = self._samples.reshape(-1)

    @property
    def activities(self) -> dict[str, int]:
        """Windows taught of each activity that is known, in the order first known. A copy."""
        return dict(self._classifier.activities)

    @property
    def order_free(self) -> bool:
        """Whether what is learnt does not depend on the order; only then can it be taken back."""
        return self._classifier.order_free and self.decay is None

    @property
    def drifting(self) -> tuple[str, ...]:
        """Activities that look less like what was taught than they did, to `observe`; sorted.

        One that is taught, or taken back, is looked at afresh. Nothing of this is saved.
        """
        return self._drift.activities

    def learn(self, samples: Samples, activity: str) -> None:
        """Learn one window of an activity."""
        window, name = self._checked(samples), _checked_name(activity)
        if self.decay is not None:
            self._classifier.fade(0.5 ** (1.0 / self.decay))
        self._classifier.learn(window, name)
        self._drift.restart(name)

    def unlearn(self, samples: Samples, activity: str) -> None:
        """Take back one taught window; the model is then bit for bit as if it had not been taught.

        Raises ValueError for an activity that was not taught, and where the classifier can tell,
        for a window that was not; InexactError (a ValueError) where the kind of classifier cannot.
        """
        window, name = self._checked(samples), _checked_name(activity)
        if not self._classifier.activities.get(name):  # a starter's may have none
            taught = ", ".join(a for a, n in self._classifier.activities.items() if n) or "nothing"
            raise ValueError(f"{name!r} was never taught; taught: {taught}")
        self._classifier.unlearn(window, name)
        self._drift.restart(name)

    def rename(self, old: str, new: str) -> None:
        """Call an activity by another name. Where there is one of that name, the two become one.

        Raises ValueError for an activity that was not taught; InexactError where the kind of
        classifier cannot merge, or where a starter knows one of the two.
        """
        if old not in self._classifier.activities:
            taught = ", ".join(self._classifier.activities) or "nothing"
            raise ValueError(f"{old!r} was never taught; taught: {taught}")
        if old != _checked_name(new):
            self._classifier.rename(old, new)
            self._filter.rename(old, new)
            self._drift.rename(old, new)

    def clear(self) -> None:
        """Forget every lesson, as if newly made; a starter is there again."""
        shape = WindowShape(self.rate_hz, self.n_channels, self.window_rows)
        self._classifier: Classifier = contract.named(self.classifier, shape)
        if self.starter is not None:
            self._lean_on(self.starter)
        if self.decay is not None:
            self._classifier.fade(1.0)  # of nothing: a kind that cannot is to say so now
        self._filter, self._drift = ForwardFilter(), Drift()

    def settle(self) -> None:
        """Work out now what the next prediction needs after a lesson, which else has to wait."""
        self._classifier.settle()

    def predict(self, samples: Samples) -> Prediction:
        """Say what one window shows, by itself. Changes nothing."""
        verdict = self._classifier.judge(self._checked(samples))
        return self._prediction(verdict.probabilities, verdict.novelty)

    def observe(self, samples: Samples) -> Prediction:
        """Say what the next of consecutive windows shows, given those before.

        A forward filter over "mostly it goes on": p(now) ∝ p(window | now) · Σ p(now | before)
        p(before). How mostly is learnt from what goes on; and so is, where the classifier can,
        how the sensor sits today. A window like nothing taught says nothing about what goes on.
        """
        verdict = self._classifier.watch(self._checked(samples))
        names = list(self._classifier.activities)
        if not names:
            return self._prediction(verdict.probabilities, verdict.novelty)
        known = verdict.novelty <= UNKNOWN_ABOVE
        belief = self._filter.follow(names, verdict.probabilities if known else None)
        best = int(belief.argmax())
        plain = belief[best] > PLAIN
        if plain or not known:
            self._drift.note(names[best], verdict.novelty)
        if plain and known:
            self._classifier.notice(names[best])
        return self._prediction(belief, verdict.novelty)

    def gap(self) -> None:
        """Tell that the next window does not follow the last: anything may be going on."""
        self._filter.gap()

    def save(self, file: str | Path | BinaryIO) -> None:
        """Write all that was learnt: numpy's npz, a JSON header beside the named arrays."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "rate_hz": self.rate_hz,
            "n_channels": self.n_channels,
            "window_s": self.window_s,
            "classifier": self.classifier,
            "activities": list(self._classifier.activities.items()),
        }
        text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        arrays = {"header": text, **self._classifier.state()}
        if isinstance(file, (str, Path)):
            with Path(file).open("wb") as opened:
                np.savez(opened, allow_pickle=False, **arrays)
        else:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(
        cls,
        file: str | Path | BinaryIO,
        *,
        starter: Self | None = None,
        decay: float | None = None,
    ) -> Self:
        """Read what `save` wrote: the same model, bit for bit, with its filter afresh.

        What a starter knew is in the file; `starter` is what `clear` begins with again. `decay` is
        not in it: who was made with it is given it again.
        Raises ModelFileError (a ValueError) on anything else, OSError where nothing can be read.
        """
        if isinstance(file, (str, Path)):
            with Path(file).open("rb") as opened:
                return cls.load(opened, starter=starter, decay=decay)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                if any(info.compress_type for info in arrays.zip.infolist()):
                    raise ValueError("it is compressed, expected it as budge saves it")
                state = {name: np.asarray(arrays[name]) for name in arrays.files}
            header = json.loads(state.pop("header").tobytes())
            found = (header["format"], header["version"])
        except DAMAGE as error:
            raise ModelFileError(f"{_name(file)} is not a whole model: {error}") from error
        if found != (FORMAT, VERSION):
            raise ModelFileError(
                f"{_name(file)} is a {found[0]} of version {found[1]}, expected {FORMAT} {VERSION}:"
                " rebuild it from the journal"
            )
        try:
            kind = (header["rate_hz"], header["n_channels"], header["window_s"])
            cls(*kind, header["classifier"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"{_name(file)} does not hold together: {error}") from error
        model = cls(*kind, header["classifier"], starter=starter, decay=decay)
        try:
            activities = {str(name): int(count) for name, count in header["activities"]}
            model._classifier.restore(activities, state)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"{_name(file)} does not hold together: {error}") from error
        return model

    def digest(self) -> str:
        """Hex digest of all that was learnt: equal if and only if the models are, bit for bit.

        In which order activities were first taught is not part of it.
        """
        learnt = sha256(
            json.dumps(
                [
                    self.classifier,
                    self.rate_hz,
                    self.n_channels,
                    self.window_s,
                    sorted(self._classifier.activities.items()),
                ]
            ).encode()
        )
        for name, array in sorted(self._classifier.state().items()):
            if name.startswith("reserve"):
                continue
            learnt.update(f"{name} {array.dtype.str} {array.shape}".encode())
            learnt.update(array.tobytes())
        return learnt.hexdigest()

    @classmethod
    def pool(cls, recognizers: Iterable[Self]) -> Self:
        """Return one recognizer that has learnt what all of these have, which stay as they are."""
        members = list(recognizers)
        if not members:
            raise ValueError("nothing to pool: expected at least one recognizer")
        first = members[0]
        pooled = cls(first.rate_hz, first.n_channels, first.window_s, first.classifier)
        for member in members:
            pooled._add(member)
        return pooled

    def _add(self, other: Self) -> None:
        self._check_kind(other)
        self._classifier.add(other._classifier)

    def _lean_on(self, starter: Self) -> None:
        self._check_kind(starter)
        self._classifier.lean_on(starter._classifier)

    @property
    def _kind(self) -> tuple[float, int, float, str]:
        return self.rate_hz, self.n_channels, self.window_s, self.classifier

    def _check_kind(self, other: Self) -> None:
        if other._kind != self._kind:
            raise ValueError(
                f"a recognizer of {other._kind} does not go with one of {self._kind}: expected the"
                " same rate, channels, window and classifier"
            )

    def _prediction(self, probabilities: Floats, novelty: float) -> Prediction:
        names = list(self._classifier.activities)
        if not names:
            return Prediction(None, 0.0, novelty, {})
        shares = probabilities.tolist()
        likely = dict(zip(names, shares, strict=True))
        if novelty > UNKNOWN_ABOVE:
            return Prediction(None, 0.0, novelty, likely)
        confidence = max(shares)
        return Prediction(names[shares.index(confidence)], confidence, novelty, likely)

    def _checked(self, samples: Samples) -> Samples:
        expected = (self.window_rows, self.n_channels)
        if not isinstance(samples, np.ndarray):
            raise ValueError(  # noqa: TRY004 - one kind of error for every bad window
                f"samples are a {type(samples).__name__}, expected a float32 array {expected}"
            )
        if samples.dtype != np.float32 or samples.shape != expected:
            raise ValueError(
                f"samples are {samples.dtype} {samples.shape}, expected float32 {expected}"
            )
        self._samples[:] = samples
        if not self._kernels.finite(self._flat):
            row, channel = np.argwhere(~np.isfinite(samples))[0].tolist()
            raise ValueError(
                f"samples hold {samples[row, channel]} at row {row}, channel {channel},"
                " expected finite numbers"
            )
        return self._samples


def _checked_name(activity: str) -> str:
    if not isinstance(activity, str) or not activity.strip():
        raise ValueError(f"activity is {activity!r}, expected a name")
    return activity


def _name(file: BinaryIO) -> str:
    """Say which file it is, where it has a name."""
    return str(getattr(file, "name", file))
