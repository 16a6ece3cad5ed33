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

from mos_agents.analysis.statistics import (
    Interval,
    bootstrap_interval,
    check_confidence,
    check_resamples,
    normal_interval,
)
from mos_agents.market.frames import Framed
from mos_agents.market.types import Array, InputError

MINIMUM_ESS = 30.0  # below some thirty episodes' worth of weight no interval below is honest
FAR = 5.0  # standard errors by which the mean ratio of a decision may miss 1


class OverlapError(InputError):
    """The record hardly shows what the target would do, so that no estimate can be made from it."""


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
    rewards, weights, sizes = _weighed(reward, behaviour, target, rule)
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
    rewards, weights, sizes = _weighed(reward, behaviour, target, rule)
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
    rewards, weights, sizes = _weighed(reward, behaviour, target, rule)
    action_values, state_values = _like(rewards, q, "q"), _like(rewards, v, "v")
    following = np.zeros_like(state_values)
    following[:, :-1] = state_values[:, 1:]
    surprise = rewards + rule.discount * following - action_values
    scores = state_values[:, 0] + (_discounts(rewards, rule) * weights * surprise).sum(axis=1)
    return _of_means("doubly robust", scores, sizes, rule)


def fit_values(
    reward: ArrayLike,
    features: ArrayLike,
    menu_features: ArrayLike,
    menu_chances: ArrayLike,
    *,
    discount: float = 1.0,
    folds: int = 5,
    ridge: float = 1e-6,
) -> tuple[Array, Array]:
    """Fit q and v for `doubly_robust`: ridge regressions, tick by tick from the last one back.

    An episode's values come from regressions on the other folds' episodes, as the unbiasedness of
    the estimate needs; fold f holds episodes f, f + folds, ...

    Parameters
    ----------
    reward : array [E, T]
        Rewards.
    features : array [E, T, F]
        Features of what was seen and done.
    menu_features : array [E, T, S, F]
        Features of what was seen and each of S actions.
    menu_chances : array [E, T, S]
        The target's probabilities of these actions, which sum to 1.
    discount : float, optional
        Discount factor per tick, in [0, 1].
    folds : int, optional
        Number of folds, 2 to E.
    ridge : float, optional
        Penalty of the regressions, >= 0.

    Returns
    -------
    tuple of array [E, T]
        q and v.

    Raises
    ------
    InputError
        If shapes do not fit, or the chances are no probabilities of all actions.
    """
    rewards = _table(reward, "reward")
    taken = _features(features, rewards.shape, 1, "features")
    offered = _features(menu_features, rewards.shape, 2, "menu_features")
    chances = _features(menu_chances, rewards.shape, 1, "menu_chances")
    if offered.shape[2:] != (chances.shape[2], taken.shape[2]):
        raise InputError(
            f"menu_features has shape {offered.shape}, needs {chances.shape[2]} actions x "
            f"{taken.shape[2]} features, as menu_chances and features have"
        )
    total = chances.sum(axis=2)
    if (np.abs(total - 1.0) > 1e-6).any():
        raise InputError(
            f"menu_chances sum to {total.ravel()[np.abs(total - 1.0).argmax()]:g} somewhere, must "
            "sum to 1: the menu has to hold every action that the target may choose, once"
        )
    if (chances < 0.0).any():
        raise InputError(f"menu_chances={chances.min():g} must be >= 0: they are probabilities")
    if not 0.0 <= discount <= 1.0:
        raise InputError(f"discount={discount!r} must be in [0, 1]")
    if not 0.0 <= ridge < np.inf:
        raise InputError(f"ridge={ridge!r} must be >= 0")
    if not isinstance(folds, int | np.integer) or not 2 <= folds <= len(rewards):
        raise InputError(f"folds={folds!r} must be 2 to the number of episodes, {len(rewards)}")
    fold = np.arange(len(rewards)) % folds
    q, v = np.zeros_like(rewards), np.zeros_like(rewards)
    for f in range(folds):
        other, own = fold != f, fold == f
        following = np.zeros(len(rewards))
        for t in range(rewards.shape[1] - 1, -1, -1):
            outcome = rewards[other, t] + discount * following[other]
            weights = _ridge(taken[other, t], outcome, ridge)
            following = np.einsum("es,esf,f->e", chances[:, t], offered[:, t], weights)
            q[own, t] = taken[own, t] @ weights
            v[own, t] = following[own]
    return q, v


def _ridge(features: Array, outcome: Array, ridge: float) -> Array:
    penalty = ridge * len(features) * np.eye(features.shape[1])
    try:
        solved = np.linalg.solve(features.T @ features + penalty, features.T @ outcome)
    except np.linalg.LinAlgError:
        raise InputError(
            f"ridge={ridge!r}: some features follow from others; leave them out, or raise ridge"
        ) from None
    return np.asarray(solved, dtype=np.float64)


