"""The networks' kernels equal slow twins, and their gradients finite differences."""

import naive_networks as naive
import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray

from learner import gru
from learner.classifier import WindowShape
from learner.classifiers import mlp, recurrent
from learner.described import words

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

SMALL = WindowShape(20.0, 3, 10)


def close(kernel: Singles | Floats, twin: Floats) -> None:
    """float32 has seven digits; sums of some tens of terms of order one lose one or two."""
    npt.assert_allclose(kernel, twin, rtol=1e-4, atol=2e-6)


def drawn(*shape: int, seed: int = 0, size: float = 1.0) -> Singles:
    return (np.random.default_rng(seed).standard_normal(shape) * size).astype(np.float32)


def softened(targets: list[int], kinds: int, soft: float) -> Floats:
    return (1.0 - soft) * np.eye(kinds)[targets] + soft / kinds


# the perceptron


def test_features_are_standardised_and_kept_within_limits() -> None:
    row = np.array([0, 4096, -4096, 32767, -32767], dtype=np.int16)
    centre, scale = drawn(5, size=0.1), np.array([1, 2, 0.5, 9, 9], dtype=np.float32)
    out = np.empty(6, dtype=np.float32)
    mlp.standardise(row, centre, scale, out)

    close(out, naive.standardise(row, centre, scale))
    npt.assert_array_equal(out[3:], [mlp.LIMIT, -mlp.LIMIT, 1.0])


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_a_perceptron_answers_as_its_twin(size: float) -> None:
    batch, inward, outward = drawn(5, 8), drawn(6, 8, seed=1), drawn(3, 7, seed=2, size=size)
    hidden, answers = np.empty((5, 7), dtype=np.float32), np.empty((5, 3), dtype=np.float32)
    mlp.forward(batch, inward, outward, hidden, answers)
    expected = naive.perceptron(*(a.astype(np.float64) for a in (batch, inward, outward)))

    close(hidden, expected[0])
    close(answers, expected[1])  # with size 100 exp(scores) alone would be infinite in float32


def test_a_step_equals_its_twin() -> None:
    errors, inputs = drawn(4, 3), drawn(4, 9, seed=1)
    errors[1, 2] = 0.0
    weights, speed = drawn(3, 9, seed=2), drawn(3, 9, seed=3, size=0.1)
    expected = naive.descend(errors, inputs, weights, speed)
    mlp.descend(errors, inputs, weights, speed)

    close(weights, expected[0])
    close(speed, expected[1])


def test_errors_are_carried_back_through_units_that_are_on() -> None:
    errors, outward, hidden = drawn(4, 3), drawn(3, 7, seed=1), np.maximum(drawn(4, 7, seed=2), 0.0)
    out = np.empty((4, 6), dtype=np.float32)
    mlp.carry_back(errors, outward, hidden, out)

    close(out, naive.carry_back(errors, outward, hidden))
    assert (out == 0.0).sum() == (hidden[:, :6] == 0.0).sum() > 0


def test_a_perceptron_descends_along_the_gradient_of_its_loss() -> None:
    learner, places = mlp.Learner(SMALL), [b % 3 for b in range(mlp.BATCH)]
    rows = words(np.random.default_rng(0).standard_normal((mlp.BATCH, learner._describer.size)))
    learner._scale[:] = 1.0
    learner._outward, learner._outward_speed = drawn(3, 33, size=0.3), drawn(3, 33, size=0.0)
    learner._errors = np.empty((mlp.BATCH, 3), dtype=np.float32)
    inward, outward = learner._inward.astype(np.float64), learner._outward.astype(np.float64)
    learner._descend(list(zip(places, rows, strict=True)))

    batch, targets = learner._batch.astype(np.float64), softened(places, 3, mlp.SOFT)

    def loss_inward(some: Floats) -> float:
        whole = np.hstack([some, inward[:, 4:]])
        return naive.cross_entropy(naive.perceptron(batch, whole, outward)[1], targets)

    def loss_outward(whole: Floats) -> float:
        return naive.cross_entropy(naive.perceptron(batch, inward, whole)[1], targets)

    for speed, loss, weights in [
        (learner._inward_speed[:, :4], loss_inward, inward[:, :4]),
        (learner._outward_speed, loss_outward, outward),
    ]:
        expected = naive.slopes(loss, weights) + float(mlp.DECAY) * weights
        npt.assert_allclose(-speed / float(mlp.RATE), expected, rtol=1e-3, atol=1e-5)


# the recurrent network


@pytest.mark.parametrize("channels", [3, 6])
def test_a_window_is_decimated_to_moments(channels: int) -> None:
    tracks = np.random.default_rng(0).standard_normal((2 * channels, 23))
    bounds = np.array([0, 5, 6, 14, 23], dtype=np.intp)
    out = np.empty((4, 3 + 2 * channels))
    gru.decimate(tracks, bounds, out)

    npt.assert_allclose(out, naive.decimate(tracks, bounds), rtol=1e-9)


def test_turns_are_rotations_about_their_vector() -> None:
    vectors = np.array([[0.0, 0.0, 0.2], [0.1, -0.2, 0.05], [0.0, 0.0, 0.0]])
    turns = recurrent._turns(vectors)

    close(turns @ turns.transpose(0, 2, 1), np.array([np.eye(3)] * 3))
    npt.assert_allclose(turns[0, :2, 0], [np.cos(0.2), np.sin(0.2)], atol=1e-3)
    close(turns[1] @ vectors[1], vectors[1])
    close(turns[2], np.eye(3))


