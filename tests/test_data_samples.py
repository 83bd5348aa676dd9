"""The samples are what their README says, and can be made again to the byte."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from firmware_bridge.recording import Recording
from firmware_bridge.recordings.files import read
from firmware_bridge.recordings.samples import SCRIPTS, record_wearer

G = 9.80665
FOLDER = PROJECT / "data_samples"
FILES = {"rest": "rest.csv", "quarter_turn": "quarter_turn.csv", "mixed_day": "mixed_day.csv.gz"}


def sample(name: str) -> Recording:
    return read(FOLDER / FILES[name])


def text(path: Path) -> bytes:
    """Another zlib may pack otherwise; what was packed is the same."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_sample_made_again_is_the_same(tmp_path: Path, name: str) -> None:
    again = tmp_path / FILES[name]
    record_wearer(name, again)

    assert text(again) == text(FOLDER / FILES[name])


def test_every_script_has_its_file_and_every_file_its_line_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert set(FILES) == set(SCRIPTS)
    assert {path.name for path in FOLDER.iterdir()} == {*FILES.values(), "README.md"}
    for name, file in FILES.items():
        assert f"budge record --wearer {name} data_samples/{file}" in readme
    assert "These recordings are simulated" in readme


@pytest.mark.parametrize(
    ("name", "seconds"), [("rest", 30), ("quarter_turn", 20), ("mixed_day", 600)]
)
def test_a_sample_is_one_run_of_fifty_rows_a_second(name: str, seconds: int) -> None:
    recording = sample(name)

    assert (recording.rate_hz, recording.n_channels, len(recording.runs)) == (50.0, 6, 1)
    assert (recording.rows, recording.runs[0].start_s) == (seconds * 50, 0.0)


def test_rest_is_gravity_and_little_else() -> None:
    (run,) = sample("rest").runs

    assert np.linalg.norm(run.samples[:, :3], axis=1) == pytest.approx(G, abs=0.25)
    assert np.abs(run.samples[:, 3:]).max() < 0.05


def test_the_quarter_turn_goes_from_z_to_y_by_a_right_angle_about_x() -> None:
    (run,) = sample("quarter_turn").runs

    np.testing.assert_allclose(run.samples[:50, :3].mean(axis=0), [0, 0, G], atol=0.02)
    np.testing.assert_allclose(run.samples[-50:, :3].mean(axis=0), [0, G, 0], atol=0.02)
    turned = run.samples[:, 3:].sum(axis=0) / 50
    # 20 s of the gyro's noise and of its counts add up to a few mrad.
    np.testing.assert_allclose(turned, [np.pi / 2, 0, 0], atol=0.02)


def test_the_mixed_day_holds_its_five_activities_and_names_no_transition() -> None:
    recording = sample("mixed_day")
    (run,) = recording.runs
    unlabelled = run.codes == -1
    changes = len(SCRIPTS["mixed_day"]) - 1

    assert recording.activities == ("cycling", "resting", "running", "stairs", "walking")
    assert np.flatnonzero(np.diff(unlabelled.astype(int)) == 1).size == changes
    assert unlabelled.sum() == pytest.approx(50 * changes, abs=changes)


def test_another_name_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="no wearer is called 'nap', there are: rest, quarter_turn"
    ):
        record_wearer("nap", tmp_path / "nap.csv")
