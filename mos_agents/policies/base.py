"""How a participant decides: a policy turns a participant's observation into its next quotes.

A policy is a frozen set of parameters. What it remembers comes in and goes out; its random numbers
come from streams that carry its participant's name. It never meets the market's state.
"""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import numpy as np

from mos_agents import registry
from mos_agents.market.checks import check_real, check_size, echo
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, IntArray


class Policy(ABC):
    """How one participant decides: the base class of every policy.

    A policy is a frozen dataclass of parameters. Write `act`; the other methods have defaults.
    Policies learn where they write `learn`, and can be evaluated off-policy where they write
    `propensity`.
    """

    kind: ClassVar[str] = ""
    """The name by which scenarios ask for it; "" for a class that is not registered."""

    @property
    def atomic(self) -> bool:
        """Whether `propensity` is a probability (True, the default) or a density (False)."""
        return True

    @property
    def learns(self) -> bool:
        """Whether rewards change it: by default, whether its class writes `learn`."""
        return type(self).learn is not Policy.learn

    @property
    def inner(self) -> Policy | None:
        """The policy that this one wraps, such as the one that it explores with; default None."""
        return None

    def inner_memory(self, memory: Any) -> Any:
        """What the wrapped policy remembers, out of this one's memory: all of it by default."""
        return memory

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        """Check that the policy fits its participant, and make its memory.

        Parameters
        ----------
        spec : ParticipantSpec
            What the participant knows before it plays.
        batch : int
            The number of markets, B.

        Returns
        -------
        The memory before the first tick: None (the default), or nested tuples of arrays.

        Raises
        ------
        InputError
            If the policy does not fit the participant.
        """
        return None

    @abstractmethod
    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        """Choose the participant's next action.

        Parameters
        ----------
        spec : ParticipantSpec
        observation : array, [B, D_n]
            What the participant sees now; `spec.read(observation, name)` reads a field.
        memory
            What `start`, `act` or `learn` returned last.
        draws : Draws
            The participant's random numbers of this tick.

        Returns
        -------
        tuple
            The action [B, L_n, A] and the memory after it.
        """

    def learn(
        self,
        spec: ParticipantSpec,
        observation: Array,
        reward: Array,
        memory: Any,
        draws: Draws,
    ) -> Any:
        """Update the memory from the last tick's own reward [B]; called before `act`.

        A learner may write to the arrays of its own memory. The default returns it unchanged.
        """
        return memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        """[B] probability or density of an action [B, L_n, A], given an observation and a memory.

        The default raises InputError: the policy does not state it.
        """
        name = self.kind or type(self).__name__
        raise InputError(f"policy {name} states no propensity; write the method `propensity`")

    def portable(self) -> Policy:
        """The same policy without files of this machine; the default returns itself."""
        return self


P = TypeVar("P", bound=type)
POLICIES: dict[str, type] = registry.table("policy")
"""Every policy that is registered now, by the name that a scenario gives it."""


def register(kind: str) -> Callable[[P], P]:
    """Enter a policy of the package's own; others join by `mos_agents.register`.

    Parameters
    ----------
    kind : str
        The name by which scenarios ask for it.

    Returns
    -------
    callable
        A decorator of the class.
    """

    def enter(policy: P) -> P:
        registry.enter("policy", kind, registry.named(policy, kind))
        return policy

    return enter


