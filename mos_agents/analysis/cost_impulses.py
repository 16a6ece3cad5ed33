"""The causal measure of price wars where nobody knows the trials: own cost shocks in their place.

In observed prices nobody says which price was a trial. But a cost that moves for one firm alone
makes that firm change its price, and gives its rivals no other reason to change theirs. So the
ticks after a lone fall of one firm's cost are compared with calm ticks, as `war_effect` compares
the ticks after trials. Where the data cannot tell, the answer is a refusal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import like, paths
from mos_agents.analysis.price_wars import price_gap
from mos_agents.analysis.trial_wars import WarEffectDefinition
from mos_agents.analysis.war_effects import DIRECTIONS, WarEffect, effect_of
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError, IntArray

WEAK = 10.0
"""The least F statistic of the own price on the own cost (Staiger and Stock 1997)."""


LASTING = 0.25
"""Share of lasting shocks above which prices are compared with `price_nash` only. Of two firms
whose costs also move together it is not always clear whose shock it was."""


class NotIdentified(InputError):
    """The data cannot tell whether one firm's price change causes price wars."""


def observed_war_effect(
    prices: ArrayLike,
    cost: ArrayLike | None,
    p_n: ArrayLike,
    p_m: ArrayLike,
    definition: WarEffectDefinition | None = None,
    *,
    price_nash: ArrayLike | None = None,
    size: float = 0.1,
    fewest: int = 10,
    direction: str = "low",
) -> WarEffect:
    """Compare the ticks after lone own cost shocks with calm ticks, session by session.

    An own cost shock is a change of one firm's cost, less the median change of its rivals' costs. A
    shock that is undone before the comparison begins (see `first` in `WarEffectDefinition`) counts
    once. After a lasting one competitive prices move too: then `price_nash` is needed, and wars are
    falls of prices below it.

    Parameters
    ----------
    prices, cost : array [T, S, N]
        Prices and costs in money per unit. Cost None is refused.
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices. Only p_M - p_N matters, as the yardstick.
    definition : WarEffectDefinition, optional
        What counts as a war.
    price_nash : array [T, S, N], optional
        Competitive prices at each tick's own costs, in money per unit.
    size : float, optional
        Least own cost shock, as a share of p_M - p_N.
    fewest : int, optional
        Least number of lone shocks in all sessions.
    direction : {"low", "high"}, optional
        Falls or rises of the cost.

    Returns
    -------
    WarEffect
        As `war_effect`, with lone shocks in the place of lone trials.

    Raises
    ------
    NotIdentified
        One line, if costs are missing, constant or common to all firms, if lone shocks are too few
        or lasting, or if firms' prices do not follow their own costs (too small an F
        statistic [1]_).
    InputError
        If shapes do not match.

    References
    ----------
    .. [1] Staiger, D. and Stock, J. H. (1997). Instrumental variables regression with weak
           instruments. Econometrica 65(3).
    """
    rule = definition or WarEffectDefinition()
    price = paths(prices, "prices", rule.level + rule.horizon + 1)
    _, sessions, firms = price.shape
    if direction not in DIRECTIONS:
        raise InputError(f"direction={direction!r} must be one of {DIRECTIONS}")
    check_real("size", size, 0.0, above=True)
    check_whole("fewest", fewest, 1)
    if firms < 2:
        raise NotIdentified("prices of 1 firm: nobody is there to answer it")
    if cost is None:
        raise NotIdentified(
            "costs are missing: without trials or own cost shocks nothing tells a price war from "
            "a common shock; give each firm's cost"
        )
    costs = like(cost, "cost", price, "prices")
    gap = price_gap(p_n, p_m, sessions, firms)
    own = own_changes(costs)
    if not (np.diff(costs, axis=0) != 0.0).any():
        raise NotIdentified("costs never change: no firm's price moves for a reason of its own")
    large = np.abs(own) >= size * gap[:, None] * (1.0 - 1e-9)
    if not large.any():
        raise NotIdentified(
            f"costs move for all firms together: no own cost shock reaches {size:g} (p_M - p_N)"
        )
    shocks, lasting = first_shocks(own, large, rule.first)
    if price_nash is None and lasting > LASTING:
        raise NotIdentified(
            f"{lasting:.0%} of the own cost shocks last {rule.first} ticks or more, and then "
            "competitive prices move too; give price_nash, the competitive prices at each tick's "
            "costs"
        )
    check_strength(price, own)
    net = price
    if price_nash is not None:
        theory = like(price_nash, "price_nash", price, "prices")
        net = price - theory + theory.mean(axis=0)
    rows = np.ascontiguousarray(np.swapaxes(net, 0, 1))
    tries = np.ascontiguousarray(np.swapaxes(shocks, 0, 1))
    sign = np.ascontiguousarray(np.swapaxes(np.sign(own), 0, 1)).astype(np.int8)
    found = effect_of(rows, tries, sign, gap, rule, direction)
    if (count := int(found.trials.sum())) < fewest:
        raise NotIdentified(
            f"{count} lone own cost shocks are too few, at least {fewest} are needed: longer "
            "records, or a smaller size"
        )
    return found


def own_changes(costs: Array) -> Array:
    """[T, S, N] change of each firm's cost, less the median change of its rivals'."""
    change = np.zeros(costs.shape)
    change[1:] = np.diff(costs, axis=0)
    firms = costs.shape[2]
    own = np.empty(costs.shape)
    for i in range(firms):
        own[:, :, i] = change[:, :, i] - np.median(np.delete(change, i, axis=2), axis=2)
    # Of two firms one moves and the other stands still; the shock is that of the firm that moves.
    own[np.abs(change) < 0.5 * np.abs(own)] = 0.0
    return own


def first_shocks(own: Array, large: IntArray, within: int) -> tuple[IntArray, float]:
    """[T, S, N] where shocks begin, and the share of them that last `within` ticks or more.

    A change that undoes the firm's shock of fewer than `within` ticks before belongs to it.
    """
    shocks = large.copy()
    lasting = count = 0
    for s, i in np.ndindex(*own.shape[1:]):
        open_at, size = -within, 0.0
        undone = True
        for t in np.flatnonzero(large[:, s, i]):
            change = own[t, s, i]
            if t - open_at < within and abs(size + change) < 0.5 * abs(size):
                shocks[t, s, i], undone = False, True
                open_at = -within
                continue
            lasting += not undone
            count += 1
            open_at, size, undone = int(t), change, False
        lasting += not undone
    return shocks, lasting / max(count, 1)


def check_strength(price: Array, own: Array) -> None:
    """NotIdentified unless a firm's price, against its rivals', follows its own cost."""
    firms = price.shape[2]
    change = np.diff(price, axis=0)
    rivals = (change.sum(axis=2, keepdims=True) - change) / (firms - 1)
    y, x = (change - rivals).ravel(), own[1:].ravel()
    y, x = y - y.mean(), x - x.mean()
    slope = float(x @ y / (x @ x))
    rest = y - slope * x
    error = float(np.sqrt(rest @ rest / max(x.size - 2, 1) / (x @ x)))
    strength = (slope / error) ** 2 if error > 0.0 else np.inf
    if slope <= 0.0 or strength < WEAK:
        raise NotIdentified(
            f"prices do not follow own costs (slope {slope:.2g}, F = {strength:.1f}, at least "
            f"{WEAK:g} is needed): a cost shock moves nothing that rivals could answer"
        )
