"""A trained network as a policy: it plays what it has learnt, or explores as in training."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr

from mos_agents.learners.base import best_of, drawn, explored, softmax
from mos_agents.learners.network import Categorical, Gaussian, Network, QValues
from mos_agents.learners.network_files import from_bytes, read_bytes, to_bytes
from mos_agents.learners.saving import from_text, to_text
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import Policy, check_number, register, same

MOST_SQUASHED = 1.0 - 1e-12
"""Where tanh counts as its limit in a density: only rounding gets there."""


@register("network")
@dataclass(frozen=True)
class TrainedNetwork(Policy):
    """Plays a network that `learners.save_network` wrote.

    A network is refused for any participant that does not see and decide what it was trained for.

    Parameters
    ----------
    path : str or None
        the file that holds the network.
    packed : str or None
        its bytes as text, in place of a path: so a network travels to a machine that does not
        share the disk; in Python, `TrainedNetwork.of(network)` writes it. A policy that is
        pickled always goes so.
    explore : bool
        False plays the likeliest level, the best value or the mean; True draws as in training.
    epsilon : float
        chance of any level at a tick where a network of values explores, in [0, 1].
    """

    kind: ClassVar[str]

    path: str | None = None
    explore: bool = False
    epsilon: float = 0.05
    packed: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.explore, bool):
            raise InputError(f"{self.kind}.explore={self.explore!r} must be true or false")
        check_number(self, "epsilon", 0.0, 1.0)
        for name in ("path", "packed"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InputError(f"{self.kind}.{name}={value!r:.60} must be text")
        if (self.path is None) == (self.packed is None):
            raise InputError(
                f"{self.kind}.path={self.path!r} must be the path of a file of "
                "learners.save_network (or give its bytes as packed, not both)"
            )

    @classmethod
    def of(cls, network: Network, explore: bool = False, epsilon: float = 0.05) -> TrainedNetwork:
        """The policy of a network in hand."""
        return cls(None, explore, epsilon, to_text(to_bytes(network)))

    @cached_property
    def network(self) -> Network:
        """The network, read when it is first asked for. Raises InputError in one line."""
        if self.packed is not None:
            return from_bytes(from_text(self.packed), f"{self.kind}.packed")
        return from_bytes(read_bytes(str(self.path)), str(self.path))

    def portable(self) -> TrainedNetwork:
        """The same policy with its weights in hand. Raises InputError where the file is not one."""
        if self.packed is not None:
            return self
        data = read_bytes(str(self.path))
        from_bytes(data, str(self.path))
        return TrainedNetwork(None, self.explore, self.epsilon, to_text(data))

    def __reduce__(self) -> tuple[Any, ...]:
        whole = self.portable()
        return TrainedNetwork, (None, whole.explore, whole.epsilon, whole.packed)

    @property
    def atomic(self) -> bool:
        """Whether its chances are probabilities of single actions, not densities."""
        return not self.explore or isinstance(self.network.head, Categorical)

    # --- what the market's loop asks for ----------------------------------------------------------

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        try:
            network = self.network
        except InputError as error:
            raise InputError(f"{spec.name}: {error}") from None
        try:
            network.check_spec(spec)
        except InputError as error:
            raise InputError(f"{spec.name}: {self._shown}: {error}") from None

    @property
    def _shown(self) -> str:
        return self.path or f"the network of {self.network.signature.participant}"

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        head, outputs = self.network.head, self.network.forward(observation)
        if isinstance(head, Categorical):
            if self.explore:
                chances = self.chances(head, outputs)
                level = drawn(chances, draws.uniforms("choose", chances.shape[1]))
            else:
                level = head.values(outputs).argmax(axis=-1)
            return head.grid[np.arange(len(head.grid)), level], memory
        mean, std = normal(head, outputs)
        if self.explore:
            mean = mean + std * draws.normals("draw", mean.shape[1])
        return quoted(head, mean), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        head, outputs = self.network.head, self.network.forward(observation)
        if isinstance(head, Categorical):
            return chance_of_points(head, self.chances(head, outputs), action)
        mean, std = normal(head, outputs)
        if self.explore:
            return density(head, mean, std, action)
        own: Array = same(action, quoted(head, mean)).astype(np.float64)
        return own

    def chances(self, head: Categorical, outputs: Array) -> Array:
        """[B, L_n, m] the chance of each level. Without exploring the first of the best has it all,
        as `argmax` takes it in every library."""
        values = head.values(outputs)
        if self.explore and not isinstance(head, QValues):
            return softmax(values)
        best = values.argmax(axis=-1)[..., None] == np.arange(values.shape[-1])
        return explored(best_of(best.astype(np.float64)), self.epsilon if self.explore else 0.0)


def normal(head: Gaussian, outputs: Array) -> tuple[Array, Array]:
    """Mean and standard deviation [B, L_n * A] before the squashing."""
    size = head.low.size
    log_std = outputs[:, size:] if head.log_std is None else head.log_std
    return outputs[:, :size], np.exp(np.clip(log_std, *head.log_std_range))


def quoted(head: Gaussian, draw: Array) -> Array:
    """[B, L_n, A] the action that a draw [B, L_n * A] stands for."""
    return head.placed(np.tanh(draw) if head.squash == "tanh" else draw)


def chance_of_points(head: Categorical, chances: Array, action: Array) -> Array:
    """[B] the chance of an action [B, L_n, A]; points that are the same count together."""
    own = head.grid[None]  # [1, L_n, m, A]
    close = np.abs(action[:, :, None] - own) <= 1e-9 * np.maximum(1.0, np.abs(own))
    near: Any = close.all(axis=-1)
    found: Array = np.where(near, chances, 0.0).cumsum(axis=-1)[..., -1].prod(axis=-1)
    return found


def density(head: Gaussian, mean: Array, std: Array, action: Array) -> Array:
    """[B] the density of an action, in units of the action.

    Where draws are clipped, a bound has a probability, and stands in the product with that. A
    number without room between its bounds is fixed and has no part in it.
    """
    batch = len(action)
    half = (0.5 * (head.high - head.low)).ravel()
    free = half > 0.0
    width = np.where(free, half, 1.0)
    unit = (action.reshape(batch, -1) - head.low.ravel()) / width - 1.0
    possible = np.where(free, np.abs(unit) <= 1.0 + 1e-9, np.abs(unit + 1.0) <= 1e-9)
    if head.squash == "tanh":
        unit = np.clip(unit, -MOST_SQUASHED, MOST_SQUASHED)
        z = (np.arctanh(unit) - mean) / std
        each = _bell(z) / (std * width * (1.0 - unit * unit))
    else:
        each = _bell((unit - mean) / std) / (std * width)
        each = np.where(unit <= -1.0 + 1e-12, ndtr((-1.0 - mean) / std), each)
        each = np.where(unit >= 1.0 - 1e-12, ndtr((mean - 1.0) / std), each)
    found: Array = np.where(possible, np.where(free, each, 1.0), 0.0).prod(axis=1)
    return found


def _bell(z: Array) -> Array:
    """The density of the standard normal distribution."""
    found: Array = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return found
