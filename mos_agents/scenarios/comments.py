"""A scenario as YAML with a comment beside every setting: what it is, its unit and its range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from mos_agents import registry
from mos_agents.scenarios import yaml_text
from mos_agents.scenarios.docstrings import first_sentence, wrapped
from mos_agents.scenarios.schema import Scenario
from mos_agents.scenarios.topics import of_dataclass, of_model

BESIDE = 36
"""Column at which comments begin, where the setting leaves room."""
WIDTH, LEAST = 100, 42
"""Characters of a line, and of a comment beside a long setting."""
FEW = 4
"""Numbers of a list that stand on one line."""


def commented(scenario: Scenario) -> str:
    """Write a scenario in full as YAML with a comment on each setting; `load` reads it back.

    Parameters
    ----------
    scenario : Scenario
        The scenario.

    Returns
    -------
    str
        The YAML text.
    """
    return "\n".join(_part(scenario, 0)) + "\n"


def _part(model: BaseModel, depth: int, with_texts: bool = True) -> Iterator[str]:
    """The lines of a model's settings; not `told` leaves out their comments, which stand above."""
    what, settings = of_model(type(model))
    texts = {one.name: one.text for one in settings if with_texts} | {"kind": what.sentence}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(model, Scenario) and name in model.left_out:
            continue
        text = texts.get(name, "")
        if isinstance(value, BaseModel):
            yield from _beside(f"{name}:", text, depth)
            yield from _part(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield from _beside(f"{name}:", text, depth)
            for number, item in enumerate(value):
                yield from _item(list(_part(item, depth + 1, with_texts=number == 0)), depth)
        elif name == "policy":
            yield from _beside("policy:", text, depth)
            yield from _policies(value, depth + 1)
        else:
            yield from _value(name, yaml_text.plain(value), text, depth)


def _policies(value: Any, depth: int) -> Iterator[str]:
    """The lines of a policy, or of a list of them."""
    if isinstance(value, list):
        for one in value:
            yield from _item(list(_policies(one, depth)), depth - 1)
        return
    cls = registry.find("policy", value.get("kind"))
    description, parameters = of_dataclass(cls) if cls is not None else (None, ())
    texts = {one.name: one.text for one in parameters}
    texts["kind"] = description.sentence if description is not None else ""
    for key, inner in yaml_text.plain(value).items():
        yield from _value(key, inner, texts.get(key, ""), depth)


def _item(lines: list[str], depth: int) -> Iterator[str]:
    """The lines of a mapping as an item of a list: a dash before the first setting."""
    indent = "  " * depth
    yield f"{indent}- {lines[0].removeprefix(indent + '  ')}"
    yield from lines[1:]


def _value(name: str, value: Any, text: str, depth: int) -> Iterator[str]:
    """A setting that is no part; where it takes several lines, its comment stands above."""
    indent = "  " * depth
    if isinstance(value, list) and len(value) <= FEW and not any(map(_has_parts, value)):
        lines = [f"{name}: {yaml_text.inline(value)}"]
    else:
        lines = yaml_text.as_yaml({name: value}).rstrip("\n").split("\n")
    if len(lines) == 1:
        yield from _beside(lines[0], text, depth)
        return
    if text:
        yield from wrapped(first_sentence(text), WIDTH, f"{indent}# ", f"{indent}# ")
    yield from (indent + line for line in lines)


def _beside(setting: str, text: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    line = indent + setting
    if not text:
        yield line
        return
    column = max(BESIDE, len(line) + 2)
    width = max(WIDTH, column + LEAST)
    yield from wrapped(first_sentence(text), width, f"{line:<{column}}# ", f"{'':<{column}}# ")


def _has_parts(value: Any) -> bool:
    return isinstance(value, dict | list)
