"""The venues of a scenario: what a file says of each, and how they become a market."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from mos_agents.market.checks import naming
from mos_agents.market.types import InputError
from mos_agents.market.venues.venue import Venue
from mos_agents.scenarios import parts
from mos_agents.scenarios.catalogues import DrawnCatalogue, Name, Strict, UniformCatalogue
from mos_agents.scenarios.parts import Whole


def _usual(stage: str, kind: str) -> Callable[[], Any]:
    return lambda: parts.model_of(stage, kind)()


class VenueSettings(Strict):
    """A place with rules of its own, in which participants trade goods.

    Parameters
    ----------
    name : str
        name of the venue; an instrument is called venue.good.
    goods : list of str or None
        the goods traded there, by name; null takes all instruments.
    quoting : list of str
        participants that quote there, by the names of participants or of their groups.
    ordering : tuple of str
        participants that may send orders there, by the same names.
    catalogue : DrawnCatalogue, UniformCatalogue or None
        reference prices there, and costs and stocks of those who quote; null takes the
        scenario's.
    quotes : any
        how an action becomes a quote, and which are refused.
    orders : any
        how an action becomes an order.
    arrivals : any
        who comes from outside.
    execution : any
        how those from outside trade.
    reference : any
        what moves by itself: mid prices, costs, outside demand.
    order_time : str
        when orders trade: "first", before those who come from outside, "last", after them, or
        "among" them, each at a random time.
    delivery : int
        ticks until units bought by an order are at hand, >= 0; 0 is at once, for venues that
        are cleared later in the tick.
    fees : any
        what trades there cost, for the platform.
    """

    name: Name
    goods: list[Name] | None = None
    quoting: list[str] = Field(min_length=1)
    ordering: tuple[str, ...] = ()
    catalogue: Annotated[DrawnCatalogue | UniformCatalogue, Field(discriminator="kind")] | None = (
        None
    )
    quotes: parts.Quotes = Field(default_factory=_usual("quotes", "posted_price"))
    orders: parts.Orders = Field(default_factory=_usual("orders", "limit_orders"))
    arrivals: parts.Arrivals = Field(default_factory=_usual("arrivals", "none"))
    execution: parts.Execution = Field(default_factory=_usual("execution", "orders_only"))
    reference: parts.Reference = Field(default_factory=_usual("reference", "fundamentals"))
    order_time: Literal["first", "last", "among"] = "first"
    delivery: Annotated[Whole, Field(ge=0, le=100_000)] = 0
    fees: parts.Fees = Field(default_factory=_usual("fees", "fixed"))

    def venue(self, goods: Sequence[str], members: Mapping[str, Sequence[str]]) -> Venue:
        """The venue itself.

        Parameters
        ----------
        goods : sequence of str
            All goods of the scenario.
        members : mapping
            Participants by their name, or by that of their group.

        Raises
        ------
        InputError
            If it names a good or a participant that is not there.
        """
        for name in self.goods or ():
            if name not in goods:
                raise InputError(
                    f"venues.{self.name}.goods: {name!r} is not one of the instruments "
                    f"{list(goods)[:10]}"
                )
        process = type(self.reference).model_fields.keys() - {"kind"}
        for part in process:
            if isinstance(getattr(self.reference, part), parts.ReplayFile):
                raise InputError(
                    f"venues.{self.name}.reference.{part}: recorded series are read for markets "
                    "of one venue only; take another kind"
                )
        with naming(f"venues.{self.name}"):
            return Venue(
                self.name,
                tuple(self.goods) if self.goods is not None else tuple(goods),
                self._named("quoting", members),
                self._named("ordering", members),
                self.quotes.build(),
                self.orders.build(),
                self.arrivals.build(),
                self.execution.build(),
                self.reference.build(),
                self.order_time,
                self.delivery,
                self.fees.build(),
            )

    def _named(self, what: str, members: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        found: list[str] = []
        for name in getattr(self, what):
            if name not in members:
                raise InputError(
                    f"{what}: {name!r} is not one of the participants {list(members)[:10]}"
                )
            found += members[name]
        return tuple(found)
