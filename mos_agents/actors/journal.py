"""The clearing house's files: snapshots, and a journal of every tick's actions since the last one.

A tick is a pure function of the state, the actions and the seed, so a journal holds only actions.
A record is written before its tick is cleared, and forced to the disk about once a second. Snapshot
and journal give the state back bit for bit. Nothing is pickled: records are plain float64, and
snapshots are `.npz` files read without objects.

A record: length (8 bytes), tick (8), JSON note length (4), note, actions, digest (16). The digest
covers the one before it, so a changed, lost or moved record breaks the chain. A record that a crash
left half-written at the end is dropped. Anything else that does not fit is an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mos_agents.market.types import Array
from mos_agents.runs.files import (
    FolderLock,
    RunError,
    read_run_file,
    sync_folder,
    write_all,
    write_with_digest,
)
from mos_agents.runs.files import read_with_digest as read_checked

HEAD = struct.Struct("<QqI")
DIGEST = 16
SYNC_SECONDS = 1.0
LOCK_SECONDS = 20.0
"""How long a new clearing house waits until the one before it has ended."""
LARGEST_NOTE = 1 << 20


class Record(NamedTuple):
    """One cleared tick: the actions [B, L, A], and who had been withdrawn before it."""

    tick: int
    actions: Array
    note: dict[str, Any]


class Journal:
    """The journal of one shard, in its own folder.

    Parameters
    ----------
    folder : Path
        Where segments and snapshots lie.
    shape : tuple of int
        The shape [B, L, A] of a tick's actions.
    audit : bool
        Whether every record is kept from the first tick on. If not, a snapshot replaces the
        records before it.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], audit: bool = False) -> None:
        with _explained(folder, None):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.shape, self.audit = folder, shape, audit
        self._handle: int | None = None
        self._chain = b""
        self._end = 0
        self._synced = time.monotonic()
        self._hold: FolderLock | None = None

    def lock(self, seconds: float = LOCK_SECONDS) -> None:
        """Lock the folder until `close`, or the end of this process.

        A clearing house whose driver was killed goes on for a moment, so this waits for it.

        Raises
        ------
        RunError
            If another process still holds the lock after so many seconds.
        """
        until = time.monotonic() + seconds
        while self._hold is None:
            try:
                self._hold = FolderLock(self.folder, "another clearing house writes this journal")
            except RunError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def open(self, tick: int) -> None:
        """Begin a new segment whose first record will be `tick`."""
        self._end_segment()
        path = self.folder / segment_name(tick)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with _explained(self.folder, tick):
            self._handle = os.open(path, flags, 0o644)
            sync_folder(self.folder)
        self._chain, self._end = first_digest(tick), 0

    def append(self, tick: int, actions: Array, note: dict[str, Any]) -> None:
        """Write a tick's record. A record that does not fit on the disk leaves no trace.

        Raises
        ------
        RunError
            If the disk takes no more.
        """
        assert self._handle is not None
        data, digest = encoded(Record(tick, actions, note), self._chain)
        try:
            write_all(self._handle, data)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._handle)
                self._synced = time.monotonic()
        except OSError as error:
            with _explained(self.folder, tick):
                os.ftruncate(self._handle, self._end)
                os.lseek(self._handle, self._end, os.SEEK_SET)
                raise error
        self._end += len(data)
        self._chain = digest

    def snapshot(self, tick: int, arrays: dict[str, Any]) -> None:
        """Write the state before `tick`, begin a new segment, and delete the old ones."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        with _explained(self.folder, tick):
            write_with_digest(self.folder / snapshot_name(tick), buffer.getvalue())
            self.open(tick)
            if not self.audit:
                for path in self.folder.glob("*.log"):
                    if tick_of(path) < tick:
                        path.unlink()
            for path in self.folder.glob("snapshot-*"):
                if path.name.removesuffix(".sha256") != snapshot_name(tick):
                    path.unlink()

    @property
    def is_open(self) -> bool:
        return self._handle is not None

    def close(self) -> None:
        """Force everything to the disk, and unlock the folder."""
        try:
            self._end_segment()
        finally:
            if self._hold is not None:
                self._hold.release()
                self._hold = None

    def _end_segment(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with _explained(self.folder, None):
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


@contextlib.contextmanager
def _explained(folder: Path, tick: int | None) -> Iterator[None]:
    """Turn an error of the disk into a RunError in one line."""
    try:
        yield
    except OSError as error:
        safe = "" if tick is None else f" the ticks before {tick:,} are safe;"
        raise RunError(
            f"{folder}: the journal cannot be written: {error.strerror or error};{safe} make room "
            "and resume"
        ) from None


def encoded(record: Record, chain: bytes) -> tuple[bytes, bytes]:
    """The record's bytes, and its digest, which the next one builds on."""
    note = json.dumps(record.note, separators=(",", ":")).encode() if record.note else b"{}"
    body = np.ascontiguousarray(record.actions, "<f8").tobytes()
    length = HEAD.size + len(note) + len(body) + DIGEST
    data = HEAD.pack(length, record.tick, len(note)) + note + body
    digest = hashlib.blake2b(chain + data, digest_size=DIGEST).digest()
    return data + digest, digest


