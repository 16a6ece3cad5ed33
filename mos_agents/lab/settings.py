"""The settings that a caller gives: a scenario with changes, and errors in the caller's words."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario

ScenarioLike = str | os.PathLike[str] | Scenario
"""A preset's name, the path of a scenario file, or a scenario."""

Changes = Mapping[str, Any] | Sequence[str]
"""Settings of a scenario by their path: {"firms": 4}, or ["firms=4"] with the value as YAML."""

_SETTING = re.compile(r"\{(\w+)(?:=(\w+))?\}")


class SettingError(InputError):
    """A setting does not go with another one.

    The text marks settings by braces: "{spread} needs {backend=ray}". Python callers read
    `spread needs backend='ray'`; the command line shows `typed()`.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_SETTING.sub(lambda m: m[1] + (f"={m[2]!r}" if m[2] else ""), text))
        self._text = text

    def typed(self) -> str:
        """The message with settings as options: `--spread needs --backend ray`."""
        return _SETTING.sub(
            lambda m: f"--{m[1].replace('_', '-')}" + (f" {m[2]}" if m[2] else ""), self._text
        )


def resolve(
    scenario: ScenarioLike,
    changes: Changes = (),
    ticks: int | None = None,
    markets: int | None = None,
    seed: int | None = None,
    *,
    option: str = "changes",
    prefix: str = "",
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
    option, prefix : str
        What errors call the changes, and what they put before `ticks`, `markets` and `seed`.

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
        return scenarios.override(loaded, listed, option) if listed else loaded
    except InputError as error:
        message = str(error)
        for key in given:
            if message.startswith(f"{option}: {key}="):  # it was given by an option of its own
                raise InputError(prefix + message.removeprefix(f"{option}: ")) from None
        raise


def as_texts(changes: Changes) -> list[str]:
    """Changes as texts of the form path=value, the value as YAML."""
    if isinstance(changes, Mapping):
        return [f"{path}={scenarios.inline(value)}" for path, value in changes.items()]
    if isinstance(changes, str):
        raise InputError(
            f"changes={changes!r} must be a mapping such as {{'firms': 4}}, or a list of texts"
        )
    return list(changes)
