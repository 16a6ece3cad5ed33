"""Bertrand-Nash and joint-profit prices for any demand model, and the gain that is left.

What a solver returns is only a proposal. Before it is returned, every seller's best response is
searched over the whole range of its prices; the most that anybody could still gain is the
`residual`, and prices that leave more than the tolerance are an error, not a result. Then the
prices, and other prices of each seller, are played in the market itself (`play`): if its tick pays
somebody more for others, that is an error too. Where the demand is logit or homogeneous the
proposal comes from theory, otherwise from best responses that are repeated until nobody moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.checks import is_whole
from mos_agents.market.demand import Cheapest
from mos_agents.market.equilibrium.closed_forms import (
    clearing_prices,
    homogeneous_joint,
    homogeneous_nash,
    logit_prices,
)
from mos_agents.market.equilibrium.logit import EquilibriumError
from mos_agents.market.equilibrium.play import check_in_play
from mos_agents.market.equilibrium.search import respond, together
from mos_agents.market.equilibrium.stage import EVERYBODY, PriceGame, checked_prices
from mos_agents.market.frames import Framed, frame_html
from mos_agents.market.lazy import LazyModule
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

__all__ = [
    "MarketPrices",
    "PriceBenchmarks",
    "benchmarks",
    "bertrand_nash",
    "best_response",
    "joint_profit",
]

ROUNDS = 200
"""Rounds of best responses from one start; a search that stalls ends sooner."""

MOST_SHOWN = 20
"""Listings whose prices `print` shows."""

PATIENCE = 20
"""Rounds without half the smallest movement so far, after which a search has stalled."""

_Proposal = tuple[str, Callable[[], Array | None]]


@short_repr
@dataclass(frozen=True, eq=False)
class MarketPrices(Framed):
    """Prices that solve a market's pricing problem, and what they earn.

    Parameters
    ----------
    prices : array
        [L] money.
    profits : array
        [N] money per tick, expected.
    residual : float
        the most that a participant could still gain alone (for joint profit: all could gain
        together), relative to its profit; to a millionth of the market's turnover where the
        profit is smaller.
    method : str
        how they were found, "logit", "homogeneous goods" or "best responses".
    at_limit : array
        [L] booleans, prices that stand at the lowest or highest price allowed.
    """

    prices: Array
    profits: Array
    residual: float
    method: str
    at_limit: NDArray[np.bool_]

    def to_polars(self) -> pl.DataFrame:
        """Return a row per listing.

        Returns
        -------
        polars.DataFrame
            Columns listing, price (money per unit) and at_limit.
        """
        listings = np.arange(len(self.prices))
        return pl.DataFrame({"listing": listings, "price": self.prices, "at_limit": self.at_limit})


@short_repr
@dataclass(frozen=True, eq=False)
class PriceBenchmarks(Framed):
    """The competitive and the collusive benchmark of a market, for measures of profit gain."""

    nash: MarketPrices
    joint: MarketPrices

    def __str__(self) -> str:
        rows = [("listing", "Bertrand-Nash price", "joint-profit price")]
        rows += [
            (f"{i}", f"{nash:.6g}", f"{joint:.6g}")
            for i, (nash, joint) in enumerate(zip(self.p_N[:MOST_SHOWN], self.p_M, strict=False))
        ]
        lines = [f"{a:>7}  {b:>19}  {c:>18}" for a, b, c in rows]
        if (more := len(self.p_N) - MOST_SHOWN) > 0:
            lines.append(f"and {more} more listings: p_N and p_M hold all")
        return "\n".join([*lines, self._profits()])

    def to_polars(self) -> pl.DataFrame:
        """Return a row per listing.

        Returns
        -------
        polars.DataFrame
            Columns listing, nash_price and joint_price (money per unit).
        """
        listings = np.arange(len(self.p_N))
        return pl.DataFrame({"listing": listings, "nash_price": self.p_N, "joint_price": self.p_M})

    def _repr_html_(self) -> str:
        return frame_html(self.to_polars(), [self._profits()])

    def _profits(self) -> str:
        return (
            f"all profits together, a tick: {self.pi_N.sum():.6g} at Nash prices, "
            f"{self.pi_M.sum():.6g} at joint-profit prices"
        )

    @property
    def p_N(self) -> Array:
        """[L] Bertrand-Nash prices."""
        return self.nash.prices

    @property
    def p_M(self) -> Array:
        """[L] joint-profit prices."""
        return self.joint.prices

    @property
    def pi_N(self) -> Array:
        """[N] expected profits per tick at Bertrand-Nash prices."""
        return self.nash.profits

    @property
    def pi_M(self) -> Array:
        """[N] each participant's own expected profit per tick at joint-profit prices."""
        return self.joint.profits


