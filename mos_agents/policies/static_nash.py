"""Sellers at the static Nash equilibrium of a logit market with fees, and the best fee there.

Both know the demand and all costs: they are benchmarks that act, not learners.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.equilibrium.chain import best_commission, best_unit_fee, fee_equilibrium
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError
from mos_agents.policies.base import (
    Deterministic,
    check_fits,
    check_number,
    check_numbers,
    quoted,
    register,
)
from mos_agents.policies.platform import check_rules, fees_of


@dataclass(frozen=True)
class LogitKnowledge(Deterministic):
    """What these policies know: a logit market of one good, in money.

    Parameters
    ----------
    utility : float or tuple of float
        what shoppers gain from a unit before its price, a, in money, one number or one per seller.
    cost : float or tuple of float
        unit costs, in money, one number or one per seller, >= 0.
    scale : float
        spread of tastes, mu, in money, > 0.
    outside : float
        what shoppers gain from buying nothing, a0, in money.
    sellers : int
        how many sellers there are, >= 1.
    """

    kind: ClassVar[str]

    utility: float | tuple[float, ...] = 2.0
    cost: float | tuple[float, ...] = 1.0
    scale: float = 0.25
    outside: float = 0.0
    sellers: int = 2

    def __post_init__(self) -> None:
        check_number(self, "sellers", 1.0)
        check_numbers(self, "utility")
        check_numbers(self, "cost", 0.0)
        check_number(self, "scale", 0.0)
        check_number(self, "outside")
        if not self.scale > 0.0:
            raise InputError(f"{self.kind}.scale={self.scale!r} must be > 0, in money")
        for name in ("utility", "cost"):
            value = getattr(self, name)
            if np.ndim(value) and len(value) != self.sellers:
                raise InputError(
                    f"{self.kind}.{name} has {len(value)} numbers for sellers={self.sellers}; give "
                    "one, or one per seller"
                )

    @cached_property
    def market(self) -> LogitMarket:
        """The market without fees."""
        n = self.sellers
        return LogitMarket.from_scale(
            np.full(n, self.utility) if not np.ndim(self.utility) else np.array(self.utility),
            np.full(n, self.cost) if not np.ndim(self.cost) else np.array(self.cost),
            tuple(range(n)),
            self.scale,
            outside_utility=self.outside,
        )


@register("static_nash")
@dataclass(frozen=True)
class StaticNash(LogitKnowledge):
    """Asks the price of the static Nash equilibrium at the fees that are in force.

    Fees that may change are those that it observes; they apply to sellers.

    Parameters
    ----------
    utility : float or tuple of float
        what shoppers gain from a unit before its price, a, in money, one number or one per seller.
    cost : float or tuple of float
        unit costs, in money, one number or one per seller, >= 0.
    scale : float
        spread of tastes, mu, in money, > 0.
    outside : float
        what shoppers gain from buying nothing, a0, in money.
    sellers : int
        how many sellers there are, >= 1.
    own : int
        which of the sellers it is, >= 0 and less than `sellers`; it matters where their numbers
        differ.
    fee : float
        share of the money that changes hands where it is fixed, in [0, 1).
    unit_fee : float
        money per unit where it is fixed, >= 0.
    """

    own: int = 0
    fee: float = 0.0
    unit_fee: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self, "own", 0.0, self.sellers - 1.0)
        check_number(self, "fee", 0.0, 1.0)
        check_number(self, "unit_fee", 0.0)
        if self.fee == 1.0:
            raise InputError("static_nash.fee=1.0 must be in [0, 1): sellers would keep nothing")

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_fits(self, spec, "price")
        if "fee" in spec.where and (self.fee or self.unit_fee):
            raise InputError(
                f"{spec.name}: static_nash.fee, unit_fee change nothing here: the fees may change, "
                "and are observed; leave them out"
            )
        self.market.bertrand_nash()  # refuses numbers without an equilibrium

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        batch = len(observation)
        fees = np.broadcast_to(np.array([self.fee, self.unit_fee]), (batch, 2))
        if "fee" in spec.where:
            fees = np.column_stack(
                [spec.read(observation, name)[:, 0] for name in ("fee", "unit_fee")]
            )
        levels, at = np.unique(fees, axis=0, return_inverse=True)
        found = np.array([_price(self, float(f), float(t)) for f, t in levels])
        price = found[at.reshape(-1)][:, None]
        return quoted(spec, np.broadcast_to(price, (batch, spec.action_shape[0])))


@lru_cache(maxsize=4096)
def _price(policy: StaticNash, fee: float, unit_fee: float) -> float:
    return float(fee_equilibrium(policy.market, fee, unit_fee).prices[policy.own])


@register("best_fee")
@dataclass(frozen=True)
class BestFee(LogitKnowledge):
    """Sets the fee that earns a platform most if sellers price at the static Nash equilibrium.

    It sets a share of the money, or money per unit where no share may be set; a bound of the venue
    that is below the best fee is set instead.

    Parameters
    ----------
    utility : float or tuple of float
        what shoppers gain from a unit before its price, a, in money, one number or one per seller.
    cost : float or tuple of float
        unit costs, in money, one number or one per seller, >= 0.
    scale : float
        spread of tastes, mu, in money, > 0.
    outside : float
        what shoppers gain from buying nothing, a0, in money.
    sellers : int
        how many sellers there are, >= 1.
    """

    def start(self, spec: ParticipantSpec, batch: int) -> Any:
        check_rules(self, spec, "fee", "unit_fee")
        _best(self, spec.features[0])

    def decide(self, spec: ParticipantSpec, observation: Array) -> Array:
        name = spec.features[0]
        best = min(_best(self, name), float(spec.high[0, 0]))
        return fees_of(self, spec, len(observation), {name: best})


@lru_cache(maxsize=256)
def _best(policy: BestFee, name: str) -> float:
    return best_commission(policy.market)[0] if name == "fee" else best_unit_fee(policy.market)[0]
