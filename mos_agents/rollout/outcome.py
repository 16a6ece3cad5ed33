"""What came of a play: totals by market and participant, and series tick by tick if asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mos_agents.analysis.verdicts import Totals, profit_sentence
from mos_agents.market.faults import NOT_FINITE, Fault, headline
from mos_agents.market.frames import Framed, cell, table_html
from mos_agents.market.lazy import LazyModule
from mos_agents.market.market import Market
from mos_agents.market.metrics import METRICS
from mos_agents.market.printing import short_repr
from mos_agents.market.refusals import refusals
from mos_agents.market.types import Array, InputError, IntArray, State
from mos_agents.policies.base import Policy
from mos_agents.rollout.episode import ParticipantPool, Transition, transitions

if TYPE_CHECKING:
    import polars as pl
else:
    pl = LazyModule("polars")

SERIES: dict[str, Callable[[Transition], Array]] = {
    "bid": lambda t: t.step.info.quotes.bid,
    "ask": lambda t: t.step.info.quotes.ask,
    "bid_size": lambda t: t.step.info.quotes.bid_size,
    "ask_size": lambda t: t.step.info.quotes.ask_size,
    "sold": lambda t: t.step.info.executions.sold,
    "bought": lambda t: t.step.info.executions.bought,
    "demand": lambda t: t.step.info.executions.demand,
    "lost": lambda t: t.step.info.executions.lost,
    "inventory": lambda t: t.step.state.positions.inventory,
    "cash": lambda t: t.step.state.positions.cash,
    "cost": lambda t: t.before.cost,
    "reference": lambda t: t.before.reference,
    "reward": lambda t: t.step.reward,
    "metrics": lambda t: t.step.metrics,
    "action": lambda t: t.actions,
}
"""What `rollout` can keep tick by tick. Costs and references are those at which the tick traded;
inventory and cash are those after settlement, the inventory by holding."""


PER_TICK = ("reward a tick", "pnl a tick", "units a tick")
"""The columns of a printed rollout: means over markets and ticks."""


@short_repr
@dataclass(frozen=True, eq=False)
class Rollout(Framed):
    """The outcome of a play: totals over the ticks, by market and participant.

    `print` shows means per tick. `to_polars` gives a row per market and participant.

    Parameters
    ----------
    market : str
        Name of the market.
    participants : tuple of str
        The N participants, in roster order.
    seed : int
        Seed of all random numbers.
    ticks : int
        Ticks that were played.
    markets : array of int [B]
        Numbers of the markets.
    reward : array [B, N]
        Sums over ticks of the rewards.
    metrics : array [B, N, M]
        Sums over ticks of the metrics, in the order of `metric_names`.
    final : State
        The state after the last tick.
    series : mapping of str to array [T, B, ...]
        What was kept tick by tick.
    refused : mapping
        Counts of refused quotes by participant and reason.
    faults : tuple of Fault
        Faults of policies.
    metric_names : tuple of str
        Names of the M metrics: `METRICS`, and those of the whole market that rewards count.
    """

    market: str
    participants: tuple[str, ...]
    seed: int
    ticks: int
    markets: IntArray  # [B] market numbers
    reward: Array  # [B, N] sums over ticks
    metrics: Array  # [B, N, M] sums over ticks, columns metric_names
    final: State
    series: Mapping[str, Array] = field(default_factory=dict)  # [T, B, ...] each
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    metric_names: tuple[str, ...] = METRICS

    def metric(self, name: str) -> Array:
        """Return a metric's sums over ticks.

        Parameters
        ----------
        name : str
            One of `metric_names`, or "reward".

        Returns
        -------
        array [B, N]
            Money, except for `units_traded`.

        Raises
        ------
        InputError
            If there is no such metric.
        """
        if name != "reward" and name not in self.metric_names:
            raise InputError(f"metric={name!r} must be 'reward' or one of {self.metric_names}")
        return (
            self.reward if name == "reward" else self.metrics[:, :, self.metric_names.index(name)]
        )

    def to_polars(self) -> pl.DataFrame:
        """Return a row per market and participant.

        Returns
        -------
        polars.DataFrame
            Columns market (its number), participant, reward and every metric, as sums over the
            ticks. Money, except for `units_traded`.
        """
        keys = {
            "market": np.repeat(self.markets, len(self.participants)),
            "participant": np.tile(self.participants, len(self.markets)),
            "reward": self.reward.ravel(),
        }
        columns = self.metrics.reshape(-1, len(self.metric_names)).T
        return pl.DataFrame(keys | dict(zip(self.metric_names, columns, strict=True)))

    def _repr_html_(self) -> str:
        *notes, head = self._notes()
        rows = [[name, *map(cell, means)] for name, means in self._means()]
        return table_html(("participant", *PER_TICK), rows, [*notes, head], self.summary)

    def __str__(self) -> str:
        lines = [*self._notes(), f"{'participant':<16}" + "".join(f"{x:>14}" for x in PER_TICK)]
        for name, means in self._means():
            lines.append(f"{name:<16}" + "".join(f"{x:>14.4f}" for x in means))
        return "\n".join([*lines, self.summary])

    def _notes(self) -> list[str]:
        """What went wrong, and what was played."""
        each = len(self.markets) * self.ticks
        return [
            *headline(self.faults, each),
            *refusal_lines(self.refused, each),
            f"{self.market}: {counted(len(self.markets), 'market')}, "
            f"{counted(self.ticks, 'tick')}, seed {self.seed}",
        ]

    def _means(self) -> Iterator[tuple[str, list[float]]]:
        """Each participant with its means per tick, in the order of PER_TICK."""
        sums = self.reward, self.metric("pnl"), self.metric("units_traded")
        for n, name in enumerate(self.participants):
            yield name, [float(x[:, n].mean() / self.ticks) for x in sums]

    @property
    def summary(self) -> str:
        """Whether somebody's reward was larger than all others' by more than chance, in words."""
        over = counted(len(self.markets), "market")
        names = self.participants
        return profit_sentence(Totals(names, names, self.reward, over), "reward")


def rollout(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    series: Sequence[str] = (),
    memory_limit: int = 2_000_000_000,
    on_fault: str = "raise",
) -> Rollout:
    """Play a market, and add up what each participant earned.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant, or its configuration `{"kind": ...}`.
    seed : int, optional
        Seed of all random numbers, >= 0.
    ticks : int, optional
        Ticks to play; by default the market's horizon.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers. Market m of a seed has the same random numbers
        in any batch.
    series : sequence of str, optional
        Names from `SERIES` to keep tick by tick. Each takes 8 bytes a number: 500 ticks of 1000
        markets with 30 listings take 120 MB.
    memory_limit : int, optional
        Bytes that the series may take.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What a fault of a policy does; see `play`.

    Returns
    -------
    Rollout
        Totals by market and participant, and the series.

    Raises
    ------
    InputError
        If a policy does not fit its participant, or a series is unknown or takes too much memory.
    PolicyFault
        If a policy fails and `on_fault` is "raise".
    """
    for name in series:
        if name not in SERIES:
            raise InputError(f"series: {name!r} is not kept; those that can be are {list(SERIES)}")
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault)
    length = market.horizon if ticks is None else ticks
    reward = np.zeros((pool.batch, market.layout.N))
    metrics = np.zeros((*reward.shape, len(market.metrics)))
    kept: dict[str, Array] = {}
    refused: list[IntArray] = []
    final = market.start(pool.batch)
    looped = transitions(market, policies, seed=seed, ticks=ticks, markets=markets, pool=pool)
    for at, transition in enumerate(looped):
        if at == 0:
            kept = _empty_series(series, transition, length, memory_limit)
        reward += transition.step.reward
        metrics += transition.step.metrics
        if transition.step.info.refused.any():
            gone = pool.withdrawn(market)
            reasons = transition.step.info.refused
            refused.append(reasons if gone is None else np.where(gone, 0, reasons))
        for name, values in kept.items():
            values[at] = SERIES[name](transition)
        final = transition.step.state
    counts = refusals(market.layout.participants, np.concatenate(refused)) if refused else {}
    return Rollout(
        market.name,
        market.layout.participants,
        int(seed),
        int(length),
        pool.streams[0].markets.astype(np.int64),
        reward,
        metrics,
        final,
        kept,
        counts,
        tuple(pool.faults.values()),
        market.metrics,
    )


def _empty_series(
    series: Sequence[str], transition: Transition, ticks: int, limit: int
) -> dict[str, Array]:
    """Empty arrays [T, B, ...] for the series, unless they are too large."""
    shapes = {name: (ticks, *SERIES[name](transition).shape) for name in series}
    needed = sum(8 * int(np.prod(shape)) for shape in shapes.values())
    if needed > limit:
        raise InputError(
            f"series={list(series)} take {needed / 1e6:.0f} MB, over memory_limit="
            f"{limit / 1e6:.0f} MB; keep fewer names, markets or ticks, or raise memory_limit"
        )
    return {name: np.empty(shape) for name, shape in shapes.items()}


def refusal_lines(refused: Mapping[str, Mapping[str, int]], decisions: int) -> list[str]:
    """A line for each participant whose quotes the market did not take, for whatever reason but
    that they were no numbers, which is a fault and reported as one."""
    lines = []
    for name, reasons in refused.items():
        found = {why: number for why, number in reasons.items() if why != NOT_FINITE}
        if found:
            why = ", ".join(f"{number:,} {reason}" for reason, number in found.items())
            total = sum(found.values())
            lines.append(f"REFUSED to {name}: {total:,} of {decisions:,} quotes ({why})")
    return lines


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