def make(kind: str, **parameters: Any) -> Policy:
    """Make a policy or learner by its name.

    Parameters
    ----------
    kind : str
        The name, such as "cost_plus". `mos_agents.explain()` lists all.
    **parameters
        Its parameters; the others keep their defaults.

    Returns
    -------
    Policy
        The policy.

    Raises
    ------
    InputError
        In one line, for an unknown name or parameter.
    """
    if isinstance(kind, str) and kind not in POLICIES:  # who learns is registered further on
        importlib.import_module("mos_agents.learners")
    cls = registry.find("policy", kind)
    if cls is None:
        raise InputError(
            f"kind={echo(kind)} is not a policy{registry.unknown(kind, 'policy')}; "
            f"policies are {', '.join(sorted(POLICIES))}"
        )
    known, required = _parameters(cls)
    for name in parameters:
        if name not in known:
            raise InputError(
                f"{kind}.{str(name)[:60]}={echo(parameters[name])} is not a parameter"
                f"{registry.did_you_mean(name, known)}; "
                f"parameters are {', '.join(known) or 'none'}"
            )
    for name in required:
        if name not in parameters:
            raise InputError(
                f"{kind}.{name} is missing: give it, as in {{kind: {kind}, {name}: 1}}"
            )
    for name, value in parameters.items():
        check_size(f"{kind}.{name}", value)
    policy: Policy = cls(**parameters)
    return policy


@lru_cache(maxsize=256)
def _parameters(cls: type) -> tuple[list[str], list[str]]:
    """Names of a policy's parameters, and of those that have no default."""
    required = [
        one.name
        for one in (fields(cls) if is_dataclass(cls) else ())
        if one.init and one.default is MISSING and one.default_factory is MISSING
    ]
    return list(inspect.signature(cls).parameters), required


def from_config(config: Any) -> Policy:
    """Make a policy from its configuration; a policy itself passes through.

    Parameters
    ----------
    config : mapping or Policy
        {"kind": ..., parameters}, as a scenario file has it.

    Returns
    -------
    Policy
        The policy.

    Raises
    ------
    InputError
        If it names no policy, a parameter is wrong, or its class does not derive from `Policy`.
    """
    if isinstance(config, Mapping):
        if not isinstance(config.get("kind"), str):
            raise InputError(f'policy={echo(dict(config))} must name its kind: {{"kind": "hold"}}')
        return make(**config)
    if not isinstance(config, Policy):
        if hasattr(config, "act"):
            raise InputError(
                f"policy={echo(config)}: its class {type(config).__name__} must derive from "
                "mos_agents.policies.Policy"
            )
        raise InputError(
            f'policy={echo(config)} must be a policy or {{"kind": ..., parameters}}; '
            f"kinds are {', '.join(sorted(POLICIES))}"
        )
    return config


def to_config(policy: Any) -> dict[str, Any]:
    """Write a policy as its configuration, from which `from_config` makes the same policy.

    Parameters
    ----------
    policy : Policy
        The policy.

    Returns
    -------
    dict
        {"kind": ..., parameters}.
    """
    config: dict[str, Any] = {"kind": policy.kind}
    for one in fields(policy):
        if one.init:
            config[one.name] = _written(getattr(policy, one.name))
    return config


def _written(value: Any) -> Any:
    """A parameter as a configuration has it: policies in it are written out."""
    if isinstance(value, Mapping):
        return {name: _written(one) for name, one in value.items()}
    return to_config(value) if isinstance(value, Policy) else value


# --- checks and readings that policies share ------------------------------------------------------


def check_number(policy: Any, name: str, low: float = -np.inf, high: float = np.inf) -> None:
    """InputError unless the parameter is a finite number in [low, high]."""
    value = getattr(policy, name)
    check_size(f"{policy.kind}.{name}", value)
    check_real(f"{policy.kind}.{name}", value, low, high)


def check_numbers(policy: Any, name: str, low: float = -np.inf) -> None:
    """InputError unless the parameter is a finite number or a tuple of them, all >= low.

    Lists become tuples, so that the policy stays a value.
    """
    value = getattr(policy, name)
    check_size(f"{policy.kind}.{name}", value)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim > 1 or not array.size or not np.isfinite(array).all() or array.min() < low:
        floor = f" >= {low:g}" if low > -np.inf else ""
        text = f"{policy.kind}.{name}={echo(value)}"
        raise InputError(f"{text} must be one finite number{floor} or one per listing")
    if array.ndim:
        object.__setattr__(policy, name, tuple(float(v) for v in array))


