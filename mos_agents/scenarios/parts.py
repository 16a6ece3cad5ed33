"""How a stage is written in a scenario file: `kind` and the parameters of its class.

The models are made from the stages' own dataclasses, so that a parameter, its type and its default
are stated once, in the class. A class of your own joins with `mos_agents.register`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, create_model, model_validator
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError, core_schema

from mos_agents import registry
from mos_agents.market import (
    arrivals,
    browsing,
    dealing,
    demand,
    execution,
    observations,
    positions,
    prominence,
    quotes,
    reference,
    returning,
    rewards,
    schedules,
    shopper_types,
    stages,
)
from mos_agents.market.checks import MOST_WHOLE
from mos_agents.market.types import Array, InputError
from mos_agents.market.venues import fees, orders
from mos_agents.scenarios.tables import SeriesFile


def _number(value: Any) -> Any:
    # YAML reads `yes` as a boolean and '1e3' as a text; neither is meant as a number.
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("must be a number, not .nan")
    if isinstance(value, int) and not -MOST_WHOLE < value < MOST_WHOLE:
        raise ValueError("is beyond the numbers that are computed with: at most 18 digits")
    return value


LARGEST, SMALLEST = 1e15, 1e-15


def _measured(value: Any) -> Any:
    # Products and squares of such numbers stay finite; infinity is for what has no limit.
    if isinstance(value, float | int) and not isinstance(value, bool):
        size = abs(value)
        if LARGEST < size < math.inf or 0.0 < size < SMALLEST:
            raise ValueError(f"must be 0, or {SMALLEST:g} to {LARGEST:g} in size")
    return _number(value)


Number = Annotated[float, BeforeValidator(_measured)]
Whole = Annotated[int, BeforeValidator(_number)]

_OWN: dict[str, dict[str, type]] = {
    "quotes": {
        "posted_price": quotes.PostedPrice,
        "two_sided": quotes.TwoSided,
        "sealed_bid": quotes.SealedBid,
    },
    "schedule": {
        "simultaneous": schedules.Simultaneous,
        "alternating": schedules.Alternating,
        "periodic": schedules.Periodic,
        "random": schedules.RandomMoves,
    },
    "arrivals": {
        "fixed_mass": arrivals.FixedMass,
        "poisson": arrivals.Poisson,
        "hawkes": arrivals.Hawkes,
        "browsing": browsing.Browsing,
        "returning": returning.ReturningShoppers,
        "none": orders.NoArrivals,
    },
    "orders": {"limit_orders": orders.LimitOrders},
    "fees": {
        "fixed": fees.FixedFees,
        "scheduled": fees.ScheduledFees,
        "set_by_platform": fees.SetByPlatform,
    },
    "demand": {
        "logit": demand.Logit,
        "elasticity": demand.Elasticity,
        "linear": demand.Linear,
        "cheapest": demand.Cheapest,
        "types": shopper_types.ShopperTypes,
    },
    "prominence": {
        "everything": prominence.ShowEverything,
        "cheapest": prominence.ShowCheapest,
        "dynamic": prominence.ShowDynamic,
        "random": prominence.ShowRandom,
        "buy_box": prominence.BuyBox,
        "fixed": prominence.ShowFixed,
        "steered": prominence.ShowSteered,
        "sponsored": prominence.ShowSponsored,
    },
    "execution": {
        "expected": execution.Expected,
        "sampled": execution.Sampled,
        "fill_intensity": dealing.FillIntensity,
        "reservation_prices": dealing.ReservationPrices,
        "auction": execution.Auction,
        "orders_only": orders.OrdersOnly,
    },
    "process": {
        "constant": reference.Constant,
        "geometric_brownian": reference.GeometricBrownian,
        "brownian": reference.Brownian,
        "ornstein_uhlenbeck": reference.OrnsteinUhlenbeck,
        "jump_diffusion": reference.JumpDiffusion,
        "uniform_draw": reference.UniformDraw,
        "shock": reference.Shock,
        "replay": reference.Replay,
    },
    "positions": {"ledger": positions.Ledger},
    "reference": {"fundamentals": reference.Fundamentals},
    "observations": {"own_and_rivals": observations.MarketView},
    "rewards": {"weighted_metrics": rewards.Objective},
}
"""The stages that come with the package, by the key of a scenario file and their kind."""

STAGES = tuple(_OWN)
for _stage, _classes in _OWN.items():
    for _kind, _class in _classes.items():
        registry.enter(_stage, _kind, _class)


class Part(BaseModel):
    """A stage in a scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _its_class_takes_it(self) -> Part:
        # A recorded series is read when the market is built: only then is its folder known.
        if not any(isinstance(value, ReplayFile) for _, value in self):
            self.build()
        return self

    def build(self) -> Any:
        """The stage itself."""
        names = type(self).model_fields.keys() - {"kind"}
        return self.stage_class()(**{n: built(getattr(self, n)) for n in names})

    @classmethod
    def stage_class(cls) -> type:
        raise NotImplementedError


def built(value: Any) -> Any:
    """A stage made from its part of a scenario; any other value as it is."""
    if isinstance(value, tuple):
        return tuple(built(one) for one in value)
    return value.build() if isinstance(value, Part) else value


