"""How orders from outside trade with dealers' two-sided quotes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.counts import in_units
from mos_agents.market.execution import check_units, needs_quotes
from mos_agents.market.filling import fill_mass, fill_orders
from mos_agents.market.market import Market
from mos_agents.market.stages import ExecutionRule
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Arrivals, Executions, InputError, Quotes, State

NOTHING, ALL_ALIKE = 20.0, 1e-3
"""Between these products of kappa and distance, fills tell quotes apart: e^-20, and 0.999."""

NO_LINE = np.empty(0)


@dataclass(frozen=True)
class DealerTrades(ExecutionRule):
    """Orders against two-sided quotes: what `FillIntensity` and `ReservationPrices` share.

    An order walks the book: the best quote is hit first, equal quotes share, each unit is sold
    once. Subclasses have a field `expected`, and say how the chance of a trade falls.
    """

    choice = "within"

    def chances(self, market: Market) -> tuple[float, float, Array, Array]:
        """Decay and logarithm of the scale; or edges and spans [2] of straight lines."""
        raise NotImplementedError

    def validate(self, market: Market) -> None:
        needs_quotes(market, "spread", "two-sided quotes")
        if not self.trades_mass:
            check_units(market)

    @property
    def trades_mass(self) -> bool:  # type: ignore[override]
        return bool(self.expected)  # type: ignore[attr-defined]

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        layout = market.layout
        sellable, buyable = market.positions.capacity(market, state.positions)
        mid = market.marks_of_listings(state.reference)
        book = (
            quotes.bid,
            quotes.ask,
            mid,
            quotes.bid_size,
            quotes.ask_size,
            buyable,
            sellable,
            layout.group_start,
            layout.group_listing,
            *self.chances(market),
        )
        if self.trades_mass:
            sold, bought, demand, lost = fill_mass(arrivals.mass, *book)
        else:
            if not arrivals.group.size:
                arrivals = in_units(arrivals, draws)
            sold, bought, demand, lost = traded = np.empty((4, *mid.shape))
            fill_orders(
                traded,
                arrivals.mass,
                arrivals.start,
                arrivals.group,
                arrivals.side,
                arrivals.size,
                draws.ragged("choices", arrivals.start),
                *book,
            )
        return Executions(sold, quotes.ask, bought, quotes.bid, demand, lost)


@dataclass(frozen=True)
@within_floats
class FillIntensity(DealerTrades):
    """Orders against two-sided quotes: the farther from the mid, the fewer trade.

    An order trades at a quote that is `distance` from the mid with probability
    min(1, scale exp(-kappa distance) (1 + volatility_boost sigma)) (Avellaneda and Stoikov 2008).
    sigma is the parameter of that name of the price process; a replay, whose volatility is only
    estimated, has none, and no boost.
    It walks the book: the best quote is hit first, equal quotes share, each unit is sold once.

    Parameters
    ----------
    kappa : float
        decay of that chance per unit of money between quote and mid price, > 0.
    scale : float
        the chance at the mid price, before the boost, > 0.
    volatility_boost : float
        by how much volatility lifts the chance of a trade, >= 0.
    expected : bool
        trade the mean of what orders would, in place of drawing each order.
    """

    kappa: float = 1.5
    scale: float = 1.0
    volatility_boost: float = 0.5
    expected: bool = False

    def __post_init__(self) -> None:
        for name in ("kappa", "scale"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise InputError(f"{name}={getattr(self, name)!r} must be > 0")
        if self.volatility_boost < 0.0:
            raise InputError(f"volatility_boost={self.volatility_boost!r} must be >= 0")

    def validate(self, market: Market) -> None:
        super().validate(market)
        self._check_distances(market)

    def _check_distances(self, market: Market) -> None:
        """InputError where kappa, per unit of money, does not suit quotes of the prices' size."""
        if "offset" not in market.quotes.features:
            return
        low, high = market.quotes.limits(market)
        offset, spread = (market.quotes.features.index(name) for name in ("offset", "spread"))
        near, far = 0.5 * low[:, spread], 0.5 * high[:, spread] + high[:, offset]
        for i, (least, most) in enumerate(zip(self.kappa * near, self.kappa * far, strict=True)):
            if NOTHING < least or most < ALL_ALIKE:
                product = market.layout.instruments[market.layout.instrument[i]]
                price = market.opening_prices[i]
                what = (
                    f"no order trades even at the narrowest spread ({low[i, spread]:.10g})"
                    if NOTHING < least
                    else f"every order trades even at the farthest quote ({far[i]:.10g} away)"
                )
                raise InputError(
                    f"execution.kappa={self.kappa:.10g} is per unit of money, and {product} is at "
                    f"{price:.10g}: {what}; set execution.kappa near {150.0 / price:.3g}, 150 over "
                    "the price, or other limits of quotes"
                )

    def order_share(self, market: Market) -> float:
        boost = float(self.volatility_boost) * market.reference.sigma
        return float(self.scale) * (1.0 + boost)

    def order_decay(self) -> float:
        return float(self.kappa)

    def chances(self, market: Market) -> tuple[float, float, Array, Array]:
        name = ("log scale", self.scale, self.volatility_boost)
        log_scale = market.cached(name, lambda: self._log_scale(market.reference.sigma))
        return self.kappa, log_scale, NO_LINE, NO_LINE

    def _log_scale(self, sigma: float) -> float:
        return float(np.log(self.scale * (1.0 + self.volatility_boost * sigma)))


