"""Records of the loop: quotes, arrivals, executions, positions, and the state between ticks.

Axes, in this order: B markets, then N participants or L listings or K instruments or G choice
groups. A *listing* is one participant's quote in one instrument: a market of 20 manufacturers and
131 models has 131 listings, not 20 x 131 cells. Listings stand in roster order, so each
participant's own are one contiguous slice. Arrays are C-contiguous float64; nothing is written
in place. The records are named tuples: immutable, printable, and quick to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.printing import short_repr

Array = NDArray[np.float64]
IntArray = NDArray[Any]

BUY, SELL = 0, 1  # the customer's side: buyers lift asks, sellers hit bids
ROLES = ("platform", "firm", "maker", "bidder")
QUOTE, ORDER, FEE, WEIGHT, PLACE = range(5)
"""Kinds of slots: a quote, an order, the platform's rules (a fee, the weight of an offer), and a
seller's bid for a prominent place."""


def _nothing() -> IntArray:
    return np.empty(0, np.int64)


class InputError(ValueError):
    """Input that cannot be used, stated in one line: the field, the value, what is allowed."""


class QuoteRefused(InputError):
    """A quote that the market does not take; the participant's quote in force stays."""


@short_repr
class Quotes(NamedTuple):
    """Quotes in force. Size 0 is no quote, infinity is unlimited; prices stay finite."""

    bid: Array  # [B, L] price at which the participant buys
    bid_size: Array  # [B, L] units
    ask: Array  # [B, L] price at which the participant sells
    ask_size: Array  # [B, L] units
    age: Array  # [B, N] ticks since the participant last moved


@short_repr
class Arrivals(NamedTuple):
    """Outside demand before choice: its mass per choice group, and single arrivals in time order.

    Without single arrivals (`group` empty) the mass alone describes the tick.
    """

    mass: Array  # [B, G, 2] units wanted, by side (BUY, SELL); scrapers count by their intent
    exposure: Array  # [B, G] times that the group's offers were looked at
    start: IntArray  # [B + 1] market b owns arrivals start[b] to start[b + 1]
    group: IntArray  # [E] choice group
    side: IntArray  # [E] BUY or SELL
    size: Array  # [E] units
    intent: Array  # [E] multiplies the probability to trade: 1 for customers, .01 for scrapers
    returning: Array | None = None  # [B, G, 2] units of shoppers who return: to buy now, to wait


@short_repr
class Executions(NamedTuple):
    """Units and prices of the trades, and the demand that was turned away."""

    sold: Array  # [B, L] units sold at the ask
    sold_price: Array  # [B, L] money per unit sold
    bought: Array  # [B, L] units bought at the bid
    bought_price: Array  # [B, L] money per unit bought
    demand: Array  # [B, L] units that chose this listing first, stock aside: nobody may observe it
    lost: Array  # [B, L] part of `demand` that stock or limits turned away
    shown: Array | None = None  # [B, L] 1 where the offer was prominent; None: all offers are alike
    fees: Array | None = None  # [B, L] fees of venues that the slot's owner pays for its trades
    surplus: Array | None = None  # [B] consumer surplus in all venues, where some demand has one

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        """The units and prices, [B, L] each."""
        return self[:6]


@short_repr
class Positions(NamedTuple):
    """Who owns what. The outside world (customers, suppliers) has its own account."""

    cash: Array  # [B, N] money
    inventory: Array  # [B, H] units; negative is short
    on_order: Array  # [B, lead time, H] units under way; the first row arrives next
    outside_cash: Array  # [B] money
    outside_units: Array  # [B, goods] units


@short_repr
class Flows(NamedTuple):
    """Money that moved in one tick, per participant. [B, N] each."""

    revenue: Array  # received for units sold (and, from bids, the worth of units used at once)
    spending: Array  # paid for units bought at the bid, sourced or delivered
    holding: Array  # paid for inventory held
    shortage: Array  # paid for demand turned away
    fees: Array  # fees paid (negative: received, a rebate or by the platform)
    delivered: Array  # [B, H] units that arrived from suppliers


