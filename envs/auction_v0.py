"""Sealed-bid auctions: bidders who know only their own value of an item bid against each other.

At every tick each item goes to the highest bid of at least the reserve, at its price (first-price)
or at the next bid (second-price, `execution__price="second"`); values are private and drawn anew.
`parallel_env()` gives the preset `auction`; any other scenario of sealed bids can be played by its
name or path.

What `bidder_1` sees and decides by default; `env.unwrapped.spaces_table("bidder_1")` prints it for
any other configuration.

observation:
index  name        range        unit            meaning
0      own_bid     [-inf, inf]  money per unit  own standing bid
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

from collections.abc import Mapping, Sequence
from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.assignment import described
from envs.market_env import MarketEnv
from mos_agents.scenarios import Scenario


def parallel_env(
    bidders: int | None = None,
    items: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    agents: Sequence[str] | None = None,
    actions: str = "continuous",
    levels: int = 21,
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
    bidders : int, optional
        How many bidders.
    items : int or list of str, optional
        How many items are auctioned at every tick, or their names.
    scenario : str or Scenario, optional
        A preset's name, a path or a `Scenario`, in place of the preset `auction`.
    agents : sequence of str, optional
        The participants that are controlled by the caller; by default all.
    actions : {"continuous", "discrete"}, optional
        Numbers in units of money, or positions in a grid.
    levels : int, optional
        Size of the grid of bids, equally spaced.
    band : tuple of float, optional
        Lowest and highest bid of the grid, as multiples of the item's reference price,
        which is the mean value.
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
    chosen = {"bidders": bidders, "items": items, **settings}
    source = described("auction", scenario, chosen, parallel_env)
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
        name="auction_v0",
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
