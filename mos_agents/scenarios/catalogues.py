"""Catalogues that a scenario file states itself: drawn at random, or the same for all."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mos_agents.market.catalogue import Catalogue
from mos_agents.market.types import Layout
from mos_agents.scenarios.parts import Number, Whole

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DrawnCatalogue(Strict):
    """Costs, margins and qualities drawn at random per product, the same for all its sellers.

    Parameters
    ----------
    seed : int
        seed of this draw alone, >= 0.
    cost : tuple of 2 float
        least and greatest unit cost, in money.
    margin : tuple of 2 float
        least and greatest margin of the reference price over cost, as a share of cost.
    quality : tuple of 2 float
        least and greatest quality.
    stock : float
        opening units of each listing; .inf is made to order, >= 0.
    """

    kind: Literal["drawn"] = "drawn"
    seed: Annotated[Whole, Field(ge=0)] = 0
    cost: tuple[Number, Number] = (5.0, 50.0)
    margin: tuple[Number, Number] = (0.2, 0.5)
    quality: tuple[Number, Number] = (0.0, 1.0)
    stock: Annotated[Number, Field(ge=0)] = 100.0

    @model_validator(mode="after")
    def _ranges(self) -> DrawnCatalogue:
        for name, least in (("cost", 0.0), ("margin", -0.99), ("quality", -1e6)):
            low, high = getattr(self, name)
            if not least <= low <= high <= 1e6:
                raise ValueError(
                    f".{name}=[{low}, {high}] must be [least, most] with {least:g} <= least <= "
                    "most <= 1e6"
                )
        return self

    def catalogue(self, layout: Layout) -> Catalogue:
        return Catalogue.drawn(
            layout,
            self.seed,
            cost=self.cost,
            margin=self.margin,
            quality=self.quality,
            stock=self.stock,
        )


class UniformCatalogue(Strict):
    """Every listing alike: assets that open at the same mid price, symmetric firms.

    Parameters
    ----------
    cost : float
        unit cost, in money (a bidder's value), >= 0.
    reference_price : float
        what buyers regard as normal, or the opening mid price, in money, > 0.
    quality : float
        quality, for demand models that use it.
    stock : float
        opening units of each listing; .inf is made to order, >= 0.
    """

    kind: Literal["same"] = "same"
    cost: Annotated[Number, Field(ge=0, le=1e9)] = 0.0
    reference_price: Annotated[Number, Field(gt=0, le=1e9)] = 100.0
    quality: Annotated[Number, Field(ge=-1e9, le=1e9)] = 0.0
    stock: Annotated[Number, Field(ge=0)] = 0.0

    def catalogue(self, layout: Layout) -> Catalogue:
        values = (self.cost, self.reference_price, self.quality, self.stock)
        return Catalogue(*(np.full(layout.L, value) for value in values))
