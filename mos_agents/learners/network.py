"""A trained feed-forward policy as plain numbers: what any training library learns, without it.

observation -> (x - shift) / scale, clipped -> layers -> head. The head says what the last layer's
numbers mean: `Categorical` (a logit for each level of a listing's price grid), `QValues` (a value
for each) or `Gaussian` (where between the bounds of an action). Levels are points of the grid that
the environment was made with, and numbers lie within the environment's bounds, so that an action is
the very one that `envs.actions` would have placed.

Everything is computed in 64 bits and, for each market, in a fixed order (`affine`): a market gets
the same bits alone and in a batch of any size, which a BLAS product does not promise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf

from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError

MOST_NUMBERS = 8_000_000
"""Weights of a network: 64 MB."""


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # without the overflow of exp(-x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x: np.where(x > 0.0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1.0 + erf(x / np.sqrt(2.0))),
    "sigmoid": _sigmoid,
    "softplus": lambda x: np.logaddexp(x, 0.0),
}
"""Element by element, with the parameters that PyTorch has by default (`swish` is `silu`)."""


@short_repr
class Layer(NamedTuple):
    """A layer of a network: activation(x @ weights + bias).

    Parameters
    ----------
    weights : array
        [in, out] the weights.
    bias : array
        [out] what is added to each output.
    activation : str
        a name of `ACTIVATIONS`, such as "tanh" or "relu".
    """

    weights: Array  # [in, out]
    bias: Array  # [out]
    activation: str = "identity"


# --- what the last layer's numbers mean -----------------------------------------------------------


@short_repr
@dataclass(frozen=True, eq=False)
class Categorical:
    """A head whose outputs are logits [L_n, m], listing after listing.

    Parameters
    ----------
    grid : array
        [L_n, m, A] the actions that each listing chooses among.
    """

    grid: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", held("grid", self.grid))

    @property
    def width(self) -> int:
        """Numbers that the last layer gives."""
        return int(self.grid.shape[0] * self.grid.shape[1])

    def values(self, outputs: Array) -> Array:
        """[B, L_n, m] the last layer's numbers [B, width] by listing and level."""
        return outputs.reshape(len(outputs), *self.grid.shape[:2])

    @property
    def range(self) -> tuple[Array, Array]:
        """[L_n, A] the lowest and the highest that can be asked."""
        return self.grid.min(axis=1), self.grid.max(axis=1)

    def check(self, signature: Signature) -> None:
        """InputError unless the head decides for such a participant."""
        listings, features = signature.listings, len(signature.features)
        if (
            self.grid.ndim != 3
            or self.grid.shape[::2] != (listings, features)
            or (self.grid.shape[1] < 2)
        ):
            raise InputError(
                f"grid has shape {self.grid.shape}, must be ({listings}, levels, {features})"
            )


@short_repr
@dataclass(frozen=True, eq=False)
class QValues(Categorical):
    """A head whose outputs are values [L_n, m] of actions, up to a constant in each listing.

    The action with the highest value is played.

    Parameters
    ----------
    grid : array
        [L_n, m, A] the actions that each listing chooses among.
    """


@short_repr
@dataclass(frozen=True, eq=False)
class Gaussian:
    """A head that draws each number of an action from a normal distribution.

    The distribution's scale is the one on which the bounds of the action are -1 and 1.

    Parameters
    ----------
    low, high : array
        [L_n, A] the bounds of the action.
    squash : str
        how a draw is brought into [-1, 1]: "tanh" or "clip".
    log_std : array or None
        [L_n * A] logarithms of the standard deviations, the same for every observation; None takes
        them from the last layer, after the means.
    log_std_range : tuple of 2 float
        the bounds to which they are cut.
    """

    low: Array
    high: Array
    squash: str = "clip"
    log_std: Array | None = None
    log_std_range: tuple[float, float] = (-20.0, 2.0)

    def __post_init__(self) -> None:
        for name in ("low", "high", "log_std"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, held(name, getattr(self, name)))

    @property
    def width(self) -> int:
        """Numbers that the last layer gives."""
        return int(self.low.size) * (2 if self.log_std is None else 1)

    @property
    def range(self) -> tuple[Array, Array]:
        """[L_n, A] the lowest and the highest that can be asked."""
        return self.low, self.high

    def placed(self, unit: Array) -> Array:
        """[B, L_n, A] the action for numbers [B, L_n * A] between -1 and 1; others are cut."""
        cut = np.clip(unit, -1.0, 1.0).reshape(len(unit), *self.low.shape)
        action: Array = self.low + (cut + 1.0) * (0.5 * (self.high - self.low))
        return np.clip(action, self.low, self.high)

    def check(self, signature: Signature) -> None:
        """InputError unless the head decides for such a participant."""
        shape = (signature.listings, len(signature.features))
        shaped("low", self.low, shape)
        shaped("high", self.high, shape)
        if not (self.low <= self.high).all():
            raise InputError("low is above high somewhere, must be at most high")
        if self.log_std is not None:
            shaped("log_std", self.log_std, (self.low.size,))
        if self.squash not in SQUASHES:
            raise InputError(f"squash={self.squash!r} must be one of {', '.join(SQUASHES)}")
        least, most = self.log_std_range
        if not -50.0 <= least <= most <= 50.0:
            raise InputError(f"log_std_range={self.log_std_range} must rise within [-50, 50]")


