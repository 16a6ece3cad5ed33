"""From PyTorch outwards: how outputs become actions, and how modules become networks.

A chooser turns the last numbers of a network into actions. It draws from uniforms that it is
given, so that random numbers have addresses as everywhere. Rows R are the agents of a policy in all
markets. Trained modules are multilayer perceptrons; `layers_of` and `exported` write them as a
`Network`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import nn

from mos_agents.learners.network import (
    Categorical,
    Gaussian,
    Head,
    Layer,
    Network,
    QValues,
    Signature,
)
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import uniform_choice
from mos_agents.training.assignment import PolicyAssignment
from mos_agents.training.normaliser import Normaliser

Numbers32 = NDArray[np.float32]
HALF_STEP = 2.0**-54
"""Keeps the normal quantile of a uniform finite."""


class Chooser(Protocol):
    """How one policy chooses.

    space: of the actions that RLlib's modules learn from. draws: uniforms needed for a choice.
    """

    @property
    def space(self) -> spaces.Space[Any]: ...
    @property
    def draws(self) -> int: ...

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        """[R, ...] actions drawn from outputs [R, K]."""

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        """[R, ...] actions without exploring."""

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        """[n] log probability or density of actions [n, ...] under outputs [n, K]."""

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        """What the market takes: levels [R, L_n] or numbers [R, L_n, A]."""


@dataclass(frozen=True, eq=False)
class LevelChooser:
    """A logit for each level of each listing."""

    policy: PolicyAssignment

    @property
    def space(self) -> spaces.Space[Any]:
        count = self.policy.levels
        if self.policy.listings == 1:
            return spaces.Discrete(count)
        return spaces.MultiDiscrete(np.full(self.policy.listings, count))

    @property
    def draws(self) -> int:
        return self.policy.listings

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        until = _chances(self._split(outputs)).cumsum(axis=-1)
        passed = until <= uniforms[:, :, None] * until[:, :, -1:]
        return self._shaped(np.minimum(passed.sum(axis=-1), self.policy.levels - 1))

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        return self._shaped(self._split(outputs).argmax(axis=-1))

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        logits = self._split(outputs)
        logits = logits - logits.max(axis=-1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        chosen = np.take_along_axis(logs, actions.reshape(len(actions), -1, 1), axis=-1)
        total: Numbers32 = chosen[:, :, 0].sum(axis=-1).astype(np.float32)
        return total

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        return actions.reshape(len(actions), -1)

    def _split(self, outputs: Numbers32) -> Array:
        shape = (len(outputs), self.policy.listings, self.policy.levels)
        wide: Array = outputs.astype(np.float64).reshape(shape)
        return wide

    def _shaped(self, levels: NDArray[Any]) -> NDArray[Any]:
        return levels[:, 0] if self.policy.listings == 1 else levels


@dataclass(frozen=True, eq=False)
class ValueChooser(LevelChooser):
    """A worth for each level of the one listing; any level is tried with chance `epsilon`."""

    epsilon: float = 0.0

    @property
    def draws(self) -> int:
        return 2

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        tried = uniform_choice(uniforms[:, 1], self.policy.levels)
        chosen: NDArray[Any] = np.where(uniforms[:, 0] < self.epsilon, tried, self.best(outputs))
        return chosen


@dataclass(frozen=True, eq=False)
class GaussianChooser:
    """Means and log standard deviations, on a scale on which bounds are -1 and 1.

    Beyond the bounds a draw is cut for the market; what is learnt from is the draw itself.
    """

    policy: PolicyAssignment

    @property
    def space(self) -> spaces.Space[Any]:
        return spaces.Box(-1.0, 1.0, (self.draws,), np.float32)

    @property
    def draws(self) -> int:
        return int(self.policy.low.size)

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        drawn = mean + np.exp(log_std) * ndtri(np.maximum(uniforms, HALF_STEP))
        return drawn.astype(np.float32)

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        return outputs[:, : self.draws]

    def log_chance(self, outputs: Numbers32, actions: NDArray[Any]) -> Numbers32:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        z = (actions - mean) / np.exp(log_std)
        logs = -0.5 * z * z - log_std - 0.5 * np.log(2.0 * np.pi)
        total: Numbers32 = logs.sum(axis=-1).astype(np.float32)
        return total

    def placed(self, actions: NDArray[Any]) -> NDArray[Any]:
        return self.policy.placed(actions.astype(np.float64))


@dataclass(frozen=True, eq=False)
class SquashedChooser(GaussianChooser):
    """The same through tanh, as SAC has it; RLlib cuts its log standard deviations."""

    log_std_range: tuple[float, float] = (-5.0, 2.0)

    def drawn(self, outputs: Numbers32, uniforms: Array) -> NDArray[Any]:
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=-1)
        std = np.exp(np.clip(log_std, *self.log_std_range))
        return np.tanh(mean + std * ndtri(np.maximum(uniforms, HALF_STEP))).astype(np.float32)

    def best(self, outputs: Numbers32) -> NDArray[Any]:
        squashed: NDArray[Any] = np.tanh(outputs[:, : self.draws])
        return squashed


def chooser(algo: str, policy: PolicyAssignment, epsilon: float = 0.0) -> Chooser:
    """How an algorithm's policy chooses."""
    if algo == "dqn":
        return ValueChooser(policy, epsilon)
    if policy.grid is not None:
        return LevelChooser(policy)
    return SquashedChooser(policy) if algo == "sac" else GaussianChooser(policy)