def _plain(hint: Any) -> Any:
    """The type of a parameter with booleans and texts kept out of numbers."""
    if hint is float:
        return Number
    if hint is int:
        return Whole
    if hint is stages.Demand:
        return Demand
    if hint is stages.Prominence:
        return Prominence
    if hint is stages.ArrivalProcess:
        return Arrivals
    if hint is stages.Process:
        return Process
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple:
        return tuple[tuple(a if a is Ellipsis else _plain(a) for a in args)]  # type: ignore[misc]
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[args[0], _plain(args[1])]  # type: ignore[misc,valid-type]
    if args and type(None) in args:
        return _plain(next(a for a in args if a is not type(None))) | None
    return hint


def part_model(stage: type, kind: str) -> type[Part]:
    """The pydantic model of a stage's dataclass."""
    hints = get_type_hints(stage)
    fields: dict[str, Any] = {"kind": (Literal[kind], kind)}
    for one in dataclasses.fields(stage):
        if not one.init:
            continue
        hint = _plain(hints[one.name])
        if one.default is not dataclasses.MISSING:
            fields[one.name] = (hint, _written(one.default))
        elif one.default_factory is not dataclasses.MISSING:
            fields[one.name] = (hint, _written(one.default_factory()))
        else:
            fields[one.name] = (hint, ...)
    model: type[Part] = create_model(stage.__name__, __base__=Part, __doc__=stage.__doc__, **fields)
    model.stage_class = classmethod(lambda cls: stage)  # type: ignore[assignment,method-assign]
    return model


class ReplayFile(SeriesFile, Part):
    """A recorded series: a column of a CSV, Parquet or Excel file for each of what it drives.

    Parameters
    ----------
    hold : bool
        the last row stays once the series is over; otherwise one shorter than the episode is
        refused.
    sigma_rows : int
        rows, from the first on, from which the volatility is estimated that makers know; 0
        takes all rows of the episode.
    """

    kind: Literal["replay"] = "replay"
    hold: bool = False
    sigma_rows: Whole = 0

    @model_validator(mode="after")
    def _its_class_takes_it(self) -> ReplayFile:
        return self  # the file is read when the market is built, beside its scenario

    def build(self) -> Any:
        raise InputError(f"{self.path}: is read for a market: what it drives must be known")

    def replay(self, path: Array) -> reference.Replay:
        """The process that plays what was read."""
        return reference.Replay(path, self.hold, self.sigma_rows)


_models: dict[type, type[Part]] = {}


def model_of(stage: str, kind: str) -> type[Part]:
    """The pydantic model of a kind of stage. Raises InputError where its class has a parameter that
    no scenario file can hold."""
    cls = registry.find(stage, kind)
    if cls is reference.Replay:
        return ReplayFile
    if cls not in _models:
        try:
            _models[cls] = part_model(cls, kind)
        except (PydanticUserError, NameError, TypeError) as error:
            raise InputError(
                f"{stage} {kind!r}: {cls.__name__} has a parameter whose type a scenario file "
                "cannot hold; take float, int, bool, str, tuples or mappings of them, a demand "
                f"model or a process ({' '.join(str(error).split())[:120]})"
            ) from None
    return _models[cls]


def kinds(stage: str) -> dict[str, type[Part]]:
    """The models of all kinds of a stage, by kind."""
    return {kind: model_of(stage, kind) for kind in registry.names(stage)}


def _written(value: Any) -> Any:
    """A default as a scenario file has it: a stage becomes its part."""
    if isinstance(value, tuple):
        return tuple(_written(one) for one in value)
    for stage in STAGES:
        for kind, cls in registry.table(stage).items():
            if type(value) is cls:
                given = {one.name: getattr(value, one.name) for one in dataclasses.fields(cls)}
                return model_of(stage, kind)(**{n: _written(v) for n, v in given.items()})
    return value


@dataclasses.dataclass(frozen=True)
class KindOf:
    """A field of a scenario that holds a stage of some kind: `kind` tells which class it is.

    The kinds are looked up when a value is read, so that those registered later are known too.
    """

    stage: str
    usual: str | None = None
    """The kind of a mapping that names none; None where it must."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self.read)

    def read(self, value: Any) -> Part:
        """The part from its mapping; errors name the fields inside it."""
        if isinstance(value, Part):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("model_type", "must be a mapping")
        kind = value.get("kind", self.usual)
        if kind is None:
            raise PydanticCustomError("kind_missing", "kind is missing")
        if registry.find(self.stage, kind) is None:
            raise PydanticCustomError("kind_unknown", "kind is not known")
        return model_of(self.stage, kind).model_validate(value)


Demand = Annotated[Any, KindOf("demand")]
Prominence = Annotated[Any, KindOf("prominence")]
Process = Annotated[Any, KindOf("process")]
Quotes = Annotated[Any, KindOf("quotes")]
Schedule = Annotated[Any, KindOf("schedule")]
Arrivals = Annotated[Any, KindOf("arrivals")]
Orders = Annotated[Any, KindOf("orders", "limit_orders")]
Fees = Annotated[Any, KindOf("fees", "fixed")]
Execution = Annotated[Any, KindOf("execution")]
Positions = Annotated[Any, KindOf("positions", "ledger")]
Reference = Annotated[Any, KindOf("reference", "fundamentals")]
Observations = Annotated[Any, KindOf("observations", "own_and_rivals")]
Rewards = Annotated[Any, KindOf("rewards", "weighted_metrics")]

__all__ = [
    "STAGES",
    "KindOf",
    "Number",
    "Part",
    "Whole",
    "kinds",
    "model_of",
    "part_model",
]
