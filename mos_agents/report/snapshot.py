"""A market at a glance, as pixels: what everybody quotes, has earned and holds right now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mos_agents.market.market import Market
from mos_agents.market.types import Array, State, Step
from mos_agents.report import style

NAMED = len(style.PALETTE)
"""Participants with a colour and a name of their own; the rest share one."""


def picture(market: Market, state: State, steps: Sequence[Step]) -> NDArray[np.uint8]:
    """[height, width, 3] the first market of the batch: the ticks `steps`, the latest last.

    Without steps, the opening `state` is shown.
    """
    # Fixed margins: finding them by drawing first would double the time a frame takes.
    with matplotlib.rc_context({**style.RC, "figure.constrained_layout.use": False}):
        figure = Figure(figsize=(8.0, 4.5), dpi=100)
        canvas = FigureCanvasAgg(figure)
        boxes = figure.subplot_mosaic([["quotes", "earned"], ["quotes", "held"]])
        figure.subplots_adjust(
            left=0.06, right=0.985, bottom=0.19, top=0.87, wspace=0.18, hspace=0.3
        )
        _draw_quotes(boxes["quotes"], market, state, steps)
        begun = not steps or steps[0].state.tick == 1
        title = "Reward so far" if begun else f"Reward since tick {steps[0].state.tick}"
        _draw_lines(boxes["earned"], title, _times(state, steps), _earned(market, steps))
        _draw_lines(
            boxes["held"], "Inventory, units", _times(state, steps), _held(market, state, steps)
        )
        boxes["held"].set_xlabel("tick")
        boxes["quotes"].set_xlabel("tick")
        figure.suptitle(f"{market.name}, tick {state.tick} of {market.horizon}", x=0.01, ha="left")
        handles = [
            matplotlib.lines.Line2D([], [], color=_colour(n), label=name)
            for n, name in enumerate(market.layout.participants[:NAMED])
        ]
        if market.layout.N > NAMED:
            handles.append(matplotlib.lines.Line2D([], [], color=style.REST, label="others"))
        figure.legend(handles=handles, loc="lower left", ncols=4, frameon=False)
        canvas.draw()
        pixels: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return pixels


def _draw_quotes(box: Axes, market: Market, state: State, steps: Sequence[Step]) -> None:
    """Prices or bids; for dealers, bid and ask less the mid price."""
    times = _times(state, steps)
    asks, bids, marks = _quotes(market, state, steps)
    single = market.layout.K == 1
    if market.asks and market.bids:
        title = "Bid and ask less the mid price" + ("" if single else ", means")
        for n in _order(market):
            own, colour = market.layout.own(n), _colour(n)
            low, high = _mean(bids[:, own] - marks[:, own]), _mean(asks[:, own] - marks[:, own])
            box.plot(times, low, color=colour, marker=_dot(times))
            box.plot(times, high, color=colour, marker=_dot(times))
            if n < NAMED:
                box.fill_between(times, low, high, color=colour, alpha=0.08, linewidth=0)
    else:
        prices = asks if market.asks else bids
        title = "Price" if market.asks else "Bid"
        if not single:
            prices, title = prices / market.catalogue.reference_price, title + " over reference"
        for n in _order(market):
            line = _mean(prices[:, market.layout.own(n)])
            box.plot(times, line, color=_colour(n), marker=_dot(times))
    box.set_title(title)
    box.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_lines(box: Axes, title: str, times: Array, values: Array) -> None:
    """A line a participant, [T, N]."""
    for n in reversed(range(values.shape[1])):
        box.plot(times, values[:, n], color=_colour(n), marker=_dot(times))
    box.set_title(title)
    box.xaxis.set_major_locator(MaxNLocator(integer=True))


def _times(state: State, steps: Sequence[Step]) -> Array:
    return np.array([step.state.tick for step in steps] or [state.tick], dtype=float)


def _quotes(market: Market, state: State, steps: Sequence[Step]) -> tuple[Array, Array, Array]:
    """Asks, bids (NaN where nothing is quoted) and the marks they were made at, [T, L] each."""
    quotes = [step.info.quotes for step in steps] or [state.quotes]
    asks = np.stack([np.where(q.ask_size[0] > 0.0, q.ask[0], np.nan) for q in quotes])
    bids = np.stack([np.where(q.bid_size[0] > 0.0, q.bid[0], np.nan) for q in quotes])
    # Where the past is cut off, the mark before its first tick is gone: the next one stands in.
    first = steps[0].state.tick == 1 if steps else True
    opening = market.opening_reference if first else steps[0].state.reference[0]
    before = np.stack([opening, *(step.state.reference[0] for step in steps[:-1])])
    return asks, bids, market.marks_of_listings(before)


def _earned(market: Market, steps: Sequence[Step]) -> Array:
    """[T, N] rewards added up from the first of the steps on."""
    if not steps:
        return np.zeros((1, market.layout.N))
    total: Array = np.cumsum([step.reward[0] for step in steps], axis=0)
    return total


def _held(market: Market, state: State, steps: Sequence[Step]) -> Array:
    """[T, N] units held, all listings together."""
    states = [step.state for step in steps] or [state]
    owners = [market.layout.held_by(n) for n in range(market.layout.N)]
    return np.array([[s.positions.inventory[0, own].sum() for own in owners] for s in states])


def _mean(values: Array) -> Array:
    """[T] means over the listings that have a quote, NaN where none has."""
    quoted = np.isfinite(values)
    counts = quoted.sum(axis=1)
    sums = np.where(quoted, values, 0.0).sum(axis=1)
    means: Array = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _order(market: Market) -> Any:
    return reversed(range(market.layout.N))  # those with a colour come out on top


def _colour(n: int) -> str:
    return style.PALETTE[n] if n < NAMED else style.REST


def _dot(times: Array) -> str:
    return "o" if len(times) == 1 else ""
