"""Files that are either whole or not there, whatever moment the power is cut at.

A file is written under a temporary name, forced to the disk, renamed, and the folder forced too.
Its SHA-256 lies beside it in the form that `sha256sum -c` reads, and is checked on every reading.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from mos_agents.market.types import InputError


class RunError(InputError):
    """A run folder that cannot be written or read, stated in one line."""


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, replacing what is there at once or not at all.

    A link is replaced, and not followed. Raises InputError where `path` is a device, a FIFO or the
    like: it is not replaced. Raises OSError, naming `path`, where the disk does not take every
    byte; the former file then stays.
    """
    check_target(path, links=True)
    try:
        _write_whole(path, data)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
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


def remedy(error: OSError) -> str:
    """What helps against an error of the disk, for the end of a message; "" where nothing is known.

    It begins with a semicolon.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "; make room on that disk and give the command again"
    if error.errno == errno.EFBIG:
        return "; raise the limit on the size of files (ulimit -f) and give the command again"
    if error.errno == errno.EROFS:
        return "; name a place that can be written to"
    return ""


KINDS_OF_FILE = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}


def kind_of_file(mode: int) -> str:
    """What a file's mode says it is, where it is no regular file."""
    return KINDS_OF_FILE.get(stat.S_IFMT(mode), "a special file")


def check_target(path: Path, links: bool = False) -> None:
    """InputError where something stands at `path` that is no regular file.

    Renaming a file over a device, a FIFO or a link would replace it. links: whether a link may be
    replaced, as in a folder of the program's own.
    """
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not (links and stat.S_ISLNK(mode)):
            raise InputError(
                f"{path}: is {kind_of_file(mode)}, not a regular file, and is not "
                "replaced; give another name"
            )


def check_source(path: Path, most: int | None = None, shown: str | None = None) -> int:
    """The size in bytes of a regular file, or InputError in one line; nothing is opened.

    Links are followed: what counts is what they lead to. most: the largest size in bytes.
    """
    shown = shown or str(path)
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise InputError(f"{shown!a}: is not the name of a file") from None
    _check_regular(found, shown)
    if most is not None and found.st_size > most:
        raise InputError(f"{shown}: has {found.st_size:,} bytes, at most {most:,} are read")
    return found.st_size


def read_regular(path: Path, most: int | None = None, shown: str | None = None) -> bytes:
    """The bytes of a regular file that somebody named, or InputError in one line.

    A FIFO, a device, a folder, or a link to one, is refused at once. Never more than `most` bytes
    are read, whatever the file's size is said to be.
    """
    shown = shown or str(path)
    check_source(path, most, shown)
    try:
        # Not blocked for ever where a FIFO took the file's place since.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(handle, "rb") as file:
            _check_regular(os.fstat(file.fileno()), shown)
            data = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    if most is not None and len(data) > most:
        raise InputError(f"{shown}: has more than {most:,} bytes, at most {most:,} are read")
    return data


def _check_regular(found: os.stat_result, shown: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{shown}: is not a file but {kind_of_file(found.st_mode)}; give a file")


def write_all(handle: int, data: bytes) -> None:
    """Every byte, or an OSError: at a size limit `write` stores a part and complains of nothing."""
    view = memoryview(data)
    while view:
        written = os.write(handle, view)
        if written <= 0:
            raise OSError(errno.EIO, f"{written} of {len(view)} bytes were written")
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
    former = read_run_file(beside) if path.exists() and beside.exists() else b""
    write_whole(beside, former + line)
    write_whole(path, data)
    if former:
        write_whole(beside, line)


def read_with_digest(path: Path, sealed: str | None = None) -> bytes:
    """The bytes of a file, or RunError where they are not those that were written.

    sealed: the SHA-256 that is kept elsewhere; the bytes must have that one as well.
    """
    for _ in range(2):  # it may be replaced between the two readings
        data = read_run_file(path)
        found = digest(data)
        line = f"{found}  {path.name}\n".encode()
        if line in read_run_file(_digest_of(path)).splitlines(keepends=True):
            if sealed not in (None, found):
                raise RunError(
                    f"{path}: is not the file that the run was sealed with: run.json holds another "
                    "digest of it; restore the file from a copy or make the run again"
                )
            return data
    raise RunError(
        f"{path}: damaged: its bytes do not match {_digest_of(path).name}; restore the file "
        "from a copy or make the run again"
    )


LOCK = ".lock"
"""The file that stands for its folder where folders themselves cannot be locked: on NFS."""


class FolderLocked(RunError):
    """Another process writes to the folder."""


class FolderLock:
    """A folder that this process alone writes to, until `release` or the end of the process.

    The lock belongs to the open folder and not to its name: it moves along when the folder is
    renamed, and a process that is killed leaves none behind.
    """

    def __init__(self, folder: Path, message: str) -> None:
        """FolderLocked with `message` if another process holds the folder."""
        try:
            try:
                self._lock(folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                if error.errno != errno.EBADF:
                    raise
                self._lock(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except BlockingIOError:
            raise FolderLocked(f"{folder}: {message}") from None
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be locked ({error.strerror or error}), so two processes could "
                "write to it at once; use a folder on another disk"
            ) from None

    def _lock(self, path: Path, flags: int) -> None:
        handle = os.open(path, flags | os.O_CLOEXEC, 0o644)
        self.release = weakref.finalize(self, os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise


@contextlib.contextmanager
def locked(folder: Path, message: str) -> Iterator[None]:
    """Lock the folder for this process. FolderLocked with `message` if another process holds it."""
    hold = FolderLock(folder, message)
    try:
        yield
    finally:
        hold.release()


def read_run_file(path: Path) -> bytes:
    """The bytes of a file of a run. Links are refused: they may lead out of the folder."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; the run is damaged or is not a run folder") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise RunError(f"{path}: is not a file but {kind_of_file(mode)}; restore the file")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _digest_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest_line(path: Path, data: bytes) -> bytes:
    return f"{digest(data)}  {path.name}\n".encode()
