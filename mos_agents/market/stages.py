"""Base classes of the stages of the loop: one for each, with one main method.

A stage is a frozen set of parameters. It receives the market (its layout and catalogue), the
state between ticks and the tick's draws; it returns what it made and changes nothing. A class of
your own inherits from the base class of its stage and writes the verbs; everything else that a
stage may say of itself has a default here. EXTENDING.md has an example of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.fields import ObservationField
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Flows,
    Info,
    InputError,
    IntArray,
    Positions,
    Quotes,
    State,
)

if TYPE_CHECKING:
    from mos_agents.market.market import Market


class Stage(ABC):  # noqa: B024 (the verbs of its subclasses are abstract)
    """Base class of all stages."""

    def validate(self, market: Market) -> None:
        """InputError if the stage needs something that this market does not have."""
        return None

    def memory(self, market: Market) -> Mapping[str, Array]:
        """The stage's memory of one market before the first tick: arrays by name.

        `state.memory[name]` is [B, ...], a row a market.
        """
        return {}

    def remember(
        self, market: Market, state: State, info: Info, draws: Draws
    ) -> Mapping[str, Array]:
        """The arrays of `memory` [B, ...] after a tick, all of them and new ones.

        It is called last. `state` is the one after the tick, with what was remembered before it;
        `info` is what happened in the tick.
        """
        raise NotImplementedError(f"{type(self).__name__} has a memory and must write `remember`")


class Schedule(Stage):
    """Decides which participants may move at a tick."""

    @abstractmethod
    def moves(self, market: Market, tick: int, draws: Draws) -> Any:
        """[B, N] booleans (or [1, N], the same in every market)."""

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        """(period, offset): participant n moves at the ticks t with (t - offset) % period == 0.

        (0, 0) where it is not known beforehand.
        """
        return 0, 0


class QuoteRule(Stage):
    """Turns actions into quotes: accepts them, brings them within limits, or refuses them."""

    sealed: ClassVar[bool] = False
    """Whether no participant sees another's quotes."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the A numbers that make up an action for one listing."""

    @abstractmethod
    def limits(self, market: Market) -> tuple[Array, Array]:
        """Lowest and highest action, [L, A] each; what lies outside is refused."""

    @abstractmethod
    def opening(self, market: Market, batch: int) -> Quotes:
        """The quotes that stand before the first tick."""

    @abstractmethod
    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        """Quotes in force after the actions [B, L, A], and the refusals [B, N] (0 = taken)."""

    def tick_sizes(self, market: Market) -> Array:
        """[L] steps of the prices that can be posted; 0 where prices are continuous."""
        return np.zeros(market.layout.L)

    def floor(self, market: Market, cost: Array) -> Array:
        """[L] the lowest price that is posted at these unit costs [L]."""
        return np.full(market.layout.L, -np.inf)

    @property
    def is_endless(self) -> bool:
        """Whether a quote is known to hold for any number of units."""
        return False

    def venue_of(self, market: Market, n: int) -> Market:
        """The market whose rules hold for participant n: this one, or the venue it trades in."""
        return market

    def market_of(self, market: Market, venue: str) -> Market:
        """The venue of this name as a market of its own."""
        return market

    def slots_of(self, market: Market, n: int) -> tuple[Slots, ...]:
        """Participant n's slots by venue, in a market of several venues."""
        return ()

    @property
    def n_venues(self) -> int:
        """How many venues there are in a market of several; 0 elsewhere."""
        return 0

    def groups_met(self, market: Market, n: int) -> IntArray:
        """The choice groups whose public quotes participant n sees."""
        return np.unique(market.layout.group[market.layout.own(n)])

    def groups_of(self, market: Market, venue: str) -> IntArray:
        """The choice groups of the venue of this name."""
        return np.arange(market.layout.G)

    def venue_fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        """What participant n sees of the venues' rules: fees that may change."""
        return ()

    def observe_venues(self, market: Market, state: State, executions: Executions) -> Array:
        """[B, 3 x venues + L] fees, fees per unit and sales of venues, and weights of slots."""
        raise NotImplementedError

    def sides(self, market: Market) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """[L] whether each slot may ask, and whether it may bid."""
        every = np.ones(market.layout.L, np.bool_)
        return every & market.asks, every & market.bids

    @property
    def has_transit(self) -> bool:
        """Whether units that are bought can be in transit after a tick."""
        return False

    def in_transit(self, market: Market, state: State, executions: Executions) -> Array:
        """[B, H] units bought that are not at hand after a tick, where there are any."""
        raise NotImplementedError


