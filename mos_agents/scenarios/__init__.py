"""Markets written down: typed, checked descriptions in YAML, and the presets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents.market.market import Market
    from mos_agents.scenarios import files
    from mos_agents.scenarios.comments import commented
    from mos_agents.scenarios.explanations import Explanation, explain
    from mos_agents.scenarios.files import dump, inline, listed, load, override, parse
    from mos_agents.scenarios.listing import headlines, presets
    from mos_agents.scenarios.schema import Scenario
    from mos_agents.scenarios.tables import digest_of


def retail(firms: int = 2, products: int = 10, **settings: Any) -> Market:
    """Make the retail market: a platform and competitor firms sell products to browsing shoppers.

    Parameters
    ----------
    firms : int
        Number of competitor firms.
    products : int
        Number of products.
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `retail(firms=3, arrivals__sessions=50)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.
    """
    return preset("retail", firms=firms, products=products, **settings).market()


def market_making(makers: int = 3, assets: int = 5, **settings: Any) -> Market:
    """Make the market-making market: dealers quote bids and asks on assets.

    Parameters
    ----------
    makers : int
        Number of dealers.
    assets : int
        Number of assets.
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `market_making(makers=2, arrivals__mu=40.0)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.
    """
    return preset("market_making", makers=makers, assets=assets, **settings).market()


def auction(bidders: int = 3, items: int = 1, **settings: Any) -> Market:
    """Make a sealed-bid auction.

    Parameters
    ----------
    bidders : int
        Number of bidders.
    items : int
        Items auctioned at every tick.
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `auction(bidders=3, execution__reserve=0.2)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.
    """
    return preset("auction", bidders=bidders, items=items, **settings).market()


def autos_1990(**settings: Any) -> Market:
    """Make the US car market of 1990: 131 models of 20 firms.

    Parameters
    ----------
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `autos_1990(ticks=50)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.
    """
    return preset("autos_1990", **settings).market()


def pricing_game(**settings: Any) -> Market:
    """Make the pricing game: two firms with logit demand, whose own policies are learners [1]_.

    Parameters
    ----------
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `pricing_game(ticks=100)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.

    References
    ----------
    .. [1] Calvano, E., Calzolari, G., Denicolo, V. and Pastorello, S. (2020). Artificial
           intelligence, algorithmic pricing, and collusion. American Economic Review 110(10).
    """
    return preset("pricing_game", **settings).market()


def commission_game(**settings: Any) -> Market:
    """Make the commission game: the pricing game with a platform that takes a fifth of all sales.

    The fee raises the effective cost of the firms, whose own policies are learners.

    Parameters
    ----------
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `commission_game(ticks=100)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.
    """
    return preset("commission_game", **settings).market()


def prominence_game(**settings: Any) -> Market:
    """Make the prominence game: a platform shows shoppers the cheaper of two firms [1]_.

    Ties are drawn. The own policies of the firms are learners.

    Parameters
    ----------
    **settings
        Further settings by their path in the scenario, with `__` for the dot:
        `prominence_game(ticks=100)`.

    Returns
    -------
    Market
        The market.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit.

    References
    ----------
    .. [1] Johnson, J. P., Rhodes, A. and Wildenbeest, M. (2023). Platform design when sellers use
           pricing algorithms. Econometrica 91(5).
    """
    return preset("prominence_game", **settings).market()


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
    from mos_agents.scenarios.files import inline, load, override

    changes = [f"{key.replace('__', '.')}={inline(value)}" for key, value in settings.items()]
    return override(load(name), changes)


_HOMES = {
    "comments": ("commented",),
    "explanations": ("Explanation", "explain"),
    "files": ("dump", "inline", "listed", "load", "override", "parse"),
    "listing": ("headlines", "presets"),
    "schema": ("Scenario",),
    "tables": ("digest_of",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Loaded on first use (PEP 562): who lists the presets does not need the market.
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _HOMES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]


__all__ = [
    "Explanation",
    "Scenario",
    "auction",
    "autos_1990",
    "commented",
    "commission_game",
    "digest_of",
    "dump",
    "explain",
    "files",
    "headlines",
    "inline",
    "listed",
    "load",
    "market_making",
    "override",
    "parse",
    "preset",
    "presets",
    "pricing_game",
    "prominence_game",
    "retail",
]