@short_repr
class State(NamedTuple):
    """The state of B markets between two ticks."""

    tick: int
    quotes: Quotes
    positions: Positions
    reference: Array  # [B, K] fundamental or mid price
    cost: Array  # [B, L] unit cost to a seller; to a bidder, the private value of a unit
    demand_scale: Array  # [B, G] multiplies outside demand
    excitation: Array  # [B, G, 2] arrivals' self-excitation above the base rate (Hawkes)
    pnl_moments: Array  # [B, N, 2] running mean and variance of the PnL per tick
    quote_history: Array  # [B, delay, 4, L] asks, bids and their sizes of past ticks, newest first
    memory: Mapping[str, Array] = {}  # [B, ...] what stages of your own remember, by name


@short_repr
class Step(NamedTuple):
    """The results of one tick."""

    state: State
    observation: Array  # [B, sum of D_n]; `market.specs[n].own(...)` is participant n's part
    reward: Array  # [B, N]
    metrics: Array  # [B, N, M], columns market.metrics
    info: Info


@short_repr
class Info(NamedTuple):
    """Details of a tick that participants do not observe."""

    quotes: Quotes
    arrivals: Arrivals
    executions: Executions
    flows: Flows
    refused: IntArray  # [B, N] 0 taken, else the index of the reason in refusals.REASONS
    moved: NDArray[np.bool_]  # [B, N] who was on the move


