"""Compiles the market's code and keeps it, by playing each preset for a moment.

Else each of the processes that play at once would compile the same code: its workers, Ray's, `mos`.
"""

from mos_agents import scenarios
from mos_agents.rollout import rollout


def main() -> None:
    """Play few markets of each preset, and many: they are closed by different code."""
    for name in scenarios.presets():
        scenario = scenarios.load(name)
        for markets in (1, 64):
            rollout(scenario.market(), scenario.policies(), seed=0, ticks=3, markets=markets)


if __name__ == "__main__":
    main()