def records(folder: Path, shape: tuple[int, ...], since: int) -> Iterator[Record]:
    """The records from tick `since` on, in order. Raises RunError at the first damaged byte."""
    segments = sorted(folder.glob("*.log"), key=tick_of)
    expected = since
    for number, path in enumerate(segments):
        last = number == len(segments) - 1
        for record in segment(path, shape, last):
            if record.tick < since:
                continue
            if record.tick != expected:
                raise RunError(f"{path}: tick {record.tick} where {expected} should be: damaged")
            expected += 1
            yield record


def segment(path: Path, shape: tuple[int, ...], last: bool) -> Iterator[Record]:
    """The records of one segment; only the newest segment may end in the middle of a record."""
    data = read_run_file(path)
    chain, position = first_digest(tick_of(path)), 0
    body = int(np.prod(shape)) * 8
    while position < len(data):
        left = len(data) - position
        if left < HEAD.size:
            break
        length, tick, note_length = HEAD.unpack_from(data, position)
        if note_length > LARGEST_NOTE or length != HEAD.size + note_length + body + DIGEST:
            raise RunError(f"{path}: damaged at byte {position}: not a record of this run")
        if left < length:
            break
        whole = data[position : position + length - DIGEST]
        digest = hashlib.blake2b(chain + whole, digest_size=DIGEST).digest()
        if digest != data[position + length - DIGEST : position + length]:
            raise RunError(f"{path}: damaged: the record at byte {position} fails its digest")
        note = json.loads(whole[HEAD.size : HEAD.size + note_length])
        actions = np.frombuffer(whole, "<f8", offset=HEAD.size + note_length).reshape(shape)
        yield Record(tick, actions.astype(np.float64), note)
        chain, position = digest, position + length
    if position < len(data) and not last:
        raise RunError(f"{path}: damaged: ends in the middle of a record")


def repair_tail(folder: Path, shape: tuple[int, ...]) -> None:
    """Cut off a record that a crash left half-written at the end of the newest segment."""
    segments = sorted(folder.glob("*.log"), key=tick_of)
    if segments:
        whole = sum(len(encoded(r, b"")[0]) for r in segment(segments[-1], shape, True))
        if whole < segments[-1].stat().st_size:
            handle = os.open(segments[-1], os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:  # on the disk before a newer segment is: only the newest may end half-written
                os.ftruncate(handle, whole)
                os.fsync(handle)
            finally:
                os.close(handle)


def newest_snapshot(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """The newest snapshot: its tick and arrays; None where there is none.

    Raises RunError where it is damaged: it is never silently passed over.
    """
    found = sorted(folder.glob("snapshot-*.npz"))
    if not found:
        return None
    data = io.BytesIO(read_checked(found[-1]))
    try:
        with np.load(data, allow_pickle=False) as arrays:
            tick = int(found[-1].stem.removeprefix("snapshot-"))
            return tick, {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile):
        raise RunError(f"{found[-1]}: is no snapshot: damaged or edited") from None


def extent(folder: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """Where a recovery begins and ends.

    Returns
    -------
    begin : int
        The tick of the newest snapshot, from which ticks are cleared again; 0 without a snapshot.
    end : int
        The tick after the last record, from which the run goes on.

    Raises
    ------
    RunError
        If snapshot or journal is damaged.
    """
    found = newest_snapshot(folder)
    begin = found[0] if found else 0
    end = begin
    for record in records(folder, shape, begin):
        end = record.tick + 1
    return begin, end


def complete(folder: Path) -> bool:
    """Whether the journal goes back to the first tick."""
    return (folder / segment_name(0)).exists()


def first_digest(tick: int) -> bytes:
    """The digest before the first record of a segment."""
    return hashlib.blake2b(f"segment {tick}".encode(), digest_size=DIGEST).digest()


def segment_name(tick: int) -> str:
    return f"{tick:012d}.log"


def snapshot_name(tick: int) -> str:
    return f"snapshot-{tick:012d}.npz"


def tick_of(path: Path) -> int:
    """The first tick of a segment, from its name."""
    if not path.stem.isdigit():
        raise RunError(f"{path}: not a segment of a journal")
    return int(path.stem)