@short_repr
@dataclass(frozen=True)
class Layout:
    """Who sells what: the roster, the instruments, and the listings that join them.

    `seller` and `instrument` are [L] indices, sorted by seller. `choice` says what a customer
    compares: "within" an instrument (which seller to buy this product from) or "across" the
    market (which product of which firm, or nothing); "venues" leaves it to each venue, whose groups
    are given by `instrument_group`.

    In a market of several venues a listing is a *slot*: a quote, an order or a rule of one
    participant, by `kind`. An instrument is a good as one venue trades it, and a participant has
    one holding of a good, whatever the venue. Elsewhere every slot is a quote, and has a holding of
    its own. A rule is about a whole venue or offer; its instrument only says where it stands.
    """

    participants: tuple[str, ...]
    roles: tuple[str, ...]
    instruments: tuple[str, ...]
    seller: IntArray
    instrument: IntArray
    choice: str = "within"
    goods: tuple[str, ...] = ()  # names; none where each instrument is a good of its own
    good: IntArray = field(default_factory=_nothing)  # [K] good of each instrument
    kind: IntArray = field(default_factory=_nothing)  # [L] QUOTE, ORDER, FEE, WEIGHT or PLACE
    instrument_group: IntArray = field(default_factory=_nothing)  # [K] where choice is "venues"
    slots: tuple[str, ...] = ()  # [L] names of the slots in tables; none: those of the instruments
    holding: IntArray = field(init=False)  # [L] number of the slot's holding
    holding_first: IntArray = field(init=False)  # [N + 1] as `first`, of holdings
    holding_good: IntArray = field(init=False)  # [H] good of each holding
    first: IntArray = field(init=False)  # [N + 1] participant n owns listings first[n]:first[n+1]
    group: IntArray = field(init=False)  # [L] choice group of each listing
    group_start: IntArray = field(init=False)  # [G + 1] into group_listing
    group_listing: IntArray = field(init=False)  # [L] listings, group by group, in roster order

    def __post_init__(self) -> None:
        if self.choice not in ("within", "across", "venues"):
            raise InputError(f"choice={self.choice!r} must be 'within', 'across' or 'venues'")
        for name in ("participants", "instruments"):
            values = getattr(self, name)
            if len(set(values)) != len(values) or not values:
                raise InputError(f"{name}={values!r} must be distinct names, one or more")
        if len(self.roles) != len(self.participants) or set(self.roles) - set(ROLES):
            raise InputError(f"roles={self.roles!r} must give each participant one of {ROLES}")
        seller = np.ascontiguousarray(self.seller, dtype=np.int64)
        instrument = np.ascontiguousarray(self.instrument, dtype=np.int64)
        if np.any(np.diff(seller) < 0):
            raise InputError("seller: listings must stand in roster order; sort them by seller")
        if self.choice == "venues":
            group, n_groups = (
                self.instrument_group[instrument],
                int(self.instrument_group.max()) + 1,
            )
        else:
            group = instrument if self.choice == "within" else np.zeros_like(instrument)
            n_groups = len(self.instruments) if self.choice == "within" else 1
        counts = np.bincount(group, minlength=n_groups)
        put = object.__setattr__
        put(self, "seller", seller)
        put(self, "instrument", instrument)
        put(self, "first", np.searchsorted(seller, np.arange(len(self.participants) + 1)))
        put(self, "group", group)
        put(self, "group_start", np.concatenate(([0], np.cumsum(counts))).astype(np.int64))
        put(self, "group_listing", np.argsort(group, kind="stable").astype(np.int64))
        self._number_holdings()

    def _number_holdings(self) -> None:
        """Number the holdings by participant, then by good; without goods, one for each listing."""
        put = object.__setattr__
        if not self.goods:
            put(self, "good", np.arange(self.K))
            put(self, "kind", np.full(self.L, QUOTE))
            put(self, "holding", np.arange(self.L))
            put(self, "holding_first", self.first)
            put(self, "holding_good", self.instrument)
            return
        owned = self.seller * len(self.goods) + self.good[self.instrument]
        numbers, holding = np.unique(owned, return_inverse=True)
        holder = numbers // len(self.goods)
        put(self, "holding", holding.reshape(-1).astype(np.int64))
        put(self, "holding_first", np.searchsorted(holder, np.arange(self.N + 1)))
        put(self, "holding_good", numbers % len(self.goods))

    @classmethod
    def dense(
        cls,
        participants: Sequence[str],
        instruments: Sequence[str],
        roles: Sequence[str],
        choice: str = "within",
    ) -> Layout:
        """Make the layout in which every participant quotes every instrument.

        Parameters
        ----------
        participants : sequence of str
            Names, in roster order.
        instruments : sequence of str
            Names.
        roles : sequence of str
            A role for each participant, out of `ROLES`.
        choice : str
            "within" an instrument or "across" the market.

        Returns
        -------
        Layout
            With L = N K listings.

        Raises
        ------
        InputError
            If a name stands twice, or a role is unknown.
        """
        n, k = len(participants), len(instruments)
        return cls(
            tuple(participants),
            tuple(roles),
            tuple(instruments),
            np.repeat(np.arange(n), k),
            np.tile(np.arange(k), n),
            choice,
        )

    def own(self, n: int) -> slice:
        """Participant n's listings."""
        return slice(int(self.first[n]), int(self.first[n + 1]))

    def held_by(self, n: int) -> slice:
        """Participant n's holdings."""
        return slice(int(self.holding_first[n]), int(self.holding_first[n + 1]))

    @property
    def N(self) -> int:
        return len(self.participants)

    @property
    def K(self) -> int:
        return len(self.instruments)

    @property
    def L(self) -> int:
        return int(self.seller.size)

    @property
    def H(self) -> int:
        return int(self.holding_good.size)

    @property
    def n_goods(self) -> int:
        return len(self.goods) or self.K

    @property
    def has_orders(self) -> bool:
        """Whether some slots are orders."""
        return bool((self.kind == ORDER).any())

    @property
    def slot_names(self) -> tuple[str, ...]:
        """[L] what each slot is called in tables."""
        return self.slots or tuple(self.instruments[k] for k in self.instrument)

    @property
    def G(self) -> int:
        return int(self.group_start.size) - 1
