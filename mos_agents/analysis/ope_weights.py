"""Weights of recorded decisions in off-policy evaluation, and whether to believe them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.types import Array, InputError

MINIMUM_ESS = 30.0  # below some thirty episodes' worth of weight no interval below is honest
FAR = 5.0  # standard errors by which the mean ratio of a decision may miss 1


class OverlapError(InputError):
    """The record hardly shows what the target would do, so that no estimate can be made from it."""


Sizes = tuple[int, float, float, float]  # of `PolicyValueEstimate`: episodes to mean_weight


def weigh(
    reward: ArrayLike, behaviour: ArrayLike, target: ArrayLike, minimum_ess: float
) -> tuple[Array, Array, Sizes]:
    """Rewards and cumulative weights [E, T], and what the estimate rests on."""
    rewards = table(reward, "reward")
    played, aimed = like(rewards, behaviour, "behaviour"), like(rewards, target, "target")
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
    if minimum_ess > 0.0:
        _check_overlap(sizes, float(weights[:, -1].max()), ratios, minimum_ess)
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


def table(values: ArrayLike, name: str) -> Array:
    """Values [E] or [E, T] as finite floats [E, T], or InputError."""
    found = numbers(values, name)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or not found.size:
        raise InputError(f"{name} has shape {found.shape}, must be [episodes] or [episodes, ticks]")
    if not np.isfinite(found).all():
        raise InputError(
            f"{name} has {int((~np.isfinite(found)).sum())} values that are not finite"
        )
    return found


def like(rewards: Array, values: ArrayLike, name: str) -> Array:
    """Values as `table` gives them, of the shape of the rewards, or InputError."""
    found = table(values, name)
    if found.shape != rewards.shape:
        raise InputError(f"{name} has shape {found.shape}, must be {rewards.shape} like reward")
    return found


def numbers(values: ArrayLike, name: str) -> Array:
    """Values as an array of floats, or InputError."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, all rows alike") from None
