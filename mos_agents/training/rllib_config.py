"""From a plan to RLlib's configuration, with defaults that learn in the markets at hand."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.appo import APPOConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.policy import PolicySpec

from mos_agents.market.checks import check_whole
from mos_agents.market.types import InputError
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.normaliser import Normaliser
from mos_agents.training.rllib_learners import (
    APPOFromArrays,
    DQNFromArrays,
    PPOFromArrays,
    SACFromArrays,
)
from mos_agents.training.rllib_runner import BatchRunner, _seen_space
from mos_agents.training.torch_networks import chooser

CONFIGS: dict[str, Any] = {"ppo": PPOConfig, "appo": APPOConfig, "dqn": DQNConfig, "sac": SACConfig}
LEARNERS = {
    "ppo": PPOFromArrays,
    "appo": APPOFromArrays,
    "dqn": DQNFromArrays,
    "sac": SACFromArrays,
}
LR = {"ppo": 1e-3, "appo": 1e-3, "dqn": 1e-3, "sac": 1e-3}
GAMMA = 0.95
"""Per tick, as for the tabular learners."""
OURS = {
    "lr",
    "gamma",
    "train_batch_size_per_learner",
    "train_batch_size",
    "replay_buffer_config",
    "learner_class",
    "model",
    "learner_config_dict",
}
"""Settings that the plan has other words for."""


def configured(
    assignment: TrainingAssignment, normalisers: Mapping[str, Normaliser]
) -> AlgorithmConfig:
    """RLlib's configuration. Raises InputError where a setting is unknown or not taken."""
    plan = assignment.plan
    for name in ("ray.rllib", "ray.tune"):  # they tell of their own stacks' history
        logging.getLogger(name).setLevel(logging.ERROR)
    # A worker that is lost comes back; how many there are stands in each record.
    logging.getLogger("ray.rllib.utils.actor_manager").setLevel(logging.CRITICAL)
    config = CONFIGS[plan.algo]()
    config.api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
    config.framework("torch")
    config.debugging(seed=plan.seed % 2**31, log_level="ERROR")
    config.environment(
        env=None,
        env_config={
            "plan": plan.changed(scenario=plan.scenario.portable()),
            "normalisers": dict(normalisers),
        },
    )
    specs = {
        p.name: (_seen_space(p.size), chooser(plan.algo, p).space) for p in assignment.policies
    }
    mapping = {a: p.name for p in assignment.policies for a in p.agents}
    config.multi_agent(
        policies={
            n: PolicySpec(observation_space=o, action_space=a) for n, (o, a) in specs.items()
        },
        policy_mapping_fn=_Mapping(mapping),
    )
    config.env_runners(
        env_runner_cls=BatchRunner,
        num_env_runners=plan.workers,
        num_envs_per_env_runner=plan.markets,
        rollout_fragment_length=plan.fragment,
        num_cpus_per_env_runner=1,
        create_env_on_local_worker=False,
    )
    config.learners(num_learners=0, learner_class=LEARNERS[plan.algo])
    config.fault_tolerance(
        restart_failed_env_runners=True,
        ignore_env_runner_failures=False,
        max_num_env_runner_restarts=100,
        env_runner_health_probe_timeout_s=5.0,
        num_consecutive_env_runner_failures_tolerance=100,
    )
    config.reporting(
        min_time_s_per_iteration=None,
        min_sample_timesteps_per_iteration=plan.ticks * plan.markets * max(1, plan.workers),
        min_train_timesteps_per_iteration=0,
    )
    model = DefaultModelConfig(
        fcnet_hiddens=list(plan.hidden),
        fcnet_activation=plan.activation,
        vf_share_layers=False,
        free_log_std=plan.algo in ("ppo", "appo") and not plan.discrete,
    )
    config.rl_module(
        rl_module_spec=MultiRLModuleSpec(
            rl_module_specs={
                n: RLModuleSpec(
                    observation_space=o, action_space=a, model_config=dataclasses.asdict(model)
                )
                for n, (o, a) in specs.items()
            }
        )
    )
    config.training(
        gamma=GAMMA if plan.gamma is None else plan.gamma,
        **_settings(assignment),
    )
    _with_hyper(config, plan.hyper, plan.fragment)
    if plan.algo in ("dqn", "sac") and config.n_step > 1:
        for policy in assignment.policies:
            if policy.in_turn:
                raise InputError(
                    f"hyper n_step={config.n_step} must be 1 where participants take turns, as "
                    f"{policy.name} does: a step lasts until its next move"
                )
    try:
        config.validate()
    except (ValueError, TypeError) as error:
        raise InputError(f"hyper: RLlib does not take it: {_short(error)}") from None
    return config


