"""A scenario becomes a market: its files are read, its participants and goods get their layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mos_agents.market.checks import naming
from mos_agents.market.dealing import DealerTrades
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Auction
from mos_agents.market.market import Market
from mos_agents.market.types import InputError, Layout
from mos_agents.market.venues.build import venue_market
from mos_agents.scenarios import parts, tables
from mos_agents.scenarios.catalogues import DrawnCatalogue, UniformCatalogue
from mos_agents.scenarios.tables import CatalogueTable, Series, arrange, read_series

if TYPE_CHECKING:
    from mos_agents.scenarios.schema import Scenario

DRIVEN: tuple[tables.Part, ...] = ("price", "cost", "demand")
"""What a recorded series can drive."""


class ReadFiles(NamedTuple):
    """What a market was made from: its catalogue's file and its recorded series."""

    catalogue: CatalogueTable | None
    series: dict[tables.Part, Series]


def driven_names(layout: Layout, part: tables.Part) -> Sequence[str]:
    """What reference prices, costs or demand are of, by name: instruments, listings, groups."""
    if part == "price":
        return layout.instruments
    if part == "demand":
        return layout.instruments if layout.choice == "within" else ("market",)
    return [
        f"{layout.participants[n]}/{layout.instruments[k]}"
        for n, k in zip(layout.seller, layout.instrument, strict=True)
    ]


def build(scenario: Scenario) -> tuple[Market, ReadFiles]:
    """The market, ready to start, and what its files hold."""
    if scenario.venues:
        return _venue_market(scenario), ReadFiles(None, {})
    execution = scenario.execution.build()
    _quality_is_read(scenario, execution)
    with naming("catalogue"):
        table = scenario.table()
    names, roles = scenario.roster(table.seller if table else [])
    if table:
        _check_counts(scenario, table.seller)
        with naming("catalogue"):
            layout, catalogue = arrange(table, names, roles, execution.choice)
    else:
        assert isinstance(scenario.catalogue, DrawnCatalogue | UniformCatalogue)
        layout = _layout(scenario, names, roles, execution.choice)
        with naming("catalogue"):
            catalogue = scenario.catalogue.catalogue(layout)
    with naming("reference"):  # reads the files of recorded series
        moves, series = _moves(scenario, layout)
    market = make_market(
        layout=layout,
        catalogue=catalogue,
        execution=execution,
        quotes=scenario.quotes.build(),
        schedule=scenario.schedule.build(),
        arrivals=scenario.arrivals.build(),
        positions=scenario.positions.build(),
        reference=moves,
        observations=scenario.observations.build(),
        rewards=scenario.rewards.build(),
        dt=scenario.dt,
        horizon=scenario.ticks,
        name=scenario.name,
    )
    return market, ReadFiles(table, series)


def _layout(scenario: Scenario, names: list[str], roles: list[str], choice: str) -> Layout:
    """Every seller offers every instrument."""
    instruments = _instruments(scenario)
    silent = {
        name for group in scenario.participants if not group.sells for name in group.names([])
    }
    if not silent:
        return Layout.dense(names, instruments, roles, choice)
    sellers = [i for i, name in enumerate(names) if name not in silent]
    if not sellers:
        raise InputError("participants: nobody sells; leave sells out, or add sellers")
    return Layout(
        tuple(names),
        tuple(roles),
        tuple(instruments),
        np.repeat(sellers, len(instruments)),
        np.tile(np.arange(len(instruments)), len(sellers)),
        choice,
    )


def _venue_market(scenario: Scenario) -> Market:
    names, roles = scenario.roster([])
    members: dict[str, Sequence[str]] = {name: [name] for name in names}
    members |= {group.name: group.names([]) for group in scenario.participants}
    goods = _instruments(scenario)
    assert scenario.venues and isinstance(scenario.catalogue, DrawnCatalogue | UniformCatalogue)
    catalogues = {
        one.name: (one.catalogue or scenario.catalogue).catalogue for one in scenario.venues
    }
    return venue_market(
        names,
        roles,
        [one.venue(goods, members) for one in scenario.venues],
        catalogues,
        schedule=scenario.schedule.build(),
        positions=scenario.positions.build(),
        observations=scenario.observations.build(),
        rewards=scenario.rewards.build(),
        dt=scenario.dt,
        horizon=scenario.ticks,
        name=scenario.name,
    )


def _moves(scenario: Scenario, layout: Layout) -> tuple[Any, dict[tables.Part, Series]]:
    """The processes of prices, costs and demand, with recorded ones read for this layout."""
    made: dict[str, Any] = {}
    read: dict[tables.Part, Series] = {}
    for part in type(scenario.reference).model_fields.keys() - {"kind"}:
        process = getattr(scenario.reference, part)
        if isinstance(process, parts.ReplayFile):
            if part not in DRIVEN:
                raise InputError(
                    f"{part}: a series is read for {', '.join(DRIVEN)} only; take another kind"
                )
            read[part] = read_series(process, part, driven_names(layout, part))
            made[part] = process.replay(read[part].values)
        else:
            made[part] = parts.built(process)
    return scenario.reference.stage_class()(**made), read


def _quality_is_read(scenario: Scenario, execution: Any) -> None:
    """InputError for a quality that is set and that no demand model of this market reads."""
    if not isinstance(scenario.catalogue, DrawnCatalogue | UniformCatalogue):
        return  # a file has the column, whatever it is used for
    quality = scenario.catalogue.quality
    demand = execution.demand_model() or execution
    blind = isinstance(demand, Elasticity | Linear | Cheapest | DealerTrades | Auction)
    if isinstance(demand, Logit):
        blind = demand.quality_coefficient == 0.0
    if blind and quality != type(scenario.catalogue).model_fields["quality"].default:
        raise InputError(
            f"catalogue.quality={quality!r} changes nothing here: "
            f"{type(demand).__name__.lower()} "
            "does not look at it; leave it out, or take logit demand with a quality_coefficient"
        )


def _instruments(scenario: Scenario) -> list[str]:
    if isinstance(scenario.instruments, list):
        return scenario.instruments
    kind = "asset" if scenario.quotes.kind == "two_sided" else "product"
    kind = "good" if scenario.venues else kind
    kind = "item" if scenario.quotes.kind == "sealed_bid" else kind
    return [f"{kind}_{i + 1}" for i in range(scenario.instruments or 0)]


def _check_counts(scenario: Scenario, sellers: list[str]) -> None:
    """A seller of a catalogue's file is one participant, and has no numbered ones."""
    known = set(sellers)
    for number, group in enumerate(scenario.participants):
        if group.count is not None and group.name in known:
            raise InputError(
                f"participants.{number}.count={group.count}: {group.name!r} is one seller of "
                "the catalogue's file; leave count out"
            )
