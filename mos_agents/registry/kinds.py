"""What is registered: the plug points, and the entries of each by name."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A plug point.

    Parameters
    ----------
    base : str
        the class that a class of this kind inherits from, in the module `home`; its abstract
        methods must be written, and so must the `verbs`, which have defaults there.
    names : tuple of str
        the modules of the names of the package's own.
    """

    base: str
    verbs: tuple[str, ...] = ()
    home: str = "mos_agents.market.stages"
    names: tuple[str, ...] = ("mos_agents.scenarios.parts",)


_POLICIES = ("mos_agents.policies", "mos_agents.learners")


KINDS = {
    "demand": Kind("Demand"),
    "prominence": Kind("Prominence"),
    "arrivals": Kind("ArrivalProcess"),
    "execution": Kind("ExecutionRule"),
    "quotes": Kind("QuoteRule"),
    "orders": Kind("OrderRule"),
    "fees": Kind("FeeRule"),
    "schedule": Kind("Schedule"),
    "positions": Kind("PositionRule"),
    "reference": Kind("ReferenceRule"),
    "process": Kind("Process"),
    "observations": Kind("ObservationRule"),
    "rewards": Kind("RewardRule"),
    "policy": Kind("Policy", (), "mos_agents.policies.base", _POLICIES),
    "learner": Kind("Policy", ("learn",), "mos_agents.policies.base", _POLICIES),
    "scenario": Kind("", (), "", ("mos_agents.scenarios.listing",)),
    "experiment": Kind("", (), "", ()),
}
"""Everything that can be registered. Policies and learners share their names."""


class Entry(NamedTuple):
    """What a name stands for, and the module that registered it."""

    kind: str
    name: str
    thing: Any
    module: str


ENTRIES: dict[str, dict[str, Entry]] = {}
_tables: dict[str, dict[str, Any]] = {}
GRANTED: set[str] = set()
"""Modules that the user has named, or whose code runs already."""

LOADING: list[str] = []
"""The modules that are being imported, the innermost last."""

LOCK = threading.RLock()
_version_of_all = 0


def version() -> int:
    """A number that grows with every name: what was made from all of them is made again."""
    return _version_of_all


def enter(kind: str, name: str, thing: Any, module: str = "mos_agents") -> None:
    """Enter a name without any question: for the package's own."""
    global _version_of_all
    _version_of_all += 1
    of_kind(kind)[name] = Entry(kind, name, thing, module)
    table(kind)[name] = thing


def table(kind: str) -> dict[str, Any]:
    """What is registered now, by name: a view that grows."""
    return _tables.setdefault(drawer(kind), {})


def entry(kind: str, name: str) -> Entry | None:
    """The entry of a name that is known."""
    return of_kind(kind).get(name)


def entries() -> Iterator[Entry]:
    """Everything that is registered."""
    for kept in ENTRIES.values():
        yield from kept.values()


def of_this_script() -> tuple[Entry, ...]:
    """What the script or notebook that runs has registered: no other process can import it."""
    return tuple(one for one in entries() if one.module == "__main__")


def adopt(classes: Iterable[Entry]) -> None:
    """Enter what another process of the same user has sent along."""
    for one in classes:
        if table(one.kind).get(one.name) is not one.thing:
            enter(*one)


def put_back(before: Mapping[str, Mapping[str, Entry]]) -> None:
    """Forget what a module had registered before it failed."""
    for drawer, kept in ENTRIES.items():
        for name in set(kept) - set(before.get(drawer, ())):
            del kept[name]
            _tables[drawer].pop(name, None)


def drawer(kind: str) -> str:
    return "policy" if kind == "learner" else kind


def of_kind(kind: str) -> dict[str, Entry]:
    return ENTRIES.setdefault(drawer(kind), {})


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
