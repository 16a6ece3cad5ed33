"""A market and its participants, written down: what a scenario file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    Field,
    create_model,
    model_validator,
)

from mos_agents import registry
from mos_agents.market.frames import text_html
from mos_agents.market.market import Market
from mos_agents.market.types import InputError
from mos_agents.policies import Policy
from mos_agents.scenarios import parts
from mos_agents.scenarios.building import ReadFiles, build
from mos_agents.scenarios.catalogues import DrawnCatalogue, Name, Strict, UniformCatalogue
from mos_agents.scenarios.participants import Participants
from mos_agents.scenarios.parts import Number, Whole
from mos_agents.scenarios.policy_files import each, embed_files, resolve_paths
from mos_agents.scenarios.tables import (
    BUILTIN,
    MOST_LISTINGS,
    CatalogueFile,
    CatalogueTable,
    digest_of,
    read_catalogue,
)
from mos_agents.scenarios.venues import VenueSettings


def _unpickled(data: dict[str, Any], classes: tuple[registry.Entry, ...]) -> Scenario:
    """A scenario that another process of the same user has sent: its modules are taken as named."""
    registry.adopt(classes)
    for module in data.get("import", ()):
        registry.load(module)
    return Scenario.model_validate(data)


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
        self.roster([])
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
        return build(self)

    def policies(self) -> dict[str, Policy]:
        """What every participant plays by itself, in roster order."""
        table = self.table()
        sellers = table.seller if table else []
        others, names = self._others(sellers), self.roster(sellers)[0]
        made = [policy for group in self.participants for policy in group.policies(others)]
        return dict(zip(names, made, strict=True))

    def table(self) -> CatalogueTable | None:
        """The catalogue's file, read; None where the scenario names none."""
        if isinstance(self.catalogue, CatalogueFile):
            return read_catalogue(self.catalogue)
        return None

    def _others(self, sellers: list[str]) -> list[str]:
        named = {p.name for p in self.participants}
        return [s for s in dict.fromkeys(sellers) if s not in named]

    def roster(self, sellers: list[str]) -> tuple[list[str], list[str]]:
        """Names and roles of all participants, in roster order."""
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
