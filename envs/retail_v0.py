"""Retail pricing: a platform sells beside competitor firms, and each decides its own prices.

At every tick all agents post a price for each of their products; shoppers browse a few products,
compare the sellers and buy or leave. `parallel_env()` gives the preset `retail`; any scenario of
posted prices can be played by its name or path, such as `parallel_env(scenario="autos_1990")`.

What `firm_1` sees and decides by default; `env.unwrapped.spaces_table("firm_1")` prints it for
any other configuration.

observation:
index   name        range        unit            meaning
0-9     own_ask     [0, inf]     money per unit  own standing ask
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

from collections.abc import Mapping, Sequence
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.assignment import described
from envs.market_env import MarketEnv
from mos_agents.scenarios import Scenario


def parallel_env(
    firms: int | None = None,
    products: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    agents: Sequence[str] | None = None,
    actions: str = "continuous",
    levels: int = 15,
    band: tuple[float, float] | None = None,
    grid: Any = None,
    horizon: int | None = None,
    max_cycles: int | None = None,
    weights: Mapping[str, float] | None = None,
    policies: Mapping[str, Any] | None = None,
    render_mode: str | None = None,
    number: int = 0,
    seed: int | None = None,
    dtype: str = "float64",
    reveal: bool = True,
    infos: bool = True,
    runtime: str = "local",
    deadline: float | None = None,
    keep_memories: bool = False,
    on_fault: str = "raise",
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
    agents : sequence of str, optional
        The participants that are controlled by the caller; by default all.
    actions : {"continuous", "discrete"}, optional
        Numbers in units of money, or positions in a grid.
    levels : int, optional
        Size of the grid of prices, equally spaced.
    band : tuple of float, optional
        Lowest and highest price of the grid, as multiples of the reference price.
    grid : array or mapping, optional
        The grid itself, in place of `levels`.
    policies : mapping of str to Policy, optional
        Policies of the hosted participants, over the scenario's own.
    horizon, max_cycles : int, optional
        Ticks in an episode, in place of the market's. Two names for one setting.
    weights : mapping of str to float, optional
        Weights of the objective, in place of the market's.
    render_mode : {"human", "rgb_array"}, optional
        What `render` returns.
    number : int, optional
        Which market of a seed this is: market m of a batch is the one with number=m.
    seed : int, optional
        Seed of the first episode if `reset` names none.
    dtype : {"float64", "float32"}, optional
        Type of the observations. The market is the same, to the bit.
    reveal : bool, optional
        Whether infos hold the true demand.
    infos : bool, optional
        False leaves the infos empty, as TorchRL's wrapper needs it.
    runtime : {"local", "actors", "ray"}, optional
        Where the hosted participants run: in this process, as actors here, or on a Ray cluster.
        The bits are the same.
    deadline : float, optional
        Seconds that a tick waits for actors, over Ray; None waits for ever.
    keep_memories : bool, optional
        Whether hosted participants keep their memory between episodes. Local runtime only.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What happens when a hosted policy fails; see `mos_agents.rollout.play`.
    **settings
        Any other setting of the scenario, by its path with `__` for the dot:
        `parallel_env(arrivals__sessions=50)`.

    Returns
    -------
    MarketEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    chosen = {"firms": firms, "products": products, **settings}
    source = described("retail", scenario, chosen, parallel_env)
    return MarketEnv(
        source,
        agents,
        actions=actions,
        levels=levels,
        band=band,
        grid=grid,
        policies=policies,
        horizon=horizon,
        max_cycles=max_cycles,
        weights=weights,
        render_mode=render_mode,
        number=number,
        seed=seed,
        dtype=dtype,
        reveal=reveal,
        infos=infos,
        runtime=runtime,
        deadline=deadline,
        keep_memories=keep_memories,
        on_fault=on_fault,
        name="retail_v0",
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
"""PettingZoo's usual name; actions are checked by the environment, so that nothing is wrapped."""
