"""Many markets at once, arrays in and arrays out: the same environments without dictionaries.

Row b of everything is market `numbers[b]` of the seed, bit for bit what `MarketEnv(number=...)`
gives for it. Hosted policies play in all markets at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.actor_episode import episode
from envs.assignment import Source, assign, episode_ticks, fresh_seed, next_seed
from envs.local import LocalEpisodes
from envs.market_env import action_choices, blank_actions, seeded
from mos_agents.market.checks import is_whole
from mos_agents.market.market import Market
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.rollout import Fault, PolicyFault


class BatchInfo(NamedTuple):
    """What a step says besides observations and rewards, of N agents and their L listings.

    Parameters
    ----------
    moved : array of bool [B, N] or [1, N]
        Who was on the move; [1, N] if it is the same in every market.
    refused : array of int [B, N]
        0 for a quote that was taken, else the index of the reason in `quotes.REASONS`.
    metrics : array [B, N, M]
        The metrics, in the order of `market.metrics`.
    true_demand : array [B, L] or None
        Units wanted, for the experimenter alone; None with reveal=False.
    last_observation : array [B, D] or None
        The last observation of the episode that ended, if the next one has begun.
    """

    moved: NDArray[np.bool_]  # [B, N] (or [1, N], the same in every market) who was on the move
    refused: IntArray  # [B, N] 0 taken, else the index of the reason in refusals.REASONS
    metrics: Array  # [B, N, M], columns market.metrics
    true_demand: Array | None  # [B, L] for the experimenter alone; None with reveal=False
    last_observation: Array | None  # [B, D] of the episode that ended, if the next one has begun


class BatchedMarket:
    """B markets in lockstep: arrays in, arrays out.

    Observations are [B, D], the agents' own observations side by side; `columns[name]` is an
    agent's part. Actions are [B, L, A] numbers, or [B, L] positions in the grid where actions are
    discrete; `rows[name]` is an agent's part. A mapping from agents to their parts will do as well.
    Rewards are [B, N], and done is [B], all at once after `horizon` ticks. All arrays that are
    returned are copies; only `memories` and `snapshot` give what the market itself goes on with.

    Parameters
    ----------
    market : Market, Scenario or str
        A market; or a scenario, its name or its path.
    markets : int or array of int [B], optional
        How many markets, or their numbers.
    agents : sequence of str, optional
        The participants that are controlled by the caller.
    actions : {"continuous", "discrete"}, optional
        Numbers in units of money, or positions in a grid.
    levels : int or tuple of int, optional
        Size of the grid; see `envs.actions.price_grids`.
    band : tuple of float, optional
        Lowest and highest price of the grid, as multiples of the reference price.
    grid : array or mapping, optional
        The grid itself, in place of `levels` and `band`.
    policies : mapping of str to Policy, optional
        Policies of the hosted participants, over the scenario's own.
    horizon, max_cycles : int, optional
        Ticks in an episode, in place of the market's. Two names for one setting.
    weights : mapping of str to float, optional
        Weights of the objective, in place of the market's.
    seed : int, optional
        Seed of the first episode if `reset` names none.
    auto_reset : bool, optional
        Whether `step` begins the next episode when one ends. It then returns the first observation
        of the next one, and the last one of the old in the info.
    reveal : bool, optional
        Whether infos hold the true demand.
    runtime : {"local", "actors", "ray"}, optional
        Where the hosted participants run.
    deadline : float, optional
        Seconds that a tick waits for actors, over Ray; None waits for ever.
    keep_memories : bool, optional
        Whether hosted participants keep their memory between episodes. Local runtime only.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What happens when a hosted policy fails; see `mos_agents.rollout.play`.

    Raises
    ------
    InputError
        If a setting does not fit the market.
    """

    def __init__(
        self,
        market: Source,
        markets: int | Sequence[int] | IntArray = 1,
        *,
        agents: Sequence[str] | None = None,
        actions: str = "continuous",
        levels: Any = 15,
        band: tuple[float, float] | None = None,
        grid: Any = None,
        policies: Mapping[str, Any] | None = None,
        horizon: int | None = None,
        max_cycles: int | None = None,
        weights: Mapping[str, float] | None = None,
        seed: int | None = None,
        auto_reset: bool = False,
        reveal: bool = True,
        runtime: str = "local",
        deadline: float | None = None,
        keep_memories: bool = False,
        on_fault: str = "raise",
    ) -> None:
        assignment = assign(market, agents, policies, episode_ticks(horizon, max_cycles), weights)
        self.assignment = assignment
        self.market: Market = assignment.market
        self.agents = assignment.names
        self.numbers = _numbers(markets)
        self.episode_seed: int | None = None
        self._next_seed = None if seed is None else seeded(seed)
        self._auto_reset, self._reveal = auto_reset, reveal
        self._episode = episode(
            assignment, self.numbers, runtime, deadline, keep_memories, on_fault
        )
        self._choices = action_choices(assignment, actions, levels, band, grid, "float64")
        self._given = self._choices.blank(self.batch)
        self._actions = blank_actions(self.market, self.batch)
        self._over = True
        self._metrics = np.zeros((self.batch, self.market.layout.N, len(self.market.metrics)))
        sizes = np.cumsum([0, *(spec.size for spec in assignment.external)]).tolist()
        counts = np.cumsum([0, *(spec.action_shape[0] for spec in assignment.external)]).tolist()
        self.columns = _parts(self.agents, sizes)
        self.rows = _parts(self.agents, counts)
        n_features = len(self.market.specs[0].features)
        self.action_shape: tuple[int, ...] = (self.batch, counts[-1])
        if actions == "continuous":
            self.action_shape += (n_features,)
        self._own_columns = _joined([spec.columns for spec in assignment.external])
        self._own_listings = _joined([spec.listings for spec in assignment.external])
        self._own_numbers = _joined([slice(s.number, s.number + 1) for s in assignment.external])

    @property
    def batch(self) -> int:
        """B, the number of markets."""
        return len(self.numbers)

    @property
    def tick(self) -> int:
        """Ticks played of this episode."""
        return int(self._episode.state.tick)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What one agent may choose in one market, as `MarketEnv` has it."""
        self.market.spec(agent)
        return self._choices.space(agent)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults of hosted policies in this episode, where faults are counted."""
        return self._episode.faults

    @property
    def memories(self) -> dict[str, Any]:
        """What each policy inside remembers of all these markets, as it stands and goes on being
        changed; local runtime only."""
        if not isinstance(self._episode, LocalEpisodes):
            raise InputError("memories: only with runtime='local'; actors keep theirs")
        hosted = self._episode.hosted
        if hosted is None:
            return {}
        return {s.name: memory for s, memory in zip(hosted.specs, hosted.memories, strict=True)}

    def close(self) -> None:
        """End the actors, if there are any; `reset` begins again."""
        self._episode.close()

    def snapshot(self) -> Any:
        """The running episode as nested tuples of arrays, for `restore`; local runtime only.

        The arrays are the market's own, not copies: copy what is kept beyond the next step.
        """
        if self._over or not isinstance(self._episode, LocalEpisodes):
            raise InputError("snapshot: only of an episode that is running, with runtime='local'")
        return self._episode.snapshot()

    def restore(self, seed: int, arrays: Mapping[str, Array]) -> Array:
        """[B, D] what is seen where `snapshot` was taken of the episode of this seed.

        arrays: by their paths in the snapshot, as `trees.named` gives them.
        """
        if not isinstance(self._episode, LocalEpisodes):
            raise InputError("restore: only with runtime='local'")
        self.episode_seed = seeded(seed)
        self._next_seed = next_seed(self.episode_seed)
        observation = self._episode.restore(self.episode_seed, arrays)
        self._over = False
        return _own(observation, self._own_columns)

    def reset(self, seed: int | None = None) -> Array:
        """Begin an episode.

        Parameters
        ----------
        seed : int, optional
            Seed of the episode; by default that of the one after the last.

        Returns
        -------
        array [B, D]
            The first observation.
        """
        if seed is None:
            seed = fresh_seed() if self._next_seed is None else self._next_seed
        self.episode_seed = seeded(seed)
        observation = self._episode.start(self.episode_seed)
        self._next_seed = next_seed(self.episode_seed)
        self._over = False
        return _own(observation, self._own_columns)

    def step(
        self, actions: NDArray[Any] | Mapping[str, NDArray[Any]]
    ) -> tuple[Array, Array, NDArray[np.bool_], BatchInfo]:
        """Play one tick of every market.

        Parameters
        ----------
        actions : array [B, L, A] or [B, L], or mapping of str to array
            The actions of all agents, or each agent's part.

        Returns
        -------
        tuple
            Observation [B, D], reward [B, N], done [B], and a `BatchInfo`.

        Raises
        ------
        QuoteRefused
            Before anything has happened, if an action cannot be taken.
        """
        if self._over:
            raise InputError("step: the episode is over or not begun; call reset() first")
        if isinstance(actions, Mapping):
            self._read_parts(actions)
        else:
            self._choices.read_all(actions, self._given, self.action_shape)
        self._choices.place(self._given, self._actions)
        try:
            step = self._episode.advance(self._actions)
        except PolicyFault:
            self._over = True  # half of a tick has happened: only another episode can follow
            raise
        self._over = step.state.tick >= self.market.horizon
        self._metrics = step.metrics
        observation = _own(step.observation, self._own_columns)
        last = None
        reward = _own(step.reward, self._own_numbers)
        info = step.info
        if self._over and self._auto_reset:
            last, observation = observation, self.reset()
            done = np.ones(self.batch, np.bool_)
        else:
            done = np.full(self.batch, self._over)
        batch_info = BatchInfo(
            _own(info.moved, self._own_numbers),
            _own(info.refused, self._own_numbers),
            _own(step.metrics, self._own_numbers),
            _own(info.executions.demand, self._own_listings) if self._reveal else None,
            last,
        )
        return observation, reward, done, batch_info

    def reward_terms(self) -> dict[str, Array]:
        """{metric: weight x metric [B, N]} of the last tick: the terms that sum to its rewards."""
        rewards = self.market.rewards
        broken = rewards.breakdown(self.market, self._metrics)
        return {name: _own(values, self._own_numbers) for name, values in broken.items()}

    def _read_parts(self, actions: Mapping[str, Any]) -> None:
        if set(actions) != set(self.agents):
            wrong = set(actions) ^ set(self.agents)
            raise InputError(
                f"actions: {sorted(map(str, wrong))} must be there for exactly the agents "
                f"{list(self.agents)}"
            )
        self._choices.read_parts(actions, self._given)


def _numbers(markets: Any) -> IntArray:
    if is_whole(markets) and markets >= 1:
        return np.arange(int(markets))
    array = np.asarray(markets)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or array.min() < 0:
        raise InputError(f"markets={markets!r:.60} must be a number >= 1 or a list of such")
    return array.astype(np.int64)


def _parts(names: Sequence[str], edges: Sequence[int]) -> dict[str, slice]:
    return {n: slice(a, b) for n, a, b in zip(names, edges[:-1], edges[1:], strict=True)}


def _own(array: Any, columns: slice | IntArray) -> Any:
    """A copy of these columns. A view would be a part of the market's state: whoever wrote to it
    would change what others see, earn, or may do."""
    if isinstance(columns, slice):
        return array[:, columns].copy()
    return array.take(columns, axis=1)


def _joined(slices: Sequence[slice]) -> slice | IntArray:
    """One slice where they touch, else the indices."""
    if all(a.stop == b.start for a, b in pairwise(slices)):
        return slice(slices[0].start, slices[-1].stop)
    return np.concatenate([np.arange(s.start, s.stop) for s in slices])
