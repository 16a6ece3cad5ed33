"""A folder that is written has one writer: the second is told so in a line and changes nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mos_agents import runs, scenarios
from mos_agents.cli import run
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.lab.verifying import verify
from mos_agents.runs import RunError, files
from mos_agents.runs.files import FolderLock, locked
from mos_agents.runs.folder import RUN, SWEEP
from tests.commands import environment, refused
from tests.test_runs import recorded, small

pytestmark = pytest.mark.usefixtures("here")

LONG = ["--set", "products=2", "--ticks", "200000", "--every", "50", "--no-report", "--name", "r"]
TOLD = "another process plays this run"


@contextlib.contextmanager
def playing(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`mos` in a process of its own, from when it has the run's folder on; killed at the end."""
    output = Path("said.txt")
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mos_agents.cli", *arguments],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    resuming = "--resume" in arguments
    try:
        while not (
            "going on from" in output.read_text()
            if resuming
            else list(Path("runs/r/aggregates").glob("*.parquet"))
        ):
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_run_that_plays_is_not_resumed_and_one_that_was_killed_is(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing("run", "retail", *LONG, "--backend", backend) as process:
        for _ in range(3):
            assert TOLD in refused(capsys, "run", "--resume", "r")
        assert process.poll() is None
        process.send_signal(signal.SIGSTOP)  # a process that stands still still plays
        assert TOLD in refused(capsys, "run", "--resume", "r")
    with playing("run", "--resume", "r", "--no-report"):  # the killed one left no lock behind
        assert TOLD in refused(capsys, "run", "--resume", "r")
    run = runs.read("r")
    run.check()
    assert run.aggregates()["tick"].unique().len() == run.ticks


RESUMES = """
import contextlib, io, json, sys
from mos_agents.cli import run
for name in sys.stdin:
    error = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        code = run(["run", "--resume", name.strip(), "--no-report"])
    print(json.dumps([code, error.getvalue()]), flush=True)
"""


def raced(trials: int) -> None:
    """So many interrupted runs, each resumed by two processes at one moment."""
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", RESUMES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for _ in range(2)
    ]
    try:
        for trial in range(trials):
            scenario = small(seed=trial, ticks=60)
            recorded(Path("runs"), scenario, (20,), stop=30, name=f"r{trial}").close()
            for one in pair:
                assert one.stdin
                one.stdin.write(f"r{trial}\n")
                one.stdin.flush()
            ended = [json.loads(one.stdout.readline()) for one in pair if one.stdout]
            (_, nothing), (_, line) = sorted(ended)
            assert sorted(code for code, _ in ended) == [0, 2]
            assert nothing == "" and line.count("\n") == 1
            assert TOLD in line or "finished already" in line  # it may have come later
            verify(runs.read(f"r{trial}"))
    finally:
        for one in pair:
            one.kill()
            one.communicate()


def test_of_two_that_resume_at_one_moment_one_plays_and_its_run_is_sound() -> None:
    raced(5)


@pytest.mark.matrix
def test_of_fifty_pairs_that_resume_at_one_moment_one_each_plays() -> None:
    raced(50)


def test_fifty_of_fifty_second_writers_are_refused_and_change_nothing() -> None:
    first = recorded(Path("runs"), small(), (4,), stop=4)
    before = contents(first.folder)
    for _ in range(50):
        with pytest.raises(RunError, match=TOLD):
            runs.resume(runs.read(first.folder), first.market)
        assert contents(first.folder) == before


def test_a_run_is_held_from_before_it_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    rename, tried = os.rename, []

    def late(source: Path, target: Path) -> None:
        with pytest.raises(RunError, match="x"):
            FolderLock(source, "x")
        rename(source, target)
        with pytest.raises(RunError, match="x"):
            FolderLock(target, "x")
        tried.append(target)

    monkeypatch.setattr(os, "rename", late)
    runs.record(small().market(), "runs", ticks=1)
    assert len(tried) == 1


@pytest.mark.parametrize("end", ["finish", "close", "discard", "forgotten"])
def test_a_recording_that_ends_lets_go_of_its_folder(end: str) -> None:
    scenario = small()
    recording = recorded(Path("runs"), scenario, (4,), stop=4)
    folder = recording.folder
    if end == "forgotten":
        del recording
    else:
        getattr(recording, end)()
    if end == "discard":
        assert not folder.exists()
        return
    with locked(folder, "held"):
        pass


