"""What trials keep beside their rows: where it lies, and that it is whole before they are done."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mos_agents.market.types import InputError
from mos_agents.runs import RunError, files
from mos_agents.sweeps import SweepFolder, SweepPlan, TrialOutcome, TrialResult, sweep
from mos_agents.sweeps.training import TrainingTrial
from mos_agents.sweeps.trial_folder import TrialFolder, contents
from mos_agents.tasks import InProcess, Task, TaskOutcome
from mos_agents.training.folder import begun, create, read_training
from tests.sweeps.worlds import GAME
from tests.training.worlds import small

pytestmark = pytest.mark.train  # a plan of trainings is checked by what trains

PLAN = small()


def made(path: Path) -> Path:
    """The folder of a training in which nothing has been trained yet."""
    return create(PLAN, path.parent, path.name, {})


def test_a_training_that_has_begun_is_found_and_what_a_kill_left_before_it_did_is_removed(
    tmp_path: Path,
) -> None:
    place = tmp_path / "it"
    assert begun(PLAN, place) is None
    made(place)
    run = begun(PLAN, place)
    assert run is not None and run.folder == place
    (place / "training.json").unlink()
    (place / ".training.json.7.tmp").write_text("{")
    assert begun(PLAN, place) is None and not place.exists()


def another(place: Path) -> None:
    create(small(lr=0.5), place.parent, place.name, {})


def thesis(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("")


def headless(place: Path) -> None:
    (made(place) / "checkpoints" / "000000002.npz").write_bytes(b"")
    (place / "training.json").unlink()


def edited(place: Path) -> None:
    path = made(place) / "training.json"
    path.write_bytes(path.read_bytes().replace(b"ppo", b"dqn"))


STRANGERS: list[tuple[Callable[[Path], Any], str]] = [
    (another, "holds another training; move it away"),
    (thesis, r"holds files, and no training\.json"),
    (headless, r"holds files, and no training\.json"),
    (edited, "damaged or edited"),
    (lambda place: place.write_text(""), r"holds files, and no training\.json"),
    (lambda place: place.symlink_to(made(place.with_name("far"))), "is a link"),
    (lambda place: place.symlink_to(place.parent), "is a link"),
]


@pytest.mark.parametrize(("put", "other_plan"), STRANGERS)
def test_a_strangers_or_damaged_folder_is_told_in_one_line_and_left_alone(
    put: Callable[[Path], Any], other_plan: str, tmp_path: Path
) -> None:
    place = tmp_path / "it"
    put(place)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=other_plan) as caught:
        begun(PLAN, place)
    assert "\n" not in str(caught.value) and contents(tmp_path) == before


# --- brought along from a machine without the folder ----------------------------------------------


def plan() -> SweepPlan:
    return SweepPlan.of(GAME, ["ticks=8,16"], 1, TrainingTrial.parsed("algo=ppo iterations=2"))


class Bringing(InProcess):
    """Trials that come with a training's files, but train nothing."""

    def __init__(self, elsewhere: Path) -> None:
        self.elsewhere = elsewhere

    def outcome(self, handle: Task) -> TaskOutcome:
        cell, (_, seed) = handle.shared, handle.arguments
        shutil.rmtree(self.elsewhere, ignore_errors=True)
        create(cell.spec._plan(cell.scenario, seed), self.elsewhere, handle.key, {})
        files = contents(self.elsewhere / handle.key)
        return TaskOutcome(TrialOutcome(TrialResult({"reward": 1.0}, (), files)))


def test_a_training_brought_along_lies_in_its_place_and_not_in_memory(tmp_path: Path) -> None:
    result = sweep(plan(), tmp_path / "it", Bringing(tmp_path / "far"))
    for trial in result.plan.trials:
        run = read_training(tmp_path / "it" / "trainings" / trial.name)
        assert run.plan.scenario.ticks == (8, 16)[trial.cell]
        assert not result.done[trial.number].result.files
    assert len(list((tmp_path / "it" / "trainings").iterdir())) == 2


