"""The end of a tick: trades are settled, and metrics, observations and rewards follow from them.

The stages do it one after the other. Where all of them are built in and markets are few,
one compiled pass calls their loops: a single market then pays for one crossing from Python instead
of four. There is no second set of rules: the pass consists of the stages' own loops, and the tests
compare both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mos_agents.market.fields import gather
from mos_agents.market.finite import finite, not_finite
from mos_agents.market.holdings import holdings_of, looks_by_holding, trades_by_holding
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.metrics import N_METRICS, account
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import (
    CASH,
    DELIVERED,
    FEES,
    HOLDING,
    INVENTORY,
    REVENUE,
    SHORTAGE,
    SPENDING,
    Ledger,
    after_trades,
    blank_accounts,
    settle_trades,
    trades_of,
)
from mos_agents.market.printing import short_repr
from mos_agents.market.rewards import Objective, weigh
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Flows,
    State,
)
from mos_agents.market.welfare import output, surplus_of_trades

FEW = 16  # markets; with more of them the crossings no longer count


@short_repr
class Settlement(NamedTuple):
    """The results of a tick."""

    state: State  # before the next tick
    flows: Flows
    metrics: Array  # [B, N, M]
    reward: Array  # [B, N]
    observation: Array  # [B, sum of D_n]


def settle(
    market: Market,
    state: State,
    arrivals: Arrivals,
    executions: Executions,
    excitation: Array,
    quote_history: Array,
    draws: Draws,
) -> Settlement:
    """Settle a tick. `state` is the one before it, with the new quotes in it."""
    few = len(state.cost) <= FEW and market.cached("one pass", lambda: _in_one_pass(market))
    settlement = settle_in_one_pass if few else settle_by_stages
    return settlement(market, state, arrivals, executions, excitation, quote_history, draws)


def _in_one_pass(market: Market) -> bool:
    """Whether positions, observations and rewards are exactly the built-in classes: a subclass may
    have changed anything.
    """
    own = Ledger, MarketView, Objective
    parts = market.positions, market.observations, market.rewards
    return not (market.layout.goods or market.rewards.market_metrics) and all(
        type(part) is kind for part, kind in zip(parts, own, strict=True)
    )


def settle_by_stages(
    market: Market,
    state: State,
    arrivals: Arrivals,
    executions: Executions,
    excitation: Array,
    quote_history: Array,
    draws: Draws,
) -> Settlement:
    """Settle a tick stage by stage, whatever stages the market has."""
    positions, flows = market.positions.settle(market, state, executions)
    reference, cost, demand_scale = market.reference.move(market, state, draws)
    moments = np.empty(state.pnl_moments.shape)
    after = State(
        state.tick + 1,
        state.quotes,
        positions,
        reference,
        cost,
        demand_scale,
        excitation,
        moments,
        quote_history,
        state.memory,
    )
    metrics = np.empty((*moments.shape[:2], N_METRICS))
    marks, layout = market.positions.marks, market.layout
    trades, exposure, sigmas = trades_of(executions), arrivals.exposure, market.sigmas
    levels = state.cost, marks(market, state), marks(market, after)
    owned = layout.first, layout.group, market.made_to_order
    if layout.goods:
        held = holdings_of(market)
        trades, exposure = trades_by_holding(market, trades), looks_by_holding(market, exposure)
        levels = tuple(level.take(held.slot, axis=1) for level in levels)  # type: ignore[assignment]
        owned, sigmas = (held.first, np.arange(layout.H), held.made_to_order), sigmas[held.slot]
    account(
        metrics,
        moments,
        tuple(flows),
        trades,
        (positions.inventory, *levels),
        exposure,
        owned,
        state.pnl_moments,
        sigmas,
    )
    if market.rewards.market_metrics:
        metrics = with_market_metrics(market, state, arrivals, executions, metrics)
    observation = market.observations.observe(market, after, arrivals, executions, draws)
    reward = market.rewards.score(market, metrics)
    if not finite(
        positions.cash,
        positions.inventory,
        reference,
        cost,
        demand_scale,
        state.quotes.ask,
        state.quotes.bid,
        metrics,
        reward,
    ):
        raise not_finite(market, after, metrics, reward)
    return Settlement(after, flows, metrics, reward, observation)


def with_market_metrics(
    market: Market, state: State, arrivals: Arrivals, executions: Executions, metrics: Array
) -> Array:
    """[B, N, M] the metrics of participants, and those of the whole market that rewards count."""
    found = [metrics]
    for name in market.rewards.market_metrics:
        if name == "output":
            values = output(market, executions)
        else:
            gained = surplus_of_trades(market, state, state.quotes, arrivals, executions)
            assert gained is not None  # or the rewards would have been refused
            values = gained
        found.append(np.broadcast_to(values[:, None, None], (*metrics.shape[:2], 1)))
    return np.concatenate(found, axis=2)


def settle_in_one_pass(
    market: Market,
    state: State,
    arrivals: Arrivals,
    executions: Executions,
    excitation: Array,
    quote_history: Array,
    draws: Draws,
) -> Settlement:
    """Settle a tick in one compiled pass, where all stages are built in."""
    assert type(market.positions) is Ledger and type(market.observations) is MarketView
    constants = market.cached("settlement", lambda: _constants(market))
    tick, quotes, before, mid, cost, _, _, moments, _, memory = state
    next_mid, next_cost, demand_scale = market.reference.move(market, state, draws)
    if market.positions.mark == "cost":
        marks, next_marks = cost, next_cost
    else:
        marks, next_marks = market.marks_of_listings(mid), market.marks_of_listings(next_mid)
    made = blank_accounts(before)
    next_moments = np.empty(moments.shape)
    metrics = np.empty((*moments.shape[:2], N_METRICS))
    reward = np.empty(before.cash.shape)
    seen = np.empty((len(cost), market.observation_width))
    all_finite = settle_markets(
        *made,
        next_moments,
        metrics,
        reward,
        seen,
        *before,
        moments,
        *trades_of(executions),
        quotes.ask,
        quotes.bid,
        quotes.ask_size,
        quotes.bid_size,
        quote_history,
        arrivals.exposure,
        cost,
        marks,
        next_mid,
        next_cost,
        next_marks,
        demand_scale,
        min((tick + 1) / market.horizon, 1.0),
        *constants,
    )
    positions, flows = after_trades(made)
    after = State(
        tick + 1,
        quotes,
        positions,
        next_mid,
        next_cost,
        demand_scale,
        excitation,
        next_moments,
        quote_history,
        memory,
    )
    if not all_finite:
        raise not_finite(market, after, metrics, reward)
    observation = market.observations.completed(market, tick + 1, seen, executions, draws)
    return Settlement(after, flows, metrics, reward, observation)


def _constants(market: Market) -> tuple[Any, ...]:
    """The last arguments of `settle_markets`, which no tick changes."""
    rule, goal, layout = market.positions, market.rewards, market.layout
    assert isinstance(rule, Ledger) and isinstance(goal, Objective)
    return (
        layout.first,
        layout.instrument,
        layout.group,
        market.made_to_order,
        market.base_stocks,
        market.sigmas,
        market.premium,
        market.observation_plan,
        *goal.table(market),
        rule.charges(market),
        market.collector,
    )


@kernel
def settle_markets(  # type: ignore[no-untyped-def]
    accounts,
    goods,
    orders,
    world_cash,
    world_units,
    next_moments,
    metrics,
    reward,
    seen,
    cash,
    inventory,
    on_order,
    outside_cash,
    outside_units,
    moments,
    sold,
    sold_price,
    bought,
    bought_price,
    lost,
    ask,
    bid,
    ask_size,
    bid_size,
    quote_history,
    exposure,
    cost,
    mark,
    next_mid,
    next_cost,
    next_mark,
    demand_scale,
    clock,
    first,
    instrument,
    group,
    made_to_order,
    base_stock,
    sigma,
    premium,
    plan,
    columns,
    weights,
    charges,
    collector,
):
    """Fill in accounts, metrics, rewards and observations; True where all numbers are finite.

    The arguments are flat because a tuple that crosses the border from Python costs more than its
    members; the loops of the stages get them in groups, such as the `charges` of `settle_trades`.
    """
    trades = (sold, sold_price, bought, bought_price, lost)
    settle_trades(
        (accounts, goods, orders, world_cash, world_units),
        (cash, inventory, on_order, outside_cash, outside_units),
        trades,
        cost,
        (first, instrument, made_to_order, base_stock),
        charges,
        collector,
    )
    flows = (
        accounts[REVENUE],
        accounts[SPENDING],
        accounts[HOLDING],
        accounts[SHORTAGE],
        accounts[FEES],
        goods[DELIVERED],
    )
    balance, held = accounts[CASH], goods[INVENTORY]
    account(
        metrics,
        next_moments,
        flows,
        trades,
        (held, cost, mark, next_mark),
        exposure,
        (first, group, made_to_order),
        moments,
        sigma,
    )
    weigh(reward, metrics, columns, weights)
    gather(
        seen,
        plan,
        (ask, bid, ask_size, bid_size, quote_history),
        (sold, bought),
        exposure,
        (held, next_cost),
        next_mid,
        balance,
        clock,
        (premium, instrument),
    )
    return finite(balance, held, next_mid, next_cost, demand_scale, ask, bid, metrics, reward)
