"""The service: running, well, started at boot; the page, and who is paired with it."""

import http.client
import socket
from collections.abc import Iterator

from deploy.doctor import Case, Finding, Level
from deploy.page.access import Access, AccessError

UNIT = "budge.service"
PATIENCE_S = 3.0
ANYWHERE = ("0.0.0.0", "::", "")


def check(case: Case) -> Iterator[Finding]:
    unit = _unit(case)
    yield from _running(case, installed=unit.get("LoadState") == "loaded")
    yield from _systemd(unit)
    if "page" in case.settings.outputs:
        yield from _page(case)
        if case.running is not None:  # else the tokens are another user's, too
            yield from _paired(case)


def _running(case: Case, *, installed: bool) -> Iterator[Finding]:
    start = "sudo systemctl start budge" if installed else "budge run"
    if case.running is None:
        yield Finding("running", "note", f"{case.state} is another user's", "sudo budge doctor")
    elif not case.running:
        level: Level = "bad" if installed else "note"
        yield Finding("running", level, f"no budge runs on {case.state}", start)
    elif case.health is None:
        yield Finding("running", "good", f"on {case.state}; how it is, only the broker knows")
    else:
        health = case.health
        memory = "" if health.memory_mb is None else f", {health.memory_mb:.0f} MB of memory"
        yield Finding("running", "good", f"up {_long(health.uptime_s)}{memory}, as it last told")
        if health.waiting > 10:
            yield Finding(
                "pace",
                "bad",
                f"the learner is behind: {health.waiting} readings wait for it",
                "another program may take all the time, see `top`; or a longer hop_s in [window]",
            )


def _unit(case: Case) -> dict[str, str]:
    """What systemd says of the service; nothing where there is no systemd."""
    if not (case.root / "run/systemd/system").is_dir():  # as sd_booted(3) has it
        return {}
    wanted = "LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result"
    shown = case.output("systemctl", "show", UNIT, "-p", wanted) or ""
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def _systemd(unit: dict[str, str]) -> Iterator[Finding]:
    if not unit:
        yield Finding("systemd", "none", "no systemd runs here, so nobody starts budge at boot")
        return
    if unit.get("LoadState") != "loaded":
        yield Finding(
            "systemd",
            "note",
            "budge is no service here, nobody starts it at boot",
            "sudo ./deploy/install",
        )
        return
    log = "journalctl -u budge -n 30"
    state, restarts = unit.get("ActiveState", ""), int(unit.get("NRestarts") or 0)
    if state == "failed":
        why = unit.get("Result", "it failed")
        yield Finding("systemd", "bad", f"{UNIT} has failed ({why})", log)
    elif unit.get("SubState") == "auto-restart":
        yield Finding("systemd", "bad", f"{UNIT} ends again and again ({restarts} restarts)", log)
    elif unit.get("UnitFileState") not in {"enabled", "enabled-runtime"}:
        yield Finding(
            "systemd",
            "note",
            f"{UNIT} is {state}, but is not started at boot",
            "sudo systemctl enable budge",
        )
    elif restarts:
        yield Finding("systemd", "note", f"{UNIT} had to be restarted {restarts} times", log)
    else:
        yield Finding("systemd", "good", f"{UNIT} is {state} and started at boot")


def _page(case: Case) -> Iterator[Finding]:
    page = case.settings.page
    host = "127.0.0.1" if page.host in ANYWHERE else page.host
    where = f"port {page.port}"
    connection = http.client.HTTPConnection(host, page.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        budges = answer.status == 200 and b"budge" in answer.read(100_000).lower()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        if case.running:
            yield Finding(
                "page",
                "bad",
                f"nothing answers on {where} ({why})",
                "journalctl -u budge -n 30; or another `port` in [page]",
            )
        elif isinstance(error, ConnectionRefusedError):
            yield Finding("page", "good", f"{where} is free for it")
        else:
            yield Finding("page", "note", f"{where} gives no answer ({why})")
        return
    finally:
        connection.close()
    if budges and case.running is not False:
        name = f"{socket.gethostname()}.local" if page.host in ANYWHERE else page.host
        yield Finding("page", "good", f"http://{name}:{page.port}/")
    else:
        yield Finding(
            "page",
            "bad",
            f"another program has {where}",
            f"another `port` in [page]: sudo nano {case.config}",
        )


def _paired(case: Case) -> Iterator[Finding]:
    try:
        tokens = Access(case.state).tokens()
    except AccessError as error:
        yield Finding("paired", "bad", str(error))
        return
    if tokens:
        readers = sum(token.role == "read" for token in tokens)
        reading = f", {readers} may only look" if readers else ""
        yield Finding("paired", "good", f"{len(tokens)} with the page{reading}")
    else:
        yield Finding(
            "paired", "note", "no phone is paired, so nobody can use the page", "budge pair"
        )


def _long(seconds: float) -> str:
    for unit, length_s in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
