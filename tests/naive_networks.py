"""Slow and obvious twins, in float64, of the kernels in `learner/gru.py` and the `mlp`."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from learner import gru
from learner.classifiers import mlp
from learner.sums import GRID

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.intp]


def slopes(function: Callable[[Floats], float], at: Singles | Floats, step: float = 1e-5) -> Floats:
    """The gradient of `function` by central differences."""
    x = at.astype(np.float64)
    out = np.empty_like(x)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + step
        above = function(x)
        x[place] = kept - step
        out[place] = (above - function(x)) / (2.0 * step)
        x[place] = kept
    return out


def softmax(scores: Floats) -> Floats:
    raised = np.exp(scores)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def with_ones(x: Floats) -> Floats:
    return np.hstack([x, np.ones((len(x), 1))])


def standardise(row: NDArray[np.int16], centre: Singles, scale: Singles) -> Floats:
    return np.append(np.clip((row * GRID - centre) * scale, -mlp.LIMIT, mlp.LIMIT), 1.0)


def perceptron(batch: Floats, inward: Floats, outward: Floats) -> tuple[Floats, Floats]:
    hidden = with_ones(np.maximum(batch @ inward.T, 0.0))
    return hidden, softmax(hidden @ outward.T)


def cross_entropy(answers: Floats, targets: Floats) -> float:
    """The mean over the batch."""
    return float(-(targets * np.log(answers)).sum(axis=1).mean())


def carry_back(errors: Singles, outward: Singles, hidden: Singles) -> Floats:
    through = errors.astype(np.float64) @ outward
    return np.where(hidden > 0.0, through, 0.0)[:, :-1]


def descend(
    errors: Singles, inputs: Singles, weights: Singles, speed: Singles
) -> tuple[Floats, Floats]:
    gradient = errors.astype(np.float64).T @ inputs / len(errors) + float(mlp.DECAY) * weights
    faster = float(mlp.MOMENTUM) * speed - float(mlp.RATE) * gradient
    return weights + faster, faster


def decimate(tracks: Floats, bounds: Ints) -> Floats:
    channels = len(tracks) // 2
    parts = np.split(tracks, bounds[1:-1], axis=1)
    level = np.array([part.mean(axis=1) for part in parts]) / gru.LEVEL
    spread = 0.5 * np.log(np.array([part.std(axis=1) for part in parts]) + gru.FLOOR)
    return np.hstack([level[:, :3], level[:, channels:], spread[:, channels:]])


def present(row: NDArray[np.int16], turn: Floats, centre: Singles, scale: Singles) -> Floats:
    shown = row.reshape(-1, centre.size) * GRID
    shown[:, :3] = shown[:, :3] @ turn.T
    return np.clip((shown - centre) * scale, -gru.FAR, gru.FAR)


def logistic(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def gated(inputs: Floats, weights: Floats) -> Floats:
    """What the units hold after every moment, (m, u, b), of inputs (m, c + 1, b)."""
    width = inputs.shape[1]
    reset_in, update_in, candidate_in = np.split(weights[:, :width], 3)
    reset_held, update_held, candidate_held = np.split(weights[:, width:], 3)
    held = [np.zeros((len(reset_in), inputs.shape[2]))]
    for x in inputs:
        before = held[-1]
        reset = logistic(reset_in @ x + reset_held @ before)
        update = logistic(update_in @ x + update_held @ before)
        candidate = np.tanh(candidate_in @ x + reset * (candidate_held @ before))
        held.append((1.0 - update) * candidate + update * before)
    return np.array(held[1:])


def adapt(
    gradient: Singles, rate: float, moments: Singles, weights: Singles
) -> tuple[Floats, Floats]:
    first, second = float(gru.FIRST_DECAY), float(gru.SECOND_DECAY)
    mean = first * moments[0] + (1.0 - first) * gradient.astype(np.float64)
    square = second * moments[1] + (1.0 - second) * gradient.astype(np.float64) ** 2
    stepped = weights - rate * mean / (np.sqrt(square) + float(gru.TINY))
    return np.array([mean, square]), stepped
