"""Orders: what a participant sends to take the quotes of others. An order lives for one tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.market.checks import within_floats
from mos_agents.market.kernels import kernel
from mos_agents.market.quotes import HIGHEST
from mos_agents.market.refusals import CLOSED_SIDE, NOT_FINITE, OUTSIDE, TAKEN
from mos_agents.market.stages import ArrivalProcess, ExecutionRule, OrderRule
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    InputError,
    IntArray,
    Quotes,
    State,
)


@dataclass(frozen=True)
@within_floats
class LimitOrders(OrderRule):
    """Orders with a limit price: a quantity above 0 buys, one below 0 sells, 0 is no order.

    An order trades at the quotes that it takes, and never at a worse price than its limit.

    Parameters
    ----------
    size : float
        largest quantity of an order, in units, > 0.
    buy : bool
        participants may send orders to buy.
    sell : bool
        participants may send orders to sell, where quotes have bids.
    high : float or None
        highest limit price, in money, > 0; None is twenty times each instrument's reference
        price.
    """

    size: float = 1000.0
    buy: bool = True
    sell: bool = False
    high: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.size < np.inf:
            raise InputError(f"size={self.size!r} must be > 0 units and finite")
        if not self.buy and not self.sell:
            raise InputError("buy=False, sell=False: no order would ever be taken; open a side")
        if self.high is not None and not 0.0 < self.high < np.inf:
            raise InputError(f"high={self.high!r} must be > 0 and finite")

    @property
    def features(self) -> tuple[str, ...]:
        return ("quantity", "limit")

    def limits(self, reference: Array, bids: bool) -> tuple[Array, Array]:
        if self.sell and not bids:
            raise InputError(
                "orders.sell=True changes nothing here: nobody bids in this venue; leave it out"
            )
        if self.high is not None and (self.high < reference).any():
            raise InputError(
                f"orders.high={self.high:.10g} is below the reference price "
                f"({reference.max():.10g}); raise it, or leave it out"
            )
        none = np.zeros(reference.shape)
        highest = HIGHEST * reference if self.high is None else none + self.high
        low = np.column_stack([none - self.size * self.sell, none])
        return low, np.column_stack([none + self.size * self.buy, highest])

    def admit(
        self, actions: Array, moves: Any, seller: IntArray, low: Array, high: Array
    ) -> tuple[Array, IntArray]:
        batch, n_slots = actions.shape[:2]
        orders = np.zeros((4, batch, n_slots))
        refused = np.full((batch, moves.shape[1]), TAKEN)
        post_orders(orders, refused, actions, moves, seller, low, high)
        return orders, refused


@kernel
def post_orders(orders, refused, actions, moves, seller, low, high):  # type: ignore[no-untyped-def]
    """Fill in orders [4, B, slots], which are 0 before, and the reasons of refusals [B, N].

    A participant with one refused order sends none: the caller takes the others out.
    """
    for b in range(actions.shape[0]):
        row = b if moves.shape[0] > 1 else 0
        for i in range(actions.shape[1]):
            n = seller[i]
            if not moves[row, n] or refused[b, n] != TAKEN:
                continue
            quantity, limit = actions[b, i, 0], actions[b, i, 1]
            if not (np.isfinite(quantity) and np.isfinite(limit)):
                refused[b, n] = NOT_FINITE
            elif (quantity > 0.0 and high[i, 0] == 0.0) or (quantity < 0.0 and low[i, 0] == 0.0):
                refused[b, n] = CLOSED_SIDE
            elif (
                quantity < low[i, 0]
                or quantity > high[i, 0]
                or limit < low[i, 1]
                or limit > high[i, 1]
            ):
                refused[b, n] = OUTSIDE
            elif quantity > 0.0:
                orders[0, b, i], orders[1, b, i] = limit, quantity
            else:
                orders[2, b, i], orders[3, b, i] = limit, -quantity


@dataclass(frozen=True)
class NoArrivals(ArrivalProcess):
    """No one comes from outside: participants trade with one another alone."""

    ignores_quotes = True

    def arrive(
        self, market: Any, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        batch, groups = state.demand_scale.shape
        empty = np.empty(0, np.int64)
        return (
            Arrivals(
                np.zeros((batch, groups, 2)),
                np.zeros((batch, groups)),
                np.zeros(batch + 1, np.int64),
                empty,
                empty,
                np.empty(0),
                np.empty(0),
            ),
            state.excitation,
        )

    def mean_mass(self, market: Any, scale: Array) -> Array:
        return np.zeros(scale.shape)

    def reads_time_step(self) -> bool:
        return False


@dataclass(frozen=True)
class OrdersOnly(ExecutionRule):
    """Nothing trades with the outside: quotes are taken by participants' orders alone."""

    trades_mass = True
    choice = "within"

    def validate(self, market: Any) -> None:
        if not isinstance(market.arrivals, NoArrivals):
            raise InputError(
                "arrivals: nobody from outside trades where execution is orders_only; leave "
                "arrivals out, or set the execution by which they trade"
            )

    def execute(
        self, market: Any, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        none = np.zeros(quotes.ask.shape)
        return Executions(none, quotes.ask, none, quotes.bid, none, none)
