"""How an agent's choice becomes an action: numbers within limits, or points of a price grid.

Both kinds have three methods: `space` (what an agent may choose), `read` (takes the choices of all
agents from their dictionary) and `place` (writes them into the actions of all participants). A
choice that is not valid is refused in one line, before anything changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mos_agents.market.checks import check_whole
from mos_agents.market.grids import check_levels
from mos_agents.market.kernels import kernel
from mos_agents.market.market import Market
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError, IntArray, QuoteRefused
from mos_agents.policies.platform import RULES

_FLOAT64 = np.dtype(np.float64)
_INT64 = np.dtype(np.int64)

BANDS = {"price": (0.6, 2.0), "bid": (0.0, 2.0)}
"""The default range of choices, as multiples of the reference price; a bid may be near zero."""

WORST_LIMITS = (0.5, 2.0)
"""Limits of a grid's orders to sell and to buy, as multiples of the reference price."""


class ContinuousActions:
    """Actions as numbers: a box of L_n * A, listing by listing, within the participant's limits.

    Numbers of 32 bits are taken too: a limit rounded to 32 bits counts as the limit.
    """

    def __init__(
        self, market: Market, specs: Sequence[ParticipantSpec], dtype: Any = np.float64
    ) -> None:
        self.dtype = np.dtype(dtype)
        self._specs = {spec.name: spec for spec in specs}
        self._features = market.specs[0].features
        self._labels = list(market.layout.slot_names)
        self.width, self._slots = _slots(specs, len(self._features))
        self._plan = [(name, self._slots[name], (_length(s),)) for name, s in self._slots.items()]
        self.low = np.concatenate([spec.low.ravel() for spec in specs])
        self.high = np.concatenate([spec.high.ravel() for spec in specs])
        first = [spec.listings.start * spec.low.shape[1] for spec in specs]
        self._columns = np.concatenate(
            [np.arange(f, f + spec.low.size) for f, spec in zip(first, specs, strict=True)]
        ).astype(np.int64)

    def blank(self, batch: int) -> Array:
        """[B, width] room for choices."""
        return np.zeros((batch, self.width))

    def space(self, name: str) -> spaces.Box:
        slot = self._slots[name]
        low, high = self.low[slot].astype(self.dtype), self.high[slot].astype(self.dtype)
        return spaces.Box(low, high, dtype=self.dtype.type)

    def read(self, actions: Mapping[str, Any], row: Array) -> None:
        """Choices of every agent into a row [width]; KeyError if one is missing."""
        for name, slot, shape in self._plan:
            action = actions[name]
            if type(action) is not np.ndarray or (
                action.dtype is not _FLOAT64 or action.shape != shape
            ):
                array = _as_array(name, action, "fiu", "numbers", shape)
                action = _widened(array, self.low[slot], self.high[slot])
            row[slot] = action

    def read_all(self, actions: Any, given: Array, shape: tuple[int, ...]) -> None:
        """Choices of all agents from one array of `shape` into [B, width]."""
        array = _as_array("actions", actions, "fiu", "numbers", shape).reshape(given.shape)
        given[:] = _widened(array, self.low, self.high)

    def read_parts(self, actions: Mapping[str, Any], given: Array) -> None:
        """Choices of every agent, [B, L_n, A] each, into [B, width]."""
        for name, slot in self._slots.items():
            shape = (len(given), _length(slot) // len(self._features), len(self._features))
            array = _as_array(name, actions[name], "fiu", "numbers", shape)
            wide = array.reshape(len(given), -1)
            given[:, slot] = _widened(wide, self.low[slot], self.high[slot])

    def place(self, given: Array, actions: Array) -> None:
        """Choices [B, width] into actions [B, L, A] of all participants, if within limits."""
        flat = actions.reshape(len(actions), -1)
        wrong = place_numbers(given, self.low, self.high, self._columns, flat)
        if wrong >= 0:
            raise QuoteRefused(self._complaint(given, wrong))

    def _complaint(self, given: Array, wrong: int) -> str:
        market, column = divmod(wrong, self.width)
        name, offset = _owner(self._slots, column)
        listing, feature = divmod(offset, len(self._features))
        instrument = self._labels[self._specs[name].listings.start + listing]
        which = f"market {market}: " if len(given) > 1 else ""
        return (
            f"{which}{name}: action[{offset}] ({self._features[feature]} of {instrument}) = "
            f"{given[market, column]:.17g} must be in [{self.low[column]:g}, "
            f"{self.high[column]:g}]; clip actions to action_space({name!r})"
        )


class GridActions:
    """Actions as points of a grid: for each listing, one of its levels.

    tables: for each external listing, in roster order, its grid [levels, A].
    """

    def __init__(
        self, market: Market, specs: Sequence[ParticipantSpec], tables: Sequence[Array]
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._labels = list(market.layout.slot_names)
        self.width, self._slots = _slots(specs, 1)
        self.tables = list(tables)
        self._count = np.array([len(t) for t in tables], dtype=np.int64)
        n_features = tables[0].shape[1]
        self._grid = np.zeros((self.width, int(self._count.max()), n_features))
        for row, table in zip(self._grid, tables, strict=True):
            row[: len(table)] = table
        self._rows = np.concatenate(
            [np.arange(spec.listings.start, spec.listings.stop) for spec in specs]
        ).astype(np.int64)
        self._plan: list[tuple[str, Any, Any, tuple[int, ...]]] = []
        for name, slot in self._slots.items():
            if _length(slot) == 1:
                self._plan.append((name, slot.start, np.int64, ()))
            else:
                self._plan.append((name, slot, np.ndarray, (_length(slot),)))

    def blank(self, batch: int) -> IntArray:
        """[B, width] room for choices."""
        return np.zeros((batch, self.width), dtype=np.int64)

    def space(self, name: str) -> spaces.Discrete[Any] | spaces.MultiDiscrete:
        count = self._count[self._slots[name]]
        if count.size == 1:
            return spaces.Discrete(int(count[0]))
        return spaces.MultiDiscrete(count)

    def table(self, name: str) -> list[Array]:
        """The grids [levels, A] of an agent's listings."""
        return self.tables[self._slots[name]]

    def read(self, actions: Mapping[str, Any], row: IntArray) -> None:
        """Choices of every agent into a row [width]; KeyError if one is missing."""
        for name, slot, kind, shape in self._plan:
            action = actions[name]
            if type(action) is not kind or action.dtype is not _INT64 or action.shape != shape:
                action = _as_array(name, action, "iu", "whole numbers", shape)
            row[slot] = action

    def read_all(self, actions: Any, given: IntArray, shape: tuple[int, ...]) -> None:
        """Choices of all agents from one array of `shape` into [B, width]."""
        given[:] = _as_array("actions", actions, "iu", "whole numbers", shape)

    def read_parts(self, actions: Mapping[str, Any], given: IntArray) -> None:
        """Choices of every agent, [B, L_n] each, into [B, width]."""
        for name, slot in self._slots.items():
            shape = (len(given), _length(slot))
            given[:, slot] = _as_array(name, actions[name], "iu", "whole numbers", shape)

    def place(self, given: IntArray, actions: Array) -> None:
        """Choices [B, width] into actions [B, L, A] of all participants, if on their grids."""
        wrong = place_choices(given, self._count, self._rows, self._grid, actions)
        if wrong >= 0:
            market, column = divmod(wrong, self.width)
            name, offset = _owner(self._slots, column)
            instrument = self._labels[self._specs[name].listings.start + offset]
            which = f"market {market}: " if len(given) > 1 else ""
            raise QuoteRefused(
                f"{which}{name}: action[{offset}] (level for {instrument}) = "
                f"{given[market, column]} must be a level 0 to {self._count[column] - 1}; "
                f"see action_space({name!r})"
            )


def price_grids(
    market: Market,
    specs: Sequence[ParticipantSpec],
    levels: Any,
    band: tuple[float, float] | None,
    grid: Any,
) -> list[Array]:
    """A grid [levels, A] for every listing of the specs.

    Prices and bids: `levels` equally spaced from band[0] to band[1] times the listing's reference
    price (None: as in BANDS), cut to the limits of an action. Two-sided quotes: every offset with
    every spread, offsets equally spaced within half the largest spread, spreads within their
    limits; `levels` may be a pair then, with 1 for a single offset or spread. Orders: quantities
    equally spaced within their limits, in whole units where the largest is one, to buy for at most
    twice the reference price, or to sell for at least half of it. Fees and weights: equally spaced
    within their limits. A size, where actions name
    one, is the largest. `grid` gives your own: the prices [levels] or points [levels, A] for
    all listings, or one such table per listing, or a mapping from agents to either. Two levels
    that the market's rules would turn into one quote are refused.
    """
    tables = []
    for spec in specs:
        own = grid.get(spec.name) if isinstance(grid, Mapping) else grid
        name = f"levels={levels!r}" if own is None else "grid"
        if own is not None:
            made = _given_grid(spec, own)
            for i, table in enumerate(made):
                check_levels(spec, i, table, name)
            tables += made
            continue
        for part in [part.spec for part in spec.parts] or [spec]:
            for i in range(part.action_shape[0]):
                table = _grid_of(part, i, levels, band)
                check_levels(part, i, table, name)
                tables.append(_padded(table, spec.action_shape[1]))
    return tables


def _grid_of(spec: ParticipantSpec, i: int, levels: Any, band: tuple[float, float] | None) -> Array:
    """A grid for one listing by what its numbers are."""
    if "spread" in spec.features:
        return _two_sided_grid(spec, i, levels)
    if "quantity" in spec.features:
        return _order_grid(spec, i, levels)
    if spec.features[0] in RULES:
        kept = [a for a, name in enumerate(spec.features) if name in RULES]
        steps = [np.linspace(spec.low[i, a], spec.high[i, a], _count(levels)) for a in kept]
        return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, len(kept))
    return _price_grid(spec, i, levels, band)


def _padded(table: Array, width: int) -> Array:
    """A table with 0 for the numbers that its slot does not read."""
    return np.pad(table, ((0, 0), (0, width - table.shape[1])))


def _price_grid(
    spec: ParticipantSpec, i: int, levels: Any, band: tuple[float, float] | None
) -> Array:
    if band is None:
        band = BANDS.get(spec.features[0], BANDS["price"])
    try:
        lowest, highest = (float(end) for end in band)
    except (TypeError, ValueError):
        lowest = highest = np.nan
    if not 0.0 <= lowest < highest < np.inf:
        raise InputError(f"band={band!r} must be (least, most) times the reference price, >= 0")
    reference = float(spec.opening_price[i])
    low, high = np.clip([lowest * reference, highest * reference], spec.low[i, 0], spec.high[i, 0])
    return _with_size(spec, i, np.linspace(low, high, _count(levels))[:, None])


def _order_grid(spec: ParticipantSpec, i: int, levels: Any) -> Array:
    """Quantities, in whole units where the largest is one, each with a limit price."""
    low, high = spec.low[i, 0], spec.high[i, 0]
    quantities = np.linspace(low, high, _count(levels))
    if low == np.rint(low) and high == np.rint(high):
        quantities = np.unique(np.rint(quantities))
    quantities[np.argmin(np.abs(quantities))] = 0.0  # who may sell, too, can still send no order
    worst = np.where(quantities < 0.0, WORST_LIMITS[0], WORST_LIMITS[1]) * spec.opening_price[i]
    return np.column_stack([quantities, np.clip(worst, spec.low[i, 1], spec.high[i, 1])])


def _two_sided_grid(spec: ParticipantSpec, i: int, levels: Any) -> Array:
    pair = levels if isinstance(levels, tuple | list) else (levels, levels)
    if len(pair) != 2:
        raise InputError(f"levels={levels!r} must be a whole number, or a pair: offsets, spreads")
    reach = min(spec.high[i, 0], 0.5 * spec.high[i, 1])
    least = 1 if pair is levels else 2
    offsets = _steps(-reach, reach, _count(pair[0], least))
    spreads = _steps(spec.low[i, 1], spec.high[i, 1], _count(pair[1], least))
    both = np.stack(np.meshgrid(offsets, spreads, indexing="ij"), axis=-1).reshape(-1, 2)
    return _with_size(spec, i, both)


def _steps(low: float, high: float, count: int) -> Array:
    """So many equal steps; a single one lies in the middle."""
    return np.linspace(low, high, count) if count > 1 else np.array([0.5 * (low + high)])


def _with_size(spec: ParticipantSpec, i: int, table: Array) -> Array:
    if "size" not in spec.features:
        return table
    return np.column_stack([table, np.full(len(table), spec.high[i, -1])])


def _given_grid(spec: ParticipantSpec, grid: Any) -> list[Array]:
    n_listings, n_features = spec.action_shape
    try:
        array = np.asarray(grid, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim >= 1 and n_features == 1 and array.shape[-1:] != (1,):
        array = array[..., None]
    if array.ndim == 2:
        array = np.broadcast_to(array, (n_listings, *array.shape))
    if array.ndim != 3 or array.shape[::2] != (n_listings, n_features) or array.shape[1] < 1:
        raise InputError(
            f"grid: {spec.name} needs [levels, {n_features}] numbers for all its listings, or "
            f"[{n_listings}, levels, {n_features}]; numbers are {'/'.join(spec.features)}"
        )
    bad = ~((array >= spec.low[:, None]) & (array <= spec.high[:, None]))
    if bad.any():
        i, _, a = np.argwhere(bad)[0]
        raise InputError(
            f"grid: {spec.name} has {spec.features[a]}={array[bad][0]:g}, must be in "
            f"[{spec.low[i, a]:g}, {spec.high[i, a]:g}]"
        )
    return list(array)


def _count(levels: Any, least: int = 2) -> int:
    return check_whole("levels", levels, least, 10_000)


def _slots(specs: Sequence[ParticipantSpec], numbers: int) -> tuple[int, dict[str, slice]]:
    slots, begin = {}, 0
    for spec in specs:
        end = begin + spec.action_shape[0] * numbers
        slots[spec.name] = slice(begin, end)
        begin = end
    return begin, slots


def _length(slot: slice) -> int:
    return int(slot.stop - slot.start)


def _owner(slots: Mapping[str, slice], column: int) -> tuple[str, int]:
    for name, slot in slots.items():
        if slot.start <= column < slot.stop:
            return name, column - slot.start
    raise AssertionError(column)


def _as_array(name: str, action: Any, kinds: str, what: str, shape: tuple[int, ...]) -> Any:
    """The choice as an array of `shape`, or QuoteRefused in one line."""
    wanted = f"{what} of shape {shape}" if shape else "one whole number"
    if action is None:
        raise QuoteRefused(f"{name}: action=None must be {wanted}; sample one from action_space")
    try:
        array = np.asarray(action)
    except ValueError:
        raise QuoteRefused(f"{name}: action is ragged, must be {wanted}") from None
    if array.dtype.kind not in kinds:
        raise QuoteRefused(f"{name}: action of type {array.dtype} must be {wanted}; convert it")
    if array.shape != shape:
        raise QuoteRefused(f"{name}: action of shape {array.shape} must be {wanted}; reshape it")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise QuoteRefused(f"{name}: action={int(array.max())} is too large; see action_space")
    return array


def _widened(array: NDArray[Any], low: Array, high: Array) -> Array:
    """[..., C] in 64 bits; a limit that was rounded to fewer bits is the limit again."""
    if array.dtype.kind != "f" or array.dtype.itemsize >= 8:
        return array
    wide: Array = np.where(array == low.astype(array.dtype), low, array.astype(np.float64))
    return np.where(array == high.astype(array.dtype), high, wide)


@kernel
def place_numbers(given, low, high, columns, actions):  # type: ignore[no-untyped-def]
    """Copy [B, C] to the columns of [B, L * A]; the place of the first outside its limits, or -1.

    Nothing is copied if any is outside. NaN is outside.
    """
    batch, width = given.shape
    for b in range(batch):
        for c in range(width):
            if not (low[c] <= given[b, c] <= high[c]):
                return b * width + c
    for b in range(batch):
        for c in range(width):
            actions[b, columns[c]] = given[b, c]
    return -1


@kernel
def place_choices(given, count, rows, grid, actions):  # type: ignore[no-untyped-def]
    """Copy the chosen points of the grids [C, levels, A] to rows of [B, L, A]; as above."""
    batch, width = given.shape
    for b in range(batch):
        for c in range(width):
            if not (0 <= given[b, c] < count[c]):
                return b * width + c
    for b in range(batch):
        for c in range(width):
            for a in range(grid.shape[2]):
                actions[b, rows[c], a] = grid[c, given[b, c], a]
    return -1