class Slots(NamedTuple):
    """Slots of one participant in one venue that are of one kind."""

    venue: str
    kind: int  # QUOTE, ORDER, FEE, WEIGHT or PLACE
    slots: slice  # of all slots
    features: tuple[str, ...]
    period: int = 1  # ticks from one change to the next, if the owner may move at every tick

    @property
    def name(self) -> str:
        return self.venue + ("", ".orders", ".fees", ".weights", ".places")[self.kind]


class OrderRule(Stage):
    """Turns actions into orders: what participants send to take the quotes of others."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """Names of the numbers that make up an order."""

    @abstractmethod
    def limits(self, reference: Array, bids: bool) -> tuple[Array, Array]:
        """Lowest and highest order, [slots, features] each, at opening reference prices [slots].

        `bids` says whether quotes have a bid.
        """

    @abstractmethod
    def admit(
        self, actions: Array, moves: Any, seller: IntArray, low: Array, high: Array
    ) -> tuple[Array, IntArray]:
        """Orders from actions [B, slots, features], and refusals [B, N].

        Orders are [4, B, slots]: limit and units of purchases, limit and units of sales.
        """


class ArrivalProcess(Stage):
    """Outside demand before it chooses.

    ignores_quotes: it does not look at quotes, so that its arrivals can be drawn while participants
        still decide. A class that inherits from one that says so must say so again.
    """

    ignores_quotes: ClassVar[bool] = False

    @abstractmethod
    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        """The tick's arrivals, and the excitation [B, G, 2] to remember."""

    def opening_excitation(self, market: Market) -> Any:
        """The excitation before the first tick: a number, or [G, 1]."""
        return 0.0

    def mean_orders(self, market: Market) -> float:
        """Single orders, looks or units of a tick and market, on average: an estimate of the memory
        that they take."""
        return 0.0

    def reads_time_step(self) -> bool:
        """Whether `market.dt` changes what arrives."""
        return True

    def mean_mass(self, market: Market, scale: Array) -> Array:
        """[G] units that buyers want in a tick on average, at demand scales [G]: for benchmarks."""
        raise InputError(
            f"arrivals {type(self).__name__} must have mean_mass(market, scale), the [G] units "
            "that buyers want in a tick on average"
        )

    def order_rate(self, market: Market, share: float) -> float:
        """Orders per unit of time, instrument and side that makers may count on if a `share` of
        those that arrive trades; NaN if unknown."""
        return float("nan")

    def standing_prices(self, market: Market, state: State, quotes: Quotes) -> Array:
        """[B, L] the prices at which shoppers who return can buy in this tick."""
        return quotes.ask


class ExecutionRule(Stage):
    """How arrivals become trades.

    trades_mass: it trades a mass of demand as a whole, without single orders.
    serves_returning: it serves `Arrivals.returning`, shoppers who come back to buy.
    """

    trades_mass: ClassVar[bool] = False
    serves_returning: ClassVar[bool] = False

    @property
    @abstractmethod
    def choice(self) -> str:
        """Whether customers compare "within" an instrument or "across" the market."""

    @abstractmethod
    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        """Units and prices of the trades."""

    def demand_model(self) -> Demand | None:
        """The demand model by which customers choose, if there is one: for benchmarks."""
        return None

    def prominence_rule(self) -> Prominence | None:
        """The rule by which some offers are more prominent than others, if there is one."""
        return None

    @property
    def charges_fees(self) -> bool:
        """Whether venues charge fees of their own, beside those of the ledger."""
        return False

    def surplus(
        self,
        market: Market,
        state: State,
        quotes: Quotes,
        arrivals: Arrivals,
        executions: Executions,
    ) -> Array | None:
        """[B] consumer surplus of what `execute` came to, in money; None where there is none.

        NaN in markets where nobody knows it, as stock ran out.
        """
        return None

    def has_surplus(self, market: Market) -> bool:
        """Whether `surplus` gives one."""
        return False

    def order_share(self, market: Market) -> float:
        """Factor on the probability that an order trades at the reference price."""
        return 1.0

    def order_decay(self) -> float:
        """How fast that probability falls with the distance from it; NaN if unknown."""
        return float("nan")

    def reserve_price(self) -> float | None:
        """The price below which nothing is sold in an auction; None elsewhere."""
        return None