def test_a_training_in_another_copy_of_the_folder_is_not_taken_for_one_that_is_here(
    tmp_path: Path,
) -> None:
    class Astray(Bringing):
        def outcome(self, handle: Task) -> TaskOutcome:
            found = super().outcome(handle).value
            empty = replace(found, result=found.result._replace(files={}))
            return TaskOutcome(empty, node="a node")

    result = sweep(plan(), tmp_path / "it", Astray(tmp_path / "far"))
    assert len(result.failed) == 2
    error = str(result.done[0].error)
    assert "was not kept here: a node has another copy of this folder" in error


def test_a_training_brought_along_takes_the_place_of_one_cut_off_but_of_no_other(
    tmp_path: Path,
) -> None:
    opened = SweepFolder.made(plan(), tmp_path / "it")
    first, second = opened.plan.trials
    with opened.held():
        pass
    place = tmp_path / "it" / "trainings" / first.name
    torn = place.with_name(f".{first.name}.tmp")
    torn.mkdir()
    (torn / "torn.npz").write_bytes(b"")
    spec: Any = opened.plan.spec
    create(spec._plan(opened.plan.cells[0].scenario, first.seed), place.parent, place.name, {})
    (place / "metrics.jsonl").write_text("")  # as far as it came
    thesis(place.with_name(second.name))
    with pytest.raises(RunError, match=r"holds files, and no training\.json; move them away"):
        sweep(plan(), tmp_path / "it", Bringing(tmp_path / "far"))
    assert not (place / "torn.npz").exists() and not torn.exists()
    assert not (place / "metrics.jsonl").exists() and list(opened.done()) == [first.number]
    assert (place.with_name(second.name) / "thesis.tex").exists()


@pytest.mark.parametrize("at", range(10))
def test_a_trial_is_done_only_once_its_training_is_whole(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, left, keeping = files.write_all, [at], [False]

    def write_all(handle: int, data: bytes) -> None:
        left[0] -= keeping[0]
        if keeping[0] and left[0] < 0:
            plain(handle, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(handle, data)

    class Far(Bringing):
        def outcome(self, handle: Task) -> TaskOutcome:
            keeping[0] = False
            found = super().outcome(handle)
            keeping[0] = True
            return found

    monkeypatch.setattr(files, "write_all", write_all)
    with pytest.raises(RunError, match="No space left on device; what is there stays") as caught:
        sweep(plan(), tmp_path / "it", Far(tmp_path / "far"))
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    opened = SweepFolder.made(plan(), tmp_path / "it")
    for number in opened.done():
        read_training(tmp_path / "it" / "trainings" / opened.plan.trials[number].name)
    again = sweep(plan(), tmp_path / "it", Bringing(tmp_path / "far"))
    assert not again.missing and not list((tmp_path / "it" / "trainings").glob(".*"))


def test_a_folder_is_seen_only_where_it_is_the_sweeps_and_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = SweepFolder.made(plan(), tmp_path)
    with opened.held():
        folder = TrialFolder(tmp_path, opened.plan.identity, "it")
        assert folder.writable()
        assert not folder._replace(identity="another").writable()
        assert not folder._replace(sweep=tmp_path / "nowhere").writable()

        def flock(handle: int, how: int) -> None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))  # as NFS does with folders

        monkeypatch.setattr(fcntl, "flock", flock)
        assert not folder.writable()


def test_a_link_in_place_of_all_trainings_is_refused(tmp_path: Path) -> None:
    opened = SweepFolder.made(plan(), tmp_path / "it")
    (tmp_path / "far").mkdir()
    (tmp_path / "it" / "trainings").symlink_to(tmp_path / "far")
    with pytest.raises(RunError, match="trainings: is a link"), opened.held():
        pass


def test_the_folder_of_a_sweep_without_trainings_has_no_place_for_them(tmp_path: Path) -> None:
    from tests.sweeps.worlds import plan as other_plan

    sweep(other_plan(["firms=1,2"]), tmp_path, InProcess())
    assert not (tmp_path / "trainings").exists()
