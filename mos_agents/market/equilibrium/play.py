"""Plays prices in the market itself: what its own arrivals, execution and ledger pay.

A solution is found with formulas of demand. Here it is checked against the market: the prices, and
other prices of each seller, are played as the first tick, with the same random numbers, and what
everybody is paid is read off the ledger. So a rule of the market that the formulas do not know
cannot pass unseen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mos_agents.market.equilibrium.logit import EquilibriumError
from mos_agents.market.equilibrium.stage import EVERYBODY, PriceGame
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array

__all__ = ["check_in_play"]

MOST_ORDERS = 2_000_000
"""Orders that a check plays at most, all rows together."""

MOST_MARKETS, FEWEST_MARKETS = 1000, 30
"""Markets in which each row of prices is played, where arrivals are drawn at random."""

ERRORS = 5.0
"""Standard errors by which a difference of random outcomes counts."""


@short_repr
class PaidInPlay(NamedTuple):
    """What rows of prices were paid."""

    profits: Array  # [R, M, N] money in the tick, row by row in the same markets
    lost: Array  # [R] share of the units wanted that was turned away


def check_in_play(game: PriceGame, prices: Array, tolerance: float, joint: bool = False) -> None:
    """Refuse prices from which the market's own tick pays somebody more for others.

    Tried are the prices of each seller (with `joint`, also those of all sellers) in step: up or
    down by a factor, and at one level from the lowest price to four times the usual one.

    Parameters
    ----------
    game : PriceGame
        The market as a game.
    prices : array [L]
        The solution, money per unit.
    tolerance : float
        The relative gain from which on a deviation counts.
    joint : bool
        Whether the sum of all profits is what counts, and not each seller's own.

    Raises
    ------
    EquilibriumError
        If the market pays other profits at the solution than the formulas say, or a deviation more
        than the solution.
    """
    movers = [*game.sellers, EVERYBODY] if joint else game.sellers
    others = [_in_step(game, n, prices) for n in movers]
    rows = np.concatenate([prices[None], *others])
    owner = np.repeat(movers, [len(part) for part in others])
    played = _played(game, rows)
    turnover = float((game.trades(prices[None])[0] * prices).sum())
    _check_profits(game, prices, played, turnover)
    for row, n in enumerate(owner, start=1):
        paid = played.profits.sum(axis=-1) if joint else played.profits[..., n]
        gain = paid[row] - paid[0]
        mean = float(gain.mean())
        size = max(abs(float(paid[0].mean())), 1e-6 * turnover)
        if mean <= ERRORS * _error(gain, paid[0]) + tolerance * size:
            continue
        who = "all sellers" if joint else repr(game.market.layout.participants[n])
        at = int((rows[row] != prices).argmax())
        raise EquilibriumError(
            f"{_reason(game, played)} the market's own tick pays {who} {mean:.6g} more for another "
            f"price ({rows[row, at]:.6g} in place of {prices[at]:.6g})",
            mean / size if size > 0.0 else np.inf,
            _remedy(game),
        )


FACTORS = np.array([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999])
LEVELS = np.linspace(0.0, 4.0, 21)


def _in_step(game: PriceGame, n: int, prices: Array) -> Array:
    """[R, L] prices with those of participant n (or EVERYBODY) moved together."""
    own = game.own(n)
    factors = np.concatenate([FACTORS, 1.0 / FACTORS])
    level = LEVELS[:, None] * game.scale[game.market.layout.group[own]]
    moved = np.concatenate([factors[:, None] * prices[own], level])
    rows = np.repeat(prices[None], len(moved), axis=0)
    rows[:, own] = np.clip(moved, game.low[own], game.high[own])
    different: Array = rows[(rows != prices).any(axis=1)]
    return different


def _check_profits(game: PriceGame, prices: Array, played: PaidInPlay, turnover: float) -> None:
    expected = game.profits(prices)
    found = played.profits[0]
    errors = np.array([_error(column, column) for column in found.T])
    apart = np.abs(found.mean(axis=0) - expected)
    allowed = ERRORS * errors + 1e-6 * np.maximum(np.abs(expected), 1e-3 * turnover)
    if (apart > allowed).any():
        n = int((apart - allowed).argmax())
        raise EquilibriumError(
            f"{_reason(game, played)} at the prices found the market's own tick pays "
            f"{game.market.layout.participants[n]!r} {found[:, n].mean():.6g}, and the formula of "
            f"its demand model {expected[n]:.6g}",
            float(apart[n] / max(abs(expected[n]), 1e-3 * turnover, 1e-300)),
            _remedy(game),
        )


def _reason(game: PriceGame, played: PaidInPlay) -> str:
    if not game.is_limited:
        return "no equilibrium in pure strategies found:"
    return (
        f"stock or the size of quotes binds ({100.0 * played.lost.max():.3g}% of demand is turned "
        "away), and no equilibrium in pure strategies was found:"
    )


def _remedy(game: PriceGame) -> str:
    if not game.is_limited:
        return "solve the game on a finite price grid, and report the market if it is a preset"
    return "give the sellers more stock or larger quotes, or solve the game on a finite price grid"


def _error(values: Array, level: Array) -> float:
    """Standard error of a mean over markets, and what numbers of a level are rounded by."""
    rounding = 1e-12 * float(np.abs(level).max(initial=0.0))
    return rounding + float(values.std(ddof=1) / np.sqrt(values.size))


def _played(game: PriceGame, rows: Array) -> PaidInPlay:
    """The first tick at each row of prices [R, L], in the same markets."""
    market = game.market
    orders = max(market.arrivals.mean_orders(market), 1.0) * len(rows)
    markets = int(np.clip(MOST_ORDERS / orders, FEWEST_MARKETS, MOST_MARKETS))
    made = _one_tick(game, rows, 2)
    if np.ptp(made.profits, axis=1).max() > 0.0:
        made = _one_tick(game, rows, markets)
    return made


def _one_tick(game: PriceGame, rows: Array, markets: int) -> PaidInPlay:
    market = game.market
    asks = np.ascontiguousarray(np.repeat(rows, markets, axis=0))
    state = market.start(len(asks))
    sizes = np.ascontiguousarray(np.broadcast_to(game.quote_size, asks.shape))
    quotes = state.quotes._replace(ask=asks, ask_size=sizes)
    state = state._replace(quotes=quotes)
    draws = Streams.of(0, np.tile(np.arange(markets), len(rows))).at(state.tick)
    arrivals, _ = market.arrivals.arrive(market, state, quotes, draws)
    trades = market.execution.execute(market, state, quotes, arrivals, draws)
    positions, flows = market.positions.settle(market, state, trades)
    held = (positions.inventory - state.positions.inventory) * state.cost
    own = [market.layout.own(n) for n in range(market.layout.N)]
    worth = np.stack([held[:, part].sum(axis=1) for part in own], axis=1)
    paid = flows.revenue - flows.spending - flows.shortage - flows.fees + worth
    wanted = trades.demand.sum(axis=1)
    turned = np.divide(trades.lost.sum(axis=1), wanted, out=np.zeros_like(wanted), where=wanted > 0)
    shape = len(rows), markets
    return PaidInPlay(paid.reshape(*shape, -1), turned.reshape(shape).mean(axis=1))
