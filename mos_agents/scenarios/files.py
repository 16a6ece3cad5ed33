"""Scenario files: read safely, checked key by key, changed by `a.b=c`, written back in full."""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mos_agents import registry
from mos_agents.market.checks import concise, echo
from mos_agents.market.types import InputError
from mos_agents.runs.files import read_regular
from mos_agents.scenarios import parts
from mos_agents.scenarios.listing import presets
from mos_agents.scenarios.schema import Scenario
from mos_agents.wording import setting

LARGEST = 1 << 20  # bytes of a scenario file
SHORTHANDS = {
    "firms": "participants.firm.count",
    "makers": "participants.maker.count",
    "bidders": "participants.bidder.count",
    "products": "instruments",
    "assets": "instruments",
    "items": "instruments",
}


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


def _yaml(text: str) -> Any:
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


Changes = Mapping[str, Any] | Sequence[str]
"""Settings of a scenario by their path: {"firms": 4}, or ["firms=4"] with the value as YAML."""


def as_texts(changes: Changes) -> list[str]:
    """Changes as texts of the form path=value, the value as YAML."""
    if isinstance(changes, Mapping):
        return [f"{path}={inline(value)}" for path, value in changes.items()]
    if isinstance(changes, str):
        raise InputError(
            f"changes={changes!r} must be a mapping such as {{'firms': 4}}, or a list of texts"
        )
    return list(changes)


def load(name_or_path: str | Path, imports: Sequence[str] = (), changes: Changes = ()) -> Scenario:
    """Load a preset by its name, or a scenario file by its path.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a preset, or the path of a YAML file.
    imports : sequence of str
        Modules of your own that the scenario may import; see `mos_agents.register`.
    changes : mapping or sequence of str
        Settings by their path: {"firms": 4} or ["firms=4"].

    Returns
    -------
    Scenario
        The scenario, with the changes.

    Raises
    ------
    InputError
        In one line: the field, its value, what is allowed, the remedy.
    """
    for module in imports:
        registry.load(module)
    loaded = _load(str(name_or_path))
    texts = as_texts(changes)
    return override(loaded, texts) if texts else loaded


def _load(name: str) -> Scenario:
    preset = registry.find("scenario", name)
    if preset is not None:
        return read(Path(preset), name)
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or os.path.exists(name):
        return read(path, name)
    raise InputError(
        f"scenario {echo(name, 100)} is neither a preset ({', '.join(presets())}) nor a .yaml "
        f"file{registry.did_you_mean(name, presets())}"
    )


def read(path: Path, shown: str) -> Scenario:
    """A scenario file, or InputError naming the file, the field and the remedy."""
    try:
        text = read_regular(path, LARGEST, shown).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: is not UTF-8 text: byte {error.start} is none") from None
    return parse(text, shown).beside(Path(os.path.realpath(path)).parent)


