"""What a policy promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.actors.messages import Call
from mos_agents.actors.participant import Participant
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies import POLICIES, Policy, from_config, to_config
from mos_agents.rollout import ParticipantPool, Transition, transitions
from mos_agents.testing.promises import Suite, bits, broken, check, check_value, described
from mos_agents.trees import flatten, restored


@short_repr
class PlayRecord(NamedTuple):
    """A play: its transitions, whose memories are copies, and its participants at the end."""

    transitions: list[Transition]
    pool: ParticipantPool


def played(
    market: Market,
    policies: dict[str, Policy],
    ticks: int = 30,
    markets: int | IntArray = 4,
    seed: int = 3,
) -> PlayRecord:
    """Play a market, and keep a copy of every memory at every tick."""
    pool = ParticipantPool.of(market, policies, seed, markets)
    kept = []
    for one in transitions(market, policies, seed=seed, ticks=ticks, markets=markets, pool=pool):
        kept.append(one._replace(memories=tuple(copied(memory) for memory in one.memories)))
    return PlayRecord(kept, pool)


def copied(memory: Any) -> Any:
    """A memory of its own arrays, by the way on which it crosses between processes."""
    try:
        return restored(memory, [array.copy() for array in flatten(memory)])
    except InputError as error:
        broken(str(error), "change what the policy remembers")


def memory_bits(memory: Any) -> str:
    """A hash over a policy's memory and its form."""
    return bits(flatten(memory))


def calls(market: Market, found: list[Transition], n: int) -> Iterator[Call]:
    """What participant n of a play earned and saw, as a worker gets it."""
    spec, reward = market.specs[n], np.zeros(len(found[0].observation))
    for one in found:
        own = spec.own(one.observation).copy()
        yield Call("run", one.before.tick, spec.name, 0, own, reward)
        reward = one.step.reward[:, n].copy()


def moves(spec: ParticipantSpec, at: int) -> bool:
    """Whether a participant is on the move at a tick, or may be."""
    period, offset = spec.turn
    return period == 0 or (at - offset) % period == 0


