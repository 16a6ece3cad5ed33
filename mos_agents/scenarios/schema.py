"""A market and its participants, written down: what a scenario file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import (
    BaseModel,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from mos_agents import registry
from mos_agents.market.checks import naming
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Cheapest, Elasticity, Linear, Logit
from mos_agents.market.execution import Auction, FillIntensity
from mos_agents.market.frames import text_html
from mos_agents.market.market import Market
from mos_agents.market.types import InputError, Layout
from mos_agents.market.venues.build import venue_market
from mos_agents.policies import Policy
from mos_agents.runs.names import participant_fault
from mos_agents.scenarios import parts, tables
from mos_agents.scenarios.catalogues import DrawnCatalogue, Name, Strict, UniformCatalogue
from mos_agents.scenarios.parts import Number, Whole
from mos_agents.scenarios.policy_files import each, embed_files, make_policy, resolve_paths
from mos_agents.scenarios.tables import (
    BUILTIN,
    MOST_LISTINGS,
    CatalogueFile,
    CatalogueTable,
    Series,
    arrange,
    digest_of,
    read_catalogue,
    read_series,
)
from mos_agents.scenarios.venues import VenueSettings


class Participants(Strict):
    """One participant, or several alike, and what they play.

    Parameters
    ----------
    name : str
        the participant's name, 1 to 100 characters that can be shown; "*" stands for all
        sellers of a catalogue file not named.
    role : {'platform', 'firm', 'maker', 'bidder'}
        platform, firm, maker or bidder; a platform may receive a commission.
    count : int or None
        so many participants, named name_1, name_2, ...; null is one, named as it is, >= 0.
    sells : bool
        False for a platform that has no offers of its own and lives on fees.
    policy : mapping or list of dict
        what they play when nobody else plays for them: a kind and its parameters; a list is
        dealt out in turn.
    """

    name: str
    role: Literal["platform", "firm", "maker", "bidder"] = "firm"
    count: Annotated[Whole, Field(ge=0, le=100_000)] | None = None
    sells: bool = True
    policy: dict[str, Any] | list[dict[str, Any]] = Field(default_factory=lambda: {"kind": "hold"})

    @field_validator("name")
    @classmethod
    def _shown(cls, value: str) -> str:
        fault = None if value == "*" else participant_fault(value)
        if fault is not None:
            raise ValueError(fault)
        return value

    @field_validator("policy")
    @classmethod
    def _known(cls, value: Any) -> Any:
        configs = value if isinstance(value, list) else [value]
        if not configs:
            raise ValueError("must name at least one policy")
        for number, config in enumerate(configs):
            try:
                make_policy(config)
            except InputError as error:
                # Of a list, the entry is named as in the path that leads to it.
                raise ValueError(
                    f".{number}: {error}" if configs is value else str(error)
                ) from None
        return value

    @model_validator(mode="after")
    def _counted(self) -> Participants:
        if self.name == "*" and self.count is not None:
            raise ValueError("count: leave it out, the catalogue's file says who '*' stands for")
        if not self.sells and self.role != "platform":
            raise ValueError(
                f"sells=false: {self.name!r} would do nothing, as only a platform lives on fees: "
                "leave it out, or set role=platform"
            )
        return self

    @property
    def size(self) -> int:
        """How many participants there are; '*' not counted."""
        if self.name == "*":
            return 0
        return 1 if self.count is None else self.count

    def names(self, others: list[str]) -> list[str]:
        """Names of the participants; `others` are the sellers that '*' stands for."""
        if self.name == "*":
            return others
        return [self.name] if self.count is None else _numbered(self.name, self.count)

    def policies(self, others: list[str]) -> list[Policy]:
        """A policy for each of the participants."""
        configs = self.policy if isinstance(self.policy, list) else [self.policy]
        return [make_policy(configs[i % len(configs)]) for i in range(len(self.names(others)))]


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{i + 1}" for i in range(count)]


DRIVEN: tuple[tables.Part, ...] = ("price", "cost", "demand")
"""What a recorded series can drive."""


class ReadFiles(NamedTuple):
    """What a market was made from: its catalogue's file and its recorded series."""

    catalogue: CatalogueTable | None
    series: dict[tables.Part, Series]


