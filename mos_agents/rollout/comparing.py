"""One policy against another, with the same random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mos_agents.analysis import statistics
from mos_agents.analysis.statistics import check_confidence, check_resamples
from mos_agents.market.faults import Fault, added_up, headline
from mos_agents.market.frames import Framed, cell, table_html
from mos_agents.market.lazy import LazyModule
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy
from mos_agents.policies.guard import PolicyFault
from mos_agents.rollout.outcome import Rollout, counted, refusal_lines, rollout

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")


class Compared(NamedTuple):
    """One line of a comparison, in units of the metric per tick.

    Parameters
    ----------
    candidate : str
        Name of the candidate.
    participant : str
        The participant that was measured.
    mean, low, high : float
        Mean of the metric with its confidence limits.
    difference, difference_low, difference_high : float
        Paired difference from the baseline with its limits; NaN for the baseline itself.
    better : float
        Share of replicates in which the candidate is ahead of the baseline, in [0, 1].
    """

    candidate: str
    participant: str
    mean: float
    low: float
    high: float
    difference: float  # to the baseline, with the same random numbers; NaN for the baseline itself
    difference_low: float
    difference_high: float
    better: float  # share of replicates in which it is ahead of the baseline


@short_repr
@dataclass(frozen=True, eq=False)
class Comparison(Framed):
    """What the candidates earned with the same random numbers, with intervals.

    Parameters
    ----------
    metric : str
        The metric compared: "reward", or one of `METRICS`.
    baseline : str
        The candidate that the others are compared with.
    confidence : float
        Confidence of each interval, in (0, 1).
    rows : tuple of Compared
        A line for each candidate and measured participant.
    values : mapping of (str, str) to array [R]
        The metric per tick by candidate and participant, in each of R replicates.
    faults : mapping
        Faults of policies by candidate.
    refused : mapping
        Counts of refused quotes by candidate, participant and reason.
    decisions : int
        Decisions of each participant with each candidate: replicates times ticks.
    """

    metric: str
    baseline: str
    confidence: float
    rows: tuple[Compared, ...]
    values: Mapping[tuple[str, str], Array]  # (candidate, participant): [R] replicates
    faults: Mapping[str, tuple[Fault, ...]]
    refused: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    decisions: int = 0  # that each participant had with each candidate: replicates times ticks

    def row(self, candidate: str, participant: str | None = None) -> Compared:
        """Return the line of a candidate.

        Parameters
        ----------
        candidate : str
            Name of the candidate.
        participant : str, optional
            The participant, where several are measured.

        Returns
        -------
        Compared
            The line.

        Raises
        ------
        InputError
            If they were not compared.
        """
        for row in self.rows:
            if row.candidate == candidate and participant in (None, row.participant):
                return row
        raise InputError(f"candidate={candidate!r}, participant={participant!r} were not compared")

    def to_polars(self) -> pl.DataFrame:
        """Return a row per candidate and measured participant.

        Returns
        -------
        polars.DataFrame
            The fields of `Compared`: means, differences from the baseline and their limits, in
            units of the metric per tick. Differences of the baseline itself are null.
        """
        return pl.DataFrame([row._asdict() for row in self.rows]).fill_nan(None)

    def _repr_html_(self) -> str:
        head = ("candidate", "participant", "mean", "interval", f"less {self.baseline}")
        rows = []
        for r in self.rows:
            row = [r.candidate, r.participant, cell(r.mean), _limits(r.low, r.high)]
            if r.candidate == self.baseline:
                rows.append([*row, "–", "–", "–"])
                continue
            apart = _limits(r.difference_low, r.difference_high)
            rows.append([*row, cell(r.difference), apart, f"{100 * r.better:.1f}%"])
        return table_html((*head, "interval", "ahead"), rows, self._notes())

    def _notes(self) -> list[str]:
        """What went wrong with which candidate, and what the figures are."""
        replicates = len(next(iter(self.values.values())))
        found = [
            f"{candidate}: {line}"
            for candidate in dict.fromkeys([*self.faults, *self.refused])
            for line in (
                *headline(self.faults.get(candidate, ()), self.decisions),
                *refusal_lines(self.refused.get(candidate, {}), self.decisions),
            )
        ]
        return [
            *found,
            f"{self.metric} per tick, {counted(replicates, 'replicate')}, "
            f"{100 * self.confidence:g}% intervals over replicates",
        ]

    def __str__(self) -> str:
        wide = max([len("candidate"), *(len(r.candidate) for r in self.rows)])
        broad = max([len("participant"), *(len(r.participant) for r in self.rows)])
        head = (
            f"{'candidate':<{wide}}  {'participant':<{broad}}  {'mean':>11}  {'interval':^25}  "
            f"{'less ' + self.baseline:>18}  {'interval':^25}  {'ahead':>6}"
        )
        lines = [*self._notes(), head]
        for r in self.rows:
            line = (
                f"{r.candidate:<{wide}}  {r.participant:<{broad}}  {r.mean:>11.4f}  "
                f"{_brackets(r.low, r.high)}"
            )
            if r.candidate != self.baseline:
                line += (
                    f"  {r.difference:>+18.4f}  {_brackets(r.difference_low, r.difference_high)}"
                    f"  {100 * r.better:>5.1f}%"
                )
            lines.append(line)
        return "\n".join(lines)


def _limits(low: float, high: float) -> str:
    return f"[{cell(low)}, {cell(high)}]"


def _brackets(low: float, high: float) -> str:
    return f"[{low:>11.4f}, {high:>10.4f}]"


def compare_policies(
    market: Market,
    candidates: Mapping[str, Policy] | Mapping[str, Mapping[str, Policy]],
    *,
    participant: str | None = None,
    others: Mapping[str, Policy] | None = None,
    seeds: int | Sequence[int] = (0,),
    markets: int | IntArray = 100,
    ticks: int | None = None,
    metric: str = "reward",
    baseline: str | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    on_fault: str = "raise",
) -> Comparison:
    """Compare candidates by their mean reward, or another metric, per tick.

    All candidates meet the same random numbers, so differences are paired, and vary less than the
    means. Every market of every seed is one replicate. Intervals over replicates are those of
    `analysis.mean_interval`, each at the stated confidence by itself; of fewer than 5 replicates
    they are a rough range.

    Parameters
    ----------
    market : Market
        The market.
    candidates : mapping of str to Policy, or of str to mapping
        By name, a policy of `participant`. Without `participant`, by name a policy for every
        participant; all of them are then measured.
    participant : str, optional
        The participant whose policies are compared.
    others : mapping of str to Policy, optional
        Policies of the other participants.
    seeds : int or sequence of int, optional
        Seeds, each distinct.
    markets : int or array of int [B], optional
        How many markets of each seed, or their numbers.
    ticks : int, optional
        Ticks to play; by default the market's horizon.
    metric : str, optional
        "reward", or one of `METRICS`.
    baseline : str, optional
        The candidate that the others are compared with; by default the first.
    confidence : float, optional
        Confidence of each interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What a fault of a policy does; see `play`. Counted faults are the first lines of what is
        printed.

    Returns
    -------
    Comparison
        Means, differences and intervals.

    Raises
    ------
    InputError
        If candidates, seeds or markets cannot be compared.
    PolicyFault
        If a policy fails and `on_fault` is "raise". A note names the candidate.
    """
    if not candidates:
        raise InputError("candidates={} must name at least one policy")
    names = list(candidates)
    baseline = names[0] if baseline is None else baseline
    if baseline not in candidates:
        raise InputError(f"baseline={baseline!r} must be one of the candidates {names}")
    check_confidence(confidence)
    check_resamples(resamples)
    if np.ndim(markets) == 1 and len(np.unique(markets)) != len(markets):  # type: ignore[arg-type]
        raise InputError(f"markets={markets!r:.60} must be distinct: the same one is no replicate")
    if isinstance(seeds, int | np.integer):
        seeds = (int(seeds),)
    seeds = tuple(seeds) if isinstance(seeds, Iterable) else ()
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"seeds={seeds!r} must be distinct numbers, one or more")
    if participant is not None:
        market.spec(participant)
    measured = market.layout.participants if participant is None else (participant,)
    values: dict[tuple[str, str], Array] = {}
    faults: dict[str, tuple[Fault, ...]] = {}
    refused: dict[str, dict[str, dict[str, int]]] = {}
    for name in names:
        policies = _assignment(candidates[name], participant, others)
        try:
            runs = [
                rollout(market, policies, seed=s, ticks=ticks, markets=markets, on_fault=on_fault)
                for s in seeds
            ]
        except PolicyFault as fault:
            fault.add_note(f"while the candidate {name!r} was played")
            raise
        per_tick = np.concatenate([run.metric(metric) / run.ticks for run in runs])
        for one in measured:
            values[name, one] = per_tick[:, market.layout.participants.index(one)]
        if found := added_up(fault for run in runs for fault in run.faults):
            faults[name] = found
        if spurned := _refused(runs):
            refused[name] = spurned
    rows = tuple(
        _compared(name, one, values, baseline, confidence, resamples)
        for one in measured
        for name in names
    )
    decisions = per_tick.shape[0] * runs[0].ticks
    return Comparison(metric, baseline, confidence, rows, values, faults, refused, decisions)


def _refused(runs: Iterable[Rollout]) -> dict[str, dict[str, int]]:
    """Quotes that were not taken, by participant and reason, over all runs."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, reasons in run.refused.items():
            own = found.setdefault(name, {})
            for reason, number in reasons.items():
                own[reason] = own.get(reason, 0) + number
    return found


