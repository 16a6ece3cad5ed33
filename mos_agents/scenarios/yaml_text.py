"""YAML as scenarios use it: plain data only, numbers as people read them, and written so that the
same comes back."""

from __future__ import annotations

import re
from typing import Any

import yaml

from mos_agents.market.checks import echo
from mos_agents.market.types import InputError

DEEPEST = 30  # levels of a scenario file


MOST_DIGITS = 4000  # of a whole number: Python itself reads no more than 4,300


class _Loader(yaml.CSafeLoader):
    """Plain data only: no tags, no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise InputError(f"{_line(key)}: {echo(key.value)} is there twice")
                if key.tag == "tag:yaml.org,2002:merge":
                    raise InputError(f"{_line(key)}: merging (<<) is not taken here")
                seen.add(key.value)
                if isinstance(value, yaml.ScalarNode) and value.value == "" and not value.style:
                    raise InputError(
                        f"line {key.start_mark.line + 1}: {key.value!r} has no value: write one, "
                        "or leave the line out"
                    )
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            value = echo(getattr(node, "value", ""))
            kind = str(node.tag).rpartition(":")[2]
            raise InputError(f"{_line(node)}: {value} is no {kind[:40]}") from None

    def plain_number(self, node: Any) -> Any:
        """A number as people read it: YAML 1.1 takes 12:30 for 750, and 010 for 8."""
        value = self.construct_scalar(node).replace("_", "").lstrip("+-")
        if ":" in value:
            raise InputError(
                f"{_line(node)}: {echo(node.value)} would be a number in base 60; write it out, "
                "or put it in quotes where it is a text"
            )
        if len(value) > 1 and value[0] == "0" and value.isdigit():
            raise InputError(
                f"{_line(node)}: {echo(node.value)} would be a number in base 8; leave the first 0 "
                "out, or put it in quotes where it is a text"
            )
        if node.tag.endswith(":int"):
            if len(value) > MOST_DIGITS:
                raise InputError(
                    f"{_line(node)}: a number of {len(value):,} digits is beyond those that are "
                    "computed with"
                )
            return self.construct_yaml_int(node)
        return self.construct_yaml_float(node)


def _line(node: Any) -> str:
    return f"line {node.start_mark.line + 1}" if node.start_mark else "a line"


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.plain_number)


class _Dumper(yaml.SafeDumper):
    """What the loader takes back as it was."""


# PyYAML takes 1e6 for a text: its numbers need a point and a sign, as in 1.0e+6. People's do not.
_SCIENTIFIC = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _SCIENTIFIC, list("-+.0123456789"))


def read_yaml(text: str) -> Any:
    """Plain data from YAML text; aliases and deep nesting are refused before anything is built."""
    _check_characters(text)
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"line {line}: aliases (*) are not taken here")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InputError(f"line {line}: nested more than {DEEPEST} levels deep")
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


# What YAML 1.1 calls printable.
_UNPRINTABLE = re.compile(
    "[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def _check_characters(text: str) -> None:
    """InputError with line and place of the first character that YAML does not take."""
    found = _UNPRINTABLE.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
        raise InputError(
            f"line {line}, character {column}: {found[0]!a} is not taken in YAML; remove it"
        )


def as_yaml(value: Any) -> str:
    """Plain data as YAML text, which the loader takes back as it was."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def inline(value: Any, sort_keys: bool = True) -> str:
    """Write a value as YAML on one line, which `override` reads back.

    Parameters
    ----------
    value : any
        Plain data: numbers, texts, lists, mappings.
    sort_keys : bool
        Whether the keys of mappings are sorted.

    Returns
    -------
    str
        The YAML text.
    """
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=10**6, sort_keys=sort_keys
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def listed(text: str) -> list[Any]:
    """Read values that are separated by commas, as in `1, 2, {kind: poisson}`.

    Commas inside brackets and braces belong to a value.

    Parameters
    ----------
    text : str
        The values.

    Returns
    -------
    list
        The values as plain data.

    Raises
    ------
    InputError
        If the text is not a list of YAML values.
    """
    try:
        found = read_yaml(f"[{text}]")
    except (yaml.YAMLError, InputError, ValueError):
        found = None
    if not isinstance(found, list):
        raise InputError(f"{echo(text)}: is not a list of YAML values, such as 1,2,3")
    return found


def parsed_value(text: str, shown: str) -> Any:
    """A value as YAML on one line, as `inline` writes it; InputError where it is none."""
    try:
        return read_yaml(text)
    except InputError as error:
        message = str(error).removeprefix("line 1: ").removeprefix("line 1, ")
        raise InputError(f"{shown}: the value is not YAML: {message}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise InputError(f"{shown}: the value is not YAML") from None


def plain(value: Any) -> Any:
    """Models' values as a file has them: lists in place of tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
