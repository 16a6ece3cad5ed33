"""Margins that satisfy the first-order conditions of a logit or nested-logit market.

Under these demands a firm's products of one nest have the same margin, so that a firm and a nest
together, a *cell*, are one unknown. With x = α (p − c), the share s of a cell within its nest, the
nest's share S_h and the correlation σ, the conditions of firm f are

    x = (1 − σ) / ((1 − σ s) y_f),   y_f = S_0 + Σ_h S_h (1 − s_fh) / (1 − σ s_fh).

Every term of y_f is positive and is computed without a difference of near numbers: margins are
positive, and they keep their digits where a firm has nearly all consumers. All weights are
logarithms, so that no utility overflows.

References
    Nocke and Schutz (2018), "Multiproduct-Firm Oligopoly: An Aggregative Games Approach",
    Econometrica 86(2): one root in the aggregate of the plain logit, which is unique.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, IntArray

__all__ = ["Cells"]

ROUNDING = 4e-15
"""Relative error of a margin below which another step changes nothing."""

LONGEST_STEP = 3.0
"""The most by which a Newton step changes the logarithm of a margin."""


@short_repr
@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a market: its firms' parts of its nests.

    firm, nest: [P] codes of each cell's. weight: [P] ln Σ exp(V_j/(1 − σ)) over a cell's products,
    V_j their utilities at prices equal to cost. nesting: σ. outside: V_0.
    """

    firm: IntArray
    nest: IntArray
    weight: Array
    nesting: float
    outside: float

    @cached_property
    def _in_nest(self) -> NDArray[np.bool_]:
        """[P, H]"""
        return self.nest[:, None] == np.arange(self.nest.max() + 1)

    @cached_property
    def _of_firm(self) -> NDArray[np.bool_]:
        """[F, P]"""
        return np.arange(self.firm.max() + 1)[:, None] == self.firm

    @cached_property
    def _rivals(self) -> NDArray[np.bool_]:
        """[F, H, P] cells of a nest that belong to others than the firm."""
        return self._in_nest.T[None] & ~self._of_firm[:, None, :]

    @cached_property
    def _highest(self) -> float:
        """The logarithm of twice the margin of one owner of everything: no solution is above."""
        columns = np.where(self._in_nest, self.weight[:, None], -np.inf)
        value = np.logaddexp.reduce((1.0 - self.nesting) * np.logaddexp.reduce(columns, axis=0))
        return float(np.log(2.0 + 2.0 * _odds(np.array([value - self.outside]))[0]))

    def margins(self, weight: Array) -> Array:
        """[P] the margins x that the conditions ask for at log weights [P] of the cells."""
        return (1.0 - self.nesting) / self._shape(weight)[-1]

    def solve(self, start: Array | None, most_steps: int) -> tuple[Array, float, int]:
        """Find margins x [P]; also their largest relative error and the steps taken.

        Newton's steps in ln x, halved until they lessen the error; where they do not, each margin
        in turn is set by bisection, which has a solution for any others.
        """
        log_x = np.log(self.opening()) if start is None else np.log(start)
        error = self._error(log_x)
        steps = 0
        while np.abs(error).max() > ROUNDING and steps < most_steps:
            steps += 1
            following = self._newton(log_x, error)
            if following is None:
                following = self._in_turn(log_x)
            moved = self._error(following)
            # No further progress: the weights are rounded, and margins react to that.
            rounding = 1e-13 * (1.0 + float(np.exp(log_x).max()) / (1.0 - self.nesting))
            if np.abs(moved).max() >= 0.5 * np.abs(error).max() <= 0.5 * rounding:
                break
            log_x, error = following, moved
        return np.exp(log_x), float(np.abs(error).max()), steps

    def opening(self) -> Array:
        """[P] margins to start from: exact for the plain logit, with one cell a firm."""
        keep = 1.0 - self.nesting
        firms = keep * np.logaddexp.reduce(np.where(self._of_firm, self.weight, -np.inf), axis=1)
        low = self.outside
        high = np.logaddexp(self.outside, np.logaddexp.reduce(firms - 1.0))

        def missing(aggregate: float) -> float:
            """What the shares at this ln A lack to one; it rises with it."""
            shares = -np.expm1(-np.log1p(_odds(firms - aggregate)))
            return 1.0 - float(shares.sum()) - float(np.exp(self.outside - aggregate))

        from scipy.optimize import brentq  # large, and needed for searches alone

        if missing(low) >= 0.0 or low == high:
            aggregate = low
        elif missing(high) <= 0.0:
            aggregate = high
        else:
            aggregate = brentq(missing, low, high, xtol=1e-14, rtol=1e-15)
        made: Array = 1.0 + _odds(firms - aggregate)[self.firm]
        return made

    def respond(self, firm: int, log_x: Array) -> Array:
        """[P] logarithms of margins with one firm's own by bisection in turn, until they rest."""
        own = np.flatnonzero(self.firm == firm)
        for _ in range(200):
            before = log_x
            log_x = self._in_turn(log_x, own)
            if own.size == 1 or np.abs(log_x - before).max() <= 1e-13:
                break
        return log_x

    def _shape(self, weight: Array) -> tuple[Array, ...]:
        """Shares within nests [P], nests' shares [H], S_0, y [F], ratios [F, H], (1 − σ s) y [P]"""
        keep = 1.0 - self.nesting
        columns = np.where(self._in_nest, weight[:, None], -np.inf)
        totals = np.logaddexp.reduce(columns, axis=0)
        value = keep * totals
        everything = np.logaddexp(self.outside, np.logaddexp.reduce(value))
        nests, nothing = np.exp(value - everything), np.exp(self.outside - everything)
        within = np.exp(weight - totals[self.nest])
        others = np.where(self._rivals, weight, -np.inf)
        with np.errstate(divide="ignore"):
            rest = np.exp(np.logaddexp.reduce(others, axis=2) - totals)  # [F, H] is 1 − s
        below = keep + self.nesting * rest
        ratio = rest / below
        y = nothing + (nests * ratio).sum(axis=1)
        return within, nests, nothing, y, ratio, below[self.firm, self.nest] * y[self.firm]

    def _weights(self, log_x: Array) -> Array:
        return self.weight - np.exp(log_x) / (1.0 - self.nesting)

    def _error(self, log_x: Array) -> Array:
        """[P] ln x less the logarithm of the margin that the conditions ask for."""
        product = self._shape(self._weights(log_x))[-1]
        with np.errstate(divide="ignore"):
            error: Array = log_x - np.log(1.0 - self.nesting) + np.log(product)
        return error

    def _slopes(self, log_x: Array) -> Array:
        """[P, P] derivatives of `_error`."""
        keep, sigma = 1.0 - self.nesting, self.nesting
        within, nests, nothing, y, ratio, _ = self._shape(self._weights(log_x))
        weight = -np.diag(np.exp(log_x)) / keep  # of the log weights
        of_total = (self._in_nest.T * within) @ weight  # [H, P]
        of_within = weight - of_total[self.nest]
        of_everything = nests @ (keep * of_total)
        of_nests = keep * of_total - of_everything
        slack = keep + sigma * (1.0 - within)
        of_y = -nothing * of_everything + (nests * ratio) @ of_nests  # [F, P]
        lost = nests[self.nest] * keep * within / slack**2
        of_y -= self._of_firm @ (lost[:, None] * of_within)
        of_slack = -sigma * within[:, None] * of_within
        slopes: Array = np.eye(log_x.size) + of_slack / slack[:, None]
        return slopes + of_y[self.firm] / y[self.firm, None]

    def _newton(self, log_x: Array, error: Array) -> Array | None:
        """A step that lessens the largest error, or None."""
        with np.errstate(all="ignore"):
            slopes = self._slopes(log_x)
            try:
                step = np.linalg.solve(slopes, -error)
            except np.linalg.LinAlgError:
                return None
        if not np.isfinite(step).all():
            return None
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        most = np.abs(error).max()
        for halving in range(12):
            following = log_x + 0.5**halving * step
            with np.errstate(all="ignore"):
                moved = np.abs(self._error(following)).max()
            if moved <= (1.0 - 1e-4 * 0.5**halving) * most:
                return following
        return None

    def _in_turn(self, log_x: Array, cells: IntArray | None = None) -> Array:
        """Each margin in turn at the root of its own condition, which rises with it."""
        from scipy.optimize import brentq  # large, and needed for searches alone

        log_x = log_x.copy()
        for p in range(log_x.size) if cells is None else cells:

            def own(value: float, p: int = int(p)) -> float:
                trial = log_x.copy()
                trial[p] = value
                return float(np.nan_to_num(self._error(trial)[p], neginf=-1e3))

            low = float(np.log(1.0 - self.nesting)) - 1e-9  # a margin is at least (1 − σ)/α
            high = self._highest
            log_x[p] = high if own(high) <= 0.0 else brentq(own, low, high, xtol=1e-15, rtol=1e-15)
        return log_x


def _odds(height: Array) -> Array:
    """e = S/(1 − S) of a firm alone against the aggregate: ln(e/(1 + e)) + 1 + e = height.

    Newton's steps in z = ln e on a convex function, from the right of the root.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(height < 1.0, height, np.log(np.maximum(height, 1.0)))
    for _ in range(60):
        odds = np.exp(z)
        gap = z - np.log1p(odds) + 1.0 + odds - height
        step = gap / (1.0 / (1.0 + odds) + odds)
        z = z - step
        if np.abs(step).max() <= 1e-15 * np.abs(z).max() + 1e-16:
            break
    return np.exp(z)
