"""Train to the plan's end, keep what matters on the disk, and go on after any interruption.

With `workers=0` a training is a function of its plan: the random numbers of choosing have
addresses, and the generators that RLlib and PyTorch draw from are seeded again at every iteration.
One that was cut off therefore ends with the same bits as one that was not. APPO is the exception:
it learns in a thread of its own, as fast as that comes along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mos_agents.actors.ray.cluster import cluster, cores, joined, own_cores
from mos_agents.actors.ray.head import HeadLost, HeadWatch
from mos_agents.learners.network_files import save_network
from mos_agents.market.faults import Faults, added_up, count
from mos_agents.market.types import InputError
from mos_agents.runs.faults import fault_facts
from mos_agents.runs.files import write_whole
from mos_agents.runs.names import file_stem
from mos_agents.runs.sealing import now
from mos_agents.training import folder as folders
from mos_agents.training import hosted_learners, state_codec
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.evaluation import evaluated
from mos_agents.training.normaliser import Normaliser, calibrate, from_arrays, to_arrays, unchanged
from mos_agents.training.outcome import Record, Trained
from mos_agents.training.plan import TrainingPlan
from mos_agents.training.requirements import check_memory
from mos_agents.training.rllib_config import configured
from mos_agents.training.session import Figures, TrainingSession
from mos_agents.wording import resuming, setting, shown

OnProgress = Callable[[Record], bool | None]
"""Called after every iteration with its record; True ends the training there, in good order."""


def train(
    plan: TrainingPlan,
    folder: str | Path | None = None,
    *,
    name: str | None = None,
    on_progress: OnProgress | None = None,
    address: str | None = None,
    insecure: bool = False,
) -> Trained:
    """Train from the beginning.

    folder: below which the training's folder is made (under `name`, or the next free one); None
        keeps nothing on the disk. address, insecure: of a Ray cluster; where the process is on one
        already, that is used, and otherwise one of its own.
    """
    assignment = TrainingAssignment.of(plan)
    configured(assignment, unchanged(assignment))  # refuses before anything is started
    if folder is not None:
        folders.check_free(folder, name)
    check_memory(assignment, workers=address is None and not joined())
    normalisers = calibrate(assignment)
    with _runtime(plan, address, insecure), _opened(assignment, normalisers) as work:
        if folder is None:
            return _to_the_end(work, on_progress)
        work.folder = folders.create(plan, folder, name, to_arrays(normalisers))
        with folders.held(work.folder):
            return _to_the_end(work, on_progress)


def train_in(plan: TrainingPlan, folder: Path) -> Trained:
    """Train in this very folder, or go on with what there is of it: with `workers=0` what comes of
    it is the same, finished before, cut off or new. Raises RunError for any other folder."""
    if folder.is_dir():
        folders.wait_free(folder)
    run = folders.begun(plan, folder)
    if run is None:
        return train(plan, folder.parent, name=folder.name)
    with folders.held(folder):
        return _resumed(run, run.plan, folders.last_checkpoint(folder))


def resume(
    folder: str | Path,
    *,
    root: str | Path = "runs",
    on_progress: OnProgress | None = None,
    address: str | None = None,
    insecure: bool = False,
    iterations: int | None = None,
) -> Trained:
    """Go on from the last checkpoint, or from the beginning where there is none.

    iterations: train up to so many, in place of the plan's. RunError where nothing is left to do.
    """
    run = folders.read_training(folder, root)
    with folders.held(run.folder):
        plan, found = folders.going_on(run, iterations)
        return _resumed(run, plan, found, on_progress, address, insecure)


def _resumed(
    run: folders.TrainingRun,
    plan: TrainingPlan,
    found: tuple[int, bytes] | None,
    on_progress: OnProgress | None = None,
    address: str | None = None,
    insecure: bool = False,
) -> Trained:
    assignment = TrainingAssignment.of(plan)
    check_memory(assignment, workers=address is None and not joined())
    normalisers = from_arrays(
        folders.read_normalisers(run.folder), [p.name for p in assignment.policies]
    )
    with (
        _runtime(plan, address, insecure, resumed=True),
        _opened(assignment, normalisers) as work,
    ):
        work.folder = run.folder
        if found is not None:
            path = folders.checkpoint_path(run.folder, found[0])
            state = state_codec.from_bytes(found[1], str(path))
            work.watch.call(work.session.restore, state)
        if plan != run.plan:  # from here on it is a training that has not ended
            folders.seal(
                run.folder,
                run.facts,
                plan=plan.described(),
                finished=None,
                iterations=None,
                ended=None,
            )
        return _to_the_end(work, on_progress)


@contextlib.contextmanager
def _runtime(
    plan: TrainingPlan, address: str | None, insecure: bool, resumed: bool = False
) -> Iterator[None]:
    """A cluster with a core for each worker; those of a resumed training share cores if need be."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks of this size; and sums in one order
    try:
        with contextlib.ExitStack() as held:
            if not joined() or address is not None:
                cpus = max(own_cores(), plan.workers) if resumed else None
                held.enter_context(cluster(address, insecure=insecure, cpus=cpus))
            if plan.workers > cores():  # RLlib would wait for ever
                remedy = "it was begun with them: add nodes to the cluster, or start one with more "
                raise InputError(
                    f"workers={plan.workers}: each takes a core, and there is room for {cores()}; "
                    + (
                        remedy + "--num-cpus than it has, so that they share"
                        if resumed
                        else "take fewer, or add nodes to the cluster"
                    )
                )
            yield
    finally:
        torch.set_num_threads(threads)


