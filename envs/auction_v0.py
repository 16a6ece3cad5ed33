"""Sealed-bid auctions: bidders who know only their own value of an item bid against each other.

At every tick each item goes to the highest bid of at least the reserve, at its price (first-price)
or at the next bid (second-price, `execution__price="second"`); values are private and redrawn.
`parallel_env()` gives the preset `auction`; any other scenario of sealed bids can be played by its
name or path.

What `bidder_1` sees and decides by default; `env.unwrapped.spaces_table("bidder_1")` prints it for
any other configuration.

observation:
index  name        range        unit            meaning
0      own_bid     [-inf, inf]  money per unit  own bid in force
1      own_bought  [0, inf]     units           own units bought, last tick
2      exposure    [0, inf]     looks           looks at (or orders for) the instrument, last tick
3      inventory   [-inf, inf]  units           own inventory
4      cash        [-inf, inf]  money           own cash
5      cost        [0, inf]     money per unit  own unit cost (a bidder's value of the item)
6      reference   [-inf, inf]  money per unit  reference or mid price
7      clock       [0, 1]       1               share of the horizon that has passed

action:
index  name  range   unit            meaning
0      bid   [0, 1]  money per unit  own sealed bid
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.market_env import MarketEnv, preset_env
from mos_agents.scenarios import Scenario


def parallel_env(
    bidders: int | None = None,
    items: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    **settings: Any,
) -> MarketEnv:
    """Return the market as a PettingZoo `ParallelEnv`.

    Parameters
    ----------
    bidders : int, optional
        How many bidders.
    items : int or list of str, optional
        How many items are auctioned at every tick, or their names.
    scenario : str or Scenario, optional
        A preset's name, a path or a `Scenario`, in place of the preset `auction`.
    **settings
        Those of `MarketEnv` (`band` is in multiples of the mean value of an item); and any other
        setting of the scenario, by its path with `__` for the dot:
        `parallel_env(execution__reserve=0.2)`.

    Returns
    -------
    MarketEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    counts = {"bidders": bidders, "items": items}
    return preset_env("auction", scenario, counts, settings)


def raw_env(*arguments: Any, **settings: Any) -> AECEnv[str, Any, Any]:
    """Return the market in PettingZoo's other interface, where agents act one after another.

    All quotes of a tick still meet at once, after the last agent has acted.

    Parameters
    ----------
    *arguments, **settings
        As for `parallel_env`.

    Returns
    -------
    AECEnv
        The environment.
    """
    return parallel_to_aec(parallel_env(*arguments, **settings))


env = raw_env
"""`raw_env` under PettingZoo's usual name. The environment checks actions itself: no wrapper."""
