"""Plays the markets of one shard: asks the participants, writes the journal, clears the tick."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mos_agents import registry, scenarios
from mos_agents.actors.clearing_house import ClearingHouse
from mos_agents.actors.plan import ShardPlan
from mos_agents.actors.recovery import Recovery
from mos_agents.actors.runtime import Runtime
from mos_agents.actors.summaries import Progress, Recorder, Summaries
from mos_agents.actors.supervisor import Supervisor
from mos_agents.market.market import Market
from mos_agents.policies.base import Policy
from mos_agents.runs.hashing import TrajectoryHash


class Shard:
    """The markets of one shard, their clearing house, and the workers of their participants.

    Parameters
    ----------
    plan : ShardPlan
        The settings.
    runtime : Runtime
        Where the workers run.
    parts : tuple of Market and policies, optional
        Used in place of the plan's scenario. Participants without a policy have no worker.

    Raises
    ------
    InputError
        If a policy cannot start.
    """

    def __init__(
        self,
        plan: ShardPlan,
        runtime: Runtime,
        parts: tuple[Market, Mapping[str, Policy]] | None = None,
    ) -> None:
        if parts is None:
            registry.adopt(plan.classes)
            scenario = scenarios.parse(plan.scenario, trusted=True)
            parts = scenario.market(), scenario.policies()
        self.plan, self.runtime = plan, runtime
        self.market, policies = parts
        self.clearing_house = ClearingHouse(
            plan.run, self.market, plan.seed, np.array(plan.markets)
        )
        self.supervisor = Supervisor(plan, runtime, policies, self.clearing_house)
        self.recorder = Recorder(plan, self.market)
        self.recovery: Recovery | None = None
        if plan.folder is not None:
            self.recovery = Recovery(plan, self.clearing_house, self.supervisor, self.recorder)
        self._recovered = Summaries()
        runtime.while_waiting = self._while_waiting

    @property
    def digest(self) -> TrajectoryHash:
        """The hash of the trajectory so far."""
        return self.recorder.digest

    def start(self) -> int:
        """Start the workers, and go on from the folder if it holds something.

        Returns
        -------
        int
            The next tick.
        """
        if self.recovery is not None:
            self.recovery.load()
        self.supervisor.start()  # the workers start up while the journal is read
        if self.recovery is not None:
            self.recovery.replay()
            self._recovered = self.recorder.take()
        self.supervisor.catch_up()
        if self.recovery is not None:
            self.recovery.open()
        return self.clearing_house.tick

    def recovered(self) -> Progress:
        """The progress of the ticks that were cleared again from the journal at the start."""
        summaries, self._recovered = self._recovered, Summaries()
        return self._progress(summaries)

    def advance(self, ticks: int) -> Progress:
        """Clear `ticks` ticks."""
        self.supervisor.seconds = {}
        for _ in range(ticks):
            self._tick()
        return self._progress(self.recorder.take())

    def checkpoint(self) -> int:
        """Save the state before the next tick. The driver has recorded all earlier ticks."""
        if self.recovery is not None:
            self.recovery.checkpoint()
        return self.clearing_house.tick

    def close(self) -> None:
        """End the workers; the journal is on the disk."""
        if self.recovery is not None:
            self.recovery.close()
        self.runtime.close()

    def trouble(self) -> dict[str, dict[str, int]]:
        """By participant, how many decisions were missing (and why) or refused, and restarts."""
        return {name: dict(c) for name, c in self.clearing_house.counts.items() if c}

    def _tick(self) -> None:
        house, supervisor = self.clearing_house, self.supervisor
        supervisor.trim_calls()  # first: this tick's record then has the restarts that it causes
        calls = supervisor.next_calls()
        actions, missing = house.stacked(supervisor.replies(calls))
        self.recorder.summarise_if_due()
        tick, before = house.tick, house.state
        if self.recovery is not None:
            self.recovery.append(tick, actions, missing)
        self.recorder.add(before, house.clear(tick, actions, missing))

    def _while_waiting(self) -> None:
        """The work of a tick that needs no replies, done while the workers decide."""
        self.clearing_house.draw_ahead()
        self.recorder.summarise_if_due()

    def _progress(self, summaries: Summaries) -> Progress:
        supervisor = self.supervisor
        return Progress(
            self.clearing_house.tick,
            summaries,
            self.digest.digests,
            self.trouble(),
            dict(supervisor.seconds),
            tuple(sorted(self.clearing_house.withdrawn)),
            dict(supervisor.reasons),
        )
