"""Backups over HTTP: one file out while the line runs, one in for the next start."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as Reply
from starlette.responses import StreamingResponse

from deploy.archive import BackupError
from deploy.backup import backup, stage
from deploy.page.gate import RefusedError

PREFIX = "page-"  # of folders beside the state: there is no other place with room on a Pi
PIECE_BYTES = 65536
PIECE_S = 20.0  # for the next piece of an upload
MAX_UPLOAD_BYTES = 2 * 10**9
SPARE_BYTES = 100 * 10**6  # to be left on the disk: the journal must go on


class Transfer:
    """The files of one state folder; one goes at a time."""

    def __init__(self, state: Path, device: str) -> None:
        self._state = state
        self._device = device
        self._busy = asyncio.Lock()

    def clear(self) -> None:
        """Remove what a crash has left behind."""
        for folder in self._state.glob(PREFIX + "*"):
            shutil.rmtree(folder, ignore_errors=True)

    async def backup(self) -> Reply:
        """Make a backup and return it as a download. Raises RefusedError."""
        async with self._alone():
            with self._folder() as folder:
                path = folder / "backup.budge"
                await _in_thread(partial(backup, self._state, path, device=self._device))
                file = path.open("rb")  # what is open stays readable when its folder is gone
        today = datetime.now(UTC).date()
        name = f"budge-{self._device}-{today}.budge"
        return StreamingResponse(
            _pieces(file),
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(os.fstat(file.fileno()).st_size),
                "Cache-Control": "no-store",
            },
        )

    async def restore(self, request: Request) -> None:
        """Take an uploaded backup in and put it where the next start takes it.

        Raises RefusedError.
        """
        async with self._alone():
            with self._folder() as folder:
                path = folder / "upload.budge"
                with path.open("wb") as file:
                    await self._receive(request, file)
                try:
                    await _in_thread(partial(stage, path, self._state))
                except BackupError as error:  # which knows the file by a name of ours
                    raise RefusedError(409, str(error).replace(str(path), "the file")) from error

    async def _receive(self, request: Request, file: BinaryIO) -> None:
        free = shutil.disk_usage(self._state).free - SPARE_BYTES
        room = max(0, min(MAX_UPLOAD_BYTES, free))
        too_large = RefusedError(413, f"the file is too large, there is room for {room} bytes")
        if int(request.headers.get("content-length", 0)) > room:
            raise too_large
        pieces = request.stream()
        size = 0
        try:
            while True:
                async with asyncio.timeout(PIECE_S):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                size += len(piece)
                if size > room:
                    raise too_large
                file.write(piece)
        except TimeoutError as error:
            raise RefusedError(408, f"nothing came for {PIECE_S:.0f} s") from error
        except ClientDisconnect as error:
            raise RefusedError(400, "the file did not come to its end") from error

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self._busy.locked():
            raise RefusedError(409, "another backup is on its way: wait until it is done")
        async with self._busy:
            try:
                yield
            except BackupError as error:
                raise RefusedError(409, str(error)) from error
            except OSError as error:
                raise RefusedError(
                    507, f"the state folder cannot be written ({error.strerror}): make room"
                ) from error

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        with TemporaryDirectory(
            dir=self._state, prefix=PREFIX, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece


async def _in_thread(work: Callable[[], None]) -> None:
    """Wait for what takes long; unlike asyncio's own threads this one does not hold up our end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        error = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 it is raised where it is waited for
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="budge-backup", daemon=True).start()
    await done
