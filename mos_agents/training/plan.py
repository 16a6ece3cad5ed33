"""What is trained and how: one value, checked before anything is started."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy, to_config
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.policy_files import embed_files
from mos_agents.wording import setting

ALGORITHMS = ("ppo", "dqn", "sac", "appo")
SHARING = ("independent", "shared", "by-role")
ACTIONS = ("continuous", "discrete")
NATURAL = {"ppo": "continuous", "appo": "continuous", "sac": "continuous", "dqn": "discrete"}
"""How each algorithm chooses where nobody says."""
ONLY = {"dqn": "discrete", "sac": "continuous"}
STOPS = ("steps", "reward", "seconds")
ACTIVATIONS = ("tanh", "relu", "silu", "linear")
FRAGMENTS = {"appo": 16, "dqn": 8, "sac": 8}
"""Ticks at most that a runner plays before it hands over; with PPO, all of an iteration."""
CAPACITY = 100_000
"""Market ticks that DQN and SAC remember."""
WHOLE = {
    "markets": 1,
    "workers": 0,
    "iterations": 1,
    "ticks": 1,
    "checkpoint_every": 1,
    "evaluate_every": 0,
    "evaluation_markets": 1,
    "seed": 0,
}
"""Whole numbers and the least that each may be."""


@short_repr
@dataclass(frozen=True)
class TrainingPlan:
    """Who learns what, with which algorithm, for how long.

    Parameters
    ----------
    scenario : Scenario, str or Path
        The market and its participants: a scenario, a preset's name or a file.
    algo : {"ppo", "dqn", "sac", "appo"}
        The algorithm.
    agents : tuple of str, optional
        Who learns; None: everybody that `envs.assignment.assign` would control from outside.
    policies : mapping of str to policy
        What the others play, over what the scenario says for them.
    sharing : {"independent", "shared", "by-role"}
        A policy each, one for all, or one for each role.
    actions : {"continuous", "discrete"}, optional
        Numbers, or points of a grid (`envs.actions.price_grids`); None: what suits the algorithm.
    levels : int or tuple of int
        Points of the grid.
    band : tuple of float, optional
        Lowest and highest price, as multiples of the reference price.
    grid : array, optional
        The points themselves.
    horizon : int, optional
        Ticks of an episode; None: the scenario's.
    markets : int
        Markets side by side in each env runner.
    workers : int
        Remote env runners; 0 plays in this process.
    ticks : int
        Ticks played in each market per iteration.
    iterations : int
        Iterations at most.
    stop : mapping of str to float
        Ends earlier, at {"steps": market ticks in all, "reward": mean per tick of the learners in
        evaluation (in training where there is none), "seconds": of work}.
    hidden : tuple of int
        Units of the hidden layers.
    activation : {"tanh", "relu", "silu", "linear"}
        Of the hidden layers.
    lr : float, optional
        Learning rate; None: the algorithm's (`rllib_config.py`).
    gamma : float, optional
        Discount factor per tick; None: the algorithm's.
    hyper : mapping of str to value
        RLlib's own settings of `AlgorithmConfig.training`, by name.
    normalise : {"calibration", "none"}
        Whether observations and rewards are shifted and scaled by what a calibration run measured.
    evaluate_every : int
        Iterations between evaluations without exploring, with one more at the end; 0: none.
    evaluation_markets : int
        Markets of their own in which an evaluation plays one episode.
    checkpoint_every : int
        Iterations between checkpoints.
    keep_memories : bool
        Whether learners among the others keep what they learnt from episode to episode.
    seed : int
        The seed.

    Raises
    ------
    InputError
        If a setting is not allowed, or the plan does not fit its market.
    """

    scenario: Scenario
    algo: str = "ppo"
    agents: tuple[str, ...] | None = None
    policies: Mapping[str, Any] = field(default_factory=dict)
    sharing: str = "independent"
    actions: str | None = None
    levels: Any = 15
    band: tuple[float, float] | None = None
    grid: Any = None
    horizon: int | None = None
    markets: int = 64
    workers: int = 0
    ticks: int = 64
    iterations: int = 100
    stop: Mapping[str, float] = field(default_factory=dict)
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    lr: float | None = None
    gamma: float | None = None
    hyper: Mapping[str, Any] = field(default_factory=dict)
    normalise: str = "calibration"
    evaluate_every: int = 10
    evaluation_markets: int = 16
    checkpoint_every: int = 10
    keep_memories: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.scenario, Scenario):
            put(self, "scenario", scenarios.load(self.scenario))
        for name in ("agents", "hidden", "band"):
            if isinstance(getattr(self, name), list):
                put(self, name, tuple(getattr(self, name)))
        if not isinstance(self.policies, Mapping):
            raise InputError(
                f"policies={self.policies!r:.60} must be what each name plays; who shares a "
                "network with whom is `sharing`"
            )
        # Trained networks go along with their weights: the plan is read in other places and later.
        put(self, "policies", {name: in_hand(one) for name, one in self.policies.items()})
        one_of("algo", self.algo, ALGORITHMS)
        one_of("policies", self.sharing, SHARING)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("normalise", self.normalise, ("calibration", "none"))
        if self.actions is None:
            put(self, "actions", NATURAL[self.algo])
        one_of("actions", self.actions, ACTIONS)
        only = ONLY.get(self.algo)
        if only and self.actions != only:
            other = "sac, ppo or appo" if only == "discrete" else "dqn, ppo or appo"
            raise InputError(
                f"actions={self.actions!r}: {self.algo} takes {only} actions only; train with "
                f"{other}, or give {setting('actions', only)}"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, least in WHOLE.items():
            check_whole(name, getattr(self, name), least)
        if self.horizon is not None:
            check_whole("horizon", self.horizon, 1)
        hidden = self.hidden
        if not isinstance(hidden, tuple):
            raise InputError(f"hidden={hidden!r} must be a list of widths, such as [64, 64]")
        if not 1 <= len(hidden) <= 8:
            raise InputError(f"hidden={list(hidden)} must be one to eight widths")
        for width in hidden:
            check_whole("hidden", width, 1, 4096)
        if self.lr is not None:
            check_real("lr", self.lr, 0.0, 1.0, above=True)
        if self.gamma is not None:
            check_real("gamma", self.gamma, 0.0, 1.0)
        if not isinstance(self.stop, Mapping):
            raise InputError(f"stop={self.stop!r} must be such as steps=1e6,reward=0.3")
        for name, value in self.stop.items():
            one_of("stop", name, STOPS)
            check_real(f"stop {name}", value, -math.inf if name == "reward" else 0.0)
        if not isinstance(self.hyper, Mapping) or any(not isinstance(k, str) for k in self.hyper):
            raise InputError(f"hyper={self.hyper!r} must be settings by their names")

    @property
    def discrete(self) -> bool:
        """Whether actions are chosen from a grid."""
        return self.actions == "discrete"

    @property
    def fragment(self) -> int:
        """Ticks that a runner plays before it hands over."""
        return min(self.ticks, FRAGMENTS.get(self.algo, self.ticks))

    def described(self) -> dict[str, Any]:
        """The plan as plain facts, from which `from_facts` makes it again."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        facts["scenario"] = scenarios.dump(self.scenario)
        facts["policies"] = {
            name: dict(one) if isinstance(one, Mapping) else to_config(one)
            for name, one in self.policies.items()
        }
        return {name: plain(value) for name, value in facts.items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> TrainingPlan:
        """The plan that `described` wrote."""
        given = dict(facts)
        try:
            given["scenario"] = scenarios.parse(given["scenario"])
            for name in ("agents", "hidden", "band"):
                if given.get(name) is not None:
                    given[name] = tuple(given[name])
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise InputError(f"plan: is not one of this version: {str(error)[:80]}") from None

    def changed(self, **changes: Any) -> TrainingPlan:
        """The same plan with some fields changed."""
        return replace(self, **changes)


def in_hand(policy: Any) -> Any:
    """A policy or its parameters with the network itself in place of its file's path; a word is a
    kind, as in a scenario."""
    if isinstance(policy, str):
        policy = {"kind": policy}
    if isinstance(policy, Mapping):
        return embed_files(dict(policy))
    return policy.portable() if isinstance(policy, Policy) else policy


# --- checks ---------------------------------------------------------------------------------------


def one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    """InputError unless the value is among those allowed."""
    if not isinstance(value, str) or value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1, cutoff=0.7)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{name}={value!r} must be one of {', '.join(allowed)}{hint}")


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return value
