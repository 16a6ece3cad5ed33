"""Letting a market run: every participant decides from what it sees itself, tick after tick.

`play` is the one loop. `rollout` adds up what came of it, `compare_policies` sets policies against
each other before the same luck, and `log_decisions` keeps what off-policy evaluation needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mos_agents.analysis.statistics import bootstrap_interval, check_confidence, check_resamples
from mos_agents.market.metrics import METRICS, metric
from mos_agents.market.random import Streams
from mos_agents.market.tick import Market, Seat, refusals, tick
from mos_agents.market.types import Array, InputError, IntArray, QuoteRefused, State, Step
from mos_agents.policies.base import Policy, from_spec

# --- the loop -------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """What went wrong inside a policy, and how often."""

    participant: str
    reason: str
    first_tick: int
    decisions: int  # markets times ticks in which the participant made no usable action


class Turn(NamedTuple):
    """One tick as the loop saw it: what was seen, what was done upon it, and what came of it."""

    before: State
    observation: Array  # [B, sum of D_n] before acting
    memories: tuple[Any, ...]  # of each participant, before acting
    actions: Array  # [B, L, A]; NaN where a policy failed
    step: Step


@dataclass(eq=False)
class Table:
    """The policies of all participants at the table, with their memories and their luck."""

    seats: tuple[Seat, ...]
    policies: tuple[Policy, ...]
    memories: list[Any]
    streams: tuple[Streams, ...]
    batch: int
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)

    @classmethod
    def of(
        cls, market: Market, policies: Mapping[str, Policy], seed: int, markets: int | IntArray
    ) -> Table:
        """Seat one policy at every participant's place; InputError if they do not fit."""
        if not isinstance(market, Market):
            raise InputError(f"market={market!r:.60} must be a Market: mos_agents.retail(), say")
        if not isinstance(policies, Mapping):
            raise InputError(f"policies={policies!r:.60} must map participants to their policies")
        names = market.layout.participants
        for name in policies:
            if name not in names:
                raise InputError(f"policies: {name!r} is not a participant; they are {names}")
        missing = [name for name in names if name not in policies]
        if missing:
            raise InputError(f"policies: none for {missing}; give every participant one")
        chosen = tuple(_policy(name, policies[name]) for name in names)
        streams = tuple(Streams.of(seed, markets, owner=name) for name in names)
        batch = len(streams[0].markets)
        memories = [p.start(seat, batch) for p, seat in zip(chosen, market.seats, strict=True)]
        return cls(market.seats, chosen, memories, streams, batch)

    def actions(self, observation: Array, at: int) -> Array:
        """[B, L, A] everybody's actions. A policy that fails leaves NaN, which the market refuses.

        Each policy gets a copy of its own part of the observations: it sees nobody else's and
        spoils nobody else's.
        """
        parts = []
        for n, seat in enumerate(self.seats):
            own = seat.own(observation).copy()
            try:
                action, memory = self.policies[n].act(
                    seat, own, self.memories[n], self.streams[n].at(at)
                )
                checked = seat.checked(action, self.batch)
            except QuoteRefused as refusal:
                checked = self._failed(seat, str(refusal), at)
            except Exception as error:
                checked = self._failed(seat, f"{type(error).__name__}: {error}", at)
            else:
                self.memories[n] = memory
                missing = ~np.isfinite(checked).all(axis=(1, 2))
                if missing.any():
                    self._count(seat, "not a finite number", at, int(missing.sum()))
            parts.append(checked)
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def _failed(self, seat: Seat, reason: str, at: int) -> Array:
        self._count(seat, reason, at, self.batch)
        return np.full((self.batch, *seat.action_shape), np.nan)

    def _count(self, seat: Seat, reason: str, at: int, decisions: int) -> None:
        # Messages may hold anything, a counter even: after the first few kinds they are one.
        if (seat.name, reason) not in self.faults and len(self.faults) >= 100:
            reason = "other failures"
        fault = self.faults.get((seat.name, reason), Fault(seat.name, reason, at, 0))
        self.faults[seat.name, reason] = fault._replace(decisions=fault.decisions + decisions)


def _policy(name: str, given: Any) -> Policy:
    """A policy, or one from its {"kind": ...}."""
    if not all(hasattr(given, verb) for verb in ("start", "act")):
        try:
            return from_spec(given)
        except InputError as error:
            raise InputError(f"policies: {name}: {error}") from None
    policy: Policy = given
    return policy


