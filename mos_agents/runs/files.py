"""Files that are either whole or not there, whatever moment the power is cut at.

A file is written under a temporary name, forced to the disk, renamed, and the folder forced too.
Its SHA-256 lies beside it in the form that `sha256sum -c` reads, and is checked on every reading.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from mos_agents.market.types import InputError


class RunError(InputError):
    """A run folder that cannot be written or read, told in one line."""


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there at once or not at all.

    Raises OSError where the disk does not take every byte; the former file then stays.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(temporary, flags, 0o644)
        try:
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_all(handle: int, data: bytes) -> None:
    """Every byte, or an OSError: at a size limit `write` stores a part and complains of nothing."""
    view = memoryview(data)
    while view:
        written = os.write(handle, view)
        if written <= 0:
            raise OSError(f"{written} of {len(view)} bytes were written")
        view = view[written:]


def sync_folder(folder: Path) -> None:
    """Force the folder's entries to the disk: a renamed file is only then sure to stay."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_with_digest(path: Path, data: bytes) -> None:
    """The file's digest first, then the file: a file that is there has its digest.

    Where it replaces another, both digests hold until it is there: a kill in between damages none.
    """
    line, beside = _digest_line(path, data), _digest_of(path)
    former = read_inside(beside) if path.exists() and beside.exists() else b""
    write_whole(beside, former + line)
    write_whole(path, data)
    if former:
        write_whole(beside, line)


def read_with_digest(path: Path) -> bytes:
    """The bytes of a file, or RunError where they are not those that were written."""
    for _ in range(2):  # it may be replaced between the two readings
        data = read_inside(path)
        if _digest_line(path, data) in read_inside(_digest_of(path)).splitlines(keepends=True):
            return data
    raise RunError(
        f"{path}: damaged: its bytes do not match {_digest_of(path).name}; restore the file "
        "from a copy or make the run again"
    )


def claim(folder: Path, name: str, mark: str) -> str:
    """Make a folder one's own: what its file `name` says it is for, or `mark`, written there now.

    The folder is made where there is none. What a kill in the middle of this left is cleared away.
    Raises RunError where the folder holds other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if path.exists():
        return read_with_digest(path).decode()
    for one in list(folder.iterdir()):
        if one.name.startswith(f".{name}.") and one.name.endswith(".tmp"):
            one.unlink()
        elif one != _digest_of(path):
            raise RunError(f"{folder}: holds other files; give an empty or a new folder")
    write_with_digest(path, mark.encode())
    return mark


@contextlib.contextmanager
def alone(folder: Path, told: str) -> Iterator[None]:
    """The folder for this process alone; RunError with what is told where another one has it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: {told}") from None
        yield
    finally:
        os.close(handle)


def read_inside(path: Path) -> bytes:
    """The bytes of a file of a run. Links are refused: they may lead out of the folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; the run is damaged or is not a run folder") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    with open(handle, "rb") as file:
        try:
            return file.read()
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _digest_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest_line(path: Path, data: bytes) -> bytes:
    return f"{digest(data)}  {path.name}\n".encode()
