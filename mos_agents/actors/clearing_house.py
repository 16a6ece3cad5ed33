"""The clearing house: it calls for quotes, clears the market tick by tick, and keeps the journal.

It knows the participants by their seats and replies only. A tick is cleared once: the same tick
again gets the last outcome, an older one is refused, and a gap is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mos_agents.actors.messages import Call, MessageError, Reply
from mos_agents.market.random import Streams
from mos_agents.market.tick import Market, tick
from mos_agents.market.types import Array, InputError, IntArray, QuoteRefused, State, Step


class ClearingHouse:
    """One shard of markets.

    present: who takes part; those withdrawn for good have no quotes any more.
    counts: per participant, how often it was late, failed, or was refused, in decisions (markets).
    """

    def __init__(self, run: str, market: Market, seed: int, markets: IntArray) -> None:
        self.run, self.market = run, market
        self.streams = Streams.of(seed, markets)
        self.state: State = market.start(len(markets))
        self.observation = market.first_observation(self.state, self.streams.at(0))
        self.reward = np.zeros((len(markets), market.layout.N))
        self.withdrawn: set[str] = set()
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name in market.layout.participants
        }

    @property
    def tick(self) -> int:
        """The tick to be cleared next."""
        return self.state.tick

    def calls(self, incarnations: Mapping[str, int]) -> list[Call]:
        """What each participant still present is asked at this tick: its own observation only."""
        return [
            Call(
                self.run,
                self.tick,
                seat.name,
                incarnations[seat.name],
                np.ascontiguousarray(seat.own(self.observation)),
                np.ascontiguousarray(self.reward[:, n]),
            )
            for n, seat in enumerate(self.market.seats)
            if seat.name not in self.withdrawn
        ]

    def stacked(self, replies: Sequence[Reply | None], names: Sequence[str]) -> Array:
        """[B, L, A] actions in roster order, whoever answered first; NaN where there is none."""
        batch = len(self.reward)
        shape = (batch, self.market.layout.L, len(self.market.quotes.features))
        actions = np.full(shape, np.nan)
        given: dict[str, Reply | None] = {}
        for name, reply in zip(names, replies, strict=True):
            if name in given:
                raise MessageError(f"{name}: two replies to one call")
            given[name] = reply
        for seat in self.market.seats:
            if seat.name in self.withdrawn:
                continue
            reply = given.get(seat.name)
            if reply is None:
                self.counts[seat.name]["late"] += batch
            elif reply.action is None:
                self.counts[seat.name]["failed"] += batch
            else:
                try:
                    actions[:, seat.listings] = seat.checked(reply.action, batch)
                except QuoteRefused:
                    self.counts[seat.name]["failed"] += batch
        return actions

    def clear(self, at: int, actions: Array) -> Step:
        """Clear tick `at` with everybody's actions; the market moves on."""
        if at != self.tick:
            raise MessageError(f"tick {at} cannot be cleared, the market is at {self.tick}")
        state = self._without_the_withdrawn(self.state)
        step = tick(self.market, state, actions, self.streams.at(at))
        for n, name in enumerate(self.market.layout.participants):
            # Where there was no action at all, that has been counted under its own name.
            there = ~np.isnan(actions[:, self.market.layout.own(n)]).all(axis=(1, 2))
            refused = int(((step.info.refused[:, n] > 0) & there).sum())
            if refused:
                self.counts[name]["refused"] += refused
        self.state, self.observation, self.reward = step.state, step.observation, step.reward
        return step

    def withdraw(self, name: str) -> None:
        """Take a participant out for good: its quotes are gone, its books stay."""
        if name not in self.market.layout.participants:
            raise InputError(f"{name!r} is not a participant: {self.market.layout.participants}")
        self.withdrawn.add(name)

    def _without_the_withdrawn(self, state: State) -> State:
        if not self.withdrawn:
            return state
        quotes = state.quotes
        keep = np.ones(self.market.layout.L)
        for seat in self.market.seats:
            if seat.name in self.withdrawn:
                keep[seat.listings] = 0.0
        # Infinity times zero is no number: where a quote goes, its size is put to zero.
        sizes: dict[str, Any] = {
            side: np.where(keep > 0.0, getattr(quotes, side), 0.0)
            for side in ("bid_size", "ask_size")
        }
        return state._replace(quotes=quotes._replace(**sizes))
