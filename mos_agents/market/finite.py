"""Checks that the numbers of a market are finite, and names the first that is not.

Without this an infinite cost makes a cash that is not a number at the next tick, and every table
after it is worthless.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.market.kernels import flat, kernel
from mos_agents.market.types import Array, InputError, State

if TYPE_CHECKING:
    from mos_agents.market.market import Market


class NotFinite(InputError):
    """A number of a market is infinite or not a number: the market stops at this tick."""


@kernel
def finite(cash, inventory, reference, cost, demand_scale, ask, bid, metrics, reward):  # type: ignore[no-untyped-def]
    """Whether every cash, stock, price, demand scale, metric and reward is a finite number, and no
    demand below 0: compiled code would count backwards."""
    odd = _negative(demand_scale)
    odd |= _odd(cash) | _odd(inventory) | _odd(reference) | _odd(cost) | _odd(demand_scale)
    return not (odd | _odd(ask) | _odd(bid) | _odd(metrics) | _odd(reward))


@kernel
def _odd(table):  # type: ignore[no-untyped-def]
    """Whether some number is infinite or none; without a branch, so that many go at a time."""
    row, found = flat(table), False
    for i in range(np.uint64(row.shape[0])):
        found |= row[i] - row[i] != 0.0
    return found


@kernel
def _negative(table):  # type: ignore[no-untyped-def]
    row, found = flat(table), False
    for i in range(np.uint64(row.shape[0])):
        found |= row[i] < 0.0
    return found


_LARGE = 1e30
_GROWS = "lower its mu, sigma or dt, or play fewer ticks"
_QUOTES = "lower the limits of quotes, or the costs and reference prices that they follow"
_TRADES = "lower prices, stock or arrivals, or play fewer ticks"


def _group_names(market: Market) -> tuple[str, ...]:
    """A name for each choice group: its instrument's, or its venue's where it has several."""
    layout = market.layout
    if layout.choice != "venues":
        return layout.instruments if layout.choice == "within" else ("the market",)
    members = [np.flatnonzero(layout.instrument_group == g) for g in range(layout.G)]
    return tuple(
        layout.instruments[own[0]] if own.size == 1 else layout.instruments[own[0]].split(".")[0]
        for own in members
    )


def not_finite(market: Market, after: State, metrics: Array, reward: Array) -> NotFinite:
    """The error that names the first number of a tick that is not finite: field, whose, remedy."""
    layout, quotes, held = market.layout, after.quotes, after.positions
    goods, names = layout.instruments, layout.participants
    offers = tuple(
        f"{names[n]}'s {goods[k]}" for n, k in zip(layout.seller, layout.instrument, strict=True)
    )
    groups = _group_names(market)
    holdings = offers
    if layout.goods:
        owners_of = np.repeat(np.arange(layout.N), np.diff(layout.holding_first))
        holdings = tuple(
            f"{names[n]}'s {layout.goods[g]}"
            for n, g in zip(owners_of, layout.holding_good, strict=True)
        )
    tables: list[tuple[str, Array, tuple[str, ...], str]] = [
        ("reference price", after.reference, goods, f"reference.price: {_GROWS}"),
        ("cost", after.cost, offers, f"reference.cost: {_GROWS}"),
        ("demand scale", after.demand_scale, groups, f"reference.demand: {_GROWS}"),
        ("ask", quotes.ask, offers, _QUOTES),
        ("bid", quotes.bid, offers, _QUOTES),
        ("inventory", held.inventory, holdings, _TRADES),
        ("cash", held.cash, names, _TRADES),
    ]
    tables += [
        (f"metric {one}", metrics[:, :, m], names, _TRADES) for m, one in enumerate(market.metrics)
    ]
    tables.append(("reward", reward, names, "lower rewards.weights"))
    grown = _grown(tables[:3])
    for field, table, owners, remedy in tables:
        negative = (table < 0.0) & (field == "demand scale") & np.isfinite(table)
        if negative.any():
            b, i = np.argwhere(negative)[0]
            return NotFinite(
                f"tick {after.tick - 1}: {field} of {owners[i]} is {table[b, i]:g}, and demand "
                "cannot be below 0; give reference.demand a process that stays positive, such as "
                "geometric_brownian"
            )
        wrong = np.argwhere(~np.isfinite(table))
        if wrong.size:
            remedy = grown or remedy
            b, i = wrong[0]
            where = f" in market {b} of {len(table)}" if len(table) > 1 else ""
            return NotFinite(
                f"tick {after.tick - 1}: {field} of {owners[i]}{where} is {table[b, i]}, beyond "
                f"what can be computed, and the market stops; {remedy}"
            )
    raise AssertionError("every number is finite")


def _grown(fundamentals: Sequence[tuple[str, Array, tuple[str, ...], str]]) -> str | None:
    """The remedy where a price, a cost or the demand has grown so that products of it overflow."""
    for field, table, _, remedy in fundamentals:
        if np.abs(table).max(initial=0.0) > _LARGE:
            return f"the {field} has grown to {np.abs(table).max():.3g}: {remedy}"
    return None
