"""Published collections as one file: their rows, units, people, labels; and where a piece ends."""

from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from published import Floats, hapt, mhealth, motionsense, moved, pamap2, uci_har, windowed, wisdm

from firmware_bridge.recordings.layout import Collection, collect, named, names


def pieces(found: Collection) -> list[tuple[int, Floats, list[int]]]:
    """Of each piece: who, rows, labels."""
    chosen = [found.segment == number for number in range(int(found.segment[-1]) + 1)]
    return [
        (int(found.subject[rows][0]), found.signal[rows], found.label[rows].tolist())
        for rows in chosen
    ]


def test_every_layout_says_what_it_is() -> None:
    layouts = [named(name) for name in names()]

    assert len({layout.LANDMARK for layout in layouts}) == len(layouts) == 8
    for layout in layouts:
        assert len(set(layout.ACTIVITIES)) == len(layout.ACTIVITIES)
        assert layout.ACC_UNITS in {"g", "m/s^2"}


def test_uci_har_windows_are_put_together_only_where_they_go_on(tmp_path: Path) -> None:
    walk, other, theirs = moved(320, 1, 1.0), moved(128, 2, 1.0), moved(192, 3, 1.0)
    windows = np.concatenate([windowed(walk), windowed(other), windowed(theirs)])
    uci_har(tmp_path, "train", windows, [1] * 5 + [3] * 2, [1, 1, 1, 1, 5, 4, 6])
    # the same rows, but another person: two recordings
    uci_har(tmp_path, "test", windowed(walk)[:2], [2, 4], [1, 1])
    found = collect(tmp_path)

    assert [(who, len(rows)) for who, rows, _ in pieces(found)] == [
        *((1, 320), (1, 128), (3, 192), (2, 128), (4, 128))
    ]
    npt.assert_allclose(pieces(found)[0][1], walk, rtol=1e-6)
    assert pieces(found)[1][2] == [4] * 128
    # sitting, then lying, in windows that share a half
    assert pieces(found)[2][2] == [3] * 64 + [-1] * 64 + [5] * 64
    assert (found.meta["acc_units"], found.meta["gyro_units"]) == ("g", "rad/s")
    assert found.label_names[4] == "STANDING"


def test_hapt_rows_are_labelled_from_the_first_to_the_last_named(tmp_path: Path) -> None:
    one, two = moved(60, 1, 1.0), moved(50, 2, 1.0)
    hapt(tmp_path, {(1, 1): one, (2, 1): two}, [[1, 1, 5, 11, 20], [2, 1, 12, 1, 50]])
    found = pieces(collect(tmp_path))

    npt.assert_allclose(found[0][1], one, rtol=1e-6)
    assert found[0][2] == [-1] * 10 + [4] * 10 + [-1] * 40
    assert found[1][2] == [11] * 50


def test_wisdm_2011_ends_a_piece_where_time_jumps_and_says_what_is_left_out(
    tmp_path: Path,
) -> None:
    file, steps, values = (
        tmp_path / "WISDM_ar_v1.1_raw.txt",
        np.arange(40) / 20,
        moved(40, 1)[:, :3],
    )
    written = wisdm(file, 33, "Jogging", 100 + steps, values)
    wisdm(file, 33, "Walking", 102 + steps, values)  # goes on: the label changes, no gap
    wisdm(file, 33, "Walking", 90 + steps, values)  # recorded earlier
    wisdm(file, 5, "Sitting", 50 + steps, values)
    with file.open("a") as text:
        text.write("5,Sitting,52000000000,0.15,-1.2,9.5,;\n\n")  # a comma too many: still good
        text.write(f"{written[3]}{written[4]}\n")  # two again, in one line
        text.write("11,Walking,1867172313000,4.4,4.4,\n20,Walking,0,0,0,0.0;\n")
        text.write("7,Standing,52000000000,0.15,-1.2,9.5;\n")
    wisdm(file, 5, "Sitting", 200 + 2.2 * steps, values)  # nine rows a second
    found = collect(tmp_path)

    assert [(who, len(rows)) for who, rows, _ in pieces(found)] == [(5, 41), (33, 80), (33, 40)]
    assert pieces(found)[1][2] == [1] * 40 + [0] * 40
    npt.assert_allclose(pieces(found)[1][1][:40], values, rtol=1e-6)
    assert found.meta["acc_units"] == "m/s^2"
    assert found.meta["skipped"] == {
        "broken records": 2,
        "records with the time of another": 2,
        "rows that are not 20 Hz by their times": 40,
        "rows between two gaps": 1,
    }


