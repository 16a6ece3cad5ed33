"""The parts of a participant that trades in several venues, or quotes and orders: one a venue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.market import fields as fields_
from mos_agents.market.fields import ObservationField
from mos_agents.market.spec import ParticipantSpec, SpecPart
from mos_agents.market.stages import Slots
from mos_agents.market.types import ORDER, InputError, IntArray

if TYPE_CHECKING:
    from mos_agents.market.market import Market


def spec_parts(market: Market, spec: ParticipantSpec) -> tuple[SpecPart, ...]:
    """The parts of a participant, in the order of its slots; none where there is one only."""
    groups = market.quotes.slots_of(market, spec.number)
    if len(groups) < 2:
        return ()
    return tuple(_part(market, spec, group) for group in groups)


def turn_of(market: Market, n: int, group: Slots) -> tuple[int, int]:
    """(period, offset) of the ticks at which participant n can change what stands in some slots.

    Raises
    ------
    InputError
        If it never moves at a tick at which they may change.
    """
    period, offset = market.schedule.turn(market, n)
    if group.period == 1 or period == 0:
        return period, offset
    both = math.lcm(period, group.period)
    for at in range(offset, both, period):
        if at % group.period == 0:
            return both, at
    raise InputError(
        f"venues.{group.venue}.fees.every={group.period}: {market.layout.participants[n]} moves at "
        f"the ticks {offset}, {offset + period}, ..., and never at a multiple of it; change every, "
        "or the schedule"
    )


def _part(market: Market, spec: ParticipantSpec, group: Slots) -> SpecPart:
    slots = np.arange(group.slots.start, group.slots.stop)
    inside = slots - spec.listings.start
    width = len(group.features)
    kept: list[ObservationField] = []
    columns: list[IntArray] = []
    choose = _chooser(market, group, slots)
    for one in spec.fields:
        picked = choose(one)
        if picked.size:
            labels = tuple(one.labels[p] for p in picked)
            kept.append(one._replace(index=one.index[picked], labels=labels))
            columns.append(spec.where[one.name].start + picked)
    venue = market.quotes.market_of(market, group.venue)
    part = replace(
        spec,
        listings=group.slots,
        features=group.features,
        low=np.ascontiguousarray(spec.low[inside, :width]),
        high=np.ascontiguousarray(spec.high[inside, :width]),
        opening_price=spec.opening_price[inside],
        opening_cost=market.opening_costs[slots]
        if np.isfinite(spec.opening_cost).all()
        else spec.opening_cost[inside],
        tick_sizes=spec.tick_sizes[inside],
        fields=tuple(kept),
        columns=slice(0, sum(c.size for c in columns)),
        sigma=spec.sigma[inside],
        sigma_relative=spec.sigma_relative[inside],
        order_decay=venue.execution.order_decay(),
        order_rate=venue.arrivals.order_rate(venue, venue.execution.order_share(venue)),
        turn=turn_of(market, spec.number, group),
        parts=(),
    )
    return SpecPart(group.name, part, np.concatenate(columns), slice(inside[0], inside[-1] + 1))


def _chooser(
    market: Market, group: Slots, slots: IntArray
) -> Callable[[ObservationField], IntArray]:
    """What picks the entries of a field that are about these slots, in their order."""
    layout, everything = market.layout, (fields_.CASH, fields_.CLOCK)
    holdings, instruments = layout.holding[slots], layout.instrument[slots]
    is_rule = group.kind > ORDER
    groups = market.quotes.groups_of(market, group.venue) if is_rule else layout.group[slots]

    def choose(one: ObservationField) -> IntArray:
        if one.source in everything:
            return np.arange(one.size)
        if one.name.startswith("rival_"):
            return np.flatnonzero(np.isin(layout.group[one.index], groups))
        if one.source in fields_.OF_VENUES:
            return np.flatnonzero(np.array(one.labels) == group.venue)
        if is_rule and one.source in (fields_.INVENTORY, fields_.IN_TRANSIT, fields_.COST):
            return slots[:0]
        if one.source in (fields_.INVENTORY, fields_.IN_TRANSIT):
            return _places(one.index, holdings)
        if one.source == fields_.COST:
            return _places(layout.holding[one.index], holdings)
        if one.source == fields_.REFERENCE:
            return _places(layout.instrument[one.index], instruments)
        if one.source == fields_.EXPOSURE:
            names = [layout.instruments[k] for k in instruments]
            return _places(np.array(one.labels), np.array(names)) if group.kind == 0 else slots[:0]
        return _places(one.index, slots)

    return choose


def _places(index: IntArray, wanted: IntArray) -> IntArray:
    """Where in `index` the wanted entries stand; those that are missing are left out."""
    found = [np.flatnonzero(index == one) for one in wanted]
    return np.array([at[0] for at in found if at.size], np.int64)
