"""The stages that a market has where none are named."""

from __future__ import annotations

from typing import Any

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.market import Market
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.rewards import Objective
from mos_agents.market.schedules import Simultaneous
from mos_agents.market.stages import ExecutionRule
from mos_agents.market.types import Layout


def make_market(
    layout: Layout, catalogue: Catalogue, execution: ExecutionRule, **others: Any
) -> Market:
    """Make a market, with default stages where none are given.

    Parameters
    ----------
    layout
        Who sells what.
    catalogue
        Costs, reference prices, qualities and stocks of the listings.
    execution
        How arrivals become trades.
    **others
        The other stages and numbers of a `Market`. By default prices are posted by everybody at
        every tick, a fixed mass of demand arrives, a ledger keeps positions, fundamentals do not
        move, participants see the whole market, and the reward is the profit.

    Raises
    ------
    InputError
        If the stages do not fit together.
    """
    stages: dict[str, Any] = {
        "quotes": PostedPrice,
        "schedule": Simultaneous,
        "arrivals": FixedMass,
        "positions": Ledger,
        "reference": Fundamentals,
        "observations": MarketView,
        "rewards": Objective,
    }
    default = {name: make() for name, make in stages.items() if name not in others}
    return Market(layout, catalogue, execution, **default, **others)
