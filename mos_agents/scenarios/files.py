"""Scenario files: found by name or path, read, and written back in full."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from mos_agents import registry
from mos_agents.market.checks import echo
from mos_agents.market.types import InputError
from mos_agents.runs.files import read_regular
from mos_agents.scenarios.changes import Changes, as_texts, override
from mos_agents.scenarios.listing import presets
from mos_agents.scenarios.schema import Scenario
from mos_agents.scenarios.validation import validate
from mos_agents.scenarios.yaml_text import as_yaml, plain, read_yaml

LARGEST = 1 << 20  # bytes of a scenario file


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
        data = read_yaml(text)
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
