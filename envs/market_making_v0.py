"""Market making: dealers quote bid and ask, live on the spread and bear the inventory.

At every tick each agent sets, for each asset, the middle of its quotes relative to the mid price,
and their spread; orders trade with the best quote first, the less likely the farther it is from
the mid. `parallel_env()` gives the preset `market_making`; any other scenario of two-sided quotes
can be played by its name or path.

What `maker_1` sees and decides by default; `env.unwrapped.spaces_table("maker_1")` prints it for
any other configuration.

observation:
index  name        range        unit            meaning
0-4    own_ask     [-inf, inf]  money per unit  own ask in force
5-9    own_sold    [0, inf]     units           own units sold, last tick
10-14  own_bid     [-inf, inf]  money per unit  own bid in force
15-19  own_bought  [0, inf]     units           own units bought, last tick
20-24  exposure    [0, inf]     looks           looks at (or orders for) the instrument, last tick
25-29  inventory   [-inf, inf]  units           own inventory
30     cash        [-inf, inf]  money           own cash
31-35  cost        [0, inf]     money per unit  own unit cost (a bidder's value of the item)
36-40  reference   [-inf, inf]  money per unit  reference or mid price
41-50  rival_ask   [-inf, inf]  money per unit  rivals' public asks
51-60  rival_bid   [-inf, inf]  money per unit  rivals' public bids
61-70  rival_open  [0, 1]       0 or 1          1 if the rival quotes (mask)
71     clock       [0, 1]       1               share of the horizon that has passed

action:
index     name    range      unit            meaning
0-8 by 2  offset  [-5, 5]    money per unit  middle of the quotes less the mid price
1-9 by 2  spread  [0.01, 3]  money per unit  ask less bid
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.market_env import MarketEnv, preset_env
from mos_agents.scenarios import Scenario


def parallel_env(
    makers: int | None = None,
    assets: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    levels: int | tuple[int, int] = 5,
    **settings: Any,
) -> MarketEnv:
    """Return the market as a PettingZoo `ParallelEnv`.

    Parameters
    ----------
    makers : int, optional
        How many dealers.
    assets : int or list of str, optional
        How many assets, or their names.
    scenario : str or Scenario, optional
        A preset's name, a path or a `Scenario`, in place of the preset `market_making`.
    levels : int or tuple of int, optional
        Size of the grid: so many offsets, equally spaced within half of the largest spread, each
        with so many spreads; or a pair (offsets, spreads).
    **settings
        Those of `MarketEnv`, but for `band`; and any other setting of the scenario, by its path
        with `__` for the dot: `parallel_env(arrivals__mu=40.0)`.

    Returns
    -------
    MarketEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    counts = {"makers": makers, "assets": assets}
    return preset_env(
        "market_making", scenario, counts, {"levels": levels, **settings}, without=("band",)
    )


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