def _assignment(
    candidate: Any, participant: str | None, others: Mapping[str, Policy] | None
) -> Mapping[str, Policy]:
    if participant is None:
        if not isinstance(candidate, Mapping):
            raise InputError(
                "candidates: each must give a policy to every participant; to compare policies of "
                "one, name it: participant=..., others={...}"
            )
        return {**(others or {}), **candidate}
    if isinstance(candidate, Mapping):
        return {**(others or {}), **candidate}
    return {**(others or {}), participant: candidate}


def _compared(
    name: str,
    participant: str,
    values: Mapping[tuple[str, str], Array],
    baseline: str,
    confidence: float,
    resamples: int,
) -> Compared:
    own, base = values[name, participant], values[baseline, participant]
    mean, low, high = mean_interval(own, confidence, resamples)
    if name == baseline:
        nan = float("nan")
        return Compared(name, participant, mean, low, high, nan, nan, nan, nan)
    gap = own - base
    difference = mean_interval(gap, confidence, resamples)
    return Compared(name, participant, mean, low, high, *difference, float((gap > 0.0).mean()))


def mean_interval(
    values: Array, confidence: float = 0.95, resamples: int = 2000
) -> tuple[float, float, float]:
    """Return the mean of replicates with its interval, that of `analysis.mean_interval`.

    Parameters
    ----------
    values : array [R]
        One value for each replicate.
    confidence : float, optional
        Confidence of the interval, in (0, 1).
    resamples : int, optional
        Resamples of the bootstrap.

    Returns
    -------
    tuple of float
        Mean, lower and upper limit. A single replicate has infinite limits.
    """
    return statistics.mean_interval(values, confidence, resamples)[:3]
