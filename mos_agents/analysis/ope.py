"""What would another policy have earned? An answer from the record of the one that played.

Every recorded action counts in proportion to how much likelier it was under the policy asked about
(the target) than under the one that played (the behaviour). That needs the real chance of the
action under both, and it works only where the behaviour now and then does what the target would do:
where it hardly ever does, the answer is refused.

Arrays are [E] for single decisions or [E, T] for E independent episodes of T ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.ope_weights import (
    MINIMUM_ESS,
    OverlapError,
    Sizes,
    like,
    weigh,
)
from mos_agents.analysis.statistics import (
    Interval,
    bootstrap_interval,
    check_confidence,
    check_resamples,
    normal_interval,
)
from mos_agents.market.frames import Framed
from mos_agents.market.types import Array, InputError


@dataclass(frozen=True)
class PolicyValueEstimate(Framed):
    """The target policy's expected discounted reward per episode, and what the estimate rests on.

    Parameters
    ----------
    method : str
        Name of the estimator.
    value : float
        The estimate, in units of reward.
    standard_error : float
        Its standard error.
    low, high : float
        Confidence limits.
    confidence : float
        Their confidence.
    episodes : int
        Number of episodes E.
    effective : float
        Effective sample size (sum w)^2 / sum w^2 of the episodes' weights [1]_.
    largest : float
        The largest share of one episode in the sum of weights.
    mean_weight : float
        Mean weight; 1 but for chance.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling. Wiley.
    """

    method: str
    value: float
    standard_error: float
    low: float
    high: float
    confidence: float
    episodes: int
    effective: float
    largest: float
    mean_weight: float

    def __str__(self) -> str:
        return (
            f"{self.method}: {self.value:.6g}, {100 * self.confidence:g}% interval "
            f"[{self.low:.6g}, {self.high:.6g}]; {self.episodes} episodes worth "
            f"{self.effective:.1f}, largest weight {100 * self.largest:.1f}% of all"
        )


@dataclass(frozen=True)
class EstimatorSettings:
    """How an estimate is made, and when it is refused.

    Parameters
    ----------
    discount : float
        Discount factor of the reward, per tick, in [0, 1].
    confidence : float
        Confidence of the interval, in (0, 1).
    interval : {"normal", "bootstrap"}
        From the spread of the episodes, or from resampling whole episodes.
    minimum_ess : float
        Smallest effective sample size; 0 refuses nothing.
    resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of the bootstrap.
    """

    discount: float = 1.0
    confidence: float = 0.95
    interval: str = "normal"
    minimum_ess: float = MINIMUM_ESS
    resamples: int = 2000
    seed: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> EstimatorSettings:
        """Settings by name; InputError for a name that is none."""
        known = [one.name for one in fields(cls)]
        for name in settings:
            if name not in known:
                raise InputError(f"{name}={settings[name]!r} is not a setting; they are {known}")
        return cls(**settings)

    def __post_init__(self) -> None:
        for name in ("discount", "minimum_ess"):
            if not isinstance(getattr(self, name), float | int | np.number):
                raise InputError(f"{name}={getattr(self, name)!r} must be a number")
        if not 0.0 <= self.discount <= 1.0:
            raise InputError(f"discount={self.discount!r} must be in [0, 1]")
        check_confidence(self.confidence)
        check_resamples(self.resamples)
        if not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise InputError(f"seed={self.seed!r} must be a whole number >= 0")
        if self.interval not in ("normal", "bootstrap"):
            raise InputError(f"interval={self.interval!r} must be 'normal' or 'bootstrap'")
        if not self.minimum_ess >= 0.0:
            raise InputError(f"minimum_ess={self.minimum_ess!r} must be >= 0; 0 refuses nothing")


def ips(
    reward: ArrayLike, behaviour: ArrayLike, target: ArrayLike, **settings: Any
) -> PolicyValueEstimate:
    """Estimate a policy's value by inverse propensity scoring, decision by decision [1]_.

    It is the mean over episodes of sum_t discount^t w_t r_t, with w_t the product of target over
    behaviour propensities up to t. It is unbiased; its spread grows with that of the weights.

    Parameters
    ----------
    reward : array [E] or [E, T]
        Rewards of E episodes of T ticks.
    behaviour : array like reward
        Propensities of the recorded actions under the policy that played, > 0.
    target : array like reward
        Propensities under the policy that is evaluated.
    **settings
        Fields of `EstimatorSettings`.

    Returns
    -------
    PolicyValueEstimate
        The estimate with its interval.

    Raises
    ------
    OverlapError
        If the record hardly shows what the target would do.
    InputError
        If a shape does not fit, or a number is no propensity.

    References
    ----------
    .. [1] Precup, D., Sutton, R. S. and Singh, S. (2000). Eligibility traces for off-policy policy
           evaluation. ICML.
    """
    rule = EstimatorSettings.of(settings)
    rewards, weights, sizes = weigh(reward, behaviour, target, rule.minimum_ess)
    scores = (_discounts(rewards, rule) * weights * rewards).sum(axis=1)
    return _of_means("IPS", scores, sizes, rule)


def snips(
    reward: ArrayLike, behaviour: ArrayLike, target: ArrayLike, **settings: Any
) -> PolicyValueEstimate:
    """Estimate a policy's value by self-normalised inverse propensity scoring [1]_.

    Each tick's weights are divided by their sum. It is slightly biased in small samples, steadier
    than `ips`, and unmoved by a constant in the reward.

    Parameters
    ----------
    reward : array [E] or [E, T]
        Rewards of E episodes of T ticks.
    behaviour : array like reward
        Propensities of the recorded actions under the policy that played, > 0.
    target : array like reward
        Propensities under the policy that is evaluated.
    **settings
        Fields of `EstimatorSettings`.

    Returns
    -------
    PolicyValueEstimate
        The estimate with its interval.

    Raises
    ------
    OverlapError
        If the record hardly shows what the target would do.
    InputError
        If a shape does not fit, or a number is no propensity.

    References
    ----------
    .. [1] Swaminathan, A. and Joachims, T. (2015). The self-normalized estimator for counterfactual
           learning. NeurIPS.
    """
    rule = EstimatorSettings.of(settings)
    rewards, weights, sizes = weigh(reward, behaviour, target, rule.minimum_ess)
    mean = weights.mean(axis=0)
    if (mean == 0.0).any():
        raise OverlapError("no recorded action is possible under the target: nothing to average")
    discounts = _discounts(rewards, rule)
    by_tick = (weights * rewards).mean(axis=0) / mean
    value = float((discounts * by_tick).sum())
    if rule.interval == "normal":
        influence = (discounts * weights * (rewards - by_tick) / mean).sum(axis=1)
        spread = normal_interval(value, influence, rule.confidence)
    else:
        ticks = rewards.shape[1]

        def ratio(*columns: Array, axis: int = -1) -> Any:
            means = [column.mean(axis=axis) for column in columns]
            return sum(d * means[t] / means[ticks + t] for t, d in enumerate(discounts))

        columns = (*(weights * rewards).T, *weights.T)
        spread = bootstrap_interval(columns, ratio, rule.confidence, rule.resamples, rule.seed)
    return _estimate("self-normalised IPS", value, spread, sizes, rule)


def doubly_robust(
    reward: ArrayLike,
    behaviour: ArrayLike,
    target: ArrayLike,
    q: ArrayLike,
    v: ArrayLike,
    **settings: Any,
) -> PolicyValueEstimate:
    """Estimate a policy's value from a model of values, corrected by weighted surprises [1]_.

    V = v(o_0) + sum_t discount^t w_t (r_t + discount v(o_{t+1}) - q(o_t, a_t)), equation 10 of
    [1]_. It is right on average whatever the model, and the better the model, the narrower. For
    single decisions this is the estimator of [2]_.

    Parameters
    ----------
    reward : array [E] or [E, T]
        Rewards of E episodes of T ticks.
    behaviour : array like reward
        Propensities of the recorded actions under the policy that played, > 0.
    target : array like reward
        Propensities under the policy that is evaluated.
    q : array [E, T]
        The model's reward from t on, given what was seen and done.
    v : array [E, T]
        Its average over the target's actions, given what was seen. `fit_values` gives both.
    **settings
        Fields of `EstimatorSettings`.

    Returns
    -------
    PolicyValueEstimate
        The estimate with its interval.

    Raises
    ------
    OverlapError
        If the record hardly shows what the target would do.
    InputError
        If a shape does not fit, or a number is no propensity.

    References
    ----------
    .. [1] Jiang, N. and Li, L. (2016). Doubly robust off-policy value evaluation for reinforcement
           learning. ICML.
    .. [2] Dudik, M., Langford, J. and Li, L. (2011). Doubly robust policy evaluation and learning.
           ICML.
    """
    rule = EstimatorSettings.of(settings)
    rewards, weights, sizes = weigh(reward, behaviour, target, rule.minimum_ess)
    action_values, state_values = like(rewards, q, "q"), like(rewards, v, "v")
    following = np.zeros_like(state_values)
    following[:, :-1] = state_values[:, 1:]
    surprise = rewards + rule.discount * following - action_values
    scores = state_values[:, 0] + (_discounts(rewards, rule) * weights * surprise).sum(axis=1)
    return _of_means("doubly robust", scores, sizes, rule)


def _of_means(
    method: str, scores: Array, sizes: Sizes, rule: EstimatorSettings
) -> PolicyValueEstimate:
    """The mean of the episodes' scores [E], with its interval."""
    value = float(scores.mean())
    if rule.interval == "normal":
        spread = normal_interval(value, scores - value, rule.confidence)
    else:
        spread = bootstrap_interval((scores,), np.mean, rule.confidence, rule.resamples, rule.seed)
    return _estimate(method, value, spread, sizes, rule)


def _estimate(
    method: str, value: float, spread: Interval, sizes: Sizes, rule: EstimatorSettings
) -> PolicyValueEstimate:
    return PolicyValueEstimate(
        method, value, spread.standard_error, spread.low, spread.high, rule.confidence, *sizes
    )


def _discounts(rewards: Array, rule: EstimatorSettings) -> Array:
    return rule.discount ** np.arange(rewards.shape[1], dtype=np.float64)