def benchmarks(market: Market, tolerance: float = 1e-9, bounded: bool = True) -> PriceBenchmarks:
    """Find the Bertrand-Nash and the joint-profit prices of a market, and what they earn.

    Parameters
    ----------
    market : Market
        A market with posted prices and a demand model.
    tolerance : float, optional
        Largest relative gain that anybody may still have.
    bounded : bool, optional
        Whether prices stay above the margin floor.

    Returns
    -------
    PriceBenchmarks
        Both solutions. Prices are in money per unit, profits in money per tick.

    Raises
    ------
    EquilibriumError
        If no equilibrium in pure strategies is found.
    InputError
        If the market has no posted prices or no demand model.
    """
    return PriceBenchmarks(
        bertrand_nash(market, None, tolerance, bounded), joint_profit(market, tolerance, bounded)
    )


def best_response(
    market: Market, prices: Array, participant: int | str, bounded: bool = True
) -> tuple[Array, float]:
    """Find a participant's most profitable prices, the others' given.

    Every price is searched over its whole range, as profits may have several peaks and kinks.

    Parameters
    ----------
    market : Market
        With posted prices and a demand model.
    prices : array [L]
        Everybody's prices, money per unit. The participant's own matter only where it has several
        listings in a choice group: the search starts from them.
    participant : int or str
        Number or name.
    bounded : bool
        Whether prices stay above the margin floor.

    Returns
    -------
    prices : array [L_n]
        A participant that cannot earn anything asks its cost, or its floor if that is higher.
    profit : float
        Money per tick.

    Raises
    ------
    InputError
        For a market without posted prices or demand model, for prices of another shape, and for a
        participant that does not exist or sells nothing.
    """
    game = PriceGame.of(market, bounded)
    row = checked_prices(market, prices, "prices")
    n = _number(market, participant)
    own = market.layout.own(n)
    if own.start == own.stop:
        raise InputError(f"participant {market.layout.participants[n]!r} sells nothing")
    best = respond(game, n, row)
    return best[own], float(game.profits(best)[n])


def bertrand_nash(
    market: Market, start: Array | None = None, tolerance: float = 1e-9, bounded: bool = True
) -> MarketPrices:
    """Find prices at which no participant gains by changing its own, the others' given.

    The market is the static game of `stage_profits`. Prices are continuous and lie within the
    quotes' limits. There may be other equilibria than the one returned.

    Parameters
    ----------
    market : Market
        With posted prices and a demand model.
    start : array [L], optional
        Where the search begins; by default at reference prices and floors. Money per unit.
    tolerance : float
        The most that anybody may still gain, relative to its profit.
    bounded : bool
        Whether prices stay above the margin floor.

    Returns
    -------
    MarketPrices
        Prices [L], profits [N] per tick, and the gain that is left.

    Raises
    ------
    EquilibriumError
        With the smallest residual seen, if no prices meet the tolerance. There is no equilibrium in
        pure strategies, for example, with homogeneous goods and unequal costs, or with several
        sellers and shoppers who compare.
    InputError
        For a market without posted prices or demand model.
    """
    game = PriceGame.of(market, bounded)
    row = None if start is None else checked_prices(market, start, "start")
    _check_tolerance(tolerance)
    endless = not game.is_limited
    if type(game.demand) is Cheapest and endless and homogeneous_nash(game) is None:
        raise EquilibriumError(
            "no equilibrium in pure strategies: the cheapest seller takes all, and the one with "
            "the lowest cost wants the largest price below its rival's, which does not exist",
            _regret(game, game.floor),
            "give the sellers equal costs or floors, or solve the game on a finite price grid",
        )
    return _first_within(game, _nash_proposals(game, row), _regret, tolerance)


def joint_profit(market: Market, tolerance: float = 1e-9, bounded: bool = True) -> MarketPrices:
    """Find the prices that maximise the sum of all participants' profits.

    A product that is better not sold gets a price at which nobody buys it.

    Parameters
    ----------
    market : Market
        With posted prices and a demand model.
    tolerance : float
        The most that one listing, or the listings of a choice group in step, may still add,
        relative to the profit.
    bounded : bool
        Whether prices stay above the margin floor.

    Returns
    -------
    MarketPrices
        Prices [L], each participant's own profit [N] per tick, and the gain that is left.

    Raises
    ------
    EquilibriumError
        If no prices meet the tolerance.
    InputError
        For a market without posted prices or demand model.
    """
    game = PriceGame.of(market, bounded)
    _check_tolerance(tolerance)
    return _first_within(game, _joint_proposals(game), _joint_regret, tolerance)


