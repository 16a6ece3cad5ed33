"""Rules that turn actions into quotes: posted prices, two-sided quotes and sealed bids.

An action outside its limits, or with anything that is not a finite number, is refused whole and
the participant's quote in force stays. Inside the limits, the rules of conduct (margin floor,
largest change, tick size) bring the price to the nearest allowed one, or refuse it.

Limits are sums of money where a rule gives them, and otherwise follow the reference price of each
listing. `validate` holds the given ones against the costs and reference prices of the market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mos_agents.market import unused_settings
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.known_levels import KnownLevels, known_levels
from mos_agents.market.market import Market
from mos_agents.market.posting import blank_quotes, post_prices, post_two_sided
from mos_agents.market.printing import short_repr
from mos_agents.market.stages import QuoteRule
from mos_agents.market.types import Array, InputError, IntArray, Quotes, State

LOWEST, HIGHEST = 0.001, 20.0
"""Multiples of the reference price between which prices lie where no limit is given."""
NARROWEST, WIDEST, OFFSET = 1e-4, 0.005, 0.05
"""Shares of the mid price: spreads, and the largest offset, where no limit is given."""
COARSEST = 0.25
"""Share of a price that a given tick size, or a given smallest spread, may be at most."""
CENT = 0.01


@short_repr
class Limits(NamedTuple):
    """A rule's numbers for every listing of one market, [L] each."""

    rule: BoundedQuotes
    steps: Array  # grid points per unit of money; 0 is no grid
    low: Array  # lowest price, or narrowest spread
    high: Array  # highest price, or widest spread
    offset: Array  # largest offset of two-sided quotes; 0 elsewhere


@dataclass(frozen=True)
@within_floats
class BoundedQuotes(QuoteRule):
    """Base class of the built-in quote rules: sizes, price grid, refusals and withdrawal.

    Parameters
    ----------
    tick_size : float or None
        step of the price grid, in money, >= 0; 0 is a continuous price. None is a cent, or
        where prices are small the power of ten that is fine enough for each listing.
    conduct : str
        "clip" brings a quote within the rules, "refuse" refuses it.
    on_refusal : str
        "stand" keeps the participant's quote in force, "withdraw" takes it down.
    max_age : int
        ticks after which an unmoved quote is withdrawn, >= 0; 0 means never.
    size : float
        units behind a quote where actions do not name them, > 0.
    sized : bool
        the action's last number is the size, in [0, size].
    """

    fineness: ClassVar[int] = 3  # decimal places of the reference price that a tick resolves

    tick_size: float | None = None
    conduct: str = "clip"
    on_refusal: str = "stand"
    max_age: int = 0
    size: float = np.inf
    sized: bool = False

    def __post_init__(self) -> None:
        if self.conduct not in ("clip", "refuse"):
            raise InputError(f"conduct={self.conduct!r} must be 'clip' or 'refuse'")
        if self.on_refusal not in ("stand", "withdraw"):
            raise InputError(f"on_refusal={self.on_refusal!r} must be 'stand' or 'withdraw'")
        if self.tick_size is not None and not 0.0 <= self.tick_size < np.inf:
            raise InputError(f"tick_size={self.tick_size!r} must be >= 0; 0 is a continuous price")
        if self.max_age < 0:
            raise InputError(f"max_age={self.max_age!r} must be >= 0; 0 keeps quotes for ever")
        if not self.size > 0.0:
            raise InputError(f"size={self.size!r} must be > 0 units")
        if self.sized and not np.isfinite(self.size):
            raise InputError("size=inf must be finite where actions name a size: set quotes.size")

    def validate(self, market: Market) -> None:
        """Hold limits in money against the market's prices; InputError names the listing."""
        if self.tick_size:
            known = known_levels(market)
            _held(
                market,
                "tick_size",
                self.tick_size,
                self.tick_size > COARSEST * known.price_low,
                "more than a quarter of the reference price",
                known.price_low,
            )

    @property
    def is_endless(self) -> bool:
        return self.size == np.inf

    def tick_sizes(self, market: Market) -> Array:
        """[L] step of each listing's price grid, money; 0 is a continuous price."""
        steps = self.resolved(market).steps
        return np.divide(1.0, steps, out=np.zeros_like(steps), where=steps > 0.0)

    def resolved(self, market: Market) -> Limits:
        """The rule's numbers for every listing of the market, made once."""
        # By identity: to hash a rule takes longer than all else here. The rule is kept in the
        # value, so that its identity is nobody else's.
        name = ("limits of quotes", id(self))
        found: Limits = market.cached(name, lambda: self._resolve(market, known_levels(market)))
        return found

    def _resolve(self, market: Market, known: KnownLevels) -> Limits:
        raise NotImplementedError

    def _steps(self, prices: Array) -> Array:
        """[L] grid points per unit of money: dividing by them lands on decimals exactly."""
        if self.tick_size is None:
            places = np.ceil(self.fineness - np.log10(prices) - 1e-9)
            return np.asarray(10.0 ** np.maximum(places, -round(np.log10(CENT))))
        if self.tick_size == 0.0:
            return np.zeros(prices.shape)
        steps = 1.0 / self.tick_size
        whole = abs(steps - round(steps)) < 1e-9 * steps
        return np.full(prices.shape, float(round(steps)) if whole else steps)

    def _table(self, *columns: tuple[Array, Array]) -> tuple[Array, Array]:
        """Lowest and highest action [L, A] from the columns of every feature but the size."""
        if self.sized:
            nothing = np.zeros(columns[0][0].shape)
            columns = (*columns, (nothing, nothing + self.size))
        low, high = (np.column_stack(side) for side in zip(*columns, strict=True))
        return np.ascontiguousarray(low), np.ascontiguousarray(high)

    @property
    def _conduct(self) -> tuple[float, bool, bool, int]:
        """What the compiled rules need: house_size, refuse, withdraw, max_age."""
        return self.size, self.conduct == "refuse", self.on_refusal == "withdraw", self.max_age

    @property
    def _features(self) -> tuple[str, ...]:
        return ("size",) if self.sized else ()