@dataclass
class _Work:
    """A training under way: its session, its folder once there is one, and the watch over Ray."""

    session: TrainingSession
    watch: HeadWatch
    folder: Path | None = None

    def lost(self, error: HeadLost) -> InputError:
        """The cluster is lost: what is kept, and how to go on."""
        if self.folder is None:
            return InputError(f"{error}; nothing of the training is kept")
        kept, place = max(folders.checkpoints(self.folder), default=0), shown(self.folder)
        return InputError(
            f"{error}; the first {kept:,} of {self.session.plan.iterations:,} iterations are kept "
            f"in {place}; {resuming('train', place)} goes on, with "
            f"{setting('address', 'HEAD:PORT')} on another cluster"
        )


@contextlib.contextmanager
def _opened(
    assignment: TrainingAssignment, normalisers: Mapping[str, Normaliser]
) -> Iterator[_Work]:
    """A training session that is watched. Raises InputError where the head node is lost."""
    with HeadWatch() as watch:
        try:
            work = _Work(watch.call(TrainingSession, assignment, normalisers), watch)
        except HeadLost as error:
            raise InputError(f"{error}; the training has not begun") from None
        try:
            yield work
        except HeadLost as error:  # the session stays open: Ray does not answer
            raise work.lost(error) from None
        except BaseException:
            work.session.close()
            raise
        work.session.close()


# --- the iterations -------------------------------------------------------------------------------


def _to_the_end(work: _Work, on_progress: OnProgress | None) -> Trained:
    session, folder, call = work.session, work.folder, work.watch.call
    plan, every = session.plan, session.plan.evaluate_every
    figures = None if folder is None else Figures(folder, session.iteration)
    history = [] if folder is None else folders.records(folder)
    # A kill may have come after the last checkpoint and before the end was written down.
    over = _reached(plan, _due(plan, history[-1])) if history else None
    ended = over or "iterations"
    faults: Faults = {}
    try:
        while not over and session.iteration < plan.iterations:
            record = call(session.once)
            reached = _reached(plan, record)
            last = bool(reached) or session.iteration == plan.iterations
            if every and (last or not session.iteration % every):
                call(_evaluate, session, record, faults)
                reached = reached or _reached(plan, record)
            asked = on_progress(record) if on_progress is not None else None
            last = last or bool(reached or asked)
            if every and last and "evaluation" not in record:
                call(_evaluate, session, record, faults)
            history.append(record)
            if figures is not None:
                figures.add(record)
                if last or not session.iteration % plan.checkpoint_every:
                    figures.sync()
                    call(_keep, session, figures.folder)
            if reached or asked:
                ended = reached or "asked"
                break
        found = added_up((*call(session.runners.faults), *faults.values()))
        if folder is not None and ended != "asked":
            facts = folders.read_training(folder).facts
            folders.seal(
                folder,
                facts,
                plan=plan.described(),
                finished=now(),
                iterations=session.iteration,
                ended=ended,
                faults=fault_facts(found),
            )
    finally:
        if figures is not None:
            figures.close()
    return Trained(
        session.assignment,
        session.networks(),
        history,
        ended,
        folder,
        call(session.runners.memories),
        found,
    )


def _evaluate(session: TrainingSession, record: Record, faults: Faults) -> None:
    """Add what the policies as they are earn without exploring, and what they do wrong."""
    found, new = evaluated(session.assignment, session.networks(), session.runners.memories())
    record["evaluation"] = sum(found.values()) / len(found)
    record |= {f"evaluation/{agent}": value for agent, value in found.items()}
    for fault in new:
        key = f"faults/{fault.participant}"
        record[key] = record.get(key, 0) + fault.decisions
        count(faults, *fault)


def _reached(plan: TrainingPlan, record: Record) -> str | None:
    """The stop that a record has come to."""
    stop = plan.stop
    found = record.get("evaluation") if plan.evaluate_every else record.get("reward")
    if "steps" in stop and record["steps"] >= stop["steps"]:
        return "steps"
    if "seconds" in stop and record["seconds"] >= stop["seconds"]:
        return "seconds"
    if "reward" in stop and found is not None and found >= stop["reward"]:
        return "reward"
    return None


def _due(plan: TrainingPlan, record: Record) -> Record:
    """A record without the evaluation of one that was asked to end between two."""
    if plan.evaluate_every and not record["iteration"] % plan.evaluate_every:
        return record
    return {name: value for name, value in record.items() if name != "evaluation"}


def _keep(session: TrainingSession, folder: Path) -> None:
    """Write the policies and a checkpoint."""
    learnt: dict[str, dict[str, Any]] = {}
    networks = session.networks()
    for policy in session.assignment.policies:
        path = f"policies/{file_stem(policy.name)}.npz"
        save_network(folder / path, networks[policy.name])
        learnt |= {agent: {"kind": "network", "path": path} for agent in policy.agents}
    learnt |= hosted_learners.kept(session.assignment, session.runners.memories(), folder)
    text = folders.trained_scenario(session.plan, learnt)
    write_whole(folder / "trained.yaml", text.encode())
    folders.write_checkpoint(folder, session.iteration, state_codec.to_bytes(session.state()))
