"""Its own prequential record: what it said before it was told."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.messages import UNSURE, Score
from deploy.record import LATEST, Record
from learner.journal import Journal

S = 1_000_000
KNOWN = ("walking", "stairs")


@pytest.fixture(name="journal")
def _journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


def day(record: Record, said: Sequence[str | None], taught: str, *, at_s: int = 0) -> None:
    """Let a window a second go by, each taught afterwards."""
    for second, activity in enumerate(said, at_s):
        record.saw(second * S, activity, KNOWN)
    for second in range(at_s, at_s + len(said)):
        record.taught(second * S, None, taught)


def scores(record: Record) -> dict[str, Score]:
    return record.told().activities


def test_what_it_said_before_it_was_taught_is_how_good_it_is(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking", "walking", "stairs", None], "walking")
    assert scores(record) == {"walking": Score(windows=4, right=None)}  # too few to say

    day(record, ["walking"], "walking", at_s=4)

    assert scores(record) == {"walking": Score(windows=5, right=0.6)}


def test_what_was_not_known_when_it_went_by_is_no_record(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking", None] * 3, "cycling")

    assert scores(record) == {}


def test_a_window_that_is_taken_back_counts_no_more(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking"] * 5 + ["stairs"], "walking")
    record.taught(5 * S, "walking", None)
    assert scores(record)["walking"] == Score(windows=5, right=1.0)

    record.taught(4 * S, "walking", "stairs")  # no, those were stairs

    assert scores(record)["walking"].windows == 4
    assert scores(record)["stairs"].windows == 1


def test_only_the_latest_windows_count(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["stairs"] * LATEST, "walking")
    day(record, ["walking"] * LATEST, "walking", at_s=LATEST)

    assert scores(record)["walking"] == Score(windows=LATEST, right=1.0)


def test_the_clocks_of_the_journal_and_the_source_may_round_apart(journal: Journal) -> None:
    record = Record(journal)
    for second in range(5):
        record.saw(second * S, "walking", KNOWN)
        record.taught(second * S - 1, None, "walking")

    assert scores(record)["walking"].windows == 5


def test_two_that_are_taken_for_each_other_are_named_with_what_to_do(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking"] * 16 + ["stairs"] * 4, "walking")
    assert record.told().confused == ()  # nothing is known of the stairs yet
    day(record, ["stairs"] * 10 + ["walking"] * 6, "stairs", at_s=50)

    told = record.told()

    assert [(pair.one, pair.other, pair.share) for pair in told.confused] == [
        ("stairs", "walking", round(10 / 36, 3))
    ]
    assert told.advice == "stairs and walking look alike from here: teach 20 s more of each"


def test_it_outlives_a_restart(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking", None, "stairs", "walking", "walking"], "walking")
    record.keep()

    assert Record(journal).told() == record.told()
    assert UNSURE in journal.recall("record").decode()  # type: ignore[union-attr]


def test_a_renamed_activity_keeps_its_record_and_two_become_one(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking"] * 4 + ["stairs"], "walking")
    day(record, ["stairs"] * 5, "stairs", at_s=10)
    record.rename("stairs", "steps")
    assert scores(record)["steps"] == Score(windows=5, right=1.0)

    record.rename("steps", "walking")

    assert scores(record) == {"walking": Score(windows=10, right=1.0)}


def test_what_is_forgotten_leaves_no_trace(journal: Journal) -> None:
    record = Record(journal)
    day(record, ["walking"] * 5 + ["stairs"], "walking")
    day(record, ["stairs"] * 5, "stairs", at_s=10)
    record.keep()
    record.forget("stairs")

    assert "stairs" not in str(json.loads(journal.recall("record") or b""))
    assert scores(record) == {"walking": Score(windows=5, right=1.0)}

    record.forget_between(0, 2 * S)
    record.taught(1 * S, None, "walking")  # what went by is forgotten, too

    assert scores(record)["walking"].windows == 2
