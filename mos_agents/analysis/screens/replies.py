"""Static best replies from a demand model, for screens that compare observed answers with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite
from mos_agents.analysis.screens.observed import BestReply
from mos_agents.market.checks import check_real
from mos_agents.market.types import Array


def logit_best_reply(
    quality: ArrayLike, cost: ArrayLike, scale: float, outside: ArrayLike = 0.0
) -> BestReply:
    """Return the static best reply of firms with one product each under logit demand.

    With D the rivals' and the outside option's weights, the best reply is
    p = c + scale (1 + W(exp((a - c) / scale - 1) / D)), W being Lambert's function.

    Parameters
    ----------
    quality : array, broadcasts to [..., N]
        a, in money.
    cost : array, broadcasts to [..., N]
        c, in money.
    scale : float
        The logit's scale, in money per util, > 0.
    outside : array, broadcasts to [..., 1]
        Value of buying nothing, in money.

    Returns
    -------
    callable
        Takes prices [..., N] and returns best replies [..., N].
    """
    from scipy import special  # large, and seldom needed

    value, unit_cost = finite(quality, "quality"), finite(cost, "cost")
    nothing = finite(outside, "outside")
    check_real("scale", scale, 0.0, above=True)

    def reply(prices: Array) -> Array:
        heights = (value - np.asarray(prices)) / scale
        peak = np.maximum(heights.max(axis=-1, keepdims=True), nothing / scale)
        weights = np.exp(heights - peak)
        zero = np.exp(nothing / scale - peak)
        others = weights.sum(axis=-1, keepdims=True) - weights + zero
        # W(exp(x)) is Wright's omega function, which does not overflow.
        x = (value - unit_cost) / scale - 1.0 - peak - np.log(others)
        best: Array = unit_cost + scale * (1.0 + special.wrightomega(x))
        return best

    return reply
