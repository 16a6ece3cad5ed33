"""How participants order goods, and how one participant plays in several venues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.checks import echo
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws, PrefixedDraws
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    Policy,
    by_listing,
    check_fits,
    check_numbers,
    from_config,
    register,
    within_limits,
)


@dataclass(frozen=True)
class Ordering(Deterministic):
    """Base class of policies that order goods: a quantity of each, and the limit price.

    Parameters
    ----------
    limit : float, tuple of float or None
        highest price that is paid, in money, one number or one per good, >= 0; None pays any
        price that orders may name.
    """

    kind: ClassVar[str]

    limit: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            check_numbers(self, "limit", 0.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "quantity", "inventory")
        if self.limit is not None:
            within_limits(self, spec, "limit", 1)

    def quantity(self, spec: ParticipantSpec, observation: Array) -> Array:
        """[B, L_n] units wanted."""
        raise NotImplementedError

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        wanted = self.quantity(spec, observation)
        limit = spec.high[:, 1] if self.limit is None else by_listing(self, spec, "limit")
        action: Array = np.stack(np.broadcast_arrays(wanted, limit), axis=-1)
        return np.clip(action, np.maximum(spec.low[:, :2], 0.0), spec.high[:, :2])


@register("fixed_order")
@dataclass(frozen=True)
class FixedOrder(Ordering):
    """Orders the same quantity at every tick.

    Parameters
    ----------
    units : float or tuple of float
        units ordered, one number or one per good, >= 0.
    limit : float, tuple of float or None
        highest price that is paid, in money, one number or one per good, >= 0; None pays any
        price that orders may name.
    """

    units: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "units", 0.0)

    def quantity(self, spec: ParticipantSpec, observation: Array) -> Array:
        units = by_listing(self, spec, "units")
        return np.broadcast_to(units, (len(observation), units.size))


@register("base_stock")
@dataclass(frozen=True)
class BaseStock(Ordering):
    """Orders up to a level at every tick: what is missing of it, units in transit counted as held.

    It is optimal where demand is lost or delivered later and an order costs nothing by itself
    (Arrow, Harris and Marschak 1951).

    Parameters
    ----------
    level : float or tuple of float
        units up to which it orders, one number or one per good, >= 0.
    limit : float, tuple of float or None
        highest price that is paid, in money, one number or one per good, >= 0; None pays any
        price that orders may name.
    """

    level: float | tuple[float, ...] = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "level", 0.0)

    def quantity(self, spec: ParticipantSpec, observation: Array) -> Array:
        return by_listing(self, spec, "level") - spec.read(observation, "inventory")


@register("reorder_point")
@dataclass(frozen=True)
class ReorderPoint(Ordering):
    """Orders up to a level once the stock has fallen to the reorder point, the (s, S) rule.

    It is optimal where each order has a cost of its own (Scarf 1960).

    Parameters
    ----------
    point : float or tuple of float
        stock at or below which it orders, s, one number or one per good, >= 0.
    level : float or tuple of float
        units up to which it orders, S, one number or one per good, >= 0 and not below the point.
    limit : float, tuple of float or None
        highest price that is paid, in money, one number or one per good, >= 0; None pays any
        price that orders may name.
    """

    point: float | tuple[float, ...] = 0.0
    level: float | tuple[float, ...] = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "point", 0.0)
        check_numbers(self, "level", 0.0)
        if np.min(np.asarray(self.level) - np.asarray(self.point)) < 0.0:
            raise InputError(
                f"reorder_point.level={self.level!r} must not be below point={self.point!r}: "
                "it orders up to the level"
            )

    def quantity(self, spec: ParticipantSpec, observation: Array) -> Array:
        held = spec.read(observation, "inventory")
        missing: Array = by_listing(self, spec, "level") - held
        return np.where(held <= by_listing(self, spec, "point"), missing, 0.0)


def _made(part: str, config: Any) -> Policy:
    """The policy of a part; errors name it."""
    try:
        return from_config(config)
    except InputError as error:
        raise InputError(f"policies.{part}: {error}") from None
    except (TypeError, OverflowError, AttributeError):
        raise InputError(
            f"policies.{part}: policy={echo(config)} has a parameter of the wrong type"
        ) from None


@register("by_venue")
@dataclass(frozen=True)
class ByVenue(Policy):
    """Plays a policy of its own in each venue, for a participant with slots in several.

    Each of them sees what it needs in its venue: the own stock and cash, and the quotes there. All
    are paid the whole reward.

    Parameters
    ----------
    policies : mapping of str to Policy
        a policy for each part, by its name: that of a venue for the quotes there, and
        "venue.orders" for the orders, as in {retail: ..., wholesale.orders: ...}.
    """

    kind: ClassVar[str]

    policies: Mapping[str, Policy]

    def __post_init__(self) -> None:
        if not isinstance(self.policies, Mapping) or not self.policies:
            raise InputError(
                f"by_venue.policies={echo(self.policies)} must be policies by the name of a "
                "venue, as in {retail: {kind: cost_plus}, wholesale.orders: {kind: base_stock}}"
            )
        made = {str(name): _made(str(name), one) for name, one in self.policies.items()}
        object.__setattr__(self, "policies", made)

    @property
    def learns(self) -> bool:
        return any(policy.learns for policy in self.policies.values())

    @property
    def atomic(self) -> bool:
        return all(policy.atomic for policy in self.policies.values())

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        names = [part.name for part in spec.parts]
        if not names:
            raise InputError(
                f"{spec.name}: policy by_venue is for participants of several venues, or with "
                "quotes and orders; give this one the policy itself"
            )
        if sorted(names) != sorted(self.policies):
            raise InputError(
                f"{spec.name}: by_venue.policies has {', '.join(self.policies)}, and must have "
                f"one for each of {', '.join(names)}"
            )
        return tuple(self.policies[part.name].start(part.spec, batch) for part in spec.parts)

    def learn(
        self, spec: ParticipantSpec, observation: Array, reward: Array, memory: Any, draws: Draws
    ) -> Any:
        return tuple(
            self.policies[part.name].learn(
                part.spec,
                np.ascontiguousarray(observation[:, part.columns]),
                reward,
                own,
                PrefixedDraws(draws, f"{part.name}/"),
            )
            for part, own in zip(spec.parts, memory, strict=True)
        )

    def act(
        self, spec: ParticipantSpec, observation: Array, memory: Any, draws: Draws
    ) -> tuple[Array, Any]:
        action, after = np.zeros((len(observation), *spec.action_shape)), []
        for part, own in zip(spec.parts, memory, strict=True):
            seen = np.ascontiguousarray(observation[:, part.columns])
            policy, random = self.policies[part.name], PrefixedDraws(draws, f"{part.name}/")
            found, own = policy.act(part.spec, seen, own, random)
            action[:, part.slots, : len(part.spec.features)] = found
            after.append(own)
        return action, tuple(after)

    def propensity(
        self, spec: ParticipantSpec, observation: Array, action: Array, memory: Any
    ) -> Array:
        chance = np.ones(len(observation))
        for part, own in zip(spec.parts, memory, strict=True):
            seen, policy = observation[:, part.columns], self.policies[part.name]
            chosen = action[:, part.slots, : len(part.spec.features)]
            chance = chance * policy.propensity(part.spec, seen, chosen, own)
        return chance

    def portable(self) -> Policy:
        return ByVenue({name: policy.portable() for name, policy in self.policies.items()})