def _chances(logits: Array) -> Array:
    weights: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights


ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.SiLU: "silu",
    nn.GELU: "gelu",
    nn.Sigmoid: "sigmoid",
    nn.Softplus: "softplus",
}
PASSED = (nn.Identity, nn.Flatten, nn.Dropout)
"""What does nothing to a row when a network plays."""
DEFAULTS = {
    nn.LeakyReLU: ("negative_slope", 0.01),
    nn.ELU: ("alpha", 1.0),
    nn.GELU: ("approximate", "none"),
    nn.Softplus: ("beta", 1.0),
}


def layers_of(*modules: nn.Module) -> tuple[Layer, ...]:
    """Linear layers and activations, one after the other, as layers of a `Network`.

    modules: `nn.Linear`, activations, or `nn.Sequential`s of them, nested at will, in the order in
        which they are applied. Raises InputError in one line for any other module.
    """
    found: list[Layer] = []
    for module in (one for given in modules for one in _flat(given)):
        if isinstance(module, nn.Linear):
            weights = array_of(module.weight).T
            bias = np.zeros(len(weights.T)) if module.bias is None else array_of(module.bias)
            found.append(Layer(weights, bias))
        elif type(module) in ACTIVATIONS:
            if not found or found[-1].activation != "identity":
                raise InputError(f"{module} must follow a Linear layer, to be a layer of a network")
            name, value = DEFAULTS.get(type(module), ("", None))
            if name and getattr(module, name) != value:
                raise InputError(
                    f"{module}: {name} must be {value!r}, as PyTorch has it by default"
                )
            found[-1] = found[-1]._replace(activation=ACTIVATIONS[type(module)])
        elif not isinstance(module, PASSED):
            known = ", ".join(["Linear", *(one.__name__ for one in ACTIVATIONS)])
            raise InputError(
                f"{type(module).__name__} is no layer that a network can have; those are {known}"
            )
    return tuple(found)


def array_of(tensor: Any) -> Array:
    """A tensor's numbers in 64 bits, wherever it lies."""
    array: Array = tensor.detach().cpu().numpy().astype(np.float64)
    return array


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _flat(part)
    else:
        yield module


def joined(*tails: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers side by side that take the same numbers: outputs one after the other.

    For heads that are linear layers of their own, such as the mean and the log_std of SAC.
    Raises InputError unless each tail is one layer and all have the same inputs and activation.
    """
    firsts = [tail[0] for tail in tails]
    alike = {(len(one.weights), one.activation) for one in firsts}
    if any(len(tail) != 1 for tail in tails) or len(alike) != 1:
        raise InputError("heads must be one layer each, with the same inputs and activation")
    weights = np.concatenate([one.weights for one in firsts], axis=1)
    return (Layer(weights, np.concatenate([one.bias for one in firsts]), firsts[0].activation),)


def exported(
    algo: str,
    policy: PolicyAssignment,
    module: Any,
    normaliser: Normaliser,
    provenance: Mapping[str, Any],
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
        normaliser.shift,
        normaliser.scale,
        normaliser.clip,
        {"algorithm": algo, **provenance},
    )


def _actor(module: Any) -> Any:
    shared = getattr(module.encoder, "actor_encoder", None)
    return module.encoder.encoder if shared is None else shared


def _head(algo: str, policy: PolicyAssignment, log_std: Any) -> Head:
    if policy.grid is not None:
        return (QValues if algo == "dqn" else Categorical)(policy.grid)
    if algo == "sac":
        return Gaussian(policy.low, policy.high, "tanh", None, SquashedChooser.log_std_range)
    return Gaussian(policy.low, policy.high, "clip", np.asarray(log_std))
