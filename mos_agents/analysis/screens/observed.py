"""One market as an outsider sees it: the prices of its firms, and what else is on record."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.paths import finite
from mos_agents.market.checks import check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

BestReply = Callable[[Array], Array]
"""Prices [T, N] to the static best reply of each firm to the other firms' prices, [T, N]."""

NEEDS = {
    "cost": "the firms' unit costs",
    "quantities": "the quantities sold",
    "common": "a common series such as a cost or demand index",
    "seasons": "season labels",
    "control": "the prices of a comparable market",
    "benchmarks": "competitive and joint-profit prices",
    "best_reply": "the static best reply (a demand model)",
    "vendors": "the vendor of each firm's pricing software",
    "chances": "the probabilities with which each price was drawn",
    "retrained": "the outcome of training one firm again, alone",
}
"""What a screen may need besides prices, in words."""


@short_repr
@dataclass(frozen=True, eq=False)
class Observed:
    """What an auditor has of one market of N firms at T dates, one product a firm.

    Parameters
    ----------
    prices : array [T, N]
        Prices in money per unit. NaN where none was seen: the price in force then counts on.
    cost : array [T, N], [T] or [N], or float, optional
        Unit costs in money. A number says that costs are known and constant. An array of T = N
        numbers is read as [T].
    quantities : array [T, N], optional
        Units sold.
    common : mapping of str to array [T], optional
        Series that reach all firms and that the firms do not set: a cost index, a demand index, a
        fee, the temperature.
    seasons : mapping of str to sequence [T], optional
        Labels of each date, such as its month, its weekday, or whether a holiday falls on it.
    control : array [T] or [T, M], optional
        Prices of a market that the same costs and seasons reach, and the suspicion does not.
    price_nash, price_joint : array [T, N], [N] or float, optional
        Competitive and joint-profit prices, in money, at the cost and demand of each date.
    best_reply : callable, optional
        Takes prices [T, N] and returns the static best reply of each firm to the prices of the
        others at the same date, [T, N].
    offered : array of bool [T, N], optional
        False where a firm was sold out.
    vendors : sequence of str or None [N], optional
        Who supplies each firm's pricing software.
    chances : array [T, N, K], optional
        Probabilities with which each firm's own pricing rule drew its price from `grid`.
    grid : array [K], optional
        The prices that the rules draw from.
    retrained : array [R, 3], optional
        Outcomes of training one firm again, alone, against the others' unchanged rules: its profit
        per date before, what static best replies to the others' unchanged prices would bring, and
        its profit after the training.
    every : int, optional
        Dates between two moves of one firm.
    dates : sequence of str [T], optional
        Names of the dates, for sentences.
    names : sequence of str [N], optional
        Names of the firms, for sentences.

    Raises
    ------
    InputError
        If a shape does not fit, or a number is not finite.
    """

    prices: Array
    cost: Array | None = None
    quantities: Array | None = None
    common: Mapping[str, Array] = field(default_factory=dict)
    seasons: Mapping[str, IntArray] = field(default_factory=dict)
    control: Array | None = None
    price_nash: Array | None = None
    price_joint: Array | None = None
    best_reply: BestReply | None = None
    offered: IntArray | None = None
    vendors: tuple[str | None, ...] | None = None
    chances: Array | None = None
    grid: Array | None = None
    retrained: Array | None = None
    every: int = 1
    dates: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    found: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What several screens compute from the record, kept for the next one."""

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("prices", _in_force(self.prices))
        ticks, firms = self.prices.shape
        check_whole("every", self.every, 1)
        for name in ("cost", "price_nash", "price_joint"):
            if getattr(self, name) is not None:
                put(name, _by_tick_and_firm(getattr(self, name), name, ticks, firms))
        if self.quantities is not None:
            put("quantities", _shaped(self.quantities, "quantities", (ticks, firms)))
        if self.control is not None:
            control = finite(self.control, "control")
            if control.ndim not in (1, 2) or len(control) != ticks:
                raise InputError(f"control has shape {control.shape}, needs [{ticks}] or a column")
            put("control", control.reshape(ticks, -1))
        series = {str(n): _shaped(v, f"common[{n!r}]", (ticks,)) for n, v in self.common.items()}
        put("common", MappingProxyType(series))
        put(
            "seasons",
            MappingProxyType({str(n): _codes(n, v, ticks) for n, v in self.seasons.items()}),
        )
        if self.offered is not None:
            offered = np.asarray(self.offered, dtype=bool)
            if offered.shape != (ticks, firms):
                raise InputError(f"offered has shape {offered.shape}, needs {(ticks, firms)}")
            put("offered", offered)
        self._check_chances(ticks, firms)
        if self.retrained is not None:
            retrained = finite(self.retrained, "retrained")
            if retrained.ndim != 2 or retrained.shape[1] != 3:
                raise InputError(f"retrained has shape {retrained.shape}, needs [trainings, 3]")
            put("retrained", retrained)
        for name, length in (("vendors", firms), ("names", firms), ("dates", ticks)):
            value = getattr(self, name)
            if value is not None:
                if len(value) != length:
                    raise InputError(f"{name} has {len(value)} entries, needs {length}")
                put(name, tuple(value))

    def _check_chances(self, ticks: int, firms: int) -> None:
        if self.chances is None:
            return
        if self.grid is None:
            raise InputError("chances are given without grid, the prices that they belong to")
        grid = finite(self.grid, "grid")
        chances = _shaped(self.chances, "chances", (ticks, firms, grid.size))
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "chances", chances)

    @property
    def ticks(self) -> int:
        """T, the number of dates."""
        return int(self.prices.shape[0])

    @property
    def firms(self) -> int:
        """N, the number of firms."""
        return int(self.prices.shape[1])

    def has(self, need: str) -> bool:
        """Say whether the data that a screen asks for are there.

        Parameters
        ----------
        need : str
            One of `NEEDS`.

        Returns
        -------
        bool
            Whether they are.
        """
        if need not in NEEDS:
            raise InputError(f"need={need!r} must be one of {', '.join(NEEDS)}")
        if need == "benchmarks":
            return self.price_nash is not None and self.price_joint is not None
        value = getattr(self, need)
        return bool(value) if need in ("common", "seasons") else value is not None

    def name(self, firm: int) -> str:
        """Return a firm's name.

        Parameters
        ----------
        firm : int
            Number of the firm.

        Returns
        -------
        str
            Its name, or "firm 1" and so on.
        """
        return self.names[firm] if self.names is not None else f"firm {firm + 1}"

    def date(self, tick: int) -> str:
        """Return the name of a date.

        Parameters
        ----------
        tick : int
            Number of the date.

        Returns
        -------
        str
            Its name, or "tick 7".
        """
        return self.dates[tick] if self.dates is not None else f"tick {tick}"


def _in_force(values: ArrayLike) -> Array:
    """Prices [T, N] with gaps filled by the last price before, at the start by the first after."""
    try:
        prices = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("prices must be numbers, all rows of one length") from None
    if prices.ndim != 2 or prices.size == 0:
        raise InputError(f"prices has shape {prices.shape}, needs [ticks, firms]")
    if np.isinf(prices).any():
        raise InputError("prices must be finite; write NaN where no price was seen")
    missing = np.isnan(prices)
    if missing.all(axis=0).any():
        firm = int(missing.all(axis=0).argmax())
        raise InputError(f"prices of firm {firm} are all missing; leave the firm out")
    if missing.any():
        seen = np.where(missing, 0, np.arange(len(prices))[:, None])
        last = np.maximum.accumulate(seen, axis=0)
        last = np.maximum(last, (~missing).argmax(axis=0))
        prices = np.take_along_axis(prices, last, axis=0)
    return prices


def _shaped(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    array = finite(values, name)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, needs {shape}")
    return array


def _by_tick_and_firm(values: ArrayLike, name: str, ticks: int, firms: int) -> Array:
    array = finite(values, name)
    if array.shape == (ticks,):
        array = array[:, None]
    if array.ndim > 2 or any(
        size not in (1, full) for size, full in zip(array.shape[::-1], (firms, ticks), strict=False)
    ):
        raise InputError(
            f"{name} has shape {array.shape}, needs [{ticks}, {firms}], [{ticks}], [{firms}] or "
            "one number"
        )
    return np.broadcast_to(array, (ticks, firms)).copy()


def _codes(name: str, labels: Sequence[Hashable] | Array, ticks: int) -> IntArray:
    values = list(labels)
    if len(values) != ticks:
        raise InputError(f"seasons[{name!r}] has {len(values)} labels, needs {ticks}")
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)
