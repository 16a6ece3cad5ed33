"""What docstrings say of parameters: each has a text, and the range it tells is the real one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mos_agents import learners, registry
from mos_agents.market import demand
from mos_agents.market.types import InputError
from mos_agents.policies import POLICIES, make
from mos_agents.scenarios import parts, schema
from mos_agents.scenarios.docstrings import first_sentence, of_module, parse_docstring

assert learners.LEARNERS  # they register themselves among the policies

STAGES: dict[str, type] = {
    f"{stage}: {kind}": cls for stage in parts.STAGES for kind, cls in registry.table(stage).items()
}
CLASSES = STAGES | {f"policy: {kind}": cls for kind, cls in sorted(POLICIES.items())}
MODELS = (
    schema.Scenario,
    schema.Participants,
    schema.DrawnCatalogue,
    schema.UniformCatalogue,
    schema.CatalogueFile,
    parts.ReplayFile,
)


@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_of_every_stage_and_policy_is_described(name: str) -> None:
    found = parse_docstring(CLASSES[name])
    assert found.sentence
    fields = [one.name for one in dataclasses.fields(CLASSES[name]) if one.init]
    assert [one for one in fields if len(found.parameters.get(one, "")) < 10] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_of_the_schema_is_described(model: Any) -> None:
    names = [name for name in model.model_fields if name != "kind"]
    found = parse_docstring(model, names)
    assert found.sentence
    assert [name for name in names if len(found.parameters.get(name, "")) < 10] == []


def test_all_learners_are_among_the_classes() -> None:
    assert {f"policy: {kind}" for kind in learners.LEARNERS} <= set(CLASSES)


# --- the ranges that are told are those that hold -------------------------------------------------

NEEDED: dict[str, dict[str, Any]] = {
    "policy: exp3": {"reward_high": 1.0},
    "policy: ucb1": {"reward_high": 1.0},
    "policy: hedge": {"reward_low": 0.0, "reward_high": 1.0},
    "policy: fixed_price": {"price": 1.0},
    "policy: amihud_mendelson": {"demand": (2.0, 1.0), "supply": (0.0, 1.0)},
    "policy: epsilon_greedy": {"policy": make("hold")},
    "arrivals: returning": {"drift": 0.1},
    "policy: greedy": {"policy": make("sarsa"), "path": "learnt.npz"},
    "policy: network": {"path": "network.npz"},
    "schedule: periodic": {"periods": (1,)},
    "execution: expected": {"demand": demand.Logit()},
    "execution: sampled": {"demand": demand.Logit()},
    "process: replay": {"path": np.ones(3)},
}
TOGETHER = {
    ("fees: set_by_platform", "highest_fee"),
    ("policy: fixed_weights", "weights"),
    ("demand: linear", "own"),
    ("arrivals: hawkes", "beta"),
    ("arrivals: poisson", "lot"),
    ("policy: wolf_phc", "lose"),
    ("arrivals: returning", "share"),
}
"""Parameters whose bound lies beside another one's value: not tried inside."""


def bounds(text: str) -> Iterator[tuple[float, float, bool]]:
    """(bound, a step outwards from it, whether the bound itself is allowed) that a text tells."""
    for opens, low, high, closes in re.findall(r"in ([\[(])([-.\de]+), ([-.\de]+)([\])])", text):
        yield float(low), -1.0, opens == "["
        yield float(high), 1.0, closes == "]"
    for sign, low in re.findall(r"(?<![\w)] )(>=?) (-?[\d.]*\d)", text):
        yield float(low), -1.0, sign == ">="


TOLD = [
    (name, one, *bound)
    for name, cls in CLASSES.items()
    for one, text in parse_docstring(cls).parameters.items()
    for bound in bounds(text)
    if name != "policy: greedy"
]


def built(name: str, **given: Any) -> Any:
    return CLASSES[name](**NEEDED.get(name, {}) | given)


@pytest.mark.parametrize(("name", "parameter", "bound", "out", "closed"), TOLD)
def test_a_range_that_is_told_holds(
    name: str, parameter: str, bound: float, out: float, closed: bool
) -> None:
    kind = int if isinstance(bound, float) and bound.is_integer() else float
    with pytest.raises(InputError, match=parameter):
        built(name, **{parameter: kind(bound + out)})
    if not closed:
        with pytest.raises(InputError, match=parameter):
            built(name, **{parameter: kind(bound)})
    elif (name, parameter) not in TOGETHER:
        try:
            built(name, **{parameter: kind(bound)})
        except InputError as error:  # of two that must be in order, the other may be too near
            assert any(word in str(error) for word in ("below", "<", "at most"))


