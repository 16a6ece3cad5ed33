"""Thompson sampling: a seller asks each price with its belief that the price is the best.

Thompson (Biometrika 25, 1933). Rewards of a level are normal, with an unknown mean and a known
standard deviation (`noise`). The belief about the mean is normal too
(Gelman et al., Bayesian Data Analysis, sec. 2.5):

    precision_a = 1 / prior_sd^2 + n_a / noise^2,
    mean_a = (prior_mean / prior_sd^2 + (sum of rewards) / noise^2) / precision_a.

At each move one mean is drawn for every level, and the level with the greatest is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from mos_agents.learners.base import Moves, TabularLearner, best_of
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import check_number, register

REACH = 9.0  # standard deviations beyond which a belief is taken for certain: chance 1e-19
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(12)


@short_repr
class Sums(NamedTuple):
    total: Array  # [B C S, m] rewards per tick, summed over moves
    trials: IntArray  # [B C S, m] moves


@register("thompson")
@dataclass(frozen=True)
class Thompson(TabularLearner):
    """Thompson sampling [1]_ with normal rewards of known variance.

    Its prices and states are set as in `PriceGrid`.

    The reward of a move is the mean reward per tick while it was in force, and counts as one
    observation. With `features`, every situation has a bandit of its own.

    Parameters
    ----------
    noise : float
        standard deviation of a level's reward per tick, in money, > 0.
    prior_mean : float
        mean of the belief about every level before it is tried, in money.
    prior_sd : float
        standard deviation of that belief, in money, > 0.

    References
    ----------
    .. [1] Thompson, W. R. (1933). On the likelihood that one unknown probability exceeds
           another in view of the evidence of two samples. Biometrika 25.
    """

    features: str = "nothing"
    noise: float = 1.0
    prior_mean: float = 0.0
    prior_sd: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "prior_mean")
        for name in ("noise", "prior_sd"):
            check_number(self, name, 0.0)
            if getattr(self, name) == 0.0:
                raise InputError(f"{self.kind}.{name}=0 must be > 0: nothing would be uncertain")

    def tables(self, batch: int, choices: int, states: int) -> Sums:
        shape = batch * choices * states, self.grid.size
        return Sums(np.zeros(shape), np.zeros(shape, np.int64))

    def correct(self, tables: Sums, moves: Moves) -> None:
        at = moves.row, moves.level
        tables.total[at] += moves.mean
        tables.trials[at] += 1

    def belief(self, tables: Sums, rows: IntArray) -> tuple[Array, Array]:
        """[B, C, m] mean and standard deviation of what each level is believed to earn."""
        prior, known = self.prior_sd**-2, self.noise**-2
        precision = prior + known * tables.trials[rows]
        mean = (self.prior_mean * prior + tables.total[rows] * known) / precision
        return mean, 1.0 / np.sqrt(precision)

    def choose(self, tables: Sums, rows: IntArray, at: float, draws: Draws) -> IntArray:
        mean, sd = self.belief(tables, rows)
        normals = draws.normals("choose", rows.shape[1] * self.grid.size)
        best: IntArray = (mean + sd * normals.reshape(mean.shape)).argmax(axis=-1)
        return best

    def chances(self, tables: Any, rows: IntArray, at: float) -> Array:
        mean, sd = self.belief(tables, rows)
        flat = zip(mean.reshape(-1, self.grid.size), sd.reshape(-1, self.grid.size), strict=True)
        return np.array([greatest(m, s) for m, s in flat]).reshape(mean.shape)

    def strategy(self, tables: Any, rows: IntArray) -> Array:
        return best_of(self.belief(tables, rows)[0])


def greatest(mean: Array, sd: Array) -> Array:
    """[m] the chance that each of m independent normals is the greatest of them.

    Integral of density_a(x) times the product of the others' distribution functions, by Gauss and
    Legendre on pieces that are never longer than one standard deviation of anything that varies
    there: right to about 1e-12.
    """
    steps = np.arange(-REACH, REACH + 1.0)
    edges = np.unique(mean[:, None] + sd[:, None] * steps)
    half = 0.5 * np.diff(edges)
    x = (0.5 * (edges[1:] + edges[:-1]))[:, None] + half[:, None] * NODES
    z = (x.reshape(1, -1) - mean[:, None]) / sd[:, None]
    below = ndtr(z)
    density = np.exp(-0.5 * z * z) / (sd[:, None] * np.sqrt(2.0 * np.pi))
    weight = (half[:, None] * NODE_WEIGHTS).ravel()
    others = np.ones_like(below)  # products of those before, then of those after
    others[1:] = below[:-1].cumprod(axis=0)
    others[:-1] *= below[:0:-1].cumprod(axis=0)[::-1]
    chance: Array = (density * others * weight).sum(axis=1)
    return chance / chance.sum()
