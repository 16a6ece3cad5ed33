"""`register`: a class or a file gets a name, if it is what its kind asks for."""

from __future__ import annotations

import importlib
import os
import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mos_agents.market.checks import echo, within_floats
from mos_agents.market.types import InputError
from mos_agents.registry.kinds import GRANTED, KINDS, LOADING, LOCK, enter, is_under, of_kind
from mos_agents.registry.modules import did_you_mean

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def register(kind: str, name: str, thing: Any = None) -> Any:
    """Give a class, or a scenario's file, a name by which scenarios and `make` find it.

    Parameters
    ----------
    kind
        One of `KINDS`: "demand", "prominence", "arrivals", "execution", "quotes", "orders",
        "fees", "schedule", "positions", "reference", "process", "observations", "rewards",
        "policy", "learner", "scenario" or "experiment".
    name
        The name: small letters, digits and underscores.
    thing
        The class, a frozen dataclass of parameters. Of a scenario: the path of its YAML file.
        Of an experiment: its module. Left out, `register` is a decorator.

    Returns
    -------
    The thing itself, or a decorator.

    Raises
    ------
    InputError
        For an unknown kind, a name that is taken, or a class that does not fit the kind.
    """
    where = _caller()
    if kind not in KINDS:
        raise InputError(
            f"kind={echo(kind)} cannot be registered{did_you_mean(kind, KINDS)}; "
            f"kinds are {', '.join(KINDS)}"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{kind} name={echo(name)} must be small letters, digits and underscores, such as "
            "my_model"
        )
    if thing is None:
        return lambda given: _register(kind, name, given, where)
    return _register(kind, name, thing, where)


def _register(kind: str, name: str, thing: Any, where: str) -> Any:
    with LOCK:
        for module in KINDS[kind].names:  # so that no name of the package's own is taken
            importlib.import_module(module)
        # A package that is loaded stands for its modules; a module that it imports for itself.
        module = LOADING[-1] if LOADING and is_under(where, LOADING[-1]) else where
        _check(kind, name, thing)
        found = of_kind(kind).get(name)
        if found is not None and not _is_again(found.thing, thing):
            raise InputError(
                f"{kind} {name!r} is registered already, by {found.module}; take another name"
            )
        if kind in ("policy", "learner"):
            named(thing, name)
        enter(kind, name, thing, module)
        GRANTED.add(module)
    return thing


def named(policy: Any, kind: str) -> Any:
    """A policy's class with the name by which scenarios ask for it, and with its numbers
    checked."""
    policy.kind = kind
    if hasattr(policy, "__post_init__"):  # which the dataclass asks for each time by its name
        within_floats(policy)
    return policy


def _caller() -> str:
    """The module that called `register`."""
    return str(sys._getframe(2).f_globals.get("__name__", "__main__"))


def _is_again(old: Any, new: Any) -> bool:
    """Whether the same definition was run again, as in a notebook's cell."""
    if not isinstance(old, type) or not isinstance(new, type):
        return bool(old == new)
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def _check(kind: str, name: str, thing: Any) -> None:
    """InputError unless the thing is what its kind asks for."""
    what = f"{kind} {name!r}"
    if kind == "scenario":
        if not isinstance(thing, str | os.PathLike) or not Path(thing).is_file():
            raise InputError(f"{what}: {echo(thing)} must be the path of a scenario file")
        return
    if kind == "experiment":
        if not isinstance(thing, str | ModuleType):
            raise InputError(f"{what}: {echo(thing)} must be a module, or the name of one")
        return
    if not isinstance(thing, type):
        raise InputError(f"{what}: {echo(thing)} must be a class, not an object of one")
    parameters = getattr(thing, "__dataclass_params__", None)
    if not is_dataclass(thing) or parameters is None or not parameters.frozen:
        raise InputError(
            f"{what}: {thing.__name__} must be a frozen dataclass: put @dataclass(frozen=True) "
            "below @register, above the class"
        )
    point = KINDS[kind]
    base = getattr(importlib.import_module(point.home), point.base)
    if not issubclass(thing, base):
        raise InputError(
            f"{what}: {thing.__name__} must inherit from {point.base}: from {point.home} import "
            f"{point.base}"
        )
    missing = sorted(getattr(thing, "__abstractmethods__", ()))
    missing += [verb for verb in point.verbs if getattr(thing, verb) is getattr(base, verb)]
    if missing:
        raise InputError(f"{what}: {thing.__name__} has no {', '.join(missing)}; write it")
    hidden = [one.name for one in fields(thing) if isinstance(one.default, property)]
    if hidden:
        raise InputError(
            f"{what}: {hidden[0]} is a property of {point.base}: give the parameter a default, or "
            "another name"
        )
