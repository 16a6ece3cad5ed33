"""Calibrated regret: could a seller have earned more by answering its own price by another one?

A seller that optimises against its rivals has little to regret. A seller that keeps to a cartel
price could have earned more each time by a lower one, and the test sees it in the seller's own data
alone: the prices that its rule could have drawn, the price drawn, and the units sold. The method is
that of Hartline, Long and Zhang (2024), "Regulation of Algorithmic Collusion", and Hartline, Wang
and Zhang (2025), for sellers whose costs are unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.numbers import number
from mos_agents.analysis.paths import finite
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_real
from mos_agents.market.types import Array, InputError, IntArray

COSTS = 21
"""Costs at which a range of costs is tested."""

BLOCKS = 10
"""Stretches of time that take turns in choosing the better prices and in measuring their gain."""


def deviation_table(chances: ArrayLike, drawn: ArrayLike, units: ArrayLike) -> Array:
    """Estimate what each price would have sold while another one was meant to be set.

    The estimate is A[p, p'] = (1/T) sum_t pi_t(p) x_t 1{p_t = p'} / pi_t(p'), by propensity scores.

    Parameters
    ----------
    chances : array [T, K]
        pi_t, the probabilities with which the seller's rule drew each price.
    drawn : array of int [T]
        Number of the price drawn.
    units : array [T]
        x_t, the units sold. Money per tick (units times cost) works as well.

    Returns
    -------
    array [K, K]
        The estimate, in units per tick.

    Raises
    ------
    InputError
        If a price was drawn that had no chance, or shapes do not fit.
    """
    pi, level, sold = finite(chances, "chances"), np.asarray(drawn), finite(units, "units")
    if pi.ndim != 2 or level.shape != pi.shape[:1] or sold.shape != level.shape:
        raise InputError(
            f"chances, drawn and units have shapes {pi.shape}, {level.shape} and {sold.shape}, "
            "need [T, K], [T] and [T]"
        )
    return _gains_table(pi, level, sold)


def _gains_table(pi: Array, level: IntArray, sold: Array) -> Array:
    ticks, prices = pi.shape
    own = pi[np.arange(ticks), level]
    if (own <= 0.0).any():
        raise InputError(
            f"chances[{int((own <= 0.0).argmax())}] of the price drawn is 0; every price that is "
            "set needs a chance > 0"
        )
    out = np.zeros((prices, prices))
    weight = pi * (sold / own)[:, None] / ticks
    np.add.at(out.T, level, weight)
    return out


def calibrated_regret(table: ArrayLike, grid: ArrayLike, cost: ArrayLike) -> Array:
    """Return R(c) = sum_p max_p' ((p' - c) A[p, p'] - (p - c) A[p, p]).

    Parameters
    ----------
    table : array [K, K]
        A, from `deviation_table`.
    grid : array [K]
        Prices in money per unit.
    cost : float or array [...]
        Unit costs in money.

    Returns
    -------
    array [...]
        Regret in money per tick.
    """
    a, price, c = (finite(v, n) for v, n in ((table, "table"), (grid, "grid"), (cost, "cost")))
    margin = price - c[..., None]
    earned = margin[..., None, :] * a  # [..., p, p']
    stayed = margin * np.diagonal(a)
    regret: Array = (earned.max(axis=-1) - stayed).sum(axis=-1)
    return regret


def hindsight_regret(table: ArrayLike, grid: ArrayLike, cost: float) -> float:
    """Return the regret against the best single price, which correlated play can hide.

    Parameters
    ----------
    table : array [K, K]
        A, from `deviation_table`.
    grid : array [K]
        Prices in money per unit.
    cost : float
        Unit cost in money.

    Returns
    -------
    float
        Regret in money per tick.
    """
    a, price = finite(table, "table"), finite(grid, "grid")
    margin = price - cost
    return float((margin * a.sum(axis=0)).max() - (margin * np.diagonal(a)).sum())


def plausible_regret(
    table: ArrayLike, grid: ArrayLike, low: float, high: float
) -> tuple[float, float]:
    """Return the least regret over a range of costs, and the cost at which it is reached.

    R(c) is convex and piecewise linear in c, so the least value is at an end or at a corner.

    Parameters
    ----------
    table : array [K, K]
        A, from `deviation_table`.
    grid : array [K]
        Prices in money per unit.
    low, high : float
        Range of the cost, in money.

    Returns
    -------
    tuple of float
        Regret in money per tick, and the lowest such cost.
    """
    a, price = finite(table, "table"), finite(grid, "grid")
    check_real("high", high, low)
    # The line of p' while p was meant: (p' A[p, p'] - p A[p, p]) - c (A[p, p'] - A[p, p]).
    height = price * a - (price * np.diagonal(a))[:, None]
    slope = a - np.diagonal(a)[:, None]
    rise = height[:, :, None] - height[:, None, :]
    run = slope[:, :, None] - slope[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        corner = rise / run
    inside = corner[np.isfinite(corner) & (corner > low) & (corner < high)]
    costs = np.unique(np.concatenate([[low, high], inside]))
    regrets = calibrated_regret(a, price, costs)
    least = regrets.min()
    first = int((regrets <= least + 1e-15).argmax())
    return float(regrets[first]), float(costs[first])


@dataclass(frozen=True)
class RegretError:
    """How far an estimated regret may be from the true one, by Hoeffding's inequality.

    Parameters
    ----------
    entry : float
        All K^2 entries of the table are within this of the truth, in units.
    regret : float
        So the regret is within this of the truth, in money per tick.
    confidence : float
        With this probability.
    """

    entry: float
    regret: float
    confidence: float


def regret_error(
    ticks: int,
    least_chance: float,
    grid: ArrayLike,
    cost: ArrayLike,
    confidence: float = 0.95,
    most_units: float = 1.0,
) -> RegretError:
    """Return the error bound of a regret estimated from T ticks.

    Entries are within (x_max / pi_min) sqrt(ln(2 K^2 / (1 - confidence)) / (2 T)).

    Parameters
    ----------
    ticks : int
        T.
    least_chance : float
        pi_min, the smallest probability of any price.
    grid : array [K]
        Prices in money per unit.
    cost : float or array
        Unit costs in money; of several the largest error is returned.
    confidence : float, optional
        Confidence of the bound, in (0, 1).
    most_units : float, optional
        Most units that can be sold in a tick.

    Returns
    -------
    RegretError
        The bound.
    """
    price = finite(grid, "grid")
    entry = (most_units / least_chance) * np.sqrt(
        np.log(2.0 * price.size**2 / (1.0 - confidence)) / (2.0 * ticks)
    )
    return RegretError(float(entry), float(entry * _spread(price, cost)), confidence)


def ticks_needed(
    error: float,
    least_chance: float,
    grid: ArrayLike,
    cost: ArrayLike,
    confidence: float = 0.95,
    most_units: float = 1.0,
) -> int:
    """Return the ticks after which `regret_error` is at most a given error.

    Parameters
    ----------
    error : float
        Error of the regret, in money per tick, > 0.
    least_chance, grid, cost, confidence, most_units
        As in `regret_error`.

    Returns
    -------
    int
        Ticks.
    """
    check_real("error", error, 0.0, above=True)
    one = regret_error(1, least_chance, grid, cost, confidence, most_units).regret
    return int(np.ceil((one / error) ** 2))


def _spread(price: Array, cost: ArrayLike) -> float:
    """Sum over p of max_p' |p' - c| + |p - c|: what an error of 1 in every entry may do."""
    worst = 0.0
    for c in np.atleast_1d(finite(cost, "cost")):
        away = np.abs(price - c)
        worst = max(worst, float(price.size * away.max() + away.sum()))
    return worst


@dataclass(frozen=True)
class CalibratedRegret(Screen):
    """A screen: a seller could surely have earned more by prices other than those it meant to set.

    It needs the probabilities with which each seller's rule drew its prices, and the units sold.
    Half of the record, in alternate stretches, chooses the better price for each price, and the
    other half measures what it would have brought. The estimate of a largest gain from one record
    is biased upwards; this one is not. Where costs are on record they are used. Else every cost in
    the range must be refuted.

    Parameters
    ----------
    allowed : float
        Largest regret of a competitor, as a share of its revenue.
    cost_low, cost_high : float or None
        Range of unit costs where they are not on record, in money. By default from 0 to the lowest
        price of the grid. Bound it well: a seller that claims high costs passes more easily.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "calibrated_regret"
    title: ClassVar[str] = "Calibrated regret"
    question: ClassVar[str] = "Could a seller surely have earned more by other prices?"
    needs: ClassVar = (("chances",), ("quantities",))
    least_firms: ClassVar[int] = 1
    cannot: ClassVar[str] = (
        "It needs the probabilities of all prices, and every price must be tried now and then. "
        "Exploring is regret, too. It does not tell collusion from poor learning, and a wide range "
        "of costs hides both."
    )

    allowed: float = 0.03
    cost_low: float | None = None
    cost_high: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("allowed", self.allowed, 0.0)

    def judge(self, observed: Observed) -> ScreenResult:
        assert observed.grid is not None
        assert observed.chances is not None
        assert observed.quantities is not None
        grid = observed.grid
        drawn = np.abs(observed.prices[:, :, None] - grid).argmin(axis=2)
        if not np.allclose(grid[drawn], observed.prices, rtol=1e-6, atol=1e-9):
            return self.no_verdict(
                "a price is not on the grid that the chances belong to", ("grid",)
            )
        low, high = self._range(observed)
        best_p, found = 1.0, (0, 0.0, 0.0)
        for i in range(observed.firms):
            pi, units = observed.chances[:, i], observed.quantities[:, i]
            revenue = float((observed.prices[:, i] * units).mean())
            if observed.cost is not None:
                costs: list[Array] = [observed.cost[:, i]]
            else:
                costs = [np.full(observed.ticks, c) for c in np.linspace(low, high, COSTS)]
            tested = [
                held_out_p_value(pi, drawn[:, i], units, grid, c, self.allowed * revenue)
                for c in costs
            ]
            p, gain = max(tested)
            if p <= best_p:
                best_p, found = p, (i, gain, revenue)
        firm, gain, revenue = found
        p_value = min(1.0, observed.firms * best_p)
        pi_min = float(observed.chances.min())
        known = observed.cost
        ends = [low, high] if known is None else [float(known.min()), float(known.max())]
        figures = {"regret": gain, "least_chance": pi_min, "revenue": revenue}
        more = ""
        if pi_min > 0.0 and revenue > 0.0:
            most = float(observed.quantities.max())
            bound = regret_error(observed.ticks, pi_min, grid, ends, 1.0 - self.level, most)
            needed = ticks_needed(
                max(self.allowed, 1e-3) * revenue, pi_min, grid, ends, 1.0 - self.level, most
            )
            figures |= {"error_bound": bound.regret, "dates_for_bound": float(needed)}
            more = f" A guarantee without any approximation would need {needed:,} dates."
        share = gain / revenue if revenue > 0.0 else float("nan")
        told = (
            f"{observed.name(firm)} would have earned {number(100.0 * share)}% of its revenue more "
            f"by other prices (a competitor: at most {number(100.0 * self.allowed)}%; "
            f"p = {number(p_value)})"
        )
        return self.verdict(
            p_value,
            share,
            f"{told}. It did not set its most profitable prices.",
            f"{told}. This is no sure sign that a better price was passed over.{more}",
            "" if known is None else "Costs on record were used.",
            **figures,
        )

    def _range(self, observed: Observed) -> tuple[float, float]:
        assert observed.grid is not None
        low = 0.0 if self.cost_low is None else self.cost_low
        high = float(observed.grid.min()) if self.cost_high is None else self.cost_high
        if not low <= high:
            raise InputError(f"cost_low={low!r} must be <= cost_high={high!r}")
        return low, high


def held_out_p_value(
    chances: Array, drawn: IntArray, units: Array, grid: Array, cost: Array, allowed: float
) -> tuple[float, float]:
    """Test whether better prices, chosen on one half of a record, bring more on the other half.

    Parameters
    ----------
    chances : array [T, K]
        Probabilities of each price.
    drawn : array of int [T]
        Number of the price drawn.
    units : array [T]
        Units sold.
    grid : array [K]
        Prices.
    cost : array [T]
        Unit costs.
    allowed : float
        Regret of a competitor, in money per tick.

    Returns
    -------
    tuple of float
        One-sided p-value for a regret of at most `allowed`, and the gain on the held-out half.
    """
    from scipy import stats  # large, and seldom needed

    ticks = len(drawn)
    half = (np.arange(ticks) * BLOCKS // ticks) % 2
    gain = np.empty(ticks)
    for part in (0, 1):
        choose, measure = half == part, half != part
        pi, level, sold, c = chances[choose], drawn[choose], units[choose], cost[choose]
        value = (grid[level] - c) * sold
        better = _gains_table(pi, level, value).argmax(axis=1)
        usual = np.bincount(level, value, grid.size) / np.maximum(
            np.bincount(level, minlength=grid.size), 1
        )
        pi, level, sold, c = chances[measure], drawn[measure], units[measure], cost[measure]
        own = pi[np.arange(len(level)), level]
        hits = (pi * (better[None, :] == level[:, None])).sum(axis=1)
        # Doubly robust: what each price usually earned is subtracted where it is known with its
        # probability, so that rare prices with large weights add little noise and no bias.
        surprise = (grid[level] - c) * sold - usual[level]
        gain[measure] = pi @ (usual[better] - usual) + surprise * (hits / own - 1.0)
    error = float(gain.std(ddof=1)) / np.sqrt(ticks)
    mean = float(gain.mean())
    if error == 0.0:
        return (1.0 if mean <= allowed else 0.0), mean
    return float(stats.t.sf((mean - allowed) / error, ticks - 1)), mean
