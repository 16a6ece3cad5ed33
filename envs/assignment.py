"""Which participants the caller controls and which play their own policies; one episode of them.

The caller of an environment controls some participants of a market. Each of the others plays its
own policy, with the streams of its name, exactly as in `mos_agents.rollout.play`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.market.checks import check_whole
from mos_agents.market.market import Market
from mos_agents.market.rewards import Objective
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import key_number
from mos_agents.market.types import InputError
from mos_agents.policies import Policy
from mos_agents.policies.base import from_config
from mos_agents.policies.rules import Hold
from mos_agents.scenarios import Scenario
from mos_agents.wording import setting

Source = Market | Scenario | str | Path
"""A market, a scenario, the name of a preset, or the path of a scenario file."""
MODULES = {
    "posted_price": "retail_v0",
    "two_sided": "market_making_v0",
    "sealed_bid": "auction_v0",
    "venues": "marketplace_v0",
}
"""The environments by the kind of quotes that they are for, or by several venues."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """A market: its `external` participants are controlled, its `hosted` ones play policies."""

    market: Market
    external: tuple[ParticipantSpec, ...]
    hosted: tuple[ParticipantSpec, ...]
    policies: Mapping[str, Policy]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.external)


def assign(
    source: Source,
    agents: Sequence[str] | None = None,
    policies: Mapping[str, Any] | None = None,
    horizon: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> Assignment:
    """Assign the participants of a market or scenario (as such, or by its name or path).

    agents: who is played from outside. None: every participant of a bare market; of a scenario,
        all but those whose own policy is to hold their opening price (and all, if all hold).
    policies: what the others play, over what the scenario says for them.
    horizon, weights: in place of the market's own episode length and of its objective's weights.
    Raises InputError in one line.
    """
    market, own = _parts(source)
    if horizon is not None:
        ticks = check_whole("horizon", horizon, 1, note=": ticks an episode")
        market = market.with_parts(horizon=ticks)
    if weights is not None:
        old = market.rewards
        made = replace(old, weights=dict(weights)) if isinstance(old, Objective) else None
        market = market.with_parts(rewards=made or Objective(dict(weights)))
    played = {**own, **{k: from_config(v) for k, v in (policies or {}).items()}}
    for name in played:
        _known(name, "policies", market)
    chosen = _chosen(agents, market, own)
    hosted = tuple(spec for spec in market.specs if spec.name not in chosen)
    for spec in hosted:
        if spec.name not in played:
            raise InputError(
                f"policies: {spec.name!r} is hosted and has none; give "
                f"policies={{{spec.name!r}: ...}} or name it in agents"
            )
    external = tuple(spec for spec in market.specs if spec.name in chosen)
    return Assignment(market, external, hosted, {spec.name: played[spec.name] for spec in hosted})


def episode_ticks(horizon: Any, max_cycles: Any) -> Any:
    """The length of an episode by either of its names; InputError where they disagree."""
    if horizon is not None and max_cycles is not None and horizon != max_cycles:
        raise InputError(
            f"horizon={horizon!r}, max_cycles={max_cycles!r}: both are the ticks of an episode; "
            "give one of them"
        )
    return max_cycles if horizon is None else horizon


def described(
    preset: str, scenario: Any, settings: Mapping[str, Any], arguments: Sequence[str]
) -> Scenario:
    """The scenario asked for (a Scenario, a name or a path; None is `preset`), with changes.

    `settings` go by their path with __ for the dot, as in `mos_agents.retail`; None leaves one be.
    arguments: what the environment takes beside the scenario's own settings, for messages.
    """
    _check_settings(settings, arguments)
    found = preset if scenario is None else scenario
    made = found if isinstance(found, Scenario) else scenarios.load(found)
    changes = [
        f"{key.replace('__', '.')}={scenarios.inline(value)}"
        for key, value in settings.items()
        if value is not None
    ]
    wanted, kind = _kind(scenarios.load(preset)), _kind(made)
    if kind != wanted:
        has, needs = (
            one if one == "venues" else f"quotes of kind {one!r}" for one in (kind, wanted)
        )
        raise InputError(
            f"scenario={made.name!r} has {has}, this environment has {needs}; "
            f"use {MODULES.get(kind, 'market_env.MarketEnv')}"
        )
    try:
        return scenarios.override(made, changes) if changes else made
    except InputError as error:
        raise InputError(str(error).replace(setting("changes"), "settings", 1)) from None


def _kind(scenario: Scenario) -> str:
    return "venues" if scenario.venues else str(scenario.quotes.kind)


def _check_settings(settings: Mapping[str, Any], arguments: Sequence[str]) -> None:
    """InputError for a setting that is neither an argument nor a key of a scenario."""
    known = [*arguments, *Scenario.model_fields]
    for name in settings:
        key = name.split("__")[0]
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"{name}: {key!r:.60} is no setting here; {hint}")


def next_seed(seed: int) -> int:
    """The seed of the episode after one with this seed, unless another is given."""
    sequence = np.random.SeedSequence(seed, spawn_key=(key_number("next episode"),))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def fresh_seed() -> int:
    """A seed from the machine's entropy."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))


def _parts(source: Any) -> tuple[Market, dict[str, Policy]]:
    if isinstance(source, Market):
        return source, {}
    if isinstance(source, str | Path):
        source = scenarios.load(source)
    if isinstance(source, Scenario):
        return source.market(), source.policies()
    raise InputError(
        f"market={source!r:.60} must be a Market, a Scenario, a preset's name or a scenario file's "
        "path, such as 'retail'"
    )


def _chosen(agents: Any, market: Market, own: Mapping[str, Policy]) -> set[str]:
    names = market.layout.participants
    selling = {spec.name for spec in market.specs if spec.action_shape[0]}
    if agents is None:
        return {n for n in selling if not isinstance(own.get(n), Hold)} or selling
    if isinstance(agents, str) or not isinstance(agents, Sequence):
        raise InputError(f"agents={agents!r} must be a list of names out of {_some(names)}")
    if not agents:
        raise InputError(f"agents=[] must name one or more of {_some(names)}")
    for name in agents:
        _known(name, "agents", market)
        if name not in selling:
            raise InputError(
                f"agents: {name!r} quotes nothing; name one of {_some(sorted(selling))}"
            )
    if len(set(agents)) != len(agents):
        raise InputError(f"agents={list(agents)!r} must name each agent once")
    return set(agents)


def _known(name: Any, where: str, market: Market) -> None:
    names = market.layout.participants
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{where}: {name!r} is not a participant{hint}; there are {_some(names)}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
