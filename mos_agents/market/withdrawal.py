"""Takes a participant's quotes out of the market; its positions stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.market import Market
from mos_agents.market.types import State


def without_quotes(market: Market, state: State, gone: NDArray[np.bool_]) -> State:
    """The state without the quotes of those who are gone [B, N]."""
    listings = gone[:, market.layout.seller]
    quotes = state.quotes
    # Infinity times zero is no number: where a quote goes, its size is put to zero.
    sizes: dict[str, Any] = {
        side: np.where(listings, 0.0, getattr(quotes, side)) for side in ("bid_size", "ask_size")
    }
    return state._replace(quotes=quotes._replace(**sizes))
