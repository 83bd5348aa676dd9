"""`budge import`: what it refuses, file and line; what it writes is what the project reads."""

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from budge import BUDGE
from published import hapt, lines, mhealth, motionsense, moved, pamap2, uci_har, windowed, wisdm

from deploy.commands.import_ import import_
from firmware_bridge.recording import RecordingError
from firmware_bridge.recordings.files import read
from firmware_bridge.recordings.layout import collect
from firmware_bridge.recordings.npz_writer import write_npz

G = 9.80665


def one_mhealth(folder: Path) -> Path:
    return mhealth(folder, 1, [4] * 20, np.hstack([moved(20, seed) for seed in range(3)])[:, :15])


def instead(line: int, text: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        rows = file.read_text().splitlines()
        rows[line - 1] = text
        file.write_text("\n".join(rows))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (instead(3, "1.0\t2.0"), "mHealth_subject1.log, line 3: 2 columns, expected 24"),
        (instead(2, "\t".join(["x"] * 24)), "line 2: 'x' in column 6, expected a number"),
        (instead(9, "\t".join(["nan"] * 24)), "line 9: nan in column 6, expected a finite number"),
        (instead(4, "\t".join(["13"] * 24)), "line 4: activity 13, expected one of 0, 1, 2"),
        (lambda file: file.write_text(""), "mHealth_subject1.log: no rows, expected 24 numbers"),
    ],
)
def test_a_bad_line_is_named(
    tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(one_mhealth(tmp_path))

    with pytest.raises(RecordingError) as caught:
        collect(tmp_path)
    assert sentence in str(caught.value)


def test_a_line_that_was_cut_short_behind_what_is_read_is_named(tmp_path: Path) -> None:
    signals = np.hstack([moved(30, seed) for seed in range(3)])
    file = pamap2(tmp_path, 101, np.arange(30) / 100, [4] * 30, signals)
    text = file.read_text()
    file.write_text(text[: text.rindex(" ")])

    with pytest.raises(RecordingError, match=r"subject101\.dat, line 30: 53 columns, expected 54"):
        collect(tmp_path)


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    hapt(tmp_path / "a", {(1, 1): moved(60, 1)}, [[1, 1, 5, 11, 61]])
    hapt(tmp_path / "b", {(1, 1): moved(60, 1)}, [[1, 1, 5, 11, 20]])
    lines(tmp_path / "b" / "RawData" / "gyro_exp01_user01.txt", [[1.0, 2.0, 3.0]])
    windows = windowed(moved(192, 1))
    uci_har(tmp_path / "c", "train", windows, [1, 1], [1, 1])
    lines(tmp_path / "c" / "train" / "subject_train.txt", [[1]])
    motionsense(tmp_path / "d", "dws_1", 1, np.ones((9, 3)), np.ones((9, 6)))
    instead(1, ",attitude.roll,x")(tmp_path / "d" / "dws_1" / "sub_1.csv")

    for folder, sentence in [
        (
            "a",
            "labels.txt, line 1: activity 5, rows 11 to 61, expected 1 to 12 and rows of acc_exp",
        ),
        ("b", "gyro_exp01_user01.txt: 1 rows, expected as many as in acc_exp01_user01.txt, 60"),
        ("c", "subject_train.txt: 1 windows, expected as many as in y_train.txt, 2"),
        ("d", "sub_1.csv, line 1: ',attitude.roll,x', expected ',attitude.roll,attitude.pitch"),
    ]:
        with pytest.raises(RecordingError) as caught:
            collect(tmp_path / folder)
        assert sentence in str(caught.value)


def test_a_wisdm_file_of_something_else_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "WISDM_ar_v1.1_raw.txt"
    wisdm(file, 1, "Walking", np.arange(50) / 20 + 1, moved(50, 1)[:, :3])
    wisdm(file, 1, "Swimming", np.arange(50) / 20 + 9, moved(50, 1)[:, :3])

    with pytest.raises(RecordingError, match=r"txt, line 51: '1,Swimming,.* 50 of 100 records"):
        collect(tmp_path)


def test_a_mat_of_something_else_is_refused(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="scipy writes and reads .mat files")
    file = tmp_path / "Subject1" / "a1t1.mat"
    lines(file, [["no", "matrix", "at", "all", "x" * 200]])
    with pytest.raises(RecordingError, match=r"a1t1\.mat: not a \.mat with sensor_readings"):
        collect(tmp_path)

    scipy_io.savemat(file, {"sensor_readings": moved(30, 1)[:, :5]})
    with pytest.raises(RecordingError, match=r"are \(30, 5\), expected finite numbers \(n, 6\)"):
        collect(tmp_path)


def test_without_scipy_a_mat_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "Subject1" / "a1t1.mat", [[0]])
    monkeypatch.setitem(sys.modules, "scipy.io", None)

    with pytest.raises(RecordingError, match="scipy, which is not installed: pip install scipy"):
        collect(tmp_path)


