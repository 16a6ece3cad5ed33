"""The end of a tick: trades are settled, and metrics, observations and rewards follow from them.

The stages do it one after the other. Where all of them are built in and markets are few,
one compiled pass calls their loops: a single market then pays for one crossing from Python instead
of four. There is no second set of rules: the pass consists of the stages' own loops, and the tests
compare both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mos_agents.market.finite import finite, not_finite
from mos_agents.market.kernels import kernel
from mos_agents.market.metrics import MEMORY, N_METRICS, account
from mos_agents.market.observations import MarketView, gather
from mos_agents.market.positions import Ledger, blank_accounts, settle_trades
from mos_agents.market.printing import short_repr
from mos_agents.market.rewards import Objective, weigh
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Flows,
    Positions,
    State,
)

if TYPE_CHECKING:
    from mos_agents.market.tick import Market


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
    return all(type(part) is kind for part, kind in zip(parts, own, strict=True))


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
    account(
        metrics,
        moments,
        *flows,
        *executions[:4],
        executions.lost,
        state.cost,
        positions.inventory,
        market.positions.marks(market, state),
        market.positions.marks(market, after),
        arrivals.exposure,
        market.layout.first,
        market.layout.group,
        market.made_to_order,
        state.pnl_moments,
        market.sigmas,
        MEMORY,
    )
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
    accounts, goods, orders, world_cash, world_units = buffers = blank_accounts(before)
    next_moments = np.empty(moments.shape)
    metrics = np.empty((*moments.shape[:2], N_METRICS))
    reward = np.empty(before.cash.shape)
    seen = np.empty((len(cost), market.observation_width))
    whole = settle_markets(
        *buffers,
        next_moments,
        metrics,
        reward,
        seen,
        *before,
        cost,
        *executions[:4],
        executions.lost,
        marks,
        arrivals.exposure,
        moments,
        quotes.ask,
        quotes.bid,
        quotes.ask_size,
        quotes.bid_size,
        quote_history,
        next_mid,
        next_cost,
        next_marks,
        demand_scale,
        min((tick + 1) / market.horizon, 1.0),
        *constants,
    )
    cash, revenue, spending, holding, shortage, fees = accounts
    inventory, delivered = goods
    after = State(
        tick + 1,
        quotes,
        Positions(cash, inventory, orders, world_cash, world_units),
        next_mid,
        next_cost,
        demand_scale,
        excitation,
        next_moments,
        quote_history,
        memory,
    )
    if not whole:
        raise not_finite(market, after, metrics, reward)
    flows = Flows(revenue, spending, holding, shortage, fees, delivered)
    observation = market.observations.with_errors(market, tick + 1, seen, draws)
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
        MEMORY,
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
    cost,
    sold,
    sold_price,
    bought,
    bought_price,
    lost,
    mark,
    exposure,
    moments,
    ask,
    bid,
    ask_size,
    bid_size,
    quote_history,
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
    runs,
    columns,
    weights,
    charges,
    collector,
    memory,
):
    """Fill in accounts, moments, metrics, rewards and observations; True where all is finite."""
    settle_trades(
        accounts,
        goods,
        orders,
        world_cash,
        world_units,
        cash,
        inventory,
        on_order,
        outside_cash,
        outside_units,
        cost,
        sold,
        sold_price,
        bought,
        bought_price,
        lost,
        first,
        instrument,
        made_to_order,
        base_stock,
        charges,
        collector,
    )
    account(
        metrics,
        next_moments,
        accounts[1],
        accounts[2],
        accounts[3],
        accounts[4],
        accounts[5],
        goods[1],
        sold,
        sold_price,
        bought,
        bought_price,
        lost,
        cost,
        goods[0],
        mark,
        next_mark,
        exposure,
        first,
        group,
        made_to_order,
        moments,
        sigma,
        memory,
    )
    weigh(reward, metrics, columns, weights)
    gather(
        seen,
        runs,
        ask,
        bid,
        sold,
        bought,
        exposure,
        goods[0],
        next_cost,
        next_mid,
        premium,
        instrument,
        accounts[0],
        clock,
        ask_size,
        bid_size,
        quote_history,
    )
    return finite(
        accounts[0], goods[0], next_mid, next_cost, demand_scale, ask, bid, metrics, reward
    )
