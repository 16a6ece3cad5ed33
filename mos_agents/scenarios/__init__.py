"""Markets written down: typed, checked descriptions in YAML, and the presets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents.scenarios import changes, files, validation, yaml_text
    from mos_agents.scenarios.changes import override
    from mos_agents.scenarios.comments import commented
    from mos_agents.scenarios.explanations import Explanation, explain
    from mos_agents.scenarios.files import dump, load, parse
    from mos_agents.scenarios.listing import headlines, presets
    from mos_agents.scenarios.preset_markets import (
        auction,
        autos_1990,
        commission_game,
        market_making,
        marketplace,
        preset,
        pricing_game,
        prominence_game,
        retail,
        supply_chain,
    )
    from mos_agents.scenarios.schema import Scenario
    from mos_agents.scenarios.tables import digest_of
    from mos_agents.scenarios.yaml_text import inline, listed


_HOMES = {
    "comments": ("commented",),
    "explanations": ("Explanation", "explain"),
    "changes": ("override",),
    "files": ("dump", "load", "parse"),
    "listing": ("headlines", "presets"),
    "preset_markets": (
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
    ),
    "schema": ("Scenario",),
    "tables": ("digest_of",),
    "validation": (),
    "yaml_text": ("inline", "listed"),
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
    "changes",
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
    "marketplace",
    "override",
    "parse",
    "preset",
    "presets",
    "pricing_game",
    "prominence_game",
    "retail",
    "supply_chain",
    "validation",
    "yaml_text",
]
