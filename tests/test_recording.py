"""Recordings in files: what is written is read again, and what is wrong is said with its place."""

import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from firmware_bridge.recording import Recording, RecordingError, Run
from firmware_bridge.recordings.csv_file import CsvWriter, read_csv, write_csv
from firmware_bridge.recordings.files import read

HEADER = "time_s,ax,ay,az,gx,gy,gz,activity"
ROWS = ["0.00,1,2,3,4,5,6,walking", "0.02,1,2,3,4,5,6,", "0.04,1,2,3,4,5,6,walking"]


def made(tmp_path: Path, *lines: str, name: str = "r.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def walked(rows: int, rate_hz: float = 50.0, n_channels: int = 6) -> Recording:
    rng = np.random.default_rng(rows)
    samples = rng.normal(0, 5, (rows, n_channels)).astype(np.float32)
    codes = (np.arange(rows) // 100 % 3 - 1).astype(np.int16)
    return Recording(rate_hz, (Run(0.0, samples, codes),), n_channels, "w", ("stairs", "walking"))


# Reading CSV


def test_a_file_is_read_in_si_with_its_activities(tmp_path: Path) -> None:
    recording = read(made(tmp_path, HEADER, *ROWS))

    (run,) = recording.runs
    assert (recording.rate_hz, recording.n_channels, recording.name) == (50.0, 6, "r.csv")
    assert run.samples.dtype == np.float32
    assert run.samples.tolist() == [[1, 2, 3, 4, 5, 6]] * 3
    assert (recording.activities, run.codes.tolist()) == (("walking",), [0, -1, 0])


@pytest.mark.parametrize(
    ("header", "n_channels"),
    [
        ("time_s,ax,ay,az", 3),
        ("time_s,ax,ay,az,activity", 3),
        ("time_s,ax,ay,az,gx,gy,gz", 6),
        ("time_s, ax, ay, az, activity", 3),
        ("\ufefftime_s,ax,ay,az", 3),
    ],
)
def test_gyro_and_activity_may_be_missing(tmp_path: Path, header: str, n_channels: int) -> None:
    fields = ["7"] * n_channels + ["cycling"] * ("activity" in header)
    rows = [",".join([f"{time_s}", *fields]) for time_s in (1.5, 1.52)]
    recording = read(made(tmp_path, header, *rows))

    assert recording.n_channels == n_channels
    assert recording.activities == (("cycling",) if "activity" in header else ())
    assert recording.runs[0].start_s == 1.5


def test_the_rate_is_measured_from_the_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times_s = np.arange(2000) / 119.3 + rng.uniform(-0.001, 0.001, 2000)  # jitter of a quarter step
    recording = read(made(tmp_path, "time_s,ax,ay,az", *(f"{t:.5f},0,0,9.8" for t in times_s)))

    assert recording.rate_hz == pytest.approx(119.3, rel=2e-4)
    assert len(recording.runs) == 1


def test_what_the_times_cannot_tell_of_the_rate_is_rounded_away(tmp_path: Path) -> None:
    # The last of 2377 rows lies at 19.966386 s, written as 19.96639: 118.99998 Hz.
    rows = (f"{k / 119:.5f},0,0,9.8" for k in range(2377))

    assert read(made(tmp_path, "time_s,ax,ay,az", *rows)).rate_hz == 119.0


def test_a_lost_row_begins_a_new_run_and_does_not_change_the_rate(tmp_path: Path) -> None:
    times_s = [k * 0.02 for k in range(20) if k not in (7, 12, 13, 14)]
    recording = read(made(tmp_path, "time_s,ax,ay,az", *(f"{t:.5f},0,0,9.8" for t in times_s)))

    assert [(run.start_s, len(run.samples)) for run in recording.runs] == [
        (0.0, 7),
        (0.16, 4),
        (0.3, 5),
    ]
    assert recording.rate_hz == 50.0


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "r.csv: the file is empty, expected the header time_s,ax,ay,az,gx,gy,gz,activity"),
        ([HEADER], "r.csv: expected at least 2 rows below the header"),
        ([HEADER, ROWS[0]], "r.csv: expected at least 2 rows below the header"),
        (["time_s,ax,az", *ROWS], "r.csv, line 1: column 'ay' is missing, expected the header"),
        (["time_s,ax,ay,az,gx,gz"], "r.csv, line 1: column 'gy' is missing"),
        (ROWS, "r.csv, line 1: column 'time_s' is missing"),
        (["time_s,ax,ay,az,heart"], "r.csv, line 1: column 'heart' is unknown"),
        (["time_s,ay,ax,az"], "r.csv, line 1: the columns are in another order"),
        (["time_s,ax,ay,az,az"], "r.csv, line 1: the columns are in another order"),
        (
            [HEADER, *ROWS, "0.06,1,2,x3,4,5,6,"],
            "r.csv, line 5: az is 'x3', expected a number",
        ),
        ([HEADER, *ROWS, "0.06,1,2,,4,5,6,"], "r.csv, line 5: az is '', expected a number"),
        ([HEADER, ROWS[0], "0.02,nan,2,3,4,5,6,"], "line 3: ax is 'nan', expected a finite number"),
        ([HEADER, ROWS[0], "0.02,1,2,3,-inf,5,6,"], "line 3: gx is '-inf', expected a finite"),
        ([HEADER, ROWS[0], "inf,1,2,3,4,5,6,"], "line 3: time_s is 'inf', expected a finite"),
        ([HEADER, ROWS[0], "0.02,1,2,3,1e39,5,6,"], "line 3: gx is '1e39', expected a finite"),
        (
            [HEADER, *ROWS, "0.03,1,2,3,4,5,6,"],
            "r.csv, line 5: time_s is 0.03 after 0.04, expected every row later than the one",
        ),
        ([HEADER, *ROWS, ROWS[-1]], "r.csv, line 5: time_s is 0.04 after 0.04"),
        (
            [HEADER, ROWS[0], "0.02,1,2,3,4,5,6"],
            "r.csv, line 3: 7 fields, expected 8: time_s,ax,ay,az,gx,gy,gz,activity",
        ),
        ([HEADER, ROWS[0], "", *ROWS[1:]], "r.csv, line 3: 0 fields, expected 8"),
        (
            [HEADER, ROWS[0], '0.02,1,2,3,4,5,6,"wal', 'king"', ROWS[2]],
            "r.csv, lines 2-5: a quoted line break, expected one row per line",
        ),
        ([HEADER, ROWS[0], '0.02,1,2,3,4,5,6,"walking'], "r.csv, line 3: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    with pytest.raises(RecordingError) as caught:
        read(path)
    assert sentence in str(caught.value)


def test_a_fault_deep_in_a_long_file_has_its_line(tmp_path: Path) -> None:
    rows = [f"{k * 0.02:.2f},0,0,9.8" for k in range(45_000)]
    rows[41_234] = "oops,0,0,9.8"

    with pytest.raises(RecordingError, match="line 41236: time_s is 'oops', expected a number"):
        read(made(tmp_path, "time_s,ax,ay,az", *rows))


def test_time_must_go_on_across_the_blocks_a_file_is_read_in(tmp_path: Path) -> None:
    rows = [f"{k * 0.02:.2f},0,0,9.8" for k in range(20_000)]

    with pytest.raises(RecordingError, match=r"line 20002: time_s is 0\.5 after 399\.98"):
        read(made(tmp_path, "time_s,ax,ay,az", *rows, "0.5,0,0,9.8"))


def test_not_utf_8_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(f"{HEADER}\n{ROWS[0]}\n0.02,1,2,3,4,5,6,".encode() + "Gehör".encode("latin-1"))

    with pytest.raises(RecordingError, match=r"r\.csv, line 3: not UTF-8 text"):
        read(path)


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_gzip_cut_short_is_said(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "r.csv.gz"
    write_csv(walked(500), path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    with pytest.raises(RecordingError, match=r"r\.csv\.gz: the gzip file is damaged or cut short"):
        read(path)


def test_what_only_claims_to_be_gzipped_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"the gzip file is damaged or cut short: Not a gzip"):
        read(made(tmp_path, HEADER, *ROWS, name="r.csv.gz"))


def test_another_ending_is_refused_and_so_is_a_subject_of_a_csv(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"r\.txt: expected a name that ends in \.csv"):
        read(made(tmp_path, HEADER, *ROWS, name="r.txt"))
    with pytest.raises(RecordingError, match=r"only an \.npz has subjects"):
        read(made(tmp_path, HEADER, *ROWS), subject=1)


def test_ten_minutes_are_read_in_half_a_second(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_csv(walked(30_000), path)
    began_s = time.process_time()
    read(path)

    assert time.process_time() - began_s < 0.5  # 0.08 s where this was written


# Writing


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12
)


@given(
    samples=st_numpy.arrays(
        np.float32,
        st.tuples(st.integers(2, 40), st.sampled_from([3, 6])),
        elements=st.floats(-999, 999, width=32),
    ),
    start_s=st.floats(0, 1e6),
    rate_hz=st.sampled_from([20.0, 50.0, 119.0, 102.49]),
    name=NAMES,
    ending=st.sampled_from([".csv", ".csv.gz"]),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_is_read_again(  # noqa: PLR0917
    tmp_path: Path,
    samples: NDArray[np.float32],
    start_s: float,
    rate_hz: float,
    name: str,
    ending: str,
) -> None:
    codes = (np.arange(len(samples)) % 2 - 1).astype(np.int16)
    run = Run(start_s, samples, codes)
    path = tmp_path / f"r{ending}"
    write_csv(Recording(rate_hz, (run,), samples.shape[1], "r", (name,)), path)
    again = read_csv(path)

    assert (again.activities, again.runs[0].codes.tolist()) == ((name,), codes.tolist())
    assert again.runs[0].start_s == pytest.approx(start_s, abs=5.1e-6)
    # The fewer rows, the less their times, written to 10 µs, say about the rate.
    assert again.rate_hz == pytest.approx(rate_hz, rel=0.02 / len(samples))
    # Five decimals, and float32 near 999 is not finer than 6e-5.
    np.testing.assert_allclose(again.runs[0].samples, samples, atol=5.1e-6, rtol=1e-7)


def test_runs_stay_apart(tmp_path: Path) -> None:
    first = walked(30).runs[0]
    later = Run(10.0, first.samples, first.codes)
    write_csv(Recording(50.0, (first, later), 6, "r", ("stairs",)), tmp_path / "r.csv")

    assert [run.start_s for run in read(tmp_path / "r.csv").runs] == [0.0, 10.0]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_the_same_rows_give_the_same_bytes_whatever_the_name_hour_and_chunks(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = walked(60)
    (run,) = recording.runs
    write_csv(recording, tmp_path / f"a{ending}")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    with CsvWriter(tmp_path / f"b{ending}", 6) as writer:
        for k in range(60):
            code = int(run.codes[k])
            name = recording.activities[code] if code >= 0 else ""
            writer.write(np.array([k / 50]), run.samples[k : k + 1], [name])

    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_numbers_have_five_decimals_and_zero_has_no_sign(tmp_path: Path) -> None:
    samples = np.array([[-0.0, -1e-9, 9.80665], [1, 2, 3]], np.float32)
    path = tmp_path / "r.csv.gz"
    with CsvWriter(path, 3) as writer:
        writer.write(np.array([0.0, 0.02]), samples, ["", 'say "a, b"'])

    assert gzip.decompress(path.read_bytes()).decode().split("\n") == [
        "time_s,ax,ay,az,activity",
        "0.00000,0.00000,0.00000,9.80665,",
        '0.02000,1.00000,2.00000,3.00000,"say ""a, b"""',
        "",
    ]


def test_what_was_written_before_an_error_is_kept(tmp_path: Path) -> None:
    def interrupted() -> None:
        with CsvWriter(tmp_path / "r.csv.gz", 3) as writer:
            writer.write(np.arange(5) / 50, np.ones((5, 3), np.float32), [""] * 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read(tmp_path / "r.csv.gz").rows == 5
