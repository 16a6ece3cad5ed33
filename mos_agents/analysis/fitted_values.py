"""Values of recorded situations and actions, fitted by regression for `doubly_robust`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.ope_weights import numbers, table
from mos_agents.market.types import Array, InputError


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
    rewards = table(reward, "reward")
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


def _features(values: ArrayLike, leading: tuple[int, ...], further: int, name: str) -> Array:
    array = numbers(values, name)
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
