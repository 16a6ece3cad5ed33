"""Folders of sweeps: only what is missing is played, whatever happened before."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mos_agents.learners import save_network
from mos_agents.learners.network_files import to_bytes
from mos_agents.market.types import InputError
from mos_agents.policies import from_config
from mos_agents.runs import RunError, files
from mos_agents.sweeps import SweepFolder, SweepPlan, TrialResult, sweep
from mos_agents.sweeps.plan import Axis
from mos_agents.sweeps.training import TrainingTrial
from mos_agents.tasks import InProcess, Task, TaskOutcome, TaskProgress, WorkerLost
from mos_agents.tasks.runner import TRIES
from mos_agents.training.plan import TrainingPlan
from tests.learners.networks import network
from tests.sweeps.worlds import GAME, ScriptedTrial, plan


class Counting(InProcess):
    """Plays here and remembers what it played; stops after so many."""

    def __init__(self, most: int = 10**9) -> None:
        self.played: list[str] = []
        self.most = most

    def progress(self) -> TaskProgress:
        return TaskProgress(stop_requested=lambda: len(self.played) >= self.most)

    def outcome(self, handle: Task) -> TaskOutcome:
        self.played.append(handle.key)
        return super().outcome(handle)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every trial's file, with when it was written."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in (folder / "trials").iterdir()
    }


def test_a_sweep_that_was_stopped_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    made = plan()
    first = Counting(most=7)
    stopped = sweep(made, tmp_path / "a", first, first.progress())
    assert len(first.played) == 7 and len(stopped.missing) == 11
    before = state(tmp_path / "a")
    second = Counting()
    resumed = sweep(made, tmp_path / "a", second)
    assert sorted(first.played + second.played) == sorted(
        trial.name for trial in made.trials
    )  # none twice
    assert {name: state(tmp_path / "a")[name] for name in before} == before
    whole = sweep(made, tmp_path / "b", InProcess())
    assert resumed.table.equals(whole.table) and not resumed.missing
    for name in ("table.csv", "trials.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_order_of_the_trials_changes_nothing(tmp_path: Path) -> None:
    class Backwards(InProcess):
        """All trials are under way at once, and the last one ends first."""

        def capacity(self) -> int:
            return 1000

        def wait(self, handles: Sequence[Task], seconds: float) -> Sequence[Task]:
            return handles[-1:]

    one = sweep(plan(), tmp_path / "a", InProcess())
    two = sweep(plan(), tmp_path / "b", Backwards())
    assert one.trials.equals(two.trials) and one.table.equals(two.table)


def test_a_trial_that_fails_is_told_the_others_go_on_and_it_is_tried_again(tmp_path: Path) -> None:
    failing = plan(["firms=1,2"], 3, ScriptedTrial((1,)))
    result = sweep(failing, tmp_path, InProcess())
    reason = "ZeroDivisionError: seed 1 is not liked"
    assert [(t.cell, t.seed, why) for t, why in result.failed] == [(0, 1, reason), (1, 1, reason)]
    assert result.table["trials"].to_list() == [2, 2]
    assert result.table["failed"].to_list() == [1, 1]
    assert result.table["errors"].to_list() == [f"seed 1: {reason}"] * 2
    assert result.trials.filter(seed=1)["error"].to_list() == [reason] * 2
    again = Counting()
    sweep(failing, tmp_path, again)
    assert again.played == ["cell-00000-seed-1", "cell-00001-seed-1"]


class CrashingTrials(InProcess):
    """Trials of these names lose their process, so often each."""

    def __init__(self, deaths: dict[str, int]) -> None:
        self.deaths = deaths

    def outcome(self, handle: Task) -> TaskOutcome:
        if self.deaths.get(handle.key, 0) > 0:
            self.deaths[handle.key] -= 1
            raise WorkerLost("the node is gone")
        return super().outcome(handle)


def test_a_trial_whose_process_dies_is_played_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    result = sweep(
        plan(["firms=1,2"]),
        tmp_path / "a",
        CrashingTrials({"cell-00000-seed-0": 1, "cell-00001-seed-1": TRIES - 1}),
    )
    assert not result.failed and not result.missing
    assert result.table.equals(sweep(plan(["firms=1,2"]), tmp_path / "b", InProcess()).table)
    lost = sweep(plan(["firms=1,2"]), tmp_path / "c", CrashingTrials({"cell-00000-seed-2": TRIES}))
    assert [(t.number, why) for t, why in lost.failed] == [
        (2, f"its process died {TRIES} times: the node is gone")
    ]


def test_what_a_killed_writer_left_is_no_result(tmp_path: Path) -> None:
    made = plan(["firms=1,2"])
    sweep(made, tmp_path, InProcess())
    path = tmp_path / "trials" / f"{made.trials[2].name}.json"
    torn = path.with_name(f".{path.name}.123.tmp")
    torn.write_bytes(path.read_bytes()[:50])
    path.unlink()
    again = Counting()
    sweep(made, tmp_path, again)
    assert again.played == [made.trials[2].name]
    assert not torn.exists()


def test_a_sweep_killed_before_its_plan_was_written_begins_in_the_same_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / ".sweep.json.1.tmp").write_text("{")
    assert not sweep(plan(["firms=1,2"]), tmp_path, InProcess()).missing


@pytest.mark.parametrize("at", [0, 30, -3])
def test_a_damaged_trial_is_told_and_not_used(tmp_path: Path, at: int) -> None:
    made = plan(["firms=1,2"])
    sweep(made, tmp_path, InProcess())
    path = tmp_path / "trials" / f"{made.trials[0].name}.json"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RunError, match="damaged or edited"):
        sweep(made, tmp_path, InProcess())


def test_a_folder_of_another_sweep_or_of_other_things_is_refused(tmp_path: Path) -> None:
    sweep(plan(["firms=1,2"]), tmp_path / "a", InProcess())
    with pytest.raises(RunError, match=r"holds another sweep, over firms=1,2 with 3 seeds"):
        sweep(plan(["firms=1,3"]), tmp_path / "a", InProcess())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="holds other files"):
        sweep(plan(["firms=1,2"]), tmp_path / "b", InProcess())
    with pytest.raises(RunError, match=r"has no sweep\.json"):
        SweepFolder.read(tmp_path / "b")
    stranger = tmp_path / "a" / "trials" / f"{plan(['firms=1,2']).trials[0].name}.json"
    sweep(plan(["firms=1,3"]), tmp_path / "c", InProcess())
    stranger.write_bytes((tmp_path / "c" / "trials" / stranger.name).read_bytes())
    with pytest.raises(RunError, match="is of another sweep"):
        sweep(plan(["firms=1,2"]), tmp_path / "a", InProcess())


def test_two_processes_do_not_play_one_sweep(tmp_path: Path) -> None:
    made = plan(["firms=1,2"])
    with (
        SweepFolder.made(made, tmp_path).held(),
        pytest.raises(RunError, match="is being played by another process"),
    ):
        sweep(made, tmp_path, InProcess())
    sweep(made, tmp_path, InProcess())


def test_a_full_disk_ends_the_sweep_in_one_line_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(["firms=1,2"])
    plain, room = files.write_all, [4]

    def write_all(handle: int, data: bytes) -> None:
        room[0] -= 1
        if room[0] < 0:
            plain(handle, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(handle, data)

    monkeypatch.setattr(files, "write_all", write_all)
    with pytest.raises(RunError, match="No space left on device") as caught:
        sweep(made, tmp_path, InProcess())
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    again = Counting()
    assert not sweep(made, tmp_path, again).missing
    assert len(again.played) == 3


def test_the_folder_alone_tells_its_plan(tmp_path: Path) -> None:
    from mos_agents.sweeps import PlayTrial

    made = plan(["firms=1,2"], 2, PlayTrial(burn_in=1))
    sweep(made, tmp_path, InProcess())
    read = SweepFolder.read(tmp_path)
    assert read.plan.identity == made.identity
    assert len(read.done()) == 4 and read.other_versions == ""


def test_a_plan_may_be_given_other_resources_for_the_rest(tmp_path: Path) -> None:
    one = Counting(most=1)
    sweep(plan(["firms=1,2"]), tmp_path, one, one.progress())
    grown = SweepPlan.of(plan().scenario, ["firms=1,2"], 3, ScriptedTrial(), cpus=4.0)
    assert not sweep(grown, tmp_path, InProcess()).missing


@pytest.mark.parametrize("cpus", [-1, 1.5, True, "2", float("nan")])
def test_cores_are_parts_of_one_or_whole(cpus: object) -> None:
    with pytest.raises(InputError, match="cpus="):
        SweepPlan.of(plan().scenario, ["firms=1,2"], 3, ScriptedTrial(), cpus=cpus)  # type: ignore[arg-type]


def test_a_row_has_finite_measures_only() -> None:
    assert TrialResult.of({"a": 1, "b": float("inf"), "c": float("nan")}).measures == {"a": 1.0}


def responding(path: str) -> SweepPlan:
    """Learners trained against a network's file."""
    spec = TrainingTrial().changed("policies", {"firm_2": {"kind": "network", "path": path}})
    return SweepPlan(GAME, (Axis("train.lr", (1e-3,)),), (0,), spec)


def test_a_network_that_learners_are_trained_against_must_stay_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.npz").write_bytes(b"one")
    SweepFolder.made(responding("own.npz"), tmp_path / "it")
    SweepFolder.made(responding("own.npz"), tmp_path / "it")
    Path("own.npz").write_bytes(b"another")
    keep = f"^{tmp_path}/own.npz: is not what the sweep it began with; restore it, or begin another"
    with pytest.raises(RunError, match=keep):
        SweepFolder.read(tmp_path / "it")
    with pytest.raises(RunError, match=keep):
        SweepFolder.made(responding("own.npz"), tmp_path / "it")


def test_a_machine_without_the_networks_file_trains_against_it_all_the_same(
    tmp_path: Path,
) -> None:
    made = network(GAME.market().specs[1], "levels")
    save_network(tmp_path / "own.npz", made)
    sent = responding(str(tmp_path / "own.npz")).spec.portable()
    (tmp_path / "own.npz").unlink()
    there = TrainingPlan(GAME, policies=sent.settings()["plan"]["policies"])  # type: ignore[arg-type]
    assert to_bytes(from_config(there.policies["firm_2"]).network) == to_bytes(made)  # type: ignore[attr-defined]
