"""Collusive pricing: prices surely above competition, held up by answers to deviations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.collusion import Benchmarks, profit_gain
from mos_agents.analysis.impulse import Deviation, profitability, rivals_reaction
from mos_agents.analysis.numbers import number
from mos_agents.analysis.paths import paths
from mos_agents.analysis.screens.answers import answers
from mos_agents.analysis.screens.edgeworth import price_cycle
from mos_agents.analysis.screens.observed import BestReply, Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.analysis.screens.sessions import SessionPaths
from mos_agents.analysis.screens.wars import CYCLE, answered
from mos_agents.analysis.statistics import check_confidence, normal_interval
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError, IntArray


@dataclass(frozen=True)
class CollusivePricing(Screen):
    """A screen: prices surely above competition, and answers beyond static best replies.

    On a record (`test`) it takes competitive and joint-profit prices at the cost and demand of each
    date. It sounds where the mean price lies surely above `threshold` on that scale and where
    rivals answer lone changes by more than the static best reply of the demand model (see
    `answers`). Both p-values must be small.

    On simulated sessions it takes a forced deviation downwards [1]_, with the same random numbers
    in both runs. It sounds where

    - the profit gain at each tick's own demand surely exceeds the threshold;
    - the deviation would pay if rivals did not answer, and does not pay as they do;
    - rivals cut in the tick after the deviation, and further than their static best reply.

    A Bertrand-Nash best replier cuts, too, and any deviation from Nash prices loses. So neither a
    cut nor a loss alone is evidence.

    Parameters
    ----------
    threshold : float
        The lower limit of the gain must exceed it.
    confidence : float
        One-sided confidence of that limit for sessions, in (0, 1).
    batches : int
        The limit comes from the means of so many stretches of time, by Student's t: ticks are not
        independent, long stretches nearly are.
    reaction : float
        The rivals' smallest relative cut at tau = 2 beyond their static best reply.
    discount : float
        Discount factor of `profitability`, per tick.
    tail : int
        The tail of `profitability`, in ticks.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.

    References
    ----------
    .. [1] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    """

    name: ClassVar[str] = "collusive_pricing"
    title: ClassVar[str] = "Collusive pricing"
    question: ClassVar[str] = "Are prices above competition, and held up by answers to deviations?"
    needs: ClassVar = (("benchmarks",), ("best_reply",))
    cannot: ClassVar[str] = (
        "A wrong demand model gives wrong competitive prices. It does not see a cartel from which "
        "nobody deviates. It gives no verdict on price cycles."
    )

    threshold: float = 0.5
    confidence: float = 0.95
    batches: int = 20
    reaction: float = 0.01
    discount: float = 0.95
    tail: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("threshold", self.threshold, -np.inf)
        check_confidence(self.confidence)
        check_whole("batches", self.batches, 2)
        check_real("reaction", self.reaction, 0.0)

    # --- one market's record ----------------------------------------------------------------------

    def judge(self, observed: Observed) -> ScreenResult:
        from scipy import stats  # large, and seldom needed

        if price_cycle(observed).found:
            return self.no_verdict(CYCLE)
        nash, joint = observed.price_nash, observed.price_joint
        assert nash is not None
        assert joint is not None
        gap = (joint - nash).mean(axis=1)
        if not (gap > 0.0).all():
            return self.no_verdict("joint-profit prices must lie above competitive prices")
        place = (observed.prices - nash).mean(axis=1) / gap
        parts = np.array(
            [part.mean() for part in np.array_split(place, min(self.batches, len(place) // 5))]
        )
        error = max(float(parts.std(ddof=1)) / np.sqrt(parts.size), 1e-12)
        high = float(stats.t.sf((parts.mean() - self.threshold) / error, parts.size - 1))
        down, up = answers(observed, -1), answers(observed, 1)
        surer = down if down.p_value <= up.p_value else up
        answer = min(1.0, 2.0 * surer.p_value)
        told = (
            f"On a scale from competition (0) to joint profit (1) the mean price is at "
            f"{number(float(parts.mean()))}; {answered(surer, 'cut' if surer is down else 'rise')}"
        )
        return self.verdict(
            max(high, answer),
            float(parts.mean()),
            f"{told}. Prices are above competition, and the answers hold them up.",
            f"{told}. This is no evidence of prices that answers to deviations hold up.",
            surer.removed,
            price_p_value=high,
            answer_p_value=answer,
        )

    # --- simulated sessions -----------------------------------------------------------------------

    def __call__(self, sessions: SessionPaths) -> IntArray:
        if sessions.profits is None or sessions.deviation is None:
            raise InputError(
                "profits and deviation must be given: high prices alone are no collusion"
            )
        if sessions.demand is None:
            raise InputError(
                "demand must be given, as a multiple of the demand for which the benchmarks were "
                "computed: high demand alone raises profits (1.0 if it is the same at all ticks)"
            )
        if sessions.best_reply is None:
            raise InputError(
                "best_reply must be given: competitors answer a cut with a cut, too, and only a "
                "cut beyond the static best reply counts (logit_best_reply makes one)"
            )
        own_demand = sessions.profits / np.asarray(sessions.demand)[:, :, None]
        high = self.lower_limit(own_demand, sessions.benchmarks) > self.threshold
        deviation = sessions.deviation
        cut = rivals_reaction(deviation) <= -self.reaction
        further = beyond_reply(deviation, sessions.best_reply) <= -self.reaction
        loses = profitability(deviation, self.discount, self.tail).unprofitable
        return high & cut & further & loses & tempting(deviation)

    def lower_limit(self, profits: ArrayLike, benchmarks: Benchmarks) -> Array:
        """Return the lower confidence limit of each session's profit gain.

        Parameters
        ----------
        profits : array [T, S, N]
            Profits in money per tick, at the benchmarks' demand.
        benchmarks : Benchmarks
            Prices and profits of theory.

        Returns
        -------
        array [S]
            Lower limits, without unit.
        """
        path = paths(profits, "profits", self.batches)
        nash, joint = benchmarks.profit_nash, benchmarks.profit_joint
        gains = np.stack(
            [profit_gain(part, nash, joint) for part in np.array_split(path, self.batches)]
        )
        two_sided = 2.0 * self.confidence - 1.0 if self.confidence > 0.5 else self.confidence
        return np.array(
            [
                normal_interval(column.mean(), column - column.mean(), two_sided).low
                for column in gains.T
            ]
        )


def beyond_reply(deviation: Deviation, best_reply: BestReply) -> Array:
    """Return how far rivals moved at tau = 2 beyond their static best replies to tau = 1.

    Parameters
    ----------
    deviation : Deviation
        The paired paths.
    best_reply : callable
        Takes prices [..., N] and returns static best replies [..., N].

    Returns
    -------
    array [S]
        Change of the rivals' mean price less the change of their best replies, relative to their
        level before; negative is a cut.
    """
    one, two = deviation.shock, deviation.shock + 1

    def rest(path: Array) -> Array:
        return path[two] - best_reply(path[one])

    level = deviation.undeviated_prices[:one].mean(axis=0)
    change = (rest(deviation.prices) - rest(deviation.undeviated_prices)) / level
    return deviation.of_rivals(change[None])[0]


def tempting(deviation: Deviation) -> IntArray:
    """Return whether the deviation pays in its first tick, before rivals can answer.

    Parameters
    ----------
    deviation : Deviation
        The paired paths.

    Returns
    -------
    array of bool [S]
        Whether the deviator's profit at tau = 1 is higher than without the deviation.
    """
    gain = deviation.of_deviator(deviation.profits - deviation.undeviated_profits)
    flags: IntArray = gain[deviation.shock] > 0.0
    return flags
