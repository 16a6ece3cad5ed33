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
from mos_agents.market.metrics import metric
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.tick import Market
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
    """`firm` asks `price` for `forced` ticks from tick `shock` on, against the same play without.

    price: money; one number, one per listing [L_n], or one per market and listing [B, L_n].
    shock: ticks played before, long enough for play to come to rest or to its cycle. lead: how
        many of them are kept as the level that responses are measured from (None: all).
    ticks: of the whole play; None is the market's horizon.
    A market is a session; its firms are all who post prices, each with the average price of its
    listings and its profit a tick.
    Raises InputError where the firm posts no prices or the play is too short.
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
    specs = _sellers(market)
    asks, earned = run.series["ask"][first:], run.series["metrics"][first:]
    prices = np.stack([asks[:, :, spec.listings].mean(axis=2) for spec in specs], axis=2)
    profits = earned[:, :, [spec.number for spec in specs], metric("pnl")]
    return prices, profits


def _sellers(market: Market) -> list[ParticipantSpec]:
    return [spec for spec in market.specs if spec.features[0] == "price" and spec.action_shape[0]]
