"""Trainings of a sweep are kept: whole, gone on with after a kill, and as good as any other's."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mos_agents import scenarios
from mos_agents.actors.ray import cluster as ray_cluster
from mos_agents.actors.ray.tasks import RayTasks
from mos_agents.cli import run
from mos_agents.sweeps import SweepFolder, SweepPlan, SweepResult, sweep
from mos_agents.sweeps.training import TrainingTrial
from mos_agents.sweeps.trial_folder import contents
from mos_agents.tasks import InProcess, Task, WorkerPool
from mos_agents.training import read_training
from tests.commands import stopped

pytestmark = [
    pytest.mark.train,
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("no_other_cluster"),
]

CALM = [
    "sweep",
    "pricing_game",
    "--grid",
    "train.lr=0.001,0.01",
    "--seeds",
    "1",
    "--no-report",
    "--backend",
    "local",
    "--train",
    "algo=ppo agents=[firm_1] policies.firm_2=hold horizon=50 markets=4 ticks=32 iterations=12 "
    "evaluate_every=0 evaluation_markets=2 checkpoint_every=2",
]
ORDER = [*CALM[:7], "--workers", "1", *CALM[9:]]
FIRST, SECOND = "cell-00000-seed-0", "cell-00001-seed-0"


def networks(sweep: Path) -> dict[str, bytes]:
    """What was learnt in a sweep, file by file."""
    found = contents(sweep / "trainings")
    return {name: data for name, data in found.items() if "/policies/" in name}


def test_a_sweep_killed_in_a_training_goes_on_from_its_checkpoint_to_the_bits_of_a_calm_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, calm = Path("runs/mine"), Path("runs/calm")
    cut = mine / "trainings" / SECOND
    stopped(signal.SIGKILL, (cut / "checkpoints/000000004.npz").exists, *ORDER, "--name", "mine")
    assert [path.stem for path in (mine / "trials").glob("c*")] == [FIRST]
    before = (cut / "metrics.jsonl").read_text().splitlines()[:4]
    assert run(["sweep", "--resume", "mine", "--no-report"]) == 0, capsys.readouterr().err
    after = (cut / "metrics.jsonl").read_text().splitlines()
    assert after[:4] == before and len(after) == 12  # seconds of work are in them
    assert run([*CALM, "--name", "calm"]) == 0, capsys.readouterr().err
    assert "trained runs/calm/trainings" in capsys.readouterr().out
    for name in ("table.csv", "trials.parquet"):
        assert (mine / name).read_bytes() == (calm / name).read_bytes()
    assert networks(mine) == networks(calm) and len(networks(mine)) == 4


# --- in this process ------------------------------------------------------------------------------

GAME = scenarios.override(scenarios.load("pricing_game"), ["ticks=16"])
SHORT = (
    "algo=ppo iterations=3 markets=4 ticks=16 hidden=[8] evaluate_every=0 checkpoint_every=1 "
    "agents=[firm_1] 'policies.firm_2={kind: q_learning, prices: 5}'"
)


def plan() -> SweepPlan:
    return SweepPlan.of(GAME, ["train.lr=1e-3,1e-2"], 1, TrainingTrial.parsed(SHORT))


class WithoutSharedFolder:
    """On machines that do not see the sweep's folder."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def submit(self, task: Task) -> Any:
        folder, seed = task.arguments
        nowhere = folder._replace(sweep=Path("/nowhere"))
        return self._pool.submit(replace(task, arguments=(nowhere, seed)))


def swept(folder: Path, pool: WorkerPool | None = None) -> SweepResult:
    return sweep(plan(), folder, pool or InProcess())


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SweepResult]]:
    """A sweep that nothing disturbed; and a cluster, for the others too."""
    folder = tmp_path_factory.mktemp("calm")
    with ray_cluster.cluster():
        yield folder, swept(folder)


Calm = tuple[Path, SweepResult]


