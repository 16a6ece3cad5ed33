"""Who earned what, in a sentence that chance could not have written: intervals over markets.

The markets of a run or rollout have one scenario and chances of their own, so a figure a market is
a sample. Participants are compared within markets, by paired differences; see `ranking`.
"""

from __future__ import annotations

from typing import NamedTuple

from mos_agents.analysis.interval_text import figure_text
from mos_agents.analysis.numbers import join_names, number
from mos_agents.analysis.ranking import FEWEST, Ranking, best_mean
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array

MOST_NAMED = 4
"""Participants up to which a sentence has the lead over each other one, not the nearest alone."""


@short_repr
class Totals(NamedTuple):
    """A figure of every participant, added up over ticks, market by market.

    Parameters
    ----------
    names : tuple of str
        The names of the participants.
    titles : tuple of str
        Their names in sentences, such as "maker_1 (glft)".
    values : array
        [R, N] the figure, by market and participant.
    over : str
        What an interval is over, such as "20 recorded markets".
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    values: Array
    over: str


def total_interval(values: Array) -> Interval:
    """The mean over markets of [R] totals, as `mean_interval` has it."""
    return mean_interval(values)


def money_text(values: Array) -> str:
    """A mean over markets [R] with its interval; of one market, the figure alone."""
    if len(values) < 2:
        return number(float(values.mean()))
    return figure_text(total_interval(values), len(values), "market")


def profit_sentence(totals: Totals, what: str = "PnL") -> str:
    """Whether somebody earned more than all others by more than chance."""
    values, titles = totals.values, totals.titles
    if values.shape[1] < 2:
        return f"{titles[0]} earned a {what} of {money_text(values[:, 0])}."
    if len(values) < FEWEST:
        return _unranked(totals, what)
    found = best_mean(values)
    mean, margins = money_text(values[:, found.leader]), _margins(totals, found)
    limits = f" (95% intervals over {totals.over}; a lead is a paired difference"
    limits += ", and the leads' intervals hold together)" if values.shape[1] > 2 else ")"
    limits *= "[" in mean + margins  # figures that do not vary have no interval
    if found.named:
        return (
            f"{titles[found.leader]} earned more than each other participant of the same "
            f"market: a mean {what} of {mean}; {margins}{limits}."
        )
    return (
        f"No participant earned more than all others by more than chance: the largest mean {what} "
        f"is that of {titles[found.leader]}, {mean}, but {margins}{limits}."
    )


def _unranked(totals: Totals, what: str) -> str:
    means = totals.values.mean(axis=0)
    markets = len(totals.values)
    count = "One market gives" if markets == 1 else f"{markets:,} markets give"
    return (
        f"The {what} of the {len(means)} participants lies between {number(means.min())} and "
        f"{number(means.max())}, {number(means.sum())} in all. {count} no interval that "
        f"separates skill from chance, so no participant is named the best; more markets give one."
    )


def _margins(totals: Totals, found: Ranking) -> str:
    """its lead over maker_1 is 260 [−280, 800]: over all others, or the nearest of many."""
    others = [n for n, one in enumerate(found.margins) if one is not None]
    if len(others) + 1 > MOST_NAMED:
        others = [found.nearest]
    lines: list[str] = []
    for n in others:
        one = found.margins[n]
        assert one is not None
        text = figure_text(one, len(totals.values), "market")
        lines.append(f"over {totals.names[n]} {'it ' * bool(lines)}is {text}")
    return "its lead " + join_names(lines)
