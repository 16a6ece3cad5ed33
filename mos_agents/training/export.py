"""What was trained, out of RLlib: each policy's network as plain numbers that play anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mos_agents.learners.network import Categorical, Gaussian, Head, Network, QValues, Signature
from mos_agents.training.assignment import PolicyAssignment
from mos_agents.training.choosing import Squashed
from mos_agents.training.normalising import Norm
from mos_agents.training.torch_layers import array_of, layers_of


def exported(
    algo: str, policy: PolicyAssignment, module: Any, norm: Norm, provenance: Mapping[str, Any]
) -> Network:
    """The network of a policy's RLModule: the same outputs, up to rounding in 32 bits.

    DQN's values are those of its advantage stream, which ranks levels as the whole does.
    """
    module = module.unwrapped()
    log_std = None
    if algo == "dqn":
        layers = layers_of(module.encoder.net.mlp, module.af.net.mlp)
    elif algo == "sac":
        layers = layers_of(module.pi_encoder.net.mlp, module.pi.net.mlp)
    else:
        layers = layers_of(_actor(module).net.mlp, module.pi.net.mlp)
        if policy.grid is None:
            log_std = array_of(module.pi.log_std)
    return Network(
        Signature.of(policy.spec),
        layers,
        _head(algo, policy, log_std),
        norm.shift,
        norm.scale,
        norm.clip,
        {"algorithm": algo, **provenance},
    )


def _actor(module: Any) -> Any:
    shared = getattr(module.encoder, "actor_encoder", None)
    return module.encoder.encoder if shared is None else shared


def _head(algo: str, policy: PolicyAssignment, log_std: Any) -> Head:
    if policy.grid is not None:
        return (QValues if algo == "dqn" else Categorical)(policy.grid)
    if algo == "sac":
        return Gaussian(policy.low, policy.high, "tanh", None, Squashed.log_std_range)
    return Gaussian(policy.low, policy.high, "clip", np.asarray(log_std))