Head = Categorical | Gaussian
SQUASHES = ("tanh", "clip")


# --- the participant it was made for --------------------------------------------------------------


class Signature(NamedTuple):
    """The participant that a network was made for: what another participant must share to use it.

    Parameters
    ----------
    participant : str
        its name, for messages only; several participants may share a network.
    role : str
        its role, such as "firm" or "maker".
    listings : int
        L_n, its number of listings.
    features : tuple of str
        the names of the numbers of an action.
    fields : tuple of (str, int)
        name and size of each field of the observation, in order.
    """

    participant: str
    role: str
    listings: int
    features: tuple[str, ...]
    fields: tuple[tuple[str, int], ...]  # (name, size) of what is observed

    @classmethod
    def of(cls, spec: ParticipantSpec) -> Signature:
        """The signature of a participant."""
        fields = tuple((one.name, one.size) for one in spec.fields)
        return cls(spec.name, spec.role, spec.action_shape[0], tuple(spec.features), fields)

    @property
    def size(self) -> int:
        """D_n, the length of the observation."""
        return sum(size for _, size in self.fields)

    def difference(self, other: Signature) -> str | None:
        """The first thing in which another participant differs, in words; None if none does."""
        for name in ("role", "features", "listings"):
            made, found = getattr(self, name), getattr(other, name)
            if made != found:
                return f"{name} {_shown(made)} when trained, {_shown(found)} here"
        made_fields, found_fields = dict(self.fields), dict(other.fields)
        for name in {**made_fields, **found_fields}:
            made, found = made_fields.get(name, 0), found_fields.get(name, 0)
            if made != found:
                return f"{name!r} observed as {made} numbers when trained, as {found} here"
        return (
            None if self.fields == other.fields else "the fields observed have another order here"
        )


def _shown(value: Any) -> str:
    return "/".join(value) if isinstance(value, tuple) else str(value)


# --- the network ----------------------------------------------------------------------------------