class Demand(ABC):
    """How customers choose among the offers of a group."""

    @property
    @abstractmethod
    def choice(self) -> str:
        """Whether customers compare "within" an instrument or "across" the market."""

    @abstractmethod
    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        """[R, L] probability that an arrival chooses each listing; the rest is no purchase.

        `prices`, `available` (booleans) and `reference` are [R, L]: R markets, any of the batch.
        """

    def surplus(
        self, market: Market, prices: Array, available: Any, reference: Array
    ) -> Array | None:
        """[R, G] consumer surplus per unit of mass, in money; None where the model has none.

        The arguments are those of `shares`.
        """
        return None


class Shown(NamedTuple):
    """What shoppers see of the offers, and what stands out."""

    visible: Any  # [B, L] booleans
    prominent: Any  # [B, L] booleans: the offers that the rule has chosen


@dataclass(frozen=True)
class Prominence(Stage):
    """Decides which offers shoppers see first.

    Parameters
    ----------
    followers : float
        share of shoppers who see only what is shown, at no cost, in [0, 1]; the others see
        every offer and bear the search cost.
    search_cost : float
        what looking at every offer costs a shopper, in money, as if each offer were dearer
        by so much, >= 0.
    boost : float
        with 0, followers see only what is shown; above 0 they see every offer, and what is shown
        looks cheaper to them by so much, in money, >= 0.
    """

    followers: float = 1.0
    search_cost: float = 0.0
    boost: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.followers <= 1.0:
            raise InputError(f"followers={self.followers!r} must be a share in [0, 1]")
        if not 0.0 <= self.search_cost < np.inf:
            raise InputError(f"search_cost={self.search_cost!r} must be >= 0, in money")
        if not 0.0 <= self.boost < np.inf:
            raise InputError(f"boost={self.boost!r} must be >= 0, in money")

    @property
    def is_active(self) -> bool:
        """Whether shoppers can see anything else than every offer at no cost."""
        return True

    @property
    def is_steered(self) -> bool:
        """Whether the platform weighs the offers of the venue by its actions."""
        return False

    @property
    def highest_placement(self) -> float:
        """Most that sellers may bid for a place, in money per unit; 0 where they do not bid."""
        return 0.0

    @abstractmethod
    def show(
        self, market: Market, state: State, quotes: Quotes, offered: Any, draws: Draws
    ) -> Shown:
        """Choose the prominent offers among those that can be bought, [B, L] booleans `offered`."""

    def chosen(self, offered: Any, prominent: Any) -> Shown:
        """What is shown if these offers are chosen: they alone, or all if they are boosted."""
        return Shown(offered if self.boost > 0.0 else prominent, prominent)


PAYERS = ("seller", "taker", "traders")
"""Who pays the fees of a venue."""


@dataclass(frozen=True)
class FeeRule(Stage):
    """The fees of a venue, which its platform receives: a share of the money, and money per unit.

    Parameters
    ----------
    payer : str
        who pays: the "seller" of each unit, its "taker" (who takes a quote: a participant's order,
        or somebody from outside, who sees prices with the fee), or "traders" (each participant, for
        its own sales and purchases). The platform pays no fees itself.
    """

    payer: str = "seller"

    def __post_init__(self) -> None:
        if self.payer not in PAYERS:
            raise InputError(f"payer={self.payer!r} must be one of {', '.join(PAYERS)}")

    @abstractmethod
    def rates(self, tick: int, chosen: Array) -> Array:
        """[B, 2] or [1, 2] fee (a share) and fee per unit (money) of a tick.

        `chosen` [B, 2] is what the platform has set; 0 where it may set nothing.
        """

    @property
    def is_charged(self) -> bool:
        """Whether there can be a fee at all."""
        return True

    @property
    def can_change(self) -> bool:
        """Whether the fees of two ticks can differ: participants then observe them."""
        return True

    @property
    def features(self) -> tuple[str, ...]:
        """What the platform sets: "fee", "unit_fee", both or nothing."""
        return ()

    @property
    def opening(self) -> tuple[float, float]:
        """What is set before the platform has moved."""
        return 0.0, 0.0

    def limits(self) -> tuple[Array, Array]:
        """Lowest and highest of `features`; what lies outside is refused."""
        return np.zeros(0), np.zeros(0)

    @property
    def period(self) -> int:
        """Ticks from one change by the platform to the next."""
        return 1


class TradeCosts(NamedTuple):
    """What participants pay for their trades; see the parameters of `Ledger`."""

    fee: float = 0.0
    unit_fee: float = 0.0
    shortage_cost: float = 0.0


