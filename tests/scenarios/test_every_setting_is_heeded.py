"""No setting is accepted that changes nothing: each is heeded, or refused in one line."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.rollout import play
from mos_agents.scenarios import parts
from mos_agents.testing.promises import bits

TICKS = 40

WORDS = {
    "conduct": ("clip", "refuse"),
    "on_refusal": ("stand", "withdraw"),
    "mark": ("cost", "reference"),
    "price": ("first", "second"),
    "choice": ("within", "across"),
}
"""What a text may be, by the name of the setting."""

WITHOUT_EFFECT = {
    "description": "shown only",
    "name": "shown only",
    "participants.*.name": "shown only",
    "participants.*.role": "a label, but for platform: what somebody does is told by the quotes",
    "instruments": "structure: another market altogether",
    "quotes.low": "a limit that binds nobody here",
    "quotes.high": "a limit that binds nobody here",
    "quotes.min_spread": "a limit that binds nobody here",
    "quotes.max_spread": "a limit that binds nobody here",
    "quotes.max_offset": "a limit that binds nobody here",
    "quotes.max_age": "a quote grows old only where its owner is refused or off the move",
    "quotes.sized": "the policies here always ask for the largest size",
    "quotes.on_refusal": "nobody is refused here",
    "quotes.conduct": "nobody here asks for what the rules of conduct would change",
    "quotes.max_relative_change": "nobody here moves as far",
    "quotes.min_margin": "nobody here prices so near to cost",
    "fees.highest_fee": "a limit that binds nobody here",
    "fees.highest_unit_fee": "a limit that binds nobody here",
    "fees.every": "the platform here sets the same fee at every tick",
    "fees.fee": "in force before the first tick alone: the platform sets its own",
    "orders.size": "a limit that binds nobody here",
    "orders.high": "a limit that binds nobody here",
    "positions.limit": "nobody here holds so much in so few ticks",
    "execution.demand.choice": "with one product, all customers compare the same offers either way",
}
"""Settings that may be at a value that changes nothing in these 40 ticks, with the reason."""


SCARCE = {
    "retail": {"catalogue": {"kind": "drawn", "stock": 3.0}},
    "market_making": {"positions": {"limit": 20.0, "short": True, "mark": "reference"}},
}
"""What makes goods run out within these ticks."""


def settings_of(preset: str) -> dict[str, Any]:
    found = scenarios.load(preset).data()
    changed = {**found, "ticks": TICKS, **SCARCE.get(preset, {})}
    return scenarios.Scenario.model_validate(changed).data()


def signature(data: dict[str, Any]) -> str:
    """Everything that anybody sees, trades, holds and earns, to the bit; and by whom."""
    scenario = scenarios.Scenario.model_validate(copy.deepcopy(data))
    seen = []
    batch = min(scenario.markets, 2)
    steps = play(
        scenario.market(), scenario.policies(), seed=scenario.seed, ticks=TICKS, markets=batch
    )
    for step in steps:
        info, held = step.info, step.state.positions
        seen.append(
            (
                step.observation,
                step.reward,
                step.metrics,
                held.cash,
                held.inventory,
                *info.quotes[:4],
                *info.executions.arrays,
                *info.flows,
                info.refused,
            )
        )
    return bits(tuple(seen))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number, truth value, text and tuple of them, with its path."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in ("policy", "kind"):
                yield from leaves(one, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, one in enumerate(value):
            yield from leaves(one, (*path, i))
    else:
        yield path, value


def others(name: str, value: Any) -> list[Any]:
    """Other values of a setting: some larger, some smaller, some of its own kind."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return [word for word in WORDS.get(name, ()) if word != value]
    if isinstance(value, int):
        return [value + 1, 2 * value + 3]
    if isinstance(value, float):
        if value == np.inf:
            return [3.0, 60.0]
        return [0.01, 0.3] if value == 0.0 else [1.25 * value, 0.5 * value]
    if isinstance(value, tuple | list) and value and not isinstance(value[0], str):
        return [type(value)(one + 1 for one in value)]
    if value is None:
        return [0.02, 4.0, 60.0]
    return []


def put(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    here: Any = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return changed


def outcomes(preset: str) -> dict[str, set[str]]:
    """By path: what came of its changes, of "heeded", "refused: ..." and "nothing"."""
    data = settings_of(preset)
    before = signature(data)
    found: dict[str, set[str]] = {}
    for path, value in leaves(data):
        name = ".".join("*" if isinstance(key, int) else key for key in path)
        for other in others(path[-1], value):
            found.setdefault(name, set())
            try:
                after = signature(put(data, path, other))
            except (InputError, ValueError) as error:
                found[name].add(f"refused: {error}")
            else:
                found[name].add("nothing" if after == before else "heeded")
    return found


@pytest.mark.parametrize("preset", scenarios.presets())
def test_each_setting_of_each_preset_is_heeded_or_refused(preset):
    found = outcomes(preset)
    idle = [
        name
        for name, what in found.items()
        if "nothing" in what and "heeded" not in what
        if name.removeprefix("venues.*.") not in WITHOUT_EFFECT
    ]
    assert idle == []
    assert len(found) > 20
    assert sum("heeded" in what for what in found.values()) > 10


PLACES = {
    "quotes": ("quotes",),
    "schedule": ("schedule",),
    "arrivals": ("arrivals",),
    "demand": ("execution", "demand"),
    "process": ("reference", "price"),
    "process of costs": ("reference", "cost"),
    "process of demand": ("reference", "demand"),
}
"""Where a scenario names a kind."""


@pytest.mark.parametrize("market", PLACES)
@pytest.mark.parametrize("preset", [one for one in scenarios.presets() if one != "autos_1990"])
def test_each_other_kind_of_each_part_is_heeded_or_refused(preset, market):
    data, path = settings_of(preset), PLACES[market]
    places = [path] if path[0] in data else []
    places += [("venues", v, *path) for v in range(len(data.get("venues", ())))]
    places = [place for place in places if at(data, place) is not None]
    if not places:
        pytest.skip("no demand model here")
    before = signature(data)
    for place in places:
        idle = []
        for kind in parts.kinds(market.split()[0]):
            try:
                if signature(put(data, place, {"kind": kind})) == before:
                    idle.append(kind)
            except (InputError, ValueError):
                continue
        assert set(idle) <= {at(data, place)["kind"]}


def at(data: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path; None where nothing does."""
    for key in path:
        if isinstance(data, dict) and key not in data:
            return None
        data = data[key]
    return data
