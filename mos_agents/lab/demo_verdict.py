"""The verdict of the demonstration: a headline, three sentences, and a table of its controls."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.interval_text import interval_text, share_text
from mos_agents.analysis.shares import bounded_interval
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.market.types import Array
from mos_agents.sweeps.table import aligned

CHANCE = 0.05
"""Share of sessions that would be said to fall together if nobody answered anybody."""


@dataclass(frozen=True)
class Figure:
    """A figure of the demonstration with its interval over sessions.

    Parameters
    ----------
    share : bool
        it is a share, in [0, 1].
    cut_off : bool
        some durations had not ended where the record ends, so that the figure is less than the
        true one.
    """

    interval: Interval
    sessions: int
    share: bool = False
    cut_off: bool = False

    @classmethod
    def of(cls, values: Array, share: bool = False, cut_off: bool = False) -> Figure:
        """The mean of a value a session; those that are NaN are left out."""
        known = values[np.isfinite(values)]
        if known.size < 2:
            return cls(Interval(*(4 * [float("nan")])), known.size, share)
        found = bounded_interval(known) if share else mean_interval(known)
        return cls(found, known.size, share, cut_off)

    def text(self, digits: int = 2) -> str:
        """0.85 [0.83, 0.87]; 12% [10%, 15%]; at least 7.2 [6.0, no limit]."""
        if self.share:
            return share_text(self.interval, self.sessions)
        one = self.interval
        if self.cut_off:
            one = one._replace(high=float("inf"))
        form = f"{{:.{digits}f}}".format
        return interval_text(one, self.sessions, "session", form, at_least=self.cut_off)


MEASURES = {
    "profit gain": ("profit_gain", 2),
    "cuts that do not pay": ("unprofitable_cut_share", 2),
    "periods away after a cut": ("periods_away", 1),
    "price wars per 1000 periods": ("wars_per_1000_periods", 2),
    "sessions that fall together": ("fell_together_share", 2),
}
"""The rows of the table: the figure of each, and its digits."""

APART = {
    "wars_per_1000_periods": "wars_per_1000_periods_repaired",
    "fell_together_share": "5% by construction",
}
"""The control of firms that never met: a figure, or what holds by construction."""


@dataclass(frozen=True)
class DemoVerdict:
    """What the sellers learnt to do; `print` shows all of it.

    Attributes
    ----------
    headline : str
        The outcome, in one line.
    sentences : tuple of str
        The profit, the answer to a forced price cut, and the price wars, each beside its control.
    head, rows : tuple of str, tuple of rows
        Every measure of the learners and of both controls.
    note : str
        How the figures are to be read.
    """

    headline: str
    sentences: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str

    def text(self, width: int = 96) -> str:
        """Headline, sentences, table and note as lines of text."""
        wrapped = ["\n".join(textwrap.wrap(one, width)) for one in self.sentences]
        margin = max(len(row[0]) for row in self.rows)
        table = [(row[0].ljust(margin), *row[1:]) for row in (self.head, *self.rows)]
        return "\n".join([self.headline, "", *wrapped, "", *aligned(table), "", self.note])

    def __str__(self) -> str:
        return self.text()


def controls(figures: Mapping[str, Figure]) -> tuple[tuple[str, ...], ...]:
    """A row for each measure: the learners, the same without a future, firms that never met."""

    def apart(name: str) -> str:
        found = APART.get(name, "–")
        return figures[found].text() if found in figures else found

    return tuple(
        (
            label,
            figures[name].text(digits),
            figures[name + "_no_future"].text(digits),
            apart(name),
        )
        for label, (name, digits) in MEASURES.items()
    )


def verdict(figures: Mapping[str, Figure], sessions: int) -> DemoVerdict:
    """A headline, three sentences and a table, with the uncertainty and the controls."""
    higher = figures["profit_gain"].interval.low > 0.0
    return DemoVerdict(
        f"In {sessions:,} sessions the two learning sellers "
        f"{'earned' if higher else 'did not earn'} more than in competition.",
        (_on_profit(figures), _on_cuts(figures), _on_wars(figures)),
        ("", "learners", "without a future", "never met"),
        controls(figures),
        f"In brackets: 95% intervals over {sessions:,} sessions, for the chance of learning alone.",
    )


def _on_profit(figures: Mapping[str, Figure]) -> str:
    gain, other = figures["profit_gain"], figures["profit_gain_no_future"]
    return (
        f"Their profit gain is {gain.text()}, where 0 is competition and 1 joint profit. "
        "The same learners without a future (discount factor 0) gain "
        f"{other.text()}: {_beside(other, gain)}."
    )


def _on_cuts(figures: Mapping[str, Figure]) -> str:
    paid, away = figures["unprofitable_cut_share"], figures["periods_away"]
    if not np.isfinite(away.interval.estimate):
        return "No seller could be made to cut its price."
    other = figures["unprofitable_cut_share_no_future"]
    text = (
        f"After a forced price cut prices stay lower for {away.text(1)} periods, and the cut does "
        f"not pay in {paid.text()} of cases. "
    )
    if not np.isfinite(other.interval.estimate):
        return text + "Without a future, no seller could be made to cut its price."
    return (
        text
        + f"Without a future it does not pay in {other.text()}: {_beside(other, paid, ' often')}."
    )


def _on_wars(figures: Mapping[str, Figure]) -> str:
    fell, other = figures["fell_together_share"], figures["fell_together_share_no_future"]
    text = (
        "While the sellers still explored, prices fell together by more than chance in "
        f"{fell.text()} of the sessions, against {other.text()} without a future "
        "and 5% by chance alone: "
    )
    if not fell.interval.low > CHANCE:
        return text + "not more often than by chance."
    if (relation := _beside(fell, other, " often")) == ALIKE:
        return text + "the first two rates do not differ, so the wars do not show cooperation."
    return text + relation + " than without a future."


ALIKE = "the two do not differ"


def _beside(one: Figure, other: Figure, often: str = "") -> str:
    """How a figure compares with another; intervals that overlap show no difference."""
    low, high = one.interval.low, one.interval.high
    if one.cut_off:
        high = float("inf")
    if not np.isfinite([one.interval.estimate, other.interval.estimate]).all():
        return "nothing to compare"
    if low > (float("inf") if other.cut_off else other.interval.high):
        return "more" + often
    return "less" + often if high < other.interval.low else ALIKE
