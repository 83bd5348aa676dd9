"""Tokens: known to their holders only, and taken back at once."""

import hmac
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from deploy.page.access import Access, AccessError, holder
from deploy.page.gate import WRONG_IN_ALL, WRONG_PER_ADDRESS, Attempts


def test_only_hashes_are_on_the_disk_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    access = Access(tmp_path)
    _, secret = access.add("full")
    kept = access.path.read_text()

    assert secret not in kept
    assert json.loads(kept)["tokens"][0].keys() == {"name", "role", "created", "sha256"}
    assert access.path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"]


def test_a_token_is_128_random_bits_and_no_two_are_alike(tmp_path: Path) -> None:
    access = Access(tmp_path)
    secrets = {access.add("full")[1] for _ in range(20)}

    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {22}  # 128 bits in base64


def test_a_token_has_its_holder_and_nothing_else_has(tmp_path: Path) -> None:
    access = Access(tmp_path)
    tablet, secret = access.add("read", "tablet")
    access.add("full")
    tokens = access.tokens()

    assert holder(tokens, secret) == tablet
    for wrong in ("", "x", secret[:-1], secret + "A", secret.swapcase(), tablet.sha256, "ü\udcff"):
        assert holder(tokens, wrong) is None
    assert holder((), secret) is None


def test_how_long_it_takes_to_compare_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(tmp_path)
    secrets = [access.add("full")[1] for _ in range(3)]
    tokens = access.tokens()
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for secret in (secrets[0], secrets[2], "wrong"):
        holder(tokens, secret)

    assert compared == [(64, 64)] * 9, "each with all, whichever it is"


def test_what_another_process_does_is_seen_at_once(tmp_path: Path) -> None:
    service, command = Access(tmp_path), Access(tmp_path)
    assert service.tokens() == ()
    _, secret = command.add("full")
    assert holder(service.tokens(), secret) is not None
    command.revoke("phone-1")
    assert holder(service.tokens(), secret) is None
    assert service.tokens() == ()


def test_names_count_up_and_a_free_one_is_used_again(tmp_path: Path) -> None:
    access = Access(tmp_path)
    assert [access.add("full")[0].name for _ in range(3)] == ["phone-1", "phone-2", "phone-3"]
    access.revoke("phone-2")
    assert access.add("full")[0].name == "phone-2"


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "bad\nname", "\x1b[2J"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AccessError, match="expected 1 to 64 letters that can be printed"):
        Access(tmp_path).add("full", name)
    assert Access(tmp_path).tokens() == ()


def test_a_name_has_one_token(tmp_path: Path) -> None:
    access = Access(tmp_path)
    access.add("full", "Wohnzimmer")
    with pytest.raises(AccessError, match="'Wohnzimmer' is paired already: choose another name"):
        access.add("read", "Wohnzimmer ")
    with pytest.raises(AccessError, match="'Küche' is not paired, only: Wohnzimmer"):
        access.revoke("Küche")


def _pair_five(folder: Path) -> None:
    for _ in range(5):
        Access(folder).add("full")


def test_many_who_pair_at_once_lose_nothing(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    pairing = [start.Process(target=_pair_five, args=(tmp_path,)) for _ in range(4)]
    for process in pairing:
        process.start()
    for process in pairing:
        process.join(60)

    names = [token.name for token in Access(tmp_path).tokens()]
    assert sorted(names) == sorted(f"phone-{number}" for number in range(1, 21))


def test_a_full_disk_leaves_the_old_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(tmp_path)
    _, secret = access.add("full")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessError, match=r"cannot write .*tokens\.json \(No space left"):
        access.revoke("phone-1")
    assert holder(Access(tmp_path).tokens(), secret) is not None
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file to somebody else")
def test_what_root_pairs_the_service_can_read(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    access = Access(tmp_path)
    access.add("full")

    assert (access.path.stat().st_uid, access.path.stat().st_gid) == (1234, 1235)
    assert access.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"tokens":[{"name":"x"}]}'])
def test_a_broken_file_lets_nobody_in_and_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    access = Access(tmp_path)
    access.add("full")
    access.path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(AccessError, match="remove it and pair again with `budge pair`"):
            access.tokens()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


def test_an_address_that_guesses_has_to_wait_and_the_others_have_not(clock: Clock) -> None:
    attempts = Attempts()
    for _ in range(WRONG_PER_ADDRESS):
        assert attempts.wait_s("192.168.1.66") == 0
        assert attempts.wrong("192.168.1.66") == 0
        clock.now_s += 1
    assert attempts.wait_s("192.168.1.66") == 60 - WRONG_PER_ADDRESS
    assert attempts.wait_s("192.168.1.67") == 0
    clock.now_s += 60 - WRONG_PER_ADDRESS
    assert attempts.wait_s("192.168.1.66") == 0


def test_many_addresses_that_guess_are_slowed_down_together(clock: Clock) -> None:
    attempts = Attempts()
    for number in range(WRONG_IN_ALL):
        assert attempts.wrong(f"fd00::{number}") == 0
    for number in range(10_000):
        assert attempts.wrong(f"fd00::{number}") == 60
    assert len(attempts._wrong) == WRONG_IN_ALL, "what is noted does not grow"
    assert attempts.wait_s("fd00::ffff") == 0, "a right token is still listened to"
    clock.now_s += 60
    assert attempts.wrong("fd00::1") == 0
