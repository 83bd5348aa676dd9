"""What somebody who knows numpy would make of a window: the features of the rivals in the race.

Nothing of budge's kernels is in it, so that the race compares all of one with all of the other.
"""

import numpy as np

from learner.features import Floats, Samples

EDGES_HZ = np.array([0.3, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0])


def describe(samples: Samples, rate_hz: float) -> Floats:
    """Describe a window (n, c) by some 150 numbers for six channels, 75 for three."""
    triads = [samples[:, k : k + 3] for k in range(0, samples.shape[1], 3)]
    lengths = [np.sqrt(np.einsum("ij,ij->i", triad, triad))[:, None] for triad in triads]
    tracks = np.ascontiguousarray(np.hstack([samples, *lengths]).T, dtype=np.float64)
    mean = tracks.mean(axis=1)
    centred = tracks - mean[:, None]
    spread = centred.std(axis=1)
    ordered = np.sort(tracks, axis=1)
    places = (np.array([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) * (len(samples) - 1)).astype(int)
    rough = np.abs(np.diff(tracks, axis=1)).mean(axis=1)
    power = np.abs(np.fft.rfft(centred * np.hanning(len(samples)), axis=1)) ** 2
    lines = np.fft.rfftfreq(len(samples), 1.0 / rate_hz)
    edges = np.searchsorted(lines, EDGES_HZ[lines[-1] > EDGES_HZ])
    bands = np.log1p(np.add.reduceat(power, edges, axis=1))
    share = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1)
    scaled = centred / np.maximum(spread, 1e-9)[:, None]
    together = (scaled @ scaled.T / len(samples))[np.triu_indices(len(tracks), 1)]
    return np.concatenate(
        [
            *(mean, spread, rough, lines[power.argmax(axis=1)], entropy),
            *(ordered[:, places].ravel(), bands.ravel(), together),
        ]
    )
