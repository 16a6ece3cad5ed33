"""PyTorch modules as the layers of a `Network`: what is trained here are multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import nn

from mos_agents.learners.network import Layer
from mos_agents.market.types import Array, InputError

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
