"""What a training returns: networks, records, and the tables that learnt beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mos_agents.learners.network import Network
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.faults import Fault
from mos_agents.market.printing import short_repr
from mos_agents.policies.base import Policy
from mos_agents.training import hosted_learners
from mos_agents.training.assignment import TrainingAssignment

Record = dict[str, Any]
"""The figures of one iteration."""


@short_repr
@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a training.

    Parameters
    ----------
    assignment : TrainingAssignment
        who was trained, and what the others played.
    networks : mapping
        the trained networks, by policy.
    history : list of dict
        a record per iteration.
    ended : str
        "iterations", a stop's name, or "asked".
    folder : Path or None
        the training's own folder; None where nothing was kept.
    memories : mapping
        of those who learn by themselves among the others, by participant, as they have become:
        of all markets, one runner's after another's. Empty without `plan.keep_memories`.
    faults : tuple of Fault
        what policies did wrong since this process went on with the training, the reasons with
        them; the records count them over the whole of it.
    """

    assignment: TrainingAssignment
    networks: Mapping[str, Network]
    history: list[Record]
    ended: str
    folder: Path | None
    memories: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()

    @property
    def policies(self) -> dict[str, TrainedNetwork]:
        """What each learner plays now, without exploring."""
        return {
            agent: TrainedNetwork.of(self.networks[p.name])
            for p in self.assignment.policies
            for agent in p.agents
        }

    def greedy_policies(self, market: int | None = None) -> dict[str, Policy]:
        """Return policies that play the tables in `memories` and learn no more.

        Parameters
        ----------
        market : int, optional
            The market whose table is played in all markets; None plays each its own, in as many
            markets as were trained in.

        Returns
        -------
        dict
            The policies, by participant.
        """
        return dict(hosted_learners.played(self.assignment, self.memories, market))