@dataclass(frozen=True)
@within_floats
class ReservationPrices(DealerTrades):
    """Orders against two-sided quotes, each with the worst price that it accepts.

    A buyer pays at most, and a seller takes at least, a price drawn uniformly between two multiples
    of the reference price. So the orders that trade fall in a straight line as the ask rises or the
    bid falls: the demand and supply of Amihud and Mendelson (1980), and a rising supply of
    producers. Orders walk the book as with `fill_intensity`.

    Parameters
    ----------
    buyers_low : float
        lowest price that buyers are ready to pay, as a multiple of the reference price, >= 0.
    buyers_high : float
        highest one, > buyers_low.
    sellers_low : float
        lowest price that sellers take, as a multiple of the reference price, >= 0.
    sellers_high : float
        highest one, > sellers_low.
    expected : bool
        trade the mean of what orders would, in place of drawing each order.
    """

    buyers_low: float = 0.8
    buyers_high: float = 1.2
    sellers_low: float = 0.8
    sellers_high: float = 1.2
    expected: bool = False

    def __post_init__(self) -> None:
        for side in ("buyers", "sellers"):
            low, high = getattr(self, f"{side}_low"), getattr(self, f"{side}_high")
            if not 0.0 <= low < high < np.inf:
                raise InputError(
                    f"{side}_low={low!r}, {side}_high={high!r} must have 0 <= low < high: "
                    "multiples of the reference price"
                )

    def validate(self, market: Market) -> None:
        super().validate(market)
        arrivals = market.arrivals
        if not isinstance(arrivals, FixedMass | Poisson):
            return
        usual = type(self)
        for side, rate in (("buyers", arrivals.buy), ("sellers", arrivals.sell)):
            for name in (f"{side}_low", f"{side}_high"):
                value = getattr(self, name)
                if rate == 0.0 and value != getattr(usual, name):
                    raise changes_nothing(
                        f"execution.{name}",
                        value,
                        f"no {side} come from outside",
                        f"leave it out, or set arrivals.{side[:-3]}",
                    )

    def chances(self, market: Market) -> tuple[float, float, Array, Array]:
        edge = np.array([self.buyers_high - 1.0, 1.0 - self.sellers_low])
        span = np.array([self.buyers_high - self.buyers_low, self.sellers_high - self.sellers_low])
        return 0.0, 0.0, edge, span
