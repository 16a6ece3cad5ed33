"""A record for off-policy evaluation: what one participant saw and did, and the chance of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import Policy
from mos_agents.rollout.episode import ParticipantPool, as_policy, transitions


@short_repr
@dataclass(frozen=True, eq=False)
class Decisions:
    """What one participant observed and did in E episodes (markets) of T ticks.

    Parameters
    ----------
    spec : ParticipantSpec
        The participant.
    observation : array [E, T, D_n]
        Its observations before acting.
    action : array [E, T, L_n, A]
        Its actions.
    moved : array of bool [E, T]
        Whether it was on the move; if not, its action had no effect.
    reward : array [E, T]
        Its rewards.
    behaviour : array [E, T]
        Probability or density of the action under the policy that played; 1 where it did not move.
    target : mapping of str to array [E, T]
        The same under each policy that is to be evaluated.
    menu : mapping of str to array [E, T, S]
        Under each of these, the probability of each action on the menu.
    """

    spec: ParticipantSpec
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
    on_fault: str = "raise",
) -> Decisions:
    """Play, and keep one participant's decisions with their propensities.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant.
    participant : str
        The participant whose decisions are kept.
    targets : mapping of str to Policy, optional
        Policies whose probabilities of the same actions are recorded. They see the same
        observations, and remember what they saw. A policy that remembers its own actions cannot be
        evaluated from another's record.
    menu : array [S, L_n, A], optional
        Actions whose probabilities under the targets are recorded too, to fit the values of a
        doubly robust estimate.
    seed : int, optional
        Seed of all random numbers, >= 0.
    ticks : int, optional
        Ticks to play; by default the market's horizon.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers. Each is one episode.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What a fault of a policy does; see `play`.

    Returns
    -------
    Decisions
        Observations, actions, rewards and propensities.

    Raises
    ------
    InputError
        If the menu has another shape, or if the participant's policy fails and the others play on:
        a decision that was not made has no propensity.
    """
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault)
    spec = market.spec(participant)
    targets = {name: as_policy(name, target) for name, target in (targets or {}).items()}
    if menu is not None:
        menu = np.asarray(menu, dtype=np.float64)
        if menu.ndim != 3 or menu.shape[1:] != spec.action_shape:
            raise InputError(
                f"menu has shape {menu.shape}, must be (actions, {spec.action_shape[0]}, "
                f"{spec.action_shape[1]}) = (actions, listings, {'/'.join(spec.features)})"
            )
    policy = pool.policies[spec.number]
    memories = {name: target.start(spec, pool.batch) for name, target in targets.items()}
    kept: list[tuple[Any, ...]] = []
    chances: dict[str, list[Array]] = {name: [] for name in targets}
    menus: dict[str, list[Array]] = {name: [] for name in targets}
    looped = transitions(market, policies, seed=seed, ticks=ticks, markets=markets, pool=pool)
    for at, transition in enumerate(looped):
        failed = next((f for f in pool.faults.values() if f.participant == participant), None)
        if failed is not None:
            raise InputError(
                f"{participant}: its policy failed at tick {failed.first_tick} ({failed.reason}); "
                "a decision that was not made has no propensity"
            )
        own = spec.own(transition.observation).copy()
        action = transition.actions[:, spec.listings]
        moved = np.broadcast_to(transition.step.info.moved[:, spec.number], pool.batch)
        chance = policy.propensity(spec, own, action, transition.memories[spec.number])
        reward = transition.step.reward[:, spec.number]
        kept.append((own, action, moved, reward, np.where(moved, chance, 1.0)))
        for name, target in targets.items():
            memory = memories[name]
            aimed = target.propensity(spec, own, action, memory)
            chances[name].append(np.where(moved, aimed, 1.0))
            if menu is not None:
                menus[name].append(_chances(target, spec, own, menu, memory))
            _, memories[name] = target.act(spec, own, memory, pool.streams[spec.number].at(at))
    observation, acted, on_move, rewards, played = (
        np.stack(values, axis=1) for values in zip(*kept, strict=True)
    )
    return Decisions(
        spec,
        observation,
        acted,
        on_move,
        rewards,
        played,
        {name: np.stack(values, axis=1) for name, values in chances.items()},
        {name: np.stack(values, axis=1) for name, values in menus.items() if values},
    )


def _chances(policy: Policy, spec: ParticipantSpec, own: Array, menu: Array, memory: Any) -> Array:
    """[B, S] chance of each action on the menu."""
    shape = (len(own), *spec.action_shape)
    return np.stack(
        [policy.propensity(spec, own, np.broadcast_to(a, shape), memory) for a in menu], axis=1
    )
