"""The places of the loop where a part can be replaced: one protocol a stage, one verb each.

A stage is a frozen set of parameters. It receives the market (its layout and catalogue), the
state between ticks and the tick's draws; it returns what it made and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mos_agents.market.streams import Draws
from mos_agents.market.types import (
    Array,
    Arrivals,
    Executions,
    Flows,
    IntArray,
    Positions,
    Quotes,
    State,
)

if TYPE_CHECKING:
    from mos_agents.market.observations import ObservationField
    from mos_agents.market.tick import Market


class Schedule(Protocol):
    """Who is on the move at this tick."""

    def moves(self, market: Market, tick: int, draws: Draws) -> Any:
        """[B, N] booleans (or [1, N], the same in every market)."""

    def turn(self, market: Market, n: int) -> tuple[int, int]:
        """(period, offset): participant n moves at the ticks t with (t - offset) % period == 0.

        (0, 0) where nobody can tell beforehand.
        """


class QuoteRule(Protocol):
    """Turns actions into quotes: accepts them, brings them within limits, or refuses them."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the A numbers that make up an action for one listing."""

    def limits(self, market: Market) -> tuple[Array, Array]:
        """Lowest and highest action, [L, A] each; what lies outside is refused."""

    def opening(self, market: Market, batch: int) -> Quotes:
        """The quotes that stand before the first tick."""

    def admit(
        self, market: Market, state: State, actions: Array, moves: Any
    ) -> tuple[Quotes, IntArray]:
        """Standing quotes after the actions [B, L, A], and the refusals [B, N] (0 = taken)."""


class ArrivalProcess(Protocol):
    """Outside demand before it chooses.

    A class may say `ignores_quotes = True` of itself: it does not look at quotes, so that its
    arrivals can be drawn while participants still decide. A class that inherits from it must say so
    anew.
    """

    def arrive(
        self, market: Market, state: State, quotes: Quotes, draws: Draws
    ) -> tuple[Arrivals, Array]:
        """The tick's arrivals, and the excitation [B, G, 2] to remember."""


class ExecutionRule(Protocol):
    """How arrivals become trades."""

    @property
    def choice(self) -> str:
        """Whether customers compare "within" an instrument or "across" the market."""

    def execute(
        self, market: Market, state: State, quotes: Quotes, arrivals: Arrivals, draws: Draws
    ) -> Executions:
        """Who traded how much at which price."""


class Demand(Protocol):
    """How customers choose among the offers of a group."""

    @property
    def choice(self) -> str:
        """Whether customers compare "within" an instrument or "across" the market."""

    def shares(self, market: Market, prices: Array, available: Any, reference: Array) -> Array:
        """[R, L] probability that an arrival chooses each listing; the rest is no purchase.

        `prices`, `available` (booleans) and `reference` are [R, L]: R markets, any of the batch.
        """


class PositionRule(Protocol):
    """Positions: cash and inventory, limits, supplies and the cost of holding."""

    def opening(self, market: Market, batch: int) -> Positions:
        """The positions before the first tick."""

    def capacity(self, market: Market, positions: Positions) -> tuple[Array, Array]:
        """[B, L] units that may be sold, and that may be bought, before a limit binds."""

    def marks(self, market: Market, state: State) -> Array:
        """[B, L] the price at which inventory is valued."""

    def settle(
        self, market: Market, state: State, executions: Executions
    ) -> tuple[Positions, Flows]:
        """The positions after the executions, and the money that moved."""


class ReferenceRule(Protocol):
    """How fundamentals move between ticks."""

    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        """Next reference prices [B, K], costs [B, L] and demand scales [B, G]."""

    # A rule may also have `opening_levels(market)`: [K], [L] and [G] before the first tick.

    @property
    def sigma(self) -> float:
        """Volatility of the reference price, in its own process's units, for inventory risk."""


class ObservationRule(Protocol):
    """Who sees what."""

    @property
    def delay(self) -> int:
        """Ticks by which rivals' quotes lag."""

    def fields(self, market: Market, n: int) -> tuple[ObservationField, ...]:
        """What participant n sees, in order."""

    def observe(
        self,
        market: Market,
        state: State,
        arrivals: Arrivals,
        executions: Executions,
        draws: Draws,
    ) -> Array:
        """[B, sum of D_n]: every participant's observation, in roster order."""


class RewardRule(Protocol):
    """What participants are after."""

    def score(self, market: Market, metrics: Array) -> Array:
        """[B, N] rewards from the tick's metrics [B, N, M]."""

    def breakdown(self, market: Market, metrics: Array) -> dict[str, Array]:
        """The terms that sum to the reward, [B, N] each."""