def test_a_folder_of_none_or_of_two_collections_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no collection of a known layout.*MHEALTH: mHealth_"):
        collect(tmp_path)
    one_mhealth(tmp_path / "a")
    one_mhealth(tmp_path / "b")
    with pytest.raises(RecordingError, match=r"2 collections, expected one: name one of .*a, .*b"):
        collect(tmp_path)
    with pytest.raises(RecordingError, match="worn at 'knee', there are: ankle, arm, chest"):
        collect(tmp_path / "a", "knee")


def test_the_command_writes_what_the_project_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals, out = np.hstack([moved(30, seed) for seed in range(3)]), tmp_path / "out.npz"
    signals[10, 12] = np.nan
    pamap2(tmp_path, 105, np.arange(30) / 100, [0] * 15 + [4] * 15, signals)
    import_(tmp_path, out, place="ankle")
    recording = read(out, subject=105, session=2)

    assert [len(run.samples) for run in recording.runs] == [19]
    npt.assert_allclose(recording.runs[0].samples, signals[11:, 12:], rtol=1e-6)
    assert recording.activities[recording.runs[0].codes[-1]] == "walking"
    said = capsys.readouterr().out
    assert "PAMAP2, ankle, 1 people, 29 rows at 100 Hz" in said
    assert "in 2 segments, 52% of it labelled" in said
    assert "left out: 1 rows with NaN" in said


def test_units_of_g_become_m_s2_when_read(tmp_path: Path) -> None:
    hapt(tmp_path, {(1, 1): moved(60, 1, 1.0)}, [[1, 1, 5, 11, 20]])
    write_npz(tmp_path / "h.npz", collect(tmp_path))
    felt = read(tmp_path / "h.npz").runs[0].samples[:, :3]

    npt.assert_allclose(felt, G * moved(60, 1, 1.0)[:, :3], rtol=1e-5)
    with pytest.raises(RecordingError, match=r"h\.csv: expected a name that ends in \.npz"):
        write_npz(tmp_path / "h.csv", collect(tmp_path))


def test_real_recordings_come_back_from_the_layout_they_had(datasets: Path, tmp_path: Path) -> None:
    """A person of HAPT, written as published and imported, is the person of the prepared file."""
    real = read(datasets / "hapt.npz", subject=7, session=1)
    samples, codes = real.runs[0].samples.astype(np.float64), real.runs[0].codes
    samples[:, :3] /= G
    bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    labels = [[13, 7, int(codes[a]) + 1, a + 1, b] for a, b in pairwise(bounds) if codes[a] >= 0]
    hapt(tmp_path, {(13, 7): samples}, labels)
    write_npz(tmp_path / "again.npz", collect(tmp_path))
    again = read(tmp_path / "again.npz").runs[0]

    npt.assert_array_equal(again.codes, codes)
    # to m/s² and back in single precision
    npt.assert_allclose(again.samples, real.runs[0].samples, rtol=1e-6, atol=1e-6)


def test_help_shows_an_example() -> None:
    shown = subprocess.run([BUDGE, "import", "--help"], capture_output=True, text=True, check=True)

    assert "budge import PAMAP2_Dataset" in shown.stdout