@pytest.mark.parametrize("place", ["watch", "phone"])
def test_wisdm_2019_joins_the_sensors_of_a_device_by_time(tmp_path: Path, place: str) -> None:
    raw, signal = tmp_path / "wisdm-dataset" / "raw" / place, moved(60, 4)
    times_s = 252207.6 + np.arange(60) * 0.0503
    # the gyro begins five rows later and is read 4 ms after the accelerometer
    for who in (1600, 1601):
        wisdm(raw / "accel" / f"data_{who}_accel_{place}.txt", who, "S", times_s, signal[:, :3])
        gyro = raw / "gyro" / f"data_{who}_gyro_{place}.txt"
        wisdm(gyro, who, "S", times_s[5:] + 0.004, signal[5:, 3:])
    found = collect(tmp_path, place)

    assert [who for who, _, _ in pieces(found)] == [1600, 1601]
    npt.assert_allclose(pieces(found)[1][1], signal[5:], rtol=1e-6)
    assert found.label_names[found.label[0]] == "folding clothes"
    assert found.meta["skipped"]["accelerations without a rotation"] == 10
    assert found.meta["placement"] == place


@pytest.mark.parametrize("place", ["hand", "chest", "ankle"])
def test_pamap2_ends_a_piece_at_nan_and_at_a_gap(tmp_path: Path, place: str) -> None:
    signals, times_s = np.hstack([moved(30, seed) for seed in range(3)]), 8.38 + np.arange(30) / 100
    first = {"hand": 0, "chest": 6, "ankle": 12}[place]
    signals[10:12, first] = np.nan
    times_s[20:] += 0.01  # one row lost
    pamap2(tmp_path, 101, times_s, [0] * 5 + [24] * 25, signals)
    found = collect(tmp_path, place)

    assert [len(rows) for _, rows, _ in pieces(found)] == [10, 8, 10]
    npt.assert_allclose(pieces(found)[2][1], signals[20:, first : first + 6], rtol=1e-6)
    assert pieces(found)[0][2] == [-1] * 5 + [17] * 5
    assert found.label_names[17] == "rope jumping"
    assert found.meta["skipped"] == {"rows with NaN": 2}
    assert (found.meta["rate_hz"], found.meta["acc_units"]) == (100.0, "m/s^2")


@pytest.mark.parametrize(("place", "columns"), [("chest", 3), ("ankle", 6), ("arm", 6)])
def test_mhealth_turns_degrees_to_radians(tmp_path: Path, place: str, columns: int) -> None:
    signals = np.hstack([moved(20, seed) for seed in range(3)])[:, :15]
    for who in (10, 9):
        mhealth(tmp_path, who, [0] * 5 + [12] * 15, signals)
    found = collect(tmp_path, place)
    first = {"chest": 0, "ankle": 3, "arm": 9}[place]
    expected = signals[:, first : first + columns].copy()
    expected[:, 3:] *= np.pi / 180

    assert [who for who, _, _ in pieces(found)] == [9, 10]
    npt.assert_allclose(pieces(found)[0][1], expected, rtol=1e-6)
    assert pieces(found)[0][2] == [-1] * 5 + [11] * 15
    assert ("gyro_units" in found.meta) == (columns == 6)


def test_motionsense_is_gravity_and_motion_the_way_other_sensors_count(tmp_path: Path) -> None:
    down, rest = np.tile([0.0, 0.0, -1.0], (25, 1)), moved(25, 1, 0.0)
    rest[:, 3:] = [0.1, 0.0, -0.2]
    for trial, who in [("wlk_15", 2), ("wlk_7", 2), ("dws_1", 2), ("wlk_7", 1)]:
        motionsense(tmp_path / "A_DeviceMotion_data", trial, who, down, rest)
    found = collect(tmp_path)

    assert [who for who, _, _ in pieces(found)] == [1, 2, 2, 2]
    assert [codes[0] for _, _, codes in pieces(found)] == [2, 0, 2, 2]
    # face up at rest z is +1 g, as on Android; pushed to where x points, x grows
    npt.assert_allclose(pieces(found)[0][1][:, :3], np.tile([-0.1, 0.0, 1.2], (25, 1)), atol=1e-6)
    npt.assert_allclose(pieces(found)[0][1][:, 3:], rest[:, :3], atol=1e-6)


def test_usc_had_turns_degrees_to_radians(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="scipy writes and reads .mat files")
    signal = moved(30, 1, 1.0)
    for who, name in [(14, "a12t5"), (2, "a10t1"), (2, "a2t1")]:
        (tmp_path / f"Subject{who}").mkdir(exist_ok=True)
        file = tmp_path / f"Subject{who}" / f"{name}.mat"
        scipy_io.savemat(file, {"title": "USC-HAD", "sensor_readings": signal})
    found = collect(tmp_path)

    assert [(who, codes[0]) for who, _, codes in pieces(found)] == [(2, 1), (2, 9), (14, 11)]
    expected = np.hstack([signal[:, :3], np.deg2rad(signal[:, 3:])])
    npt.assert_allclose(pieces(found)[0][1], expected, rtol=1e-6)
