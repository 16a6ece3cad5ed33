"""A journal that is damaged says so, one that finds no room keeps what it has."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mos_agents.actors.driver import Driver
from mos_agents.actors.journal import (
    HEAD,
    Journal,
    Record,
    encoded,
    newest_snapshot,
    records,
    repair_tail,
    segment_name,
)
from mos_agents.runs.files import RunError
from tests.actors.worlds import SHOP, driven, driver, plan_of, undisturbed
from tests.waiting import PATIENCE

SHAPE = (2, 3, 1)
STARTS = (0, 5, 11)  # of the three segments
LAST = 17


def made(folder):
    """An audited journal of three segments and a snapshot; the bits of its records."""
    rng = np.random.default_rng(0)
    journal = Journal(folder, SHAPE, audit=True)
    kept = []
    for tick in range(LAST):
        if tick in STARTS[1:]:
            journal.snapshot(tick, {"state": rng.random(50), "note": np.array("{}")})
        elif tick == 0:
            journal.open(0)
        record = Record(tick, rng.random(SHAPE), {"missing": {"a": "late"}} if tick % 3 else {})
        journal.append(*record)
        kept.append(bits(record))
    journal.close()
    return kept


def bits(record):
    return record.tick, record.actions.tobytes(), record.note


def read(folder):
    """All that a recovery reads."""
    snapshot = newest_snapshot(folder)
    repair_tail(folder, SHAPE)
    return snapshot, [bits(r) for r in records(folder, SHAPE, 0)]


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    return folder, made(folder)


def last_record(path):
    """Where the last record of a segment begins."""
    data, at, begin = path.read_bytes(), 0, 0
    while at < len(data):
        begin, at = at, at + HEAD.unpack_from(data, at)[0]
    return begin


def test_what_was_written_is_read(journal):
    folder, kept = journal
    snapshot, found = read(folder)
    assert found == kept and snapshot[0] == STARTS[-1]


def test_a_thousand_flipped_bytes_are_all_told(journal, tmp_path):
    folder, _ = journal
    rng, files = random.Random(1), sorted(p.name for p in folder.iterdir())
    assert len(files) == 5  # three segments, a snapshot and its digest
    for trial in range(1000):
        copy = tmp_path / str(trial)
        shutil.copytree(folder, copy)
        path = copy / files[trial % len(files)]
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        with pytest.raises(RunError) as told:
            read(copy)
        assert "\n" not in str(told.value) and path.name.split(".")[0] in str(told.value)
        shutil.rmtree(copy)


def test_a_thousand_cuts_are_told_or_leave_only_true_records(journal, tmp_path):
    """Only the end of the newest segment may be missing: a crash leaves nothing else. What is read
    then is true to the bit; that it is not all, the driver tells from the ticks it has recorded.
    """
    folder, kept = journal
    rng, files = random.Random(2), sorted(p.name for p in folder.iterdir())
    newest = segment_name(STARTS[-1])
    torn = 0
    for trial in range(1000):
        copy = tmp_path / str(trial)
        shutil.copytree(folder, copy)
        path = copy / files[trial % len(files)]
        size = path.stat().st_size
        cut = rng.randrange(size)
        if path.name == newest and trial % 2:
            cut = rng.randrange(last_record(path) + 1, size)
        os.truncate(path, cut)
        if path.name == newest:
            _, found = read(copy)
            assert found == kept[: len(found)] and len(found) >= STARTS[-1]
            if cut > last_record(folder / newest):
                torn += 1
                assert len(found) == LAST - 1
            assert path.stat().st_size == sum(
                len(encoded(Record(t, np.frombuffer(a).reshape(SHAPE), n), b"")[0])
                for t, a, n in found[STARTS[-1] :]
            )
        else:
            with pytest.raises(RunError):
                read(copy)
        shutil.rmtree(copy)
    assert torn >= 100


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: (f / segment_name(0)).unlink(),
        lambda f: (f / segment_name(5)).unlink(),
        lambda f: (f / segment_name(5)).write_bytes(b""),
        lambda f: (f / segment_name(5)).write_bytes((f / segment_name(0)).read_bytes()),
        lambda f: (f / segment_name(5)).rename(f / segment_name(6)),
        lambda f: (f / segment_name(11)).rename(f / segment_name(10)),
        lambda f: (f / segment_name(5)).write_bytes((f / segment_name(5)).read_bytes() * 2),
        lambda f: os.pwrite(os.open(f / segment_name(11), os.O_RDWR), b"0" * 99, 9999),
        lambda f: (f / "notes.log").write_text("a file that is not ours"),
        lambda f: next(f.glob("*.sha256")).unlink(),
        lambda f: next(f.glob("*.npz")).write_bytes(b""),
        lambda f: [
            (f / segment_name(5)).unlink(),
            (f / segment_name(5)).symlink_to(f / segment_name(0)),
        ],
    ],
)
def test_files_that_are_gone_moved_or_exchanged_are_told(journal, tmp_path, harm):
    copy = tmp_path / "copy"
    shutil.copytree(journal[0], copy)
    harm(copy)
    with pytest.raises(RunError):
        read(copy)


def test_a_journal_has_one_writer_and_a_new_one_waits_for_the_end_of_the_former(
    tmp_path, monkeypatch
):
    first, second = Journal(tmp_path, SHAPE), Journal(tmp_path, SHAPE)
    first.lock()
    with pytest.raises(RunError, match="another clearing house writes this journal"):
        second.lock(seconds=0.0)
    waited = []

    def ended(seconds):
        waited.append(seconds)
        first.close()

    monkeypatch.setattr("mos_agents.actors.journal.time.sleep", ended)
    second.lock()
    assert len(waited) == 1
    second.open(0)  # a new segment is no end
    with pytest.raises(RunError):
        first.lock(seconds=0.0)


def test_a_snapshot_with_an_object_in_it_is_not_opened(tmp_path):
    """A pickle in an archive would be a program: it is refused before it is read."""
    journal = Journal(tmp_path, SHAPE)
    with pytest.raises(RunError, match="is no snapshot"):
        journal.snapshot(3, {"state": np.full(2, Path("x"), object)})
        newest_snapshot(tmp_path)


def test_a_recovery_reads_a_damaged_run_as_an_error_and_not_as_a_market(tmp_path):
    folder = tmp_path / "run"
    run = driver(SHOP, 30, 3, folder=str(folder), checkpoint_every=10).run()
    for _ in range(15):
        next(run)
    run.close()
    rng = random.Random(4)
    for trial in range(40):
        copy = tmp_path / str(trial)
        shutil.copytree(folder, copy)
        paths = sorted(p for p in (copy / "shard-0000").iterdir() if p.stat().st_size)
        path = paths[trial % len(paths)]
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 0x55
        path.write_bytes(data)
        with pytest.raises(RunError):
            driven(SHOP, 30, 3, folder=str(copy))


# --- no room --------------------------------------------------------------------------------------

LIMITED = """
import resource, sys
from mos_agents.actors import shard
from mos_agents.runs.files import RunError
from tests.actors.worlds import SHOP, driver, parse
shard.scenarios.parse = parse
bytes_, folders = int(sys.argv[1]), sys.argv[2:]
for i, folder in enumerate(folders):
    given = 0
    # The write that crosses the limit is cut short, the next one fails.
    limit = bytes_ + 370 * i
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        for tick in driver(SHOP, 60, 3, folder=folder, checkpoint_every=25).run():
            given = tick.tick + 1
        print("whole", given)
    except RunError as error:
        print(given, str(error).count(chr(10)), "cannot be written" in str(error))
