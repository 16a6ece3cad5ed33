"""Runs of actors from the command line: the local run's hash, and resumable whatever kills them."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mos_agents import runs, scenarios
from mos_agents.cli import run
from mos_agents.market.types import InputError
from tests.commands import refused
from tests.test_runs import ROOT
from tests.waiting import PATIENCE, eventually

TICKS = 800
LONG = ["--ticks", str(TICKS), "--markets", "2", "--set", "products=2", "--no-report"]


pytestmark = pytest.mark.usefixtures("here")


def hash_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The hash that a command ends with."""
    assert run(arguments) == 0, capsys.readouterr().err
    found = re.search(r"^hash +([0-9a-f]{32})$", capsys.readouterr().out, re.MULTILINE)
    assert found
    return found[1]


def killed(arguments: list[str], after_ticks: int, number: int) -> list[psutil.Process]:
    """Start `mos`, wait until so many ticks of run `it` are on the disk, and send the signal.

    Returns the processes that it had started.
    """
    command = [sys.executable, "-m", "mos_agents.cli", *arguments, "--name", "it"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )

    def far_enough() -> bool:
        with contextlib.suppress(InputError):
            return process.poll() is not None or runs.read("it").ticks >= after_ticks
        return False

    eventually(far_enough)
    started = []
    if process.poll() is None:
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
    process.wait(PATIENCE)
    return started


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("preset", scenarios.presets())
def test_a_run_of_actors_has_the_hash_of_the_local_run(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["run", preset, "--ticks", "8", "--markets", "3", "--no-report"]
    local = hash_of(capsys, *short)
    for layout in (["--shards", "1"], ["--shards", "3", "--workers", "1"], ["--workers", "2"]):
        assert hash_of(capsys, *short, "--backend", "actors", *layout) == local


def test_both_runs_hold_the_same_tables(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["run", "retail", "--ticks", "30", "--markets", "4", "--no-report"]
    hash_of(capsys, *short, "--name", "local")
    hash_of(capsys, *short, "--name", "one", "--backend", "actors")
    hash_of(capsys, *short, "--name", "four", "--backend", "actors", "--shards", "4")
    local = runs.read("local")
    for name in ("one", "four"):
        other = runs.read(name)
        assert local.listings().equals(other.listings())
        assert local.participants().equals(other.participants())
    assert local.aggregates().equals(runs.read("one").aggregates())
    ours, theirs = local.aggregates(), runs.read("four").aggregates()
    for column in ("reward", "reward_p05", "pnl", "mean_ask", "sold", "refused"):
        assert abs(ours[column] - theirs[column]).max() < 1e-9  # a mean of means


def test_a_report_is_made_of_a_run_of_actors(capsys: pytest.CaptureFixture[str]) -> None:
    hash_of(capsys, "run", "market_making", "--ticks", "30", "--backend", "actors", "--name", "it")
    assert (Path("runs/it/report.html")).stat().st_size > 10_000


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_killed_run_resumes_to_the_hash_of_an_undisturbed_one(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = hash_of(capsys, "run", "retail", *LONG, "--name", "calm")
    rng = random.Random(backend)
    for number in (signal.SIGKILL, signal.SIGINT):
        command = ["run", "retail", *LONG, "--backend", backend]
        killed(command, rng.randint(1, TICKS // 2), number)
        if not runs.read("it").finished:
            assert hash_of(capsys, "run", "--resume", "it", "--no-report") == undisturbed
        again = runs.read("it")
        again.check()
        assert again.ticks == TICKS
        assert again.listings().equals(runs.read("calm").listings())
        shutil.rmtree("runs/it")


def test_a_finished_run_verifies_and_a_damaged_journal_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = ["run", "retail", "--ticks", "40", "--no-report", "--name"]
    hash_of(capsys, *short, "plain")
    hash_of(capsys, *short, "acted", "--backend", "actors", "--audit", "--shards", "1")
    for name in ("plain", "acted"):
        assert run(["verify", name]) == 0
    assert "the whole journal led to the same hash" in capsys.readouterr().out
    journal = next(Path("runs/acted/shards").rglob("*.log"))
    whole = journal.read_bytes()
    rng = random.Random(0)
    for _ in range(15):
        at = rng.randrange(len(whole))
        journal.write_bytes(
            whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        )
        refused(capsys, "verify", "acted")
    journal.write_bytes(whole[: len(whole) // 2])
    assert "led to tick" in refused(capsys, "verify", "acted")


def test_verify_tells_a_wrong_hash(capsys: pytest.CaptureFixture[str]) -> None:
    hash_of(capsys, "run", "retail", "--ticks", "10", "--no-report", "--name", "it")
    from mos_agents.runs.sealing import sealed

    path = Path("runs/it/run.json")
    facts = runs.read("it").facts | {"hash": "0" * 32}
    path.write_bytes(sealed(facts))
    assert "says tick 10 and hash 0000" in refused(capsys, "verify", "it")


ERRORS = [
    (["run"], "--resume"),
    (["run", "retail", "--resume", "it"], "not both"),
    (["run", "retail", "--backend", "cloud"], "local, actors, ray"),
    (["run", "retail", "--shards", "2"], "add --backend ray"),
    (["run", "retail", "--backend", "actors", "--shards", "2"], "raise --markets"),
    (["run", "retail", "--backend", "actors", "--shards", "0"], "shards=0"),
    (["run", "retail", "--backend", "actors", "--workers", "-1"], "workers=-1"),
    (["run", "retail", "--backend", "actors", "--spread"], "--spread is for the nodes"),
    (["run", "retail", "--spread"], "--spread is for actors: add --backend ray"),
    (["run", "retail", "--backend", "ray", "--deadline", "0"], "deadline=0.0"),
    (["run", "retail", "--backend", "ray", "--deadline", "nan"], "deadline=nan"),
    (["run", "retail", "--backend", "actors", "--deadline", "0"], "deadline=0.0"),
    (["run", "retail", "--backend", "actors", "--deadline", "5"], "add --backend ray"),
    (["run", "retail", "--deadline", "5"], "add --backend ray"),
    (["run", "retail", "--backend", "ray", "--dashboard"], "--dashboard"),
    (["run", "--resume", "absent"], "absent"),
    (["run", "--resume", "absent", "--ticks", "5"], "--ticks: a run that is resumed keeps"),
    (["run", "retail", "--backend", "ray", "--address", "127.0.0.1:9"], "127.0.0.1:9"),
    (["verify", "absent"], "absent"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=lambda a: str(a)[:40])
def test_a_wrong_order_is_one_line_and_leaves_no_run(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert message in refused(capsys, *arguments)
    assert not list(here.rglob("run.json"))


@pytest.mark.xdist_group("ray")
def test_a_ray_run_killed_with_its_driver_leaves_nothing_running_and_resumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    undisturbed = hash_of(capsys, "run", "retail", *LONG, "--name", "calm")
    started = killed(
        ["run", "retail", *LONG, "--backend", "ray", "--workers", "1"], 300, signal.SIGKILL
    )
    assert not runs.read("it").finished
    assert len(started) > 3  # the cluster's own, the clearing house, the participants
    # Ray's two agents look for their raylet once a minute or so, and then follow it.
    working = [p for p in started if p.is_running() and "Agent" not in words_of(p)]
    _, alive = psutil.wait_procs(working, timeout=PATIENCE)
    assert [words_of(p) for p in alive] == []
    # In a process of its own: this one may be on a cluster of other tests.
    again = subprocess.run(
        [sys.executable, "-m", "mos_agents.cli", "run", "--resume", "it", "--no-report"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert f"hash    {undisturbed}" in again.stdout
    assert run(["verify", "it"]) == 0


def words_of(process: psutil.Process) -> str:
    """A process by its command line; nothing if it has gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
