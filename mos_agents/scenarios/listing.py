"""The presets by name, and their headlines, read without loading the market."""

from __future__ import annotations

from pathlib import Path

import yaml

from mos_agents import registry

PRESETS = Path(__file__).parent / "presets"

for _path in PRESETS.glob("*.yaml"):
    registry.enter("scenario", _path.stem, _path)


def presets() -> list[str]:
    """Return the names of the scenarios of the package, its plugins and registered modules.

    Returns
    -------
    list of str
        The names, sorted.
    """
    return sorted(registry.names("scenario"))


def headlines() -> dict[str, str]:
    """Return the first sentence of each preset's description.

    Returns
    -------
    dict
        The sentences by the presets' names.
    """
    return {name: _description(name).split(". ")[0].rstrip(".") for name in presets()}


def _description(name: str) -> str:
    path = Path(registry.names("scenario")[name])
    if path.parent == PRESETS:  # the tests read these whole
        return str(yaml.safe_load(path.read_bytes())["description"])
    from mos_agents.scenarios.files import load

    return load(name).description
