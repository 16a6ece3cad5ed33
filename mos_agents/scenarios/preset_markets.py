"""The presets as functions: each makes the market of one preset, with settings changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from mos_agents.market.market import Market
from mos_agents.scenarios.changes import override
from mos_agents.scenarios.files import load
from mos_agents.scenarios.schema import Scenario
from mos_agents.scenarios.yaml_text import inline


def preset(name: str, **settings: Any) -> Scenario:
    """Return a preset as a scenario, with settings changed.

    Parameters
    ----------
    name : str
        Name of the preset.
    **settings
        Settings by their path in the scenario, with `__` for the dot.

    Returns
    -------
    Scenario
        The scenario.

    Raises
    ------
    InputError
        If the preset or a setting is unknown.
    """
    changes = [f"{key.replace('__', '.')}={inline(value)}" for key, value in settings.items()]
    return override(load(name), changes)


_DOCSTRING = """{summary}

Parameters
----------
{counts}**settings
    {further} by their path in the scenario, with `__` for the dot:
    `{name}({example})`.

Returns
-------
Market
    The market.

Raises
------
InputError
    If a setting is unknown or does not fit.
"""


def _market_of(
    name: str, summary: str, example: str = "ticks=100", source: str = "", **counts: int
) -> Callable[..., Market]:
    """A function that makes the market of a preset; `counts` are parameters with their defaults."""
    kinds = inspect.Parameter

    def make(*given: int, **settings: Any) -> Market:
        bound = make.__signature__.bind(*given, **settings)  # type: ignore[attr-defined]
        bound.apply_defaults()
        further = bound.arguments.pop("settings")
        return preset(name, **bound.arguments, **further).market()

    make.__name__ = make.__qualname__ = name
    make.__doc__ = _DOCSTRING.format(
        summary=summary,
        counts="".join(f"{count} : int\n    Number of {count}.\n" for count in counts),
        further="Further settings" if counts else "Settings",
        name=name,
        example=example,
    ) + (f"\nReferences\n----------\n.. [1] {source}\n" if source else "")
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(
                kinds(count, kinds.POSITIONAL_OR_KEYWORD, default=default, annotation=int)
                for count, default in counts.items()
            ),
            kinds("settings", kinds.VAR_KEYWORD, annotation=Any),
        ],
        return_annotation=Market,
    )
    make.__annotations__ = dict.fromkeys(counts, int) | {"settings": Any, "return": Market}
    return make


retail = _market_of(
    "retail",
    "Make the retail market: a platform and competitor firms sell products to browsing shoppers.",
    "firms=3, arrivals__sessions=50",
    firms=2,
    products=10,
)
market_making = _market_of(
    "market_making",
    "Make the market-making market: dealers quote bids and asks on assets.",
    "makers=2, arrivals__mu=40.0",
    makers=3,
    assets=5,
)
auction = _market_of(
    "auction",
    "Make a sealed-bid auction: bidders compete for the items of each tick.",
    "bidders=3, execution__reserve=0.2",
    bidders=3,
    items=1,
)
autos_1990 = _market_of("autos_1990", "Make the US car market of 1990: 131 models of 20 firms.")
pricing_game = _market_of(
    "pricing_game",
    "Make the pricing game: two firms with logit demand, whose own policies are learners [1]_.",
    source="Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial\n"
    "       intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).",
)
commission_game = _market_of(
    "commission_game",
    "Make the commission game: the pricing game with a platform that takes a fifth of all sales."
    "\n\nThe fee raises the effective cost of the firms, whose own policies are learners.",
)
prominence_game = _market_of(
    "prominence_game",
    "Make the prominence game: a platform shows shoppers the cheaper of two firms [1]_.\n\n"
    "Ties are drawn. The own policies of the firms are learners.",
    source="Johnson, J. P., Rhodes, A. and Wildenbeest, M. (2023). Platform design when sellers "
    "use\n       pricing algorithms. Econometrica 91(5).",
)
marketplace = _market_of(
    "marketplace",
    "Make the marketplace: a platform, firms that sell on it, and makers that sell to the firms.",
    "venues__retail__fees__highest_fee=0.3",
    firms=3,
    makers=2,
    goods=2,
)
supply_chain = _market_of(
    "supply_chain",
    "Make a supply chain: producers sell to makers, makers to firms, and firms to shoppers.",
    "venues__retail__arrivals__buy=30.0",
    makers=2,
    firms=3,
    goods=2,
)

__all__ = [
    "auction",
    "autos_1990",
    "commission_game",
    "market_making",
    "marketplace",
    "preset",
    "pricing_game",
    "prominence_game",
    "retail",
    "supply_chain",
]
