"""Scenarios are checked key by key; the first problem is stated in one line with its remedy."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mos_agents import registry
from mos_agents.market.checks import concise, echo
from mos_agents.market.types import InputError
from mos_agents.scenarios import parts
from mos_agents.scenarios.schema import Scenario


def validate(data: Any, shown: str = "scenario") -> Scenario:
    """A scenario from plain data."""
    if not isinstance(data, dict):
        raise InputError(f"{shown}: must be keys and values, such as 'name: my_market'")
    _import(data, shown)
    try:
        return Scenario.model_validate(data).with_modules()
    except ValidationError as error:
        raise InputError(f"{shown}: {concise(first_problem(error, data))}") from None
    except RecursionError:
        raise InputError(f"{shown}: is nested too deeply") from None


def _import(data: dict[Any, Any], shown: str) -> None:
    """Import the modules that a scenario names, if the user has named them too."""
    named = data.get("import", ())
    for module in (named,) if isinstance(named, str) else named:
        registry.require(module, shown)
    if isinstance(named, str):
        data["import"] = (named,)


def unknown_key(key: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(key)[:100], known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(known)}"
    return f"{echo(str(key))} is not a key here; {hint}"


def first_problem(error: ValidationError, data: Any) -> str:
    """The first problem in one line: field, value, what is allowed."""
    problems = _of_the_kind_given(error.errors(include_url=False))
    problem = min(problems, key=lambda p: (p["type"] != "extra_forbidden", len(p["loc"])))
    path, model = _walk(problem["loc"], data)
    where = ".".join(path) or "scenario"
    kind = problem["type"]
    if kind == "extra_forbidden":
        parent = ".".join(path[:-1])
        known = list(model.model_fields) if model else []
        return f"{parent + ': ' if parent else ''}{unknown_key(path[-1] if path else '?', known)}"
    if kind == "missing":
        if isinstance(problem["loc"][-1], int):
            return f"{where}={echo(problem['input'])}: has too few values"
        return f"{where} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found", "kind_unknown", "kind_missing"):
        kinds = _kinds(path, model)
        given = problem["input"].get("kind") if isinstance(problem["input"], dict) else None
        near = difflib.get_close_matches(str(given)[:100], kinds, 1)
        hint = f"; did you mean {near[0]!r}?" if near else _foreign_hint(path, model)
        shown = f"kind={echo(given)} is not known" if given is not None else "kind is missing"
        return f"{where}: {shown}; kinds are {', '.join(kinds)}{hint}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "value_error" and isinstance(problem["input"], dict | list):
        joint = "" if message.startswith(".") else ": "
        return f"{where}{joint}{message}" if path else message
    if kind == "tuple_type":
        message = "must be a list of values, such as [1, 2]"
    elif kind in ("dict_type", "model_type", "model_attributes_type"):
        message = "must be a mapping, such as {kind: ...}"
    elif kind == "float_type" and problem["input"] is None:
        return f"{where}: null is not a number here; .inf is infinity, such as stock made to order"
    elif kind in _TYPES and path == ["instruments"]:
        message = "must be a number, or a list of names"
    return f"{where}={echo(problem['input'])}: {message[0].lower()}{message[1:]}"


_TYPES = ("int_type", "list_type", "int_from_float", "float_type")


def _of_the_kind_given(problems: Sequence[Any]) -> Sequence[Any]:
    """Without "not a number" where a list was given that could be one, and the reverse."""
    kept = [
        p
        for p in problems
        if not (
            (p["type"] in ("int_type", "float_type") and isinstance(p["input"], list | tuple))
            or (p["type"] == "list_type" and not isinstance(p["input"], str | dict))
        )
    ]
    return kept or problems


def _walk(loc: Sequence[Any], data: Any) -> tuple[list[str], type[BaseModel] | None]:
    """The path as the user wrote it (without pydantic's union tags), and the model around it."""
    path: list[str] = []
    model: type[BaseModel] | None = Scenario
    here: Any = data
    owner: type[BaseModel] = Scenario
    entered = False  # a tag follows only on entering a union, and may be named like a parameter
    for step in loc:
        if entered and isinstance(here, dict) and here.get("kind") == step:
            entered = False
            continue
        entered = True
        if isinstance(here, dict) and step in here:
            path.append(str(step))
            here = here[step]
        elif isinstance(here, list | tuple) and isinstance(step, int) and step < len(here):
            path.append(str(step))
            here = here[step]
        elif isinstance(step, str) and isinstance(here, dict) and _is_key(step, model):
            path.append(step)
        else:
            continue
        if model is not None:
            owner = model
            model = _inner(model, path[-1], here)
    return path, owner if owner is not None else model


def _is_key(step: str, model: type[BaseModel] | None) -> bool:
    """Whether a step is a key that is missing, and not what pydantic calls a kind of value."""
    return model is not None and step in model.model_fields


def _inner(model: type[BaseModel], name: str, value: Any) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    if field is None:
        return model if name.isdigit() else None
    kind = value.get("kind", _usual_kind(field)) if isinstance(value, dict) else None
    for candidate in field_models(field):
        default = candidate.model_fields.get("kind")
        if default is None or default.default == kind:
            return candidate
    return None


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models of parts that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType) or get_args(annotation):
        return [m for a in get_args(annotation) for m in models(a)]
    return []


def field_models(field: FieldInfo) -> list[type[BaseModel]]:
    """The models of parts that a field may hold, of every kind that is registered."""
    kinds = _kind_of(field)
    return models(field.annotation) if kinds is None else list(parts.kinds(kinds.stage).values())


def _kind_of(field: FieldInfo) -> parts.KindOf | None:
    return next((one for one in field.metadata if isinstance(one, parts.KindOf)), None)


def _usual_kind(field: FieldInfo) -> str | None:
    kinds = _kind_of(field)
    return None if kinds is None else kinds.usual


def _foreign_hint(path: Sequence[str], owner: type[BaseModel] | None) -> str:
    """What to do about an unknown kind of a stage that is open to classes of your own."""
    field = owner.model_fields.get(path[-1]) if owner and path else None
    kinds = None if field is None else _kind_of(field)
    return "" if kinds is None else registry.unknown("", kinds.stage)


def _kinds(path: Sequence[str], owner: type[BaseModel] | None) -> list[str]:
    field = owner.model_fields.get(path[-1]) if owner and path else None
    if field is None:
        return []
    return [m.model_fields["kind"].default for m in field_models(field)]
