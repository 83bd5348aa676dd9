"""A model on disk: whole, bit for bit, known by its digest; anything else is refused."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motions import held, shaken
from pupils import RATE_HZ, WINDOW_S, brief, saved, small, taught, untaught

from learner import Recognizer
from learner.recognizer import ModelFileError


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    r = taught()
    r.save(tmp_path / "model")
    loaded = Recognizer.load(tmp_path / "model")

    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert loaded.digest() == r.digest()
    assert list(loaded.activities.items()) == list(r.activities.items())
    assert loaded.predict(shaken(2.4, 6.0)) == r.predict(shaken(2.4, 6.0))
    assert saved(loaded) == saved(r)
    assert saved(Recognizer.load(io.BytesIO(saved(r)))) == saved(r)


def test_a_model_of_nothing_can_be_saved() -> None:
    assert Recognizer.load(io.BytesIO(saved(untaught()))).digest() == untaught().digest()


def test_the_digest_tells_models_apart_but_not_the_order_of_teaching() -> None:
    a, b, c = untaught(), untaught(), untaught()
    a.learn(held(), "resting")
    a.learn(shaken(2.0, 5.0), "walking")
    b.learn(shaken(2.0, 5.0), "walking")
    b.learn(held(), "resting")
    c.learn(held(), "walking")
    c.learn(shaken(2.0, 5.0), "resting")

    assert list(a.activities) != list(b.activities)
    assert a.digest() == b.digest()
    assert c.digest() != a.digest()
    assert Recognizer(RATE_HZ, 3, WINDOW_S).digest() != untaught().digest()


def test_what_is_only_in_reserve_is_no_part_of_the_digest() -> None:
    plain, muddled = small(), small()
    for seed in range(260):  # more than is kept
        plain.learn(brief(2.0, 5.0, seed), "walking")
    for seed in range(300):
        muddled.learn(brief(2.0, 5.0, seed), "walking")
    for seed in range(260, 300):
        muddled.unlearn(brief(2.0, 5.0, seed), "walking")

    assert saved(muddled) != saved(plain)
    assert muddled.digest() == plain.digest()


def test_nor_is_what_a_starter_has_in_reserve() -> None:
    plain, muddled = small(), small()
    for seed in range(260):
        plain.learn(brief(2.0, 5.0, seed), "walking")
        muddled.learn(brief(2.0, 5.0, seed), "walking")
    for seed in range(260, 300):
        muddled.learn(brief(2.0, 5.0, seed), "walking")
        muddled.unlearn(brief(2.0, 5.0, seed), "walking")
    leaning, other = (Recognizer(20.0, 3, 1.6, starter=starter) for starter in (plain, muddled))

    assert leaning.digest() == other.digest()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_no_model(share: float) -> None:
    whole = saved(taught())

    with pytest.raises(ModelFileError, match="is not a whole model"):
        Recognizer.load(io.BytesIO(whole[: int(share * len(whole))]))


def test_a_damaged_file_is_no_model() -> None:
    whole = bytearray(saved(taught()))
    whole[len(whole) // 2] ^= 1

    with pytest.raises(ModelFileError, match="is not a whole model"):
        Recognizer.load(io.BytesIO(whole))


def test_another_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("buy milk")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "arrays.npz", header=np.zeros(3), sums=np.zeros(3))

    for name in ["notes", "array.npy", "arrays.npz"]:
        with pytest.raises(ModelFileError, match="is not a whole model"):
            Recognizer.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Recognizer.load(tmp_path / "nowhere")


def altered(**changes: Any) -> io.BytesIO:
    """A saved model with another header."""
    with np.load(io.BytesIO(saved(taught()))) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    header = json.loads(parts["header"].tobytes()) | changes
    parts["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, **parts)
    file.seek(0)
    return file


def test_a_model_of_another_version_says_so() -> None:
    with pytest.raises(
        ModelFileError, match=r"budge model of version 999, expected .*: rebuild it"
    ):
        Recognizer.load(altered(version=999))


@pytest.mark.parametrize(
    "changes",
    [
        {"n_channels": 3},
        {"activities": [["walking", 3]]},
        {"classifier": "oracle"},
        {"rate_hz": -1},
    ],
)
def test_a_header_that_does_not_fit_the_arrays_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="does not hold together"):
        Recognizer.load(altered(**changes))
