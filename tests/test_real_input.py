"""Two real people, taught by button in one session, recognised in another."""

from pathlib import Path

import pytest

real_input = pytest.importorskip("real_input")


@pytest.mark.usefixtures("datasets")
def test_two_real_people_are_recognised_on_another_day(tmp_path: Path) -> None:
    people = real_input.people()
    with real_input.Mosquitto(tmp_path) as broker:
        results = [
            real_input.run(subject, people[subject], broker, tmp_path / str(subject))
            for subject in (1, 17)
        ]
    for result in results:
        print(result, f"{result.accuracy:.1%}")

    # All thirty are at 96 % in the mean (tests/real_input.py); these are two of the lesser ones.
    assert sum(result.accuracy for result in results) / 2 >= 0.93
    assert all(result.taught_windows > 80 for result in results)
