"""A market as an environment: agents decide from outside, other participants play their policies.

`MarketEnv` is a native PettingZoo `ParallelEnv` over one market (B = 1); all agents move at once.

**Agents** are participants by name. **Observations** are what `spec.fields` lists, as float64,
which keeps the bits of `rollout.play`; `dtype="float32"` is what most libraries for deep learning
need, and it does not change the market. No observation contains true demand. `spaces_table(agent)`
prints what every index means. **Actions** are numbers in the order listing by listing, feature by
feature ("continuous"), or one level of a price grid per listing ("discrete"). All arrays that the
environment returns are copies: the caller may write to them.

**Random numbers.** `reset(seed=s)` starts the episode that `rollout.play` plays with seed s, bit
for bit. `reset()` takes the seed that follows from the last one (`assignment.next_seed`). The first
seed, where none is given, comes from the machine's entropy. `env.episode_seed` is the present one.
A copy of an environment continues with the same seeds; give copies that must differ another
`number`.

**End.** After `horizon` ticks all agents are truncated at once; no agent terminates earlier.
PettingZoo's name for the horizon, `max_cycles`, is accepted as well.

**Infos**, per agent: `moved` (whether it could move), `refused` (why the market refused the quote,
or ""), `reward_terms` (metric x weight; they sum to the reward), and, unless `reveal=False`,
`true_demand` [L_n]: units that chose the own listings first, stock aside. This entry is for the
experimenter: a policy that trains on it knows more than any participant may. The infos of `reset`
have the same entries: False, "" and zeros.

**Errors.** An action that is missing, too many, of the wrong type or shape, NaN or outside its
space raises `QuoteRefused` or `InputError` in one line. The market is unchanged then, and `step`
can be called again.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from envs import space_tables, text
from envs.actions import ContinuousActions, GridActions, price_grids
from envs.actor_episode import episode
from envs.assignment import (
    Assignment,
    Source,
    assign,
    described,
    episode_ticks,
    fresh_seed,
    next_seed,
)
from mos_agents.market.checks import check_whole
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.refusals import REASONS
from mos_agents.market.rewards import Objective
from mos_agents.market.types import Array, InputError, IntArray, Step
from mos_agents.rollout import Fault, PolicyFault

Infos = dict[str, dict[str, Any]]
RENDER_MODES = ("human", "rgb_array")
REFUSALS = ("", *REASONS[1:])
"""Why a quote was not taken, as in the infos, by the number that the market gives the reason."""

REMEMBERED = 200  # ticks that a picture shows


class MarketEnv(ParallelEnv[str, NDArray[Any], Any]):  # type: ignore[misc]
    """One market as a PettingZoo `ParallelEnv`.

    The tables in `envs.retail_v0`, `envs.market_making_v0`, `envs.auction_v0` and
    `envs.marketplace_v0` say what is in an observation and in an action.

    Parameters
    ----------
    market : Market, Scenario or str
        A market; or a scenario, its name or its path, which also says what each participant plays.
    agents : sequence of str, optional
        The participants that are controlled by the caller; `envs.assignment.assign` says which they
        are by default.
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
    render_mode : {"human", "rgb_array"}, optional
        What `render` returns.
    number : int, optional
        Which market of a seed this is: market m of a batch is the one with number=m.
    seed : int, optional
        Seed of the first episode if `reset` names none.
    dtype : {"float64", "float32"}, optional
        Type of the observations. The market is the same, to the bit.
    reveal : bool, optional
        Whether infos hold the true demand.
    infos : bool, optional
        False leaves the infos empty, as TorchRL's wrapper needs it.
    runtime : {"local", "actors", "ray"}, optional
        Where the hosted participants run: in this process, as actors here, or on a Ray cluster.
        The bits are the same.
    deadline : float, optional
        Seconds that a tick waits for actors, over Ray; None waits for ever.
    keep_memories : bool, optional
        Whether hosted participants keep their memory between episodes. Local runtime only.
    on_fault : {"raise", "hold", "withdraw"}, optional
        What happens when a hosted policy fails; see `mos_agents.rollout.play`.
    name : str, optional
        Name of the environment in its metadata.

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """

    metadata: dict[str, Any] = {
        "name": "market_v0",
        "render_modes": list(RENDER_MODES),
        "is_parallelizable": True,
        "render_fps": 10,
    }

    def __init__(
        self,
        market: Source,
        agents: Sequence[str] | None = None,
        *,
        actions: str = "continuous",
        levels: Any = 15,
        band: tuple[float, float] | None = None,
        grid: Any = None,
        policies: Mapping[str, Any] | None = None,
        horizon: int | None = None,
        max_cycles: int | None = None,
        weights: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        number: int = 0,
        seed: int | None = None,
        dtype: str = "float64",
        reveal: bool = True,
        infos: bool = True,
        runtime: str = "local",
        deadline: float | None = None,
        keep_memories: bool = False,
        on_fault: str = "raise",
        name: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise InputError(f"render_mode={render_mode!r} must be None or one of {RENDER_MODES}")
        if dtype not in ("float64", "float32"):
            raise InputError(f"dtype={dtype!r} must be 'float64' or 'float32'")
        assignment = assign(market, agents, policies, episode_ticks(horizon, max_cycles), weights)
        self.assignment = assignment
        self.max_cycles = assignment.market.horizon
        self.metadata = {**type(self).metadata, "name": name or f"{assignment.market.name}_v0"}
        self.render_mode = render_mode
        self.possible_agents = list(assignment.names)
        self.agents: list[str] = []
        self.episode_seed: int | None = None
        self._next_seed = seed if seed is None else seeded(seed)
        self._narrow = dtype == "float32"
        self._reveal, self._informs = reveal, infos
        self._episode = episode(
            assignment, _numbered(number), runtime, deadline, keep_memories, on_fault
        )
        self._choices = action_choices(assignment, actions, levels, band, grid, dtype)
        self._given = self._choices.blank(1)
        self._actions = blank_actions(assignment.market, 1)
        self._views = [(s.name, s.columns, s.number, s.listings) for s in assignment.external]
        self._spaces = {s.name: _observation_box([s], dtype) for s in assignment.external}
        self._action_spaces: dict[str, spaces.Space[Any]] = {
            n: self._choices.space(n) for n in assignment.names
        }
        self.state_space = _observation_box(assignment.market.specs, dtype)
        self._terms = RewardTerms(assignment.market, [spec.number for spec in assignment.external])
        self._recent: deque[Step] = deque(maxlen=REMEMBERED)
        self._np_random: np.random.Generator | None = None
        self._np_random_seed: int | None = None
        self._shown: tuple[int, int] | None = None

    # --- what PettingZoo asks for -----------------------------------------------------------------

    def observation_space(self, agent: str) -> spaces.Box:
        return self._spaces[self._known(agent)]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._action_spaces[self._known(agent)]

    @property
    def observation_spaces(self) -> dict[str, spaces.Box]:
        """The observation space of each agent."""
        return self._spaces

    @property
    def action_spaces(self) -> dict[str, spaces.Space[Any]]:
        """The action space of each agent."""
        return self._action_spaces

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], Infos]:
        """Start an episode; `options` are not used. A seed is a whole number >= 0."""
        begins_anew = seed is not None or self._np_random_seed is None
        if seed is None:
            seed = fresh_seed() if self._next_seed is None else self._next_seed
        self.episode_seed = seeded(seed)
        observation = self._episode.start(self.episode_seed)
        if begins_anew:
            self._np_random, self._np_random_seed = None, self.episode_seed
        self._next_seed = next_seed(self.episode_seed)
        self.agents = self.possible_agents[:]
        self._recent.clear()
        self._shown = None
        return self._observations(observation), self._first_infos()

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """Play one tick of the market. It needs an action of every agent, and no other."""
        agents = self.agents
        if not agents:
            if actions or self.episode_seed is None:
                raise InputError("step: the episode is over or not begun; call reset() first")
            return {}, {}, {}, {}, {}
        if type(actions) is not dict and not isinstance(actions, Mapping):
            raise InputError(f"actions={actions!r:.60} must map agents to their actions")
        try:
            self._choices.read(actions, self._given[0])
        except KeyError:
            raise InputError(self._miscounted(actions)) from None
        if len(actions) != len(agents):
            raise InputError(self._miscounted(actions))
        self._choices.place(self._given, self._actions)
        try:
            step = self._episode.advance(self._actions)
        except PolicyFault:
            self.agents = []  # half of a tick has happened: only another episode can follow
            raise
        over = step.state.tick >= self.assignment.market.horizon
        if over:
            self.agents = []
        observations, rewards, infos = self._agent_results(step)
        if self.render_mode is not None:
            self._recent.append(step)
            if self.render_mode == "human":
                self.render()
        return (
            observations,
            rewards,
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            infos,
        )

    def state(self) -> NDArray[Any]:
        """The observations of all participants in roster order, hosted ones included."""
        self._begun()
        row = self._episode.observation[0]
        return row.astype(np.float32) if self._narrow else row.copy()

    def render(self) -> NDArray[np.uint8] | None:
        """ "rgb_array": a picture [height, width, 3]. "human": a table on the terminal once a tick.

        In the mode "human" each `step` prints by itself; no window is opened.
        """
        self._begun()
        if self.render_mode is None:
            raise InputError(f"render_mode=None: make the environment with one of {RENDER_MODES}")
        state = self._episode.state
        if self.render_mode == "human":
            now = (self.episode_seed or 0, state.tick)
            if self._shown != now:
                self._shown = now
                text.show(self.market, state, self._recent[-1] if self._recent else None)
            return None
        from mos_agents.report import snapshot

        return snapshot.picture(self.market, state, list(self._recent))

    def close(self) -> None:
        """Forget the pictures' past and end the actors, if there are any; `reset` begins again."""
        self._recent.clear()
        self._episode.close()

    # --- what is more -----------------------------------------------------------------------------

    @property
    def market(self) -> Market:
        """The market that is played."""
        return self.assignment.market

    @property
    def np_random_seed(self) -> int:
        """The seed that the present row of episodes began with: the last one that was given to
        `reset`, or the first episode's. `reset(seed=env.np_random_seed)` begins the row again."""
        self._begun()
        assert self._np_random_seed is not None
        return self._np_random_seed

    @property
    def np_random(self) -> np.random.Generator:
        """A generator that begins at `np_random_seed`, as Gymnasium's environments have it, for the
        caller's own draws. The market draws nothing from it: its chance follows from the seed of
        the episode alone."""
        if self._np_random is None:
            self._np_random, _ = seeding.np_random(self.np_random_seed)
        return self._np_random

    @np_random.setter
    def np_random(self, generator: np.random.Generator) -> None:
        self._np_random = generator

    def spaces_table(self, agent: str) -> str:
        """What every index of an agent's observation and action means, as text."""
        return space_tables.table(
            space_tables.rows(self.market.spec(self._known(agent)), self._choices)
        )

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults of hosted policies in this episode, where faults are counted."""
        return self._episode.faults

    def price_grid(self, agent: str) -> list[Array]:
        """The grids [levels, A] of an agent's listings, where actions are discrete."""
        if not isinstance(self._choices, GridActions):
            raise InputError("actions='continuous' has no grid; make it with actions='discrete'")
        return [table.copy() for table in self._choices.table(self._known(agent))]

    # --- inside -----------------------------------------------------------------------------------

    def _observations(self, everything: Array) -> dict[str, NDArray[Any]]:
        # Copies, which belong to the caller: a view would be a part of the market's state.
        row = everything[0]
        if self._narrow:
            return {name: row[columns].astype(np.float32) for name, columns, _, _ in self._views}
        return {name: row[columns].copy() for name, columns, _, _ in self._views}

    def _agent_results(self, step: Step) -> tuple[dict[str, NDArray[Any]], dict[str, float], Infos]:
        """Observations, rewards and infos of every agent after a tick; in one pass, as it is the
        most that a step does besides the tick."""
        info, row = step.info, step.observation[0]
        moved, refused = info.moved.tolist()[0], info.refused.tolist()[0]
        earned, terms = step.reward.tolist()[0], self._terms(step.metrics)
        demand = info.executions.demand[0] if self._reveal else None
        observations: dict[str, NDArray[Any]] = {}
        rewards: dict[str, float] = {}
        infos: Infos = {}
        for i, (name, columns, n, own) in enumerate(self._views):
            seen = row[columns]
            observations[name] = seen.astype(np.float32) if self._narrow else seen.copy()
            rewards[name] = earned[n]
            if not self._informs:
                infos[name] = {}
                continue
            infos[name] = one = {
                "moved": moved[n],
                "refused": REFUSALS[refused[n]],
                "reward_terms": terms[i],
            }
            if demand is not None:
                one["true_demand"] = demand[own].copy()
        return observations, rewards, infos

    def _first_infos(self) -> Infos:
        """The infos before the first tick: what those of a step have, and nothing has happened."""
        if not self._informs:
            return {name: {} for name, *_ in self._views}
        market = self.assignment.market
        terms = self._terms(np.zeros((1, market.layout.N, len(market.metrics))))
        found: Infos = {}
        for (name, _, _, own), one in zip(self._views, terms, strict=True):
            found[name] = {"moved": False, "refused": "", "reward_terms": dict.fromkeys(one, 0.0)}
            if self._reveal:
                found[name]["true_demand"] = np.zeros(own.stop - own.start)
        return found

    def _known(self, agent: str) -> str:
        if agent not in self._spaces:
            raise InputError(f"agent={agent!r} is not one of {self.possible_agents}")
        return agent

    def _begun(self) -> None:
        if self.episode_seed is None:
            raise InputError("the market has not begun; call reset() first")

    def _miscounted(self, actions: Mapping[str, Any]) -> str:
        for name in self.agents:
            if name not in actions:
                return f"actions: {name!r} has none; every one of {self.agents} needs an action"
        extra = next(name for name in actions if name not in self.agents)
        return f"actions: {extra!r:.60} is no agent here, leave it out; agents are {self.agents}"


