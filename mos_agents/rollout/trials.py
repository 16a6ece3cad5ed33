"""Price trials tick by tick, for any policies in any market with posted prices.

What `mos_agents.games.play_trials` does in the compiled game for Q-learners: after a lead, every
seller asks a random price now and then, and it is recorded who did when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mos_agents.games.trials import TriedPaths
from mos_agents.learners.base import Learner, on_turn
from mos_agents.learners.greedy import GreedyPolicy
from mos_agents.learners.q_learning import QLearning
from mos_agents.learners.trials import WithTrials
from mos_agents.market.checks import check_whole
from mos_agents.market.market import Market
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError, IntArray
from mos_agents.policies.base import Policy
from mos_agents.rollout.episode import Episode, ParticipantPool
from mos_agents.rollout.forcing import sellers_of


def exploration_of(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    ticks: int,
    markets: int | Sequence[int] | IntArray = 1,
    seed: int = 0,
) -> IntArray:
    """Return which seller explored when in a play, a rollout or a recorded run.

    Whether a Q-learner explores in a tick follows from its settings and from the random numbers of
    (seed, market, participant, tick), whatever the market did. So nothing has to be recorded: the
    same seed and markets give the trials of a run that was played before.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        The policies that were played. Sellers that are no learners never explore.
    ticks : int
        Ticks of the play, T.
    markets : int or array of int [B], optional
        How many markets were played, or their numbers.
    seed : int, optional
        The seed of the play.

    Returns
    -------
    array of bool [T, B, N]
        Which seller explored, with the sellers in roster order.

    Raises
    ------
    InputError
        For a learner of another kind than q_learning.
    """
    check_whole("ticks", ticks, 1)
    numbers: Any = markets if isinstance(markets, int) else np.asarray(markets)
    sellers = sellers_of(market)
    batch = len(Streams.of(seed, numbers).markets)
    tried = np.zeros((ticks, batch, len(sellers)), np.bool_)
    for i, spec in enumerate(sellers):
        learner = policies[spec.name]
        if not learner.learns:
            continue
        if not isinstance(learner, QLearning):
            raise InputError(
                f"{spec.name}: when {learner.kind!r} explores is known for q_learning only; play "
                "the market with rollout.tried_paths"
            )
        streams = Streams.of(seed, numbers, owner=spec.name)
        chance, choices = learner.epsilon, learner.choices(spec)
        for t in range(ticks):
            if on_turn(spec.turn, t):
                drawn = streams.at(t).block_uniforms("explore", choices)
                tried[t, :, i] = (drawn < chance).any(axis=1)
            chance = max(chance * learner.tick_decay(spec), learner.epsilon_floor)
    return tried


def tried_paths(
    market: Market,
    policies: Mapping[str, Policy],
    *,
    ticks: int = 10_000,
    lead: int = 0,
    chance: float = 0.01,
    prices: Mapping[str, Sequence[float]] | Sequence[float] | None = None,
    learning: bool = True,
    markets: int | Sequence[int] | IntArray = 1,
    seed: int = 0,
) -> TriedPaths:
    """Play a market with price trials of every seller, and record who made them.

    Each market is one session. The firms are all participants that post prices, each with the
    average price of its listings. A trial changes all its prices together.

    Parameters
    ----------
    market : Market
        The market.
    policies : mapping of str to Policy
        A policy for every participant.
    ticks : int, optional
        Ticks with trials, T.
    lead : int, optional
        Ticks that are played before them, without trials: give learners enough to learn.
    chance : float, optional
        Chance with which each seller makes a trial at a move, in (0, 1).
    prices : sequence of float, or mapping of str to such, optional
        Prices in money per unit that trials are drawn from, for all sellers or by seller. Learners
        draw from their own price grid where none are given.
    learning : bool, optional
        Whether learners go on learning in the ticks with trials. If not, they play their best
        prices.
    markets : int or array of int [B], optional
        How many markets to play, or their numbers.
    seed : int, optional
        Seed of all random numbers, >= 0.

    Returns
    -------
    TriedPaths
        Prices and trials [T, B, N], for `mos_agents.analysis.war_effect`.

    Raises
    ------
    InputError
        If nobody posts prices, a policy has no prices to draw from, or a number is out of its
        range.
    """
    check_whole("ticks", ticks, 1)
    check_whole("lead", lead, 0)
    sellers = sellers_of(market)
    if not sellers:
        raise InputError("market: nobody posts prices here, so that nobody can try one")
    numbers: Any = markets if isinstance(markets, int) else np.asarray(markets)
    pool = ParticipantPool.of(market, policies, seed, numbers)
    episode = Episode(market, Streams.of(seed, numbers), pool)
    for _ in range(lead):
        episode.advance()
    chosen, memories = list(pool.policies), list(pool.memories)
    for spec in sellers:
        n = spec.number
        policy, memory = chosen[n], memories[n]
        if not learning and isinstance(policy, Learner):
            policy, memory = GreedyPolicy.continued(policy, memory)
        own = prices.get(spec.name) if isinstance(prices, Mapping) else prices
        given = None if own is None else tuple(float(price) for price in own)
        tries = WithTrials(policy, chance, given)
        chosen[n], memories[n] = tries, tries.begun(memory, pool.batch, lead)
    pool = replace(pool, policies=tuple(chosen), memories=memories)
    episode.pool = pool
    shape = (ticks, pool.batch, len(sellers))
    asked, tried = np.empty(shape), np.empty(shape, np.bool_)
    for t in range(ticks):
        asks = episode.advance().step.info.quotes.ask
        for i, spec in enumerate(sellers):
            asked[t, :, i] = asks[:, spec.listings].mean(axis=1)
            tried[t, :, i] = pool.memories[spec.number].tried
    return TriedPaths(asked, tried)
