"""One participant against hosted rivals: a market as a plain Gymnasium environment.

`gymnasium_env(scenario, "firm_1")` is one market; `gymnasium_vector_env(scenario, "firm_1", 64)` is
a batch of 64, arrays in and arrays out, for libraries that train on vectorised environments. All
other participants are hosted: they play by the scenario or by `policies`. `reset(seed=s)` begins
the episode that `MarketEnv` and `rollout.play` play with that seed, bit for bit.

Infos are those of `MarketEnv`, with the same entries after `reset` as after `step`. The vector form
has them as Gymnasium's vector environments do: an array [B] for each, and a mask beside it whose
name begins with `_`. Where an episode ends, `final_info` has those of its last tick. In the vector
form `reveal` is False unless it is given.

**Actions.** "discrete": a level of a price grid for each listing. "continuous": numbers in [-1, 1],
listing by listing and feature by feature, which stand for `band` times the reference price (a
dealer's whole range of offsets and spreads): the range that the grid would span. `unit=False` asks
for the numbers themselves, within the participant's limits, as `MarketEnv` does.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.actions import price_grids
from envs.assignment import Source, assign, episode_ticks
from envs.batched import BatchedMarket, BatchInfo
from envs.market_env import REFUSALS, RENDER_MODES, MarketEnv
from mos_agents.learners import Categorical, Gaussian, QValues
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError

DEFAULTS: dict[str, Any] = {
    "actions": "continuous",
    "levels": 15,
    "band": None,
    "grid": None,
    "dtype": "float64",
}
"""Defaults of the settings that define the choices."""

REFUSALS_BY_NUMBER = np.array(REFUSALS, dtype=object)
"""The reasons of `REFUSALS` as an array, to be indexed for many markets at once."""


class Choice:
    """How a participant's actions are read: its spec, its grid, its range.

    `table` [L_n, m, A] is the grid, or None unless actions are discrete. `range` is what [-1, 1]
    stands for, or None where numbers are taken as they are.

    Parameters
    ----------
    source : Market, Scenario or str
        The market, as `MarketEnv` takes it.
    agent : str
        The participant's name.
    unit : bool
        Whether continuous actions are numbers in [-1, 1].
    settings : mapping
        The settings of `MarketEnv`.
    """

    def __init__(self, source: Source, agent: str, unit: bool, settings: Mapping[str, Any]) -> None:
        assignment = assign(
            source,
            [agent],
            settings.get("policies"),
            episode_ticks(settings.get("horizon"), settings.get("max_cycles")),
            settings.get("weights"),
        )
        self.spec: ParticipantSpec = assignment.external[0]
        self.table: Array | None = None
        self.range: Gaussian | None = None
        discrete = settings["actions"] == "discrete"
        if discrete or unit:
            grid_settings = (settings[name] for name in ("levels", "band", "grid"))
            points = np.stack(price_grids(assignment.market, [self.spec], *grid_settings))
            if discrete:
                self.table = points
            else:
                self.range = Gaussian(points.min(axis=1), points.max(axis=1))

    def space(self, inside: spaces.Space[Any], dtype: str) -> spaces.Space[Any]:
        """The action space of one market."""
        if self.range is None:
            return inside
        kind = np.dtype(dtype).type
        return spaces.Box(-1.0, 1.0, (self.range.low.size,), kind)

    def placed(self, action: Any, batch: int) -> Any:
        """[B, L_n * A] numbers as the market takes them; anything else is passed on as it is."""
        if self.range is None:
            return action
        array = np.asarray(action)
        wanted = (batch, self.range.low.size)
        if array.dtype.kind not in "fiu" or array.size != batch * wanted[1]:
            raise InputError(
                f"{self.spec.name}: action of type {array.dtype} and shape {array.shape} must be "
                f"numbers in [-1, 1] of shape {wanted if batch > 1 else wanted[1:]}"
            )
        if not (np.abs(array) <= 1.0).all():
            raise InputError(f"{self.spec.name}: action={array!r:.60} must be in [-1, 1]; clip it")
        return self.range.placed(array.astype(np.float64).reshape(wanted)).reshape(wanted)

    def head(
        self, *, values: bool = False, squash: str = "clip", log_std: Any = None
    ) -> Categorical | Gaussian:
        """The head of a `Network` that was trained with these actions.

        values: of discrete actions, whether the network gives their values instead of logits.
        squash, log_std: of numbers, see `Gaussian`.
        """
        if self.table is not None:
            return (QValues if values else Categorical)(self.table)
        ends = self.range or self.spec
        return Gaussian(ends.low, ends.high, squash, log_std)


class SingleAgentEnv(gymnasium.Env[NDArray[Any], Any]):
    """One market with one external participant, as a Gymnasium environment.

    The episode ends by truncation after `horizon` ticks. `env.choice.spec` is the participant's
    spec. `np_random` and `np_random_seed` are those of `MarketEnv`: they serve the caller's own
    draws, not the market's.

    Parameters
    ----------
    source : Market, Scenario or str
        The market, as `MarketEnv` takes it.
    agent : str
        The participant that the actions are for.
    unit : bool
        Whether continuous actions are numbers in [-1, 1].
    **settings
        Those of `MarketEnv`: actions, levels, band, grid, policies, horizon, weights, number, seed,
        dtype, reveal, infos, render_mode, runtime, deadline, keep_memories, on_fault.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 10}

    def __init__(self, source: Source, agent: str, *, unit: bool = True, **settings: Any) -> None:
        _check_known(settings, MarketEnv)
        settings = DEFAULTS | settings
        self.agent = agent
        self.choice = Choice(source, agent, unit, settings)
        self.market_env = MarketEnv(source, [agent], **settings)
        self.render_mode = self.market_env.render_mode
        self.observation_space = self.market_env.observation_space(agent)
        self.action_space = self.choice.space(
            self.market_env.action_space(agent), settings["dtype"]
        )

    @property
    def participant(self) -> ParticipantSpec:
        """The agent's spec: what its observations and actions mean."""
        return self.choice.spec

    @property
    def episode_seed(self) -> int | None:
        """The seed of the present episode."""
        return self.market_env.episode_seed

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin an episode. The market's random numbers come from `seed` alone, not from
        `np_random`."""
        first = self._np_random_seed is None
        observations, infos = self.market_env.reset(seed, options)  # refuses what is no seed
        if first or seed is not None:
            super().reset(seed=self.market_env.np_random_seed)
        return observations[self.agent], infos[self.agent]

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        """One tick; an action that cannot be taken raises in one line and changes nothing."""
        placed = self.choice.placed(action, 1)
        if self.choice.range is not None:
            placed = placed[0]
        seen, reward, ended, cut, infos = self.market_env.step({self.agent: placed})
        name = self.agent
        if name not in reward:  # over: `MarketEnv.step` without agents says nothing
            raise InputError("step: the episode is over or not begun; call reset() first")
        return seen[name], reward[name], ended[name], cut[name], infos[name]

    def render(self) -> Any:
        """As `MarketEnv.render`."""
        return self.market_env.render()

    def close(self) -> None:
        self.market_env.close()


class MarketVectorEnv(VectorEnv[NDArray[Any], Any, NDArray[Any]]):
    """B markets with one external participant each: `BatchedMarket` as a Gymnasium `VectorEnv`.

    Row b is market b of the seed. All markets end together. The next episode begins in the same
    step (`AutoresetMode.SAME_STEP`), and the last observations are `infos["final_obs"]` [B, D].

    Parameters
    ----------
    source : Market, Scenario or str
        The market, as `MarketEnv` takes it.
    agent : str
        The participant that the actions are for.
    num_envs : int
        B, the number of markets.
    unit : bool
        Whether continuous actions are numbers in [-1, 1].
    **settings
        Those of `SingleAgentEnv`, except `number`, `infos` and `render_mode`.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self, source: Source, agent: str, num_envs: int, *, unit: bool = True, **settings: Any
    ) -> None:
        self.closed = True  # nothing is to be closed before all is made
        _check_known(settings, BatchedMarket)
        one = SingleAgentEnv(source, agent, unit=unit, **settings)
        self.agent, self.num_envs, self.choice = agent, num_envs, one.choice
        self._dtype = one.observation_space.dtype
        arguments = DEFAULTS | {"reveal": False} | settings
        self._reveal = bool(arguments["reveal"])
        del arguments["dtype"]  # of what is seen; the batch itself is in doubles
        self.batched = BatchedMarket(source, num_envs, agents=[agent], auto_reset=True, **arguments)
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        self.closed = False

    @property
    def participant(self) -> ParticipantSpec:
        """The agent's spec: what its observations and actions mean."""
        return self.choice.spec

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begin all markets' episodes, with one seed for the batch."""
        if seed is not None and not isinstance(seed, int | np.integer):
            raise InputError(f"seed={seed!r:.60} must be one whole number for all markets, or None")
        seen = self.batched.reset(None if seed is None else int(seed))
        if seed is not None or self._np_random_seed is None:
            super().reset(seed=self.batched.episode_seed)
        return self._narrowed(seen), self._first_infos()

    def step(
        self, actions: Any
    ) -> tuple[NDArray[Any], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        placed = np.asarray(self.choice.placed(actions, self.num_envs))
        if placed.size == np.prod(self.batched.action_shape):
            placed = placed.reshape(self.batched.action_shape)
        seen, reward, done, batch_info = self.batched.step(placed)
        infos = self._infos(batch_info)
        if batch_info.last_observation is not None:
            last = {"final_obs": self._narrowed(batch_info.last_observation), "final_info": infos}
            infos = self._first_infos() | _masked(last, self.num_envs)
        return self._narrowed(seen), reward[:, 0], np.zeros_like(done), done, infos

    def _infos(self, batch_info: BatchInfo) -> dict[str, Any]:
        count = self.num_envs
        terms = {name: values[:, 0] for name, values in self.batched.reward_terms().items()}
        found: dict[str, Any] = {
            "moved": np.full(count, batch_info.moved[:, 0]),
            "refused": REFUSALS_BY_NUMBER[batch_info.refused[:, 0]],
            "reward_terms": _masked(terms, count),
        }
        if batch_info.true_demand is not None:
            found["true_demand"] = batch_info.true_demand
        return _masked(found, count)

    def _first_infos(self) -> dict[str, Any]:
        """What the infos of a step have, where nothing has happened."""
        count = self.num_envs
        found: dict[str, Any] = {
            "moved": np.zeros(count, np.bool_),
            "refused": REFUSALS_BY_NUMBER[np.zeros(count, np.int64)],
            "reward_terms": _masked(
                {name: np.zeros(count) for name in self.batched.reward_terms()}, count
            ),
        }
        if self._reveal:
            found["true_demand"] = np.zeros((count, self.participant.action_shape[0]))
        return _masked(found, count)

    def _narrowed(self, seen: Array) -> NDArray[Any]:
        return seen.astype(self._dtype, copy=False)

    def close_extras(self, **kwargs: Any) -> None:
        self.batched.close()


def gymnasium_env(scenario: Source, agent: str, **settings: Any) -> SingleAgentEnv:
    """Return a market as a Gymnasium environment of one participant.

    Parameters
    ----------
    scenario : Scenario, Market or str
        A scenario, its name or its path, or a market.
    agent : str
        The participant that is controlled by the caller. The others play the scenario's own
        policies, or `policies`.
    **settings
        As for `MarketEnv`, and `unit`: False asks for actions in money instead of in [-1, 1].

    Returns
    -------
    SingleAgentEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    return SingleAgentEnv(scenario, agent, **settings)


def gymnasium_vector_env(
    scenario: Source, agent: str, num_envs: int = 64, **settings: Any
) -> MarketVectorEnv:
    """Return a batch of markets as a Gymnasium `VectorEnv` of one participant.

    Parameters
    ----------
    scenario : Scenario, Market or str
        A scenario, its name or its path, or a market.
    agent : str
        The participant that is controlled by the caller.
    num_envs : int, optional
        Number of markets.
    **settings
        As for `gymnasium_env`.

    Returns
    -------
    MarketVectorEnv
        The environment.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    return MarketVectorEnv(scenario, agent, num_envs, **settings)


def _masked(infos: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The entries, each with the mask of the environments that have it: all."""
    made = dict(infos)
    for name in infos:
        made[f"_{name}"] = np.ones(count, np.bool_)
    return made


def _check_known(settings: Mapping[str, Any], inner: type) -> None:
    """InputError for a setting that the environment within does not take."""
    ours = {"self", "market", "markets", "agents", "auto_reset", "name"}
    known = [*(set(inspect.signature(inner).parameters) | {"dtype"}) - ours, "unit"]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"{name}: is no setting here; {hint}there are {', '.join(sorted(known))}"
            )
