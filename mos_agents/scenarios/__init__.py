"""Markets written down: typed, checked descriptions in YAML, and the presets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents.market.market import Market
    from mos_agents.scenarios import files
    from mos_agents.scenarios.commenting import commented
    from mos_agents.scenarios.explaining import Explanation, explain
    from mos_agents.scenarios.files import dump, inline, listed, load, override, parse
    from mos_agents.scenarios.listing import headlines, presets
    from mos_agents.scenarios.schema import Scenario
    from mos_agents.scenarios.tables import digest_of


def retail(firms: int = 2, products: int = 10, **settings: Any) -> Market:
    """Retail dynamic pricing: a platform and `firms` competitors sell `products` products.

    Further settings by their path in the scenario, with __ for the dot:
    `retail(firms=3, arrivals__sessions=50)`.
    """
    return preset("retail", firms=firms, products=products, **settings).market()


def market_making(makers: int = 3, assets: int = 5, **settings: Any) -> Market:
    """Market making: `makers` dealers quote `assets` assets. Settings as in `retail`."""
    return preset("market_making", makers=makers, assets=assets, **settings).market()


def auction(bidders: int = 3, items: int = 1, **settings: Any) -> Market:
    """A sealed-bid auction of `items` items a tick. Settings as in `retail`."""
    return preset("auction", bidders=bidders, items=items, **settings).market()


def autos_1990(**settings: Any) -> Market:
    """The US car market of 1990: 131 models of 20 firms. Settings as in `retail`."""
    return preset("autos_1990", **settings).market()


def pricing_game(**settings: Any) -> Market:
    """Two firms of Calvano et al. (2020); its policies are learners. Settings as in `retail`."""
    return preset("pricing_game", **settings).market()


def preset(name: str, **settings: Any) -> Scenario:
    """A preset with settings changed, by their path with __ for the dot."""
    from mos_agents.scenarios.files import inline, load, override

    changes = [f"{key.replace('__', '.')}={inline(value)}" for key, value in settings.items()]
    return override(load(name), changes)


_HOMES = {
    "commenting": ("commented",),
    "explaining": ("Explanation", "explain"),
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


__all__ = [
    "Explanation",
    "Scenario",
    "auction",
    "autos_1990",
    "commented",
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
    "retail",
]
