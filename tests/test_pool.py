"""`budge pool`: from what several devices have learnt to a start for another."""

import re
import subprocess
from pathlib import Path

import pytest
from budge import BUDGE
from msgspec.structs import replace
from scripted import live, model_of, press

from deploy.messages import Info
from deploy.service import locked
from deploy.settings import Learning, Settings
from learner import Recognizer
from learner.journal import Journal

MINUTE = 3000  # rows


def pool(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUDGE, "pool", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(name="homes")
def _homes(tmp_path: Path) -> tuple[Path, Path]:
    """State folders of two devices that were taught by the same button."""
    ada, bob = tmp_path / "ada", tmp_path / "bob"
    live(ada, press("walking"), MINUTE, press("resting"), MINUTE, press("stop"), seed=1)
    live(bob, press("walking"), MINUTE, press("stop"), seed=2)
    return ada, bob


def test_what_two_devices_have_learnt_is_a_start_for_a_third(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    done = pool(*homes, tmp_path / "both.model")
    settings = Settings(learning=Learning(starter=str(tmp_path / "both.model")))
    third = live(tmp_path / "third", settings=settings)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "both.model: 3 channels, 50 Hz, windows of 2.56 s, discriminant; windows taught:"
        " walking 88, resting 43\n"
    )
    assert third.of(Info)[0].activities == {"walking": 0, "resting": 0}


def test_a_state_folder_and_the_file_made_of_it_are_the_same_model(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    ada, bob = homes
    pool(ada, tmp_path / "ada.model")
    pool(tmp_path / "ada.model", bob, tmp_path / "mixed.model")
    pool(bob, ada, tmp_path / "folders.model")

    assert Recognizer.load(tmp_path / "ada.model").digest() == model_of(live(ada))
    mixed, folders = (Recognizer.load(tmp_path / f"{n}.model") for n in ("mixed", "folders"))
    assert mixed.digest() == folders.digest()


def test_a_device_gives_what_it_was_taught_itself_and_not_what_it_began_with(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    ada, bob = homes
    pool(ada, tmp_path / "ada.model")
    began = Settings(learning=Learning(starter=str(tmp_path / "ada.model")))
    live(bob, settings=began)
    pool(bob, tmp_path / "bob.model")

    assert Recognizer.load(tmp_path / "bob.model").activities == {"walking": 44}


def test_a_budge_that_runs_is_to_be_stopped_first(homes: tuple[Path, Path], tmp_path: Path) -> None:
    with locked(homes[0]):
        refused = pool(homes[0], tmp_path / "out.model")

    assert refused.returncode == 1
    assert re.search(r"^budge: another budge is running on .*/ada: stop it", refused.stderr)


def test_after_a_crash_the_model_that_was_kept_is_not_all_there_is(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    with Journal(homes[1] / "journal.sqlite") as journal:
        journal.rename("walking", "strolling")
    refused = pool(homes[1], tmp_path / "out.model")
    live(homes[1])
    done = pool(homes[1], tmp_path / "out.model")

    assert refused.returncode == 1
    assert "/bob holds no model of all that was taught there: start budge on it" in refused.stderr
    assert done.stdout.endswith("windows taught: strolling 44\n")


def test_what_is_not_alike_is_not_pooled(homes: tuple[Path, Path], tmp_path: Path) -> None:
    short = replace(Settings().window, length_s=1.28)
    live(tmp_path / "short", settings=Settings(window=short))
    refused = pool(homes[0], tmp_path / "short", tmp_path / "out.model")

    assert refused.returncode == 1
    assert re.search(
        "/short is a model of 3 channels, 50 Hz, windows of 1.28 s, discriminant, expected 3"
        " channels, 50 Hz, windows of 2.56 s, discriminant as .*/ada: only what is alike",
        refused.stderr,
    )
    assert not (tmp_path / "out.model").exists()


def test_a_classifier_that_depends_on_the_order_of_lessons_cannot_be_pooled(tmp_path: Path) -> None:
    live(tmp_path / "tree", settings=Settings(classifier="tree"))
    refused = pool(tmp_path / "tree", tmp_path / "out.model")

    assert refused.returncode == 1
    assert refused.stderr.startswith("budge: this kind of classifier cannot be pooled (tree ")


def test_what_is_no_model_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear budge")
    (tmp_path / "empty").mkdir()
    for name, sentence in [
        ("letter.txt", "letter.txt is not a whole model"),
        ("nowhere.model", "nowhere.model: there is no such file or folder"),
        ("empty", "empty holds no journal.sqlite: expected the state folder of a budge, or a file"),
    ]:
        refused = pool(tmp_path / name, tmp_path / "out.model")

        assert refused.returncode == 1
        assert sentence in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_model_is_not_pooled_over_another(homes: tuple[Path, Path], tmp_path: Path) -> None:
    pool(homes[0], tmp_path / "ada.model")
    before = (tmp_path / "ada.model").read_bytes()
    refused = pool(homes[1], tmp_path / "ada.model")

    assert refused.returncode == 2
    # Wherever the frame broke the line, also within the name of a deep folder.
    assert "ada.modelistherealready" in re.sub(r"[│\s]+", "", refused.stderr)
    assert (tmp_path / "ada.model").read_bytes() == before