"""


def resumed(folder, given):
    """The hash of the run that goes on where it stopped; nothing that was told may be missing."""
    made = driver(SHOP, 60, 3, folder=str(folder), checkpoint_every=25)
    assert [t.tick for t in made.run(recorded=given)] == list(range(given, 60))
    return made.hash


def test_fifty_runs_that_cross_a_file_size_limit_stop_with_a_line_and_go_on(tmp_path):
    """Limits of 0 to 9,000 bytes: they fall into the first segment or the first snapshot."""
    folders = [str(tmp_path / str(i)) for i in range(25)]
    expected, stopped = undisturbed(SHOP, 60, 3), 0
    for begin in (0, 101):
        answer = subprocess.run(
            [sys.executable, "-c", LIMITED, str(begin), *folders],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert answer.returncode == 0, answer.stderr
        lines = answer.stdout.splitlines()
        assert len(lines) == 25
        for folder, line in zip(folders, lines, strict=True):
            given, breaks, told = line.split()
            assert (breaks, told) == ("0", "True")
            stopped += 1
            assert resumed(folder, int(given)) == expected
            shutil.rmtree(folder)
    assert stopped == 50


@contextlib.contextmanager
def small_disk(folder, size):
    """A disk of so many bytes, if this user may mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here; the file-size limit is tested above")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_twenty_runs_on_a_full_disk_stop_with_a_line_and_go_on_when_there_is_room(tmp_path):
    expected, rng = undisturbed(SHOP, 60, 3), random.Random(5)
    with small_disk(tmp_path / "disk", 128 * 1024) as disk:
        for trial in range(20):
            folder, ballast = disk / str(trial), disk / "ballast"
            room = 4096 * rng.randint(1, 8)
            ballast.write_bytes(b"0" * (120 * 1024 - room))
            given = 0
            with pytest.raises(RunError) as told:
                for tick in driver(SHOP, 60, 3, folder=str(folder), checkpoint_every=25).run():
                    given = tick.tick + 1
                    if given > 20:  # whatever else uses the disk
                        with contextlib.suppress(OSError), open(ballast, "ab") as file:
                            file.write(b"0" * 4096)
            assert "cannot be written" in str(told.value) and "\n" not in str(told.value)
            ballast.unlink()
            assert resumed(folder, given) == expected
            shutil.rmtree(folder)


def test_a_record_that_did_not_fit_leaves_no_trace(tmp_path, monkeypatch):
    journal = Journal(tmp_path, SHAPE)
    journal.open(0)
    journal.append(0, np.ones(SHAPE), {})
    size = (tmp_path / segment_name(0)).stat().st_size
    write = os.write
    for room in range(0, size, 7):
        left = [room]

        def short(handle, data, left=left):
            if not left[0]:
                raise OSError(28, "No space left on device")
            taken = write(handle, data[: left[0]])
            left[0] -= taken
            return taken

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", short)
            with pytest.raises(RunError, match="No space left on device; the ticks before 1 are"):
                journal.append(1, np.ones(SHAPE), {})
        assert (tmp_path / segment_name(0)).stat().st_size == size
    journal.append(1, np.full(SHAPE, 2.0), {})
    journal.close()
    assert [r.tick for r in records(tmp_path, SHAPE, 0)] == [0, 1]


def test_a_plan_says_where_its_journal_lies():
    assert isinstance(Driver(None, plan_of(SHOP, folder="here"), 3, 2, 2), Driver)
    plans = Driver(None, plan_of(SHOP, folder="here"), 3, 2, 2)._plans
    assert [p.folder for p in plans] == ["here/shard-0000", "here/shard-0001"]