def test_moments_are_turned_standardised_and_kept_within_limits() -> None:
    row = words(np.random.default_rng(0).standard_normal(4 * 9) * 3.0)
    turn = recurrent._turns(np.array([[0.3, -0.5, 0.9]]))[0]
    centre, scale = drawn(9, seed=1), np.abs(drawn(9, seed=2)) + np.float32(0.5)
    out = np.empty((4, 9), dtype=np.float32)
    gru.present(row, turn, centre, scale, out)

    close(out, naive.present(row, turn, centre, scale))
    assert (np.abs(out) == gru.FAR).any()


def unrolled(units: int = 5) -> tuple[Singles, Singles, Singles, Singles]:
    """What `forward` takes, for 7 moments of 4 inputs and a batch of 3."""
    seen = np.zeros((8, 5 + units, 3), dtype=np.float32)
    seen[:7, :4], seen[:, 4] = drawn(7, 4, 3), 1.0
    weights = drawn(3 * units, 5 + units, seed=1, size=0.7)
    gates, pooled = drawn(7, 4 * units, 3), drawn(units, 3)  # both hold what was before
    return seen, weights, gates, pooled


def test_units_hold_what_their_twins_hold() -> None:
    seen, weights, gates, pooled = unrolled()
    gru.forward(seen, weights, gates, pooled)
    expected = naive.gated(seen[:7, :5].astype(np.float64), weights.astype(np.float64))

    close(seen[1:, 5:], expected)
    close(pooled, expected.mean(axis=0))


def test_gradients_go_back_through_time() -> None:
    seen, weights, gates, pooled = unrolled()
    pull, slopes, gradient = drawn(5, 3, seed=5), drawn(25, 3), drawn(15, 10)
    gru.forward(seen, weights, gates, pooled)
    gru.backward(seen, weights, gates, pull, slopes, gradient)

    def pulled(weights: Floats) -> float:
        held = naive.gated(seen[:7, :5].astype(np.float64), weights)
        return float((pull * held.mean(axis=0)).sum())

    npt.assert_allclose(gradient, naive.slopes(pulled, weights), rtol=1e-3, atol=1e-5)


def test_adam_steps_as_its_twin() -> None:
    gradient, weights = drawn(4, 6), drawn(4, 6, seed=1)
    moments = np.abs(drawn(2, 4, 6, seed=2))
    expected = naive.adapt(gradient, 0.02, moments, weights)
    gru.adapt(gradient, np.array([0.02], dtype=np.float32), moments, weights)

    close(moments, expected[0])
    close(weights, expected[1])


def test_a_recurrent_network_descends_along_the_gradient_of_its_loss() -> None:
    learner, places = recurrent.Learner(SMALL), [b % 3 for b in range(recurrent.BATCH)]
    shape = (recurrent.BATCH, learner._shown.size)
    rows = words(np.random.default_rng(0).standard_normal(shape))
    learner._scale[:] = 1.0
    learner._outward = drawn(3, recurrent.UNITS + 1)
    learner._outward_moments = np.zeros((2, *learner._outward.shape), dtype=np.float32)
    weights, outward = learner._weights.astype(np.float64), learner._outward.astype(np.float64)
    turns = recurrent.UNTURNED.repeat(recurrent.BATCH, axis=0)
    learner._descend(list(zip(places, rows, strict=True)), turns, step=1)

    inputs = learner._seen[:-1, :10].astype(np.float64)  # nine and the 1
    targets = softened(places, 3, recurrent.SOFT)

    def loss(some: Floats, outward: Floats) -> float:
        held = naive.gated(inputs, np.hstack([some, weights[:, 2:]])).mean(axis=0)
        return naive.cross_entropy(naive.softmax(naive.with_ones(held.T) @ outward.T), targets)

    # after the first step the mean of the gradients is one part in ten of the first
    for mean, expected in [
        (learner._moments[0, :, :2], naive.slopes(lambda w: loss(w, outward), weights[:, :2])),
        (learner._outward_moments[0], naive.slopes(lambda w: loss(weights[:, :2], w), outward)),
    ]:
        npt.assert_allclose(10.0 * mean, expected, rtol=1e-3, atol=1e-5)


def test_the_first_step_of_adam_is_as_long_as_the_rate() -> None:
    """Whatever the gradient (Kingma & Ba 2015, section 2.1): that is what the corrections are for.

    To one part in a hundred, for gradients that are not small against TINY.
    """
    learner = recurrent.Learner(SMALL)
    learner.learn(np.ones((10, 3), dtype=np.float32), "still")
    learner._outward = drawn(2, recurrent.UNITS + 1)
    learner._outward_moments = np.zeros((2, *learner._outward.shape), dtype=np.float32)
    before = learner._outward.copy()
    row = learner._replay.draw(np.random.default_rng(0), 1)[0][1]
    learner._descend([(0, row)] * recurrent.BATCH, recurrent.UNTURNED.repeat(8, axis=0), step=1)

    moved = np.abs(learner._outward - before)
    npt.assert_allclose(moved[:, -1], recurrent.RATE, rtol=0.01)  # the biases
