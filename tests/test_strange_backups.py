"""Backups from a stranger: torn, changed, or made to do harm. Each is refused with its reason."""

import json
import sqlite3
import zipfile
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import rebuilt, teach

from deploy.archive import BackupError, Manifest
from deploy.backup import backup, check
from learner.journal_file import STEPS

TABLE_LEAF, INDEX_LEAF = 0x0D, 0x0A  # how such pages of SQLite begin

Members = dict[str, bytes]


@pytest.fixture(name="file", scope="module")
def _file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    state = teach(folder / "state", "walking", "stairs")
    (state / "calibration.json").write_text("{}")
    backup(state, folder / "whole.budge", device="pi")
    return folder / "whole.budge"


def manifest_of(members: Members) -> dict[str, object]:
    found: dict[str, object] = json.loads(members["manifest.json"])
    return found


def signed(members: Members) -> None:
    """Let the manifest fit what is there, as a stranger who knows how it is made would."""
    manifest = manifest_of(members)
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in members.items()
        if name != "manifest.json"
    }
    members["manifest.json"] = json.dumps(manifest).encode()


def refused(file: Path) -> str:
    before = sorted(file.parent.iterdir())
    with pytest.raises(BackupError) as refusal:
        check(file)
    assert sorted(file.parent.iterdir()) == before  # nothing is left behind
    sentence = str(refusal.value)
    assert sentence.startswith(f"{file} cannot be restored: ")
    return sentence.removeprefix(f"{file} cannot be restored: ")


def test_a_whole_one_is_not_refused(file: Path) -> None:
    check(file)
    check(rebuilt(file, signed))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True))
def test_one_that_ends_too_soon_is_refused(share: float, file: Path) -> None:
    torn = file.with_name("torn.budge")
    torn.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "ends in mid-air" in refused(torn)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_byte_that_is_another_is_noticed(share: float, flip: int, file: Path) -> None:
    """Or it changes nothing of what is unpacked: zip has fields that nobody needs."""
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= flip
    bad = file.with_name("bad.budge")
    bad.write_bytes(content)
    try:
        check(bad)
    except BackupError:
        return
    with zipfile.ZipFile(file) as sound, zipfile.ZipFile(bad) as other:
        assert sound.read("journal.sqlite") == other.read("journal.sqlite")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400))
def test_anything_else_is_refused(content: bytes, file: Path) -> None:
    for sort in (content, content.ljust(76, b"x") + b"PK\5\6" + content[:18].ljust(18, b"\0")):
        other = file.with_name("other.budge")
        other.write_bytes(sort)
        refused(other)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../../etc/cron.d/x", "holds '../../etc/cron.d/x', which is no part of a backup"),
        ("/etc/passwd", "holds '/etc/passwd', which is no part of a backup"),
        ("tokens.json", "holds 'tokens.json', which is no part of a backup"),
        ("a/journal.sqlite", "holds 'a/journal.sqlite', which is no part of a backup"),
        ("\x1b[2J", r"holds '\x1b[2J', which is no part of a backup"),
    ],
)
def test_a_member_that_should_not_be_there_is_refused(name: str, sentence: str, file: Path) -> None:
    def add(members: Members) -> None:
        members[name] = b"x"
        signed(members)

    assert sentence in refused(rebuilt(file, add))


def test_a_member_that_is_there_twice_is_refused(file: Path) -> None:
    twice = rebuilt(file, signed)
    with (
        zipfile.ZipFile(twice, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("journal.sqlite", b"another")
    assert refused(twice) == "it holds a file twice"


def test_nothing_that_unpacks_to_more_than_it_is_gets_that_far(file: Path) -> None:
    def swell(members: Members) -> None:
        members["journal.sqlite"] = bytes(50_000_000)
        signed(members)

    bomb = rebuilt(file, swell, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    assert "is compressed, expected it as budge stores it" in refused(bomb)


def test_a_directory_of_millions_is_not_even_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = file.with_name("crowd.budge")
    with zipfile.ZipFile(crowd, "w") as archive:
        for number in range(70_000):  # more than 65,535 takes the zip64 records
            archive.writestr(str(number), b"")
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("it was read"))
    assert "a zip of something else" in refused(crowd)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"v": 2, "budge": "9.1"}, "budge 9.1 made it in format 2, this budge reads format 1"),
        ({"device": "\x1b[2J"}, "its manifest cannot be read"),
        ({"members": {}}, "its manifest lists other files than it holds"),
        ({"schema": "one"}, "its manifest cannot be read"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    change: dict[str, object], sentence: str, file: Path
) -> None:
    def edit(members: Members) -> None:
        members["manifest.json"] = json.dumps({**manifest_of(members), **change}).encode()

    assert sentence in refused(rebuilt(file, edit))


