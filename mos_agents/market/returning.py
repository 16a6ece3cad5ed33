"""Shoppers who come back: they ask for prices over several ticks, and buy with the last look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mos_agents.market.arrivals import FixedMass, needs
from mos_agents.market.checks import changes_nothing, is_whole, within_floats
from mos_agents.market.counts import one_by_one
from mos_agents.market.market import Market
from mos_agents.market.stages import ArrivalProcess
from mos_agents.market.streams import Draws
from mos_agents.market.types import BUY, Array, Arrivals, Info, InputError, Quotes, State

WAITING = "shoppers who will return"
"""Memory [B, asks - 1, G]: units that wait to be bought; the last row is bought next."""
ASKED, OFFERED = "prices that were asked", "offers that were made"
"""Memory [B, asks - 1, L]: prices of the last ticks, newest first, and 1 where there was one."""
SHARE = "share of shoppers who return"
"""Memory [B, 1]."""
MOST_ASKS = 1000
EDGE = 1e-12
"""The share of a moving crowd stays so far from 0 and 1."""


@dataclass(frozen=True)
@within_floats
class ReturningShoppers(ArrivalProcess):
    """Some shoppers ask for prices in several ticks in a row, and buy in the last of them.

    They buy before the shoppers of that tick. Every ask is a look that sellers count; nobody is
    told who of the lookers returns, or how many do.

    Parameters
    ----------
    of : ArrivalProcess
        how shoppers arrive. A share of them returns; the others buy or leave at once.
    share : float
        share of the shoppers who return, in (0, 1]; if it moves, before the first tick.
    asks : int
        ticks in which a returning shopper asks, the one in which it buys among them, >= 2.
    offers_stand : bool
        a seller who still quotes sells at the lowest price that it has quoted to the shopper.
        Otherwise the prices of the last tick count, and asking only delays a purchase.
    drift : float
        standard deviation by which the share moves in a tick, as log-odds, >= 0.
    pull : float
        part of the distance to `share` (in log-odds) that a moved share goes back in a tick, in
        [0, 1].
    """

    of: ArrivalProcess = field(default_factory=FixedMass)
    share: float = 0.5
    asks: int = 2
    offers_stand: bool = True
    drift: float = 0.0
    pull: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.of, ArrivalProcess) or isinstance(self.of, ReturningShoppers):
            raise InputError(
                f"of={type(self.of).__name__}: must be arrivals of another kind, such as "
                "fixed_mass, poisson or browsing"
            )
        needs("share", self.share, 0.0, 1.0)
        needs("drift", self.drift, 0.0, 100.0)
        needs("pull", self.pull, 0.0, 1.0)
        if not is_whole(self.asks) or not 2 <= self.asks <= MOST_ASKS:
            raise InputError(f"asks={self.asks!r} must be a whole number from 2 to {MOST_ASKS:,}")
        if self.share == 0.0:
            raise changes_nothing("share", self.share, "nobody returns")
        if self.drift and self.share == 1.0:
            raise changes_nothing("drift", self.drift, "a share of 1 in log-odds does not move")
        if self.pull and not self.drift:
            raise changes_nothing("pull", self.pull, "the share does not move: drift=0")

    def validate(self, market: Market) -> None:
        self.of.validate(market)
        if not market.execution.serves_returning:
            raise InputError(
                "arrivals.kind=returning: shoppers return to posted prices; set execution.kind to "
                "expected or sampled, or arrivals to another kind"
            )

    @property
    def ignores_quotes(self) -> bool:  # type: ignore[override]
        return self.of.ignores_quotes

    def opening_excitation(self, market: Market) -> object:
        return self.of.opening_excitation(market)

    def mean_orders(self, market: Market) -> float:
        return self.of.mean_orders(market)

    def order_rate(self, market: Market, share: float) -> float:
        return self.of.order_rate(market, share)

    def reads_time_step(self) -> bool:
        return self.of.reads_time_step()

    def mean_mass(self, market: Market, scale: Array) -> Array:
        if self.offers_stand:
            raise InputError(
                "arrivals.kind=returning: benchmarks of theory do not know shoppers who buy at "
                "earlier prices; set arrivals.offers_stand=false, or leave the benchmarks out"
            )
        return self.of.mean_mass(market, scale)

    def memory(self, market: Market) -> Mapping[str, Array]:
        earlier, layout = self.asks - 1, market.layout
        return {
            **self.of.memory(market),
            WAITING: np.zeros((earlier, layout.G)),
            ASKED: np.zeros((earlier, layout.L)),
            OFFERED: np.zeros((earlier, layout.L)),
            SHARE: np.array([self.share]),
        }

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        found, excitation = self.of.arrive(market, state, quotes, draws)
        share, waiting = state.memory[SHARE], state.memory[WAITING]
        if market.execution.trades_mass:
            begin = found.mass[:, :, BUY] * share
            stay = _without(found.mass, begin)
            now = found._replace(mass=stay)
        else:
            singles = found if found.group.size else one_by_one(found, draws)
            now, begin = _thinned(singles, share, draws)
        looks = found.exposure + waiting.sum(axis=1)
        returning = np.stack([waiting[:, -1], begin], axis=2)
        return now._replace(exposure=looks, returning=returning), excitation

    def remember(
        self, market: Market, state: State, info: Info, draws: Draws
    ) -> Mapping[str, Array]:
        memory, quotes, returning = state.memory, info.quotes, info.arrivals.returning
        assert returning is not None
        kept = self.of.remember(market, state, info, draws) if self.of.memory(market) else {}
        return {
            **kept,
            WAITING: _pushed(memory[WAITING], returning[:, :, 1]),
            ASKED: _pushed(memory[ASKED], quotes.ask),
            OFFERED: _pushed(memory[OFFERED], np.where(quotes.ask_size > 0.0, 1.0, 0.0)),
            SHARE: self._moved(memory[SHARE], draws),
        }

    def standing_prices(self, market: Market, state: State, quotes: Quotes) -> Array:
        if not self.offers_stand:
            return quotes.ask
        earlier = np.where(state.memory[OFFERED] > 0.0, state.memory[ASKED], np.inf)
        lowest: Array = np.minimum(quotes.ask, earlier.min(axis=1))
        return lowest

    def _moved(self, share: Array, draws: Draws) -> Array:
        """The share [B, 1] of the next tick."""
        if not self.drift:
            return share.copy()
        odds, home = _log_odds(share), _log_odds(np.array(self.share))
        odds = odds + self.pull * (home - odds) + self.drift * draws.normals(SHARE, 1)
        return np.clip(1.0 / (1.0 + np.exp(-odds)), EDGE, 1.0 - EDGE)


def _log_odds(share: Array) -> Array:
    odds: Array = np.log(share / (1.0 - share))
    return odds


def _pushed(rows: Array, newest: Array) -> Array:
    """Rows [B, n, ...] with a newest one in front and the oldest gone."""
    return np.concatenate([newest[:, None], rows[:, :-1]], axis=1)


def _without(mass: Array, begin: Array) -> Array:
    """The mass [B, G, 2] without the buyers [B, G] who return."""
    left = mass.copy()
    left[:, :, BUY] -= begin
    return left


def _thinned(arrivals: Arrivals, share: Array, draws: Draws) -> tuple[Arrivals, Array]:
    """The single arrivals who buy or leave at once; and the units [B, G] of those who return.

    Scrapers, whose intent is below 1, do not return.
    """
    market_of = np.repeat(np.arange(len(share)), np.diff(arrivals.start))
    drawn = draws.ragged("returning", arrivals.start) < share[market_of, 0]
    returns = drawn & (arrivals.side == BUY) & (arrivals.intent >= 1.0)
    begin = np.zeros(arrivals.mass.shape[:2])
    np.add.at(begin, (market_of[returns], arrivals.group[returns]), arrivals.size[returns])
    stays = ~returns
    start = np.concatenate(([0], np.cumsum(stays)))[arrivals.start].astype(np.int64)
    singles = (a[stays] for a in arrivals[3:7])
    return Arrivals(_without(arrivals.mass, begin), arrivals.exposure, start, *singles), begin
