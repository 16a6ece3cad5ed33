"""A laboratory for markets whose participants are independent and learn.

A market and its participants come from a preset or from a scenario file; a policy plays each
participant:

    import mos_agents

    market = mos_agents.retail(firms=2, products=3)
    policies = {
        "platform": mos_agents.make("cost_plus", margin=0.3),
        "firm_1": mos_agents.make("reactive"),
        "firm_2": mos_agents.make("mean_reverting"),
    }
    print(mos_agents.rollout.rollout(market, policies, ticks=100, markets=50))

Markets
    retail, market_making, auction, autos_1990, pricing_game, commission_game,
    prominence_game, supply_chain, marketplace: the presets, as a `Market`.
    presets(): their names. load(name_or_path): a preset or a scenario file, as a `Scenario`.
    Market, tick: a market of your own parts, and one step of it.
    benchmarks(market): Bertrand-Nash and joint-profit prices and profits.

Participants
    make(kind, ...): a policy or learner by name, such as make("cost_plus", margin=0.3).
    explain(name): what a policy, learner, demand model, setting, metric or observation is.

Your own parts
    register(kind, name): a demand model, stage, policy, learner or scenario of your own, by name.
    testing: suites that say whether a part of your own keeps its promises (needs pytest).

Play
    rollout: the package of the loop; rollout.rollout(market, policies) plays and adds up.
    compare_policies(market, candidates): candidates against the same random numbers.
    play(market, policies): the steps one by one.
    run(scenario, ticks=..., ...): play a scenario into a folder with its tables and its report.
    summarise(run): what a recorded run came to, in a few sentences and a table.
    lab: what the commands of `mos` do, as functions: lab.run, resume, verify, sweep, train, ...

Packages
    runs: run folders, such as runs.read("retail-s0-001"). analysis: collusion measures, price wars,
    cycles, screens, intervals, off-policy evaluation. corpus: simulated markets of known conduct.
    games: repeated games in a compiled loop.
    learners, policies, scenarios, sweeps, tasks, market, report; training (in the extra `train`).

Environments
    They are a package of their own: `from envs import retail_v0`, then
    `retail_v0.parallel_env(firms=1)`; see also `market_making_v0`, `auction_v0`,
    `marketplace_v0` and `envs.batched`.

The command line is `mos`: `mos --help`. Everything here is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents import (
        analysis,
        corpus,
        games,
        lab,
        learners,
        market,
        policies,
        report,
        rollout,
        runs,
        scenarios,
        sweeps,
        tasks,
        training,
    )
    from mos_agents.lab import run
    from mos_agents.market.equilibrium import benchmarks
    from mos_agents.market.market import Market
    from mos_agents.market.tick import tick
    from mos_agents.market.types import InputError
    from mos_agents.policies import make
    from mos_agents.registry import register
    from mos_agents.report import summarise
    from mos_agents.rollout import compare_policies, play
    from mos_agents.scenarios import (
        Scenario,
        auction,
        autos_1990,
        commission_game,
        explain,
        load,
        market_making,
        marketplace,
        presets,
        pricing_game,
        prominence_game,
        retail,
        supply_chain,
    )

__version__ = "0.2.0"
__all__ = [
    "__version__",
    "retail",
    "market_making",
    "marketplace",
    "auction",
    "autos_1990",
    "pricing_game",
    "commission_game",
    "prominence_game",
    "supply_chain",
    "presets",
    "load",
    "Scenario",
    "Market",
    "tick",
    "benchmarks",
    "make",
    "register",
    "explain",
    "compare_policies",
    "play",
    "run",
    "summarise",
    "InputError",
    "rollout",
    "runs",
    "analysis",
    "corpus",
    "games",
    "learners",
    "policies",
    "scenarios",
    "sweeps",
    "tasks",
    "training",
    "lab",
    "market",
    "report",
]

_HOMES = {
    "mos_agents.scenarios": (
        "Scenario",
        "auction",
        "autos_1990",
        "commission_game",
        "explain",
        "load",
        "market_making",
        "marketplace",
        "presets",
        "pricing_game",
        "prominence_game",
        "retail",
        "supply_chain",
    ),
    "mos_agents.market.market": ("Market",),
    "mos_agents.market.tick": ("tick",),
    "mos_agents.market.types": ("InputError",),
    "mos_agents.market.equilibrium": ("benchmarks",),
    "mos_agents.policies": ("make",),
    "mos_agents.registry": ("register",),
    "mos_agents.lab": ("run",),
    "mos_agents.report": ("summarise",),
    "mos_agents.rollout": ("compare_policies", "play"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = (
    *(name for name in __all__ if name not in _HOME and name.islower() and name[0] != "_"),
    "testing",  # not in __all__: `import *` works without pytest
)


def __getattr__(name: str) -> Any:
    # Loaded on first use (PEP 562), so that `import mos_agents` itself costs nothing.
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name == "envs":
        raise AttributeError(
            "mos_agents has no 'envs': environments are `from envs import retail_v0`"
        )
    if name[0] != "_" and name in import_module("mos_agents.scenarios.listing").presets():
        raise AttributeError(
            f"mos_agents has no {name!r}: a preset of your own is "
            f"mos_agents.load({name!r}).market()"
        )
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
    )


def __dir__() -> list[str]:
    return list(__all__)