def _unpickled(data: dict[str, Any], classes: tuple[registry.Entry, ...]) -> Scenario:
    """A scenario that another process of the same user has sent: its modules are taken as named."""
    registry.adopt(classes)
    for module in data.get("import", ()):
        registry.load(module)
    return Scenario.model_validate(data)


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


OF_VENUES = ("quotes", "arrivals", "execution", "reference")
"""The keys that each venue has of its own, where there are several."""


def _usual(stage: str, kind: str) -> Callable[[], Any]:
    """What makes the part of a scenario that does not name it."""
    return lambda: parts.model_of(stage, kind)()


# `import` is no name for a field in a class's body.
_FIELDS: dict[str, Any] = {"import": (tuple[str, ...], Field(default=(), max_length=20))}
_Importing = create_model("_Importing", __base__=Strict, **_FIELDS)


class Scenario(_Importing):  # type: ignore[valid-type,misc]
    """A scenario: a market, its participants, and how long they play.

    `mos show retail` prints an example with every setting explained.

    Parameters
    ----------
    import : tuple of str
        modules of your own whose classes or policies are named here; they are imported only if
        the user names them too, with --import.
    name : str
        name of the scenario, which run folders begin with.
    description : str
        what it is about, in a few sentences; the report shows it.
    ticks : int
        ticks that are played, >= 1.
    markets : int
        independent copies of the market, each with random numbers of its own, >= 1.
    seed : int
        seed of all random numbers, >= 0.
    dt : float
        length of a tick, in the unit of time of all rates, > 0.
    participants : list of Participants
        who plays: a list of participants and groups of them.
    instruments : int, list of str or None
        what is traded: a number, or a list of names; a catalogue file names them itself.
    catalogue : DrawnCatalogue, UniformCatalogue or CatalogueFile
        unit cost, reference price, quality and opening stock of every listing.
    quotes : any
        how an action becomes a quote, and which are refused.
    schedule : any
        who may change a quote at which tick.
    arrivals : any
        who comes to the market: outside demand and supply.
    execution : any
        how arrivals become trades.
    positions : any
        stock, limits, orders, costs and fees.
    reference : any
        what moves by itself: mid prices, costs, outside demand.
    observations : any
        what each participant sees before it acts.
    rewards : any
        what each participant is after.
    venues : list of VenueSettings or None
        places with rules of their own, in the order in which they are cleared; each has its own
        quotes, arrivals, execution and reference. None is a market of one venue.
    """

    name: Name
    description: str = Field(default="", max_length=2000)
    ticks: Annotated[Whole, Field(ge=1, le=10**9)] = 500
    markets: Annotated[Whole, Field(ge=1, le=10**6)] = 1
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    dt: Annotated[Number, Field(gt=0, le=1e6)] = 1.0
    participants: list[Participants] = Field(min_length=1, max_length=10_000)
    instruments: Annotated[Whole, Field(ge=1, le=MOST_LISTINGS)] | list[Name] | None = None
    catalogue: Annotated[
        DrawnCatalogue | UniformCatalogue | CatalogueFile, Field(discriminator="kind")
    ] = DrawnCatalogue()
    quotes: parts.Quotes = Field(default_factory=_usual("quotes", "posted_price"))
    schedule: parts.Schedule = Field(default_factory=_usual("schedule", "simultaneous"))
    arrivals: parts.Arrivals = Field(default_factory=_usual("arrivals", "fixed_mass"))
    execution: parts.Execution = None
    positions: parts.Positions = Field(default_factory=_usual("positions", "ledger"))
    reference: parts.Reference = Field(default_factory=_usual("reference", "fundamentals"))
    observations: parts.Observations = Field(
        default_factory=_usual("observations", "own_and_rivals")
    )
    rewards: parts.Rewards = Field(default_factory=_usual("rewards", "weighted_metrics"))
    venues: Annotated[list[VenueSettings], Field(min_length=1, max_length=100)] | None = None

    def __repr__(self) -> str:
        return (
            f"Scenario({self.name!r}: {self.ticks:,} ticks, markets={self.markets:,}, "
            f"seed={self.seed}, {len(self.participants)} groups of participants; "
            "scenarios.dump gives it in full)"
        )

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from mos_agents.scenarios.files import dump  # which knows the schema

        return text_html(f"scenario {self.name}", dump(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # As its values: the models of its parts are made when the package is imported, and would
        # have to travel along.
        return _unpickled, (self.data(), registry.of_this_script())

    def data(self) -> dict[str, Any]:
        """The scenario as plain keys and values, as its file has them."""
        data: dict[str, Any] = self.model_dump(mode="python")
        for name in self.left_out:
            del data[name]
        return data

    @property
    def left_out(self) -> tuple[str, ...]:
        """The keys that mean nothing in this scenario."""
        unused = () if self.modules else ("import",)
        if not self.venues:
            return (*unused, "venues")
        own = all(venue.catalogue is not None for venue in self.venues)
        return (*unused, *OF_VENUES, *(("catalogue",) if own else ()))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the file imports: what stands behind `import:`."""
        return tuple(getattr(self, "import"))

    def with_modules(self) -> Scenario:
        """The scenario with every module named whose classes or policies it uses."""
        wanted = dict.fromkeys([*self.modules, *sorted(self._foreign())])
        same = len(wanted) == len(self.modules)
        return self if same else self.model_copy(update={"import": tuple(wanted)})

    def _foreign(self) -> set[str]:
        """The modules that registered what is used here, the package's own aside."""
        found: set[str] = set()

        def note(stage: str, kind: Any) -> None:
            entry = registry.entry(stage, str(kind))
            if entry is not None and entry.module not in ("mos_agents", "__main__"):
                found.add(entry.module)

        def walk_policy(config: Any) -> None:
            for value in config.values() if isinstance(config, dict) else config:
                if isinstance(value, dict | list):
                    walk_policy(value)
            if isinstance(config, dict) and "kind" in config:
                note("policy", config["kind"])

        def walk(part: BaseModel) -> None:
            for name, field in type(part).model_fields.items():
                value = getattr(part, name)
                if name == "venues":
                    for venue in value or ():
                        walk(venue)
                elif isinstance(value, parts.Part):
                    stage = next(m.stage for m in field.metadata if isinstance(m, parts.KindOf))
                    note(stage, value.kind)  # type: ignore[attr-defined]
                    walk(value)

        walk(self)
        for group in self.participants:
            walk_policy(group.policy)
        return found

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        self._check_venues()
        names = [p.name for p in self.participants]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"participants: {twice!r} is there twice; give every one its own name")
        many = sum(group.size for group in self.participants)
        if many > MOST_LISTINGS:
            raise ValueError(
                f"participants: {many:,} are too many, at most {MOST_LISTINGS:,} play; lower "
                "their counts"
            )
        if isinstance(self.catalogue, CatalogueFile):
            if self.instruments is not None:
                raise ValueError("instruments: leave it out, the catalogue's file names them")
            if not all(group.sells for group in self.participants):
                raise ValueError("sells: leave it out, the catalogue's file says who sells what")
            return self
        if "*" in names:
            raise ValueError("participants: '*' stands for a catalogue file's sellers; name them")
        if self.instruments is None:
            raise ValueError("instruments: is missing; give a number or a list of names")
        instruments = self.instruments
        listings = many * (len(instruments) if isinstance(instruments, list) else instruments)
        if not many:
            raise ValueError("participants: every count is 0; a market needs one or more of them")
        if not 1 <= listings <= MOST_LISTINGS:
            raise ValueError(
                f"participants x instruments = {listings:,} must be in [1, {MOST_LISTINGS:,}]"
            )
        self._roster([])
        return self

    def _check_venues(self) -> None:
        if not self.venues:
            if self.execution is None:
                raise ValueError("execution is missing")
            return
        for name in OF_VENUES:
            if name in self.model_fields_set:
                raise ValueError(f"{name}: each venue has its own; write it under venues")
        if "catalogue" in self.left_out and "catalogue" in self.model_fields_set:
            raise ValueError("catalogue: every venue has its own; leave it out")
        if isinstance(self.catalogue, CatalogueFile):
            raise ValueError("catalogue: a file is read for a market of one venue only")
        for group in self.participants:
            if not group.sells:
                raise ValueError(
                    f"participants.{group.name}.sells: venues name who quotes; leave it out"
                )
        names = [venue.name for venue in self.venues]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"venues: {twice!r} is there twice; give every one its own name")

    def market(self) -> Market:
        """The market, ready to start."""
        return self.made()[0]

    def made(self) -> tuple[Market, ReadFiles]:
        """The market, ready to start, and what its files hold."""
        if self.venues:
            return self._venue_market(), ReadFiles(None, {})
        execution = self.execution.build()
        self._quality_is_read(execution)
        with naming("catalogue"):
            table = self._table()
        names, roles = self._roster(table.seller if table else [])
        if table:
            self._check_counts(table.seller)
            with naming("catalogue"):
                layout, catalogue = arrange(table, names, roles, execution.choice)
        else:
            assert isinstance(self.catalogue, DrawnCatalogue | UniformCatalogue)
            layout = self._layout(names, roles, execution.choice)
            with naming("catalogue"):
                catalogue = self.catalogue.catalogue(layout)
        with naming("reference"):  # reads the files of recorded series
            moves, series = self._moves(layout)
        market = make_market(
            layout=layout,
            catalogue=catalogue,
            execution=execution,
            quotes=self.quotes.build(),
            schedule=self.schedule.build(),
            arrivals=self.arrivals.build(),
            positions=self.positions.build(),
            reference=moves,
            observations=self.observations.build(),
            rewards=self.rewards.build(),
            dt=self.dt,
            horizon=self.ticks,
            name=self.name,
        )
        return market, ReadFiles(table, series)

    def _layout(self, names: list[str], roles: list[str], choice: str) -> Layout:
        """Every seller offers every instrument."""
        instruments = self._instruments()
        silent = {
            name for group in self.participants if not group.sells for name in group.names([])
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

    def _venue_market(self) -> Market:
        names, roles = self._roster([])
        members: dict[str, Sequence[str]] = {name: [name] for name in names}
        members |= {group.name: group.names([]) for group in self.participants}
        goods = self._instruments()
        assert self.venues and isinstance(self.catalogue, DrawnCatalogue | UniformCatalogue)
        catalogues = {one.name: (one.catalogue or self.catalogue).catalogue for one in self.venues}
        return venue_market(
            names,
            roles,
            [one.venue(goods, members) for one in self.venues],
            catalogues,
            schedule=self.schedule.build(),
            positions=self.positions.build(),
            observations=self.observations.build(),
            rewards=self.rewards.build(),
            dt=self.dt,
            horizon=self.ticks,
            name=self.name,
        )

    def _moves(self, layout: Layout) -> tuple[Any, dict[tables.Part, Series]]:
        """The processes of prices, costs and demand, with recorded ones read for this layout."""
        made: dict[str, Any] = {}
        read: dict[tables.Part, Series] = {}
        for part in type(self.reference).model_fields.keys() - {"kind"}:
            process = getattr(self.reference, part)
            if isinstance(process, parts.ReplayFile):
                if part not in DRIVEN:
                    raise InputError(
                        f"{part}: a series is read for {', '.join(DRIVEN)} only; take another kind"
                    )
                read[part] = read_series(process, part, driven_names(layout, part))
                made[part] = process.replay(read[part].values)
            else:
                made[part] = parts.built(process)
        return self.reference.stage_class()(**made), read

    def _quality_is_read(self, execution: Any) -> None:
        """InputError for a quality that is told and that no demand model of this market reads."""
        if not isinstance(self.catalogue, DrawnCatalogue | UniformCatalogue):
            return  # a file has the column, whatever it is used for
        quality = self.catalogue.quality
        demand = execution.demand_model() or execution
        blind = isinstance(demand, Elasticity | Linear | Cheapest | FillIntensity | Auction)
        if isinstance(demand, Logit):
            blind = demand.quality_coefficient == 0.0
        if blind and quality != type(self.catalogue).model_fields["quality"].default:
            raise InputError(
                f"catalogue.quality={quality!r} changes nothing here: "
                f"{type(demand).__name__.lower()} "
                "does not look at it; leave it out, or take logit demand with a quality_coefficient"
            )

    def policies(self) -> dict[str, Policy]:
        """What every participant plays by itself, in roster order."""
        table = self._table()
        sellers = table.seller if table else []
        others, names = self._others(sellers), self._roster(sellers)[0]
        made = [policy for group in self.participants for policy in group.policies(others)]
        return dict(zip(names, made, strict=True))

    def _table(self) -> CatalogueTable | None:
        if isinstance(self.catalogue, CatalogueFile):
            return read_catalogue(self.catalogue)
        return None

    def _instruments(self) -> list[str]:
        if isinstance(self.instruments, list):
            return self.instruments
        kind = "asset" if self.quotes.kind == "two_sided" else "product"
        kind = "good" if self.venues else kind
        kind = "item" if self.quotes.kind == "sealed_bid" else kind
        return [f"{kind}_{i + 1}" for i in range(self.instruments or 0)]

    def _check_counts(self, sellers: list[str]) -> None:
        """A seller of a catalogue's file is one participant, and has no numbered ones."""
        known = set(sellers)
        for number, group in enumerate(self.participants):
            if group.count is not None and group.name in known:
                raise InputError(
                    f"participants.{number}.count={group.count}: {group.name!r} is one seller of "
                    "the catalogue's file; leave count out"
                )

    def _others(self, sellers: list[str]) -> list[str]:
        named = {p.name for p in self.participants}
        return [s for s in dict.fromkeys(sellers) if s not in named]

    def _roster(self, sellers: list[str]) -> tuple[list[str], list[str]]:
        """Names and roles of everybody, in roster order."""
        others = self._others(sellers)
        names: list[str] = []
        roles: list[str] = []
        for group in self.participants:
            members = group.names(others)
            names += members
            roles += [group.role] * len(members)
        if not names:
            raise InputError("participants: none; a market needs one or more")
        if len(set(names)) != len(names):
            seen: set[str] = set()
            twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
            raise InputError(f"participants: {twice!r} is there twice; give each its own name")
        return names, roles

    def _recorded(self) -> dict[str, parts.ReplayFile]:
        """The processes of the reference that are read from files, by the names of their fields."""
        return {name: one for name, one in self.reference if isinstance(one, parts.ReplayFile)}

    def inputs(self) -> dict[str, str]:
        """SHA-256 of every file that the scenario is read from, by its path."""
        paths = [self.catalogue.path] if isinstance(self.catalogue, CatalogueFile) else []
        paths += [replay.path for replay in self._recorded().values()]

        def noted(path: str) -> str:
            paths.append(path)
            return path

        self._with_policies(lambda config: resolve_paths(config, noted))
        return {path: digest_of(path) for path in paths}

    def beside(self, folder: Path) -> Scenario:
        """The scenario with its files' relative paths seen from `folder`."""

        def moved(path: str) -> str:
            if path.startswith(BUILTIN) or Path(path).is_absolute():
                return path
            return str(folder / path)

        changes: dict[str, Any] = {}
        if isinstance(self.catalogue, CatalogueFile):
            changes["catalogue"] = self.catalogue.model_copy(
                update={"path": moved(self.catalogue.path)}
            )
        processes = {
            name: replay.model_copy(update={"path": moved(replay.path)})
            for name, replay in self._recorded().items()
        }
        if processes:
            changes["reference"] = self.reference.model_copy(update=processes)
        made = self.model_copy(update=changes) if changes else self
        return made._with_policies(lambda config: resolve_paths(config, moved))

    def portable(self) -> Scenario:
        """The scenario with trained networks and tables in place of their files' paths: for a
        machine that does not share the disk. Raises InputError where a file does not hold one."""
        return self._with_policies(embed_files)

    def _with_policies(self, change: Callable[[Any], Any]) -> Scenario:
        """The scenario with every policy changed so; itself if nothing changes."""
        groups = [
            group.model_copy(update={"policy": each(group.policy, change)})
            for group in self.participants
        ]
        same = groups == self.participants
        return self if same else self.model_copy(update={"participants": groups})
