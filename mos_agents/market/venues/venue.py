"""A venue: who quotes and who orders which goods there, and under which rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.prominence import WEIGHTS
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.remembering import remembering
from mos_agents.market.returning import ReturningShoppers
from mos_agents.market.stages import (
    ArrivalProcess,
    ExecutionRule,
    FeeRule,
    OrderRule,
    QuoteRule,
    ReferenceRule,
    Stage,
)
from mos_agents.market.streams import Draws, PrefixedDraws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Info,
    InputError,
    IntArray,
    Positions,
    Quotes,
    State,
)
from mos_agents.market.venues.fees import FixedFees
from mos_agents.market.venues.orders import LimitOrders, NoArrivals, OrdersOnly

ORDER_TIMES = ("first", "last", "among")
OWN_STAGES = ("reference", "quotes", "execution", "arrivals")
"""The stages that a venue has of its own; the market has the others."""


@short_repr
@dataclass(frozen=True)
class Venue:
    """Goods that are quoted and traded in one place under the same rules.

    Parameters
    ----------
    name : str
        Its name; an instrument is called venue.good.
    goods : tuple of str
        What is traded there.
    quoting : tuple of str
        The participants that quote every good there.
    ordering : tuple of str
        The participants that may send orders for every good there.
    quotes : QuoteRule
        How actions become quotes.
    orders : OrderRule
        How actions become orders.
    arrivals : ArrivalProcess
        Outside demand; by default there is none.
    execution : ExecutionRule
        How outside demand trades.
    reference : ReferenceRule
        How the venue's reference prices, costs and demand move.
    order_time : str
        When participants' orders trade: "first", before the arrivals of the tick, "last", after
        them, or "among" them, each at a random time.
    delivery : int
        Ticks until units bought by an order are at hand; 0 is for venues cleared later in the tick.
    fees : FeeRule
        What trades there cost, for the platform; by default nothing.
    """

    name: str
    goods: tuple[str, ...]
    quoting: tuple[str, ...]
    ordering: tuple[str, ...] = ()
    quotes: QuoteRule = field(default_factory=PostedPrice)
    orders: OrderRule = field(default_factory=LimitOrders)
    arrivals: ArrivalProcess = field(default_factory=NoArrivals)
    execution: ExecutionRule = field(default_factory=OrdersOnly)
    reference: ReferenceRule = field(default_factory=Fundamentals)
    order_time: str = "first"
    delivery: int = 0
    fees: FeeRule = field(default_factory=FixedFees)

    def __post_init__(self) -> None:
        if self.order_time not in ORDER_TIMES:
            raise InputError(
                f"venue {self.name}: order_time={self.order_time!r} must be one of "
                f"{', '.join(ORDER_TIMES)}"
            )
        if self.delivery < 0:
            raise InputError(f"venue {self.name}: delivery={self.delivery!r} must be >= 0 ticks")
        for what in ("goods", "quoting", "ordering"):
            names = getattr(self, what)
            if len(set(names)) != len(names):
                raise InputError(f"venue {self.name}: {what}={list(names)} has a name twice")
        if not self.goods or not self.quoting:
            missing = "goods" if not self.goods else "quoting"
            raise InputError(f"venue {self.name}: {missing} is empty; nothing could be traded")
        if not isinstance(self.orders, OrderRule):
            raise InputError(
                f"venue {self.name}: orders={self.orders!r} must be of a class that inherits from "
                "OrderRule (mos_agents.market.stages)"
            )
        if not isinstance(self.fees, FeeRule):
            raise InputError(
                f"venue {self.name}: fees={self.fees!r} must be of a class that inherits from "
                "FeeRule (mos_agents.market.stages)"
            )
        keeps = isinstance(self.arrivals, ReturningShoppers) and self.arrivals.offers_stand
        if keeps and self.fees.is_charged and self.fees.payer == "taker":
            raise InputError(
                f"venue {self.name}: shoppers who return would owe the fee of another tick; set "
                "arrivals.offers_stand=false, or fees.payer=seller"
            )
        if self.quotes.sealed:
            raise InputError(
                f"venue {self.name}: sealed bids would be seen by other venues; "
                "give the auction a market of its own"
            )
        idle = {"order_time": (self.order_time, "first"), "delivery": (self.delivery, 0)}
        for what, (value, usual) in idle.items():
            if not self.ordering and value != usual:
                raise InputError(
                    f"venue {self.name}: {what}={value!r} changes nothing here: nobody sends "
                    "orders; leave it out, or set ordering"
                )
        if not self.ordering and isinstance(self.execution, OrdersOnly):
            raise InputError(
                f"venue {self.name}: nobody sends orders and nobody comes from outside; set "
                "ordering, or arrivals and execution"
            )

    @property
    def instruments(self) -> tuple[str, ...]:
        return tuple(f"{self.name}.{good}" for good in self.goods)

    @property
    def highest_placement(self) -> float:
        """Most that sellers may bid for a place; 0 where they do not bid."""
        rule = self.execution.prominence_rule()
        return 0.0 if rule is None else rule.highest_placement

    @property
    def is_steered(self) -> bool:
        """Whether the platform weighs the offers by its actions."""
        rule = self.execution.prominence_rule()
        return rule is not None and rule.is_steered


@short_repr
class VenueView(NamedTuple):
    """A venue as a market of its quotes, and where its arrays lie in the whole market's."""

    venue: Venue
    market: Market
    listings: IntArray  # its quote slots
    orders: IntArray  # its order slots
    instruments: IntArray
    groups: IntArray
    holdings: IntArray  # of its quote slots
    goods: IntArray  # of its instruments
    ranks: IntArray  # of all its slots: orders, then quotes, by name and not by roster
    senders: IntArray  # the participants of its order slots
    quoting: NDArray[np.bool_]  # [N] who quotes here
    low: Array  # limits of its orders
    high: Array
    fee: IntArray  # the slot in which the platform sets its fees; none where they are given
    weights: IntArray  # the slot with the platform's weight of each of its listings, if any
    places: IntArray  # the slot with the bid for a place of each of its listings, if any

    @property
    def rules(self) -> IntArray:
        """The platform's slots."""
        return np.concatenate([self.fee, self.weights])

    def draws(self, draws: Draws) -> PrefixedDraws:
        return PrefixedDraws(draws, f"{self.venue.name}/")

    def quotes(self, quotes: Quotes) -> Quotes:
        return Quotes._make([*(some(a, self.listings) for a in quotes[:4]), quotes.age])

    def state(self, state: State, at_hand: Array | None = None) -> State:
        """The venue's view of the state; `at_hand` [B, H] are the units that can be sold now."""
        held = state.positions
        units = held.inventory if at_hand is None else at_hand
        return state._replace(
            quotes=self.quotes(state.quotes),
            positions=Positions(
                held.cash,
                some(units, self.holdings),
                np.take(held.on_order, self.holdings, axis=2),
                held.outside_cash,
                some(held.outside_units, self.goods),
            ),
            reference=some(state.reference, self.instruments),
            cost=some(state.cost, self.listings),
            demand_scale=some(state.demand_scale, self.groups),
            excitation=some(state.excitation, self.groups),
            quote_history=np.take(state.quote_history, self.listings, axis=3),
            memory=self.memory(state),
        )

    def memory(self, state: State) -> Mapping[str, Array]:
        """What the venue's own stages remember, by the names that they gave, and weights in force.

        The platform's weights of the venue's listings, or bids for a place, stand under `WEIGHTS`.
        """
        begin, whole = f"{self.venue.name}/", state.memory
        ranked = self.weights if self.weights.size else self.places
        if not whole and not ranked.size:
            return whole
        found = {k.removeprefix(begin): a for k, a in whole.items() if k.startswith(begin)}
        if ranked.size:
            found[WEIGHTS] = some(state.quotes.ask, ranked)
        return found

    def rates(self, tick: int, asks: Array, bids: Array) -> Array:
        """[B, 2] or [1, 2] the fee and the fee per unit at which it trades, given all slots [B, L].

        The platform's fee stands among the asks, its fee per unit among the bids.
        """
        if self.fee.size:
            chosen = np.concatenate([some(asks, self.fee), some(bids, self.fee)], axis=1)
        else:
            chosen = np.zeros((len(asks), 2))
        return self.venue.fees.rates(tick, chosen)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The venue's own stages that have a memory."""
        return tuple(stage for _, stage in remembering(self.market, OWN_STAGES))

    def info(self, info: Info) -> Info:
        """The venue's view of what happened in a tick."""
        traded = info.executions
        executions = Executions(*(some(array, self.listings) for array in traded.arrays))
        if traded.shown is not None:
            executions = executions._replace(shown=some(traded.shown, self.listings))
        if traded.fees is not None:
            executions = executions._replace(fees=some(traded.fees, self.listings))
        return info._replace(
            quotes=self.quotes(info.quotes),
            arrivals=self.arrivals(info.arrivals),
            executions=executions,
            flows=info.flows._replace(delivered=some(info.flows.delivered, self.holdings)),
        )

    def arrivals(self, whole: Arrivals) -> Arrivals:
        """The venue's arrivals, in their order and with its own numbers of groups."""
        number = np.full(whole.mass.shape[1], -1)
        number[self.groups] = np.arange(self.groups.size)
        group = number[whole.group]
        mine = group >= 0
        start = np.concatenate(([0], np.cumsum(mine)))[whole.start]
        return Arrivals(
            some(whole.mass, self.groups),
            some(whole.exposure, self.groups),
            start,
            group[mine],
            whole.side[mine],
            whole.size[mine],
            whole.intent[mine],
            None if whole.returning is None else some(whole.returning, self.groups),
        )


def some(array: Array, columns: IntArray) -> Array:
    """The columns of axis 1, C-contiguous."""
    return array.take(columns, axis=1)
