"""`mos sweep`: the table, on from any end, and one line for what is wrong. Without Ray."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import polars as pl
import pytest

from mos_agents.cli import run, sweep_table
from mos_agents.sweeps import Trial
from mos_agents.tasks import TaskProgress
from mos_agents.training import requirements
from tests.commands import each_refused, stopped
from tests.sweeps.worlds import plan

LOCAL = ["--backend", "local"]
SHORT = ["sweep", "retail", "--ticks", "5", "--set", "products=1", *LOCAL]
RETAIL = [*SHORT, "--grid", "firms=1,2", "--grid", "arrivals.sessions=5,10", "--seeds", "3"]
LONG = [
    "sweep",
    "retail",
    "--ticks",
    "200",
    "--set",
    "products=1",
    "--grid",
    "arrivals.sessions=10,20,30,40",
    "--seeds",
    "10",
    "--no-report",
    *LOCAL,
]


pytestmark = pytest.mark.usefixtures("here")


def test_a_sweep_prints_its_table_and_leaves_it_in_its_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(RETAIL) == 0
    out = capsys.readouterr().out
    folder = Path("runs/sweep-retail-001")
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "sweep.json",
        "table.csv",
        "trials",
        "trials.parquet",
    ]
    assert "retail: 4 cells x 3 seeds = 12 trials" in out
    table = pl.read_csv(folder / "table.csv")
    assert table["firms"].to_list() == [1, 1, 2, 2]
    row = table.row(3, named=True)
    shown = f"{row['reward']:.4g} [{row['reward_low']:.4g}, {row['reward_high']:.4g}]"
    assert any(line.split()[:3] == ["2", "10", "3"] and shown in line for line in out.splitlines())


def test_measures_to_print_can_be_chosen_and_an_unknown_one_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*RETAIL, "--no-report", "--show", "share.platform,faults"]) == 0
    head = capsys.readouterr().out.splitlines()[2]
    assert head.split() == ["firms", "sessions", "trials", "share.platform", "faults"]
    assert run(["sweep", "--resume", "sweep-retail-001", "--show", "gain", *LOCAL]) == 0
    assert "--show gain: is not measured; there are reward, pnl" in capsys.readouterr().out


def test_a_finished_sweep_that_is_resumed_plays_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*RETAIL, "--name", "mine", "--no-report"]) == 0
    files = {p: p.stat().st_mtime_ns for p in Path("runs/mine/trials").iterdir()}
    before = Path("runs/mine/table.csv").read_bytes()
    capsys.readouterr()
    for given in ("mine", "runs/mine"):
        assert run(["sweep", "--resume", given, "--no-report", *LOCAL]) == 0
        assert "12 trials, 12 of them there" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in Path("runs/mine/trials").iterdir()} == files
    assert Path("runs/mine/table.csv").read_bytes() == before


def test_a_trial_that_fails_is_named_and_the_exit_code_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:

    from mos_agents.sweeps import trials

    plain = trials.play_market

    def sickly(market, policies, seed, *more):  # type: ignore[no-untyped-def]
        if seed == 1 and market.layout.N == 3:
            raise MemoryError("no room")
        return plain(market, policies, seed, *more)

    with monkeypatch.context() as patch:
        patch.setattr(trials, "play_market", sickly)
        assert run([*RETAIL, "--no-report"]) == 1
    out = capsys.readouterr().out
    assert "failed firms=2, arrivals.sessions=5, seed 1: MemoryError: no room" in out
    assert "2 trials failed; mos sweep --resume runs/sweep-retail-001 tries them again" in out
    assert run(["sweep", "--resume", "sweep-retail-001", "--no-report", *LOCAL]) == 0
    assert "12 trials, 10 of them there" in capsys.readouterr().out


ERRORS = [
    (["sweep"], "give a scenario, or --resume SWEEP"),
    (SHORT, "--grid: is missing"),
    ([*SHORT, "--grid", "firms"], "must be KEY=VALUE"),
    ([*SHORT, "--grid", "frims=1"], "'frims' is not a key here"),
    ([*SHORT, "--grid", "arrivals.sesions=1"], "did you mean 'sessions'?"),
    ([*SHORT, "--grid", "train.lr=0.1"], "is not for trials of kind play; add --train"),
    ([*SHORT, "--grid", "sessions.window=9"], "is not for trials of kind play; add --sessions N"),
    ([*SHORT, "--grid", "firms=1,1"], "1 is there twice"),
    ([*SHORT, "--grid", "firms=1,-2"], "count=-2"),
    ([*RETAIL, "--seeds", "0"], "seeds=0"),
    ([*RETAIL, "--seeds", "x"], "'x' must be a whole number"),
    ([*RETAIL, "--sessions", "0"], "--ticks is for play tick by tick; leave it out with --sess"),
    (["sweep", "pricing_game", "--grid", "markets=1", "--sessions", "0"], "sessions=0 must be"),
    (["sweep", "retail", "--grid", "firms=1", "--sessions", "2"], "is not a kind of q_learning"),
    ([*RETAIL, "--burn-in", "5"], "burn_in=5 must be below ticks=5"),
    ([*RETAIL, "--sessions", "1", "--train", "algo=ppo"], "give --sessions or --train"),
    ([*RETAIL, "--workers", "2"], "--workers is for Ray: leave --backend local out"),
    ([*RETAIL, "--address", "a:1"], "--address is for Ray: leave --backend local out"),
    ([*RETAIL, "--backend", "cloud"], "must be 'local' or 'ray'"),
    ([*RETAIL, "--cpus", "-1"], "cpus=-1.0 must be"),
    ([*RETAIL, "--name", "../up"], "run name '../up'"),
    ([*RETAIL, "--resume", "mine"], "give a scenario, or --resume SWEEP, and not both"),
    (["sweep", "--resume", "mine", *LOCAL], "sweep 'mine' is not in runs"),
    (["sweep", "--resume", "mine", "--grid", "firms=1"], "--grid: a sweep that is resumed keeps"),
    (["sweep", "--resume", "mine", "--seeds", "4"], "--seeds: a sweep that is resumed keeps"),
]


test_a_wrong_order_is_one_line_and_leaves_nothing = each_refused(ERRORS)


def test_a_name_that_is_taken_and_a_folder_of_a_run_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*RETAIL, "--name", "mine", "--no-report"]) == 0
    assert run([*RETAIL, "--name", "mine"]) == 2
    assert "is there already; mos sweep --resume" in capsys.readouterr().err
    Path("runs/run").mkdir()
    assert run(["sweep", "--resume", "run", *LOCAL]) == 2
    assert "is not the folder of a sweep" in capsys.readouterr().err


def test_a_sweep_of_trainings_without_the_extra_tells_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr(requirements.importlib.util, "find_spec", lambda name: None)
    assert run(["sweep", "pricing_game", "--grid", "train.lr=0.1,0.2", "--train", "algo=ppo"]) == 2
    assert 'pip install "mos-agents[train]"' in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_other_versions_than_those_that_a_sweep_began_with_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mos_agents.runs.folder import SWEEP
    from mos_agents.sweeps import folder

    assert run([*RETAIL, "--name", "mine", "--no-report"]) == 0
    monkeypatch.setattr(folder, "versions", lambda: {**folder_versions, "numpy": "9.9"})
    folder_versions = dict(SWEEP.read(Path("runs/mine"))["versions"])
    assert run(["sweep", "--resume", "mine", "--no-report", *LOCAL]) == 0
    assert "versions differ, and results may: numpy" in capsys.readouterr().out


def stopped_after(number: int, trials: int) -> str:
    """A sweep under way in a process of its own, sent a signal once so many trials are kept."""
    return stopped(
        number,
        lambda: len(list(Path("runs").glob("*/trials/c*"))) >= trials,
        *LONG,
        "--name",
        "mine",
    )


def kept() -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path("runs/mine/trials").glob("c*")}


def test_a_sweep_killed_with_kill_9_goes_on_and_ends_as_one_that_was_not_disturbed() -> None:
    stopped_after(signal.SIGKILL, 8)
    before = kept()
    assert 8 <= len(before) < 40
    assert run(["sweep", "--resume", "mine", "--no-report", *LOCAL]) == 0
    after = kept()
    assert {name: after[name] for name in before} == before  # no trial was played twice
    assert len(after) == 40
    assert run([*LONG, "--name", "calm"]) == 0
    for name in ("table.csv", "trials.parquet"):
        assert Path("runs/mine", name).read_bytes() == Path("runs/calm", name).read_bytes()


def test_ctrl_c_ends_in_good_order_and_says_how_to_go_on() -> None:
    assert stopped_after(signal.SIGINT, 5) == (
        f"mos: stopped: {len(kept())} of 40 trials kept in runs/mine; "
        "mos sweep --resume runs/mine goes on\n"
    )


def test_progress_tells_how_far_what_failed_and_how_long_it_takes() -> None:
    now = time.monotonic()
    watch = TaskProgress(total=30, done=12, found=2, failed=1, began=now - 20.0, ended=now)
    watch.running = {Trial(12, 4, 0).name: now, Trial(13, 4, 1).name: now}
    line = sweep_table.progress_line(watch)
    assert line == "trials 12 of 30, 2 running, 1 failed, about 36 s left"
    assert sweep_table.progress_line(TaskProgress(total=30)) == "trials 0 of 30, 0 running"
    assert [sweep_table.duration(x) for x in (99.0, 600.0, 7200.0)] == ["99 s", "10 min", "2.0 h"]


def test_on_a_terminal_the_cells_under_way_are_told() -> None:
    from rich.console import Console

    made = plan(["firms=1,2"], 2)
    watch = TaskProgress(total=4, running={made.trials[3].name: time.monotonic() - 5.0})
    console = Console(width=100)
    with console.capture() as caught:
        console.print(sweep_table.drawing(made, watch))
    assert "  firms=2, seed 1: 5 s" in caught.get()
