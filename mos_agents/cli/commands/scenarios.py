"""`mos scenarios`: the presets."""

from __future__ import annotations

from mos_agents.cli import loading
from mos_agents.cli.terminal import print_line


def scenarios() -> None:
    """List the presets."""
    with loading():
        from mos_agents.scenarios.listing import headlines

    found = headlines()
    width = max(map(len, found))
    for name, headline in found.items():
        print_line(f"{name:<{width}}  {headline or '(its file has no description)'}")
