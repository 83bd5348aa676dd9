"""This machine under a sheet: everything is read from it, everything written stays on the sheet.

Commands run as root in a mount namespace of their own, on an overlay over `/`, with the network and
without a running systemd: as in a chroot, or in an image that is being made.
"""

import os
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")  # noqa: S108  where a sheet can be: not on the file system of `/`
INSIDE = "/mnt"  # where the project is to be found, read-only

PRIVATE = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
RUN = """
set -e
mkdir -p "$SHEET/upper" "$SHEET/work" "$SHEET/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$SHEET/upper,workdir=$SHEET/work" "$SHEET/root"
mount --bind "$PROJECT" "$SHEET/root$INSIDE"
mount -o remount,bind,ro "$SHEET/root$INSIDE"
mount --rbind /dev "$SHEET/root/dev"
mount -t proc proc "$SHEET/root/proc"
mount -t tmpfs tmpfs "$SHEET/root/run"
exec chroot "$SHEET/root" sh -c "$COMMAND"
"""


class Overlay:
    """A sheet in memory, kept from command to command."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is to be below MEMORY."""
        self._folder = folder

    def run(self, command: str, *, timeout_s: float = 800.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the sheet; what it prints to either place is in `stdout`."""
        return subprocess.run(
            # A process space of its own, so that nothing outlives the command.
            ["unshare", *PRIVATE, "sh", "-c", RUN],
            env={
                **os.environ,
                "SHEET": str(self._folder),
                "PROJECT": str(PROJECT),
                "INSIDE": INSIDE,
                "COMMAND": command,
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def written(self, path: str) -> Path:
        """Where a file that was written on the sheet is to be found from outside."""
        return self._folder / "upper" / path.lstrip("/")

    def files(self) -> set[str]:
        """Every file that was written, by its path."""
        upper = self._folder / "upper"
        return {f"/{p.relative_to(upper)}" for p in upper.rglob("*") if not p.is_dir()}


def impossible() -> str | None:
    """Say why this machine has no sheet, or None."""
    if os.geteuid() != 0:
        return "needs root, for a mount namespace"
    if not MEMORY.is_dir():
        return f"needs {MEMORY} to write to"
    if not Path("/usr/bin/apt-get").exists():
        return "needs Debian"
    trial = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"mounting is not allowed here: {trial.stderr}" if trial.returncode else None