def _settings(assignment: TrainingAssignment) -> dict[str, Any]:
    """The algorithm's own, for fragments of this size."""
    plan = assignment.plan
    lr = LR[plan.algo] if plan.lr is None else plan.lr
    whole = plan.ticks * plan.markets * max(1, plan.workers)
    if plan.algo == "ppo":
        # It falls in a line: what is learnt last is not blurred by steps of the first size.
        decaying = [[0, lr], [whole * plan.iterations, 0.1 * lr]]
        return {
            "lr": decaying,
            "train_batch_size": whole,
            "minibatch_size": min(whole, max(512, whole // 8)),
            "num_epochs": 10,
            "clip_param": 0.2,
            "vf_clip_param": np.inf,
            "vf_loss_coeff": 0.5,
            "entropy_coeff": 0.0,
            "lambda_": 0.95,
            "use_kl_loss": False,
            "grad_clip": 0.5,
            "grad_clip_by": "global_norm",
        }
    if plan.algo == "appo":
        return {
            "lr": lr,
            "train_batch_size": plan.fragment * plan.markets,
            "num_epochs": 1,
            "clip_param": 0.2,
            "entropy_coeff": 0.0,
            "use_kl_loss": False,
            "grad_clip": 0.5,
            "grad_clip_by": "global_norm",
            "broadcast_interval": 1,
            "target_network_update_freq": 1,
            "circular_buffer_num_batches": 4,
            "circular_buffer_iterations_per_batch": 2,
        }
    drawn = 256
    fresh = plan.fragment * plan.markets * max(1, plan.workers)
    # Where participants take turns, learning begins once everybody has a move that is over.
    waits = [p.waits(assignment.playing.horizon) for p in assignment.policies if p.in_turn]
    first = max((at for at, _ in filter(None, waits)), default=0)
    together = plan.markets * max(1, plan.workers)
    common: dict[str, Any] = {
        "train_batch_size": drawn,
        "num_steps_sampled_before_learning_starts": max(2 * drawn, 1000, first * together),
        "training_intensity": None,
        "n_step": 1,
        "grad_clip": 10.0,
    }
    # One update for every 128 market ticks played, or for every fragment that holds more.
    # RLlib deals updates out over its workers and the driver's own, which plays nothing here.
    dealt = plan.workers / (plan.workers + 1) if plan.workers else 1.0
    common["training_intensity"] = max(1.0, fresh / 128) * drawn / fresh * dealt
    if plan.algo == "dqn":
        last = max(1, plan.iterations // 2) * plan.ticks * plan.markets * max(1, plan.workers)
        return {
            **common,
            "lr": lr,
            "double_q": True,
            "dueling": True,
            "num_atoms": 1,
            "target_network_update_freq": 2048,
            "tau": 1.0,
            "td_error_loss_fn": "huber",
            "epsilon": [(0, 1.0), (last, 0.02)],
        }
    return {
        **common,
        "lr": None,
        "actor_lr": lr,
        "critic_lr": lr,
        "alpha_lr": lr,
        "twin_q": True,
        "tau": 0.005,
        "target_entropy": "auto",
        "initial_alpha": 0.2,
    }


def _with_hyper(config: AlgorithmConfig, hyper: Mapping[str, Any], fragment: int) -> None:
    known = {
        name
        for cls in type(config).__mro__
        if "training" in vars(cls)
        for name in inspect.signature(vars(cls)["training"]).parameters
    } - {"self", "kwargs"}
    for name in hyper:
        if name in OURS:
            raise InputError(f"hyper {name}: is set by a field of TrainingPlan")
        _check_kind(name, hyper[name], getattr(config, name, None), fragment)
        if name == "num_atoms" and hyper[name] != 1:
            raise InputError(
                "hyper num_atoms: must be 1: a policy of distributions is not exported"
            )
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see AlgorithmConfig.training of RLlib"
            raise InputError(f"hyper {name!r} is not a setting of {type(config).__name__}; {hint}")
    try:
        config.training(**hyper)
    except (ValueError, TypeError) as error:
        raise InputError(f"hyper: RLlib does not take it: {_short(error)}") from None


def _check_kind(name: str, value: Any, default: Any, fragment: int) -> None:
    """InputError where a word stands for a number, or a count of updates is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, int | float) and not isinstance(default, bool):
        if not number and not isinstance(value, list | tuple) and value is not None:
            raise InputError(f"hyper {name}={value!r} must be a number, such as {default!r}")
    elif isinstance(default, list | tuple) and isinstance(value, str):
        raise InputError(f"hyper {name}={value!r} must be a number or a schedule: {default!r}")
    if name in ("num_epochs", "minibatch_size") and number and value < 1:
        raise InputError(f"hyper {name}={value!r} must be >= 1")
    if name == "n_step":
        check_whole(f"hyper {name}", value, 1, fragment)
    if isinstance(value, list | tuple):
        points = [p for p in value if isinstance(p, list | tuple) and len(p) == 2]
        if len(points) != len(value) or len(points) < 2 or points[0][0] != 0:
            raise InputError(
                f"hyper {name}={value!r} must be a number, or a schedule of two or more points "
                "[tick, value] that begins at tick 0"
            )


class _Mapping:
    """Agents to policies; a class, so that it travels by its name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)

    def __call__(self, agent: str, *_: Any, **__: Any) -> str:
        return self.names[agent]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
