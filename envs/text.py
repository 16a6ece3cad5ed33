"""A market on the terminal: who quotes what, has sold what, and was rewarded how."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from mos_agents.market.market import Market
from mos_agents.market.printing import cell
from mos_agents.market.refusals import REASONS
from mos_agents.market.types import Array, State, Step

ROWS = 24  # participants shown


def show(market: Market, state: State, step: Step | None, console: Console | None = None) -> None:
    """Print the first market of a batch after a tick, or before the first one."""
    (console or Console()).print(table(market, state, step))


def table(market: Market, state: State, step: Step | None) -> Table:
    """A row per participant; prices are means over its listings with a quote."""
    made = Table(
        title=f"{cell(market.name)}, tick {state.tick} of {market.horizon}", title_justify="left"
    )
    made.add_column("participant")
    prices = [("bid", market.bids), ("ask", market.asks)]
    for name in [*(n for n, there in prices if there), "traded", "inventory", "cash", "reward"]:
        made.add_column(name, justify="right")
    made.add_column("note")
    for n, name in enumerate(market.layout.participants[:ROWS]):
        made.add_row(cell(name), *_cells(market, state, step, n))
    if market.layout.N > ROWS:
        made.add_row(f"and {market.layout.N - ROWS} more")
    return made


def _cells(market: Market, state: State, step: Step | None, n: int) -> list[str]:
    own, quotes = market.layout.own(n), state.quotes
    cells = []
    if market.bids:
        cells.append(_mean(quotes.bid[0, own], quotes.bid_size[0, own]))
    if market.asks:
        cells.append(_mean(quotes.ask[0, own], quotes.ask_size[0, own]))
    positions = state.positions
    if step is None:
        traded = reward = note = ""
    else:
        executions = step.info.executions
        traded = f"{executions.sold[0, own].sum() + executions.bought[0, own].sum():g}"
        reward = f"{step.reward[0, n]:.2f}"
        reason = int(step.info.refused[0, n])
        note = REASONS[reason] if reason else ""
    held = f"{positions.inventory[0, market.layout.held_by(n)].sum():g}"
    return [*cells, traded, held, f"{positions.cash[0, n]:.2f}", reward, note]


def _mean(prices: Array, sizes: Array) -> str:
    quoted = sizes > 0.0
    return f"{np.mean(prices[quoted]):.2f}" if quoted.any() else "-"
