"""Estimates the memory that a market takes, before anything is made."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.market import remembering
from mos_agents.market.metrics import N_METRICS
from mos_agents.market.types import InputError

if TYPE_CHECKING:
    from mos_agents.market.market import Market

MOST_OF_MEMORY = 0.8
"""Share of the machine's memory that may be asked for."""

MOST_OFFERS_SHOWN = 25_000_000
"""Rivals' offers that the participants of a market see together: they grow with the square of the
participants, and 5,000 who see each other's single offer are a few seconds' work a tick.
"""

NUMBER = 8  # bytes
SHOWN = 6  # numbers a rival's offer that is seen: its price and whether it is open, each thrice
PER_ORDER = 8 * NUMBER  # group, side, size, intent, time and what is drawn for each


def memory() -> int:
    """Bytes of memory of this machine, or of the container that this process is in."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        there = min(there, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return there


def check_memory(market: Market, markets: int) -> None:
    """InputError unless so many markets can be played in this machine's memory, by estimate.

    What learners remember and what is recorded comes on top, and is looked at where it is made.
    """
    _check_offers_shown(market)
    there = MOST_OF_MEMORY * memory()
    once, each = set_up_bytes(market), played_bytes(market)
    if once + markets * each <= there:
        return
    fit = int((there - once) / each)
    layout = market.layout
    remedy = f"play at most {fit:,} markets, or play" if fit > 0 else "play"
    remedy += " with fewer participants, instruments or arrivals"
    remedy += "".join(f"; {one}" for one in _remembered(market, 0.5 * each))
    seen = once + markets * SHOWN * NUMBER * shown_offers(market)
    if seen > 0.5 * (once + markets * each):
        remedy += "; observations.show_rivals: false shows nobody the rivals' quotes"
    raise InputError(
        f"markets={markets:,}: {layout.N:,} participants with {layout.L:,} listings take about "
        f"{(once + markets * each) / 1e9:,.1f} GB, and {MOST_OF_MEMORY:.0%} of this machine's "
        f"memory are {there / 1e9:,.1f} GB; {remedy}"
    )


def _check_offers_shown(market: Market) -> None:
    shown, layout = shown_offers(market), market.layout
    if shown > MOST_OFFERS_SHOWN:
        raise InputError(
            f"participants={layout.N:,}: with {layout.L:,} listings they would see {shown:,.0f} "
            f"offers of rivals together, and at most {MOST_OFFERS_SHOWN:,} are played; set "
            "observations.show_rivals: false, or have fewer participants or instruments"
        )


def _remembered(market: Market, much: float) -> list[str]:
    """The settings by which each tick is remembered for so long that it takes so many bytes."""
    lead, delay = market.positions.delivery_ticks(), market.observations.delay
    own = 2 * NUMBER * market.layout.L
    found = {
        f"lower positions.lead_time={lead:g}": 2 * lead * own,
        f"lower observations.quote_delay={delay:g}": 4 * delay * own,
    }
    return [name for name, size in found.items() if size > much]


def played_bytes(market: Market) -> float:
    """Bytes of a market while it is played: its state twice, and what a tick hands out."""
    layout = market.layout
    delay = market.observations.delay
    lead = market.positions.delivery_ticks()
    state = layout.L * (8 + 2 * lead + 4 * delay) + 6 * layout.N + 3 * layout.K + 5 * layout.G
    made = 12 * layout.L + (N_METRICS + 12) * layout.N + 6 * layout.G
    width = 3 * (16 * layout.L + 4 * layout.N) + SHOWN * shown_offers(market)
    state += remembering.numbers(market)
    return NUMBER * (2 * state + made + width) + PER_ORDER * market.arrivals.mean_orders(market)


def set_up_bytes(market: Market) -> float:
    """Bytes of what is known of every observation: its indices, its labels, and how to copy it."""
    return 4.0 * NUMBER * shown_offers(market)


def shown_offers(market: Market) -> float:
    """How many rivals' offers all participants of a market see together."""
    layout, observer = market.layout, market.observations
    if not observer.shows_rivals():
        return 0.0
    if layout.choice == "across":
        return float(layout.L) * (layout.N - 1)
    offers = np.bincount(layout.group, minlength=layout.G).astype(np.float64)
    return float((offers * (offers - 1.0)).sum())
