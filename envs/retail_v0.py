"""Retail pricing: a platform sells beside competitor firms, and each decides its own prices.

At every tick all agents post a price for each of their products; shoppers browse a few products,
compare the sellers and buy or leave. `parallel_env()` gives the preset `retail`; any scenario of
posted prices can be played by its name or path, such as `parallel_env(scenario="autos_1990")`.

What `firm_1` sees and decides by default; `env.unwrapped.spaces_table("firm_1")` prints it for
any other configuration.

observation:
index   name        range        unit            meaning
0-9     own_ask     [0, inf]     money per unit  own ask in force
10-19   own_sold    [0, inf]     units           own units sold, last tick
20-29   exposure    [0, inf]     looks           looks at (or orders for) the instrument, last tick
30-39   inventory   [-inf, inf]  units           own inventory
40      cash        [-inf, inf]  money           own cash
41-50   cost        [0, inf]     money per unit  own unit cost (a bidder's value of the item)
51-60   reference   [-inf, inf]  money per unit  reference or mid price
61-80   rival_ask   [0, inf]     money per unit  rivals' public asks
81-100  rival_open  [0, 1]       0 or 1          1 if the rival quotes (mask)
101     clock       [0, 1]       1               share of the horizon that has passed

action:
index  name   range         unit            meaning
0-9    price  [0.01, 1000]  money per unit  own price
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.market_env import MarketEnv, preset_env
from mos_agents.scenarios import Scenario


def parallel_env(
    firms: int | None = None,
    products: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    **settings: Any,
) -> MarketEnv:
    """Return the market as a PettingZoo `ParallelEnv`.

    Parameters
    ----------
    firms : int, optional
        Competitors beside the platform.
    products : int or list of str, optional
        How many products, or their names.
    scenario : str or Scenario, optional
        A preset's name, a path or a `Scenario`, in place of the preset `retail`.
    **settings
        Those of `MarketEnv`; and any other setting of the scenario, by its path with `__` for
        the dot: `parallel_env(arrivals__sessions=50)`.

    Returns
    -------
    MarketEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    counts = {"firms": firms, "products": products}
    return preset_env("retail", scenario, counts, settings)


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
