"""RLlib's env runner over a batch of markets: all markets step at once, arrays in and arrays out.

RLlib's own runner steps a list of environments with dictionaries and appends to an episode object
per market, agent and tick. This one steps a `BatchedMarket`, asks each policy's module once a tick
for all its rows, and cuts the finished stretch into fragments.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    EPISODE_RETURN_MEAN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    WEIGHTS_SEQ_NO,
)

from mos_agents.market.faults import Fault, Faults, added_up, count
from mos_agents.market.streams import Streams
from mos_agents.market.types import Array
from mos_agents.training.assignment import PolicyAssignment, TrainingAssignment
from mos_agents.training.fragments import Fragment, Gathered, PolicyFragment, followed, pending
from mos_agents.training.normaliser import Normaliser
from mos_agents.training.torch_networks import Chooser, chooser
from mos_agents.trees import named

REWARD = "reward"
FAULTS = "faults"
SECONDS = "seconds"


class BatchRunner(EnvRunner, Checkpointable):  # type: ignore[misc]
    """Plays `config.num_envs_per_env_runner` markets. The plan and its normalisers
    come in `env_config`.

    Runner w of W plays the markets with the next numbers after those of runner w - 1; its random
    numbers in choosing has an address as well (agent, market, ticks played). A fragment ends where
    an episode does, so `sample` may return two.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        given = config.env_config
        self.assignment = TrainingAssignment.of(given["plan"])
        self.normalisers: Mapping[str, Normaliser] = given["normalisers"]
        self.plan = self.assignment.plan
        self.played = 0  # ticks since the first
        self._weights_seq_no = 0
        self._module_spaces = {
            p.name: (_seen_space(p.size), chooser(self.plan.algo, p).space)
            for p in self.assignment.policies
        }
        self.make_module()
        if not self.worker_index and self.plan.workers:
            return  # the driver's own: it holds the weights and plays nothing
        self.make_env()

    # --- what RLlib asks for ----------------------------------------------------------------------

    def make_env(self) -> None:
        count = self.config.num_envs_per_env_runner
        first = max(0, (self.worker_index or 0) - 1) * count
        self.env = self.assignment.markets("training", np.arange(first, first + count))
        self.num_envs = count
        seed = self.assignment.seed("training")
        self._streams = {
            a: Streams.of(seed, self.env.numbers, f"learner/{a}") for a in self.env.agents
        }
        self._observation: Array | None = None
        self._pending: dict[str, PolicyFragment] = {}  # moves that are not over
        self._first_seed: int | None = None
        self._return = np.zeros((count, len(self.env.agents)))
        self._reported_steps: Counter[str] = Counter()
        self._faults: Faults = {}

    def make_module(self) -> None:
        spec = self.config.get_multi_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()

    def get_spaces(self) -> dict[str, Any]:
        return dict(self._module_spaces)

    def assert_healthy(self) -> None:
        assert self.module is not None

    def stop(self) -> None:
        if self.env is not None:
            self.env.close()

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
    ) -> list[Fragment]:
        """Play on. num_timesteps: market ticks, rounded up to whole ticks of all markets."""
        if num_episodes is not None or random_actions:
            raise NotImplementedError("only stretches of ticks, with the policies' own actions")
        if num_timesteps is None:
            ticks = self.config.get_rollout_fragment_length(self.worker_index)
        else:
            ticks = -(-num_timesteps // self.num_envs)
        if force_reset or self._observation is None:
            self._observation = self.env.reset(self._first_seed)
            self._first_seed, self._pending = None, {}
            self._return[:] = 0.0
        begun = time.perf_counter()
        found = []
        self._seconds = dict.fromkeys(("market", "forward", "fragments"), 0.0)
        while ticks:
            stretch = min(ticks, self._left())
            found.append(self._play(stretch, self.config.explore if explore is None else explore))
            ticks -= stretch
        for name, seconds in self._seconds.items():
            self.metrics.log_value((SECONDS, name), seconds, reduce="sum")
        self.metrics.log_value((SECONDS, "sample"), time.perf_counter() - begun, reduce="sum")
        return found

    def _left(self) -> int:
        return int(self.env.market.horizon - self.env.tick)

    # --- the loop ---------------------------------------------------------------------------------

    def _play(self, ticks: int, explore: bool) -> Fragment:
        env, clock = self.env, time.perf_counter
        parts = {
            p.name: Gathered(
                p,
                ticks,
                self.num_envs,
                [env.columns[a] for a in p.agents],
                self.plan.algo in ("ppo", "appo"),
            )
            for p in self.assignment.policies
        }
        choosers = self.choosers()
        order = {a: n for n, a in enumerate(env.agents)}
        earned = np.zeros(len(env.agents))
        observation: Any = self._observation
        market = forward = 0.0
        for t in range(ticks):
            actions: dict[str, NDArray[Any]] = {}
            for name, part in parts.items():
                shown = self.normalisers[name].seen(part.rows_of(observation))
                part.observations[t] = shown
                begun = clock()
                outputs = self.forward(name, shown)
                forward += clock() - begun
                chosen = self._chosen(part.policy, choosers[name], outputs, explore)
                part.outputs.append(outputs)
                part.actions.append(chosen)
                actions |= part.by_agent(choosers[name].placed(chosen))
            begun = clock()
            observation, reward, _, info = env.step(actions)
            market += clock() - begun
            for name, part in parts.items():
                own = [order[a] for a in part.policy.agents]
                part.rewards[t] = self.normalisers[name].earned(reward[:, own].T.ravel())
                if part.policy.in_turn:
                    moved = np.broadcast_to(info.moved, reward.shape)
                    part.own.append(moved[:, own].T.ravel())
            earned += reward.mean(axis=0)
            self._return += reward
            self.played += 1
        begun = clock()
        rollouts = {}
        for name, part in parts.items():
            part.observations[ticks] = self.normalisers[name].seen(part.rows_of(observation))
            rollouts[name] = self._continued(name, part.rollout(choosers[name]))
        self._seconds["market"] += market
        self._seconds["forward"] += forward
        self._observation = observation
        self._log(ticks, earned)
        if self._left() == 0:
            self._observation = env.reset()
            self._pending = {}
            self._return[:] = 0.0
        self._seconds["fragments"] += clock() - begun
        return Fragment(rollouts, ticks, self.num_envs)

    def forward(self, name: str, shown: NDArray[np.float32]) -> NDArray[np.float32]:
        """[R, K] the last layer of a policy's module."""
        batch = {"obs": torch.from_numpy(shown)}
        with torch.inference_mode():
            module = self.module[name]
            if self.plan.algo == "dqn":
                outputs = module.compute_q_values(batch)["qf_preds"]
            else:
                outputs = module.forward_inference(batch)["action_dist_inputs"]
        found: NDArray[np.float32] = outputs.numpy()
        return found

    def choosers(self) -> dict[str, Chooser]:
        """How each policy chooses now."""
        epsilon = self.epsilon()
        return {p.name: chooser(self.plan.algo, p, epsilon) for p in self.assignment.policies}

    def epsilon(self) -> float:
        """DQN's chance to try any level, by the market ticks that all runners have played."""
        if self.plan.algo != "dqn":
            return 0.0
        from ray.rllib.utils.schedules.scheduler import Scheduler

        schedule = Scheduler(fixed_value_or_schedule=self.config.epsilon, framework="torch")
        steps = self.played * self.num_envs * max(1, self.plan.workers)
        return float(schedule.update(steps))

    def _chosen(
        self, policy: PolicyAssignment, how: Chooser, outputs: NDArray[np.float32], explore: bool
    ) -> NDArray[Any]:
        if not explore:
            return how.best(outputs)
        draws = [
            self._streams[a].at(self.played).uniforms("action", how.draws) for a in policy.agents
        ]
        return how.drawn(outputs, draws[0] if len(draws) == 1 else np.concatenate(draws))

    def _continued(self, name: str, found: PolicyFragment) -> PolicyFragment:
        """With the moves that were not over before; those that are not over now are kept."""
        if found.own is None:
            return found
        if name in self._pending:
            found = followed(self._pending.pop(name), found)
        left = pending(found)
        if left is not None:
            self._pending[name] = left
        return found

    # --- figures and state ------------------------------------------------------------------------

    def _log(self, ticks: int, earned: Array) -> None:
        log = self.metrics.log_value
        steps = ticks * self.num_envs
        log(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        log(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum")
        self.num_env_steps_sampled_lifetime += steps
        for n, agent in enumerate(self.env.agents):
            log((NUM_AGENT_STEPS_SAMPLED, agent), steps, reduce="sum")
            log((NUM_AGENT_STEPS_SAMPLED_LIFETIME, agent), steps, reduce="lifetime_sum")
            log((REWARD, agent), float(earned[n]) * self.num_envs, reduce="sum")
        for policy in self.assignment.policies:
            rows = steps * len(policy.agents)
            log((NUM_MODULE_STEPS_SAMPLED, policy.name), rows, reduce="sum")
            log((NUM_MODULE_STEPS_SAMPLED_LIFETIME, policy.name), rows, reduce="lifetime_sum")
        for name, lost in self._faulted().items():
            log((FAULTS, name), lost, reduce="sum")
        if self._left() == 0:
            log(EPISODE_RETURN_MEAN, float(self._return.sum(axis=1).mean()), window=16)

    def _faulted(self) -> Counter[str]:
        """By participant among the others, decisions without a usable action since last asked."""
        now: Counter[str] = Counter()
        for fault in self.env.faults:
            now[fault.participant] += fault.decisions
        if self._left() == 0:
            for fault in self.env.faults:
                count(self._faults, *fault)
        since = now - self._reported_steps
        self._reported_steps = Counter() if self._left() == 0 else now
        return since

    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        state: dict[str, Any] = {
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime
        }
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(
                components=self._get_subcomponents(COMPONENT_RL_MODULE, components),
                not_components=self._get_subcomponents(COMPONENT_RL_MODULE, not_components),
            )
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take in newer weights."""
        if COMPONENT_RL_MODULE in state:
            number = state.get(WEIGHTS_SEQ_NO, 0)
            if number == 0 or self._weights_seq_no < number:
                weights = state[COMPONENT_RL_MODULE]
                if not isinstance(weights, Mapping):
                    from mos_agents.actors.ray.cluster import fetched

                    weights = fetched(weights)
                self.module.set_state(weights)
            if number > 0:
                self._weights_seq_no = number
        steps = int(state.get(NUM_ENV_STEPS_SAMPLED_LIFETIME) or 0)
        if steps and not self.played and self.env is not None:
            self._begin_late(steps)

    def _begin_late(self, steps: int) -> None:
        """A runner that comes when others have played `steps`: it does not repeat their random
        numbers."""
        self.played = steps // (self.num_envs * max(1, self.plan.workers))
        sequence = np.random.SeedSequence(self.assignment.seed("training"), spawn_key=(steps,))
        self._first_seed = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def snapshot(self) -> dict[str, Any]:
        """All that the next `sample` depends on, besides the weights."""
        found: dict[str, Any] = {
            "worker": self.worker_index or 0,
            "played": self.played,
            "steps": self.num_env_steps_sampled_lifetime,
            "seed": self.env.episode_seed,
            "return": self._return.copy(),
        }
        if self._observation is not None:
            episode = {name: array.copy() for name, array in named(self.env.snapshot())}
            found["episode"] = episode
            found["pending"] = {name: part._asdict() for name, part in self._pending.items()}
        return found

    def restore(self, kept: Mapping[str, Any], late: bool = False) -> None:
        """Go on from a snapshot. late: from its markets as they were, with random numbers that
        nobody had: others have played on since."""
        seed = int(kept["seed"] or 0)
        if late and self._first_seed is not None:
            seed, self._first_seed = self._first_seed, None
        else:
            self.played = int(kept["played"])
            self.num_env_steps_sampled_lifetime = int(kept["steps"])
            self._first_seed = None
        self._return = np.array(kept["return"])
        if "episode" in kept:
            # Copies: what comes by Ray cannot be written to, and learners write to their tables.
            episode = {name: np.array(array) for name, array in kept["episode"].items()}
            self._observation = self.env.restore(seed, episode)
            waiting = {} if late else kept["pending"]
            self._pending = {name: PolicyFragment(**part) for name, part in waiting.items()}

    def faults(self) -> tuple[Fault, ...]:
        """What the others' policies did wrong since the runner began, and why."""
        running = () if self._observation is None or self._left() == 0 else self.env.faults
        return added_up((*self._faults.values(), *running))

    def memories(self) -> dict[str, Any]:
        """What the others remember of the runner's markets, by participant."""
        return self.env.memories

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]


def _seen_space(size: int) -> Any:
    from gymnasium import spaces

    return spaces.Box(-np.inf, np.inf, (size,), np.float32)
