"""What is sold: for every listing its unit cost, reference price, quality and opening stock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray, Layout


@short_repr
@dataclass(frozen=True)
class Catalogue:
    """Costs, prices, qualities and stocks of the listings: [L] each, in the layout's order.

    Parameters
    ----------
    cost : array
        money per unit to supply it (for a bidder, the value of a unit).
    reference_price : array
        the price that buyers find normal; for traded assets, the opening mid price.
    quality : array
        enters the utility of demand models that use it.
    stock : array
        opening units; infinity means made to order, never held.
    nest : array or None
        nest of the nested logit, any whole numbers.
    """

    cost: Array
    reference_price: Array
    quality: Array
    stock: Array
    nest: IntArray | None = None

    def __post_init__(self) -> None:
        size = np.asarray(self.cost).size
        for name in ("cost", "reference_price", "quality", "stock"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if values.shape != (size,):
                raise InputError(f"{name} has shape {values.shape}, must be ({size},) like cost")
            if np.isnan(values).any() or (name != "stock" and not np.isfinite(values).all()):
                raise InputError(f"{name}: every listing needs a finite number")
            object.__setattr__(self, name, values)
        for name, low in (("cost", 0.0), ("reference_price", 0.0), ("stock", 0.0)):
            worst = getattr(self, name).min()
            if worst < low or (name == "reference_price" and worst == 0.0):
                raise InputError(
                    f"{name}={worst:g} must be > 0"
                    if name == "reference_price"
                    else f"{name}={worst:g} must be >= 0"
                )
        nest = np.zeros(size, np.int64) if self.nest is None else np.asarray(self.nest, np.int64)
        if nest.shape != (size,):
            raise InputError(f"nest has shape {nest.shape}, must be ({size},) like cost")
        object.__setattr__(self, "nest", np.ascontiguousarray(nest))

    @classmethod
    def drawn(
        cls,
        layout: Layout,
        seed: int,
        *,
        cost: tuple[float, float] = (5.0, 50.0),
        margin: tuple[float, float] = (0.2, 0.5),
        quality: tuple[float, float] = (0.0, 1.0),
        stock: float = 100.0,
    ) -> Catalogue:
        """Costs, margins and qualities uniform in ranges, alike for all sellers of a product."""
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xCA7A,)))
        draws = generator.random((3, layout.K))
        low_high = np.array([cost, margin, quality])
        costs, margins, qualities = low_high[:, :1] + draws * np.diff(low_high, axis=1)
        own = layout.instrument
        return cls(
            np.round(costs, 2)[own],
            np.round(np.round(costs, 2) * (1.0 + margins), 2)[own],
            qualities[own],
            np.full(layout.L, stock),
        )
