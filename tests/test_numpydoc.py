"""Public docstrings follow numpydoc, and lead from `mos_agents` to everything."""

from __future__ import annotations

import ast
import functools
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
    if one.ispkg and one.name not in ("actors", "cli", "registry", "testing")
)
"""Packages of `mos_agents` that Python users call; the others are machinery, commands, suites."""

HEADINGS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "References", "Notes")


def public() -> dict[str, Any]:
    """The public classes and functions by their names, each once."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    packages = (f"mos_agents.{name}" for name in (*PACKAGES, "testing"))
    for top in ("mos_agents", *packages, *ENVIRONMENTS):
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
    "envs.marketplace_v0",
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


def is_protocols(constructor: Any) -> bool:
    """Whether a constructor is the one that `typing` gives to protocols, without parameters."""
    return getattr(constructor, "__module__", "") == "typing"


def parameters(held: Any) -> list[str]:
    """What a caller gives: the arguments of a function or of a constructor, without `self`."""
    if getattr(held, "_is_protocol", False):  # nobody makes one
        return []
    if inspect.isclass(held) and is_protocols(held.__init__):
        return []
    if hasattr(held, "model_fields"):
        return list(held.model_fields)
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


def described_by(text: str) -> set[str]:
    """The names that a docstring describes."""
    found = sections(text)
    return entries(found.get("Parameters", "")) | entries(found.get("Attributes", ""))


def inherited(held: Any) -> set[str]:
    """The names described by base classes to which the docstring points, as in `PriceGrid`."""
    bases = held.__mro__[1:] if inspect.isclass(held) else ()
    names = [one for one in bases if f"`{one.__name__}`" in (held.__doc__ or "")]
    return set().union(*(described_by(one.__doc__ or "") for one in names))


def complaints(held: Any) -> list[str]:
    """What a docstring lacks."""
    text = held.__doc__ or ""
    first = inspect.cleandoc(text).split("\n\n")[0]
    if not first or len(first.splitlines()) > 2:
        return ["no summary in one sentence"]
    found = sections(text)
    described = described_by(text) | inherited(held)
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
    assert complaints(public()[name]) == []


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


class DescribedBase:
    """A base class.

    Parameters
    ----------
    a : int
        A number.
    """

    def __init__(self, a: int) -> None:
        self.a = a


class PointingSubclass(DescribedBase):
    """Has the parameters of `DescribedBase`."""


class SilentSubclass(DescribedBase):
    """Has the same parameters, and does not say where they are described."""


def test_a_docstring_may_point_to_a_base_class_that_describes_its_parameters() -> None:
    assert complaints(PointingSubclass) == []
    assert complaints(SilentSubclass) == ["parameter a is not described"]


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
    waiting = [typing.get_type_hints(held).get("return")]
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


def members(held: Any) -> dict[str, Any]:
    """The public functions and properties of a class of this project, as they are written down."""
    if not inspect.isclass(held):
        return {}
    return {
        name: inspect.getattr_static(held, name)
        for owner in held.__mro__
        if owner.__module__.split(".")[0] in ("mos_agents", "envs")
        for name in vars(owner)
        if name[0] != "_" and not name.startswith("test_")
    }


def function_of(member: Any) -> Any:
    """The function behind a method or a property; None where there is none."""
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    member = getattr(member, "fget", None) or getattr(member, "func", None) or member
    return member if inspect.isfunction(member) else None


def test_every_public_property_says_what_it_is() -> None:
    silent = [
        f"{name}.{one}"
        for name, held in public().items()
        for one, member in members(held).items()
        if isinstance(member, property | functools.cached_property)
        if not (inspect.getdoc(getattr(held, one)) or "").strip()
    ]
    assert silent == []


def test_type_hints_of_functions_and_methods_can_be_read_at_run_time() -> None:
    for held in public().values():
        for function in filter(None, (function_of(one) for one in (held, *members(held).values()))):
            typing.get_type_hints(function)  # NameError where only a type checker knows a name