def _first_within(
    game: PriceGame,
    proposals: Iterator[_Proposal],
    regret: Callable[[PriceGame, Array], float],
    tolerance: float,
) -> MarketPrices:
    """The first proposal that leaves at most `tolerance` to gain."""
    smallest = float("inf")
    for method, propose in proposals:
        try:
            prices = propose()
        except EquilibriumError:  # another method may still find them
            continue
        if prices is None:
            continue
        residual = regret(game, prices)
        smallest = min(smallest, residual)
        if residual <= tolerance:
            check_in_play(game, prices, tolerance, joint=regret is _joint_regret)
            at_limit = (prices <= game.low) | (prices >= game.high)
            return MarketPrices(prices, game.profits(prices), residual, method, at_limit)
    problem = "no prices found that maximise the joint profit"
    if regret is _regret:
        problem = (
            "no prices found from which no participant gains alone, and perhaps there are none in "
            "pure strategies"
        )
        if game.is_limited:
            problem += ": stock or the size of quotes limits what somebody can sell"
    raise EquilibriumError(
        problem,
        smallest,
        "start from other prices, allow a larger tolerance, or solve the game on a finite price "
        "grid",
    )


def _nash_proposals(game: PriceGame, start: Array | None) -> Iterator[_Proposal]:
    yield "logit", lambda: logit_prices(game, False, start)
    if type(game.demand) is Cheapest:
        yield "homogeneous goods", lambda: homogeneous_nash(game)
        if not game.is_limited:
            return
        yield "homogeneous goods", lambda: clearing_prices(game)
    opening = np.clip(game.reference, game.floor, game.high)
    starts = [opening, game.floor] if start is None else [np.clip(start, game.low, game.high)]
    # At once first: that keeps equal sellers equal. In turn where that overshoots.
    for in_turn in (False, True):
        for begin in starts:
            yield "best responses", lambda b=begin, t=in_turn: _repeated(game, b, t)  # type: ignore[misc]


def _repeated(game: PriceGame, prices: Array, in_turn: bool) -> Array:
    """Best responses to best responses until nobody moves, or until that stalls."""
    least, since = np.inf, 0
    size = np.maximum(game.floor, 1e-3 * game.reference)
    for _ in range(ROUNDS):
        following = prices.copy()
        for n in game.sellers:
            own = game.own(n)
            given = following if in_turn else prices
            following[own] = respond(game, n, given)[own]
        movement = float(np.abs((following - prices) / np.maximum(size, prices)).max())
        prices = following
        if movement <= 1e-11:
            break
        since = 0 if movement <= 0.5 * least else since + 1
        least = min(least, movement) if since else movement
        if since >= PATIENCE:
            break
    return prices


def _joint_proposals(game: PriceGame) -> Iterator[_Proposal]:
    yield "logit", lambda: logit_prices(game, True, None)
    if type(game.demand) is Cheapest:
        yield "homogeneous goods", lambda: homogeneous_joint(game)
        if game.is_limited:
            yield "homogeneous goods", lambda: clearing_prices(game)
    yield "best responses", lambda: _climbed(game)


def _climbed(game: PriceGame) -> Array:
    """The best, group by group, of what is reached from several starts."""
    best: Array | None = None
    for begin in (np.clip(game.reference, game.floor, game.high), game.high):
        reached = respond(game, EVERYBODY, together(game, EVERYBODY, begin))
        if best is None:
            best = reached
        value = game.by_group(EVERYBODY, np.stack([best, reached]))
        best = np.where((value[1] > value[0])[game.market.layout.group], reached, best)
    assert best is not None
    return best


def _regret(game: PriceGame, prices: Array) -> float:
    """The largest gain of a participant that answers best, relative to its profit."""
    now = game.profits(prices)
    gains = np.array([game.profits(respond(game, n, prices))[n] - now[n] for n in game.sellers])
    return _relative(game, prices, gains, now[game.sellers])


def _joint_regret(game: PriceGame, prices: Array) -> float:
    """What moves of one listing, or of a group's in step, could still add to the total."""
    now = game.profits(prices).sum()
    moved = respond(game, EVERYBODY, together(game, EVERYBODY, prices), sweeps=1)
    gain = game.profits(moved).sum() - now
    return _relative(game, prices, np.array([gain]), np.array([now]))


def _relative(game: PriceGame, prices: Array, gains: Array, profits: Array) -> float:
    turnover = float((game.trades(prices[None])[0] * prices).sum())
    worth = np.maximum(np.abs(profits), 1e-6 * turnover)
    gains = np.maximum(gains, 0.0)
    relative = np.divide(gains, worth, out=np.where(gains > 0.0, np.inf, 0.0), where=worth > 0.0)
    return float(relative.max())


def _check_tolerance(tolerance: float) -> None:
    if not 0.0 < tolerance < np.inf:
        raise InputError(f"tolerance={tolerance!r} must be > 0: the largest relative gain left")


def _number(market: Market, participant: int | str) -> int:
    names = market.layout.participants
    if isinstance(participant, str):
        if participant in names:
            return names.index(participant)
    elif is_whole(participant):
        if 0 <= participant < len(names):
            return int(participant)
    raise InputError(f"participant={participant!r} must be one of {names} or 0 to {len(names) - 1}")
