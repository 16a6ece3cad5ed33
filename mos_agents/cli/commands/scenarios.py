"""`mos scenarios`: the presets."""

from __future__ import annotations

from mos_agents.cli import loading
from mos_agents.cli.terminal import print_line


def scenarios() -> None:
    """List the presets."""
    with loading():
        from mos_agents import scenarios

    loaded = [scenarios.load(name) for name in scenarios.presets()]
    width = max(len(one.name) for one in loaded)
    for one in loaded:
        first = one.description.split(". ")[0].rstrip(".")
        print_line(f"{one.name:<{width}}  {first}")
