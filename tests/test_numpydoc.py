"""Public docstrings follow numpydoc, and lead from `mos_agents` to everything."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import mos_agents

PACKAGES = sorted(
    one.name
    for one in pkgutil.iter_modules(mos_agents.__path__)
    if one.ispkg and one.name not in ("actors", "cli", "tasks", "testing")
)
"""Packages of `mos_agents` that Python users call; the others are machinery, commands and tests."""

HEADINGS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "References", "Notes")

NOT_YET: frozenset[str] = frozenset(
    {
        "envs.single_agent.Choice",
        "envs.single_agent.MarketVectorEnv",
        "envs.single_agent.SingleAgentEnv",
        "mos_agents.Scenario",
        "mos_agents.lab.VerifyResult",
        "mos_agents.lab.check",
        "mos_agents.lab.compare",
        "mos_agents.lab.demo",
        "mos_agents.lab.experiments",
        "mos_agents.lab.exploit",
        "mos_agents.lab.replicate",
        "mos_agents.lab.sweep",
        "mos_agents.learners.Boltzmann",
        "mos_agents.learners.Categorical",
        "mos_agents.learners.EpsilonGreedyBandit",
        "mos_agents.learners.Exp3",
        "mos_agents.learners.Gaussian",
        "mos_agents.learners.GreedyPolicy",
        "mos_agents.learners.Hedge",
        "mos_agents.learners.Layer",
        "mos_agents.learners.Network",
        "mos_agents.learners.QLearning",
        "mos_agents.learners.QValues",
        "mos_agents.learners.Sarsa",
        "mos_agents.learners.Signature",
        "mos_agents.learners.Thompson",
        "mos_agents.learners.TrainedNetwork",
        "mos_agents.learners.UCB1",
        "mos_agents.learners.WolfPHC",
        "mos_agents.load",
        "mos_agents.report.Data",
        "mos_agents.rollout.Fault",
        "mos_agents.runs.Recording",
        "mos_agents.runs.RecordingPlan",
        "mos_agents.runs.Run",
        "mos_agents.runs.TrajectoryHash",
        "mos_agents.runs.fault_facts",
        "mos_agents.runs.checked_name",
        "mos_agents.runs.fault_lines",
        "mos_agents.runs.path_below",
        "mos_agents.runs.locate",
        "mos_agents.runs.record",
        "mos_agents.runs.resume",
        "mos_agents.runs.slug",
        "mos_agents.scenarios.Explanation",
        "mos_agents.scenarios.commented",
        "mos_agents.scenarios.digest_of",
        "mos_agents.scenarios.dump",
        "mos_agents.scenarios.headlines",
        "mos_agents.scenarios.inline",
        "mos_agents.scenarios.listed",
        "mos_agents.scenarios.override",
        "mos_agents.scenarios.parse",
        "mos_agents.sweeps.Axis",
        "mos_agents.sweeps.Cell",
        "mos_agents.sweeps.PlayTrial",
        "mos_agents.sweeps.SessionsTrial",
        "mos_agents.sweeps.SweepFolder",
        "mos_agents.sweeps.SweepPlan",
        "mos_agents.sweeps.SweepResult",
        "mos_agents.sweeps.Trial",
        "mos_agents.sweeps.TrialOutcome",
        "mos_agents.sweeps.TrialResult",
        "mos_agents.sweeps.TrialSpec",
        "mos_agents.sweeps.sweep",
        "mos_agents.sweeps.trial_spec",
    }
)
"""Names whose docstrings are older than the rule. The list only becomes shorter."""


def public() -> dict[str, Any]:
    """The public classes and functions by their names, each once."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for top in ("mos_agents", *(f"mos_agents.{name}" for name in PACKAGES), *ENVIRONMENTS):
        module = importlib.import_module(top)
        for name in getattr(module, "__all__", ()) or own_names(module):
            held = getattr(module, name)
            if not (inspect.isclass(held) or inspect.isfunction(held)) or id(held) in seen:
                continue
            if held.__module__.split(".")[0] in ("mos_agents", "envs"):
                seen.add(id(held))
                found[f"{top}.{name}"] = held
    return found


ENVIRONMENTS = (
    "envs.retail_v0",
    "envs.market_making_v0",
    "envs.auction_v0",
    "envs.batched",
    "envs.single_agent",
)


def own_names(module: ModuleType) -> list[str]:
    return [
        name
        for name, held in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(held) or inspect.isfunction(held))
        and held.__module__ == module.__name__
    ]


