"""How often each screen sounds in the worlds of the corpus, as measured.

The table is `rates.csv` beside this file. `python -m mos_agents.corpus` makes it anew. No
rate holds beyond the worlds, lengths and numbers of firms for which it was measured.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mos_agents.analysis.numbers import percent
from mos_agents.analysis.shares import clopper_pearson
from mos_agents.market.checks import check_real, check_whole

TABLE = Path(__file__).with_name("rates.csv")

LEVELS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Levels at which alarms were counted."""

FEWEST = 20
"""Verdicts below which a rate is not quoted."""


@dataclass(frozen=True)
class WorldRate:
    """How often a screen sounds in one world.

    Parameters
    ----------
    world : str
        Name of the world.
    kind : {"competitive", "tacit", "explicit", "seeming"}
        How its firms come to their prices.
    ticks, firms : int
        Length of the records, and firms.
    sessions : int
        Simulated markets in which the screen gave a verdict.
    refused : int
        Those in which it gave none.
    alarms : int
        Those in which it sounded.
    """

    world: str
    kind: str
    ticks: int
    firms: int
    sessions: int
    refused: int
    alarms: int

    @property
    def rate(self) -> float:
        """Share of alarms among verdicts; NaN without a verdict."""
        return self.alarms / self.sessions if self.sessions else float("nan")

    @property
    def limits(self) -> tuple[float, float]:
        """95% limits of the rate, by Clopper and Pearson."""
        return clopper_pearson(self.alarms, self.sessions) if self.sessions else (0.0, 1.0)


@dataclass(frozen=True)
class ScreenRates:
    """How often a screen sounds in worlds like the one at hand.

    Parameters
    ----------
    screen : str
        Name of the screen.
    level : float
        Level of the test.
    ticks, firms : int
        Length of the records and number of firms for which the rates were measured.
    worlds : tuple of WorldRate
        The rates, world by world.
    """

    screen: str
    level: float
    ticks: int
    firms: int
    worlds: tuple[WorldRate, ...]

    @property
    def competitive(self) -> tuple[WorldRate, ...]:
        """Worlds of competitors with enough verdicts."""
        return tuple(w for w in self.worlds if w.kind == "competitive" and w.sessions >= FEWEST)

    @property
    def suspect(self) -> tuple[WorldRate, ...]:
        """Worlds of tacit, explicit and seeming collusion with enough verdicts."""
        return tuple(w for w in self.worlds if w.kind != "competitive" and w.sessions >= FEWEST)

    @property
    def false_alarm_world(self) -> str:
        """The competitive world in which the screen sounds most often; "" if none was measured."""
        return max(self.competitive, key=lambda w: w.rate).world if self.competitive else ""

    @property
    def false_alarm_rate(self) -> float:
        """The rate in that world; NaN if none was measured."""
        return max((w.rate for w in self.competitive), default=float("nan"))

    @property
    def false_alarm_upper(self) -> float:
        """Upper 95% limit of that rate; NaN if none was measured."""
        return max((w.limits[1] for w in self.competitive), default=float("nan"))

    @property
    def power_world(self) -> str:
        """The suspect world in which the screen sounds most often; "" if none was measured."""
        return max(self.suspect, key=lambda w: w.rate).world if self.suspect else ""

    @property
    def power(self) -> float:
        """The rate in that world; NaN if none was measured."""
        return max((w.rate for w in self.suspect), default=float("nan"))

    @property
    def mean_power(self) -> float:
        """The rate on average over all suspect worlds; NaN if none was measured."""
        rates = [w.rate for w in self.suspect]
        return sum(rates) / len(rates) if rates else float("nan")

    @property
    def sentence(self) -> str:
        """The rates in one or two sentences."""
        size = f"{self.ticks} dates and {self.firms} firms"
        if not self.competitive:
            return f"No false-alarm rate was measured for markets of {size}."
        text = (
            f"In simulated competitive markets of {size} this screen sounds in at most "
            f"{percent(self.false_alarm_rate)} ({self.false_alarm_world.replace('_', ' ')})"
        )
        if not self.suspect:
            return f"{text}."
        return (
            f"{text}, and in {percent(self.power)} of the markets in which it sounds most "
            f"({self.power_world.replace('_', ' ')}); on average over all suspect worlds in "
            f"{percent(self.mean_power)}."
        )


@lru_cache(maxsize=1)
def rate_rows() -> tuple[dict[str, str], ...]:
    """Read the table.

    Returns
    -------
    tuple of dict
        Its rows.
    """
    if not TABLE.exists():
        return ()
    with TABLE.open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def rates_for(screen: str, ticks: int, firms: int, level: float = 0.05) -> ScreenRates | None:
    """Return the measured rates that are nearest to a record.

    The length is the longest one measured that is not longer than the record, or else the shortest.
    A longer record gives more power. Then the number of firms is the nearest one.

    Parameters
    ----------
    screen : str
        Name of the screen.
    ticks, firms : int
        Dates and firms of the record.
    level : float, optional
        Level of the test; the next level above that was measured is taken.

    Returns
    -------
    ScreenRates or None
        The rates; None if the screen was not measured, or not at such a level.

    Raises
    ------
    InputError
        If a number is out of its range.
    """
    check_whole("ticks", ticks, 1)
    check_whole("firms", firms, 1)
    check_real("level", level, 0.0, 1.0, above=True)
    fitting = [one for one in LEVELS if one >= level * (1.0 - 1e-9)]
    rows = [row for row in rate_rows() if row["screen"] == screen]
    if not fitting or not rows:
        return None
    counted = min(fitting)
    lengths = sorted({int(row["ticks"]) for row in rows})
    near = max((one for one in lengths if one <= ticks), default=lengths[0])
    rows = [row for row in rows if int(row["ticks"]) == near]
    size = min({int(row["firms"]) for row in rows}, key=lambda one: (abs(one - firms), one))
    found = tuple(
        WorldRate(
            row["world"],
            row["kind"],
            near,
            size,
            int(row["sessions"]),
            int(row["refused"]),
            int(row[f"alarms_{counted:g}"]),
        )
        for row in rows
        if int(row["firms"]) == size
    )
    return ScreenRates(screen, counted, near, size, found)
