"""A laboratory for markets whose participants are independent and learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents.scenarios import auction, autos_1990, market_making, pricing_game, retail

__version__ = "0.1.0"
__all__ = ["__version__", "auction", "autos_1990", "market_making", "pricing_game", "retail"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import mos_agents` itself costs nothing.
    if name in ("auction", "autos_1990", "market_making", "pricing_game", "retail"):
        from mos_agents import scenarios

        return getattr(scenarios, name)
    raise AttributeError(f"mos_agents has no {name!r}")
