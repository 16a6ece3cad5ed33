"""What a learner promises beside what every policy does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.learners import load, save
from mos_agents.learners.base import Learner
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array
from mos_agents.testing.policies import PolicySuite, memory_bits, moves, played
from mos_agents.testing.promises import bits, check, check_value
from mos_agents.trees import filled, named

MOST_ACTIONS = 5_000
"""Combinations of prices up to which all chances are added up."""


def market_of(learner: Learner, spec: ParticipantSpec, memory: Any, batch: int, m: int) -> Any:
    """The memory of market m alone, out of `batch`: rows of a market lie together."""
    one = dict(named(learner.start(spec, 1)))
    whole = dict(named(learner.start(spec, batch)))
    parts = {}
    for name, array in named(memory):
        rows = len(one[name])
        shared = one[name].shape == whole[name].shape  # the clock
        parts[name] = array if shared else array[m * rows : (m + 1) * rows]
        if name.split(".")[-1] == "row":  # numbers of rows count from the first market's
            before = m * learner.choices(spec) * learner.states(spec)
            parts[name] = np.where(parts[name] < 0, parts[name], parts[name] - before)
    return filled(memory, parts)


def repeated(learner: Learner, spec: ParticipantSpec, memory: Any, rows: int) -> Any:
    """The memory of a single market, in so many markets."""
    whole = dict(named(learner.start(spec, rows)))
    parts = {}
    for name, array in named(memory):
        times = len(whole[name]) // len(array) if len(array) else 1
        parts[name] = np.tile(array, (times, *(1,) * (array.ndim - 1)))
    return filled(memory, parts)


def tables_of(memory: Any) -> dict[str, Array]:
    """The tables in a memory, by name."""
    return {name: a for name, a in named(memory) if name == "q" or name.startswith("tables.")}


def all_actions(learner: Learner, spec: ParticipantSpec, observation: Array) -> Array:
    """[m^C, L_n, A] every combination of prices that it may choose in one market."""
    choices, count = learner.choices(spec), learner.grid.size
    levels = np.stack(np.meshgrid(*[np.arange(count)] * choices, indexing="ij"), -1)
    levels = levels.reshape(-1, choices)
    return learner.priced(spec, np.repeat(observation, len(levels), axis=0), levels)


class LearnerSuite(PolicySuite):
    """Tests of a learner: those of `PolicySuite`, and what it learns, states and saves.

    Write `make(self)`, which returns the learner.
    """

    rows: int = 10_000

    def test_it_is_a_frozen_dataclass_of_its_base_class(self) -> None:
        check_value(self.make(), Learner, "`start`, `learn`, `act`, `propensity`, `strategy_of`")

    def test_it_learns(self) -> None:
        market, learner, policies = self._placed()
        found, pool = played(market, policies, ticks=20)
        for spec, learnt in zip(market.specs, pool.memories, strict=True):
            fresh = learner.start(spec, 4)
            if tables_of(learnt):  # a memory of another form: what acting alone leaves in it
                one, other = tables_of(fresh), tables_of(learnt)
                changed = any((one[name] != other[name]).any() for name in one)
            else:
                streams = Streams.of(3, 4, owner=spec.name)
                for at, tick in enumerate(found):
                    _, fresh = learner.act(spec, spec.own(tick.observation), fresh, streams.at(at))
                changed = memory_bits(fresh) != memory_bits(learnt)
            check(
                changed,
                f"{_name(learner)}: 20 ticks of rewards leave its memory as it was",
                "write to the tables in `correct`, or return a new memory from `learn`; derive "
                "from Policy if it does not learn",
            )

    def test_a_market_has_the_same_bits_alone_and_in_any_company(self) -> None:
        market, learner, policies = self._placed()
        batch, pool = played(market, policies, self.ticks, 7)
        again, same = played(market, policies, self.ticks, 7)
        alone, single = played(market, policies, self.ticks, np.array([5]))
        for one, other, lone in zip(batch, again, alone, strict=True):
            self._check_bits(learner, one, other, [(5, 0)], lone)
        for spec, memory in zip(market.specs, pool.memories, strict=True):
            own = market_of(learner, spec, memory, 7, 5)
            check(
                memory_bits(memory) == memory_bits(same.memories[spec.number])
                and memory_bits(own) == memory_bits(single.memories[spec.number]),
                f"{_name(learner)}: what it learns in a market depends on the other markets",
                "give each market rows of its own in every table",
            )

    def test_what_was_done_had_a_chance_and_what_is_not_allowed_has_none(self) -> None:
        super().test_what_was_done_had_a_chance_and_what_is_not_allowed_has_none()
        market, learner, policies = self._placed()
        for one in played(market, policies, ticks=10, markets=2).transitions:
            for spec in market.specs:
                if not one.step.info.moved[:, spec.number].all():
                    continue
                own, memory = spec.own(one.observation), one.memories[spec.number]
                odd = one.actions[:, spec.listings] + 1e-3
                check(
                    (learner.propensity(spec, own, odd, memory) == 0.0).all(),
                    f"{_name(learner)}.propensity is above 0 for a price that is not on its grid",
                    "compare the action with the prices of the grid, as "
                    "`mos_agents.learners.base.chance_of` does",
                )

    def test_stated_probabilities_are_the_frequencies_of_the_actions(self) -> None:
        market, learner, policies = self._placed()
        found = played(market, policies, ticks=12, markets=1).transitions
        spec = market.specs[min(1, market.layout.N - 1)]
        if learner.grid.size ** learner.choices(spec) > MOST_ACTIONS:
            return
        at = next(t for t in reversed(range(12)) if moves(spec, t))
        own, memory = spec.own(found[at].observation), found[at].memories[spec.number]
        actions = all_actions(learner, spec, own)
        seen = np.repeat(own, len(actions), axis=0)
        many = repeated(learner, spec, memory, len(actions))
        stated = learner.propensity(spec, seen, actions, many)
        many = repeated(learner, spec, memory, self.rows)
        before = memory_bits(many)
        draws = Streams.of(9, self.rows, owner="someone").at(at)
        drawn, _ = learner.act(spec, np.repeat(own, self.rows, axis=0), many, draws)
        check(
            memory_bits(many) == before,
            f"{_name(learner)}.act writes to the memory that `propensity` reads",
            "return a new memory from `act`; write to the tables in `learn` alone",
        )
        freq = np.array([(drawn == action).all(axis=(1, 2)).mean() for action in actions])
        self._check_chances(learner, stated, freq, self.rows)

    def test_its_strategy_is_a_probability_of_each_price(self) -> None:
        market, learner, policies = self._placed()
        _, pool = played(market, policies, ticks=self.ticks, markets=2)
        for spec, memory in zip(market.specs, pool.memories, strict=True):
            choices, states = learner.choices(spec), learner.states(spec)
            rows = np.arange(2 * choices).reshape(2, choices) * states
            chances = learner.strategy_of(memory, rows)
            check(
                chances.shape == (2, choices, learner.grid.size)
                and (chances >= 0.0).all()
                and np.allclose(chances.sum(axis=-1), 1.0, rtol=0.0, atol=1e-9),
                f"{_name(learner)}.strategy_of gave shape {chances.shape} with sums of "
                f"{chances.sum(axis=-1).min():.6g} to {chances.sum(axis=-1).max():.6g}",
                f"give each of {learner.grid.size} prices its chance in each row; they sum to 1",
            )

    def test_a_memory_comes_back_from_disk_bit_for_bit_and_goes_on(self) -> None:
        market, learner, policies = self._placed()
        _, pool = played(market, policies)
        spec, memory = market.specs[0], pool.memories[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "memory.npz"
            save(path, memory)
            back = load(path, learner.start(spec, 4))
        check(
            type(back) is type(memory) and memory_bits(back) == memory_bits(memory),
            f"{_name(learner)}: its memory comes back from disk as another one",
            "remember numbers in arrays, in named tuples",
        )
        observation = np.tile(
            spec.own(market.first_observation(market.start(1), Streams.of(8).at(30))), (4, 1)
        )
        draws = Streams.of(8, 4).at(30)
        ends = []
        for held in (back, memory):
            held = learner.learn(spec, observation, np.arange(4.0), held, draws)
            action, after = learner.act(spec, observation, held, draws)
            ends.append((bits(action), memory_bits(after)))
        check(
            ends[0] == ends[1],
            f"{_name(learner)} acts or learns otherwise after its memory comes back from disk",
            "keep everything that is learnt in the memory, and not in the learner",
        )


def _name(learner: Learner) -> str:
    return type(learner).__name__
