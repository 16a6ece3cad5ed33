"""A marketplace: makers, firms and a platform, each an agent, in markets that feed one another.

Makers buy goods from producers and quote bid and ask in the wholesale venue. Firms order there and
sell to shoppers in the retail venue, on a platform that sets a fee and the weights of the offers
that it shows. Every role can be played from outside, and so can any subset;
the others play their own policies. `parallel_env()` gives the preset `marketplace`; any other
scenario of venues, such as `supply_chain`, can be played by its name or path.

What each role sees and decides by default; `env.unwrapped.spaces_table("firm_1")` prints it
for any other configuration. An action has as many numbers per slot as the widest slot needs; a row
named "-" is not read.

The platform:

observation:
index  name         range        unit            meaning
0      cash         [-inf, inf]  money           own cash
1-2    reference    [-inf, inf]  money per unit  reference or mid price
3-8    rival_ask    [-inf, inf]  money per unit  rivals' public asks
9-14   rival_open   [0, 1]       0 or 1          1 if the rival quotes (mask)
15     fee          [0, 1]       1               share of the money of trades that is charged
16     unit_fee     [-inf, inf]  money per unit  money per unit that is charged
17     venue_sold   [0, inf]     units           units sold by participants, last tick
18-23  weight       [0, 1]       1               own weight of the offer
24-29  rival_shown  [0, 1]       0 or 1          1 if the rival's offer was shown, last tick
30     clock        [0, 1]       1               share of the horizon that has passed

action:
index      name    range     unit  meaning
0          fee     [0, 0.4]  1     share of the money of trades that is charged (retail)
1          -       [0, 0]    -     not read
2-12 by 2  weight  [0, 1]    1     weight of the offer among those that are shown (retail)
3-13 by 2  -       [0, 0]    -     not read

A firm (`firm_1`):

observation:
index  name          range        unit            meaning
0-1    own_ask       [-inf, inf]  money per unit  own ask in force
2-3    own_sold      [0, inf]     units           own units sold, last tick
4-5    order_bought  [0, inf]     units           units bought by own orders, last tick
6-7    exposure      [0, inf]     looks           looks at (or orders for) the instrument, last tick
8-9    inventory     [-inf, inf]  units           own inventory
10     cash          [-inf, inf]  money           own cash
11-12  cost          [0, inf]     money per unit  own unit cost (a bidder's value of the item)
13-16  reference     [-inf, inf]  money per unit  reference or mid price
17-24  rival_ask     [-inf, inf]  money per unit  rivals' public asks
25-28  rival_bid     [-inf, inf]  money per unit  rivals' public bids
29-36  rival_open    [0, 1]       0 or 1          1 if the rival quotes (mask)
37     fee           [0, 1]       1               share of the money of trades that is charged
38     unit_fee      [-inf, inf]  money per unit  money per unit that is charged
39-40  own_shown     [0, 1]       0 or 1          1 if the own offer was shown, last tick
41-48  rival_shown   [0, 1]       0 or 1          1 if the rival's offer was shown, last tick
49     clock         [0, 1]       1               share of the horizon that has passed

action:
index     name      range         unit            meaning
0-2 by 2  quantity  [0, 20]       units           units ordered; below 0 to sell (wholesale)
1-3 by 2  limit     [0, 30]       money per unit  worst price of the order (wholesale)
4-6 by 2  price     [0.016, 320]  money per unit  own price (retail)
5-7 by 2  -         [0, 0]        -               not read

A maker (`maker_1`):

observation:
index  name         range        unit            meaning
0-1    own_ask      [-inf, inf]  money per unit  own ask in force
2-3    own_sold     [0, inf]     units           own units sold, last tick
4-5    own_bid      [-inf, inf]  money per unit  own bid in force
6-7    own_bought   [0, inf]     units           own units bought, last tick
8-9    exposure     [0, inf]     looks           looks at (or orders for) the instrument, last tick
10-11  inventory    [-inf, inf]  units           own inventory
12     cash         [-inf, inf]  money           own cash
13-14  cost         [0, inf]     money per unit  own unit cost (a bidder's value of the item)
15-16  reference    [-inf, inf]  money per unit  reference or mid price
17-18  rival_ask    [-inf, inf]  money per unit  rivals' public asks
19-20  rival_bid    [-inf, inf]  money per unit  rivals' public bids
21-22  rival_open   [0, 1]       0 or 1          1 if the rival quotes (mask)
23-24  own_shown    [0, 1]       0 or 1          1 if the own offer was shown, last tick
25-26  rival_shown  [0, 1]       0 or 1          1 if the rival's offer was shown, last tick
27     clock        [0, 1]       1               share of the horizon that has passed

action:
index     name    range        unit            meaning
0-2 by 2  offset  [-5, 5]      money per unit  middle of the quotes less the mid price
1-3 by 2  spread  [0.001, 10]  money per unit  ask less bid
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils.conversions import parallel_to_aec

from envs.market_env import MarketEnv, preset_env
from mos_agents.scenarios import Scenario


def parallel_env(
    makers: int | None = None,
    firms: int | None = None,
    goods: int | list[str] | None = None,
    *,
    scenario: str | Scenario | None = None,
    levels: int = 5,
    **settings: Any,
) -> MarketEnv:
    """Return the market as a PettingZoo `ParallelEnv`.

    Parameters
    ----------
    makers : int, optional
        How many makers.
    firms : int, optional
        How many firms.
    goods : int or list of str, optional
        How many goods, or their names.
    scenario : str or Scenario, optional
        A preset's name, a path or a `Scenario`, in place of the preset.
    levels : int, optional
        Size of the grids, per slot: so many prices or quantities; two-sided quotes have so many
        offsets, each with so many spreads.
    **settings
        Those of `MarketEnv`; and any other setting of the scenario, by its path with `__` for
        the dot: `parallel_env(venues__retail__arrivals__buy=30.0)`.

    Returns
    -------
    MarketEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    counts = {"makers": makers, "firms": firms, "goods": goods}
    return preset_env("marketplace", scenario, counts, {"levels": levels, **settings})


def raw_env(*arguments: Any, **settings: Any) -> AECEnv[str, Any, Any]:
    """Return the market in PettingZoo's other interface, where agents act one after another.

    All actions of a tick still meet at once, after the last agent has acted.

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
