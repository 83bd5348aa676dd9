"""How a phone finds the page and is let in: addresses, and the QR code that holds one."""

import contextlib
import fcntl
import socket
import struct
import sys
from io import StringIO
from os import environ

import msgspec

from deploy.page.access import Access, Role
from deploy.settings import Settings

ANYWHERE = ("0.0.0.0", "::")  # of the setting: every network
SIOCGIFADDR = 0x8915  # linux/sockios.h
# A network for documentation (RFC 5737): asking for the way there sends nothing.
ELSEWHERE = ("192.0.2.1", 9)
QUIET = 2  # modules of margin; the standard wants 4, which every phone does without


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """One new token and the addresses to use it at, the best first."""

    name: str
    role: Role
    token: str
    urls: tuple[str, ...]


def invite(
    settings: Settings, *, role: Role = "full", name: str | None = None, host: str | None = None
) -> Invitation:
    """Pair somebody. `host`: where the phone finds us, if that is known. Raises AccessError."""
    hosts = (host,) if host is not None else hosts_of(settings)
    token, secret = Access(settings.state_path()).add(role, name)
    port = "" if settings.page.port == 80 else f":{settings.page.port}"
    urls = tuple(
        f"http://{f'[{host}]' if ':' in host else host}{port}/#token={secret}" for host in hosts
    )
    return Invitation(name=token.name, role=token.role, token=secret, urls=urls)


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """List what a phone may call us: the name that Bonjour tells, then numbers.

    The token comes behind a `#`, which a browser keeps to itself.
    """
    if settings.page.host not in ANYWHERE:
        return (settings.page.host,)
    name = socket.gethostname().partition(".")[0].lower()
    return (f"{name}.local", *_numbers())


def _numbers() -> list[str]:
    """List our IPv4 addresses; first the one that leads out."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(ELSEWHERE)
        found.append(probe.getsockname()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, interface in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", interface.encode()))
                found.append(socket.inet_ntoa(answer[20:24]))  # ifr_addr.sin_addr
    return [number for number in dict.fromkeys(found) if not number.startswith("127.")]


def drawn(invitation: Invitation) -> str:
    """Draw the invitation for a terminal: the code, and the addresses for who has no camera."""
    plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    best, *others = invitation.urls
    lines = [qr_code(best, colour=not plain), best, ""]
    if others:
        lines += ["If the phone does not find that name, open instead:", *others, ""]
    may = "look" if invitation.role == "read" else "look, teach and forget"
    lines += [
        f"Point a phone's camera at the code: it is {invitation.name} from then on and may {may}.",
        "So may whoever else has the code.",
    ]
    return "\n".join(lines)


def qr_code(text: str, *, colour: bool) -> str:
    """Draw a QR code with half blocks, two modules a character.

    With `colour` it is black on white whatever the terminal's own colours are. Without, only a dark
    terminal shows it so; a light one shows the negative, which not every camera reads.
    """
    import segno  # not before: every command's --help would wait for it

    drawn = StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, border=QUIET, compact=True)
    if not colour:
        return drawn.getvalue()
    # From the fixed part of the 256 colours: a theme may call anything black.
    return "".join(
        f"\x1b[38;5;231;48;5;16m{line}\x1b[0m\n" for line in drawn.getvalue().splitlines()
    )
