"""Theory beside observed prices: competitive and joint-profit prices at the cost of each tick."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mos_agents.lab.audit_inputs import AuditInput, ProductRecord
from mos_agents.market.equilibrium import EquilibriumError, benchmarks, best_response
from mos_agents.market.equilibrium.stage import PriceGame
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.tables.table import key, listed

MOST_COSTS = 60
"""Different costs at which theory is solved; between more of them it is interpolated."""

MOST_REPLIES = 4_000
"""Static best replies that are searched for."""


def with_theory(found: AuditInput, scenario: Scenario, own: bool = False) -> AuditInput:
    """The same record with the theory of a scenario's market.

    Parameters
    ----------
    found : AuditInput
        The record.
    scenario : Scenario
        Its market has posted prices and a demand model. Its sellers are matched by name, or in
        their order where there are as many.
    own : bool
        Whether it is the scenario of the audited run. What theory cannot say is then a note, not a
        refusal.
    """
    try:
        market = scenario.market()
        products, notes = [], []
        for one in found.products:
            made, note = _product(one, market, scenario.name)
            products.append(made)
            notes.append(note)
    except (InputError, EquilibriumError, ArithmeticError) as error:
        text = f"no benchmarks of theory from {scenario.name}: {error}"
        if not own:
            raise InputError(text) from None
        return dataclasses.replace(found, notes=(*found.notes, text))
    unique = tuple(dict.fromkeys(notes))
    return dataclasses.replace(found, products=tuple(products), notes=(*found.notes, *unique))


def _product(one: ProductRecord, market: Market, name: str) -> tuple[ProductRecord, str]:
    """A product's record with its theory, and what is to be said of it."""
    listings = _listings(one, market, name)
    cost = one.observed.cost
    rows = _cost_rows(cost, len(one.prices), market, listings)
    solved, place = np.unique(np.round(rows, 9), axis=0, return_inverse=True)
    thinned = len(solved) > MOST_COSTS
    if thinned:  # common moves of cost: theory is smooth between the costs where it is solved
        order = np.argsort(solved.mean(axis=1), kind="stable")
        kept = order[np.unique(np.linspace(0, len(order) - 1, MOST_COSTS).astype(int))]
    else:
        kept = np.arange(len(solved))
    theory = [_at(market, listings, solved[i]) for i in kept]
    nash, joint = (np.stack([one[j] for one in theory]) for j in (0, 1))
    if thinned:
        at, wanted = solved[kept].mean(axis=1), rows.mean(axis=1)
        nash, joint = (
            np.stack([np.interp(wanted, at, column) for column in values.T], axis=1)
            for values in (nash, joint)
        )
    else:
        nash, joint = nash[place.reshape(-1)], joint[place.reshape(-1)]
    reply = _BestReplies(market, listings, rows) if rows.size <= MOST_REPLIES else None
    observed = dataclasses.replace(
        one.observed, price_nash=nash, price_joint=joint, best_reply=reply
    )
    source = "costs of the record" if cost is not None else "costs of the scenario"
    note = f"benchmarks of theory from {name}, at the {source}"
    note += f", interpolated between {MOST_COSTS} costs" if thinned else ""
    return dataclasses.replace(one, observed=observed), note


def _listings(one: ProductRecord, market: Market, name: str) -> list[int]:
    """The listing of each seller."""
    layout = market.layout
    if layout.goods:
        raise InputError(f"{name} has several venues; give a scenario with one")
    product = 0
    if layout.choice == "across":
        product = -1
    elif len(layout.instruments) > 1:
        wanted = key(one.name.split(", market ")[0])
        known = [key(text) for text in layout.instruments]
        if wanted not in known:
            raise InputError(f"{one.name!r} is none of its products {listed(layout.instruments)}")
        product = known.index(wanted)
    here = [i for i in range(layout.L) if product < 0 or layout.instrument[i] == product]
    sellers = [layout.participants[layout.seller[i]] for i in here]
    by_key = {key(text): i for text, i in zip(sellers, here, strict=True)}
    if len(by_key) == len(here) and all(key(text) in by_key for text in one.sellers):
        return [by_key[key(text)] for text in one.sellers]
    if len(here) != len(one.sellers):
        raise InputError(
            f"the record has the sellers {listed(one.sellers)}, {name} has {listed(sellers)}; give "
            "a scenario with the same sellers, or as many"
        )
    return here


def _cost_rows(cost: Array | None, ticks: int, market: Market, listings: Sequence[int]) -> Array:
    """[T, N] the costs at which theory is solved."""
    if cost is not None:
        return cost
    own = market.catalogue.cost[list(listings)]
    return np.broadcast_to(own, (ticks, len(listings)))


def _with_costs(market: Market, listings: Sequence[int], cost: Array) -> Market:
    """The market with other unit costs; InputError where something else sets its costs."""
    own = market.catalogue.cost.copy()
    own[list(listings)] = cost
    if np.array_equal(own, market.catalogue.cost):
        return market
    changed = market.with_parts(catalogue=dataclasses.replace(market.catalogue, cost=own))
    if not np.allclose(changed.opening_levels[1], own):
        raise InputError("its costs move by a rule of their own; leave that rule out")
    return changed


def _at(market: Market, listings: Sequence[int], cost: Array) -> tuple[Array, Array]:
    solution = benchmarks(_with_costs(market, listings, cost), bounded=False)
    return solution.p_N[list(listings)], solution.p_M[list(listings)]


class _BestReplies:
    """The static best reply of each seller at each tick, searched for once for each price."""

    def __init__(self, market: Market, listings: Sequence[int], costs: Array) -> None:
        self.market, self.listings, self.costs = market, list(listings), costs
        self.known: dict[bytes, Array] = {}
        self.markets: dict[bytes, Market] = {}

    def __call__(self, prices: Array) -> Array:
        out = np.empty_like(prices)
        for t, row in enumerate(prices):
            out[t] = self._row(self.costs[t], row)
        return out

    def _row(self, cost: Array, row: Array) -> Array:
        address = cost.tobytes() + np.ascontiguousarray(row).tobytes()
        if address not in self.known:
            if cost.tobytes() not in self.markets:
                self.markets[cost.tobytes()] = _with_costs(self.market, self.listings, cost)
            market = self.markets[cost.tobytes()]
            game = PriceGame.of(market, bounded=False)
            full = np.clip(game.reference, game.low, game.high)
            full[self.listings] = row
            replies = np.empty(len(row))
            for n, listing in enumerate(self.listings):
                owner = int(market.layout.seller[listing])
                own = market.layout.own(owner)
                best = best_response(market, full, owner, bounded=False)[0]
                replies[n] = best[listing - own.start]
            self.known[address] = replies
        return self.known[address]