class PositionRule(Stage):
    """Positions: cash and inventory, limits, supplies and the cost of holding."""

    @abstractmethod
    def opening(self, market: Market, batch: int) -> Positions:
        """The positions before the first tick."""

    @abstractmethod
    def capacity(self, market: Market, positions: Positions) -> tuple[Array, Array]:
        """[B, H] units that may be sold, and that may be bought, before a limit binds."""

    def delivery_ticks(self) -> float:
        """Ticks until an order to suppliers arrives: so many are remembered."""
        return 0.0

    @abstractmethod
    def marks(self, market: Market, state: State) -> Array:
        """[B, L] the price at which inventory is valued."""

    @abstractmethod
    def settle(
        self, market: Market, state: State, executions: Executions
    ) -> tuple[Positions, Flows]:
        """The positions after the executions, and the money that moved."""

    def limits(self) -> tuple[float, float]:
        """Lowest and highest inventory of a listing that is held."""
        return 0.0, np.inf

    def base_stocks(self, market: Market) -> Array:
        """[L] stock that orders restore every tick; 0 where nothing is ordered."""
        return np.zeros(market.layout.L)

    def trade_costs(self) -> TradeCosts | None:
        """What trades cost beside their price; None if unknown: no benchmark counts it."""
        return None

    def credit_limit(self) -> float:
        """Largest debt that a participant's orders may lead to."""
        return np.inf

    def valuation(self) -> str:
        """What inventory is valued at, for reports: "cost", "reference" or "" for anything else."""
        return ""


class ReferenceRule(Stage):
    """Moves reference prices, costs and demand between ticks."""

    @abstractmethod
    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        """Next reference prices [B, K], costs [B, L] and demand scales [B, G]."""

    def reads_time_step(self) -> bool:
        """Whether `market.dt` changes how fundamentals move."""
        return True

    def opening_levels(self, market: Market) -> tuple[Array, Array, Array]:
        """Reference prices [K], costs [L] and demand scales [G] before the first tick."""
        return market.opening_reference, market.catalogue.cost, market.opening_demand

    @property
    def sigma(self) -> float:
        """The volatility that executions read, in the price process's own units."""
        return 0.0

    def sigmas(self, market: Market) -> Array:
        """[L] volatility of the price of what each listing trades, per square root of time."""
        return np.full(market.layout.L, self.sigma)

    def sigma_relative(self, market: Market) -> NDArray[np.bool_]:
        """[L] whether `sigmas` is in shares of the price rather than in money."""
        return np.ones(market.layout.L, np.bool_)

    def estimated(self, market: Market) -> str:
        """One sentence on what is estimated from recorded rows; empty where nothing is."""
        return ""


class Process(ABC):
    """How levels move from one tick to the next."""

    @abstractmethod
    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        """Next levels [B, M] from the present ones, given the opening levels [M]."""

    def reads_time_step(self) -> bool:
        """Whether the length of a tick changes how levels move."""
        return True

    def opening(self, levels: Array) -> Array:
        """The levels [M] before the first tick, given those of the catalogue."""
        return levels

    @property
    def sigma(self) -> float:
        """The process's parameter of that name; 0 where it has none."""
        return 0.0

    def volatility(self, dt: float, ticks: int) -> Array:
        """[1] or [M] volatility per square root of time, see `sigma_relative`."""
        return np.array([self.sigma])

    def sigma_relative(self) -> bool:
        """Whether volatility is in shares of the level rather than in its unit."""
        return True


class ObservationRule(Stage):
    """Decides what each participant observes."""

    def shows_rivals(self) -> bool:
        """Whether participants see rivals' quotes at all."""
        return True

    @property
    def delay(self) -> int:
        """Ticks by which rivals' quotes lag."""
        return 0

    @abstractmethod
    def fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        """What participant n sees, in order."""

    @abstractmethod
    def observe(
        self,
        market: Market,
        state: State,
        arrivals: Arrivals,
        executions: Executions,
        draws: Draws,
    ) -> Array:
        """[B, sum of D_n]: every participant's observation, in roster order."""


class RewardRule(Stage):
    """Turns the metrics of a tick into rewards."""

    @property
    def market_metrics(self) -> tuple[str, ...]:
        """The metrics of the whole market that it counts: they follow those of a participant."""
        return ()

    @abstractmethod
    def score(self, market: Market, metrics: Array) -> Array:
        """[B, N] rewards from the tick's metrics [B, N, M], named by `market.metrics`."""

    @abstractmethod
    def breakdown(self, market: Market, metrics: Array) -> dict[str, Array]:
        """The terms that sum to the reward, [B, N] each."""
