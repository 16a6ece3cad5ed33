"""A world lived through: prices of every tick, what was earned, and what force brings about.

Learners explore for the first `learnt` share of the ticks; then exploration is switched off, while
they go on learning from what they earn. After the last tick they are frozen (no learning either),
and in two more runs from the same state, before the same customers, one firm is forced away from
its price: downwards and upwards, for a tick and for good.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.price_wars.worlds import RetailWorld, decay_of, yardstick
from mos_agents.learners import GreedyPolicy
from mos_agents.learners.q_learning import QMemory
from mos_agents.market.checks import check_whole
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies import Policy
from mos_agents.policies.forcing import Forced, ForcedMemory
from mos_agents.rollout.episode import Episode, ParticipantPool
from mos_agents.runs.folder import STUDY, identity
from mos_agents.tasks import ArrayCodec, ResultFolder, Task, TaskProgress, WorkerPool, run_tasks

CENTS = 100.0  # the market's tick size is a hundredth: prices are whole numbers of it

FORCES = {
    "down_once": (-1, 1),
    "down_for_good": (-1, None),
    "up_once": (1, 1),
    "up_for_good": (1, None),
}
"""Direction and ticks of force; None is to the end."""


@dataclass(frozen=True)
class PlayPlan:
    """How long and how often a world is lived through.

    sessions: B independent markets. ticks: of a world of length 1. learnt: share of them with
    exploration. lead: frozen ticks before the force, after: from it on; rest: frozen ticks of the
    run left alone. steps: levels by which a firm is forced.
    """

    sessions: int = 32
    ticks: int = 5000
    seed: int = 0
    learnt: float = 0.7
    lead: int = 60
    after: int = 120
    rest: int = 300
    steps: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (
            ("sessions", 2, 100_000),
            ("ticks", 100, 10**8),
            ("seed", 0, 2**63 - 1),
            ("lead", 1, 10**6),
            ("after", 3, 10**6),
            ("rest", 1, 10**6),
            ("steps", 1, 1000),
        ):
            check_whole(name, getattr(self, name), low, high)
        if not isinstance(self.learnt, float) or not 0.05 <= self.learnt <= 0.95:
            raise InputError(f"learnt={self.learnt!r} must be in [0.05, 0.95]")
        if self.rest < self.lead + self.after:
            raise InputError(
                f"rest={self.rest!r} must be at least lead + after = {self.lead + self.after}: the "
                "run left alone is what the forced ones are compared with"
            )


@dataclass(frozen=True)
class PlayedWorld:
    """What is kept of a world: arrays by name (see `play_world`), and the world's yardstick."""

    arrays: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def paths(self, name: str) -> Array:
        """[T, S, N] money: a product of a session is one of the S paths, session by session."""
        cents = self.arrays[name]  # [T, B, N, K]
        ticks, batch, sellers, products = cents.shape
        moved = np.moveaxis(cents, 3, 2).reshape(ticks, batch * products, sellers)
        return moved / (CENTS if cents.dtype == np.uint16 else 1.0)


def play_world(world: RetailWorld, plan: PlayPlan, impulse: bool) -> PlayedWorld:
    """Play the sessions of a world.

    Arrays: `prices` [T, B, N, K] cents at every tick; `margin`, `sold`, `lost`, `paid` [2, B, N]
    means a tick while exploring and afterwards (gross margin in money a product, units, units
    turned away, money taken); `pnl` [2, B, N] money. With `impulse` also `alone` [rest, B, N, K]
    cents of the frozen run, `alone_margin` [lead + after, ...] money, and for each of `FORCES`
    `NAME` and `NAME_margin` [lead + after, B, N, K]; `shock`, the row of the first forced tick, and
    `period`, the ticks that one of the firm's moves stands.
    """
    ticks = plan.ticks * world.length
    learning = int(plan.learnt * ticks)
    market, game = world.market(ticks), world.stage_game()
    policies = world.policies(market, decay_of(learning), game)
    pool = ParticipantPool.of(market, policies, plan.seed, plan.sessions)
    streams = Streams.of(plan.seed, plan.sessions)
    sellers, products = market.layout.N, market.layout.K
    prices = np.empty((ticks, plan.sessions, market.layout.L), np.uint16)
    sums = np.zeros((5, 2, plan.sessions, sellers))
    episode = Episode(market, streams, pool)
    for at in range(ticks):
        if at == learning and world.play == "learn":
            exploration_off(pool, world.trembles)
        before, *_, step = episode.advance()
        prices[at] = np.rint(step.info.quotes.ask * CENTS)
        late = int(at >= learning)
        done = step.info.executions
        gross = (done.sold_price - before.cost) * done.sold
        by_seller = (plan.sessions, sellers, products)
        for row, values in enumerate((gross, done.sold, done.lost, done.sold * done.sold_price)):
            sums[row, late] += values.reshape(by_seller).mean(axis=2)
        sums[4, late] += step.metrics[:, :, 0]
    if pool.faults:
        raise InputError(f"learners failed: {dict(pool.faults)!r:.200}")
    spans = np.array([max(learning, 1), max(ticks - learning, 1)])[:, None, None]
    margin, sold, lost, paid, pnl = sums / spans
    arrays: dict[str, Any] = {
        "prices": prices.reshape(ticks, plan.sessions, sellers, products),
        "margin": margin,
        "sold": sold,
        "lost": lost,
        "paid": paid,
        "pnl": pnl,
        "yardstick": np.array(yardstick(game)[:4]),
        "pure": np.array(yardstick(game).kind == "pure"),
        "learning": np.array(learning),
    }
    if impulse:
        arrays |= forced(plan, episode, ticks)
    return PlayedWorld(arrays)


