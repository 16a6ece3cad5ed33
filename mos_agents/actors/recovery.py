"""Saves a shard to its folder and brings it back: the last snapshot, then the journal since then.

A tick is a pure function of the state, the actions and the seed. So a snapshot and the actions of
the ticks since then give the state back bit for bit, and nobody has to decide again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.journal import (
    Journal,
    Record,
    complete,
    newest_snapshot,
    records,
    repair_tail,
)
from mos_agents.actors.participant import Snapshot
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.summaries import Recorder, TickSummary
from mos_agents.actors.supervisor import Supervisor
from mos_agents.market.types import Array, InputError
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.trees import flatten, restored


class Recovery:
    """The snapshots and the journal of one shard.

    Parameters
    ----------
    plan : ShardPlan
        It names the folder, which must not be None.
    clearing_house, supervisor, recorder
        The parts of the shard whose state is saved and restored.

    Raises
    ------
    RunError
        If the folder cannot be made.
    """

    def __init__(
        self,
        plan: ShardPlan,
        clearing_house: ClearingHouse,
        supervisor: Supervisor,
        recorder: Recorder,
    ) -> None:
        assert plan.folder is not None
        self.plan, self.clearing_house = plan, clearing_house
        self.supervisor, self.recorder = supervisor, recorder
        layout = clearing_house.market.layout
        features = clearing_house.market.quotes.features
        self._shape = (len(plan.markets), layout.L, len(features))
        self.journal = Journal(Path(plan.folder), self._shape, plan.audit)

    # --- going on ---------------------------------------------------------------------------------

    def load(self) -> None:
        """Lock the folder, and return to its newest snapshot if there is one."""
        self.journal.lock()
        found = newest_snapshot(self.journal.folder)
        if found is not None:
            self._return_to(*found)

    def replay(self) -> None:
        """Clear the journal's ticks since the snapshot again. Their calls are kept for workers."""
        repair_tail(self.journal.folder, self._shape)
        for record in records(self.journal.folder, self._shape, self.clearing_house.tick):
            self.supervisor.next_calls()
            self._clear(record)

    def open(self) -> None:
        """Begin a new segment of the journal with the next tick."""
        self.journal.open(self.clearing_house.tick)

    # --- while the shard runs ---------------------------------------------------------------------

    def append(self, tick: int, actions: Array, missing: Mapping[str, str]) -> None:
        """Write the record of a tick before it is cleared.

        Parameters
        ----------
        tick : int
            The tick.
        actions : Array, shape [B, L, A]
            The actions as they are cleared; NaN for missing ones.
        missing : Mapping of str to str
            By participant, why its actions are missing.

        Raises
        ------
        RunError
            If the disk takes no more.
        """
        counts = self.clearing_house.counts
        note = {
            "missing": missing,
            "restarted": {name: c["restarted"] for name, c in counts.items() if c["restarted"]},
            "withdrawn": sorted(self.clearing_house.withdrawn),
        }
        self.journal.append(tick, actions, {key: value for key, value in note.items() if value})

    def checkpoint(self) -> None:
        """Write a snapshot of the state before the next tick, and drop the journal before it.

        The caller has recorded all earlier ticks elsewhere. If a participant does not give its
        memory, nothing is written: the older snapshot and the journal since then are kept.
        """
        if self.supervisor.collect_snapshots():
            self.journal.snapshot(self.clearing_house.tick, self._arrays())

    def close(self) -> None:
        """Force the journal to the disk and unlock the folder."""
        self.journal.close()

    # --- verifying --------------------------------------------------------------------------------

    def rewind(self) -> int:
        """Return to where the journal begins, without starting workers.

        Returns
        -------
        int
            The tick there: 0 if the journal holds the whole run, else that of the newest snapshot.

        Raises
        ------
        RunError
            If the folder holds neither the first tick nor a snapshot.
        """
        folder = self.journal.folder
        if not complete(folder):
            found = newest_snapshot(folder)
            if found is None:
                raise RunError(f"{folder}: holds neither the first tick nor a snapshot: damaged")
            self._return_to(*found)
        return self.clearing_house.tick

    def replayed(self) -> Iterator[TickSummary]:
        """The summaries of the journal's ticks, cleared again. Raises RunError if it is damaged."""
        for record in records(self.journal.folder, self._shape, self.clearing_house.tick):
            self._clear(record)
            yield from self.recorder.take()

    def _clear(self, record: Record) -> None:
        """Clear a tick from its record: the same participants are withdrawn or missing."""
        house, note = self.clearing_house, record.note
        for name in note.get("withdrawn", ()):
            house.withdraw(name)
        for name, restarts in note.get("restarted", {}).items():
            house.counts[name]["restarted"] = restarts
        before = house.state
        step = house.clear(record.tick, record.actions, note.get("missing", {}))
        self.recorder.add(before, step)
        self.recorder.summarise()

    # --- snapshots --------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, Any]:
        """What a snapshot holds: the state, the digests, and the participants' memories."""
        house, snapshots = self.clearing_house, self.supervisor.snapshots
        note = {
            "run": self.plan.run,
            "withdrawn": sorted(house.withdrawn),
            "counts": {name: dict(c) for name, c in house.counts.items()},
            "generations": self.supervisor.generations,
            "memories": sorted(snapshots),
        }
        arrays: dict[str, Any] = {
            f"state_{i}": array for i, array in enumerate(flatten(tuple(house.state)))
        } | {
            "observation": house.observation,
            "reward": house.reward,
            "digests": self.recorder.digest.digests,
            "note": np.array(json.dumps(note)),
        }
        for n, name in enumerate(house.market.layout.participants):
            if name in snapshots:
                for j, array in enumerate(snapshots[name].memory):
                    arrays[f"memory_{n}_{j}"] = array
        return arrays

    def _return_to(self, tick: int, arrays: dict[str, Any]) -> None:
        """Put the state of a snapshot in place of the first one.

        Raises
        ------
        RunError
            If it is damaged.
        InputError
            If it is the snapshot of another run.
        """
        try:
            note = json.loads(str(arrays["note"]))
            run = note["run"]
            if run == self.plan.run:
                self._take_over(tick, arrays, note)
        except (LookupError, ValueError, TypeError, AttributeError):
            raise RunError(
                f"{self.plan.folder}: the snapshot of tick {tick:,} is none of this run's: damaged "
                "or edited"
            ) from None
        if run != self.plan.run:
            raise InputError(f"the snapshot is of run {run!r}, not {self.plan.run!r}")

    def _take_over(self, tick: int, arrays: dict[str, Any], note: dict[str, Any]) -> None:
        """Restore the state, counts and memories; raises an error of any kind if they misfit."""
        house = self.clearing_house
        state = _numbered(arrays, "state_")
        due = [*flatten(tuple(house.state))[1:], house.observation, house.reward]
        found = [*state[1:], arrays["observation"], arrays["reward"]]
        alike = [(a.shape, a.dtype) for a in found] == [(a.shape, a.dtype) for a in due]
        if not alike or arrays["digests"].shape != (len(self.plan.markets), 2):
            raise ValueError("of another market")
        house.state = type(house.state)(*restored(tuple(house.state), state))
        house.observation, house.reward = arrays["observation"], arrays["reward"]
        for name in note["withdrawn"]:
            house.withdraw(name)
        for name, counts in note["counts"].items():
            house.counts[name].update(counts)
        supervisor = self.supervisor
        supervisor.generations = {name: g + 1 for name, g in note["generations"].items()}
        self.recorder.digest = TrajectoryHash(arrays["digests"])
        for n, name in enumerate(house.market.layout.participants):
            if name in note["memories"]:
                memory = _numbered(arrays, f"memory_{n}_")
                supervisor.snapshots[name] = Snapshot(tick - 1, memory)


def _numbered(arrays: Mapping[str, Any], prefix: str) -> list[Any]:
    """The arrays `prefix`0, `prefix`1, ..., which must be all that begin so."""
    count = sum(name.startswith(prefix) for name in arrays)
    return [arrays[f"{prefix}{i}"] for i in range(count)]
