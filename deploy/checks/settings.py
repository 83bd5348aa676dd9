"""The settings: read, right, and for no stranger's eyes."""

import pkgutil
from collections.abc import Iterator
from pathlib import Path

import deploy.inputs
import deploy.outputs
import firmware_bridge.sources
from deploy.doctor import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    if case.trouble is not None:
        denied = "Permission denied" in case.trouble
        mend = "sudo budge doctor" if denied else f"sudo nano {case.config}"
        yield Finding("settings", "bad", f"{case.trouble}. The rest rests on the defaults", mend)
        return
    if not case.config.exists():
        yield Finding("settings", "good", f"no {case.config}: everything is as by default")
        return
    wrong = list(_wrong(case))
    yield from wrong
    if not wrong:
        yield Finding("settings", "good", f"{case.config} is read and right")
    readable = case.config.stat().st_mode & 0o004
    if case.settings.mqtt.password is not None and readable:
        yield Finding(
            "password",
            "note",
            f"everybody on this machine can read the broker's password in {case.config}",
            f"sudo chmod o-r {case.config}",
        )


def _wrong(case: Case) -> Iterator[Finding]:
    settings = case.settings
    edit = f"sudo nano {case.config}"
    for what, package, named in (
        ("output", deploy.outputs, settings.outputs),
        ("input", deploy.inputs, settings.inputs),
        ("source", firmware_bridge.sources, (settings.source,)),
    ):
        known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        for name in named:
            if name not in known:
                sentence = f"{what} {name!r} is not known, expected one of {', '.join(known)}"
                yield Finding("settings", "bad", sentence, edit)
    starter = settings.learning.starter
    if starter is not None and not Path(starter).expanduser().is_file():
        sentence = f"`starter` in [learning] is {starter!r}, where there is no file"
        yield Finding("settings", "bad", sentence, edit)
