"""A firm made to change its price, before the same customers: what `analysis.impulse` looks at.

The market is played twice with one seed: left alone, and with one firm's price forced for a while.
Any policies will do: scripted ones, tables and networks that have stopped learning, or learners
that go on (whose answer then is what they learn from it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mos_agents.analysis.impulse import Deviation
from mos_agents.market.market import Market
from mos_agents.market.metrics import metric
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy
from mos_agents.policies.forcing import Forced
from mos_agents.rollout.episode import as_policy
from mos_agents.rollout.outcome import Rollout, rollout


def forced_deviation(
    market: Market,
    policies: Mapping[str, Policy],
    firm: str,
    price: Any,
    *,
    shock: int,
    forced: int | None = 1,
    ticks: int | None = None,
    lead: int | None = None,
    markets: int | Sequence[int] | IntArray = 1,
    seed: int = 0,
) -> Deviation:
    """Force a firm to a price for some ticks, and compare with the same play without the force.

    Both plays have the same random numbers. Each market is one session. The firms are all
    participants that post prices, each with the average price of its listings and its profit.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant.
    firm : str
        The firm that is forced.
    price : float or array [L_n] or [B, L_n]
        The price that it must ask, in money.
    shock : int
        Ticks played before the force. Give enough for play to come to rest, or to its cycle.
    forced : int, optional
        Ticks for which the price is forced; None forces it to the end.
    ticks : int, optional
        Ticks of the whole play; by default the market's horizon.
    lead : int, optional
        How many ticks before the shock are kept, as the level from which responses are measured; by
        default all.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers.
    seed : int, optional
        Seed of all random numbers, >= 0.

    Returns
    -------
    Deviation
        The paired paths, for `mos_agents.analysis`.

    Raises
    ------
    InputError
        If the firm posts no prices, or the play is too short.
    """
    sellers = [
        spec.name for spec in market.specs if spec.features[0] == "price" and spec.action_shape[0]
    ]
    if firm not in sellers:
        raise InputError(f"firm={firm!r} must be one who posts prices: {', '.join(sellers)}")
    lead = shock if lead is None else lead
    if isinstance(lead, bool) or not 1 <= lead <= shock:
        raise InputError(f"lead={lead!r} must be in 1 to shock={shock!r}: ticks before the force")
    numbers = markets if isinstance(markets, int) else np.asarray(markets)
    own = as_policy(firm, policies[firm])
    pressed = {**policies, firm: Forced(own, price, shock, forced)}
    runs = [
        rollout(market, each, seed=seed, ticks=ticks, markets=numbers, series=("ask", "metrics"))
        for each in (pressed, policies)
    ]
    first = shock - lead
    (prices, profits), (prices_alone, profits_alone) = (_paths(market, run, first) for run in runs)
    return Deviation(
        prices, prices_alone, profits, profits_alone, lead, sellers.index(firm), forced
    )


def _paths(market: Market, run: Rollout, first: int) -> tuple[Array, Array]:
    """Prices and profits [T, S, N] of those who post prices, from tick `first` on."""
    specs = sellers_of(market)
    asks, earned = run.series["ask"][first:], run.series["metrics"][first:]
    prices = np.stack([asks[:, :, spec.listings].mean(axis=2) for spec in specs], axis=2)
    profits = earned[:, :, [spec.number for spec in specs], metric("pnl")]
    return prices, profits


def sellers_of(market: Market) -> list[ParticipantSpec]:
    return [spec for spec in market.specs if spec.features[0] == "price" and spec.action_shape[0]]
