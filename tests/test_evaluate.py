"""`budge evaluate`: the command over files, what it prints, and what it says of bad input."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from budge import BUDGE
from motions import shaken
from typer.testing import CliRunner

from deploy.cli import app
from deploy.evaluation_report import Result
from deploy.evaluation_tables import show_ablation
from firmware_bridge.recordings.csv_file import CsvWriter
from firmware_bridge.recordings.files import read
from learner.evaluation import ablation
from learner.evaluation.figures import Delay, ProtocolFigures, UnknownFigures, Ways

RATE_HZ = 50.0
WAYS = ("predict", "observe", "live")
NAMES = ("resting", "walking", "running")
SHORT = ("--window-s", "1.0", "--hop-s", "0.5", "--jobs", "1")


def session(seed: int, seconds: float = 8.0) -> tuple[Any, Any]:
    """Samples and labels of one after another of NAMES."""
    motions = [(1.0, 0.0), (2.0, 5.0), (3.0, 12.0)]
    blocks = [
        shaken(hz, swing, window_s=seconds, seed=10 * seed + k)
        for k, (hz, swing) in enumerate(motions)
    ]
    return np.concatenate(blocks), np.repeat(np.arange(len(motions)), round(seconds * RATE_HZ))


def npz(path: Path, people: tuple[int, ...] = (4, 7), sessions: int = 2, **other: Any) -> Path:
    parts = [(who, *session(10 * who + k)) for who in people for k in range(sessions)]
    lengths = [len(labels) for _, _, labels in parts]
    arrays = {
        "signal": np.concatenate([samples for _, samples, _ in parts]),
        "subject": np.repeat([who for who, _, _ in parts], lengths),
        "segment": np.repeat(np.arange(len(parts)), lengths),
        "label": np.concatenate([labels for _, _, labels in parts]),
        "label_names": np.array(NAMES),
        "meta": np.array(
            json.dumps({"rate_hz": RATE_HZ, "acc_units": "m/s^2", "gyro_units": "rad/s"})
        ),
    }
    np.savez(path, **arrays | other)
    return path


def csv(
    path: Path,
    seed: int,
    names: tuple[str, ...] = NAMES,
    n_channels: int = 6,
    rate_hz: float = RATE_HZ,
) -> Path:
    samples, labels = session(seed)
    with CsvWriter(path, n_channels) as writer:
        times_s = np.arange(len(samples)) / rate_hz
        writer.write(times_s, samples[:, :n_channels], [names[label] for label in labels])
    return path


def evaluated(*arguments: str | Path) -> Any:
    """The JSON of a run in this process."""
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments), *SHORT, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str | Path) -> str:
    """The one sentence with which the command, as a process, ends."""
    ended = subprocess.run(
        [BUDGE, "evaluate", *SHORT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "400"},
    )
    assert (ended.returncode, ended.stdout) in {(1, ""), (2, "")}
    assert "Traceback" not in ended.stderr
    return ended.stderr


# --- what it says -------------------------------------------------------------------------------


def test_as_a_command_it_prints_every_person_the_mean_and_the_worst(tmp_path: Path) -> None:
    ended = subprocess.run(
        [BUDGE, "evaluate", npz(tmp_path / "c.npz"), *SHORT[:4], "--jobs", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in ended.stdout.splitlines() if line]

    assert lines[0][:2] == ["next_session,", "discriminant:"]
    assert lines[2] == ["4", "45", "45", *["100.0"] * 6]  # 15 windows of each activity
    assert [line[0] for line in lines[3:6]] == ["7", "mean", "minimum"]
    assert ["expected", "calibration", "error"] in [line[:3] for line in lines]
    assert ["running", "0", "0", "30", "0"] in lines  # the confusion matrix
    assert ["left", "out", "AUROC"] in lines
    assert "evaluating" not in ended.stdout


def test_the_keys_of_its_json_stay(tmp_path: Path) -> None:
    found = evaluated(npz(tmp_path / "c.npz"), "--protocol", "next_session")

    assert list(found) == [
        *("v", "files", "rate_hz", "channels", "window_s", "hop_s", "labels"),
        *("results", "curves"),
    ]
    assert (found["v"], found["rate_hz"], found["labels"]) == (1, 50.0, list(NAMES))
    (result,) = found["results"]
    assert list(result) == [*("classifier", "protocol", "people", "left_out", "figures", "unknown")]
    assert (result["classifier"], result["people"]) == ("discriminant", ["4", "7"])
    figures = result["figures"]
    assert list(figures) == [
        *("people", "accuracy_mean", "accuracy_minimum", "macro_f1_mean", "calibration_error"),
        *("called_unknown", "confusion", "predict_delay", "live_delay"),
    ]
    for each in figures["people"]:
        assert list(each) == ["taught", "tested", "accuracy", "macro_f1", "prequential"]
        assert each["prequential"] is None
        assert list(each["accuracy"]) == ["predict", "observe", "live"]
    assert list(figures["live_delay"]) == ["changes", "median", "counts"]
    assert list(result["unknown"]) == [
        *("auroc", "auroc_of_label", "taught_called_unknown", "strange_called_unknown")
    ]


def test_prequential_comes_with_what_no_change_gets(tmp_path: Path) -> None:
    file = npz(tmp_path / "c.npz", people=(4,))
    (result,) = evaluated(file, "--protocol", "prequential")["results"]
    mine = result["figures"]["people"][0]["prequential"]

    assert (mine["no_change"], mine["changes"]) == (pytest.approx(42 / 45), 2)
    assert result["unknown"] is None
    shown = CliRunner().invoke(
        app, ["evaluate", str(file), *SHORT, "--labels", "2", "--protocol", "prequential"]
    )
    assert '"no change"' in shown.stdout


def test_processes_change_nothing(tmp_path: Path) -> None:
    file = npz(tmp_path / "c.npz")
    ended = subprocess.run(
        [BUDGE, "evaluate", file, *SHORT[:4], "--jobs", "2", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(ended.stdout) == evaluated(file)


# --- what it takes ------------------------------------------------------------------------------


def test_an_npz_says_whose_each_run_is(tmp_path: Path) -> None:
    recording = read(npz(tmp_path / "c.npz"))

    assert [run.subject for run in recording.runs] == [4, 4, 7, 7]
    assert [run.subject for run in read(csv(tmp_path / "a.csv", 1)).runs] == [None]


def test_csv_files_are_sessions_of_one_person_in_their_order(tmp_path: Path) -> None:
    monday, tuesday = csv(tmp_path / "mon.csv", 1), csv(tmp_path / "tue.csv.gz", 2)
    (result,) = evaluated(monday, tuesday)["results"]

    assert result["people"] == ["wearer"]
    assert result["figures"]["people"][0]["taught"] == 45  # all of monday
    assert result["figures"]["accuracy_mean"]["predict"] > 0.9


def test_people_of_several_collections_are_told_apart_and_labels_are_one(tmp_path: Path) -> None:
    one = npz(tmp_path / "a.npz")
    _, labels = session(0)
    only_first = np.tile(np.where(labels == 0, 0, -1), 4)  # which in b.npz is called running
    other = npz(tmp_path / "b.npz", label=only_first, label_names=np.array(NAMES[::-1]))
    found = evaluated(one, other)

    assert found["results"][0]["people"] == ["a.npz 4", "a.npz 7", "b.npz 4", "b.npz 7"]
    assert found["labels"] == list(NAMES)
    confusion = found["results"][0]["figures"]["confusion"]
    assert [sum(row) for row in confusion] == [30, 30, 60]


@pytest.mark.parametrize(
    ("labels", "names"),
    [("2", ["resting", "walking"]), ("running,walking", ["running", "walking"])],
)
def test_labels_are_the_first_so_many_or_the_named(
    tmp_path: Path, labels: str, names: list[str]
) -> None:
    found = evaluated(npz(tmp_path / "c.npz"), "--labels", labels)

    assert found["labels"] == names
    assert sum(map(sum, found["results"][0]["figures"]["confusion"])) == 2 * 2 * 15


@pytest.mark.parametrize(("people", "names"), [("1", ["4"]), ("7,", ["7"]), ("7,4", ["7", "4"])])
def test_people_are_the_first_so_many_or_the_named(
    tmp_path: Path, people: str, names: list[str]
) -> None:
    found = evaluated(npz(tmp_path / "c.npz"), "--people", people)

    assert found["results"][0]["people"] == names


def test_several_classifiers_are_a_table(tmp_path: Path) -> None:
    pytest.importorskip("river")
    pytest.importorskip("sklearn")
    result = CliRunner().invoke(
        app, ["evaluate", str(npz(tmp_path / "c.npz", (4,))), *SHORT, "--classifier", "all"]
    )
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}

    assert {"discriminant", "river_amf", "river_softmax", "sklearn_extra_trees"} <= {*rows}
    assert rows["discriminant"][1:4] == ["100.0"] * 3
    assert float(rows["sklearn_extra_trees"][1]) > 90.0


def test_several_protocols_are_put_together(tmp_path: Path) -> None:
    file = npz(tmp_path / "c.npz")
    protocols = ("ten_windows", "next_session", "new_person_ten_windows")
    asked = [f"--protocol={each}" for each in protocols]
    shown = CliRunner().invoke(app, ["evaluate", str(file), *SHORT, *asked])
    lines = [line.split() for line in shown.stdout.splitlines() if line]
    at = lines.index(["protocol", "taught", *WAYS, *(w for way in WAYS for w in ("error", way))])
    rows = lines[at + 1 : at + 4]
    found = evaluated(file, *asked)["results"]

    assert [row[0] for row in rows] == list(protocols)
    assert [row[1] for row in rows] == ["10", "45", "10"]
    for row, result in zip(rows, found, strict=True):
        errors = result["figures"]["calibration_error"]
        assert row[5:] == [f"{100 * errors[way]:.1f}" for way in WAYS]


def test_an_ablation_is_a_table_to_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = ("forest", "features: band")
    monkeypatch.setattr(ablation, "PARTS", {part: ablation.PARTS[part] for part in parts})
    file = npz(tmp_path / "c.npz", (4,))
    asked = ("--ablate", "--protocol", "next_session", "--protocol", "ten_windows")
    result = CliRunner().invoke(app, ["evaluate", str(file), *SHORT, *asked])
    head, rule, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()
    ]

    assert head == [
        *("without", "next_session: predict", "live", "calibration error", "AUROC"),
        *("ten_windows: predict", "live", "calibration error"),
    ]
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    assert [row[0] for row in rows] == ["nothing", *parts]
    assert rows[0][1:3] == ["100.0", "100.0"]
    found = evaluated(file, *asked)["results"]
    assert [each["classifier"] for each in found[::2]] == [
        *("discriminant", "without forest", "without features: band")
    ]
    assert found[5]["figures"] != found[1]["figures"]  # taught ten windows, it is not sure of all


def test_a_row_of_an_ablation_is_predict_live_error_and_auroc(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing = Ways(0.0, 0.0, 0.0)
    figures = ProtocolFigures(
        people=(),
        accuracy_mean=Ways(0.91, 0.92, 0.93),
        accuracy_minimum=nothing,
        macro_f1_mean=nothing,
        calibration_error=Ways(0.041, 0.042, 0.043),
        called_unknown=nothing,
        confusion=[],
        predict_delay=Delay(0, 0.0, ()),
        live_delay=Delay(0, 0.0, ()),
    )
    unknown = UnknownFigures(0.875, {}, 0.0, 0.0)
    show_ablation(
        [
            Result("discriminant", "next_session", (), {}, figures, unknown),
            Result("without forest", "next_session", (), {}, figures, unknown),
        ]
    )

    assert capsys.readouterr().out.splitlines()[2:] == [
        "| nothing |                  91.0 | 93.0 |               4.1 | 0.875 |",
        "| forest  |                  91.0 | 93.0 |               4.1 | 0.875 |",
    ]


def test_who_has_too_little_is_left_out_and_named(tmp_path: Path) -> None:
    file = npz(tmp_path / "c.npz")
    with np.load(file) as arrays:
        label = np.where(arrays["subject"] == 7, -1, arrays["label"])
        np.savez(file, **{**arrays, "label": label})
    found = evaluated(file)
    shown = CliRunner().invoke(app, ["evaluate", str(file), *SHORT])

    assert found["results"][0]["people"] == ["4"]
    assert "no window shows one labelled activity" in found["results"][0]["left_out"]["7"]
    assert "left out: 7: no window shows" in shown.stdout


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "curve.png"
    found = evaluated(npz(tmp_path / "c.npz"), "--labels", "2", "--plot", plot)
    (curve,) = found["curves"]

    assert plot.read_bytes().startswith(b"\x89PNG")
    assert curve["seconds"] == [1.0, 1.5, 2.5, 4.5]  # 1, 2, 4, 8 windows
    assert len(curve["accuracy"]) == 2  # people
    assert all(len(points) == 4 for points in curve["accuracy"])


def test_a_real_person_is_recognised_in_the_next_session(datasets: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["evaluate", str(datasets / "hapt.npz"), "--labels", "6", "--people", "1", "--json"],
    )
    (found,) = json.loads(result.stdout)["results"]
    (person,) = found["figures"]["people"]

    assert (person["taught"], person["tested"]) == (181, 181)
    # 100 % when this was written; a single person of the easier ones
    assert person["accuracy"]["predict"] > 0.97
    assert found["figures"]["live_delay"]["changes"] == 12


# --- what it refuses ----------------------------------------------------------------------------


def test_a_file_without_labels_says_how_to_get_them(tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", 1, names=("", "", ""))

    said = refused(file)
    assert said.startswith(f"budge: {file}: no row has a label, expected what was done")
    assert "budge record --activity NAME" in said


def test_files_of_different_sensors_are_not_mixed(tmp_path: Path) -> None:
    six, three = csv(tmp_path / "a.csv", 1), csv(tmp_path / "b.csv", 1, n_channels=3)
    slow = csv(tmp_path / "c.csv", 1, rate_hz=40.0)

    assert "b.csv: 50 Hz and 3 channels, expected 50 Hz and 6 as in" in refused(six, three)
    assert "c.csv: 40 Hz and 6 channels, expected 50 Hz and 6 as in" in refused(six, slow)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--protocol", "tomorrow"), "--protocol tomorrow: there are next_session, ten_seconds"),
        (("--classifier", "oracle"), "--classifier oracle: there are discriminant"),
        (("--ablate", "--classifier", "mlp"), "--ablate is about the default: expected no"),
        (("--people", "5,"), "--people 5: there are 4, 7"),
        (("--people", "0"), "--people 0: there are 4, 7"),
        (("--labels", "0"), "--labels 0: no '0', there are: resting, walking, running"),
        (("--labels", "running,swimming"), "no 'swimming', there are: resting, walking, running"),
        (("--window-s", "60"), "c.npz: no stretch lasts a window of 60 s: record more"),
        (("--hop-s", "2"), "c.npz: the hop is 2 s, 100 rows at 50 Hz: expected at least one row"),
        (("--window-s", "-1"), "-1 is not a time: expected seconds above 0"),
        (("--plot", "curve.jpg"), "--plot curve.jpg: expected a name that ends in .png"),
        (("--plot", "nowhere/curve.png"), "expected a name that ends in .png, in a folder"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(npz(tmp_path / "c.npz"), *options)


def test_one_person_alone_is_no_new_person(tmp_path: Path) -> None:
    said = refused(csv(tmp_path / "a.csv", 1), "--protocol", "new_person")

    assert said == (
        "budge: new_person: nobody else is there to learn from: expected recordings of two people\n"
    )


def test_too_short_a_recording_says_what_is_missing(tmp_path: Path) -> None:
    file = npz(tmp_path / "c.npz", sessions=1)
    with np.load(file) as arrays:
        keep = np.arange(len(arrays["label"])) % 400 < 60  # 1.2 s of each activity: one window
        cut = {name: arrays[name][keep] for name in ("signal", "subject", "segment", "label")}
        np.savez(file, **{**arrays, **cut})

    assert "nothing is left to teach: expected two recordings of an activity" in refused(file)