def turns(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    table: Table | None = None,
) -> Iterator[Turn]:
    """The loop with all that passes in it. Arguments as for `play`; `table` keeps the faults."""
    seated = Table.of(market, policies, seed, markets) if table is None else table
    ticks = market.horizon if ticks is None else ticks
    if isinstance(ticks, bool) or not isinstance(ticks, int | np.integer) or ticks < 1:
        raise InputError(f"ticks={ticks!r} must be a whole number >= 1, or None for the horizon")
    streams = Streams.of(seed, markets)
    return _turns(market, seated, streams, int(ticks))


def _turns(market: Market, table: Table, streams: Streams, ticks: int) -> Iterator[Turn]:
    state = market.start(table.batch)
    observation = market.first_observation(state, streams.at(0))
    for at in range(ticks):
        memories = tuple(table.memories)
        actions = table.actions(observation, at)
        step = tick(market, state, actions, streams.at(at))
        yield Turn(state, observation, memories, actions, step)
        state, observation = step.state, step.observation


def play(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
) -> Iterator[Step]:
    """The market's steps, one a tick, while every participant follows its policy.

    markets: how many, or their numbers [B]; market m of a seed has the same luck in any company.
    ticks: None plays the market's horizon.
    A policy that raises, or returns no numbers of the right shape, loses that move: its standing
    quote stays and the others go on. Raises InputError at once if a policy does not fit its seat.
    """
    looped = turns(market, policies, seed=seed, ticks=ticks, markets=markets)
    return (turn.step for turn in looped)


# --- what came of it ------------------------------------------------------------------------------