@short_repr
@dataclass(frozen=True, eq=False)
class Network:
    """A neural network that plays for a participant: its layers, and how observations are
    normalised.

    Parameters
    ----------
    signature : Signature
        the participant that it was made for.
    layers : tuple of Layer
        the first takes D_n numbers, the last gives `head.width`.
    head : Categorical, QValues or Gaussian
        how the last layer's outputs become an action.
    shift, scale : array or None
        [D_n] the observation x is normalised as (x - shift) / scale; None is 0 and 1.
    clip : float
        the normalised observation is cut to [-clip, clip].
    provenance : mapping
        where the network comes from (algorithm, digest of the scenario, versions of the
        libraries): anything that JSON can hold.

    Raises
    ------
    InputError
        If shapes do not fit, or a number is not finite.
    """

    signature: Signature
    layers: tuple[Layer, ...]
    head: Head
    shift: Any = None
    scale: Any = None
    clip: float = np.inf
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        size = self.signature.size
        put(self, "shift", held("shift", np.zeros(size) if self.shift is None else self.shift))
        put(self, "scale", held("scale", np.ones(size) if self.scale is None else self.scale))
        layers = [
            Layer(held(f"layer {i}'s weights", w), held(f"layer {i}'s bias", b), a)
            for i, (w, b, a) in enumerate(self.layers)
        ]
        put(self, "layers", tuple(layers))
        put(self, "provenance", _facts(self.provenance))
        self._check(size)

    def _check(self, size: int) -> None:
        shaped("shift", self.shift, (size,))
        shaped("scale", self.scale, (size,))
        if not (self.scale > 0.0).all():
            raise InputError(f"scale={self.scale.min():g} must be > 0")
        if not self.clip > 0.0:
            raise InputError(f"clip={self.clip!r} must be > 0; infinity cuts nothing")
        if not self.layers:
            raise InputError("layers=() must hold one layer or more")
        for i, (weights, bias, activation) in enumerate(self.layers):
            if activation not in ACTIVATIONS:
                raise InputError(
                    f"layer {i}'s activation={activation!r} must be one of {', '.join(ACTIVATIONS)}"
                )
            if weights.ndim != 2 or weights.shape[0] != size or not weights.shape[1]:
                raise InputError(
                    f"layer {i}'s weights have shape {weights.shape}, must be ({size}, outputs)"
                )
            size = weights.shape[1]
            shaped(f"layer {i}'s bias", bias, (size,))
        if sum(w.size for w, _, _ in self.layers) > MOST_NUMBERS:
            raise InputError(f"layers: more than {MOST_NUMBERS:,} weights, the most that is taken")
        self.head.check(self.signature)
        if size != self.head.width:
            raise InputError(
                f"the last layer gives {size} numbers, but the head needs {self.head.width}"
            )

    def forward(self, observation: Array) -> Array:
        """[B, head.width] the last layer's numbers for observations [B, D_n]."""
        x: Array = (observation - self.shift) / self.scale
        if self.clip < np.inf:
            x = np.clip(x, -self.clip, self.clip)
        for weights, bias, activation in self.layers:
            x = ACTIVATIONS[activation](affine(np.ascontiguousarray(x), weights, bias))
        return x

    def check_spec(self, spec: ParticipantSpec) -> None:
        """InputError unless the network was made for a participant like this one."""
        if different := self.signature.difference(Signature.of(spec)):
            raise InputError(f"checkpoint of another scenario: {different}")
        lowest, highest = self.head.range
        beyond = (lowest < spec.low) | (highest > spec.high)
        if beyond.any():
            i, a = np.argwhere(beyond)[0]
            raise InputError(
                f"checkpoint of another scenario: {spec.features[a]} between {lowest[i, a]:g} and "
                f"{highest[i, a]:g} when trained, between {spec.low[i, a]:g} and "
                f"{spec.high[i, a]:g} here"
            )


def held(name: str, values: Any) -> Array:
    """Finite numbers of 64 bits that nobody can write to; InputError if they are not such."""
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers") from None
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds {array[~np.isfinite(array)].flat[0]}, must be finite")
    array.flags.writeable = False
    return array


def shaped(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """InputError unless the array has this shape."""
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, must be {shape}")


def _facts(provenance: Any) -> Mapping[str, Any]:
    """What can be written as JSON and read back as it was."""
    try:
        text = json.dumps(dict(provenance), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"provenance must be plain facts, as JSON has them: {error}") from None
    facts: dict[str, Any] = json.loads(text)
    return facts


@kernel
def affine(x, weights, bias):  # type: ignore[no-untyped-def]
    """[B, out] bias + x @ weights, each output summed over the inputs in their order.

    Four inputs at a time, so that an output is fetched and put back once for four products; the
    additions keep their order. Outputs lie side by side, which is what the processor's wide
    registers take.
    """
    batch, n_in, n_out = x.shape[0], weights.shape[0], weights.shape[1]
    whole = n_in - n_in % 4
    y = np.empty((batch, n_out))
    for b in range(batch):
        row = y[b]
        for j in range(n_out):
            row[j] = bias[j]
        for i in range(0, whole, 4):
            x0, x1, x2, x3 = x[b, i], x[b, i + 1], x[b, i + 2], x[b, i + 3]
            w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
            for j in range(n_out):
                row[j] = (((row[j] + x0 * w0[j]) + x1 * w1[j]) + x2 * w2[j]) + x3 * w3[j]
        for i in range(whole, n_in):
            x0, w0 = x[b, i], weights[i]
            for j in range(n_out):
                row[j] += x0 * w0[j]
    return y
