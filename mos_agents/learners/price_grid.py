"""The prices among which a learner chooses, and how it reads what it sees on the same scale.

A tabular learner knows its market as numbered situations (*states*) and numbered prices (*levels*).
This module turns an observation into the number of a state, and the number of a level into a price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mos_agents.market.checks import check_whole
from mos_agents.market.grids import check_levels
from mos_agents.market.memory import MOST_OF_MEMORY, memory
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.types import Array, InputError, IntArray
from mos_agents.policies.base import check_fits, check_number, check_numbers, quoted

RULES = ("fee", "unit_fee", "placement")
"""Fees that a platform sets and bids for a place, of which a learner may choose one number."""
AMOUNTS = {"offset": "spreads", "quantity": "quantities"}
"""What levels are where they are no prices, by the first number of an action."""
SCALES = ("money", "cost", "opening")
SCOPES = ("listing", "firm")
FEATURES = ("all", "rivals", "cheapest", "mean", "own", "nothing")
MOST_STATES = 5_000_000
MOST_ENTRIES = 100_000_000
"""Numbers in the table of one participant in one market: 800 MB."""


@dataclass(frozen=True)
class PriceGrid:
    """The prices that a learner chooses from, and the states that it distinguishes.

    Parameters
    ----------
    prices : int or tuple of float
        a number of prices in equal steps from low to high, ends included, in [2, 10000]; or the
        prices themselves, rising. For dealers they are spreads around the mid price, for those
        who order they are quantities, and for a platform they are fees.
    low : float
        lowest price, in the unit of `relative_to`, >= 0 and < high.
    high : float
        highest price, in the unit of `relative_to`, > 0.
    relative_to : str
        what a level multiplies: "money" (a level is a price), the own unit "cost", or the
        "opening" price of each listing.
    scope : str
        "listing" learns for each listing by itself, from that listing's own profit and against
        the offers of the same product; "firm" has one lever, a level that all own listings
        share, and learns from the participant's reward.
    features : str
        what distinguishes states: "all" (own level and each rival's), "rivals" (each rival's),
        "cheapest" (own, and the cheapest rival's), "mean" (own, and the rivals' mean), "own",
        or "nothing" (one state, as bandits have).
    periods : int
        how many past periods a state holds, 1 or 2.
    rival_prices : tuple of tuples of float or None
        levels on which rivals' prices are read: None reads them on the own ones; a list of
        lists gives one for each rival, in roster order.
    sees_holder : bool
        states also tell which offer of the product was shown to shoppers in the last tick, in
        markets with a rule of prominence; before the first tick, the first in roster order.
    """

    kind: ClassVar[str]

    prices: int | tuple[float, ...] = 11
    low: float = 0.8
    high: float = 1.3
    relative_to: str = "opening"
    scope: str = "listing"
    features: str = "all"
    periods: int = 1
    rival_prices: tuple[tuple[float, ...], ...] | None = None
    sees_holder: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("relative_to", SCALES), ("scope", SCOPES), ("features", FEATURES)):
            if getattr(self, name) not in allowed:
                text = ", ".join(repr(one) for one in allowed)
                raise InputError(
                    f"{self.kind}.{name}={getattr(self, name)!r} must be one of {text}"
                )
        if isinstance(self.periods, bool) or self.periods not in (1, 2):
            raise InputError(f"{self.kind}.periods={self.periods!r} must be 1 or 2 past periods")
        self._check_prices()
        check_number(self, "low", 0.0)
        check_number(self, "high", 0.0)
        if not isinstance(self.prices, tuple) and not self.low < self.high:
            raise InputError(f"{self.kind}.low={self.low!r} must be below high={self.high!r}")
        if self.rival_prices is not None:
            self._check_rival_prices()

    def _check_prices(self) -> None:
        count = self.prices
        if isinstance(count, bool) or (np.ndim(count) == 0 and not isinstance(count, str)):
            check_whole(f"{self.kind}.prices", count, 2, 10_000, ", or a list of prices")
            return
        check_numbers(self, "prices", 0.0)
        grid = np.asarray(self.prices)
        if grid.size < 2 or not (np.diff(grid) > 0.0).all():
            raise InputError(
                f"{self.kind}.prices={self.prices!r} must be two or more prices, rising: "
                "with one there is nothing to learn"
            )

    def _check_rival_prices(self) -> None:
        try:
            rows = tuple(tuple(float(v) for v in row) for row in self.rival_prices or ())
        except (TypeError, ValueError):
            rows = ()
        fine = all(len(row) > 1 and (np.diff(row) > 0.0).all() for row in rows)
        if not rows or not fine or not all(np.isfinite(row).all() for row in rows):
            raise InputError(
                f"{self.kind}.rival_prices={self.rival_prices!r} must be a list of rising prices "
                "for each rival, or null to read them on the own ones"
            )
        object.__setattr__(self, "rival_prices", rows)

    # --- what there is to choose ------------------------------------------------------------------

    @cached_property
    def grid(self) -> Array:
        """[m] the levels; made once and shared, so nobody may write to it."""
        if isinstance(self.prices, tuple):
            grid = np.array(self.prices, dtype=np.float64)
        else:
            steps = np.arange(self.prices) / (self.prices - 1)
            grid = self.low + steps * (self.high - self.low)
        grid.flags.writeable = False
        return grid

    def choices(self, spec: ParticipantSpec) -> int:
        """How many independent choices are learnt: C, one a listing or one for the firm."""
        return 1 if self.scope == "firm" else spec.action_shape[0]

    def check_spec(self, spec: ParticipantSpec) -> None:
        """InputError unless the learner fits its place."""
        if spec.features[0] in RULES:
            self._check_rule(spec)
        elif spec.features[0] in AMOUNTS:
            self._check_amount(spec)
        else:
            check_fits(self, spec, "price")
            if spec.action_shape[0] == 0:
                raise InputError(f"{spec.name}: {self.kind} has nothing to price here")
            if self.relative_to == "cost" or self.scope == "listing":
                check_fits(self, spec, "price", "cost")
        if self.features in ("all", "rivals", "cheapest", "mean") and self.rivals(spec) == 0:
            raise InputError(
                f"{spec.name}: {self.kind}.features={self.features!r}, but no rival is seen here; "
                "set features='own', or show rivals' quotes (observations.show_rivals)"
            )
        if self.rival_prices is not None and len(self.rival_prices) != self.rivals(spec):
            raise InputError(
                f"{spec.name}: {self.kind}.rival_prices has {len(self.rival_prices)} lists, but "
                f"{self.rivals(spec)} rivals are seen; give one for each"
            )
        if self.sees_holder:
            self._check_holder(spec)
        if (count := self.states(spec)) > MOST_STATES:
            raise InputError(
                f"{spec.name}: {self.kind} would tell {count:,} states apart, at most "
                f"{MOST_STATES:,} are possible; set features='cheapest' or fewer prices"
            )
        if (entries := count * self.grid.size * self.choices(spec)) > MOST_ENTRIES:
            raise InputError(
                f"{spec.name}: {self.kind} would keep a table of {entries:,} numbers, at most "
                f"{MOST_ENTRIES:,} are possible; set features='cheapest' or fewer prices"
            )
        self._check_levels(spec)

    def _check_rule(self, spec: ParticipantSpec) -> None:
        """InputError unless it can choose what a platform sets: one fee, from its own grid."""
        if len(set(spec.features) & set(RULES)) > 1:
            raise InputError(
                f"{spec.name}: {self.kind} chooses one number, and this participant sets "
                f"{' and '.join(spec.features)}: set highest_fee or highest_unit_fee to 0"
            )
        if spec.action_shape[0] > 1 and self.scope == "listing":
            raise InputError(
                f"{spec.name}: {self.kind}.scope='listing' needs the profit of each offer, which "
                "is not known of bids for places: set scope='firm'"
            )
        if self.relative_to != "money":
            raise InputError(
                f"{spec.name}: {self.kind}.relative_to={self.relative_to!r} is for prices; a fee "
                "is the number itself: set relative_to='money'"
            )

    def _check_amount(self, spec: ParticipantSpec) -> None:
        """InputError unless it can choose a dealer's spread, or the quantity of an order."""
        what = AMOUNTS[spec.features[0]]
        if self.features not in ("own", "nothing"):
            raise InputError(
                f"{spec.name}: {self.kind}.features={self.features!r} reads prices, and the levels "
                f"here are {what}: set features='own' or 'nothing'"
            )
        if self.scope == "listing" and spec.action_shape[0] > 1:
            raise InputError(
                f"{spec.name}: {self.kind}.scope='listing' learns from the profit of each price; "
                f"the levels here are {what}: set scope='firm'"
            )
        if self.relative_to == "cost" or (
            what == "quantities" and (self.relative_to != "money" or spec.turn[0] == 0)
        ):
            raise InputError(
                f"{spec.name}: {self.kind} chooses {what}: set relative_to='money'"
                + (" and a schedule of fixed turns" if spec.turn[0] == 0 else "")
            )

    def own_level(self, spec: ParticipantSpec, observation: Array) -> Array:
        """[B, L_n] what stands of the own choices: prices, spreads, units ordered or a fee."""
        if spec.features[0] == "offset":
            return spec.read(observation, "own_ask") - spec.read(observation, "own_bid")
        if spec.features[0] == "quantity":
            return spec.read(observation, "order_bought")
        name = spec.features[0] if spec.features[0] in RULES else "own_ask"
        return spec.read(observation, name)

    def _check_holder(self, spec: ParticipantSpec) -> None:
        """InputError where the holder of a place is not known."""
        if "own_shown" not in spec.where:
            raise InputError(
                f"{spec.name}: {self.kind}.sees_holder, but every offer is shown here; leave it "
                "out, or set execution.prominence.kind"
            )
        if self.features == "nothing" or (self.scope == "firm" and spec.action_shape[0] > 1):
            raise InputError(
                f"{spec.name}: {self.kind}.sees_holder needs one choice for each offer and states "
                "to tell apart; set scope='listing' and other features"
            )

    def _check_levels(self, spec: ParticipantSpec) -> None:
        """InputError if two levels are one price for a listing, at the opening's scale."""
        scales = {
            "money": np.ones(spec.action_shape[0]),
            "opening": spec.opening_price,
            "cost": spec.opening_cost,
        }
        for i, scale in enumerate(scales[self.relative_to]):
            # A unit that costs nothing has no scale at all; of one that is hidden nothing is known.
            if np.isfinite(scale):
                levels = np.repeat(
                    self.grid[:, None] * max(float(scale), 1e-12), spec.action_shape[0], axis=1
                )
                check_levels(spec, i, self._action(spec, levels)[:, i], f"{self.kind}.prices")

    def row_bytes(self) -> int:
        """Bytes that the tables take for one state of one choice in one market."""
        raise NotImplementedError

    def memory_needed(self, spec: ParticipantSpec, batch: int) -> int:
        """Bytes that the tables take in so many markets."""
        return self.row_bytes() * self.states(spec) * self.choices(spec) * batch

    def priced(self, spec: ParticipantSpec, observation: Array, level: IntArray) -> Array:
        """[B, L_n, A] the action that asks level [B, C] of every choice."""
        return self._action(spec, self.grid[level] * self._scale(spec, observation))

    def _action(self, spec: ParticipantSpec, values: Array) -> Array:
        """[B, L_n, A] the action of prices, fees, spreads around the mid price, or quantities."""
        if spec.features[0] == "offset":
            return quoted(spec, np.zeros_like(values), values)
        if spec.features[0] == "quantity":
            return quoted(spec, values, spec.high[:, 1])
        return quoted(spec, values)

    def _scale(self, spec: ParticipantSpec, observation: Array) -> Array:
        """[B, L_n] or [L_n] what the levels multiply."""
        if self.relative_to == "money":
            return np.ones(spec.action_shape[0])
        if self.relative_to == "opening":
            return spec.opening_price
        return np.maximum(spec.read(observation, "cost"), 1e-12)

    def level_of(self, spec: ParticipantSpec, observation: Array, price: Array) -> IntArray:
        """[B, C] the level nearest to own prices [B, L_n] (a firm's: to their mean)."""
        ratio = price / self._scale(spec, observation)
        return nearest(
            self.grid, ratio.mean(axis=1, keepdims=True) if self.scope == "firm" else ratio
        )

    def profit(self, spec: ParticipantSpec, observation: Array, reward: Array) -> Array:
        """[B, C] what each choice earned in the last tick: its own profit, or the firm's reward."""
        if self.scope == "firm" or spec.action_shape[0] == 1:
            return reward[:, None]
        margin = spec.read(observation, "own_ask") - spec.read(observation, "cost")
        earned: Array = margin * spec.read(observation, "own_sold")
        return earned

    # --- what there is to see ---------------------------------------------------------------------

    def rivals(self, spec: ParticipantSpec) -> int:
        """How many rivals one choice distinguishes: offers of the product, or firms."""
        return len(self._rival_columns(spec))

    def _rival_columns(self, spec: ParticipantSpec) -> list[tuple[int, IntArray]]:
        """(participant, columns of rivals' quotes): [C] one offer a choice, or [r] all of a
        firm's."""
        if self.scope == "firm":
            return spec.rival_firms
        if (spec.rivals < 0).any():
            raise InputError(
                f"{spec.name}: {self.kind} meets more rivals in one product than in another; "
                "set scope='firm', or features='own'"
            )
        return spec.rival_offers

    def states_now(self, spec: ParticipantSpec) -> int:
        """How many situations one period can leave."""
        return self._price_states(spec) * (self.rivals(spec) + 1 if self.sees_holder else 1)

    def _price_states(self, spec: ParticipantSpec) -> int:
        own = self.grid.size
        if self.features == "nothing":
            return 1
        if self.features == "own":
            return own
        if self.features in ("cheapest", "mean"):
            return own * own
        count = own if self.features == "all" else 1
        for grid in self._rival_grids(spec):
            count *= grid.size
        return count

    def states(self, spec: ParticipantSpec) -> int:
        """S, the situations that a choice distinguishes."""
        return int(self.states_now(spec)) ** self.periods

    def _rival_grids(self, spec: ParticipantSpec) -> list[Array]:
        if self.rival_prices is None:
            return [self.grid] * self.rivals(spec)
        return self._rival_levels

    @cached_property
    def _rival_levels(self) -> list[Array]:
        return [np.asarray(row) for row in self.rival_prices or ()]

    def encode(
        self, spec: ParticipantSpec, observation: Array, opening: Array | None = None
    ) -> IntArray:
        """[B, C] the number of the present situation, from the own observation [B, D_n].

        Levels are the digits, in roster order, the first participant's the most significant; the
        holder, if seen, is the last digit. `opening` [B, r]: what rivals asked at first (means by
        firm), for levels relative to it.
        """
        state = self._encode_prices(spec, observation, opening)
        if not self.sees_holder:
            return state
        return state * (self.rivals(spec) + 1) + self._holder(spec, observation)

    def _holder(self, spec: ParticipantSpec, observation: Array) -> IntArray:
        """[B, C] which offer was shown, of those that one choice distinguishes, in roster order."""
        shown = {spec.number: spec.read(observation, "own_shown")}
        if self.rivals(spec):
            others = spec.read(observation, "rival_shown")
            shown |= {number: others[:, columns] for number, columns in self._rival_columns(spec)}
        ranked = np.stack([shown[number] for number in sorted(shown)], axis=-1)
        holder: IntArray = ranked.argmax(axis=-1)
        return holder

    def _encode_prices(
        self, spec: ParticipantSpec, observation: Array, opening: Array | None
    ) -> IntArray:
        """[B, C] the number of the present prices."""
        batch, choices = len(observation), self.choices(spec)
        if self.features == "nothing":
            return np.zeros((batch, choices), np.int64)
        own = self.level_of(spec, observation, self.own_level(spec, observation))
        if self.features == "own":
            return own
        ratios = self.rival_ratios(spec, observation, opening)
        if self.features in ("cheapest", "mean"):
            seen = ratios.min(axis=0) if self.features == "cheapest" else ratios.mean(axis=0)
            return own * self.grid.size + nearest(self.grid, seen)
        digits = [
            (number, grid.size, nearest(grid, ratio))
            for (number, _), grid, ratio in zip(
                self._rival_columns(spec), self._rival_grids(spec), ratios, strict=True
            )
        ]
        if self.features == "all":
            digits.append((spec.number, self.grid.size, own))
        state = np.zeros((batch, choices), np.int64)
        for _, radix, digit in sorted(digits, key=lambda one: one[0]):
            state = state * radix + digit
        return state

    def rival_ratios(
        self, spec: ParticipantSpec, observation: Array, opening: Array | None
    ) -> Array:
        """[r, B, C] rivals' prices on the scale of the levels; closed offers count as dearest."""
        asks = spec.read(observation, "rival_ask")
        is_open: Any = spec.read(observation, "rival_open") > 0.0
        if self.scope == "listing":
            columns = np.array([one for _, one in self._rival_columns(spec)])  # [r, H]
            scale = self._scale(spec, observation)
            # One gather for all rivals: this is where a learner in a market spends its time.
            ratios = np.where(is_open[:, columns], asks[:, columns] / scale[..., None, :], np.inf)
            found: Array = ratios.transpose(1, 0, 2)
            return found
        scale = np.atleast_2d(self._scale(spec, observation))
        rows = []
        for r, (_, columns) in enumerate(self._rival_columns(spec)):
            ratio = asks[:, columns].mean(axis=1, keepdims=True)
            if self.relative_to == "opening" and opening is not None and opening.shape[1]:
                ratio = ratio / opening[:, r : r + 1]
            elif self.relative_to != "money":
                ratio = ratio / scale.mean(axis=1, keepdims=True)
            rows.append(np.where(is_open[:, columns].any(axis=1)[:, None], ratio, np.inf))
        return np.stack(rows)

    def opening_rivals(self, spec: ParticipantSpec, observation: Array) -> Array:
        """[B, r] what each rival firm asks now, on average; empty where nobody needs to know."""
        if self.scope != "firm" or self.relative_to != "opening" or self.rivals(spec) == 0:
            return np.empty((len(observation), 0))
        asks = spec.read(observation, "rival_ask")
        return np.stack(
            [asks[:, columns].mean(axis=1) for _, columns in self._rival_columns(spec)], axis=1
        )


def check_table_memory(assigned: Sequence[tuple[ParticipantSpec, PriceGrid]], batch: int) -> None:
    """InputError unless the tables of learners that fit their participants, in so many markets, fit
    in this machine's memory together."""
    needed = sum(one.memory_needed(spec, batch) for spec, one in assigned)
    there = memory()
    if needed > MOST_OF_MEMORY * there:
        fit = int(MOST_OF_MEMORY * there * batch / needed)
        remedy = f"play at most {fit:,} markets, or set" if fit else "set"
        raise InputError(
            f"{', '.join(spec.name for spec, _ in assigned):.100}: tables of "
            f"{', '.join(sorted({one.kind for _, one in assigned}))} in {batch:,} markets take "
            f"{needed / 1e9:,.1f} GB, and {MOST_OF_MEMORY:.0%} of this machine's memory are "
            f"{MOST_OF_MEMORY * there / 1e9:,.1f} GB; {remedy} fewer prices or features='cheapest'"
        )


def nearest(grid: Array, values: Array) -> IntArray:
    """The number of the nearest level (the lower one of two as near); infinity is the highest."""
    found: IntArray = (0.5 * (grid[1:] + grid[:-1])).searchsorted(values)
    return found
