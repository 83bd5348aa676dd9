"""Who may use the page: tokens, of which only the hashes are kept."""

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal

import msgspec

from deploy.messages import rfc3339

Role = Literal["full", "read"]

TOKEN_BYTES = 16  # 128 random bits: guessing is hopeless at any rate that a Pi can answer
MAX_NAME_CHARACTERS = 64


class AccessError(RuntimeError):
    """The tokens cannot be read or changed; the sentence says why and what to do."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One paired device. The token itself is known to that device alone."""

    name: str
    role: Role
    created: str
    sha256: str


class _File(msgspec.Struct, frozen=True, kw_only=True):
    v: int = 1
    tokens: tuple[Token, ...] = ()


class Access:
    """The tokens of one state folder, read anew whenever somebody has changed them.

    Of one thread; other processes may change the file meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.json"
        self._seen: tuple[int, int, int] | None = None  # of the file when it was read
        self._tokens: tuple[Token, ...] = ()

    def tokens(self) -> tuple[Token, ...]:
        """List who is paired. Raises AccessError; then nobody may do anything."""
        try:
            stat = self.path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)  # a new file each time: inode
            if seen != self._seen:
                self._tokens = msgspec.json.decode(self.path.read_bytes(), type=_File).tokens
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._tokens = None, ()
        except OSError as error:
            self._seen = None
            raise AccessError(
                f"{self.path} cannot be read ({error.strerror}): give it back to who runs budge,"
                f" `sudo chown --reference={self.path.parent} {self.path}`"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._seen = None
            raise AccessError(
                f"{self.path} is not a list of tokens ({error}):"
                " remove it and pair again with `budge pair`"
            ) from error
        return self._tokens

    def add(self, role: Role, name: str | None = None) -> tuple[Token, str]:
        """Make a token; without a name it is called phone-1, phone-2 … Raises AccessError."""
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        with self._changing() as tokens:
            names = {token.name for token in tokens}
            name = _free(names) if name is None else name.strip()
            if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
                raise AccessError(
                    f"the name is {name!r}, expected 1 to {MAX_NAME_CHARACTERS} letters that can"
                    " be printed"
                )
            if name in names:
                raise AccessError(
                    f"{name!r} is paired already: choose another name, or take that token back"
                    " first with --revoke"
                )
            token = Token(
                name=name,
                role=role,
                created=rfc3339(time.time_ns() // 1000),
                sha256=_digest(secret),
            )
            self._write((*tokens, token))
        return token, secret

    def revoke(self, name: str) -> None:
        """Take a token back; who is watching with it is cut off. Raises AccessError."""
        with self._changing() as tokens:
            left = tuple(token for token in tokens if token.name != name)
            if len(left) == len(tokens):
                known = ", ".join(token.name for token in tokens) or "nobody"
                raise AccessError(f"{name!r} is not paired, only: {known}")
            self._write(left)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[tuple[Token, ...]]:
        """Keep two who pair at once from overwriting each other. Raises AccessError."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self.tokens()
            finally:
                os.close(lock)
        except OSError as error:
            raise AccessError(f"cannot write {self.path} ({error.strerror})") from error

    def _write(self, tokens: Iterable[Token]) -> None:
        """Put a new file in place of the old one: a power cut leaves one or the other."""
        folder = self.path.parent
        owner = folder.stat()
        with NamedTemporaryFile(dir=folder, prefix="tokens-", delete=False) as file:  # mode 0600
            try:
                file.write(msgspec.json.format(msgspec.json.encode(_File(tokens=tuple(tokens)))))
                if os.geteuid() == 0:  # root pairs for the service, which must be able to read it
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(self.path)
            except BaseException:
                Path(file.name).unlink()
                raise
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def holder(tokens: Iterable[Token], secret: str) -> Token | None:
    """Return whose token this is. How long it takes says nothing about any token."""
    digest = _digest(secret).encode()
    found = None
    for token in tokens:
        if hmac.compare_digest(token.sha256.encode(), digest):
            found = token
    return found


def _digest(secret: str) -> str:
    """Hash a token. It is random, so a slow hash would protect nothing and cost every request."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _free(names: Iterable[str]) -> str:
    number = 1
    while f"phone-{number}" in names:
        number += 1
    return f"phone-{number}"
