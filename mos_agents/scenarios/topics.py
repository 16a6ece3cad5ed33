"""A thing to explain, and how its parameters are read off the classes: type, default, meaning."""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from mos_agents.policies import Policy
from mos_agents.scenarios import parts, yaml_text
from mos_agents.scenarios.docstrings import ParsedDocstring, first_sentence, parse_docstring

UNSET = (None, "null", ".inf", "{}", "[]")
"""Defaults that say nothing in an example."""


REQUIRED: dict[str, dict[str, Any]] = {
    "periodic": {"periods": [1, 2, 4]},
    "expected": {"demand": {"kind": "logit"}},
    "sampled": {"demand": {"kind": "elasticity"}},
    "replay": {"path": "prices.csv"},
    "file": {"path": "goods.csv"},
}
"""Of stages that have no default for everything: examples of what must be given."""


class Parameter(NamedTuple):
    """A parameter of a policy or stage, or a setting: its type, default (as YAML) and meaning."""

    name: str
    type: str
    default: str | None  # None where it must be given
    text: str


class Topic(NamedTuple):
    """One thing to explain: paragraphs, parameters, facts by name, an example in YAML."""

    kind: str
    name: str
    paragraphs: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    example: str = ""

    @property
    def sentence(self) -> str:
        """The topic in one sentence."""
        return first_sentence(self.paragraphs[0])


def of_dataclass(cls: Any) -> tuple[ParsedDocstring, tuple[Parameter, ...]]:
    """What a policy is, and its parameters."""
    description, hints = parse_docstring(cls), get_type_hints(cls)
    return description, tuple(
        Parameter(
            one.name,
            describe_type(hints[one.name]),
            _default(one.default, one.default_factory),
            description.parameters.get(one.name, ""),
        )
        for one in dataclasses.fields(cls)
        if one.init
    )


def of_model(model: type[BaseModel]) -> tuple[ParsedDocstring, tuple[Parameter, ...]]:
    """What a part of a scenario file is, and its settings."""
    names = [name for name in model.model_fields if name != "kind"]
    description = parse_docstring(model, names)
    if issubclass(model, parts.Part) and model is not parts.ReplayFile:
        stage = parse_docstring(model.stage_class(), names)
        description = ParsedDocstring(stage.paragraphs, stage.parameters | description.parameters)
    found = []
    for name in names:
        field = model.model_fields[name]
        default = field.get_default(call_default_factory=True)
        value = dataclasses.MISSING if field.is_required() else default
        a_stage = any(isinstance(one, parts.KindOf) for one in field.metadata)
        hint = "a kind and its settings" if a_stage else describe_type(field.annotation)
        found.append(Parameter(name, hint, _default(value), description.parameters.get(name, "")))
    return description, tuple(found)


def example_values(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """The defaults that are worth showing, by name."""
    return {
        one.name: yaml_text.parsed_value(str(one.default), one.name)
        for one in parameters
        if one.default not in UNSET
    }


def nested(path: str, value: Any) -> str:
    """A value below its path, as a scenario file has it."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return yaml_text.as_yaml(value).rstrip()


def kind_of(model: type[BaseModel]) -> str:
    """The `kind` by which a file asks for a model; empty where there is only one."""
    field = model.model_fields.get("kind")
    return str(field.default) if field is not None else ""


def _default(value: Any, factory: Any = dataclasses.MISSING) -> str | None:
    if value is dataclasses.MISSING:
        if factory is dataclasses.MISSING:
            return None
        value = factory()
    return yaml_text.inline(yaml_text.plain(_dumped(value)), sort_keys=False)


def _dumped(value: Any) -> Any:
    """Parts as keys and values, those in a list too."""
    if isinstance(value, tuple):
        return tuple(_dumped(one) for one in value)
    return value.model_dump(mode="python") if isinstance(value, BaseModel) else value


NAMED = {
    float: "number",
    int: "whole number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    Policy: "policy",
    Any: "any",
}


def describe_type(hint: Any) -> str:
    """The type of a parameter in words: "number", "list of numbers or null"."""
    if hint in NAMED:
        return NAMED[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe_type(one) for one in args))
    if origin is Literal:
        return "one of " + ", ".join(str(one) for one in args)
    if origin in (tuple, list):
        counted = origin is tuple and args[-1] is not Ellipsis
        items = re.sub(r"^(whole number|number|text|list)\b", r"\1s", describe_type(args[0]))
        return f"list of {len(args)} {items}" if counted else f"list of {items}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of names, each with a {describe_type(args[1])}"
    if args:  # Annotated: the rest says how it is checked
        return describe_type(args[0])
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "a kind and its settings" if "kind" in hint.model_fields else "settings"
    return str(getattr(hint, "__name__", hint)).lower()
