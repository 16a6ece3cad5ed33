"""The markets of the papers on learning sellers: a product of each firm, and any price goes.

A unit of consumers, their average demand, no limit to prices but zero, nothing left to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.execution import Expected
from mos_agents.market.market import Market
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.stages import Demand
from mos_agents.market.types import Layout


def free_prices(
    firms: int | Sequence[str],
    demand: Demand,
    cost: ArrayLike,
    opening: ArrayLike,
    quality: ArrayLike = 0.0,
    **parts: Any,
) -> Market:
    """firms: how many, or their names. cost, opening price and quality: one number, or one a firm.

    parts: of `Market`, in place of its own; `name`, `schedule`.
    """
    names = [f"firm_{i + 1}" for i in range(firms)] if isinstance(firms, int) else list(firms)
    ones = np.ones(len(names))
    return make_market(
        layout=Layout.dense(names, ["product"], ["firm"] * len(names)),
        catalogue=Catalogue(*(np.asarray(one) * ones for one in (cost, opening, quality, np.inf))),
        execution=Expected(demand),
        quotes=PostedPrice(
            # Prices far below cost are allowed: the algorithms find out by themselves.
            tick_size=0.0,
            min_margin=-1.0 + 1e-9,
            max_relative_change=np.inf,
            low=0.0,
            high=1e7,
        ),
        arrivals=FixedMass(1.0),
        **parts,
    )
