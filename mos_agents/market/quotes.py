"""How a price becomes a quote: the house's rules for posted prices, two-sided quotes and bids.

An action outside its limits, or with anything that is not a finite number, is refused whole and
the participant's standing quote stays. Inside the limits, the rules of conduct (margin floor,
largest change, tick size) bring the price to the nearest allowed one, or refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mos_agents.market.checks import within_floats
from mos_agents.market.kernels import kernel
from mos_agents.market.types import Array, InputError, IntArray, Quotes, State

if TYPE_CHECKING:
    from mos_agents.market.tick import Market

REASONS = (
    "taken",
    "not a finite number",
    "outside the limits of an action",
    "off the price grid",
    "below the margin floor",
    "changed by more than the house allows",
    "the bid is not below the ask",
)
TAKEN, NOT_FINITE, OUTSIDE, OFF_GRID, BELOW_FLOOR, TOO_FAST, CROSSED = range(len(REASONS))


@dataclass(frozen=True)
@within_floats
class HouseRules:
    """What every kind of quote shares.

    conduct: "clip" brings a quote within the rules, "refuse" refuses it.
    on_refusal: "stand" keeps the participant's standing quote, "withdraw" takes it down.
    max_age: ticks after which an unmoved quote is withdrawn; 0 means never.
    size: units behind a quote where actions do not name them.
    sized: the action's last number is the size, in [0, size].
    """

    tick_size: float = 0.01
    conduct: str = "clip"
    on_refusal: str = "stand"
    max_age: int = 0
    size: float = np.inf
    sized: bool = False

    def __post_init__(self) -> None:
        if self.conduct not in ("clip", "refuse"):
            raise InputError(f"conduct={self.conduct!r} must be 'clip' or 'refuse'")
        if self.on_refusal not in ("stand", "withdraw"):
            raise InputError(f"on_refusal={self.on_refusal!r} must be 'stand' or 'withdraw'")
        if not 0.0 <= self.tick_size < np.inf:
            raise InputError(f"tick_size={self.tick_size!r} must be >= 0; 0 is a continuous price")
        if self.max_age < 0:
            raise InputError(f"max_age={self.max_age!r} must be >= 0; 0 keeps quotes for ever")
        if not self.size > 0.0:
            raise InputError(f"size={self.size!r} must be > 0 units")
        if self.sized and not np.isfinite(self.size):
            raise InputError("size=inf must be finite where actions name a size: set quotes.size")

    def _limits(self, market: Market, rows: list[tuple[float, float]]) -> tuple[Array, Array]:
        if self.sized:
            rows = [*rows, (0.0, self.size)]
        table = np.array(rows, dtype=np.float64)
        shape = (market.layout.L, len(rows))
        return (
            np.ascontiguousarray(np.broadcast_to(table[:, 0], shape)),
            np.ascontiguousarray(np.broadcast_to(table[:, 1], shape)),
        )

    @cached_property
    def _steps(self) -> float:
        """Grid points per unit of money: dividing by it lands on decimals exactly; 0 is no grid."""
        if self.tick_size == 0.0:
            return 0.0
        steps = 1.0 / self.tick_size
        return float(round(steps)) if abs(steps - round(steps)) < 1e-9 * steps else steps

    @cached_property
    def _conduct(self) -> tuple[float, float, bool, bool, int]:
        """What the compiled rules need: steps, house_size, refuse, withdraw, max_age."""
        refuse, withdraw = self.conduct == "refuse", self.on_refusal == "withdraw"
        return self._steps, self.size, refuse, withdraw, self.max_age

    @property
    def _features(self) -> tuple[str, ...]:
        return ("size",) if self.sized else ()


@dataclass(frozen=True)
@within_floats
class PostedPrice(HouseRules):
    """A seller's price, taken or left.

    At least `min_margin` over cost, changed by at most the share `max_relative_change` per move
    (infinity: freely), inside [low, high], rounded to the tick size. A cost shock may lift the
    floor faster than the largest change allows: the floor wins.
    """

    min_margin: float = 0.05
    max_relative_change: float = 0.2
    low: float = 0.01
    high: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.low < self.high < np.inf:
            raise InputError(f"low={self.low!r}, high={self.high!r} must have 0 <= low < high")
        if not self.min_margin > -1.0:
            raise InputError(f"min_margin={self.min_margin!r} must be > -1; -0.1 allows 10% losses")
        if not self.max_relative_change > 0.0:
            raise InputError(f"max_relative_change={self.max_relative_change!r} must be > 0")

    @property
    def features(self) -> tuple[str, ...]:
        return ("price", *self._features)

    def limits(self, market: Market) -> tuple[Array, Array]:
        return self._limits(market, [(self.low, self.high)])

    def opening(self, market: Market, batch: int) -> Quotes:
        shape = (batch, market.layout.L)
        costs = np.broadcast_to(market.catalogue.cost, shape)
        wanted = np.broadcast_to(market.catalogue.reference_price, shape)
        floor = np.minimum(np.maximum(costs * (1.0 + self.min_margin), self.low), self.high)
        ask = np.clip(wanted, floor, self.high)
        if self._steps:
            point = np.rint(ask * self._steps)
            point += point < floor * self._steps - 1e-9 * point
            point -= point > self.high * self._steps + 1e-9 * point
            ask = point / self._steps
        none, size = np.zeros(shape), np.full(shape, self.size)
        return Quotes(none, none, np.ascontiguousarray(ask), size, market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        standing = state.quotes
        (ask, size), age, refused = blank = _blank(2, standing)
        post_prices(
            *blank, standing.ask, standing.ask_size, standing.age, state.cost, actions, moves,
            market.layout.first, self.min_margin, self.max_relative_change, self.low, self.high,
            *self._conduct,
        )  # fmt: skip
        return Quotes(standing.bid, standing.bid_size, ask, size, age), refused


@dataclass(frozen=True)
@within_floats
class TwoSided(HouseRules):
    """A market maker's bid and ask: an offset of their middle from the mid price, and a spread.

    The spread lies in [min_spread, max_spread], the offset within +-max_offset, in money. Bids are
    rounded down and asks up to the tick size.
    """

    min_spread: float = 0.01
    max_spread: float = 0.5
    max_offset: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.min_spread <= self.max_spread < np.inf:
            raise InputError(
                f"min_spread={self.min_spread!r}, max_spread={self.max_spread!r} must have "
                "0 < min <= max: a spread of 0 or less crosses your own quotes"
            )
        if not 0.0 <= self.max_offset < np.inf:
            raise InputError(f"max_offset={self.max_offset!r} must be >= 0 and finite")

    @property
    def features(self) -> tuple[str, ...]:
        return ("offset", "spread", *self._features)

    def limits(self, market: Market) -> tuple[Array, Array]:
        return self._limits(
            market, [(-self.max_offset, self.max_offset), (self.min_spread, self.max_spread)]
        )

    def opening(self, market: Market, batch: int) -> Quotes:
        shape = (batch, market.layout.L)
        mid = np.ascontiguousarray(np.broadcast_to(market.catalogue.reference_price, shape))
        return Quotes(mid, np.zeros(shape), mid, np.zeros(shape), market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        standing = state.quotes
        (bid, bid_size, ask, ask_size), age, refused = blank = _blank(4, standing)
        post_two_sided(
            *blank, standing.bid, standing.bid_size, standing.ask, standing.ask_size, standing.age,
            market.marks_of_listings(state.reference), actions, moves, market.layout.first,
            self.min_spread, self.max_spread, self.max_offset, *self._conduct,
        )  # fmt: skip
        return Quotes(bid, bid_size, ask, ask_size, age), refused


@dataclass(frozen=True)
@within_floats
class SealedBid(HouseRules):
    """A bid that nobody else sees before the auction, in [low, high]."""

    low: float = 0.0
    high: float = 1000.0
    size: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.low < self.high < np.inf:
            raise InputError(f"low={self.low!r}, high={self.high!r} must have 0 <= low < high")

    @property
    def features(self) -> tuple[str, ...]:
        return ("bid", *self._features)

    def limits(self, market: Market) -> tuple[Array, Array]:
        return self._limits(market, [(self.low, self.high)])

    def opening(self, market: Market, batch: int) -> Quotes:
        none = np.zeros((batch, market.layout.L))
        return Quotes(none, none, none, none, market.none_moved(batch))

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        # A sealed bid is a posted price on the other side, without a floor or a largest change.
        standing = state.quotes
        (bid, size), age, refused = blank = _blank(2, standing)
        post_prices(
            *blank, standing.bid, standing.bid_size, standing.age, state.cost, actions, moves,
            market.layout.first, -1.0, np.inf, self.low, self.high, self._steps, self.size,
            self.conduct == "refuse", self.on_refusal == "withdraw", self.max_age,
        )  # fmt: skip
        return Quotes(bid, size, standing.ask, standing.ask_size, age), refused


def _blank(n: int, standing: Quotes) -> tuple[Array, Array, IntArray]:
    """Room for n arrays [B, L], for ages and for refusals [B, N]."""
    return (
        np.empty((n, *standing.bid.shape)),
        np.empty(standing.age.shape),
        np.empty(standing.age.shape, np.int64),
    )


@kernel
def post_prices(  # type: ignore[no-untyped-def]
    posted, ages, refused, standing, standing_size, age, cost, actions, moves, first, min_margin,
    max_change, low, high, steps, house_size, refuse, withdraw, max_age,
):  # fmt: skip
    """Fill in posted prices and their sizes [2, B, L], ages [B, N], refusals [B, N]."""
    batch = standing.shape[0]
    n_participants = first.shape[0] - 1
    sized = actions.shape[2] == 2
    prices, sizes = posted[0], posted[1]
    for b in range(batch):
        for n in range(n_participants):
            ages[b, n], refused[b, n] = age[b, n] + 1.0, 0
            begin, end = np.uint64(first[n]), np.uint64(first[n + 1])
            for i in range(begin, end):
                prices[b, i], sizes[b, i] = standing[b, i], standing_size[b, i]
            if moves[b if moves.shape[0] > 1 else 0, n]:
                reason = 0
                for i in range(begin, end):
                    price = actions[b, i, 0]
                    size = actions[b, i, 1] if sized else house_size
                    if not np.isfinite(price) or (sized and not np.isfinite(size)):
                        reason = 1
                        break
                    if price < low or price > high or size < 0.0 or size > house_size:
                        reason = 2
                        break
                    floor = min(max(low, cost[b, i] * (1.0 + min_margin)), high)
                    near = price
                    if max_change < np.inf:
                        near = min(
                            max(price, standing[b, i] * (1.0 - max_change)),
                            standing[b, i] * (1.0 + max_change),
                        )
                    lawful = max(near, floor)
                    if steps > 0.0:
                        # A hair of slack: a floor that is itself on the grid is not rounded away.
                        point = np.rint(lawful * steps)
                        if point < floor * steps - 1e-9 * point:
                            point += 1.0
                        if point > high * steps + 1e-9 * point:
                            point -= 1.0
                        lawful = point / steps
                    if refuse:
                        if price < floor:
                            reason = 4
                        elif near != price:
                            reason = 5
                        elif abs(lawful - price) > 1e-9 * high:
                            reason = 3
                        if reason > 0:
                            break
                    prices[b, i] = lawful
                    sizes[b, i] = size
                refused[b, n] = reason
                if reason == 0:
                    ages[b, n] = 0.0
                else:
                    for i in range(begin, end):
                        prices[b, i] = standing[b, i]
                        sizes[b, i] = 0.0 if withdraw else standing_size[b, i]
            if max_age > 0 and ages[b, n] > max_age:
                for i in range(begin, end):
                    sizes[b, i] = 0.0


@kernel
def post_two_sided(  # type: ignore[no-untyped-def]
    posted, ages, refused, bid, bid_size, ask, ask_size, age, mid, actions, moves, first,
    min_spread, max_spread, max_offset, steps, house_size, refuse, withdraw, max_age,
):  # fmt: skip
    """Fill in bids, their sizes, asks, theirs [4, B, L], ages [B, N], refusals [B, N]."""
    batch = bid.shape[0]
    n_participants = first.shape[0] - 1
    sized = actions.shape[2] == 3
    bids, bid_sizes, asks, ask_sizes = posted[0], posted[1], posted[2], posted[3]
    for b in range(batch):
        for n in range(n_participants):
            ages[b, n], refused[b, n] = age[b, n] + 1.0, 0
            begin, end = np.uint64(first[n]), np.uint64(first[n + 1])
            for i in range(begin, end):
                bids[b, i], bid_sizes[b, i] = bid[b, i], bid_size[b, i]
                asks[b, i], ask_sizes[b, i] = ask[b, i], ask_size[b, i]
            if moves[b if moves.shape[0] > 1 else 0, n]:
                reason = 0
                for i in range(begin, end):
                    offset, spread = actions[b, i, 0], actions[b, i, 1]
                    size = actions[b, i, 2] if sized else house_size
                    if not (
                        np.isfinite(offset)
                        and np.isfinite(spread)
                        and (not sized or np.isfinite(size))
                    ):
                        reason = 1
                        break
                    if spread <= 0.0:
                        reason = 6
                        break
                    if (
                        abs(offset) > max_offset
                        or spread < min_spread
                        or spread > max_spread
                        or size < 0.0
                        or size > house_size
                    ):
                        reason = 2
                        break
                    middle = mid[b, i] + offset
                    low, high = middle - 0.5 * spread, middle + 0.5 * spread
                    if steps > 0.0:
                        low_point = np.floor(low * steps + 1e-6)
                        high_point = np.ceil(high * steps - 1e-6)
                        if refuse and (
                            abs(low_point - low * steps) > 1e-5
                            or abs(high_point - high * steps) > 1e-5
                        ):
                            reason = 3
                            break
                        low, high = low_point / steps, high_point / steps
                    if not low < high:  # a spread too thin for the grid or for float64
                        reason = 6
                        break
                    bids[b, i], asks[b, i] = low, high
                    bid_sizes[b, i] = size if low > 0.0 else 0.0
                    ask_sizes[b, i] = size if high > 0.0 else 0.0
                refused[b, n] = reason
                if reason == 0:
                    ages[b, n] = 0.0
                else:
                    for i in range(begin, end):
                        bids[b, i], asks[b, i] = bid[b, i], ask[b, i]
                        bid_sizes[b, i] = 0.0 if withdraw else bid_size[b, i]
                        ask_sizes[b, i] = 0.0 if withdraw else ask_size[b, i]
            if max_age > 0 and ages[b, n] > max_age:
                for i in range(begin, end):
                    bid_sizes[b, i] = ask_sizes[b, i] = 0.0
