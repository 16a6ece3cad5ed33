"""All that can be explained: every policy, demand model, stage, setting, metric and so on.

Nothing is written down here that code says elsewhere: texts come from docstrings, types and
defaults from the fields of the classes, observations from the markets of the presets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from mos_agents import learners, registry
from mos_agents.market.fields import ObservationField
from mos_agents.market.market import Market
from mos_agents.market.metrics import MEANINGS
from mos_agents.market.refusals import REASONS
from mos_agents.market.types import InputError
from mos_agents.scenarios import files, listing, parts
from mos_agents.scenarios.docstrings import of_module, parse_docstring
from mos_agents.scenarios.setting_topics import setting_topics, settings
from mos_agents.scenarios.topics import (
    REQUIRED,
    Topic,
    example_values,
    nested,
    of_dataclass,
    of_model,
)

KINDS = {
    "preset": "scenarios that have a name: the package's own, and those of plugins",
    "policy": "what a participant plays",
    "learner": "policies that update themselves from their own rewards",
    "demand": "how customers choose among offers",
    "prominence": "which offers shoppers see first",
    "quotes": "how an action becomes a quote",
    "orders": "how an action becomes an order to another participant",
    "fees": "what trades in a venue cost, and who sets it",
    "schedule": "who may change a quote at which tick",
    "arrivals": "who comes to the market",
    "execution": "how arrivals become trades",
    "positions": "the books: stock, limits, orders, costs and fees",
    "reference": "what moves by itself: prices, costs and outside demand together",
    "process": "how a mid price, a cost or outside demand moves by itself",
    "observations": "what each participant sees before it acts",
    "rewards": "what each participant is after",
    "setting": "keys of a scenario file, by their path",
    "metric": "the figures of a tick for a participant; rewards are weighted sums of metrics",
    "observation": "a number that a participant sees before it acts",
    "refusal": "why a quote is refused",
    "screen": "what an audit asks of observed prices",
}
"""Kinds of topic, in the order in which they are listed, and what they are."""

REFUSALS = {
    "not a finite number": "The action held a NaN or an infinity, or there was none: the policy "
    "raised an error, or its participant was late or absent.",
    "outside the limits of an action": "A price, spread, offset or size lay outside what the rule "
    "for quotes takes at all: see the settings of quotes, such as low and high.",
    "off the price grid": "The price is no multiple of tick_size, and quotes.conduct is refuse.",
    "below the margin floor": "The price lies below cost x (1 + min_margin), and quotes.conduct is "
    "refuse; with clip it would be lifted to the floor.",
    "changed by more than allowed": "The price moved by more than the share "
    "max_relative_change of the price in force, and quotes.conduct is refuse.",
    "an order on a side that is closed": "The order would buy where only selling is open, or sell "
    "where only buying is: see orders.buy and orders.sell of the venue.",
    "an order beyond the credit": "At their limits, the participant's orders would cost more than "
    "its cash and positions.credit together.",
    "weights that show nobody": "The platform gave a weight of 0 to all offers that customers "
    "compare: they would have seen none.",
    "the bid is not below the ask": "After rounding to the tick size, the maker's bid would not "
    "have been below its own ask.",
}
"""How each reason for a refusal arises."""

PATHS = {"demand": "execution.demand", "process": "reference.price"}
"""Where a scenario file has a stage that is no key of its own."""

SHOWN: dict[str, dict[str, Any]] = {
    "fixed_price": {"price": 12.5},
    "by_venue": {
        "policies": {
            "wholesale.orders": {"kind": "base_stock", "level": 12.0},
            "retail": {"kind": "cost_plus", "margin": 0.3},
        }
    },
    "epsilon_greedy": {"policy": {"kind": "cost_plus"}, "epsilon": 0.1, "levels": 11},
    "uniform": {"levels": 11, "low": 0.8, "high": 1.3, "relative": True},
    "amihud_mendelson": {"demand": [2.0, 1.0], "supply": [0.0, 1.0]},
    "avellaneda_stoikov": {"gamma": 0.1, "sigma": 2.0},
    "glft": {"gamma": 0.1, "sigma": 2.0, "lot": 10.0},
    "greedy": {"policy": {"kind": "sarsa", "prices": 11}, "path": "learnt.npz"},
    "network": {"path": "networks/firm_1.npz"},
    "q_learning": {"prices": 15, "alpha": 0.15, "delta": 0.95},
    "sarsa": {"prices": 15, "features": "cheapest"},
    "boltzmann": {"prices": 15, "temperature": 10.0},
    "wolf_phc": {"prices": 15, "win": 0.01, "lose": 0.04},
    "bandit_epsilon_greedy": {"prices": 15, "epsilon": 0.1},
    "thompson": {"prices": 15, "noise": 1.0},
    "exp3": {"prices": 11, "reward_high": 100.0},
    "ucb1": {"prices": 11, "reward_high": 100.0},
    "hedge": {"prices": 11, "reward_low": 0.0, "reward_high": 100.0},
}
"""Parameters worth showing in an example, where the defaults are not."""


def topics() -> dict[tuple[str, str], Topic]:
    """Every topic, by kind and name, in the order of KINDS."""
    registry.load_plugins()
    return _topics(registry.version())


@functools.lru_cache(maxsize=1)
def _topics(version: int) -> dict[tuple[str, str], Topic]:
    settings.cache_clear()
    found = [
        *_presets(),
        *_policies(),
        *_stages(),
        *setting_topics(),
        *_metrics(),
        *_observations(),
        *_refusals(),
        *_screens(),
    ]
    found.sort(key=lambda topic: list(KINDS).index(topic.kind))
    return {(topic.kind, topic.name): topic for topic in found}


def _presets() -> Iterator[Topic]:
    for name in listing.presets():
        scenario = files.load(name)
        roster = list(scenario.policies())
        shown = (
            ", ".join(roster) if len(roster) < 8 else f"{len(roster)}: {', '.join(roster[:5])}, ..."
        )
        facts = (
            ("participants", shown),
            ("ticks", f"{scenario.ticks:,}"),
            ("play it", f"mos run {name}"),
            ("all settings", f"mos show {name}"),
        )
        yield Topic("preset", name, (scenario.description,), (), facts)


def _policies() -> Iterator[Topic]:
    for kind, cls in sorted(registry.names("policy").items()):
        description, parameters = of_dataclass(cls)
        entry = registry.entry("policy", kind)
        learns = kind in learners.LEARNERS or (entry is not None and entry.kind == "learner")
        paragraphs = description.paragraphs
        if learns:  # the module of a learner tells its algorithm, and the paper
            paragraphs = (paragraphs[0], *of_module(cls), *paragraphs[1:])
        shown = SHOWN.get(kind, dict(list(example_values(parameters).items())[:2]))
        home = cls.__module__.rpartition(".")[2]
        role = {"market_making": "maker", "bidding": "bidder"}.get(home, "firm")
        yield Topic(
            "learner" if learns else "policy",
            kind,
            paragraphs,
            parameters,
            (),
            nested(
                "participants",
                [{"name": f"{role}_1", "role": role, "policy": {"kind": kind, **shown}}],
            ),
        )


def _stages() -> Iterator[Topic]:
    for stage in parts.STAGES:
        for kind, model in parts.kinds(stage).items():
            description, parameters = of_model(model)
            shown = {"kind": kind, **REQUIRED.get(kind, example_values(parameters))}
            yield Topic(
                stage,
                kind,
                description.paragraphs,
                parameters,
                example=nested(PATHS.get(stage, stage), shown),
            )


def _metrics() -> Iterator[Topic]:
    for name, (unit, meaning) in MEANINGS.items():
        facts = (("unit", unit), ("in runs", "a column of participants/ and of aggregates/"))
        yield Topic(
            "metric",
            name,
            (_sentence(f"{meaning}, per participant and tick"),),
            (),
            facts,
            nested("rewards.weights", {name: 1.0}),
        )


def _observations() -> Iterator[Topic]:
    found: dict[str, tuple[ObservationField, list[str]]] = {}
    for where, market in _markets():
        fields = {field.name: field for spec in market.specs for field in spec.fields}
        for name, field in fields.items():
            found.setdefault(name, (field, []))[1].append(where)
    for name, (field, seen) in sorted(found.items()):
        facts = (
            ("unit", field.unit),
            ("range", f"{field.low:g} to {field.high:g}"),
            ("seen in", ", ".join(seen)),
        )
        yield Topic("observation", name, (_sentence(field.meaning),), (), facts)


def _markets() -> Iterator[tuple[str, Market]]:
    """The markets of all presets; then, with prices observed as distances, those that can be."""
    markets = {name: files.load(name).market() for name in listing.presets()}
    yield from markets.items()
    for name, market in markets.items():
        distances = dataclasses.replace(market.observations, relative=True)  # type: ignore[type-var]
        with contextlib.suppress(InputError):
            changed = market.with_parts(observations=distances)
            if any(field.name.endswith("_gap") for field in changed.specs[0].fields):
                yield f"{name} with observations.relative", changed


def _refusals() -> Iterator[Topic]:
    then = "the quote in force stays; with quotes.on_refusal: withdraw it is taken down"
    for reason in REASONS[1:]:
        yield Topic("refusal", reason, (REFUSALS[reason],), (), (("then", then),))


def _screens() -> Iterator[Topic]:
    """The audit, and each screen that it puts to prices."""
    from mos_agents.analysis.screens import NEEDS, SCREENS

    forms = (
        ("long file", "columns for time, seller and price; also product, cost, quantity"),
        ("wide file", "a column of times, and a column of prices for each seller"),
        ("correction", "Holm's method over screens, Bonferroni's over products"),
        ("screens", ", ".join(SCREENS)),
        ("play it", "mos audit prices.csv"),
    )
    text = (
        "Puts observed prices of a file or a run to every screen that applies.",
        "If all sellers compete, any alarm is raised in at most 5% of cases. A screen that does "
        "not apply says what it would need.",
    )
    yield Topic("screen", "audit", text, (), forms)
    for name, cls in SCREENS.items():
        description = parse_docstring(cls)
        needs = [" or ".join(NEEDS[one] for one in some) for some in cls.needs]
        speaks = "against competition" if cls.conduct else "of a pattern that competitors show too"
        facts = (
            ("asks", cls.question),
            ("needs", "; ".join(["prices", *needs])),
            ("an alarm speaks", speaks),
            ("limits", cls.cannot),
        )
        yield Topic("screen", name, description.paragraphs, (), facts)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
