"""Collections of many people: subjects, sessions, units, and files that are something else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.files import read

G = 9.80665
Arrays = dict[str, Any]


def collection() -> Arrays:
    """Subject 4 with segments 7 and 9, subject 5 with segment 9: twelve rows each, in g."""
    signal = np.tile(np.array([0, 0, 1, 0.5, 0, 0], np.float32), (36, 1))
    signal[:, 0] = np.arange(36)
    meta = {"rate_hz": 20, "acc_units": "g", "gyro_units": "rad/s (from deg/s)"}
    return {
        "signal": signal,
        "subject": np.repeat([4, 4, 5], 12),
        "segment": np.repeat([7, 9, 9], 12),
        "label": np.tile(np.repeat([0, -1, 1], 4), 3),
        "label_names": np.array(["sitting", "walking"]),
        "meta": np.array(json.dumps(meta)),
    }


def saved(tmp_path: Path, arrays: Arrays) -> Path:
    path = tmp_path / "c.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_everybody_is_read_segment_by_segment_in_si(tmp_path: Path) -> None:
    recording = read(saved(tmp_path, collection()))

    assert (recording.rate_hz, recording.n_channels, recording.name) == (20.0, 6, "c.npz")
    assert recording.activities == ("sitting", "walking")
    assert [len(run.samples) for run in recording.runs] == [12, 12, 12]
    np.testing.assert_allclose(recording.runs[1].samples[0], [12 * G, 0, G, 0.5, 0, 0], rtol=1e-6)
    assert recording.runs[2].codes.tolist() == [0] * 4 + [-1] * 4 + [1] * 4


def test_times_of_segments_do_not_touch(tmp_path: Path) -> None:
    recording = read(saved(tmp_path, collection()))

    assert [run.start_s for run in recording.runs] == pytest.approx([0.0, 1.6, 3.2])


@pytest.mark.parametrize(("session", "first_row"), [(1, 0), (2, 12), (-1, 12), (-2, 0), (None, 0)])
def test_a_session_is_one_of_the_subjects_segments(
    tmp_path: Path, session: int | None, first_row: int
) -> None:
    recording = read(saved(tmp_path, collection()), subject=4, session=session)

    assert len(recording.runs) == (2 if session is None else 1)
    assert recording.runs[0].samples[0, 0] == pytest.approx(first_row * G)
    assert recording.name == ("c.npz subject 4" + (f" session {session}" if session else ""))


@pytest.mark.parametrize(
    ("subject", "session", "sentence"),
    [
        (6, None, "no subject 6, there are: 4, 5"),
        (4, 3, "subject 4 has no session 3, there are: 1 to 2, or -1 for the last"),
        (4, -3, "subject 4 has no session -3, there are: 1 to 2"),
        (4, 0, "subject 4 has no session 0, there are: 1 to 2"),
        (None, 1, "session 1 of whom? Give a subject too"),
    ],
)
def test_who_is_not_there_is_answered_with_who_is(
    tmp_path: Path, subject: int | None, session: int | None, sentence: str
) -> None:
    with pytest.raises(RecordingError) as caught:
        read(saved(tmp_path, collection()), subject=subject, session=session)
    assert sentence in str(caught.value)
    assert "c.npz" in str(caught.value)


def test_accel_alone_in_m_s2_passes_unchanged(tmp_path: Path) -> None:
    arrays = collection()
    arrays["signal"] = arrays["signal"][:, :3]
    arrays["meta"] = np.array('{"rate_hz": 20, "acc_units": "m/s^2"}')
    recording = read(saved(tmp_path, arrays))

    assert recording.n_channels == 3
    assert recording.runs[0].samples[1].tolist() == [1, 0, 1]


def without(name: str) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.pop(name)


def instead(name: str, value: Any) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.update({name: np.array(value)})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without("segment"), "no array 'segment', expected: signal, subject"),
        (instead("signal", np.zeros((36, 4))), "signal is float64 (36, 4), expected floats (n, 3)"),
        (instead("signal", np.zeros((36, 6), int)), "signal is int64 (36, 6), expected floats"),
        (instead("subject", np.zeros(35, int)), "subject is int64 (35,), expected integers (36,)"),
        (instead("label", np.full(36, 2)), "labels go from 2 to 2, expected -1 to 1: there are 2"),
        (instead("signal", np.full((36, 6), np.nan)), "rows 0-11 hold NaN, infinity or more"),
        (instead("meta", "fifty"), "meta does not say rate_hz as a number and acc_units as one of"),
        (instead("meta", '{"rate_hz": 50}'), "acc_units as one of: g, m/s^2 (KeyError"),
        (instead("meta", '{"rate_hz": 0, "acc_units": "g"}'), "rate_hz 0.0, expected more than 0"),
        (instead("meta", '{"rate_hz": 5, "acc_units": "g"}'), "gyro_units None, expected 'rad/s'"),
    ],
)
def test_another_npz_is_told_from_ours(
    tmp_path: Path, spoil: Callable[[Arrays], Any], sentence: str
) -> None:
    arrays = collection()
    spoil(arrays)

    with pytest.raises(RecordingError) as caught:
        read(saved(tmp_path, arrays))
    assert sentence in str(caught.value)


def test_what_is_no_npz_at_all_is_said(tmp_path: Path) -> None:
    text, cut, lone, pickled = (tmp_path / f"{name}.npz" for name in ("a", "b", "c", "d"))
    text.write_text("time_s,ax,ay,az\n")
    whole = saved(tmp_path, collection()).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    with lone.open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(pickled, **collection() | {"meta": np.array([{"rate_hz": 50}], object)})

    for path in (text, cut, lone, pickled):
        with pytest.raises(RecordingError, match=rf"{path.name}: not an \.npz of plain arrays"):
            read(path)


@pytest.mark.parametrize(
    ("name", "n_channels"),
    [("hapt", 6), ("geotec_phone", 6), ("wisdm51_watch6", 3), ("washer_nano33", 6)],
)
def test_real_collections_feel_gravity(datasets: Path, name: str, n_channels: int) -> None:
    recording = read(datasets / f"{name}.npz")
    felt = np.concatenate([np.linalg.norm(run.samples[:, :3], axis=1) for run in recording.runs])

    assert recording.n_channels == n_channels
    assert np.median(felt) == pytest.approx(G, rel=0.05)