# --- weights, and whether to believe them ---------------------------------------------------------


Sizes = tuple[int, float, float, float]  # of `PolicyValueEstimate`: episodes to mean_weight


def _weighed(
    reward: ArrayLike, behaviour: ArrayLike, target: ArrayLike, rule: EstimatorSettings
) -> tuple[Array, Array, Sizes]:
    """Rewards and cumulative weights [E, T], and what the estimate rests on."""
    rewards = _table(reward, "reward")
    played, aimed = _like(rewards, behaviour, "behaviour"), _like(rewards, target, "target")
    if played.min() <= 0.0:
        raise InputError(
            f"behaviour={played.min():g} must be > 0: an action that was taken had some chance; "
            "record the propensity of the policy that played"
        )
    if aimed.min() < 0.0:
        raise InputError(f"target={aimed.min():g} must be >= 0: it is a probability or a density")
    with np.errstate(over="ignore", invalid="ignore"):
        ratios = aimed / played
        weights: Array = np.cumprod(ratios, axis=1, dtype=np.float64)
    if not weights.max() < 1e150:  # squared it would be infinite; not a number is no weight either
        raise OverlapError(
            f"overlap: the largest weight is {weights.max():.3g}: propensities of target and "
            "behaviour are too far apart, or not in the same units; check both"
        )
    sizes = _sizes(weights[:, -1])
    if rule.minimum_ess > 0.0:
        _check_overlap(sizes, float(weights[:, -1].max()), ratios, rule.minimum_ess)
    return rewards, weights, sizes


def _sizes(weights: Array) -> Sizes:
    """Episodes, effective sample size, largest share and mean of the episodes' weights [E]."""
    total, squares = float(weights.sum()), float((weights**2).sum())
    effective = total * total / squares if squares > 0.0 else 0.0
    largest = float(weights.max()) / total if total > 0.0 else 1.0
    return weights.size, effective, largest, total / weights.size


def _check_overlap(sizes: Sizes, largest: float, ratios: Array, minimum: float) -> None:
    """OverlapError if too few episodes carry the weight, or weight is missing altogether.

    Given what came before, each decision's ratio has mean 1 under the behaviour: were it not for
    actions that the behaviour never takes, and for propensities that are not the policies' own.
    Single ratios are looked at because their products have tails too long for any such test.
    """
    episodes, effective, share, _ = sizes
    facts = (
        f"effective sample size {effective:.1f} of {episodes} episodes, largest weight "
        f"{largest:.3g} ({100 * share:.1f}% of all)"
    )
    if effective < minimum:
        raise OverlapError(
            f"overlap: {facts}; at least {minimum:g} are needed: record more episodes, let the "
            "behaviour explore more, evaluate a target nearer to it, or shorten the episodes"
        )
    mean = float(ratios.mean())
    error = float(np.sqrt(((ratios - 1.0) ** 2).mean() / ratios.size))
    if abs(mean - 1.0) > max(FAR * error, 1e-6):
        raise OverlapError(
            f"overlap: {facts}; target over behaviour averages {mean:.3g} and must be near 1: the "
            "target does what the behaviour never does, or the propensities are not these "
            "policies' own; let the behaviour explore all that the target may do, and check both"
        )


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


def _table(values: ArrayLike, name: str) -> Array:
    table = _numbers(values, name)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size:
        raise InputError(f"{name} has shape {table.shape}, must be [episodes] or [episodes, ticks]")
    if not np.isfinite(table).all():
        raise InputError(
            f"{name} has {int((~np.isfinite(table)).sum())} values that are not finite"
        )
    return table


def _like(rewards: Array, values: ArrayLike, name: str) -> Array:
    table = _table(values, name)
    if table.shape != rewards.shape:
        raise InputError(f"{name} has shape {table.shape}, must be {rewards.shape} like reward")
    return table


def _features(values: ArrayLike, leading: tuple[int, ...], further: int, name: str) -> Array:
    array = _numbers(values, name)
    if array.ndim == 1 + further and leading[1] == 1:
        array = array[:, None]
    if array.ndim != 2 + further or array.shape[:2] != leading:
        raise InputError(
            f"{name} has shape {array.shape}, must begin with {leading} = (episodes, ticks) and "
            f"have {further} more dimension{'s' if further > 1 else ''}"
        )
    if not np.isfinite(array).all():
        raise InputError(
            f"{name} has {int((~np.isfinite(array)).sum())} values that are not finite"
        )
    return array


def _numbers(values: ArrayLike, name: str) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, all rows alike") from None