def check_fits(policy: Any, spec: ParticipantSpec, first: str, *needed: str) -> None:
    """InputError unless the participant's actions begin with `first` and it sees the fields
    needed."""
    if spec.features[0] != first:
        raise InputError(
            f"{spec.name}: policy {policy.kind} decides the {first}, but this participant's "
            f"actions are {'/'.join(spec.features)}; give it a policy for those"
        )
    for name in needed:
        if name not in spec.where:
            raise InputError(
                f"{spec.name}: policy {policy.kind} needs {name!r}, which is not observed here; "
                f"seen are {', '.join(spec.where)}"
            )


def by_listing(policy: Any, spec: ParticipantSpec, name: str) -> Array:
    """[L_n] a parameter that is one number or one per listing."""
    array = np.asarray(getattr(policy, name), dtype=np.float64)
    if array.ndim and array.size != spec.action_shape[0]:
        raise InputError(
            f"{policy.kind}.{name} has {array.size} numbers, but {spec.name} has "
            f"{spec.action_shape[0]} listings; give one, or one per listing"
        )
    return np.broadcast_to(array, spec.action_shape[:1])


def within_limits(policy: Any, spec: ParticipantSpec, name: str, feature: int) -> None:
    """InputError if a parameter that is an action's number, in money, could never be quoted."""
    values = by_listing(policy, spec, name)
    low, high = spec.low[:, feature], spec.high[:, feature]
    wrong = (values < low) | (values > high)
    if wrong.any():
        i = int(np.argmax(wrong))
        product = spec.layout.slot_names[spec.listings.start + i]
        raise InputError(
            f"{spec.name}: {policy.kind}.{name}={values[i]:.10g} must be in [{low[i]:.10g}, "
            f"{high[i]:.10g}], the {spec.features[feature]}s allowed for {product}; set another, "
            "or other limits of quotes"
        )


def quoted(spec: ParticipantSpec, *columns: Array) -> Array:
    """[B, L_n, A] an action from its columns [B, L_n], within limits; full size if it names one."""
    if "size" in spec.features:
        columns = (*columns, spec.high[:, -1])
    action: Array = np.stack(np.broadcast_arrays(*columns), axis=-1)
    return np.clip(action, spec.low, spec.high)


def cheapest_rival(spec: ParticipantSpec, observation: Array) -> Array:
    """[B, L_n] lowest public ask among open rivals of each own listing; infinity if none."""
    table = spec.rivals
    name = "rival_ask_gap" if "rival_ask_gap" in spec.where else "rival_ask"
    if not table.shape[1] or name not in spec.where:
        return np.full((len(observation), spec.action_shape[0]), np.inf)
    asks = spec.read(observation, name)
    is_open = spec.read(observation, "rival_open") > 0.0
    shown = np.full((asks.shape[0], asks.shape[1] + 1), np.inf)  # the last column is nobody's: -1
    shown[:, :-1] = np.where(is_open, asks, np.inf)
    cheapest: Array = shown[:, table].min(axis=-1)
    return cheapest + spec.read(observation, "reference") if name == "rival_ask_gap" else cheapest


def same(action: Array, own: Array) -> Any:
    """[B] booleans: whether two actions are the same up to rounding in the last digits."""
    close = np.abs(action - own) <= 1e-9 * np.maximum(1.0, np.abs(own))
    return close.reshape(len(action), -1).all(axis=1)


def uniform_choice(uniforms: Array, n: int) -> IntArray:
    """Whole numbers 0..n-1, equally likely, from uniforms in [0, 1)."""
    return np.minimum((uniforms * n).astype(np.int64), n - 1)


@dataclass(frozen=True)
class Deterministic(Policy):
    """A policy whose action follows from the observation alone: subclasses write `decide`."""

    kind: ClassVar[str]

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        """The action [B, L_n, A]."""
        raise NotImplementedError

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        return self.decide(spec, observation), memory

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        own: Array = same(action, self.decide(spec, observation)).astype(np.float64)
        return own
