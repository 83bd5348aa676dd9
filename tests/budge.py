"""The real command as a process: started, listened to, ended or killed by its own process id."""

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
BUDGE = Path(sys.executable).with_name("budge")
DATASETS = ROOT.parent / "shared" / "datasets"


class Budge:
    """One `budge …` process; its error output is kept in a file and shown when it fails."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        """Run in `folder`, which also keeps its log."""
        self._log = folder / "budge.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [BUDGE, *arguments],
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float = 120.0) -> int:
        return self._process.wait(timeout_s)

    def end(self) -> int:
        """SIGTERM, as systemd does it."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait(30)

    def hang_up(self) -> None:
        """SIGHUP, as `systemctl reload` does it."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: no last words, no flush."""
        self._process.kill()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running():
            self.kill()
        if error is not None:
            print(self.log)