@pytest.mark.parametrize("pool", [InProcess, RayTasks])
def test_a_machine_that_does_not_see_the_folder_brings_its_training_along(
    pool: Callable[[], WorkerPool], calm: Calm, tmp_path: Path
) -> None:
    result = swept(tmp_path, WithoutSharedFolder(pool()))
    assert not result.failed and result.trials.equals(calm[1].trials)
    assert networks(tmp_path) == networks(calm[0]) and len(networks(tmp_path)) == 4
    run = read_training(tmp_path / "trainings" / SECOND)
    assert run.finished and run.checkpoints() == [2, 3]
    assert (run.folder / "trained.yaml").exists() and (run.folder / "learnt").is_dir()


def test_a_training_of_a_sweep_is_played_reported_exploited_and_trained_on_like_any_other(
    calm: Calm, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(calm[0], here / "runs" / "it")
    it = f"runs/it/trainings/{FIRST}"
    assert run(["run", f"{it}/trained.yaml", "--ticks", "5", "--no-report"]) == 0
    assert run(["report", it]) == 0 and Path(it, "report.html").exists()
    few = ["--iterations", "1", "--markets", "2", "--seeds", "1", "--participants", "firm_2"]
    assert run(["exploit", it, *few]) == 0, capsys.readouterr().err
    assert run(["train", "--resume", it, "--iterations", "4"]) == 0, capsys.readouterr().err
    assert read_training(it).plan.iterations == 4


def test_a_training_that_ended_before_a_kill_is_not_trained_again(
    calm: Calm, tmp_path: Path
) -> None:
    shutil.copytree(calm[0], tmp_path / "it")
    path = tmp_path / "it" / "trainings" / SECOND / "metrics.jsonl"
    before = path.read_text()
    (tmp_path / "it" / "trials" / f"{SECOND}.json").unlink()
    result = swept(tmp_path / "it")
    assert path.read_text() == before and result.trials.equals(calm[1].trials)
    assert networks(tmp_path / "it") == networks(calm[0])


def test_a_training_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(
    calm: Calm, tmp_path: Path
) -> None:
    shutil.copytree(calm[0], tmp_path / "it")
    checkpoint = tmp_path / "it" / "trainings" / SECOND / "checkpoints" / "000000003.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:99])
    (tmp_path / "it" / "trials" / f"{SECOND}.json").unlink()
    assert swept(tmp_path / "it").trials.equals(calm[1].trials)
    assert networks(tmp_path / "it") == networks(calm[0])


def test_a_stranger_in_a_trainings_place_fails_its_trial_alone_in_one_line(
    calm: Calm, tmp_path: Path
) -> None:
    place = tmp_path / "trainings" / SECOND
    SweepFolder.made(plan(), tmp_path)
    place.mkdir(parents=True)
    (place / "thesis.tex").write_text("")
    result = swept(tmp_path)
    text = f"{place}: holds files, and no training.json; move them away"
    assert [(trial.name, why) for trial, why in result.failed] == [(SECOND, text)]
    (place / "thesis.tex").unlink()
    assert swept(tmp_path).trials.equals(calm[1].trials)


def test_a_trial_waits_for_the_processes_of_a_killed_driver_to_end(
    calm: Calm, tmp_path: Path
) -> None:
    shutil.copytree(calm[0], tmp_path / "it")
    place = tmp_path / "it" / "trainings" / SECOND
    (tmp_path / "it" / "trials" / f"{SECOND}.json").unlink()
    with subprocess.Popen(["flock", str(place), "cat"], stdin=subprocess.PIPE) as orphan:
        assert orphan.stdin is not None
        while subprocess.run(["flock", "-n", str(place), "true"], check=False).returncode == 0:
            assert orphan.poll() is None
        threading.Timer(2.0, orphan.stdin.close).start()  # by then the trial waits
        result = swept(tmp_path / "it")
    assert not result.failed and result.trials.equals(calm[1].trials)
