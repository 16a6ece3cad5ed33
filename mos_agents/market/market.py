"""A market as a value: who trades what, and the stages that make up its rules."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mos_agents.market import fields as fields_
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.checks import changes_nothing, check_size, echo, naming
from mos_agents.market.fields import ObservationField
from mos_agents.market.frames import market_html
from mos_agents.market.memory import check_memory
from mos_agents.market.metrics import METRICS
from mos_agents.market.printing import short_repr
from mos_agents.market.remembering import opening as opening_memory
from mos_agents.market.remembering import remembering
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.spec_parts import spec_parts, turn_of
from mos_agents.market.stages import (
    ArrivalProcess,
    ExecutionRule,
    ObservationRule,
    PositionRule,
    QuoteRule,
    ReferenceRule,
    RewardRule,
    Schedule,
    Stage,
)
from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    InputError,
    IntArray,
    Layout,
    State,
)

PARTS = (
    "reference",  # first, as the other parts ask for its opening levels
    "quotes",
    "schedule",
    "execution",  # before arrivals: that quotes are of another kind says more than what follows
    "arrivals",
    "positions",
    "observations",
    "rewards",
)
"""The parts of a market that are looked at together, by their names in a scenario file."""
BASES: dict[str, type[Stage]] = {
    "reference": ReferenceRule,
    "quotes": QuoteRule,
    "schedule": Schedule,
    "execution": ExecutionRule,
    "arrivals": ArrivalProcess,
    "positions": PositionRule,
    "observations": ObservationRule,
    "rewards": RewardRule,
}
"""The base class of each part."""
SHARED = ("schedule", "positions", "observations", "rewards")
"""Those that the venues of a market share."""


@short_repr
@dataclass(frozen=True, eq=False)
class Market:
    """A market: who trades what, under which rules. It is a value and never changes.

    `mos_agents.market.defaults.make_market` fills in the stages that are not named, and
    `market.with_parts(quotes=...)` makes the same market with another stage.

    Parameters
    ----------
    layout : Layout
        Participants, instruments, and the listings that join them.
    catalogue : Catalogue
        Costs, reference prices, qualities and stocks. [L] each
    execution : ExecutionRule
        How arrivals become trades.
    quotes : QuoteRule
        How actions become quotes.
    schedule : Schedule
        Who may move at a tick.
    arrivals : ArrivalProcess
        Outside demand before it chooses.
    positions : PositionRule
        Cash, inventory and what trades cost.
    reference : ReferenceRule
        How reference prices, costs and demand move.
    observations : ObservationRule
        What participants observe.
    rewards : RewardRule
        What participants are rewarded for.
    dt : float
        Length of a tick, in the unit of time of all rates.
    horizon : int
        Ticks in an episode.
    name : str
        Name for reports.
    standalone : bool
        False for a venue's view of itself: the stages that venues share are checked against the
        whole market.

    Raises
    ------
    InputError
        If the stages do not fit together, in one line that names the setting.
    """

    layout: Layout
    catalogue: Catalogue
    execution: ExecutionRule
    quotes: QuoteRule
    schedule: Schedule
    arrivals: ArrivalProcess
    positions: PositionRule
    reference: ReferenceRule
    observations: ObservationRule
    rewards: RewardRule
    dt: float = 1.0
    horizon: int = 500
    name: str = "market"
    standalone: bool = True
    _cache: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.execution.choice != self.layout.choice:
            raise InputError(
                f"choice: the layout compares {self.layout.choice!r}, the execution "
                f"{self.execution.choice!r}; give both the same"
            )
        if self.catalogue.cost.size != self.layout.L:
            raise InputError(
                f"catalogue has {self.catalogue.cost.size} listings, the layout {self.layout.L}"
            )
        check_size("dt", self.dt)
        check_size("horizon", self.horizon)
        if not 0.0 < self.dt < np.inf:
            raise InputError(f"dt={self.dt!r} must be > 0: the length of a tick")
        if self.horizon < 1:
            raise InputError(f"horizon={self.horizon!r} must be >= 1 ticks")
        if self.standalone:
            self._check_time_step()
        for name in PARTS:
            if name in SHARED and not self.standalone:
                continue
            # A part that needs something of the others says so here, not in the first tick.
            part, base = getattr(self, name), BASES[name]
            if not isinstance(part, base):
                raise InputError(
                    f"{name}={echo(part)} must be of a class that inherits from {base.__name__} "
                    "(mos_agents.market.stages)"
                )
            with naming(name):
                part.validate(self)

    def _check_time_step(self) -> None:
        """InputError for a length of the tick that no rate and no policy would ever read."""
        if self.dt == 1.0 or (self.asks and self.bids):
            return
        if not (self.arrivals.reads_time_step() or self.reference.reads_time_step()):
            raise changes_nothing(
                "dt",
                self.dt,
                "no rate here is per unit of time: arrivals come and fundamentals move by the tick",
            )

    def _repr_html_(self) -> str:
        return market_html(self, PARTS)

    @cached_property
    def remembering(self) -> tuple[tuple[str, Stage], ...]:
        """The stages that have a memory, by their names in a scenario file."""
        return remembering(self, PARTS)

    def with_parts(self, **parts: Any) -> Market:
        """The same market with other parts or parameters."""
        return replace(self, **parts)

    def start(self, batch: int = 1) -> State:
        """Make the state before the first tick.

        Parameters
        ----------
        batch : int
            B, the number of markets.

        Returns
        -------
        State
            The same opening in every market.

        Raises
        ------
        InputError
            If so many markets do not fit in this machine's memory.
        """
        self.cached(("fits in memory", batch), lambda: check_memory(self, batch))
        layout = self.layout
        rows = np.ones((batch, 1))
        opening = self.arrivals.opening_excitation(self)
        reference, cost, demand = self.opening_levels
        return State(
            tick=0,
            quotes=self.quotes.opening(self, batch),
            positions=self.positions.opening(self, batch),
            reference=rows * reference,
            cost=rows * cost,
            demand_scale=rows * demand,
            excitation=np.full((batch, layout.G, 2), opening),
            pnl_moments=np.zeros((batch, layout.N, 2)),
            quote_history=np.zeros((batch, self.observations.delay, 4, layout.L)),
            memory=opening_memory(self, batch) if self.remembering else {},
        )

    def first_observation(self, state: State, draws: Draws) -> Array:
        """Observe a market before its first tick.

        Parameters
        ----------
        state : State
            As `start` makes it.
        draws : Draws
            The random numbers of tick 0.

        Returns
        -------
        array [B, sum of D_n]
            Everybody's observations, in roster order.
        """
        batch, layout = len(state.cost), self.layout
        none = np.zeros((batch, layout.L))
        looks = np.zeros((batch, layout.G))
        empty = np.empty(0, np.int64)
        arrivals = Arrivals(
            np.zeros((batch, layout.G, 2)),
            looks,
            np.zeros(batch + 1, np.int64),
            empty,
            empty,
            np.empty(0),
            np.empty(0),
        )
        executions = Executions(none, none, none, none, none, none)
        return self.observations.observe(self, state, arrivals, executions, draws)

    @cached_property
    def specs(self) -> tuple[ParticipantSpec, ...]:
        """What each participant knows before it plays, in roster order.

        Raises
        ------
        InputError
            If so many participants with such observations do not fit in memory.
        """
        check_memory(self, 1)
        specs, begin = [], 0
        low, high = self.quotes.limits(self)
        tick_sizes = self.quotes.tick_sizes(self)
        for n, name in enumerate(self.layout.participants):
            fields = self.observations.fields(self, n)
            size = sum(f.size for f in fields)
            own = self.layout.own(n)
            venue = self.venue_of(n)
            slots = self.quotes.slots_of(self, n)
            features = slots[0].features if len(slots) == 1 else venue.quotes.features
            unused = len(self.quotes.features) - len(features)
            spec = ParticipantSpec(
                name=name,
                role=self.layout.roles[n],
                layout=self.layout,
                number=n,
                listings=own,
                features=(*features, *("unused",) * unused),
                low=low[own],
                high=high[own],
                opening_price=self.opening_prices[own],
                opening_cost=self._shown_costs(fields, own),
                tick_sizes=tick_sizes[own],
                fields=fields,
                columns=slice(begin, begin + size),
                dt=self.dt,
                horizon=self.horizon,
                sigma=self.sigmas[own],
                sigma_relative=self.sigmas_relative[own],
                order_decay=venue.execution.order_decay(),
                order_rate=venue.arrivals.order_rate(venue, venue.execution.order_share(venue)),
                reserve=venue.execution.reserve_price() or 0.0,
                turn=turn_of(self, n, slots[0]) if len(slots) == 1 else self.schedule.turn(self, n),
            )
            parts = spec_parts(self, spec) if self.layout.goods else ()
            specs.append(replace(spec, parts=parts) if parts else spec)
            begin += size
        return tuple(specs)

    def _shown_costs(self, fields: Sequence[ObservationField], own: slice) -> Array:
        """[L_n] own opening costs of somebody who observes these fields."""
        costs = self.opening_costs[own]
        shown = any(one.source == fields_.COST for one in fields)
        return costs if shown else np.full(costs.shape, np.nan)

    def venue_of(self, n: int) -> Market:
        """The market whose rules hold for participant n: this one, or the venue it trades in."""
        return self.quotes.venue_of(self, n)

    def spec(self, name: str) -> ParticipantSpec:
        """Look up the spec of a participant by its name.

        Raises
        ------
        InputError
            If nobody has this name.
        """
        for spec in self.specs:
            if spec.name == name:
                return spec
        raise InputError(f"participant {name!r} is not one of {self.layout.participants}")

    def marks_of_listings(self, reference: Array) -> Array:
        """[B, L] reference price of every listing from those of the instruments [B, K]."""
        if self._reference_is_by_listing:
            return reference
        marks: Array = reference.take(self.layout.instrument, axis=1)
        return marks if self._no_premium else marks * self.premium

    def cached(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """Something that depends on the market alone, made once."""
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]

    def none_moved(self, batch: int) -> Array:
        """Ages of quotes before anybody moved. [B, N]"""
        return np.zeros((batch, self.layout.N))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the M metrics of a tick: those of a participant, and what rewards count of the
        whole market."""
        return (*METRICS, *self.rewards.market_metrics)

    @cached_property
    def action_width(self) -> int:
        """A, the numbers in one quote."""
        return len(self.quotes.features)

    @cached_property
    def everybody(self) -> NDArray[np.bool_]:
        """[1, N] all True: every participant moves."""
        return np.ones((1, self.layout.N), np.bool_)

    @cached_property
    def opening_reference(self) -> Array:
        """[K] reference price of each instrument: its first listing's in the catalogue."""
        first = np.ones(self.layout.K)
        first[self.layout.instrument[::-1]] = self.catalogue.reference_price[::-1]
        return first

    @cached_property
    def opening_levels(self) -> tuple[Array, Array, Array]:
        """Levels before the first tick: reference prices [K], costs [L], demand scales [G]."""
        return self.reference.opening_levels(self)

    @cached_property
    def opening_prices(self) -> Array:
        """[L] reference price of each listing before the first tick: the catalogue's, unless the
        price process begins elsewhere, as a replay does."""
        reference = self.opening_levels[0]
        if np.array_equal(reference, self.opening_reference):
            return self.catalogue.reference_price  # to the bit
        return self.marks_of_listings(reference[None])[0]

    @cached_property
    def opening_costs(self) -> Array:
        """[L] unit cost of each listing before the first tick."""
        return self.opening_levels[1]

    @cached_property
    def premium(self) -> Array:
        """[L] a listing's reference price over its instrument's."""
        over: Array = (
            self.catalogue.reference_price / self.opening_reference[self.layout.instrument]
        )
        return over

    @cached_property
    def opening_demand(self) -> Array:
        """[G] scale of outside demand before the first tick: 1."""
        return np.ones(self.layout.G)

    @cached_property
    def nests(self) -> IntArray:
        """[L] nests numbered 0..H-1."""
        return np.unique(np.asarray(self.catalogue.nest), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def made_to_order(self) -> NDArray[np.bool_]:
        """[L] whether a listing has no limit of stock."""
        return np.isinf(self.catalogue.stock)

    @cached_property
    def base_stocks(self) -> Array:
        """Stock to which each listing is ordered, as the positions' rule says."""
        return self.positions.base_stocks(self)

    @cached_property
    def position_limits(self) -> tuple[Array, Array]:
        """Lowest and highest inventory [L]; without bounds where nothing is held."""
        least, most = self.positions.limits()
        held = ~self.made_to_order
        return np.where(held, least, -np.inf), np.where(held, most, np.inf)

    @cached_property
    def unlimited(self) -> bool:
        """Whether stock is all that limits trades: no short positions, no largest inventory."""
        lower, upper = self.position_limits
        return bool((lower == 0.0).all() and np.isposinf(upper).all())

    @cached_property
    def collector(self) -> int:
        """Who receives fees: the first platform, or -1."""
        roles = self.layout.roles
        return roles.index("platform") if "platform" in roles else -1

    @cached_property
    def arrivals_ignore_quotes(self) -> bool:
        """Whether arrivals can be drawn before the quotes are there, by their own class's word."""
        said = vars(type(self.arrivals)).get("ignores_quotes")
        return said is True or (isinstance(said, property) and bool(self.arrivals.ignores_quotes))

    @cached_property
    def asks(self) -> bool:
        """Whether quotes have an ask."""
        return bool(self._quoted & {"price", "spread"})

    @cached_property
    def bids(self) -> bool:
        """Whether quotes have a bid."""
        return bool(self._quoted & {"bid", "spread"})

    @cached_property
    def buys(self) -> bool:
        """Whether participants buy from customers, or from one another."""
        return self.bids or self.layout.has_orders

    @cached_property
    def _quoted(self) -> set[str]:
        return {word for name in self.quotes.features for word in name.split("/")}

    @cached_property
    def sigmas(self) -> Array:
        """[L] volatility of the price of what each listing trades, per square root of time."""
        return self.reference.sigmas(self)

    @cached_property
    def sigmas_relative(self) -> NDArray[np.bool_]:
        """[L] whether `sigmas` is in shares of the price rather than in money."""
        return self.reference.sigma_relative(self)

    @cached_property
    def sealed(self) -> bool:
        """Whether no participant sees another's quotes."""
        return self.quotes.sealed

    @cached_property
    def _observed(self) -> tuple[ObservationField, ...]:
        return tuple(field for spec in self.specs for field in spec.fields)

    @cached_property
    def observation_plan(self) -> IntArray:
        """Everybody's observations as runs to copy; see `fields.plan`."""
        return fields_.plan(self._observed)

    @cached_property
    def observation_width(self) -> int:
        """Numbers that all participants observe, side by side."""
        return sum(field.size for field in self._observed)

    @cached_property
    def rival_price_columns(self) -> IntArray:
        """Columns of everybody's observations that hold rivals' prices."""
        prices = (fields_.RIVAL_ASK, fields_.RIVAL_BID)
        shown = [np.full(field.size, field.source in prices) for field in self._observed]
        return np.flatnonzero(np.concatenate(shown))

    @cached_property
    def shown_columns(self) -> tuple[IntArray, IntArray]:
        """Columns of everybody's observations that tell which offers were shown, and of which."""
        shown = [np.full(field.size, field.source == fields_.SHOWN) for field in self._observed]
        columns = np.flatnonzero(np.concatenate(shown))
        listings = [field.index for field in self._observed if field.source == fields_.SHOWN]
        return columns, np.concatenate(listings) if listings else np.empty(0, np.int64)

    @cached_property
    def _reference_is_by_listing(self) -> bool:
        layout = self.layout
        return layout.L == layout.K and bool(
            (layout.instrument == np.arange(layout.K)).all() and self._no_premium
        )

    @cached_property
    def _no_premium(self) -> bool:
        return bool((self.premium == 1.0).all())