def parse(text: str, shown: str = "scenario", trusted: bool = False) -> Scenario:
    """Read a scenario from YAML text.

    Parameters
    ----------
    text : str
        The YAML text.
    shown : str
        What error messages begin with.
    trusted : bool
        Whether this user's own process wrote the text: then the modules that it names are imported.

    Returns
    -------
    Scenario
        The scenario.

    Raises
    ------
    InputError
        If the text is not YAML, or no valid scenario.
    """
    try:
        data = _yaml(text)
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "is not YAML"
        message = (str(problem).splitlines() or ["is not YAML"])[0]
        raise InputError(f"{shown}: {where}{message[:200]}") from None
    except (RecursionError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{shown}: is not a scenario: {echo(str(error))}") from None
    if trusted and isinstance(data, dict):
        for module in data.get("import", ()):
            registry.load(module)
    return validate(data, shown)


def validate(data: Any, shown: str = "scenario") -> Scenario:
    """A scenario from plain data."""
    if not isinstance(data, dict):
        raise InputError(f"{shown}: must be keys and values, such as 'name: my_market'")
    _import(data, shown)
    try:
        return Scenario.model_validate(data).with_modules()
    except ValidationError as error:
        raise InputError(f"{shown}: {concise(explain(error, data))}") from None
    except RecursionError:
        raise InputError(f"{shown}: is nested too deeply") from None


def _import(data: dict[Any, Any], shown: str) -> None:
    """Import the modules that a scenario names, if the user has named them too."""
    named = data.get("import", ())
    for module in (named,) if isinstance(named, str) else named:
        registry.require(module, shown)
    if isinstance(named, str):
        data["import"] = (named,)


def dump(scenario: Scenario) -> str:
    """Write a scenario as YAML with every default written out; `load` reads it back.

    Parameters
    ----------
    scenario : Scenario
        The scenario.

    Returns
    -------
    str
        The YAML text.
    """
    return as_yaml(plain(scenario.data()))


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
        found = _yaml(f"[{text}]")
    except (yaml.YAMLError, InputError, ValueError):
        found = None
    if not isinstance(found, list):
        raise InputError(f"{echo(text)}: is not a list of YAML values, such as 1,2,3")
    return found


def override(scenario: Scenario, changes: Sequence[str], option: str | None = None) -> Scenario:
    """Change settings of a scenario by their paths.

    Parameters
    ----------
    scenario : Scenario
        The scenario, which stays as it is.
    changes : sequence of str
        KEY=VALUE, such as `arrivals.sessions=50` or `firms=4`. Values are YAML; items of a list are
        addressed by number, or by their `name`.
    option : str, optional
        What error messages begin with; "changes" where it is left out.

    Returns
    -------
    Scenario
        The changed scenario.

    Raises
    ------
    InputError
        If a change cannot be read, or the scenario is not valid with it.
    """
    option = option or setting("changes")
    data = plain(scenario.data())
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals or not path.strip():
            raise InputError(
                f"{option} {echo(change, 100)} must be KEY=VALUE, such as arrivals.sessions=50"
            )
        if not text.strip():
            raise InputError(
                f"{option} {echo(change, 100)} has no value: write one, as in "
                f"{path.strip()[:60]}=2, or null for a setting that may be left out"
            )
        value = parsed_value(text, f"{option} {echo(change, 100)}")
        _set(data, path.strip(), value, f"{option} {echo(change, 100)}")
    return validate(data, option)


def parsed_value(text: str, shown: str) -> Any:
    """A value as YAML on one line, as `inline` writes it; InputError where it is none."""
    try:
        return _yaml(text)
    except InputError as error:
        message = str(error).removeprefix("line 1: ").removeprefix("line 1, ")
        raise InputError(f"{shown}: the value is not YAML: {message}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise InputError(f"{shown}: the value is not YAML") from None


def _set(data: Any, path: str, value: Any, shown: str) -> None:
    keys = path.split(".")
    if keys[0] in SHORTHANDS:
        keys = SHORTHANDS[keys[0]].split(".") + keys[1:]
    elif keys[0] not in data:
        raise InputError(f"{shown}: {_unknown(keys[0], [*data, *_shorthands(data)])}")
    here = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(here, list):
            names = [item.get("name") if isinstance(item, dict) else None for item in here]
            if key in names:
                index = names.index(key)
            elif key.isdigit() and int(key) < len(here):
                index = int(key)
            else:
                known = [n for n in names if n] or [f"0 to {len(here) - 1}"]
                raise InputError(f"{shown}: {key!r} is not there; there are {known}")
            if last:
                here[index] = value
            else:
                here = here[index]
        elif isinstance(here, dict):
            if last:
                _put(here, key, value)
            else:
                if key not in here:
                    raise InputError(f"{shown}: {_unknown(key, list(here))}")
                here = here[key]
        else:
            raise InputError(f"{shown}: {'.'.join(keys[:depth])} has no parts")


def _shorthands(data: Any) -> list[str]:
    """Those that this scenario has something for: makers only where there are some."""
    groups = {f"participants.{one['name']}.count" for one in data["participants"]}
    quotes = data.get("quotes", {}).get("kind")
    goods = {"two_sided": "assets", "sealed_bid": "items"}.get(quotes, "products")
    return [goods, *(short for short, path in SHORTHANDS.items() if path in groups)]


def _put(here: dict[str, Any], key: str, value: Any) -> None:
    if key == "kind" and here.get("kind") != value:
        # Another kind has other parameters: its own defaults, not the old kind's values. A part
        # that both have, such as the demand of an execution, is a choice of its own and stays.
        kept = {
            name: part
            for name, part in here.items()
            if isinstance(part, dict) and "kind" in part and _has_part(value, name)
        }
        here.clear()
        here.update(kept)
    elif isinstance(value, str) and _has_kinds(here.get(key)):
        # `arrivals=poisson` is short for `arrivals.kind=poisson`; so is `policy=reactive` for all.
        if isinstance(here[key], dict):
            _put(here[key], "kind", value)
            return
        value = {"kind": value}
    here[key] = value


def _has_kinds(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_has_kinds(one) for one in value)
    return isinstance(value, dict) and "kind" in value


def _has_part(kind: Any, name: str) -> bool:
    """Whether an execution of this kind has a part of this name."""
    return any(
        name in model.model_fields
        for model in field_models(Scenario.model_fields["execution"])
        if model.model_fields["kind"].default == kind
    )


def plain(value: Any) -> Any:
    """Models' values as a file has them: lists in place of tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def _unknown(key: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(key)[:100], known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(known)}"
    return f"{echo(str(key))} is not a key here; {hint}"


def explain(error: ValidationError, data: Any) -> str:
    """The first problem in one line: field, value, what is allowed."""
    problems = _of_the_kind_given(error.errors(include_url=False))
    problem = min(problems, key=lambda p: (p["type"] != "extra_forbidden", len(p["loc"])))
    path, model = _walk(problem["loc"], data)
    where = ".".join(path) or "scenario"
    kind = problem["type"]
    if kind == "extra_forbidden":
        parent = ".".join(path[:-1])
        known = list(model.model_fields) if model else []
        return f"{parent + ': ' if parent else ''}{_unknown(path[-1] if path else '?', known)}"
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
