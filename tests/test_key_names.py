"""Names of keys are the kernel's, and a mistyped one is recognised."""

import re
from pathlib import Path

import pytest

from deploy.key_names import CODES, name_of, nearest

HEADER = Path("/usr/include/linux/input-event-codes.h")


def test_the_names_and_codes_are_the_kernels() -> None:
    if not HEADER.exists():
        pytest.skip("needs Linux's header: sudo apt-get install linux-libc-dev")
    defined = dict(re.findall(r"#define\s+((?:KEY|BTN)_\w+)\s+(\w+)", HEADER.read_text()))

    def code(name: str) -> int:
        return int(defined[name], 0) if defined[name][0].isdigit() else code(defined[name])

    assert {name: code(name) for name in CODES} == CODES
    assert len(CODES) > 250


def test_a_key_has_one_name() -> None:
    assert name_of(115) == "KEY_VOLUMEUP"
    assert name_of(0x130) == "BTN_SOUTH"
    assert name_of(0x2FF) == "key 767"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("KEY_VOLUMUP", "KEY_VOLUMEUP"), ("enter", "KEY_ENTER"), ("Volume Up", "KEY_VOLUMEUP")],
)
def test_a_mistyped_name_is_recognised(written: str, meant: str) -> None:
    assert nearest(written) == meant
