"""Do price trials of learning sellers cause price wars? The main figure of the study.

`mos replicate price_wars` plays Q-learners in the market of Calvano et al. (2020) to the end of
their learning. Then each explores in one period of a hundred, and the periods after lone low trials
are compared with those after calm periods (`mos_agents.analysis.war_effects`). Method and findings:
README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from experiments.calvano_2020.run import (
    CalvanoSettings,
    benchmarks,
    learners,
    market,
)
from experiments.calvano_2020.run import notes as calvano_notes
from experiments.replication import (
    ExecutionConfig,
    Finding,
    Findings,
    Published,
    check_numbers,
)
from mos_agents.analysis.trial_wars import WarEffectDefinition
from mos_agents.analysis.trial_worlds import PRICE_JOINT, PRICE_NASH, TRIAL_WORLDS, trial_world
from mos_agents.analysis.war_effects import WarEffect, war_effect
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import WINDOW
from mos_agents.games.trials import TriedPaths, play_trials, static_best_reply
from mos_agents.market.types import InputError

TITLE = "Price wars that trials of learning sellers cause (own study)"
SOURCE = "an independent prototype, 100 sessions"
PROTOTYPE_SESSIONS = 100

SEES = {"rivals": "all", "own": "own", "nothing": "nothing"}
"""What sellers see of the last period, and the learner's word for it."""

WORLDS = ("learners", *TRIAL_WORLDS)
BATCH = 100
"""Sessions of a competitive world drawn at a time."""

SEEN = {
    "rivals": "all prices of the last period",
    "own": "their own price of the last period",
    "nothing": "no price",
}
QUICK = ("sessions=10",)
"""A quick look."""

OF_WORLDS = (
    *("world", "chance", "ticks", "levels", "sessions", "seed"),
    *("depth", "run", "first", "horizon", "level", "firms"),
)
"""Settings that a competitive world takes."""


@dataclass(frozen=True)
class WarTrialSettings:
    """Calvano et al.'s baseline, and trials after the learning.

    sees: what sellers see of the last period: "rivals" (all prices), "own" (their own price) or
    "nothing". learning: "on" or "off" in the periods with trials. world: "learners", or a
    competitive market with common shocks: common_cost, season, promotions, best_reply. chance:
    that a seller explores in a period; ticks: periods with trials. depth (a share of p_M - p_N),
    run, first, horizon, level (periods), firms: the definition of a war after a trial. Others as in
    calvano_2020.
    """

    delta: float = 0.95
    sees: str = "rivals"
    learning: str = "on"
    world: str = "learners"
    n: int = 2
    alpha: float = 0.15
    beta: float = 4e-6
    levels: int = 15
    xi: float = 0.1
    mu: float = 0.25
    chance: float = 0.01
    ticks: int = 10_000
    depth: float = 0.25
    run: int = 3
    first: int = 2
    horizon: int = 10
    level: int = 10
    firms: int = 2
    window: int = WINDOW
    sessions: int = PROTOTYPE_SESSIONS
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.learning, bool):  # YAML reads on and off as true and false
            object.__setattr__(self, "learning", "on" if self.learning else "off")
        for name, allowed in (("sees", SEES), ("learning", ("on", "off")), ("world", WORLDS)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name}={getattr(self, name)!r} must be one of {', '.join(allowed)}"
                )
        check_numbers(
            self,
            {"chance": (float, 1e-6, 0.2), "ticks": (int, 100, 10**7)},
        )
        self.calvano  # noqa: B018 (checks the other settings)
        if self.definition.firms > self.n:
            raise InputError(f"firms={self.firms} must be at most n={self.n}")
        if self.world != "learners":
            for one in fields(self):
                if one.name not in OF_WORLDS and getattr(self, one.name) != one.default:
                    raise InputError(
                        f"{one.name}={getattr(self, one.name)!r} is for learners, and "
                        f"world={self.world!r} has none; leave it out"
                    )

    @property
    def calvano(self) -> CalvanoSettings:
        """The market and the learners."""
        return CalvanoSettings(
            n=self.n,
            alpha=self.alpha,
            beta=self.beta,
            delta=self.delta,
            mu=self.mu,
            levels=self.levels,
            xi=self.xi,
            sessions=self.sessions,
            seed=self.seed,
            window=self.window,
        )

    @property
    def definition(self) -> WarEffectDefinition:
        """What counts as a war after a trial."""
        return WarEffectDefinition(
            depth=self.depth,
            run=self.run,
            first=self.first,
            horizon=self.horizon,
            level=self.level,
            firms=self.firms,
            band=0.4 * self.depth,
        )


Settings = WarTrialSettings
"""What `mos replicate` sets."""


