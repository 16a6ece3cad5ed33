"""Fees and weights that a platform sets, and what sellers bid for a prominent place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mos_agents.market.checks import echo
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    by_listing,
    check_number,
    check_numbers,
    register,
)

RULES = ("fee", "unit_fee", "weight", "placement")
"""First features of the rows of a platform, and of a seller's bids for a place."""


def set_now(spec: ParticipantSpec, observation: Array) -> Array:
    """[B, L_n, A] the action that leaves fees and weights as they are."""
    columns = [spec.read(observation, name) for name in spec.features if name in RULES]
    action = np.zeros((len(observation), *spec.action_shape))
    action[:, :, : len(columns)] = np.stack(columns, axis=-1)
    return action


def check_rules(policy: Any, spec: ParticipantSpec, *wanted: str) -> None:
    """InputError unless the participant sets one of these."""
    if spec.features[0] not in wanted:
        raise InputError(
            f"{spec.name}: policy {policy.kind} sets the {' or '.join(wanted)} of a venue, but "
            f"this participant's actions are {'/'.join(spec.features)}; give it a policy for those"
        )


def fees_of(policy: Any, spec: ParticipantSpec, batch: int, values: dict[str, float]) -> Array:
    """[B, L_n, A] the action that sets these fees, of those that it may set."""
    action = np.zeros((batch, *spec.action_shape))
    for column, name in enumerate(spec.features):
        if name in values:
            action[:, :, column] = values[name]
    return action


@register("fixed_fee")
@dataclass(frozen=True)
class FixedFee(Deterministic):
    """Sets the same fees at every tick.

    Parameters
    ----------
    fee : float
        share of the money that changes hands, >= 0.
    unit_fee : float
        money per unit, >= 0.
    """

    fee: float = 0.0
    unit_fee: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "fee", 0.0, 1.0)
        check_number(self, "unit_fee", 0.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_rules(self, spec, "fee", "unit_fee")
        for name in ("fee", "unit_fee"):
            value = getattr(self, name)
            highest = (
                float(spec.high[0, spec.features.index(name)]) if name in spec.features else 0.0
            )
            if value > highest:
                raise InputError(
                    f"{spec.name}: fixed_fee.{name}={value:.10g} must be in [0, {highest:.10g}], "
                    f"what the venue allows; set another, or fees.highest_{name}"
                )

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        values = {"fee": self.fee, "unit_fee": self.unit_fee}
        return fees_of(self, spec, len(observation), values)


@register("fixed_weights")
@dataclass(frozen=True)
class FixedWeights(Deterministic):
    """Gives every offer of a venue the same weight at every tick.

    Parameters
    ----------
    weights : float or tuple of float
        weights in [0, 1], one number or one per offer, by good and then by seller.
    """

    weights: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        check_numbers(self, "weights", 0.0)
        if np.max(self.weights) > 1.0:
            raise InputError(f"fixed_weights.weights={echo(self.weights)} must be in [0, 1]")
        if np.max(self.weights) == 0.0:
            raise InputError("fixed_weights.weights: all are 0, which shows nobody; raise one")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_rules(self, spec, "weight")
        by_listing(self, spec, "weights")

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        action = np.zeros((len(observation), *spec.action_shape))
        action[:, :, 0] = by_listing(self, spec, "weights")
        return action


@register("fixed_placement")
@dataclass(frozen=True)
class FixedPlacement(Deterministic):
    """Bids the same for a prominent place at every tick, where places are sponsored.

    Parameters
    ----------
    bid : float
        money for each unit that the offer sells while it is shown, >= 0.
    """

    bid: float = 0.0

    def __post_init__(self) -> None:
        check_number(self, "bid", 0.0)

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_rules(self, spec, "placement")
        highest = float(spec.high[:, 0].min())
        if self.bid > highest:
            raise InputError(
                f"{spec.name}: fixed_placement.bid={self.bid:.10g} must be in [0, {highest:.10g}], "
                "what the venue allows; set another, or prominence.highest_bid"
            )

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        return fees_of(self, spec, len(observation), {"placement": self.bid})