SERIES: dict[str, Callable[[Turn], Array]] = {
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
inventory and cash are those after booking."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """The outcome of a play: totals over the ticks, by market and participant."""

    market: str
    participants: tuple[str, ...]
    seed: int
    ticks: int
    markets: IntArray  # [B] market numbers
    reward: Array  # [B, N] sums over ticks
    metrics: Array  # [B, N, M] sums over ticks, columns METRICS
    final: State
    series: Mapping[str, Array] = field(default_factory=dict)  # [T, B, ...] each
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def metric(self, name: str) -> Array:
        """[B, N] a metric's sum over ticks; `reward` is understood as well."""
        if name != "reward" and name not in METRICS:
            raise InputError(f"metric={name!r} must be 'reward' or one of {METRICS}")
        return self.reward if name == "reward" else self.metrics[:, :, metric(name)]

    @property
    def series_bytes(self) -> int:
        """Memory that the series take."""
        return sum(values.nbytes for values in self.series.values())

    def __str__(self) -> str:
        lines = [
            f"{self.market}: {_counted(len(self.markets), 'market')}, "
            f"{_counted(self.ticks, 'tick')}, seed {self.seed}",
            f"{'participant':<16}{'reward a tick':>14}{'pnl a tick':>14}{'units a tick':>14}",
        ]
        pnl, units = self.metric("pnl"), self.metric("units_traded")
        for n, name in enumerate(self.participants):
            means = (x[:, n].mean() / self.ticks for x in (self.reward, pnl, units))
            lines.append(f"{name:<16}" + "".join(f"{x:>14.4f}" for x in means))
        lines += [f"{f.participant}: {f.reason} ({f.decisions} decisions)" for f in self.faults]
        return "\n".join(lines)


def rollout(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 1,
    series: Sequence[str] = (),
    memory_limit: int = 2_000_000_000,
) -> Rollout:
    """Play, and add up. Arguments as for `play`.

    series: names from SERIES to keep tick by tick, 8 bytes a number: 500 ticks of 1000 markets
        with 30 listings take 120 MB a name. More than `memory_limit` bytes are refused at once.
    """
    for name in series:
        if name not in SERIES:
            raise InputError(f"series: {name!r} is not kept; those that can be are {list(SERIES)}")
    table = Table.of(market, policies, seed, markets)
    length = market.horizon if ticks is None else ticks
    reward = np.zeros((table.batch, market.layout.N))
    metrics = np.zeros((*reward.shape, len(METRICS)))
    kept: dict[str, Array] = {}
    refused: list[IntArray] = []
    final = market.start(table.batch)
    looped = turns(market, policies, seed=seed, ticks=ticks, markets=markets, table=table)
    for at, turn in enumerate(looped):
        if at == 0:
            kept = _room(series, turn, length, memory_limit)
        reward += turn.step.reward
        metrics += turn.step.metrics
        if turn.step.info.refused.any():
            refused.append(turn.step.info.refused)
        for name, values in kept.items():
            values[at] = SERIES[name](turn)
        final = turn.step.state
    counts = refusals(market, np.concatenate(refused)) if refused else {}
    return Rollout(
        market.name, market.layout.participants, int(seed), int(length),
        table.streams[0].markets.astype(np.int64), reward, metrics, final, kept, counts,
        tuple(table.faults.values()),
    )  # fmt: skip


def _room(series: Sequence[str], turn: Turn, ticks: int, limit: int) -> dict[str, Array]:
    """Empty arrays [T, B, ...] for the series, unless they are too large."""
    shapes = {name: (ticks, *SERIES[name](turn).shape) for name in series}
    needed = sum(8 * int(np.prod(shape)) for shape in shapes.values())
    if needed > limit:
        raise InputError(
            f"series={list(series)} take {needed / 1e6:.0f} MB, over memory_limit="
            f"{limit / 1e6:.0f} MB; keep fewer names, markets or ticks, or raise memory_limit"
        )
    return {name: np.empty(shape) for name, shape in shapes.items()}


# --- one policy against another -------------------------------------------------------------------


class Compared(NamedTuple):
    """One line of a comparison, in units of the metric per tick."""

    candidate: str
    participant: str
    mean: float
    low: float
    high: float
    difference: float  # to the baseline, before the same luck; NaN for the baseline itself
    difference_low: float
    difference_high: float
    better: float  # share of replicates in which it is ahead of the baseline


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the candidates earned before the same luck, with bootstrap intervals."""

    metric: str
    baseline: str
    confidence: float
    rows: tuple[Compared, ...]
    values: Mapping[tuple[str, str], Array]  # (candidate, participant): [R] replicates
    faults: Mapping[str, tuple[Fault, ...]]

    def row(self, candidate: str, participant: str | None = None) -> Compared:
        """The line of a candidate (and participant, where several are measured)."""
        for row in self.rows:
            if row.candidate == candidate and participant in (None, row.participant):
                return row
        raise InputError(f"candidate={candidate!r}, participant={participant!r} were not compared")

    def __str__(self) -> str:
        replicates = len(next(iter(self.values.values())))
        wide = max([len("candidate"), *(len(r.candidate) for r in self.rows)])
        broad = max([len("participant"), *(len(r.participant) for r in self.rows)])
        head = (
            f"{'candidate':<{wide}}  {'participant':<{broad}}  {'mean':>11}  {'interval':^25}  "
            f"{'less ' + self.baseline:>18}  {'interval':^25}  {'ahead':>6}"
        )
        lines = [
            f"{self.metric} per tick, {_counted(replicates, 'replicate')}, "
            f"{100 * self.confidence:g}% bootstrap intervals",
            head,
        ]
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
        for candidate, faults in self.faults.items():
            lines += [
                f"{candidate}: {f.participant}: {f.reason} ({f.decisions} decisions)"
                for f in faults
            ]
        return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


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
) -> Comparison:
    """Candidates' mean reward (or another metric) per tick, and their differences.

    candidates: name -> policy of `participant`, with `others` for everybody else; or, without
        `participant`, name -> a policy for every participant, all of whom are then measured.
    seeds, markets: every market of every seed is one replicate. All candidates meet the same ones
        (common random numbers), so differences are paired and vary less than the means.
    baseline: whom the others are compared with; None is the first.
    Intervals are bias-corrected and accelerated bootstrap intervals (Efron 1987) over replicates,
    each at the stated confidence by itself.
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
        market.seat(participant)
    measured = market.layout.participants if participant is None else (participant,)
    values: dict[tuple[str, str], Array] = {}
    faults: dict[str, tuple[Fault, ...]] = {}
    for name in names:
        policies = _assignment(candidates[name], participant, others)
        runs = [rollout(market, policies, seed=s, ticks=ticks, markets=markets) for s in seeds]
        per_tick = np.concatenate([run.metric(metric) / run.ticks for run in runs])
        for one in measured:
            values[name, one] = per_tick[:, market.layout.participants.index(one)]
        if found := tuple(fault for run in runs for fault in run.faults):
            faults[name] = found
    rows = tuple(
        _compared(name, one, values, baseline, confidence, resamples)
        for one in measured
        for name in names
    )
    return Comparison(metric, baseline, confidence, rows, values, faults)


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
    """Mean of [R] replicates and its bootstrap interval; without limits for a single replicate."""
    _, low, high = bootstrap_interval((values,), np.mean, confidence, resamples, seed=0)
    return float(values.mean()), low, high


# --- a record for off-policy evaluation -----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Decisions:
    """What one participant saw and did, with the chance of it: E episodes (markets) of T ticks."""

    seat: Seat
    observation: Array  # [E, T, D_n] before acting
    action: Array  # [E, T, L_n, A]
    moved: Any  # [E, T] whether it was on the move; if not, its action had no effect
    reward: Array  # [E, T]
    behaviour: Array  # [E, T] probability or density under the policy that played; 1 if not moved
    target: Mapping[str, Array]  # [E, T] the same under the policies to be evaluated
    menu: Mapping[str, Array]  # [E, T, S] under them, of each action on the menu


def log_decisions(
    market: Market,
    policies: Mapping[str, Policy],
    participant: str,
    *,
    targets: Mapping[str, Policy] | None = None,
    menu: Array | None = None,
    seed: int = 0,
    ticks: int | None = None,
    markets: int | IntArray = 100,
) -> Decisions:
    """Play, and keep one participant's decisions with their propensities. Arguments as for `play`.

    targets: policies whose chances of the same actions are asked for. They see the observations
        that were made, and remember what they saw; one that remembers its own actions cannot be
        evaluated from another's record.
    menu: [S, L_n, A] actions whose chances under the targets are wanted too, to fit the values of
        a doubly robust estimate.
    Raises InputError if the participant's policy failed: its record would have no propensity.
    """
    table = Table.of(market, policies, seed, markets)
    seat = market.seat(participant)
    targets = {name: _policy(name, target) for name, target in (targets or {}).items()}
    if menu is not None:
        menu = np.asarray(menu, dtype=np.float64)
        if menu.ndim != 3 or menu.shape[1:] != seat.action_shape:
            raise InputError(
                f"menu has shape {menu.shape}, must be (actions, {seat.action_shape[0]}, "
                f"{seat.action_shape[1]}) = (actions, listings, {'/'.join(seat.features)})"
            )
    policy = table.policies[seat.number]
    memories = {name: target.start(seat, table.batch) for name, target in targets.items()}
    kept: list[tuple[Any, ...]] = []
    chances: dict[str, list[Array]] = {name: [] for name in targets}
    menus: dict[str, list[Array]] = {name: [] for name in targets}
    looped = turns(market, policies, seed=seed, ticks=ticks, markets=markets, table=table)
    for at, turn in enumerate(looped):
        failed = next((f for f in table.faults.values() if f.participant == participant), None)
        if failed is not None:
            raise InputError(
                f"{participant}: its policy failed at tick {failed.first_tick} ({failed.reason}); "
                "a decision that was not made has no propensity"
            )
        own = seat.own(turn.observation).copy()
        action = turn.actions[:, seat.listings]
        moved = np.broadcast_to(turn.step.info.moved[:, seat.number], table.batch)
        chance = policy.propensity(seat, own, action, turn.memories[seat.number])
        reward = turn.step.reward[:, seat.number]
        kept.append((own, action, moved, reward, np.where(moved, chance, 1.0)))
        for name, target in targets.items():
            memory = memories[name]
            aimed = target.propensity(seat, own, action, memory)
            chances[name].append(np.where(moved, aimed, 1.0))
            if menu is not None:
                menus[name].append(_chances(target, seat, own, menu, memory))
            _, memories[name] = target.act(seat, own, memory, table.streams[seat.number].at(at))
    observation, acted, on_move, rewards, played = (
        np.stack(values, axis=1) for values in zip(*kept, strict=True)
    )
    return Decisions(
        seat,
        observation,
        acted,
        on_move,
        rewards,
        played,
        {name: np.stack(values, axis=1) for name, values in chances.items()},
        {name: np.stack(values, axis=1) for name, values in menus.items() if values},
    )


def _chances(policy: Policy, seat: Seat, own: Array, menu: Array, memory: Any) -> Array:
    """[B, S] chance of each action on the menu."""
    shape = (len(own), *seat.action_shape)
    return np.stack(
        [policy.propensity(seat, own, np.broadcast_to(a, shape), memory) for a in menu], axis=1
    )
