"""Random play of a market in which every number goes by the number of the market."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import Array, Arrivals, IntArray, State, Step
from mos_agents.testing.promises import read_only


def action_range(market: Market) -> tuple[Array, Array]:
    """[L, A] lowest and highest action tried: within the limits; prices near the reference."""
    low, high = (end.copy() for end in market.quotes.limits(market))
    if "price" in market.quotes.features:
        reference = market.catalogue.reference_price
        low[:, 0] = np.clip(0.8 * reference, low[:, 0], high[:, 0])
        high[:, 0] = np.clip(1.3 * reference, low[:, 0], high[:, 0])
    if "spread" in market.quotes.features:
        low[:, 0], high[:, 0] = np.maximum(low[:, 0], -0.2), np.minimum(high[:, 0], 0.2)
    return low, high


def random_actions(market: Market, rng: np.random.Generator, batch: int) -> Array:
    """[B, L, A] actions, uniform in `action_range`."""
    low, high = action_range(market)
    actions: Array = low + (high - low) * rng.random((batch, *low.shape))
    return actions


def play(
    market: Market,
    ticks: int,
    markets: int | IntArray = 1,
    seed: int = 0,
    frozen: bool = False,
    state: State | None = None,
) -> Iterator[tuple[State, Step]]:
    """State before and step of each tick of random play.

    Parameters
    ----------
    market : Market
    ticks : int
    markets : int or array of int [B]
        How many markets, or their numbers.
    seed : int
    frozen : bool
        Whether stages are given arrays that cannot be written to.
    state : State, optional
        Where to go on from.

    Yields
    ------
    tuple of (State, Step)
    """
    numbers = np.arange(markets) if isinstance(markets, int) else np.asarray(markets)
    streams = Streams.of(seed, numbers)
    choices = Streams.of(seed, numbers, owner="everybody")
    low, high = action_range(market)
    state = market.start(len(numbers)) if state is None else state
    for t in range(state.tick, state.tick + ticks):
        table = choices.at(t).uniforms("action", low.size).reshape(len(numbers), *low.shape)
        actions = low + (high - low) * table
        if frozen:
            state, actions = read_only(state), read_only(actions)
        step = tick(market, state, actions, streams.at(t))
        yield state, step
        state = step.state


def of_market(value: Any, b: int, markets: int) -> Any:
    """Everything in a record that belongs to market b of a batch, single arrivals included."""
    if isinstance(value, Arrivals):
        own = slice(value.start[b], value.start[b + 1])
        return (value.mass[b], value.exposure[b], *(a[own] for a in value[3:7] if a.size))
    if isinstance(value, np.ndarray):
        return value[b] if value.shape[:1] == (markets,) else value[0]
    if isinstance(value, tuple):
        return tuple(of_market(one, b, markets) for one in value)
    if isinstance(value, dict):
        return {key: of_market(one, b, markets) for key, one in value.items()}
    return value