def preset_env(
    preset: str,
    scenario: Any,
    counts: Mapping[str, Any],
    settings: Mapping[str, Any],
    without: Sequence[str] = (),
) -> MarketEnv:
    """Make the environment of a preset, or of a scenario with quotes of the same kind.

    Parameters
    ----------
    preset : str
        The preset's name; the environment's is `preset_v0`.
    scenario : Scenario or str or None
        A scenario, its name or its path, in place of the preset.
    counts : mapping of str to any
        Shorthands of the scenario, such as {"firms": 2}; None leaves one as it is.
    settings : mapping of str to any
        Settings of `MarketEnv`, and of the scenario by their path with `__` for the dot.
    without : sequence of str
        Settings of `MarketEnv` that mean nothing here.

    Returns
    -------
    MarketEnv

    Raises
    ------
    InputError
        If a setting is unknown or does not fit the market.
    """
    taken = inspect.signature(MarketEnv).parameters.keys() - {"market", "name", *without}
    own = [name for name in inspect.signature(MarketEnv).parameters if name in taken]
    changes = {**counts, **{k: v for k, v in settings.items() if k not in taken}}
    source = described(preset, scenario, changes, [*counts, "scenario", *own])
    given = {name: value for name, value in settings.items() if name in taken}
    return MarketEnv(source, name=f"{preset}_v0", **given)


