"""Three hours and a half and what goes wrong in it; `soak.py` is the command for many days."""

from pathlib import Path

import pytest
from soak import Soaked, soak, table
from soak_ledger import Ledger
from soaked import CHANCES

from deploy.messages import Response
from learner.journal import Journal

SEED = 20261124


@pytest.fixture(name="soaked", scope="module")
def _soaked(tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    soaked = soak(0.1, SEED, tmp_path_factory.mktemp("soak"), every_s=200)
    print(table(soaked))
    return soaked


def test_no_acknowledged_label_is_lost_over_restarts_and_faults(soaked: Soaked) -> None:
    assert soaked.lost == []
    assert soaked.ledger.acknowledged > 20
    assert soaked.by_mqtt > 10
    assert soaked.lives > 1
    assert soaked.ledger.ended_by_themselves > 0
    assert not {*CHANCES} - {*soaked.happened}


def test_the_model_at_the_end_is_the_one_that_the_journal_makes(soaked: Soaked) -> None:
    assert soaked.same_model


def test_nothing_grows(soaked: Soaked) -> None:
    assert soaked.grown == []


def test_what_grows_and_what_ended_too_soon_is_told(soaked: Soaked) -> None:
    first = soaked.tenths[0]
    leaked = first._replace(threads=first.threads + 2, journal_mb=first.journal_mb + 9)
    grown = soaked._replace(tenths=[*soaked.tenths[:-1], leaked]).grown

    assert [sentence.split()[0] for sentence in grown] == ["threads", "journal_mb"]
    assert soaked._replace(tenths=soaked.tenths[:3]).grown


def test_a_label_that_is_not_in_the_journal_is_called_lost(tmp_path: Path) -> None:
    ledger = Ledger()
    stretch = {"start": "2027-01-15T08:00:00.123Z", "end": "2027-01-15T08:01:00.000Z"}
    for n, activity in enumerate(("walking", "running")):
        taught = Response(
            status="ok",
            data={"action": "taught", "activity": activity, "windows": 3, **stretch},
            transaction=str(n),
        )
        ledger.take(taught, 0)
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.annotate("walking", 1_800_000_000_123_400, 1_800_000_060_000_000, "test")
        missing = ledger.lost(journal)
        journal.annotate("running", 1_800_000_000_123_400, 1_800_000_061_000_000, "test")
        wrong = ledger.lost(journal)

    assert missing == ["2 acknowledged, 1 in the journal"]
    assert len(wrong) == 1
    assert "running" in wrong[0]
