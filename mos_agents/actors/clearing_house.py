"""The clearing house holds the state of a shard of markets and clears them tick by tick.

It knows the participants by their specs and replies only. Each tick is cleared once, in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mos_agents.actors.messages import Call, MessageError, Reply
from mos_agents.market.market import Market
from mos_agents.market.refusals import NOT_FINITE
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray, QuoteRefused, Step
from mos_agents.rollout.episode import Episode


class ClearingHouse(Episode):
    """The clearing house of one shard: an episode whose participants are all external.

    Parameters
    ----------
    run : str
        The name of the run, which every message carries.
    market : Market
        The market, as a value.
    seed : int
        The seed of the run. It stays here: the random numbers of all participants follow from it.
    markets : IntArray, shape [B]
        The numbers of the shard's markets.

    Attributes
    ----------
    state, observation, reward
        Those before the next tick; shapes as in `Step`.
    withdrawn : set of str
        Participants that are withdrawn for good. They have no quotes any more.
    counts : dict of str to Counter
        By participant, how many of its decisions (one for each market and tick) were missing, by
        the reasons in MISSING, were "not finite", or were "refused" by the market; and how often
        its worker was "restarted".
    """

    def __init__(self, run: str, market: Market, seed: int, markets: IntArray) -> None:
        super().__init__(market, Streams.of(seed, markets))
        self.run = run
        self.withdrawn: set[str] = set()
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in market.layout.participants
        }

    def calls(self, generations: Mapping[str, int]) -> list[Call]:
        """The calls of this tick, one for each participant in `generations` that takes part."""
        return [
            Call(
                self.run,
                self.tick,
                spec.name,
                generations[spec.name],
                np.ascontiguousarray(spec.own(self.observation)),
                np.ascontiguousarray(self.reward[:, n]),
            )
            for n, spec in enumerate(self.market.specs)
            if spec.name in generations and spec.name not in self.withdrawn
        ]

    def stacked(self, replies: Mapping[str, Reply | str]) -> tuple[Array, dict[str, str]]:
        """[B, L, A] actions in roster order, and whose are missing, and why.

        replies: by name, or one of MISSING in the place of a reply. A missing action is NaN.
        """
        batch = len(self.reward)
        shape = (batch, self.market.layout.L, len(self.market.quotes.features))
        actions, missing = np.full(shape, np.nan), {}
        for spec in self.market.specs:
            if spec.name in self.withdrawn:
                continue
            reply = replies[spec.name]
            if isinstance(reply, str):
                missing[spec.name] = reply
                continue
            try:
                actions[:, spec.listings] = spec.checked(reply.action, batch)
            except QuoteRefused:
                missing[spec.name] = "failed"
        return actions, missing

    def clear(self, at: int, actions: Array, missing: Mapping[str, str]) -> Step:
        """Clear tick `at` with the actions of all participants."""
        if at != self.tick:
            raise MessageError(f"tick {at} cannot be cleared, the market is at {self.tick}")
        step = self.clear_tick(actions, self._withdrawn_mask())
        found = step.info.refused
        refused, nonsense = (found > 0).sum(axis=0), (found == NOT_FINITE).sum(axis=0)
        for n, name in enumerate(self.market.layout.participants):
            if name in missing:
                self.counts[name][missing[name]] += len(actions)
            elif refused[n] and name not in self.withdrawn:
                if nonsense[n]:  # no rule of the market refused that, but a policy failed
                    self.counts[name]["not finite"] += int(nonsense[n])
                if refused[n] > nonsense[n]:
                    self.counts[name]["refused"] += int(refused[n] - nonsense[n])
        return step

    def withdraw(self, name: str) -> None:
        """Take a participant out for good: its quotes are gone, its positions stay."""
        if name not in self.market.layout.participants:
            raise InputError(f"{name!r} is not a participant: {self.market.layout.participants}")
        self.withdrawn.add(name)

    def _withdrawn_mask(self) -> NDArray[np.bool_] | None:
        """[1, N] who is withdrawn from all markets; None where no participant is."""
        if not self.withdrawn:
            return None
        names = self.market.layout.participants
        return np.array([[name in self.withdrawn for name in names]])