# --- the rule -------------------------------------------------------------------------------------


def sections(text: str) -> dict[str, str]:
    """The text below each heading that is underlined."""
    parts = re.split(rf"(?m)^({'|'.join(HEADINGS)})\n-+\n", inspect.cleandoc(text))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> set[str]:
    """The names that a section of parameters describes."""
    found: set[str] = set()
    for line in section.splitlines():
        if line[:1].strip() and (match := re.match(r"([*\w][*\w, ]*?)( : .*)?$", line)):
            found |= {name.strip(" *") for name in match[1].split(",")}
    return found


def parameters(held: Any) -> list[str]:
    """What a caller gives: the arguments of a function or of a constructor, without `self`."""
    try:
        signature = inspect.signature(held)
    except ValueError:
        return []
    return [name for name in signature.parameters if name != "self" and name[0] != "_"]


def raises(held: Any) -> bool:
    """Whether the function's own body raises an error."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(held)))
    except (OSError, TypeError, SyntaxError):
        return False
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


def complaints(held: Any) -> list[str]:
    """What a docstring lacks."""
    text = held.__doc__ or ""
    first = inspect.cleandoc(text).split("\n\n")[0]
    if not first or len(first.splitlines()) > 2:
        return ["no summary in one sentence"]
    found = sections(text)
    described = entries(found.get("Parameters", "")) | entries(found.get("Attributes", ""))
    lacking = [
        f"parameter {name} is not described"
        for name in parameters(held)
        if name not in described and not issubclass_of(held, BaseException)
    ]
    if inspect.isfunction(held):
        back = inspect.signature(held).return_annotation
        if back not in (None, "None", inspect.Signature.empty):
            lacking += [] if {"Returns", "Yields"} & found.keys() else ["no section Returns"]
        if raises(held) and "Raises" not in found:
            lacking.append("no section Raises")
    if re.search(
        r"\((?:19|20)\d\d\)|\b[A-Z][a-z]+,? (?:19|20)\d\d\b", text.split("References\n")[0]
    ):
        lacking += [] if "References" in found else ["a paper without a section References"]
    return lacking


def issubclass_of(held: Any, base: type) -> bool:
    return inspect.isclass(held) and issubclass(held, base)


@pytest.mark.parametrize("name", sorted(public()))
def test_a_public_docstring_follows_numpydoc(name: str) -> None:
    found = complaints(public()[name])
    if name in NOT_YET:
        assert found, f"{name} follows numpydoc by now: take it out of NOT_YET"
    else:
        assert found == []


def test_the_list_of_exceptions_names_what_there_is() -> None:
    assert sorted(NOT_YET - public().keys()) == []


def faulty(a: int, b: int) -> int:
    """Add two numbers, as Smith (1999) did.

    Parameters
    ----------
    a : int
        One number.
    """
    if a > b:
        raise ValueError(a)
    return a + b


def test_the_rule_sees_each_fault() -> None:
    assert complaints(faulty) == [
        "parameter b is not described",
        "no section Returns",
        "no section Raises",
        "a paper without a section References",
    ]


# --- from mos_agents to everything ----------------------------------------------------------------


def test_every_package_is_a_name_of_mos_agents_and_dir_shows_what_is_in_it() -> None:
    for name in PACKAGES:
        package = getattr(mos_agents, name)
        assert name in dir(mos_agents)
        shown = set(dir(package))
        assert set(getattr(package, "__all__", ())) <= shown, name
        assert (package.__doc__ or "").strip(), name


def results_of(held: Any) -> Iterator[type]:
    """Classes of this project that a function returns."""
    try:
        hint = typing.get_type_hints(held).get("return")
    except NameError:  # a name that only a type checker imports
        return
    waiting = [hint]
    while waiting:
        one = waiting.pop()
        if inspect.isclass(one) and one.__module__.startswith("mos_agents."):
            yield one
        waiting += typing.get_args(one)


def test_what_a_public_function_returns_is_public_too() -> None:
    """Three steps: `mos_agents`, a package, a name. A module of `market` counts as its package."""
    names = {id(held) for held in public().values()}
    hidden = {
        f"{name} -> {result.__name__}"
        for name, held in public().items()
        if inspect.isfunction(held)
        for result in results_of(held)
        if id(result) not in names and not result.__module__.startswith("mos_agents.market.")
    }
    assert hidden == set()
