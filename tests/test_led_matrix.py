"""Pictures on 8x8 LEDs: what is drawn, in which bytes, into which device."""

import string
from pathlib import Path

import pytest
from hat import Hat

from deploy.led_matrix import (
    CHARACTERS,
    DARK,
    LEVELS,
    OFF,
    ON,
    PICTURE_OF,
    PICTURES,
    UNKNOWN,
    Colour,
    LedMatrix,
    encode,
    glyph,
    level,
)

# Of the driver's default gamma table, rpisense-fb.c: a level below 6 is dark.
FIRST_VISIBLE = 6


@pytest.fixture(name="hat")
def _hat(tmp_path: Path) -> Hat:
    return Hat(tmp_path)


def picture(at: dict[tuple[int, int], str]) -> list[str]:
    return ["".join(at.get((row, column), OFF) for column in range(8)) for row in range(8)]


# Bytes


@pytest.mark.parametrize(
    ("colour", "word"),
    [
        (Colour(31, 0, 0), 0b11111_000000_00000),
        (Colour(0, 31, 0), 0b00000_111110_00000),  # the driver does not look at green's lowest
        (Colour(0, 0, 31), 0b00000_000000_11111),
        (Colour(16, 8, 4), 0b10000_010000_00100),
    ],
)
def test_a_pixel_is_rgb565_low_byte_first(colour: Colour, word: int) -> None:
    frame = encode(picture({(0, 0): ON}), {ON: colour})

    assert frame == bytes([word & 0xFF, word >> 8]) + bytes(126)


def test_a_frame_goes_row_by_row_from_the_top_left() -> None:
    frame = encode(picture({(2, 5): ON, (7, 0): "-"}), {ON: Colour(0, 0, 1), "-": Colour(0, 0, 2)})

    assert {k: byte for k, byte in enumerate(frame) if byte} == {2 * (8 * 2 + 5): 1, 2 * 8 * 7: 2}
    assert len(frame) == 128


def test_a_drawing_that_is_not_8_by_8_is_no_frame() -> None:
    with pytest.raises(Exception, match="64 items"):
        encode([ON * 8] * 7, {ON: Colour(1, 1, 1)})


# Glyphs


@pytest.mark.parametrize("drawn", [*PICTURES.items(), *CHARACTERS.items()], ids=lambda d: d[0])
def test_every_glyph_leaves_the_bottom_row_free(drawn: tuple[str, tuple[str, ...]]) -> None:
    lines = drawn[1]

    assert [len(line) for line in lines] == [8] * 7
    assert set("".join(lines)) == {ON, OFF}


def test_no_two_glyphs_are_alike() -> None:
    drawn = [*PICTURES.values(), *CHARACTERS.values()]

    assert len(set(drawn)) == len(drawn) == 10 + 26 + 10 + 1


def test_stairs_down_are_the_mirror_image_of_stairs_up() -> None:
    assert PICTURES["down"] == tuple(line[::-1] for line in PICTURES["up"])


@pytest.mark.parametrize(
    ("activity", "drawn"),
    [
        ("resting", "still"),
        ("sitting", "still"),
        ("standing", "standing"),
        ("walking", "walking"),
        ("running", "running"),
        ("stairs", "up"),
        ("Stairs Down", "down"),
        ("WALKING_DOWNSTAIRS", "down"),
        ("cycling", "cycling"),
        ("lying", "lying"),
        ("spin cycle", "washing"),
        ("  Spin-Cycle ", "washing"),
    ],
)
def test_a_common_activity_has_a_picture(activity: str, drawn: str) -> None:
    assert glyph(activity) == PICTURES[drawn]


def test_every_picture_but_nothing_stands_for_an_activity() -> None:
    assert set(PICTURE_OF.values()) == set(PICTURES) - {"nothing"}


@pytest.mark.parametrize(
    ("activity", "letter"),
    [
        ("dancing", "D"),
        ("walking the dog", "W"),
        ("école", "E"),
        ("4 flights", "4"),
        ("ßoccer", "S"),
        ("舞", "?"),
        ("(none of these)", "?"),
        ("", "?"),
    ],
)
def test_any_other_name_is_its_first_letter(activity: str, letter: str) -> None:
    assert glyph(activity) == CHARACTERS[letter]


def test_there_is_a_letter_for_each_of_the_alphabet_and_each_digit() -> None:
    for letter in string.ascii_uppercase + string.digits:
        assert glyph(letter.lower() + "xyz") != UNKNOWN


def test_the_surer_the_brighter_and_never_dark() -> None:
    levels = [level(confidence / 100) for confidence in range(101)]

    assert levels == sorted(levels)
    assert set(levels) == set(LEVELS)
    assert FIRST_VISIBLE <= min(levels) < max(levels) <= 31
    assert level(0.0) == LEVELS[0]
    assert level(1.0) == LEVELS[-1]


# The device


def test_it_finds_the_matrix_by_its_name_among_other_framebuffers(hat: Hat) -> None:
    hat.plug_in_leds()
    frame = bytes(range(128))
    matrix = LedMatrix(hat.sys_root, hat.dev_root)

    matrix.show(bytes(reversed(frame)))
    matrix.show(frame)
    matrix.close()

    assert hat.leds.read_bytes() == frame
    assert (hat.dev_root / "fb0").read_bytes() == DARK


def test_without_a_matrix_it_says_what_was_looked_for_and_finds_one_that_comes(hat: Hat) -> None:
    matrix = LedMatrix(hat.sys_root, hat.dev_root)

    with pytest.raises(OSError, match=r"graphics is called 'RPi-Sense FB': check that .* pins"):
        matrix.show(DARK)
    hat.plug_in_leds()
    matrix.show(DARK)
    matrix.close()

    assert hat.leds.read_bytes() == DARK


def test_a_matrix_that_may_not_be_opened_names_the_group(
    hat: Hat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:  # root, as a test may be, is never refused
        raise PermissionError(13, "Permission denied")

    hat.plug_in_leds()
    monkeypatch.setattr("os.open", refuse)

    with pytest.raises(OSError, match=r"fb1 may not be opened .* in group video: run `sudo"):
        LedMatrix(hat.sys_root, hat.dev_root).show(DARK)


def test_after_an_error_it_is_opened_anew(hat: Hat, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(19, "No such device")

    hat.plug_in_leds()
    matrix = LedMatrix(hat.sys_root, hat.dev_root)
    matrix.show(DARK)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", fail)
        with pytest.raises(OSError, match="No such device"):
            matrix.show(DARK)
    hat.leds.unlink()
    hat.leds.write_bytes(b"\xff" * 128)
    matrix.show(DARK)
    matrix.close()

    assert hat.leds.read_bytes() == DARK