class RewardTerms:
    """What rewards are made of: from a tick's metrics [1, N, M], {metric: weight x metric} for each
    of the participants with these numbers."""

    def __init__(self, market: Market, numbers: Sequence[int]) -> None:
        self._market, self._numbers = market, tuple(numbers)
        self._of_the_house = type(market.rewards) is Objective
        if isinstance(market.rewards, Objective):
            columns, weights = market.rewards.table(market)
            self._names = [market.metrics[c] for c in columns]
            self._rows, self._columns = np.array(numbers, np.int64), columns
            self._weights = np.ascontiguousarray(weights[list(numbers)])
            self._terms = np.zeros(self._weights.shape)

    def __call__(self, metrics: Array) -> list[dict[str, float]]:
        if not self._of_the_house:
            broken = self._market.rewards.breakdown(self._market, metrics)
            return [{k: float(v[0, n]) for k, v in broken.items()} for n in self._numbers]
        # Infos are made at every step, whether they are read or not: hence the compiled loop.
        reward_weights(self._terms, metrics, self._rows, self._columns, self._weights)
        names, rows = self._names, cast("list[list[float]]", self._terms.tolist())
        return [dict(zip(names, terms)) for terms in rows]  # noqa: B905 - slower


@kernel
def reward_weights(terms, metrics, rows, columns, weights):  # type: ignore[no-untyped-def]
    """Fill in weights [n, J] x metrics [1, N, M] at rows [n] and columns [J]."""
    for i in range(rows.shape[0]):
        for j in range(columns.shape[0]):
            terms[i, j] = weights[i, j] * metrics[0, rows[i], columns[j]]