def notes(s: WarTrialSettings) -> list[str]:
    """What the figures depend on."""
    war = (
        f"war: the mean price {s.depth:g} (p_M - p_N) below its level of {s.level} calm periods, "
        f"for {s.run} periods or more in which nobody explores and {s.firms} firms or more take "
        f"part, in periods {s.first} to {s.horizon} after a lone trial below the firm's usual price"
    )
    if s.world != "learners":
        return [
            "ties: none, prices are continuous but for trials",
            f"grid: trials are uniform on {s.levels} prices of Calvano's grid",
            "order of moves: both firms price together at every period",
            war,
        ]
    return [
        *calvano_notes(s.calvano)[:2],
        f"order of moves: all firms price together at every period; they see {SEEN[s.sees]}",
        f"trials: once no greedy price has changed for {s.window:,} periods, each firm explores "
        f"with chance {s.chance:g} for {s.ticks:,} periods",
        war,
        "published: a prototype's figures. That two firms must take part was chosen among about "
        "sixty definitions because it agrees with them; firms=1 is the definition as first written",
    ]


def game_of(s: WarTrialSettings) -> RepeatedGame:
    """The sellers' repeated game."""
    one_market = market(s.calvano)
    made = learners(s.calvano, one_market)
    seen = {name: replace(one, features=SEES[s.sees]) for name, one in made.items()}
    return RepeatedGame.of(one_market, seen)


def published(s: WarTrialSettings) -> dict[str, Published]:
    """The prototype's figures for these settings."""
    after = {0.95: 0.234, 0.8: 0.117, 0.5: 0.015, 0.35: 0.003, 0.0: 0.0}
    base = replace(WarTrialSettings(), delta=s.delta, sessions=s.sessions, seed=s.seed)
    if s != base or s.delta not in after:
        return {}
    found = {"war_after_trial": Published(after[s.delta], SOURCE, 0.0005)}
    if s.delta == 0.95:
        more = {
            "war_placebo": 0.008,
            "strangers_war_after_trial": 0.086,
            "strangers_war_placebo": 0.026,
        }
        found |= {name: Published(value, SOURCE, 0.0005) for name, value in more.items()}
        found["significant_share"] = Published(0.68, SOURCE, 0.005)
    return found


def replicate(s: WarTrialSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and measure the effect of trials on wars."""
    found = Findings(published(s), PROTOTYPE_SESSIONS)
    if s.world != "learners":
        report(found, "", competitive(s, execution), s)
        return found.all()
    game, b = game_of(s), benchmarks(s.calvano)
    main = "learning" if s.learning == "on" else "not_learning"
    played = play_trials(
        game,
        seed=s.seed,
        sessions=s.sessions,
        ticks=s.ticks,
        chance=s.chance,
        arms=(main, "strangers") if s.learning == "on" else (main,),
        window=s.window,
        workers=execution.workers,
        folder=execution.folder_of("sessions"),
        per_task=10 if s.sessions >= 100 else 1,
        progress=execution.progress_of("sessions"),
    )
    reply = static_best_reply(game.stage)

    def effect(paths: TriedPaths, direction: str = "low") -> WarEffect:
        return war_effect(
            paths.prices,
            paths.tried,
            b.price_nash,
            b.price_joint,
            s.definition,
            direction=direction,
            best_reply=reply,
        )

    own = played.paths[main]
    report(found, "", effect(own), s)
    details(found, effect(own))
    report(found, "up_", effect(own, "high"), s)
    if "strangers" in played.paths:
        report(found, "strangers_", effect(played.paths["strangers"]), s)
    return found.all()


def competitive(s: WarTrialSettings, execution: ExecutionConfig) -> WarEffect:
    """The effect in a competitive world, batch by batch."""
    parts: list[WarEffect] = []
    progress = execution.progress_of("sessions")
    for begin in range(0, s.sessions, BATCH):
        count = min(BATCH, s.sessions - begin)
        number = s.seed * 1_000_003 + begin  # each batch has draws of its own
        prices, tried = trial_world(
            s.world, s.ticks, count, number, chance=s.chance, levels=s.levels
        )
        parts.append(war_effect(prices, tried, PRICE_NASH, PRICE_JOINT, s.definition))
        if progress(begin + count, s.sessions):
            break
    return WarEffect.joined(parts)


def report(found: Findings, prefix: str, effect: WarEffect, s: WarTrialSettings) -> None:
    """The shares after trials and after calm periods, and the test."""
    found.mean_share(f"{prefix}war_after_trial", effect.war_after_trial)
    found.mean_share(f"{prefix}war_placebo", effect.war_placebo)
    found.share(f"{prefix}significant_share", effect.significant())
    found.mean(f"{prefix}trials_per_session", effect.trials, least=0.0)


def details(found: Findings, effect: WarEffect) -> None:
    """The first answer, and how the wars go on and end."""
    found.mean("first_answer", effect.answer)
    found.mean("first_answer_beyond_best_reply", effect.answer - effect.static_answer)
    wars = effect.wars
    if not len(wars.session):
        return
    sessions = len(effect.trials)
    found.mean("war_depth", wars.by_session(wars.depth, sessions), least=0.0)
    found.mean("war_duration", wars.by_session(wars.duration, sessions), least=0.0)
    trier, rival = wars.raised_by_trier, wars.raised_by_rival
    for name, which in (
        ("trier", trier & ~rival),
        ("rival", rival & ~trier),
        ("both", trier & rival),
    ):
        flags = which.astype(np.float64)
        found.mean_share(f"ended_by_{name}", wars.by_session(flags, sessions))


__all__ = ["Settings", "WarTrialSettings", "notes", "published", "replicate"]
