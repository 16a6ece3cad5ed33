"""Sweeps on Ray: the same rows as in one process, over two nodes, whatever is lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mos_agents import scenarios
from mos_agents.actors.ray import cluster as ray_cluster
from mos_agents.actors.ray.tasks import RayTasks
from mos_agents.cli import run
from mos_agents.market.types import InputError
from mos_agents.runs import RunError
from mos_agents.runs.sealing import read_sealed
from mos_agents.sweeps import PlayTrial, SessionsTrial, SweepPlan, sweep
from mos_agents.sweeps.training import TrainingTrial
from mos_agents.tasks import InProcess, TaskProgress
from mos_agents.tasks.runner import TRIES
from tests.clusters import SharedClusters, cluster_of, living, lose
from tests.sweeps.worlds import GAME, RETAIL, Slow, plan
from tests.test_runs import ROOT
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.xdist_group("ray")

ORDER = [
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
    "--name",
    "mine",
]


@pytest.fixture(scope="class")
def joined(shared_clusters: SharedClusters) -> Iterator[Any]:
    """This process is on the cluster of two nodes."""
    with shared_clusters.two_nodes() as made, ray_cluster.cluster(made.address):
        yield made


class TestJoined:
    """On one cluster of two nodes, of which the last test loses one."""

    def test_ray_gives_the_rows_that_one_process_gives_and_no_more_at_a_time_than_asked(
        self, joined: Any, tmp_path: Path
    ) -> None:
        made = SweepPlan.of(GAME, ["sessions.window=400,500"], 2, SessionsTrial(4))
        most = [0]

        def show(progress: TaskProgress) -> None:
            most[0] = max(most[0], len(progress.running))

        far = sweep(made, tmp_path / "far", RayTasks(1), TaskProgress(show=show))
        near = sweep(made, tmp_path / "near", InProcess())
        assert far.trials.equals(near.trials) and far.table.equals(near.table)
        for name in ("table.csv", "trials.parquet"):
            assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "near" / name).read_bytes()
        assert most[0] == 1

    def test_a_trial_that_ends_its_process_is_given_up_and_the_others_go_on(
        self, joined: Any, tmp_path: Path
    ) -> None:
        result = sweep(plan(["firms=1"], 2, Slow(seconds=0.0, kills_at=(1,))), tmp_path)
        assert [(t.cell, t.seed) for t, _ in result.failed] == [(0, 1)]
        reason = result.failed[0][1]
        assert reason.startswith(f"its process died {TRIES} times: ") and "\n" not in reason
        assert result.table["trials"].to_list() == [1]

    def test_a_trial_larger_than_any_node_is_told_before_anything_waits(
        self, joined: Any, tmp_path: Path
    ) -> None:
        for more, message in (({"cpus": 3.0}, "3 CPU"), ({"gpus": 1.0}, "1 CPU and 1 GPU")):
            made = SweepPlan.of(RETAIL, ["firms=1,2"], 1, PlayTrial(), **more)
            with pytest.raises(
                InputError, match=f"a trial takes {message} of one node; the nodes have"
            ):
                sweep(made, tmp_path / str(more))

    @pytest.mark.train
    def test_a_training_with_more_workers_than_the_cluster_has_cores_for_is_refused(
        self, joined: Any, tmp_path: Path
    ) -> None:
        wide = SweepPlan.of(
            GAME, ["train.lr=0.1,0.2"], 1, TrainingTrial.parsed("workers=9 agents=[firm_1]")
        )
        with pytest.raises(InputError, match="a trial takes 10 CPU in all; the nodes have "):
            sweep(wide, tmp_path / "wide")

    def test_a_sweep_that_cannot_keep_its_results_ends_in_one_line(
        self, joined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mos_agents.tasks import folder

        plain, room = folder.write_whole, [2]

        def write_whole(path: Path, data: bytes) -> None:
            room[0] -= 1
            if room[0] < 0:
                raise OSError(28, "No space left on device")
            plain(path, data)

        monkeypatch.setattr(folder, "write_whole", write_whole)
        with pytest.raises(RunError, match="No space left on device"):
            sweep(plan(["firms=1,2"], 4, Slow()), tmp_path)
        assert len(list((tmp_path / "trials").glob("c*"))) == 2

    def test_a_scenario_with_a_catalogue_beside_it_is_swept_from_anywhere(
        self, joined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "goods.csv").write_text(
            "product,seller,cost,reference_price,quality,stock\ntea,shop,1,3,0,\ntea,firm,1,3,0,\n"
        )
        (tmp_path / "shop.yaml").write_text(
            "{name: shop, ticks: 3, participants: [{name: '*'}], catalogue: {kind: file, path: "
            "goods.csv}, execution: {kind: expected, demand: {kind: logit}}}"
        )
        monkeypatch.chdir("/")
        scenario = scenarios.load(tmp_path / "shop.yaml")
        result = sweep(SweepPlan.of(scenario, ["ticks=3,4"], 2, PlayTrial()), tmp_path / "sweep")
        assert not result.failed and not result.missing

    def test_trials_run_on_both_nodes_and_the_loss_of_one_loses_no_trial_and_moves_no_bit(
        self, joined: Any, tmp_path: Path
    ) -> None:
        grid = ["firms=1,2,3"]
        made, gone = plan(grid, 8, Slow(seconds=1.0)), []

        def show(progress: TaskProgress) -> None:
            kept = (tmp_path / "far" / "trials").glob("c*")
            if not gone and len({read_sealed(path)["value"]["node"] for path in kept}) == 2:
                gone.append(progress.done)
                lose(*joined.worker_nodes)

        result = sweep(made, tmp_path / "far", progress=TaskProgress(show=show))
        assert gone and gone[0] < 22  # some were under way there, and some yet to come
        assert not result.missing and not result.failed
        near = sweep(plan(grid, 8, Slow(seconds=0.0)), tmp_path / "near", InProcess())
        assert result.table.equals(near.table) and result.trials.equals(near.trials)


# --- in processes of their own --------------------------------------------------------------------


def kept(folder: str = "runs/mine/trials") -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).glob("c*")}


def stopped(
    number: int, after: int, *arguments: str
) -> tuple[subprocess.Popen[str], str, str, list[psutil.Process]]:
    """A sweep on a cluster of its own, sent a signal; what it printed and what it had started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mos_agents.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    eventually(lambda: process.poll() is not None or len(kept()) >= after)
    # Ray's agents look for the rest of their cluster a while longer.
    started = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "Agent" not in child.name()
    ]
    process.send_signal(number)
    output, error = process.communicate(timeout=PATIENCE)
    return process, output, error, started


