"""How often price wars break out, how deep they go, how long they last: one line for a table.

A war that was still on when the record ended has lasted *at least* so long. Leaving such wars out,
or taking their length for the whole, makes wars look short; the product-limit estimate (Kaplan and
Meier 1958) uses both kinds for what they say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.analysis.durations import survival
from mos_agents.analysis.price_wars import PriceWars
from mos_agents.analysis.statistics import Interval, mean_interval
from mos_agents.market.checks import check_whole
from mos_agents.market.frames import Framed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray


@short_repr
@dataclass(frozen=True)
class WarTable(Framed):
    """A summary of price wars over sessions.

    Durations, depths and the last two fields are None where there was no war.

    Parameters
    ----------
    episodes : int
        Number of wars.
    per_1000_ticks : Interval
        Wars per 1000 ticks of a session, with its interval over sessions.
    per_1000_at_risk : float
        Wars per 1000 ticks at which a war could begin: the hazard.
    share_with : float
        Share of sessions with a war.
    share_of_time : float
        Share of all ticks at war, the late ones included.
    recovered, settled, censored : int
        Wars by how they ended: price back, new level, end of the record.
    median_duration : float or None
        Ticks, by product limit; None if fewer than half of the wars were seen to end.
    mean_duration : float or None
        Area under the product-limit curve up to `horizon`: a lower bound if the longest war was cut
        off, else the mean.
    horizon : int or None
        The longest duration seen, in ticks.
    median_duration_finished : float or None
        Median of the wars that ended. It is too low whenever `censored` > 0.
    mean_depth, deepest : float or None
        In units of p_M - p_N. A war that was cut off may have gone deeper.
    first_cutter_share : tuple of float or None
        Share of wars that each firm began; a tie is shared equally.
    tied : float or None
        Share of wars whose first cut was made by several firms in one tick.
    """

    episodes: int
    per_1000_ticks: Interval
    per_1000_at_risk: float
    share_with: float
    share_of_time: float
    recovered: int
    settled: int
    censored: int
    median_duration: float | None
    mean_duration: float | None
    horizon: int | None
    median_duration_finished: float | None
    mean_depth: float | None
    deepest: float | None
    first_cutter_share: tuple[float, ...] | None
    tied: float | None


def war_table(
    wars: PriceWars, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> WarTable:
    """Summarise price wars; the interval is over sessions (`mean_interval`).

    Parameters
    ----------
    wars : PriceWars
        The wars.
    confidence : float, optional
        Confidence of the interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    WarTable
        The summary. Durations use the product-limit estimate [1]_, so that wars cut off by the end
        of the record count for what they say.

    References
    ----------
    .. [1] Kaplan, E. L. and Meier, P. (1958). Nonparametric estimation from incomplete
           observations. JASA 53(282).
    """
    counts = wars.counts
    frequency = mean_interval(1000.0 * counts / wars.ticks, confidence, resamples, seed)
    risk = int(wars.at_risk.sum())
    median = mean = horizon = finished = depth = deepest = starters = tied = None
    if len(wars):
        curve = survival(wars.duration, ~wars.censored)
        median, mean, horizon = curve.median, curve.mean, int(wars.duration.max())
        if not wars.censored.all():
            finished = float(np.median(wars.duration[~wars.censored]))
        depth, deepest = float(wars.depth.mean()), float(wars.depth.max())
        number = wars.first_cutters.sum(axis=1)
        starters = tuple((wars.first_cutters / number[:, None]).mean(axis=0).tolist())
        tied = float((number > 1).mean())
    return WarTable(
        episodes=len(wars),
        per_1000_ticks=frequency,
        per_1000_at_risk=float("nan") if risk == 0 else 1000.0 * len(wars) / risk,
        share_with=float((counts > 0).mean()),
        share_of_time=float(wars.duration.sum() / (wars.ticks * wars.sessions)),
        recovered=int(wars.recovered.sum()),
        settled=int((~wars.recovered & ~wars.censored).sum()),
        censored=int(wars.censored.sum()),
        median_duration=median,
        mean_duration=mean,
        horizon=horizon,
        median_duration_finished=finished,
        mean_depth=depth,
        deepest=deepest,
        first_cutter_share=starters,
        tied=tied,
    )


def severity(wars: PriceWars) -> Array:
    """Each session's sum of squared falls over its ticks at war, [S]; 0 without a war.

    The same cuts add up to the same fall of the mean price whenever they are made; squares are
    larger when firms cut together. `screens.coordination` compares this number.
    """
    return np.bincount(wars.session, wars.squares, wars.sessions).astype(np.float64)


def ticks_at_war(wars: PriceWars, begin: int, end: int) -> IntArray:
    """[S] bool: did a war of the session start at a tick in [begin, end)?"""
    check_whole("begin", begin, 0)
    if not begin < end <= wars.ticks:
        raise InputError(f"begin={begin!r}, end={end!r} must be a window within {wars.ticks} ticks")
    inside = (wars.onset >= begin) & (wars.onset < end)
    return np.bincount(wars.session[inside], minlength=wars.sessions) > 0
