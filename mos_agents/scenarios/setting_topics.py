"""The keys of a scenario file as topics, by their path: `positions.unit_fee`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from pydantic import BaseModel

from mos_agents.scenarios import changes, validation, yaml_text
from mos_agents.scenarios.participants import Participants
from mos_agents.scenarios.schema import OF_VENUES, Scenario
from mos_agents.scenarios.topics import REQUIRED, UNSET, Parameter, Topic, kind_of, nested, of_model
from mos_agents.scenarios.venues import VenueSettings

EXAMPLES = {
    "name": "my_market",
    "description": "Two firms and a platform.",
    "instruments": "10",
    "participants.name": "firm",
    "participants.count": "3",
    "participants.policy": "{kind: cost_plus, margin: 0.3}",
    "catalogue.path": "goods.csv",
    "catalogue.separator": "semicolon",
    "catalogue.decimal": "comma",
    "catalogue.thousands": "point",
    "catalogue.encoding": "cp1252",
    "catalogue.skip_lines": "2",
    "catalogue.columns": "{product: Artikel, seller: Laden}",
    "catalogue.missing": "drop",
    "positions.limit": "500.0",
    "positions.short": "true",
    "positions.base_stock": "1.0",
    "positions.lead_time": "3",
    "positions.holding_cost": "0.002",
    "positions.fee": "0.1",
    "positions.mark": "reference",
    "rewards.weights": "{pnl: 1.0, inventory_risk: -0.1}",
    "rewards.by_participant": "{platform: {pnl: 1.0, lost_opportunity: -0.3}}",
}
"""Values worth showing, where the default is not."""


@functools.cache
def settings() -> dict[str, tuple[tuple[str, Parameter, type[BaseModel]], ...]]:
    """Every path, with what it is in each kind that has it: (kind, parameter, model around it).

    The items of lists are left out: `participants.policy` is any participant's policy. What a venue
    has of its own has the settings that it has in a market of one venue.
    """
    found: dict[str, list[tuple[str, Parameter, type[BaseModel]]]] = {}

    def walk(model: type[BaseModel], prefix: str) -> None:
        for one in of_model(model)[1]:
            path = prefix + one.name
            found.setdefault(path, []).append((kind_of(model), one, model))
            if path.removeprefix("venues.") in found and path.startswith("venues."):
                continue  # as where there is one venue
            inner = validation.field_models(model.model_fields[one.name])
            if model in inner:
                continue  # arrivals made of arrivals have the settings of arrivals
            for each in inner:
                walk(each, f"{path}.")

    walk(Scenario, "")
    return {path: tuple(owners) for path, owners in found.items()}


def setting_topics() -> Iterator[Topic]:
    """A topic for every path of a scenario file."""
    for path, owners in settings().items():
        alike: dict[str, list[str]] = {}
        for kind, one, _ in owners:
            alike.setdefault(one.text, []).append(kind)
        paragraphs = tuple(
            f"{', '.join(kinds)}: {text}" if len(alike) > 1 else f"{text[:1].upper()}{text[1:]}"
            for text, kinds in alike.items()
        )
        inner = parts_of(path)
        parameters: tuple[Parameter, ...] = ()
        if len(inner) == 1 and not kind_of(inner[0]):
            description, parameters = of_model(inner[0])
            paragraphs += description.paragraphs
        facts = tuple(_facts(path, inner))
        yield Topic("setting", path, paragraphs, parameters, facts, _example(path, inner))


def parts_of(path: str) -> list[type[BaseModel]]:
    """The models of the kinds that a path may hold; none where it holds a value."""
    _, one, model = settings()[path][0]
    return validation.field_models(model.model_fields[one.name])


def _facts(path: str, inner: list[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    owners = settings()[path]
    yield "type", "; ".join(dict.fromkeys(one.type for _, one, _ in owners))
    by_default: dict[str, list[str]] = {}
    for kind, one, _ in owners:
        by_default.setdefault(_describe_default(one, bool(inner)), []).append(kind)
    if len(by_default) == 1:
        yield "default", next(iter(by_default))
    else:
        yield "default", "; ".join(f"{text} ({', '.join(k)})" for text, k in by_default.items())
    if kinds := [kind for kind, _, _ in owners if kind]:
        yield "of kind", ", ".join(dict.fromkeys(kinds))
    for model in inner:
        if kind := kind_of(model):
            yield "kinds", f"{kind}: {of_model(model)[0].sentence}"
    if short := [s for s, full in changes.SHORTHANDS.items() if normal(full) == path]:
        yield "in short", ", ".join(short)


def _describe_default(one: Parameter, is_part: bool) -> str:
    if one.default is None:
        return "must be given"
    if is_part:
        value = yaml_text.parsed_value(one.default, one.name)
        return str(value.get("kind", "as its settings say")) if isinstance(value, dict) else "none"
    return one.default if len(one.default) < 80 else f"{one.default[:77]}..."


def normal(path: str) -> str:
    """A path as `settings` has it: without the names of participants and venues.

    What a venue has of its own is explained as where there is one venue.
    """
    for group, model in (("participants", Participants), ("venues", VenueSettings)):
        own = "|".join(model.model_fields)
        path = re.sub(rf"^{group}\.(?!(?:{own})(?:\.|$))[^.]+\.", f"{group}.", path)
    shared = "|".join((*OF_VENUES, "catalogue"))
    return re.sub(rf"^venues\.((?:{shared})\.)", r"\1", path)


def _example(path: str, inner: list[type[BaseModel]]) -> str:
    kind, one, _ = settings()[path][0]
    if path.startswith("venues"):
        return ""
    value = EXAMPLES.get(path, one.default)
    if inner:
        if not kind_of(inner[0]):
            return ""
        part = {"kind": kind_of(inner[0])}
        above, _, name = path.rpartition(".")
        return nested(above, {"kind": kind, name: part}) if kind else nested(path, part)
    if path == "participants" or value in UNSET:
        return ""
    if path.startswith("participants."):
        named = {"name": "firm"} | {one.name: yaml_text.parsed_value(str(value), path)}
        return nested("participants", [named])
    parsed = yaml_text.parsed_value(str(value), path)
    if kind:
        return nested(
            path.rpartition(".")[0], {"kind": kind, **REQUIRED.get(kind, {}), one.name: parsed}
        )
    return nested(path, parsed)
