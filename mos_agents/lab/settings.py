"""The settings that a caller gives: a scenario with changes."""

from __future__ import annotations

import os

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.changes import Changes, as_texts
from mos_agents.wording import setting

ScenarioLike = str | os.PathLike[str] | Scenario
"""A preset's name, the path of a scenario file, or a scenario."""


def resolve(
    scenario: ScenarioLike,
    changes: Changes = (),
    ticks: int | None = None,
    markets: int | None = None,
    seed: int | None = None,
) -> Scenario:
    """The scenario with the caller's changes.

    Parameters
    ----------
    scenario : str, path or Scenario
        A preset's name, the path of a scenario file, or a scenario.
    changes : mapping or sequence of str
        Settings by their path: {"firms": 4} or ["firms=4"].
    ticks, markets, seed : int, optional
        Replace those of the scenario.

    Raises
    ------
    InputError
        One line about the first setting that is wrong.
    """
    given = {"ticks": ticks, "markets": markets, "seed": seed}
    given = {key: value for key, value in given.items() if value is not None}
    listed = [*as_texts(changes), *(f"{key}={value}" for key, value in given.items())]
    loaded = scenario if isinstance(scenario, Scenario) else scenarios.load(os.fspath(scenario))
    try:
        return scenarios.override(loaded, listed) if listed else loaded
    except InputError as error:
        message = str(error)
        for key in given:
            if message.startswith(start := f"{setting('changes')}: {key}="):
                # It was given as a setting of its own.
                raise InputError(f"{setting(key)}={message.removeprefix(start)}") from None
        raise
