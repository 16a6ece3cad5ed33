"""Slow reference implementations of the compiled measures of `mos_agents.analysis`."""

from __future__ import annotations

import numpy as np

from mos_agents.analysis.price_wars import SLACK, WarDefinition, WarEpisode
from mos_agents.analysis.trial_wars import (
    CALM,
    HIGH,
    LOW,
    NOT_CALM,
    SAME,
    WarEffectDefinition,
)
from mos_agents.market.types import Array


def shortest_period(path: Array, repeats: int, least: int) -> tuple[int, int]:
    """Period and start of the limit cycle of one path [T, N]; (0, T) for none."""
    ticks = len(path)
    for period in range(1, ticks):
        start = ticks - period
        while start > 0 and (path[start - 1] == path[start - 1 + period]).all():
            start -= 1
        if ticks - start >= max(repeats * period, least):
            return period, start
    return 0, ticks


def price_wars(
    prices: Array, gap: float, rule: WarDefinition, session: int = 0
) -> list[WarEpisode]:
    """The price wars of one session [T, N] whose p_M - p_N averages `gap`."""
    mean = prices.mean(axis=1)
    cuts = np.zeros(prices.shape, dtype=bool)
    cuts[1:] = prices[1:] < prices[:-1] * (1.0 - rule.min_cut)
    found: list[WarEpisode] = []
    since, need, t = 0, rule.level, 1
    while t < len(mean):
        before = mean[since : max(t - rule.window + 1, 0)][-rule.level :]
        lately = cuts[max(t - rule.window + 1, 0) : t + 1]
        enough = before.size >= need and lately.any(axis=0).sum() >= rule.firms
        if not enough or mean[t] > before.mean() - (rule.depth - SLACK) * gap:
            t += 1
            continue
        level = float(before.mean())
        end, recovered = _end(mean[t + 1 :] - level, gap, rule)
        last = len(mean) if end is None else t + 1 + end
        cut = t - len(lately) + 1 + int(lately.any(axis=1).argmax())
        fall = (level - mean[t:last]) / gap
        found.append(
            WarEpisode(
                session,
                t,
                None if end is None else last,
                last - t,
                float(fall.max()),
                level,
                float(fall.sum()),
                float((fall**2).sum()),
                cut,
                tuple(np.flatnonzero(cuts[cut]).tolist()),
                recovered,
            )
        )
        if end is None:
            break
        since, need = last, min(rule.level, rule.recovery) if recovered else rule.level
        t = last + rule.recovery if recovered else last + 1
    return found


def _end(fall: Array, gap: float, rule: WarDefinition) -> tuple[int | None, bool]:
    """When a war is over, in ticks after the one that follows its onset, and whether it is back."""
    reach = (rule.band + SLACK) * gap
    near = fall >= -reach if rule.above else np.abs(fall) <= reach
    for u in range(len(near)):
        if u + 1 >= rule.recovery and near[u + 1 - rule.recovery : u + 1].all():
            return u + 1 - rule.recovery, True
        if rule.longest is not None and not near[u] and u + 1 >= rule.longest:
            return u, False
    return None, False


def wars_after_trials(
    prices: Array, tried: Array, gap: float, rule: WarEffectDefinition
) -> tuple[list[int], list[bool]]:
    """What each tick of one session [T, N] is, and whether a war follows it."""
    mean, anybody = prices.mean(axis=1), tried.any(axis=1)
    kinds, wars = [], []
    for t in range(len(mean)):
        before, after = slice(t - rule.level, t), slice(t + 1, t + rule.horizon + 1)
        inside = t >= rule.level and t + rule.horizon < len(mean)
        if not inside or anybody[before].any() or anybody[after].any() or tried[t].sum() > 1:
            kinds.append(NOT_CALM)
            wars.append(False)
            continue
        low = mean <= mean[before].mean() - (rule.depth - SLACK) * gap
        own = prices <= prices[before].mean(axis=0) - (rule.band - SLACK) * gap
        low &= own.sum(axis=1) >= rule.firms
        runs = [low[u : u + rule.run] for u in range(t + rule.first, t + rule.horizon + 1)]
        runs = runs[: rule.horizon - rule.first - rule.run + 2]
        wars.append(any(run.all() for run in runs))
        kinds.append(CALM)
        for i in np.flatnonzero(tried[t]):
            fall = np.median(prices[~tried[:, i], i]) - prices[t, i]
            kinds[-1] = LOW if fall > SLACK * gap else HIGH if fall < -SLACK * gap else SAME
    return kinds, wars


def turned_p_value(treated: Array, outcome: Array) -> float:
    """Share of turns of the pattern with as many outcomes among the treated."""
    seen = (treated & outcome).sum()
    turns = [(np.roll(treated, k) & outcome).sum() for k in range(len(treated))]
    return float(np.mean(np.array(turns) >= seen))
