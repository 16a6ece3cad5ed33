"""Who did better, said only where chance could not have said it: intervals over the run's markets.

The markets of a run have one scenario and chances of their own, so a figure a market is a sample.
Participants are compared within markets, by paired differences; see `mos_agents.analysis.ranking`.
"""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.interval_text import decimals_of, figure_text, limits_text
from mos_agents.analysis.numbers import join_names, number
from mos_agents.analysis.ranking import (
    FEWEST,
    FEWEST_FOR_RISK,
    SignificantPair,
    best_mean,
    mean_over_deviation,
    pairs_by_deviation,
    pairs_by_sharpe,
)
from mos_agents.analysis.verdicts import Totals, profit_sentence
from mos_agents.market.types import Array
from mos_agents.report.data import Data
from mos_agents.runs.plan import ordinal

MOST_COMPARED = 6
"""Participants up to which all pairs are compared by risk."""


def named(data: Data, n: int) -> str:
    """maker_1 (glft): a participant with its policy, where that is known."""
    kind = data.policies[n]
    return f"{data.names[n]} ({kind})" if kind else data.names[n]


def over(data: Data) -> str:
    """What the intervals of a run are over."""
    some = data.run.facts["recorded_markets"] < data.run.facts["markets"]
    return f"{data.R:,} {'recorded ' if some else ''}markets"


def interval_note(data: Data) -> str:
    """What the intervals in the table are, or why there are none; a sentence or two."""
    if data.R < 2:
        return " One market gives no interval; several markets give intervals over markets."
    every = data.run.facts["every"]
    thinned = f", from every {ordinal(every)} tick" if every > 1 else ""
    return (
        f" In brackets: 95% intervals over {over(data)}{thinned}; they hold the chance of "
        "simulated play alone."
    )


def profit(data: Data, what: str = "PnL") -> list[str]:
    """Whether one participant earned significantly more than all others, in a sentence."""
    titles = tuple(named(data, n) for n in range(len(data.names)))
    return [profit_sentence(Totals(data.names, titles, data.by_market("pnl"), over(data)), what)]


def deviation(values: Array) -> str:
    """The standard deviation of [R] totals over markets, as a cell; a dash of one market."""
    if len(values) < 2:
        return "–"
    sd = float(values.std(ddof=1))
    return number(sd if sd > 1e-12 * float(np.abs(values).max()) else 0.0)  # no rounding error


def per_risk(values: Array) -> str:
    """Mean over standard deviation of [R] totals over markets, with its interval."""
    if len(values) < FEWEST or values.std(ddof=1) == 0.0:
        return "–"
    return figure_text(mean_over_deviation(values), len(values), "market")


def risk(data: Data, what: str = "PnL") -> list[str]:
    """Who is distinguished by risk, and by what is earned per unit of it; up to MOST_COMPARED."""
    totals = data.by_market("pnl")
    if not 2 <= totals.shape[1] <= MOST_COMPARED or data.R < FEWEST:
        return []
    if data.R < FEWEST_FOR_RISK:
        return [
            f"{data.R:,} markets are too few to compare risks: standard deviations over markets "
            f"are compared from {FEWEST_FOR_RISK} on."
        ]
    calmer, worth = pairs_by_deviation(totals), pairs_by_sharpe(totals)
    lines = [
        f"{named(data, one.better)} bears {limits(one)} times the risk of {named(data, one.worse)}"
        for one in calmer
    ]
    if not lines:
        return [
            f"No two participants differ in risk (the standard deviation of {what} over markets) "
            f"by more than chance over {over(data)}."
        ]
    together = (
        f"(ratios of standard deviations of {what} over markets, 95% intervals for all pairs "
        f"together, over {over(data)})"
    )
    found = [f"By risk, {join_names(lines)} {together}."]
    if worth:
        more = [f"{data.names[one.better]} than {data.names[one.worse]}" for one in worth]
        found.append(f"Per unit of that risk, more was earned by {join_names(more)}.")
    return found


def limits(pair: SignificantPair) -> str:
    """0.13 [0.10, 0.17]."""
    form = decimals_of(pair.margin)
    return f"{form(pair.margin.estimate)} {limits_text(*pair.margin[1:3], form)}"


def rms_by_seller(data: Data, values: Array) -> Array:
    """[R, N] root of the mean square of [T, R, L], over ticks and own listings."""
    squares = data.by_seller(values**2).mean(axis=0)
    return np.sqrt(squares / np.maximum(np.bincount(data.seller, minlength=len(data.names)), 1))


def held(data: Data) -> list[str]:
    """Whose inventory was the smallest, where that is more than chance."""
    sizes = rms_by_seller(data, data.listings["inventory"])
    if data.R < FEWEST or sizes.shape[1] < 2:
        return []
    found, most = best_mean(-sizes), int(sizes.mean(axis=0).argmax())
    if not found.named:
        return []
    own, largest = (number(float(sizes[:, n].mean())) for n in (found.leader, most))
    return [
        f"{named(data, found.leader)} held the smallest inventory: {own} units an asset (root mean "
        f"square), against {largest} of {named(data, most)}."
    ]
