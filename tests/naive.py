"""Slow and obvious twins of the learner's kernels, each the formula in numpy."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tracks(samples: NDArray[np.float32], units: Floats) -> Floats:
    scaled = samples.astype(np.float64) / units
    total = scaled[:, :3].sum(axis=0)
    down = total / max(float(np.linalg.norm(total)), float(len(samples)))
    plain, lengths, alongs, acrosses = list(scaled.T), [], [], []
    for triad in np.split(scaled, scaled.shape[1] // 3, axis=1):
        along = triad @ down
        lengths.append(np.linalg.norm(triad, axis=1))
        alongs.append(along)
        acrosses.append(np.sqrt(np.maximum((triad**2).sum(axis=1) - along**2, 0.0)))
    return np.array([*plain, *lengths, *alongs, *acrosses])


def steps(tracks: Floats, lag: int) -> Floats:
    return tracks[:, lag:] - tracks[:, :-lag]


def centre(tracks: Floats) -> tuple[Floats, Floats, Floats]:
    mean = tracks.mean(axis=1)
    return tracks - mean[:, None], mean, tracks.var(axis=1)


def quantiles(ordered: Floats, at: Floats) -> Floats:
    return np.array([np.quantile(row, at) for row in ordered])


def autocorrelation(tracks: Floats, lags: NDArray[np.intp], floor: float) -> Floats:
    out = np.zeros((len(tracks), len(lags)))
    for t, track in enumerate(tracks):
        centred = track - track.mean()
        for k, lag in enumerate(lags):
            if 2 * lag <= len(track):
                covariance = np.mean(centred[: len(track) - lag] * centred[lag:])
                out[t, k] = covariance / (track.var() + floor**2)
    return out


def correlation(tracks: Floats, floor: float) -> Floats:
    out = []
    for a, first in enumerate(tracks):
        for second in tracks[a + 1 :]:
            covariance = np.mean((first - first.mean()) * (second - second.mean()))
            out.append(covariance / np.sqrt((first.var() + floor**2) * (second.var() + floor**2)))
    return np.array(out)


def bands(power: Floats, shares: Floats) -> Floats:
    return np.sqrt(power @ shares.T)


def squeeze(levels: Floats, spreads: Floats, floor: float) -> tuple[Floats, Floats]:
    return np.arcsinh(levels), np.log(spreads + floor)


def logarithms(x: Floats) -> Floats:
    return np.log(x)


def rhythm(power: Floats, octaves: Floats, floor: float) -> Floats:
    out = []
    for line in power:
        share = line / (line.sum() + floor**2)
        positive = share[share > 0.0]
        entropy = -np.sum(positive * np.log(positive)) / np.log(len(line))
        peak = int(np.argmax(line))
        out.append([octaves[peak] * share.sum(), share[peak], share @ octaves, entropy])
    return np.array(out)


def parts(tracks: Floats, bounds: NDArray[np.intp]) -> tuple[Floats, Floats]:
    levels, spreads = [], []
    for track in tracks:
        pieces = np.split(track, bounds[1:-1])
        level = [piece.mean() - track.mean() for piece in pieces]
        spread = [piece.std() for piece in pieces]
        levels.append([*level, *sorted(level)])
        spreads.append([*spread, *sorted(spread)])
    return np.array(levels), np.array(spreads)


def finite(x: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(x).all())


def settle(x: Floats, limit: float, grid: float) -> Floats:
    return np.round(np.clip(x, -limit, limit) / grid) * grid


def add_outers(rows: Floats, weights: Floats, moment: Floats) -> Floats:
    return moment + np.tril(rows.T @ (weights[:, None] * rows))


def block_squares(x: Floats, firsts: NDArray[np.intp], weight: float) -> Floats:
    return np.array([weight * float(block @ block) for block in np.split(x, firsts[1:-1])])


def distances(x: Floats, means: Floats, precisions: Floats) -> Floats:
    return np.array([row @ (x - mean) ** 2 for mean, row in zip(means, precisions, strict=True)])


def row_distances(x: Floats, rows: NDArray[np.int16], grid: float, precision: Floats) -> Floats:
    return np.array([np.mean(precision * (x - row * grid) ** 2) for row in rows])


def multiply(lower: Floats, x: Floats) -> Floats:
    below = np.tril(lower, -1)
    return (below + below.T + np.diag(np.diag(lower))) @ x


def correct(weights: Floats, x: Floats, taught: int, gain: Floats) -> Floats:
    told = np.eye(len(weights))[taught]
    return weights + np.outer(told - 1.0 / (1.0 + np.exp(-weights @ x)), gain)


def standardise(x: Floats, centre: Floats, scale: Floats, far: float) -> Floats:
    return np.append(np.clip((x - centre) * scale, -far, far), 1.0)


def softmax(weights: Floats, z: Floats) -> Floats:
    odds: Floats = np.exp(weights @ z)
    return odds / float(odds.sum())


def descend(
    weights: Floats, squares: Floats, z: Floats, residuals: Floats, rate: float
) -> tuple[Floats, Floats]:
    gradient = np.outer(residuals, z)
    squares = squares + gradient**2
    return weights + rate * gradient / np.sqrt(np.where(squares == 0.0, 1.0, squares)), squares


def entropy(counts: Floats) -> float:
    present = counts[counts > 0.0]
    return float(-np.sum(present * np.log2(present / present.sum())))


def gain(counts: Floats, mean: Floats, deviation: Floats, cut: float) -> tuple[float, float]:
    normals = [NormalDist(m, s) for m, s in zip(mean, deviation, strict=True)]
    below = counts * [normal.cdf(cut) for normal in normals]
    bits = entropy(counts) - entropy(below) - entropy(counts - below)
    return bits / float(counts.sum()), float(below.sum() / counts.sum())


def best_cuts(
    counts: Floats, means: Floats, deviations: Floats, cuts: int, least_share: float
) -> Floats:
    """The gains only: two thresholds may be equally good."""
    out = []
    for mean, deviation in zip(means.T, deviations.T, strict=True):
        low, high = (mean - deviation).min(), (mean + deviation).max()
        tried = [low + (high - low) * (i + 0.5) / cuts for i in range(cuts)]
        gains = [gain(counts, mean, deviation, cut) for cut in tried]
        out.append(max(bits * (least_share <= share <= 1 - least_share) for bits, share in gains))
    return np.array(out)


def agree(scores: Floats, sureness: float, shares: Floats, doubt: float, company: float) -> Floats:
    likely = np.exp(sureness * (scores - scores.max())) * (shares + doubt) ** company
    out: Floats = likely / likely.sum()
    return out


def lapse(probabilities: Floats, chance: float, order: NDArray[np.intp]) -> tuple[Floats, float]:
    even = np.full(len(order), 1.0 / len(order))
    mixed = (1.0 - chance) * probabilities[order] + chance * even
    return mixed, float(-(mixed * np.log(mixed)).sum())


def two_highest(scores: Floats) -> tuple[int, int]:
    best = sorted(range(len(scores)), key=lambda k: -scores[k])  # of equals, the first
    return best[0], best[min(1, len(best) - 1)]


def weighted_square(x: Floats, centre: Floats, weights: Floats) -> float:
    return float((x - centre) ** 2 @ weights)


def off_by_blocks(x: Floats, mean: Floats, firsts: NDArray[np.intp], spreads: Floats) -> float:
    blocks = np.split((x - mean) ** 2, firsts[1:-1])
    return max(float(block.mean() / spread) for block, spread in zip(blocks, spreads, strict=True))


def projected_square(
    projection: NDArray[np.float32], x: Floats, mean: NDArray[np.float32]
) -> float:
    return float(((projection.astype(np.float64) @ x - mean) ** 2).sum())


def nearest_square(
    x: NDArray[np.int16], weights: NDArray[np.float32], windows: NDArray[np.int16]
) -> float:
    off = (windows.astype(np.float64) - x) * weights
    return float((off**2).sum(axis=1).min())
