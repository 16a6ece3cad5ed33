"""The words on a run with several venues: the last price divided, wars by level, a table."""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.numbers import join_names, number, percent
from mos_agents.analysis.verdicts import money_text
from mos_agents.market.types import Array
from mos_agents.report import verdicts
from mos_agents.report.chain_flows import (
    ORDER,
    PLURALS,
    QUOTE,
    division_of,
    flows_of,
    stocks_of,
    wars_of,
)
from mos_agents.report.data import Data
from mos_agents.report.measures import listed


def chain_headline(data: Data) -> tuple[str, ...]:
    """Who earns what of the last price, what each level earned, and who was turned away."""
    return (*_divided(data), *_earned(data), *_welfare(data), *_wars(data))


def _divided(data: Data) -> list[str]:
    parts = division_of(data)
    if not parts:
        return ["Nothing was sold to shoppers."]
    whole = sum(part.money for part in parts)
    verbs = {"producers": "received", "fees": "went into"}
    texts = [
        f"{number(part.money)} ({percent(part.money / whole)}) went into fees"
        if part.name == "fees"
        else f"{part.name} {verbs.get(part.name, 'kept')} {number(part.money)} "
        f"({percent(part.money / whole)})"
        for part in parts
    ]
    return [f"Of each {number(whole)} that shoppers paid for a unit, {join_names(texts)}."]


def _earned(data: Data) -> list[str]:
    pnl = data.by_market("pnl")
    texts = []
    for role in dict.fromkeys(data.roles):
        own = [n for n, one in enumerate(data.roles) if one == role]
        name = PLURALS.get(role, role)
        texts.append(f"the {name} {money_text(pnl[:, own].sum(axis=1))}")
    each = " a market" if data.run.facts["markets"] > 1 else ""
    return [f"PnL over all ticks{each}: {join_names(texts)}."] if texts else []


def _welfare(data: Data) -> list[str]:
    """What shoppers gained a tick, where their demand says it, beside what participants earned."""
    if not data.run.facts["market"].get("surplus"):
        return []
    table = data.run.participants(["participant", "consumer_surplus"])
    own = table.filter(table["participant"] == data.names[0])["consumer_surplus"].to_numpy()
    known = own[np.isfinite(own)]
    if not known.size:
        return []
    profit = float(data.total("pnl").sum()) / data.run.ticks
    gone = 1.0 - known.size / own.size
    note = f" (not known in the {percent(gone)} of them in which stock ran out)" if gone else ""
    return [
        f"In a tick shoppers gained a surplus of {number(float(known.mean()))}{note}, and all "
        f"participants together earned {number(profit)}."
    ]


def _wars(data: Data) -> list[str]:
    counts = []
    for flow in flows_of(data):
        found = [wars_of(data, int(k)) for k in flow.instruments]
        seen = [len(one.onset) for one in found if one is not None]
        if seen:
            counts.append(f"{sum(seen):,} in {flow.name}")
    first = "the first market" if data.run.facts["markets"] > 1 else "this market"
    return [f"Price wars in {first}: {join_names(counts)}."] if counts else []


def chain_details(data: Data) -> tuple[str, ...]:
    """What passed through each venue, and what each level held."""
    lines = []
    for flow in flows_of(data):
        texts = []
        for trades, what in (
            (flow.bought_outside, "were bought from outside"),
            (flow.between, "changed hands between participants"),
            (flow.sold_outside, "were sold to outside"),
        ):
            if (units := float(trades.units.mean(axis=1).sum())) > 0.0:
                texts.append(f"{number(units)} units {what} at {number(trades.price)}")
        if texts:
            lines.append(f"In {flow.name} {join_names(texts)}.")
    held = [f"the {name} held {number(float(u.mean()))}" for name, u in stocks_of(data).items()]
    if held:
        lines.append(f"Of all goods together {join_names(held)} units on average.")
    return tuple(lines)


def chain_table(data: Data) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], str]:
    """Head, rows and note: a row per participant."""
    pnl, fees = data.by_market("pnl"), data.total("fees")
    held = _held(data)
    rows = []
    for n in listed(data):
        mine = data.seller == n
        rows.append(
            (
                data.names[n],
                data.roles[n],
                data.policies[n] or "–",
                money_text(pnl[:, n]),
                *_side(data, mine, "bought"),
                *_side(data, mine, "sold"),
                number(float(held[n])),
                number(float(fees[n])),
                number(data.total("lost")[n]),
                number(data.total("refused")[n]),
            )
        )
    head = (
        "participant",
        "role",
        "policy",
        "PnL",
        "units bought",
        "mean price paid",
        "units sold",
        "mean price got",
        "mean stock",
        "fees paid",
        "units lost",
        "quotes refused",
    )
    several = data.run.facts["markets"] > 1
    note = "Sums over all ticks" + (", mean over markets" if several else "")
    note += ". Stock: units of all goods held at the end of a tick. Units lost: asked for and not "
    return head, tuple(rows), note + "there." + verdicts.interval_note(data)


def _side(data: Data, mine: Array, side: str) -> tuple[str, str]:
    """Units traded on one side, and their mean price."""
    units = data.listings[side][:, :, mine]
    money = (units * data.listings[f"{side}_price"][:, :, mine]).sum()
    total = data.total(side)[int(data.seller[mine][0])] if mine.any() else 0.0
    return number(float(total)), number(float(money / units.sum())) if units.sum() else "–"


def _held(data: Data) -> Array:
    """[N] mean units held of all goods."""
    goods = [data.instruments[k].split(".", 1)[-1] for k in data.instrument]
    held = np.zeros(len(data.names))
    seen = set()
    for i, good in enumerate(goods):
        key = int(data.seller[i]), good
        if data.kinds[i] in (QUOTE, ORDER) and key not in seen and data.held[i]:
            seen.add(key)
            held[key[0]] += data.listings["inventory"][:, :, i].mean()
    return held
