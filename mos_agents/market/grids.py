"""Price grids to choose from: no two of their levels may become one and the same quote."""

from __future__ import annotations

import numpy as np

from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError


def check_levels(spec: ParticipantSpec, listing: int, levels: Array, name: str) -> None:
    """InputError if the market's rules turn two prices of a grid into one quote.

    Levels are cut to the limits of an action and rounded to the tick size, for two-sided quotes
    around the opening mid price. The margin floor and the largest change are rules of play, which
    move with costs and with the price in force: they are left out.

    Parameters
    ----------
    spec : ParticipantSpec
        Whose grid it is.
    listing : int
        Which of its listings, 0 to L_n - 1.
    levels : array, [m, A]
        The actions to choose from.
    name : str
        What the message calls the grid, such as "levels=15".
    """
    quotes = _posted(spec, listing, np.clip(levels, spec.low[listing], spec.high[listing]))
    order = np.lexsort(quotes.T)
    same = (quotes[order[1:]] == quotes[order[:-1]]).all(axis=1)
    if not same.any():
        return
    at = int(np.argmax(same))
    first, second = sorted((int(order[at]), int(order[at + 1])))
    product = spec.layout.slot_names[spec.listings.start + listing]
    shown = " and ".join(f"{value:.10g}" for value in quotes[first])
    tick_size = spec.tick_sizes[listing]
    finer = f", or a quotes.tick_size smaller than {tick_size:.10g}" if tick_size else ""
    raise InputError(
        f"{spec.name}: {name}: levels {first} and {second} for {product} are both {shown}, within "
        f"the limits of an action: take fewer levels, a wider range{finer}"
    )


def _posted(spec: ParticipantSpec, listing: int, levels: Array) -> Array:
    """[m, A] the quotes that the market's rules make of the actions: a price, or a bid and an ask;
    and a size."""
    tick_size = spec.tick_sizes[listing]
    if "spread" not in spec.features:
        price = levels[:, :1]
        rounded = np.rint(price / tick_size) * tick_size if tick_size else price
        return np.column_stack([rounded, levels[:, 1:]])
    middle = spec.opening_price[listing] + levels[:, 0]
    half = 0.5 * levels[:, 1]
    if not tick_size:
        return levels
    # The slack is that of the rules' own rounding.
    bid = np.floor((middle - half) / tick_size + 1e-6) * tick_size
    ask = np.ceil((middle + half) / tick_size - 1e-6) * tick_size
    return np.column_stack([bid, ask, levels[:, 2:]])