def action_choices(
    assignment: Assignment,
    actions: str,
    levels: Any,
    band: tuple[float, float] | None,
    grid: Any,
    dtype: str,
) -> ContinuousActions | GridActions:
    """How external participants choose."""
    if actions == "continuous":
        return ContinuousActions(assignment.market, assignment.external, dtype)
    if actions == "discrete":
        grids = price_grids(assignment.market, assignment.external, levels, band, grid)
        return GridActions(assignment.market, assignment.external, grids)
    raise InputError(f"actions={actions!r} must be 'continuous' or 'discrete'")


def blank_actions(market: Market, batch: int) -> Array:
    """An empty array [B, L, A] for the actions of all participants."""
    return np.zeros((batch, market.layout.L, len(market.specs[0].features)))


def seeded(seed: Any) -> int:
    """A seed, or InputError."""
    return check_whole("seed", seed, 0, note=", or None to go on")


def _numbered(number: Any) -> IntArray:
    return np.array([check_whole("number", number, 0, note=": which market of a seed")])


def _observation_box(specs: Sequence[Any], dtype: str) -> spaces.Box:
    fields = [field for spec in specs for field in spec.fields]
    sizes = [field.size for field in fields]
    low = np.repeat([field.low for field in fields], sizes)
    high = np.repeat([field.high for field in fields], sizes)
    kind = np.dtype(dtype).type
    return spaces.Box(low.astype(kind), high.astype(kind), dtype=kind)