def exploration_off(pool: ParticipantPool, floor: float = 0.0) -> None:
    """From now on no firm explores more than the floor says."""
    for memory in pool.memories:
        if isinstance(memory, QMemory):
            memory.epsilon[:] = floor


# --- frozen, and forced ---------------------------------------------------------------------------


def forced(plan: PlayPlan, episode: Episode, ticks: int) -> dict[str, Any]:
    """The frozen run left alone, and the runs in which the last firm is forced.

    It is made to ask so many levels more (or less) than stood before the shock; its own strategy
    goes on behind the force, so that afterwards it acts on what it sees then.
    """
    market, pool = episode.market, episode.pool
    assert pool is not None
    still, memories = greedy(pool)
    spec, learner = market.specs[-1], pool.policies[-1]
    period, offset = spec.turn
    shock = plan.lead + (offset - ticks - plan.lead) % period  # its first move after the lead
    found: dict[str, Any] = {"shock": np.array(shock), "period": np.array(period)}
    alone = replace(pool, policies=still, memories=list(memories), faults={})
    prices, margins = span_of(episode, alone, plan.rest)
    found["alone"], found["alone_margin"] = prices, margins[: plan.lead + plan.after]
    seen = spec.own(episode.observation)
    level = learner.level_of(spec, seen, prices[shock - 1, :, -1] / CENTS)
    for name, (direction, length) in FORCES.items():
        asked = np.clip(level + direction * plan.steps, 0, learner.grid.size - 1)
        price = learner.priced(spec, seen, asked)[:, :, 0]
        force = Forced(still[-1], price, shock, None if length is None else length * period)
        again = replace(
            pool,
            policies=(*still[:-1], force),
            faults={},
            memories=[*memories[:-1], ForcedMemory(memories[-1], np.zeros(1, np.int64))],
        )
        paths = span_of(episode, again, plan.lead + plan.after)
        found[name], found[f"{name}_margin"] = paths
    return found


def greedy(pool: ParticipantPool) -> tuple[tuple[Policy, ...], tuple[Any, ...]]:
    """The strategies of all firms as they were learnt: without learning or exploring."""
    made = [
        GreedyPolicy.continued(policy, memory)
        for policy, memory in zip(pool.policies, pool.memories, strict=True)
    ]
    policies, memories = zip(*made, strict=True)
    return policies, memories


def span_of(episode: Episode, pool: ParticipantPool, span: int) -> tuple[IntArray, Array]:
    """Prices in cents and gross margins [span, B, N, K] from where a play stands, while `pool`
    goes on with it."""
    now = copy.copy(episode)
    now.pool, layout = pool, episode.market.layout
    shape = (pool.batch, layout.N, layout.K)
    prices, margins = np.empty((span, *shape), np.uint16), np.empty((span, *shape))
    for row in range(span):
        before, *_, step = now.advance()
        done = step.info.executions
        prices[row] = np.rint(step.info.quotes.ask * CENTS).reshape(shape)
        margins[row] = ((done.sold_price - before.cost) * done.sold).reshape(shape)
    if pool.faults:
        raise InputError(f"a frozen learner failed: {dict(pool.faults)!r:.200}")
    return prices, margins


# --- kept in a folder -----------------------------------------------------------------------------


class LivedCodec(ArrayCodec):
    """What is kept of a world, as arrays."""

    def arrays(self, value: PlayedWorld) -> Mapping[str, Any]:
        return value.arrays

    def value(self, arrays: Mapping[str, Any]) -> PlayedWorld:
        return PlayedWorld(dict(arrays))


def task(name: str, world: RetailWorld, plan: PlayPlan, impulse: bool) -> Task:
    """A play as a task, whose key holds a digest of everything that the play depends on."""
    facts = {"world": asdict(world), "plan": asdict(plan), "impulse": impulse}
    return Task(f"{name}-{identity(facts)[:12]}", play_world, world, (plan, impulse))


def played(
    tasks: Sequence[Task],
    folder: Path | None,
    pool: WorkerPool | None = None,
    progress: TaskProgress | None = None,
) -> list[PlayedWorld]:
    """Plays from the folder where they are there; the others are played, and kept in a folder.

    Raises RunError where a kept file is damaged, or another process plays into the folder.
    """
    with contextlib.ExitStack() as stack:
        results = None
        if folder is not None:
            opened = ResultFolder.opened(folder, STUDY, {"study": "price_wars"}, LivedCodec())
            results = stack.enter_context(opened)
        found = run_tasks(tasks, pool, results, progress, noun="condition")
    return [found[task.key] for task in tasks]