@dataclass(frozen=True)
@within_floats
class PostedPrice(BoundedQuotes):
    """A price that a seller posts, and that customers take or leave.

    At least `min_margin` over cost, changed by at most the share `max_relative_change` per move
    (infinity: freely), inside [low, high], rounded to the tick size.

    The floor wins: a cost that rises lifts prices faster than the largest change allows, and above
    `high` where it has to. It holds whenever a price is posted; a quote that stands is not touched.

    Parameters
    ----------
    min_margin : float
        least margin over cost, as a share of the cost, > -1; below 0 losses are allowed.
    max_relative_change : float
        largest change of a price per move, as a share of it, > 0.
    low : float or None
        lowest price, in money, >= 0 and < high; None is a thousandth of each listing's
        reference price.
    high : float or None
        highest price, in money, > 0; None is twenty times the larger of each listing's
        reference price and margin floor.
    """

    min_margin: float = 0.05
    max_relative_change: float = 0.2
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ordered(self.low, self.high)
        if not self.min_margin > -1.0:
            raise InputError(f"min_margin={self.min_margin!r} must be > -1; -0.1 allows 10% losses")
        if not self.max_relative_change > 0.0:
            raise InputError(f"max_relative_change={self.max_relative_change!r} must be > 0")

    @property
    def features(self) -> tuple[str, ...]:
        return ("price", *self._features)

    def validate(self, market: Market) -> None:
        known = known_levels(market)
        floor = known.cost * (1.0 + self.min_margin)
        costless = not known.cost_high.any() and unused_settings.stands_still(market, "cost")
        if costless and self.min_margin > 0.0 and self.min_margin != PostedPrice.min_margin:
            raise changes_nothing("quotes.min_margin", self.min_margin, "no listing has a cost")
        if self.high is not None:
            over = floor > self.high
            _held(
                market,
                "high",
                self.high,
                over & (known.cost > self.high),
                "below the cost",
                known.cost,
            )
            _held(market, "high", self.high, over, "below the margin floor", floor)
            _held(
                market,
                "high",
                self.high,
                known.price_high > self.high,
                "below the reference price",
                known.price_high,
            )
        if self.low is not None:
            _held(
                market,
                "low",
                self.low,
                known.price_low < self.low,
                "above the reference price",
                known.price_low,
            )
        super().validate(market)

    def limits(self, market: Market) -> tuple[Array, Array]:
        made = self.resolved(market)
        return self._table((made.low, made.high))

    def _resolve(self, market: Market, known: KnownLevels) -> Limits:
        floor = np.maximum(known.cost, known.cost_high) * (1.0 + self.min_margin)
        low = _money(self.low, LOWEST * known.price_low)
        high = _money(self.high, HIGHEST * np.maximum(known.price_high, floor))
        return Limits(self, self._steps(known.price_low), low, high, np.zeros(low.shape))

    def floor(self, market: Market, cost: Array) -> Array:
        return cost * (1.0 + self.min_margin)

    def opening(self, market: Market, batch: int) -> Quotes:
        shape = (batch, market.layout.L)
        made = self.resolved(market)
        costs = np.broadcast_to(market.opening_costs, shape)
        floor = np.maximum(costs * (1.0 + self.min_margin), made.low)
        ceiling = np.maximum(made.high, floor)
        ask = np.clip(np.broadcast_to(market.opening_prices, shape), floor, ceiling)
        point = np.rint(ask * made.steps)
        point -= point > ceiling * made.steps + 1e-9 * point
        point += point < floor * made.steps - 1e-9 * point
        ask = np.divide(point, made.steps, out=ask, where=np.broadcast_to(made.steps > 0.0, shape))
        none, size = np.zeros(shape), np.full(shape, self.size)
        return Quotes(none, none, np.ascontiguousarray(ask), size, market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        standing = state.quotes
        _, steps, low, high, _ = self.resolved(market)
        (ask, size), age, refused = blank = blank_quotes(2, standing)
        post_prices(
            *blank,
            standing.ask,
            standing.ask_size,
            standing.age,
            state.cost,
            actions,
            moves,
            market.layout.first,
            self.min_margin,
            self.max_relative_change,
            low,
            high,
            steps,
            *self._conduct,
        )
        return Quotes(standing.bid, standing.bid_size, ask, size, age), refused


@dataclass(frozen=True)
@within_floats
class TwoSided(BoundedQuotes):
    """A market maker's bid and ask: an offset of their middle from the mid price, and a spread.

    The spread lies in [min_spread, max_spread], the offset within +-max_offset. Bids are rounded
    down and asks up to the tick size, so that a spread is never narrower than asked.

    Parameters
    ----------
    min_spread : float or None
        narrowest spread, in money, > 0; None is a cent, or a ten-thousandth of each listing's
        opening mid price where that is less.
    max_spread : float or None
        widest spread, in money, > 0; None is half a per cent of the opening mid price.
    max_offset : float or None
        largest offset, in money, >= 0; None is five per cent of the opening mid price.
    """

    fineness: ClassVar[int] = 4

    min_spread: float | None = None
    max_spread: float | None = None
    max_offset: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        least, most, offset = self.min_spread, self.max_spread, self.max_offset
        if any(one is not None and not 0.0 < one < np.inf for one in (least, most)) or (
            least is not None and most is not None and least > most
        ):
            raise InputError(
                f"min_spread={least!r}, max_spread={most!r} must have "
                "0 < min <= max: a spread of 0 or less crosses your own quotes"
            )
        if offset is not None and not 0.0 <= offset < np.inf:
            raise InputError(f"max_offset={offset!r} must be >= 0 and finite")

    @property
    def features(self) -> tuple[str, ...]:
        return ("offset", "spread", *self._features)

    def validate(self, market: Market) -> None:
        known, made = known_levels(market), self.resolved(market)
        least, most = self.min_spread, self.max_spread
        if least is not None:
            _held(
                market,
                "min_spread",
                least,
                least > COARSEST * known.price_low,
                "more than a quarter of the mid price",
                known.price_low,
            )
            _held(
                market,
                "min_spread",
                least,
                made.high < least,
                "more than the widest spread (max_spread)",
                made.high,
            )
        if most is not None:
            _held(
                market,
                "max_spread",
                most,
                made.low > most,
                "less than the narrowest spread (min_spread)",
                made.low,
            )
            _held(
                market,
                "max_spread",
                most,
                most < 1e-6 * known.price_high,
                "less than a millionth of the mid price",
                known.price_high,
            )
        opening = market.opening_prices
        for name in ("max_spread", "max_offset"):
            value = getattr(self, name)
            if value is not None:
                _held(market, name, value, value > opening, "more than the mid price", opening)
        super().validate(market)

    def limits(self, market: Market) -> tuple[Array, Array]:
        made = self.resolved(market)
        return self._table((-made.offset, made.offset), (made.low, made.high))

    def _resolve(self, market: Market, known: KnownLevels) -> Limits:
        mid = market.opening_prices
        # Where prices are high a cent stays possible: what orders make of a spread is in money.
        narrow = np.minimum(NARROWEST * known.price_low, CENT)
        return Limits(
            self,
            self._steps(known.price_low),
            _money(self.min_spread, narrow),
            _money(self.max_spread, WIDEST * mid),
            _money(self.max_offset, OFFSET * mid),
        )

    def opening(self, market: Market, batch: int) -> Quotes:
        shape = (batch, market.layout.L)
        mid = np.ascontiguousarray(np.broadcast_to(market.opening_prices, shape))
        return Quotes(mid, np.zeros(shape), mid, np.zeros(shape), market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        standing = state.quotes
        _, steps, low, high, offset = self.resolved(market)
        (bid, bid_size, ask, ask_size), age, refused = blank = blank_quotes(4, standing)
        post_two_sided(
            *blank,
            standing.bid,
            standing.bid_size,
            standing.ask,
            standing.ask_size,
            standing.age,
            market.marks_of_listings(state.reference),
            actions,
            moves,
            market.layout.first,
            low,
            high,
            offset,
            steps,
            *self._conduct,
        )
        return Quotes(bid, bid_size, ask, ask_size, age), refused


@dataclass(frozen=True)
@within_floats
class SealedBid(BoundedQuotes):
    """A bid that nobody else sees before the auction, in [low, high].

    Parameters
    ----------
    low : float or None
        lowest bid, in money, >= 0 and < high; None is 0.
    high : float or None
        highest bid, in money, > 0; None is twenty times the larger of the item's reference
        price and its value to the bidder.
    """

    sealed: ClassVar[bool] = True
    low: float | None = None
    high: float | None = None
    size: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _ordered(self.low, self.high)

    @property
    def features(self) -> tuple[str, ...]:
        return ("bid", *self._features)

    def validate(self, market: Market) -> None:
        if self.high is not None:
            known = known_levels(market)
            # A bidder may hold back, but nobody should have to: ties at the limit draw lots.
            _held(
                market,
                "high",
                self.high,
                known.cost_high > self.high,
                "below the value to a bidder",
                known.cost_high,
            )
        super().validate(market)

    def limits(self, market: Market) -> tuple[Array, Array]:
        made = self.resolved(market)
        return self._table((made.low, made.high))

    def _resolve(self, market: Market, known: KnownLevels) -> Limits:
        most = HIGHEST * np.maximum(known.price_high, known.cost_high)
        low = _money(self.low, np.zeros(most.shape))
        return Limits(
            self, self._steps(known.price_low), low, _money(self.high, most), np.zeros(low.shape)
        )

    def opening(self, market: Market, batch: int) -> Quotes:
        none = np.zeros((batch, market.layout.L))
        return Quotes(none, none, none, none, market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        # A sealed bid is a posted price on the other side, without a floor or a largest change.
        standing = state.quotes
        _, steps, low, high, _ = self.resolved(market)
        (bid, size), age, refused = blank = blank_quotes(2, standing)
        post_prices(
            *blank,
            standing.bid,
            standing.bid_size,
            standing.age,
            state.cost,
            actions,
            moves,
            market.layout.first,
            -1.0,
            np.inf,
            low,
            high,
            steps,
            *self._conduct,
        )
        return Quotes(bid, size, standing.ask, standing.ask_size, age), refused


def _ordered(low: float | None, high: float | None) -> None:
    """InputError unless the limits that are given are finite, and the lower one is lower."""
    least, most = 0.0 if low is None else low, np.inf if high is None else high
    if not 0.0 <= least < most or least == np.inf or (high is not None and high == np.inf):
        raise InputError(f"low={low!r}, high={high!r} must have 0 <= low < high, both finite")


def _money(given: float | None, otherwise: Array) -> Array:
    """[L] the sum that is given for all listings, or what each has otherwise."""
    return otherwise if given is None else np.full(otherwise.shape, float(given))


def _held(
    market: Market, name: str, value: float, wrong: NDArray[np.bool_], what: str, against: Array
) -> None:
    """InputError naming the first listing at which a limit in money is wrong."""
    if wrong.any():
        i = int(np.argmax(wrong))
        product = market.layout.instruments[market.layout.instrument[i]]
        raise InputError(
            f"quotes.{name}={value:.10g} is {what} of {product} ({against[i]:.10g}); set "
            f"quotes.{name}, or leave it out"
        )