def test_who_resumes_reads_the_run_only_once_it_is_held() -> None:
    """It may have ended between the reading and the resuming; then nothing of it is removed."""
    recording = recorded(Path("runs"), small(), (4,), stop=4)
    read_before = runs.read(recording.folder)
    recording.finish()
    before = contents(recording.folder)
    with pytest.raises(RunError, match="finished already"):
        runs.resume(read_before, recording.market)
    assert contents(recording.folder) == before
    with locked(recording.folder, "held"):
        pass


def test_a_resume_that_is_refused_lets_go_of_the_folder() -> None:
    recording = recorded(Path("runs"), small(), (4, 8), stop=8)
    recording.close()
    part = recording.folder / "listings/part-000001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    for _ in range(2):
        with pytest.raises(RunError, match="damaged"):
            runs.resume(runs.read(recording.folder), recording.market)
    part.write_bytes(whole)
    assert runs.resume(runs.read(recording.folder), recording.market).ticks == 8


def test_reading_and_reporting_wait_for_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    held = recorded(Path("runs"), small(), (4,), stop=4)
    name = held.folder.name
    for command in (["report", name], ["compare", name, name]):
        assert run(command) == 0, capsys.readouterr().err
    assert "not finished" in refused(capsys, "verify", name)


def test_two_runs_of_one_name_are_one_run_and_a_refusal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with playing("run", "retail", *LONG):
        assert "already" in refused(capsys, "run", "retail", *LONG)


def test_a_folder_of_sessions_has_one_player() -> None:
    scenario = scenarios.override(scenarios.load("pricing_game"), ["seed=1"])
    game = RepeatedGame.of(scenario.market(), scenario.policies())
    folder = Path("sessions")
    play_sessions(game, sessions=1, periods=50, window=0, folder=folder)
    before = contents(folder)
    with locked(folder, "held"), pytest.raises(RunError, match="another process plays"):
        play_sessions(game, sessions=2, periods=50, window=0, folder=folder)
    assert contents(folder) == before
    assert len(play_sessions(game, sessions=2, periods=50, window=0, folder=folder)) == 2


def test_a_study_has_one_worker_in_its_folder() -> None:
    from experiments import studies
    from experiments.price_wars.play import PlayPlan
    from experiments.price_wars.study import WarStudySettings, study

    folder = Path("study")
    folder.mkdir()
    with locked(folder, "held"):
        with pytest.raises(RunError, match="another process works in it"):
            studies.run_study(lambda *_: {}, PlayPlan(), ["a"], [0], folder)
        with pytest.raises(RunError, match="another process works in it"):
            study(WarStudySettings(), folder)
    assert list(folder.iterdir()) == []


def test_demos_at_once_have_folders_of_their_own() -> None:
    from mos_agents.lab.demonstration import new_folder

    names = [new_folder(Path(), 3).name for _ in range(3)]
    assert names == ["demo-s3-001", "demo-s3-002", "demo-s3-003"]


def test_where_folders_cannot_be_locked_a_file_in_them_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS a lock needs a file that is open for writing, which a folder never is."""
    flock = fcntl.flock

    def of_nfs(handle: int, operation: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(handle, operation)

    monkeypatch.setattr(files.fcntl, "flock", of_nfs)
    first = recorded(Path("runs"), small(), (4,), stop=4)
    with pytest.raises(RunError, match=TOLD):
        runs.resume(runs.read(first.folder), first.market)
    first.close()
    runs.resume(runs.read(first.folder), first.market)
    new = first.folder / "listings" / "new"
    new.mkdir()
    with SWEEP.locked(new):
        assert SWEEP.claim(new, {"mark": "x"})["mark"] == "x"


def test_a_disk_without_locks_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", none)
    with pytest.raises(RunError, match=r"cannot be locked \(No locks available\).*another disk"):
        runs.record(small().market(), "runs", ticks=1)
    assert list(Path("runs").iterdir()) == []


def test_the_refusal_says_what_to_do() -> None:
    assert RUN.busy.startswith(TOLD) and "wait" in RUN.busy
