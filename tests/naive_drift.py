"""ADWIN as the paper tells it, slow and obvious: every bucket keeps its numbers."""

from itertools import chain

import numpy as np

Buckets = list[list[float]]  # oldest first


def adwin(numbers: list[float], delta: float, most: int, every: int) -> list[tuple[float, int]]:
    """(change, numbers left in the window) after each number.

    `most` buckets of one size; a cut is looked for once in `every` numbers.
    """
    buckets: Buckets = []
    said = []
    for count, number in enumerate(numbers, start=1):
        buckets = compressed([*buckets, [number]], most)
        change = 0.0
        if count % every == 0:
            change = left = difference(buckets, delta)
            while left:
                buckets = buckets[1:]
                left = difference(buckets, delta)
        said.append((change, sum(map(len, buckets))))
    return said


def compressed(buckets: Buckets, most: int) -> Buckets:
    size = 1
    while sum(len(bucket) == size for bucket in buckets) > most:
        first = next(k for k, bucket in enumerate(buckets) if len(bucket) == size)
        buckets = [*buckets[:first], buckets[first] + buckets[first + 1], *buckets[first + 2 :]]
        size *= 2
    return buckets


def difference(buckets: Buckets, delta: float) -> float:
    """Equation 3.1 at each cut between two buckets, from the oldest on."""
    everything = list(chain.from_iterable(buckets))
    for cut in range(1, len(buckets)):
        older, newer = (list(chain.from_iterable(b)) for b in (buckets[:cut], buckets[cut:]))
        m = 1.0 / (1.0 / len(older) + 1.0 / len(newer))
        log_term = np.log(2.0 / (delta / np.log(len(everything))))
        epsilon = np.sqrt(2.0 / m * np.var(everything) * log_term) + 2.0 / (3.0 * m) * log_term
        change = float(np.mean(newer) - np.mean(older))
        if abs(change) > epsilon:
            return change
    return 0.0