def left_of(started: list[psutil.Process]) -> list[psutil.Process]:
    """Those that are there after half a minute."""
    return psutil.wait_procs(started, timeout=PATIENCE)[1]


@pytest.mark.usefixtures("no_other_cluster")
def test_a_sweep_killed_with_kill_9_goes_on_is_stopped_and_ends_as_one_that_was_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process, _, _, started = stopped(signal.SIGKILL, 8, *ORDER)
    assert process.returncode == -signal.SIGKILL
    killed = kept()
    assert 8 <= len(killed) < 40
    assert left_of(started) == []  # nobody plays on unseen
    resume = ["sweep", "--resume", "mine", "--no-report"]
    process, output, error, started = stopped(signal.SIGINT, len(killed) + 2, *resume)
    assert process.returncode == 130
    assert f"40 trials, {len(killed)} of them there" in output
    interrupted = kept()
    assert len(killed) < len(interrupted) < 40
    assert error == (
        f"mos: stopped: {len(interrupted)} of 40 trials kept in runs/mine; "
        "mos sweep --resume runs/mine goes on\n"
    )
    assert left_of(started) == []
    assert run([*resume, "--backend", "local"]) == 0
    after = kept()
    assert len(after) == 40
    assert {name: after[name] for name in interrupted} == interrupted  # none was played twice
    assert {name: after[name] for name in killed} == killed
    assert run([*ORDER[:-1], "calm", "--backend", "local"]) == 0
    for name in ("table.csv", "trials.parquet"):
        assert Path("runs/mine", name).read_bytes() == Path("runs/calm", name).read_bytes()


@pytest.mark.usefixtures("no_other_cluster")
def test_a_sweep_whose_head_node_is_lost_ends_in_one_line_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with cluster_of(1) as made:
        process = subprocess.Popen(
            [sys.executable, "-m", "mos_agents.cli", *ORDER, "--address", made.address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        eventually(lambda: process.poll() is not None or len(kept()) >= 4)
        process.send_signal(signal.SIGSTOP)  # it begins no more trials,
        workers = [psutil.Process(pid) for pid in living(made.head_node, "")]
        for worker in workers:
            worker.suspend()  # and none ends, however quick they are
        for server in made.head_node.all_processes["gcs_server"]:
            psutil.Process(server.process.pid).kill()
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=PATIENCE)
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
    before = kept()
    assert process.returncode == 2 and 4 <= len(before) < 40
    lost, lines = r"mos: the cluster's head node at \S+ is lost: .*", error.splitlines()
    assert re.fullmatch(
        rf"{lost}; {len(before)} of 40 trials kept in runs/mine; mos sweep --resume runs/mine goes "
        "on, with --address HEAD:PORT on another cluster",
        lines[-1],
    )
    assert run(["sweep", "--resume", "mine", "--no-report", "--backend", "local"]) == 0
    assert run([*ORDER[:-1], "calm", "--backend", "local"]) == 0
    assert Path("runs/mine/table.csv").read_bytes() == Path("runs/calm/table.csv").read_bytes()
    assert {name: kept()[name] for name in before} == before
