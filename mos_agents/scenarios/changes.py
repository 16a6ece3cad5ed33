"""Changes of a scenario by the paths of its settings, as in `arrivals.sessions=50`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mos_agents.market.checks import echo
from mos_agents.market.types import InputError
from mos_agents.scenarios import parts
from mos_agents.scenarios.schema import Scenario
from mos_agents.scenarios.validation import field_models, unknown_key, validate
from mos_agents.scenarios.yaml_text import inline, parsed_value, plain
from mos_agents.wording import setting

SHORTHANDS = {
    "firms": "participants.firm.count",
    "makers": "participants.maker.count",
    "bidders": "participants.bidder.count",
    "products": "instruments",
    "assets": "instruments",
    "items": "instruments",
    "goods": "instruments",
}


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


def _set(data: Any, path: str, value: Any, shown: str) -> None:
    keys = path.split(".")
    if keys[0] in SHORTHANDS:
        keys = SHORTHANDS[keys[0]].split(".") + keys[1:]
    elif keys[0] not in data:
        raise InputError(f"{shown}: {unknown_key(keys[0], [*data, *_shorthands(data)])}")
    here = data
    depth = -1
    while depth < len(keys) - 1:
        depth += 1
        if isinstance(here, dict):
            keys = _with_dots(here, keys, depth)
        key, last = keys[depth], depth == len(keys) - 1
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
                    usual = _usual_part(here, key)
                    if usual is None:
                        raise InputError(f"{shown}: {unknown_key(key, list(here))}")
                    here[key] = usual
                here = here[key]
        else:
            raise InputError(f"{shown}: {'.'.join(keys[:depth])} has no parts")


def _with_dots(here: dict[str, Any], keys: list[str], depth: int) -> list[str]:
    """The keys of a path, where those from `depth` on may be one name with points in it.

    A participant's part is such a name: `policy.policies.wholesale.orders.level`.
    """
    for end in range(len(keys), depth + 1, -1):
        name = ".".join(keys[depth:end])
        if name in here:
            return [*keys[:depth], name, *keys[end:]]
    return keys


def _shorthands(data: Any) -> list[str]:
    """Those that this scenario has something for: makers only where there are some."""
    groups = {f"participants.{one['name']}.count" for one in data["participants"]}
    quotes = "venues" if data.get("venues") else data.get("quotes", {}).get("kind")
    names = {"two_sided": "assets", "sealed_bid": "items", "venues": "goods"}
    goods = names.get(quotes, "products")
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


def _usual_part(here: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The default of a part that a stage of this kind has, and that was not written; else None."""
    for stage in parts.STAGES:
        model = parts.kinds(stage).get(here.get("kind", ""))
        field = None if model is None else model.model_fields.get(key)
        if field is not None and isinstance(field.default, parts.Part):
            return dict(plain(field.default.model_dump()))
    return None


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