class PolicySuite(Suite):
    """Tests of a policy: its actions, its memory, and the chances that it states.

    Write `make(self)`, which returns the policy.

    Attributes
    ----------
    ticks : int
        Ticks that are played.
    rows : int
        Draws of one action that are compared with its stated probability.
    """

    ticks: int = 12
    rows: int = 20_000

    def market(self) -> Market:
        """Make the market in which the policy plays for every participant.

        Returns
        -------
        Market
            By default a small shop. Override it for a policy of market makers or bidders.
        """
        return scenarios.retail(firms=2, products=2)

    def others(self) -> dict[str, Policy]:
        """Name the policies of participants that do not play this one.

        Returns
        -------
        dict
            None by default: all play it. Override it where only some can, such as buyers; the
            first participant must.
        """
        return {}

    def playing(self, market: Market) -> list[ParticipantSpec]:
        """Those who play the policy."""
        return [spec for spec in market.specs if spec.name not in self.others()]

    def _placed(self) -> tuple[Market, Any, dict[str, Policy]]:
        market, policy = self.market(), self.make()
        return market, policy, dict.fromkeys(market.layout.participants, policy) | self.others()

    def test_it_is_a_frozen_dataclass_of_its_base_class(self) -> None:
        check_value(self.make(), Policy, "`act`")

    def test_actions_are_within_the_limits_and_none_is_refused(self) -> None:
        market, policy, policies = self._placed()
        low = np.concatenate([spec.low for spec in market.specs])
        high = np.concatenate([spec.high for spec in market.specs])
        for one in transitions(market, policies, seed=1, ticks=25, markets=6):
            inside = (one.actions >= low) & (one.actions <= high)
            check(
                inside.all() and not one.step.info.refused.any(),
                f"{_name(policy)}.act returned an action outside the limits, or one that the "
                f"market refuses, at tick {one.before.tick}",
                "bring it within spec.low and spec.high, as `mos_agents.policies.base.quoted` does",
            )

    def test_a_market_has_the_same_bits_alone_and_in_any_company(self) -> None:
        market, policy, policies = self._placed()
        many, again, few = (
            list(transitions(market, policies, seed=0, ticks=self.ticks, markets=markets))
            for markets in (7, 7, np.array([5, 2]))
        )
        for one, same, part in zip(many, again, few, strict=True):
            self._check_bits(policy, one, same, [(5, 0), (2, 1)], part)

    def _check_bits(
        self,
        policy: Policy,
        one: Transition,
        again: Transition,
        rows: list[tuple[int, int]],
        part: Transition,
    ) -> None:
        """Fail unless a play repeats itself, and some of its markets alone do as they did."""
        for ours, theirs in ((one.actions, again.actions), (one.step.reward, again.step.reward)):
            check(
                bits(ours) == bits(theirs),
                f"{_name(policy)}: two plays of one seed differ at tick {one.before.tick}",
                "draw random numbers from `draws` alone, and keep what is remembered in the "
                "memory, not in the policy",
            )
        for b, row in rows:
            check(
                bits(one.actions[b].copy()) == bits(part.actions[row].copy())
                and bits(one.step.reward[b].copy()) == bits(part.step.reward[row].copy()),
                f"{_name(policy)}: a market differs at tick {one.before.tick} when it is played "
                "with others",
                "let no row of an array depend on another row; where the last digits differ, sum "
                "with cumsum or a loop",
            )

    def test_nothing_that_it_is_given_is_written_to(self) -> None:
        market, policy, policies = self._placed()
        *_, last = transitions(market, policies, seed=3, ticks=8, markets=5)
        spec = self.playing(market)[0]
        observation = spec.own(last.observation).copy()
        reward = last.step.reward[:, spec.number].copy()
        given = [observation, reward, spec.low, spec.high, spec.opening_price]
        writeable = [array.flags.writeable for array in given]
        for array in given:
            array.flags.writeable = False
        try:
            memory = policy.start(spec, len(observation))
            draws = Streams.of(0, 5).at(0)
            if policy.learns:
                memory = policy.learn(spec, observation, reward, memory, draws)
            action, _ = policy.act(spec, observation, memory, draws)
            action = np.array(action)
            action.flags.writeable = False
            if _states_chances(policy):
                policy.propensity(spec, observation, action, memory)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            broken(
                f"{_name(policy)} writes to its observation, its reward, its spec or an action",
                "make a new array",
            )
        finally:
            for array, flag in zip(given, writeable, strict=True):
                array.flags.writeable = flag

    def test_what_was_done_had_a_chance_and_what_is_not_allowed_has_none(self) -> None:
        market, policy, policies = self._placed()
        self._skip_without_chances(policy)
        batch = 5
        found = played(market, policies, ticks=self.ticks, markets=batch).transitions
        for one in found:
            for spec, memory in zip(market.specs, one.memories, strict=True):
                if spec.name in self.others() or not one.step.info.moved[:, spec.number].all():
                    continue
                own, action = spec.own(one.observation), one.actions[:, spec.listings]
                chance = policy.propensity(spec, own, action, memory)
                check(
                    isinstance(chance, np.ndarray) and chance.shape == (batch,),
                    f"{_name(policy)}.propensity returned {described(chance)}",
                    f"return an array of shape ({batch},), one number a market",
                )
                check(
                    (chance > 0.0).all(),
                    f"{_name(policy)}.propensity is 0 for an action that `act` has just chosen, "
                    f"at tick {one.before.tick}",
                    "compute it from the same numbers as in `act`, with the memory before it",
                )
                if not action.size:
                    continue
                outside = action.copy()
                outside[:, 0, 0] = spec.high[0, 0] + 1.0
                check(
                    (policy.propensity(spec, own, outside, memory) == 0.0).all(),
                    f"{_name(policy)}.propensity is above 0 for an action outside the limits",
                    "return 0 for an action that `act` never chooses",
                )

    def test_stated_probabilities_are_the_frequencies_of_the_actions(self) -> None:
        market, policy, policies = self._placed()
        self._skip_without_chances(policy)
        if not policy.atomic:
            pytest.skip("a density is no probability of a single action")
        *_, last = transitions(market, policies, seed=3, ticks=8, markets=1)
        spec = self.playing(market)[:2][-1]
        observation = np.repeat(spec.own(last.observation), self.rows, axis=0)
        memory = policy.start(spec, self.rows)
        draws = Streams.of(9, self.rows, owner="someone").at(0)
        action, _ = policy.act(spec, observation, memory, draws)
        kinds, counts = np.unique(action.reshape(self.rows, -1), axis=0, return_counts=True)
        shape = (len(kinds), *action.shape[1:])
        memory = policy.start(spec, len(kinds))
        stated = policy.propensity(spec, observation[: len(kinds)], kinds.reshape(shape), memory)
        self._check_chances(policy, stated, counts / self.rows, self.rows)

    def _check_chances(self, policy: Policy, stated: Array, found: Array, rows: int) -> None:
        """Fail unless stated chances of all actions sum to 1 and are their frequencies."""
        check(
            abs(stated.sum() - 1.0) <= 1e-12,
            f"{_name(policy)}.propensity: the chances of all actions sum to {stated.sum():.9g}",
            "state the probability of each action; set `atomic = False` if it is a density",
        )
        error = np.sqrt(stated * (1.0 - stated) / rows)
        worst = int(np.argmax(np.abs(found - stated) - 4.5 * error))
        check(
            (np.abs(found - stated) <= 4.5 * error + 1e-9).all(),
            f"{_name(policy)}.propensity states {stated[worst]:.4f} for an action that is chosen "
            f"{found[worst]:.4f} of the time",
            "state the probability with which `act` draws",
        )

    def test_it_is_written_down_and_read_back(self) -> None:
        policy = self.make()
        if POLICIES.get(vars(type(policy)).get("kind", "")) is not type(policy):
            pytest.skip("the class is not registered, so no scenario file can name it")
        config = to_config(policy)
        check(
            from_config(config) == policy,
            f"{_name(policy)}: the policy made from {config} is another one",
            "let every parameter be a field of the dataclass that compares by value",
        )

    def test_a_snapshot_put_back_goes_on_to_the_same_bits(self) -> None:
        market, policy, policies = self._placed()
        ticks, half = 20, 9
        found, pool = played(market, policies, ticks=ticks)
        spec = self.playing(market)[0]
        streams = Streams.of(3, 4, owner=spec.name)
        first, second, third = (Participant("run", spec, policy, streams) for _ in range(3))
        snapshot = first.snapshot()
        for call in calls(market, found, 0):
            reply = first.decide(call)
            assert reply.fault == "" and reply.action is not None, reply.fault
            check(
                bits(reply.action)
                == bits(found[call.tick].actions[:, market.layout.own(0)].copy()),
                f"{_name(policy)} acts otherwise in a process of its own, at tick {call.tick}",
                "use only the spec, the observation, the memory and `draws`",
            )
            if call.tick == half:
                snapshot = first.snapshot()
                second.restore(snapshot)
            elif call.tick > half:
                again = second.decide(call)
                check(
                    again.action is not None and bits(again.action) == bits(reply.action),
                    f"{_name(policy)} acts otherwise after its memory is put back, at tick "
                    f"{call.tick}",
                    "keep everything that is remembered in the memory, and not in the policy",
                )
        third.restore(snapshot)  # what was remembered since did not reach the snapshot
        third.catch_up([call for call in calls(market, found, 0) if call.tick > half])
        ends = {memory_bits(one.memory) for one in (first, second, third)}
        check(
            ends == {memory_bits(pool.memories[0])},
            f"{_name(policy)} remembers something else after its memory is put back",
            "keep everything that is remembered in the memory, and not in the policy",
        )

    def test_two_participants_share_no_memory(self) -> None:
        market, policy, _ = self._placed()
        spec = self.playing(market)[0]
        one, other = (flatten(policy.start(spec, 3))[1:] for _ in range(2))
        check(
            not any(np.shares_memory(a, b) for a in one for b in other),
            f"{_name(policy)}.start gives two participants the same array",
            "make new arrays in every call",
        )

    def _skip_without_chances(self, policy: Policy) -> None:
        if not _states_chances(policy):
            pytest.skip("it states no propensity, so it is not evaluated off-policy")


def _name(policy: Any) -> str:
    return type(policy).__name__


def _states_chances(policy: Policy) -> bool:
    return type(policy).propensity is not Policy.propensity
