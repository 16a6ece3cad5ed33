"""The verdict of the demonstration: a headline, three sentences, and a table of its controls."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.interval_text import interval_text, share_text, whole_percent
from mos_agents.analysis.shares import bounded_interval
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.market.types import Array
from mos_agents.sweeps.table import aligned

CONTROLS = {
    "": "learners",
    "_no_future": "no future",
    "_blind": "blind",
    "_strangers": "strangers",
    "_learning_off": "learning off",
}
"""The columns of the table, by the end of their figures' names."""

WORDS = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


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
    def of(
        cls, values: Array, share: bool = False, cut_off: bool = False, least: float = -np.inf
    ) -> Figure:
        """The mean of a value a session, which is never below `least`; NaN is left out."""
        known = values[np.isfinite(values)]
        if known.size < 2:
            return cls(Interval(*(4 * [float("nan")])), known.size, share)
        found = bounded_interval(known) if share else mean_interval(known)
        found = found._replace(low=max(found.low, least))
        return cls(found, known.size, share, cut_off)

    def text(self, digits: int = 2) -> str:
        """0.85 [0.83, 0.87]; 12% [10%, 15%]; at least 7.2 [6.0, no limit]."""
        if not np.isfinite(self.interval.estimate):
            return "–"
        if self.share:
            return share_text(self.interval, self.sessions)
        one = self.interval
        if self.cut_off:
            one = one._replace(high=float("inf"))
        form = f"{{:.{digits}f}}".format
        return interval_text(one, self.sessions, "session", form, at_least=self.cut_off)

    def short(self) -> str:
        """12%: the share alone."""
        value = self.interval.estimate
        if not np.isfinite(value):
            return "–"
        return "<0.1%" if 0.0 < value < 0.0005 else whole_percent(value)


MEASURES = {
    "wars after a low trial": "war_after_trial",
    "wars after a calm period": "war_placebo",
    "sessions where they differ": "significant_share",
    "profit gain": "profit_gain",
    "cuts that do not pay": "unprofitable_cut_share",
}
"""The rows of the table, and the name of each figure."""


@dataclass(frozen=True)
class DemoVerdict:
    """What the sellers learnt to do; `print` shows all of it.

    Attributes
    ----------
    headline : str
        The outcome, in one line.
    sentences : tuple of str
        The wars after low trials, the same in the controls, and the profits.
    head, rows : tuple of str, tuple of rows
        Every measure of the learners and of the controls.
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
        note = textwrap.wrap(self.note, width)
        return "\n".join([self.headline, "", *wrapped, "", *aligned(table), "", *note])

    def __str__(self) -> str:
        return self.text()


def controls(figures: Mapping[str, Figure]) -> tuple[tuple[str, ...], ...]:
    """A row for each measure, with a column for the learners and for each control."""

    def cell(name: str, end: str) -> str:
        if (one := figures.get(name + end)) is None:
            return "–"
        return one.text() if not end else one.short() if one.share else f"{one.interval[0]:.2f}"

    return tuple(
        (label, *(cell(name, end) for end in CONTROLS)) for label, name in MEASURES.items()
    )


def verdict(figures: Mapping[str, Figure], trials: Mapping[str, int]) -> DemoVerdict:
    """A headline, three sentences and a table, with the uncertainty and the controls.

    trials: how many low trials the learners (end "") and each control made.
    """
    sessions = figures["profit_gain"].sessions
    return DemoVerdict(
        _headline(figures, trials),
        (_on_wars(figures), _on_controls(figures), _on_profit(figures)),
        ("", *CONTROLS.values()),
        controls(figures),
        f"In brackets: 95% intervals over {sessions:,} sessions, for the chance of learning alone. "
        "No future: learners with discount factor 0. Blind: sellers who see no price. Strangers: "
        "sellers of different sessions, who never met before. Learning off: the learners' tables "
        "no longer change.",
    )


def sets_off_wars(figures: Mapping[str, Figure]) -> bool:
    """Whether wars follow low trials more often than calm periods, beyond chance."""
    return figures["war_difference"].interval.low > 0.0


def _headline(figures: Mapping[str, Figure], trials: Mapping[str, int]) -> str:
    if not sets_off_wars(figures):
        sessions = figures["profit_gain"].sessions
        return f"Price wars after low trials are not beyond chance in {sessions:,} sessions."
    after = figures["war_after_trial"].interval.estimate
    other = figures["war_after_trial_no_future"].interval.estimate
    return (
        f"{_one_in(after)} sets off a price war; without a future, "
        f"{_in_a_thousand(other, trials['_no_future'])}."
    )


def _one_in(share: float) -> str:
    """One low trial in three."""
    number = round(1.0 / share)
    if number < 2:
        return f"A low trial in {whole_percent(share)} of cases"
    return f"One low trial in {WORDS[number] if number < len(WORDS) else f'{number:,}'}"


def _in_a_thousand(share: float, trials: int) -> str:
    """None in a thousand, or how many; fewer trials say less."""
    if not np.isfinite(share) or trials == 0:
        return "no low trial was made"
    if trials < 1000:
        count = round(share * trials)
        return f"{'none' if count == 0 else count} in {trials:,}"
    count = round(1000.0 * share)
    return f"{'none' if count == 0 else count} in a thousand"


def _on_wars(figures: Mapping[str, Figure]) -> str:
    return (
        "A seller tries a price below its usual one, and the mean price then falls by a quarter of "
        "the way from joint profit to competition for three periods or more, in which nobody tries "
        f"anything: after {figures['war_after_trial'].text()} of such trials, and after "
        f"{figures['war_placebo'].short()} of calm periods."
    )


def _on_controls(figures: Mapping[str, Figure]) -> str:
    def share(end: str) -> str:
        return figures["war_after_trial" + end].short()

    return (
        f"Without a future it is {share('_no_future')}, among sellers who see no price "
        f"{share('_blind')}, among strangers {share('_strangers')}, and with learning switched off "
        f"{share('_learning_off')}."
    )


def _on_profit(figures: Mapping[str, Figure]) -> str:
    gain, paid = figures["profit_gain"], figures["unprofitable_cut_share"]
    text = (
        f"Their profit gain is {gain.text()}, where 0 is competition and 1 joint profit; without a "
        f"future it is {figures['profit_gain_no_future'].interval.estimate:.2f}. "
    )
    if not np.isfinite(paid.interval.estimate):
        return text + "No seller could be made to cut its price."
    return text + f"A forced price cut does not pay in {paid.short()} of cases."