def test_what_is_not_what_was_put_in_is_refused(file: Path) -> None:
    def swap(members: Members) -> None:
        members["calibration.json"] = b'{"x": 1}'

    sentence = refused(rebuilt(file, swap))
    assert sentence == "its calibration.json is not what was put in: it was damaged or changed"


def with_journal(file: Path, *statements: str) -> Path:
    """Change the journal inside, with everything else right."""

    def edit(members: Members) -> None:
        path = file.with_name("edited.sqlite")
        path.write_bytes(members["journal.sqlite"])
        db = sqlite3.connect(path, isolation_level=None)
        for statement in statements:
            db.execute(statement)
        db.close()
        members["journal.sqlite"] = path.read_bytes()
        path.unlink()
        signed(members)

    return rebuilt(file, edit)


FOREIGN = "tables, triggers or views that budge does not make"


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["PRAGMA user_version = 7"], f"has schema version 7, this budge reads {len(STEPS)} and"),
        (["PRAGMA user_version = 0"], FOREIGN),
        (["PRAGMA application_id = 1"], "a database of another program"),
        (["CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM annotation; END"], FOREIGN),
        (["CREATE VIEW v AS SELECT * FROM run"], FOREIGN),
        (["CREATE TABLE extra (x)"], FOREIGN),
        (["CREATE INDEX i ON run (abs(start_us))"], FOREIGN),
        (["ALTER TABLE run ADD COLUMN x REAL AS (rate_hz * 2)"], FOREIGN),
        (["ALTER TABLE wall RENAME TO run2"], FOREIGN),
        (["UPDATE run SET rate_hz = 1e308"], "a run without a time, rate or scale (number 1)"),
        (["UPDATE run SET scale = x'00'"], "a run without a time, rate or scale (number 1)"),
        (
            ["INSERT INTO run SELECT 9, 5, 50, scale, cause FROM run LIMIT 1"],
            "runs that are not one after the other (number 9)",
        ),
        (["UPDATE rows SET n = n + 1"], "rows of no run, or not as many as they say (number 1)"),
        (["UPDATE rows SET run = 2"], "rows of no run, or not as many as they say (number 2)"),
        (["UPDATE annotation SET activity = ''"], "an annotation without a name"),
        (["UPDATE annotation SET end_us = 1"], "an annotation without a name or with an imposs"),
        (["UPDATE annotation SET start_us = -1"], "an annotation without a name or with an"),
        (["INSERT INTO wall VALUES (1, 1 << 62)"], "a wall clock beyond all calendars (number 1)"),
        (["UPDATE state SET value = x'3a' WHERE key = 'revision'"], "revisions that is no number"),
        (["INSERT INTO state VALUES ('record', x'31')"], "holds what this budge cannot use"),
        (["INSERT INTO state VALUES ('controls', x'00')"], "holds what this budge cannot use"),
    ],
)
def test_a_journal_that_budge_would_not_write_is_refused(
    statements: list[str], sentence: str, file: Path
) -> None:
    assert sentence in refused(with_journal(file, *statements))


def page_bytes(content: bytearray) -> int:
    return int.from_bytes(content[16:18])


def page(content: bytearray, kind: int) -> int:
    """Find where the first page of a kind begins."""
    size = page_bytes(content)
    return next(at for at in range(size, len(content), size) if content[at] == kind)


def test_a_page_that_is_damaged_is_found(file: Path) -> None:
    def damage(members: Members) -> None:
        content = bytearray(members["journal.sqlite"])
        leaf = page(content, TABLE_LEAF)
        content[leaf + 3 : leaf + 5] = b"\xff\xff"  # so many cells
        members["journal.sqlite"] = bytes(content)
        signed(members)

    assert "its journal " in refused(rebuilt(file, damage))


def test_an_index_that_leads_elsewhere_is_found(file: Path) -> None:
    def damage(members: Members) -> None:
        content = bytearray(members["journal.sqlite"])
        leaf = page(content, INDEX_LEAF)
        content[leaf + page_bytes(content) - 1] ^= 1  # the last byte of its first entry
        members["journal.sqlite"] = bytes(content)
        signed(members)

    assert refused(rebuilt(file, damage)).startswith("its journal is damaged (row 1 missing from")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"x": 1}', b'{"x": {"accel_gain": [9]}}'])
def test_small_files_that_nobody_could_read_are_refused(content: bytes, file: Path) -> None:
    def edit(members: Members) -> None:
        members["calibration.json"] = content
        signed(members)

    assert "holds what this budge cannot use" in refused(rebuilt(file, edit))


def test_fields_of_a_newer_manifest_are_passed_over(file: Path) -> None:
    def edit(members: Members) -> None:
        members["manifest.json"] = json.dumps({**manifest_of(members), "more": 1}).encode()

    check(rebuilt(file, edit))
    assert (
        msgspec.json.decode(
            b'{"budge":"1","device":null,"created":"2","schema":1,"members":{}}', type=Manifest
        ).v
        == 1
    )
