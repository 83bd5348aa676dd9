"""Names of the keys that buttons, remotes, keyboards and game pads have, as Linux gives them.

Linux, include/uapi/linux/input-event-codes.h: `evtest` shows the same names. What is left out there
is for telephones, televisions' menus, braille and ships.
"""

import difflib

# From a code on, name after name; each has the prefix before the colon.
_RUNS = {
    1: """KEY_: ESC 1 2 3 4 5 6 7 8 9 0 MINUS EQUAL BACKSPACE TAB Q W E R T Y U I O P LEFTBRACE
        RIGHTBRACE ENTER LEFTCTRL A S D F G H J K L SEMICOLON APOSTROPHE GRAVE LEFTSHIFT BACKSLASH
        Z X C V B N M COMMA DOT SLASH RIGHTSHIFT KPASTERISK LEFTALT SPACE CAPSLOCK F1 F2 F3 F4 F5
        F6 F7 F8 F9 F10 NUMLOCK SCROLLLOCK KP7 KP8 KP9 KPMINUS KP4 KP5 KP6 KPPLUS KP1 KP2 KP3 KP0
        KPDOT""",
    86: "KEY_: 102ND F11 F12",
    96: """KEY_: KPENTER RIGHTCTRL KPSLASH SYSRQ RIGHTALT LINEFEED HOME UP PAGEUP LEFT RIGHT END
        DOWN PAGEDOWN INSERT DELETE MACRO MUTE VOLUMEDOWN VOLUMEUP POWER KPEQUAL KPPLUSMINUS
        PAUSE""",
    125: """KEY_: LEFTMETA RIGHTMETA COMPOSE STOP AGAIN PROPS UNDO FRONT COPY OPEN PASTE FIND CUT
        HELP MENU CALC SETUP SLEEP WAKEUP FILE SENDFILE DELETEFILE XFER PROG1 PROG2 WWW MSDOS
        COFFEE ROTATE_DISPLAY CYCLEWINDOWS MAIL BOOKMARKS COMPUTER BACK FORWARD CLOSECD EJECTCD
        EJECTCLOSECD NEXTSONG PLAYPAUSE PREVIOUSSONG STOPCD RECORD REWIND PHONE ISO CONFIG HOMEPAGE
        REFRESH EXIT MOVE EDIT SCROLLUP SCROLLDOWN KPLEFTPAREN KPRIGHTPAREN NEW REDO F13 F14 F15
        F16 F17 F18 F19 F20 F21 F22 F23 F24""",
    200: "KEY_: PLAYCD PAUSECD PROG3 PROG4",
    205: """KEY_: SUSPEND CLOSE PLAY FASTFORWARD BASSBOOST PRINT HP CAMERA SOUND QUESTION EMAIL CHAT
        SEARCH CONNECT FINANCE SPORT SHOP ALTERASE CANCEL BRIGHTNESSDOWN BRIGHTNESSUP MEDIA""",
    0x100: "BTN_: 0 1 2 3 4 5 6 7 8 9",
    0x110: "BTN_: LEFT RIGHT MIDDLE SIDE EXTRA FORWARD BACK TASK",
    0x120: "BTN_: TRIGGER THUMB THUMB2 TOP TOP2 PINKIE BASE BASE2 BASE3 BASE4 BASE5 BASE6",
    0x130: "BTN_: SOUTH EAST C NORTH WEST Z TL TR TL2 TR2 SELECT START MODE THUMBL THUMBR",
    0x160: "KEY_: OK SELECT GOTO CLEAR POWER2 OPTION INFO TIME",
    0x18E: "KEY_: RED GREEN YELLOW BLUE CHANNELUP CHANNELDOWN FIRST LAST AB NEXT RESTART",
    0x210: "KEY_: CAMERA_FOCUS",
    0x220: "BTN_: DPAD_UP DPAD_DOWN DPAD_LEFT DPAD_RIGHT",
}

CODES: dict[str, int] = {
    prefix + name: first + k
    for first, run in _RUNS.items()
    for prefix, names in [run.split(": ", 1)]
    for k, name in enumerate(names.split())
} | {"BTN_A": 0x130, "BTN_B": 0x131, "BTN_X": 0x133, "BTN_Y": 0x134}  # as on the pad itself

_NAMES = {code: name for name, code in reversed(CODES.items())}  # of two names the first


def name_of(code: int) -> str:
    """Name a key by its code; one that has no name here by its number."""
    return _NAMES.get(code, f"key {code}")


def nearest(key: str) -> str:
    """Return the name that somebody who wrote `key` most likely meant."""
    return difflib.get_close_matches(key.upper(), CODES, n=1, cutoff=0.0)[0]