def test_there_are_many_ranges() -> None:
    assert len(TOLD) > 100


def test_a_parameter_that_is_checked_tells_its_range() -> None:
    """Every number that -1e30 is refused for says so in its text."""
    silent = []
    for name, cls in CLASSES.items():
        found = parse_docstring(cls).parameters
        for one in dataclasses.fields(cls):
            if not one.init or not re.search("float|int", str(one.type)) or "Map" in str(one.type):
                continue
            low = (-1e30,) if str(one.type).startswith("tuple") else -1e30
            try:
                built(name, **{one.name: low})
            except (InputError, TypeError, ValueError, OverflowError):
                if one.name not in TOLD_IN_WORDS and not list(bounds(found[one.name])):
                    silent.append((name, one.name))
    assert silent == []


TOLD_IN_WORDS = {
    "fees",
    "unit_fees",
    "demand",
    "supply",
    "buyers_high",
    "sellers_high",
    "sigma_rows",
    "views",
    "weights",
    "search_costs",
    "prices",
    "rival_prices",
    "payoffs",
    "periods",
    "offsets",
    "high",
    "reward_high",
}
"""Lists and tables, and what must only be above another parameter."""


# --- taking docstrings apart ----------------------------------------------------------------------


class Paragraphs:
    """One sentence (Nash 1950). Another one, by Abreu et al. Says e.g. 0.5 of it.

    limit: largest inventory
        of a listing. Not the sum.
    gamma, kappa: as in `other`. rate: A, orders; none: zero.

    A formula follows:

        p = c / (1 + e)

    The end: it has a colon.
    """


def test_parameters_are_found_alone_in_lists_and_within_a_line() -> None:
    found = parse_docstring(Paragraphs, ["limit", "gamma", "kappa", "rate", "none"])
    assert found.parameters == {
        "limit": "largest inventory of a listing. Not the sum.",
        "gamma": "as in `other`.",
        "kappa": "as in `other`.",
        "rate": "A, orders;",
        "none": "zero.",
    }


class NumpydocSections:
    """A sentence (Nash 1950 [1]_).

    Parameters
    ----------
    limit : float
        largest inventory,
        in units.
    gamma, kappa : float or None
        as in [1]_.

    Raises
    ------
    limit
        If it is negative.

    Notes
    -----
    A note.

    References
    ----------
    .. [1] Nash, J. (1950).
    """


def test_sections_of_numpydoc_are_read_without_marks_of_footnotes() -> None:
    found = parse_docstring(NumpydocSections, ["limit", "gamma", "kappa", "rate"])
    assert found.paragraphs == ("A sentence (Nash 1950).", "A note.")
    assert found.parameters == {
        "limit": "largest inventory, in units.",
        "gamma": "as in.",
        "kappa": "as in.",
    }


def test_what_is_left_are_paragraphs_with_formulas_as_they_stand() -> None:
    found = parse_docstring(Paragraphs, ["limit", "gamma", "kappa", "rate", "none"])
    assert found.paragraphs[0].startswith("One sentence (Nash 1950). Another one")
    assert found.paragraphs[1:] == (
        "A formula follows:",
        "    p = c / (1 + e)",
        "The end: it has a colon.",
    )
    assert found.sentence == "One sentence (Nash 1950)."


def test_a_class_that_says_nothing_of_a_parameter_leaves_it_to_its_parent() -> None:
    found = parse_docstring(POLICIES["q_learning"])
    assert found.parameters["prices"] == parse_docstring(POLICIES["sarsa"]).parameters["prices"]
    assert found.sentence == "Q-learning (Watkins 1989) with epsilon-greedy exploration."


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("Auer et al. (2002) did it. So.", "Auer et al. (2002) did it."),
        ("Costs 0.5 a unit. Yes.", "Costs 0.5 a unit."),
        ("Is it? It is.", "Is it?"),
        ("No stop", "No stop"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_a_modules_docstring_is_read_as_paragraphs() -> None:
    paragraphs = of_module(POLICIES["ucb1"])
    assert paragraphs[0].startswith("UCB1: a seller asks the price")
    assert paragraphs[2] == "    mean_a + sqrt(2 ln n / n_a),"
