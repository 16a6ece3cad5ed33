"""How often do price wars break out among sellers that all learn, and what makes them?

    python -m experiments.price_wars.study --json FILE --out DIR [--quick]

plays every condition (finished ones are kept in DIR and not played again), compares each with the
base, puts the controls beside it, and draws what was found. Method and findings: README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.price_wars import autos as autos_
from experiments.price_wars.outcomes import (
    QUANTITIES,
    Control,
    Effect,
    Force,
    WorldOutcome,
    controls,
    effect,
    forces,
    frozen_wars,
    onsets,
    outcome,
    wars_record,
)
from experiments.price_wars.pictures import draw
from experiments.price_wars.play import PlayedWorld, PlayPlan, played, task
from experiments.price_wars.worlds import QUICK, Condition, RetailWorld, conditions, yardstick
from experiments.studies import announced
from mos_agents.market.checks import check_whole
from mos_agents.market.types import InputError
from mos_agents.runs.files import write_whole
from mos_agents.tasks import InProcess, ProcessPool, TaskProgress

TITLE = "Price wars among learning sellers in the retail market and in US cars of 1990"

ReportProgress = Callable[[str], None]


@dataclass(frozen=True)
class WarStudySettings:
    """The study. plan: sessions and ticks of each retail condition; base: the world that the others
    differ from in one thing (see `worlds.conditions`); only: names of conditions to play, with the
    base; none: all. autos: the car market, None to leave it out. workers: processes.
    """

    plan: PlayPlan = field(default_factory=PlayPlan)
    base: RetailWorld = field(default_factory=RetailWorld)
    only: tuple[str, ...] = ()
    autos: autos_.Autos | None = field(default_factory=autos_.Autos)
    workers: int = 2

    def __post_init__(self) -> None:
        known = conditions(self.base)
        for name in self.only:
            if name not in known:
                raise InputError(f"only: {name!r} is no condition; there are {', '.join(known)}")
        check_whole("workers", self.workers, 1, 1024)

    @property
    def chosen(self) -> dict[str, Condition]:
        """The conditions that are played, the base first."""
        known = conditions(self.base)
        wanted = {"base", *(self.only or known)}
        wanted |= {known[name].against for name in wanted}
        names = [name for name in known if name in wanted]
        return {name: known[name] for name in names}


def quick(seed: int = 0, learner: str = "q_learning") -> WarStudySettings:
    """Six conditions in about a minute: too few sessions to find much, enough to see it work."""
    return WarStudySettings(
        PlayPlan(sessions=12, ticks=2000, seed=seed),
        RetailWorld(learner=learner),
        QUICK,
        autos_.Autos(sessions=8, periods=30_000, seed=seed),
    )


@dataclass(frozen=True)
class WarStudy:
    """All that was found."""

    settings: WarStudySettings
    lived: Mapping[str, PlayedWorld]
    outcomes: Mapping[str, WorldOutcome]
    effects: Sequence[Effect]
    controls: Sequence[Control]
    forces: Mapping[str, Mapping[str, Force]]
    frozen: Mapping[str, Mapping[str, Any]]
    autos: Mapping[str, Mapping[str, Any]]


def study(
    s: WarStudySettings,
    folder: Path | None = None,
    report_progress: ReportProgress = lambda text: None,
) -> WarStudy:
    """Play what is not in the folder yet, and measure everything.

    Raises RunError where another process plays into the folder.
    """
    chosen = s.chosen
    # The long ones first, so that nobody waits for one at the end.
    names = sorted(chosen, key=lambda name: -chosen[name].world.length)
    tasks = [task(name, chosen[name].world, s.plan, chosen[name].impulse) for name in names]
    pool = InProcess() if s.workers == 1 else ProcessPool(s.workers)
    progress = TaskProgress(show=announced(report_progress))
    found = dict(zip(names, played(tasks, folder, pool, progress), strict=True))
    lived = {name: found[name] for name in chosen}
    report_progress("measuring")
    outcomes = {name: outcome(one) for name, one in lived.items()}
    others = [name for name in chosen if name != "base"]
    effects = [
        effect(
            name,
            chosen[name],
            quantity.name,
            outcomes[name].by_session[quantity.name],
            outcomes[chosen[name].against].by_session[quantity.name],
            len(others),
        )
        for quantity in QUANTITIES
        for name in others
    ]
    still = {
        name: (chosen[name].label, lived[name])
        for name in others
        if chosen[name].factor == "control"
    }
    pressed = {
        name: forces(one, s.plan, chosen[name].world.delta)
        for name, one in lived.items()
        if "alone" in one
    }
    cars = {} if s.autos is None else autos_.conditions(s.autos)
    return WarStudy(
        s,
        lived,
        outcomes,
        effects,
        controls(lived["base"], still, s.plan.seed),
        pressed,
        {name: frozen_wars(one) for name, one in lived.items() if "alone" in one},
        {name: autos_.measured(one, s.workers) for name, one in cars.items()},
    )


# --- told -----------------------------------------------------------------------------------------


def results(found: WarStudy) -> list[dict[str, Any]]:
    """A record a quantity, in the form of all experiments; nothing here was published before."""
    rows: list[dict[str, Any]] = []

    def add_row(quantity: str, ours: float, low: float, high: float, **more: Any) -> None:
        rows.append(
            {
                "quantity": quantity,
                "published": None,
                "ours": _plain(ours),
                "ci95": [_plain(low), _plain(high)],
                "within": None,
                "source": None,
                **more,
            }
        )

    for name, one in found.outcomes.items():
        for quantity in QUANTITIES:
            value = one.interval(quantity.name)
            add_row(f"{quantity.name}.{name}", value.estimate, value.low, value.high)
        add_row(f"edgeworth.{name}", one.edgeworth, math.nan, math.nan)
    for this in found.effects:
        add_row(
            f"effect.{this.quantity}.{this.condition}",
            this.difference,
            *this.ci95,
            distinct=this.distinct,
        )
    for name, tried in found.forces.items():
        for force in tried.values():
            for part in ("rivals", "unprofitable", "gain", "away"):
                value = getattr(force, part)
                if value is not None:
                    add_row(f"force.{force.name}.{part}.{name}", *value[:3])
    for name, cars in found.autos.items():
        for part in ("learning", "learnt"):
            for key in ("wars_per_1000", "with_a_war", "mean_level", "profit_gain"):
                value = cars[part][key]
                add_row(f"{name}.{part}.{key}", value["mean"], *value["ci95"])
    return rows


def as_json(found: WarStudy) -> str:
    """Everything, as JSON."""
    s = found.settings
    record = {
        "experiment": "price_wars",
        "settings": {
            "plan": asdict(s.plan),
            "base": asdict(s.base),
            "autos": None if s.autos is None else asdict(s.autos),
        },
        "results": results(found),
        "wars": {
            name: {"after": wars_record(one.wars), "learning": wars_record(one.wars_learning)}
            for name, one in found.outcomes.items()
        },
        "yardsticks": {
            name: yardstick(one.world.stage_game())._asdict() for name, one in s.chosen.items()
        },
        "controls": [asdict(one) for one in found.controls],
        "onsets": {
            name: onsets(one, found.outcomes[name].wars) for name, one in found.lived.items()
        },
        "frozen": dict(found.frozen),
        "autos": dict(found.autos),
    }
    return json.dumps(_finite(record), indent=1) + "\n"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _finite(value: Any) -> Any:
    """JSON knows no infinity and no nan: null instead."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return _plain(value) if isinstance(value, float) else value


def table(found: WarStudy) -> str:
    """The conditions beside the base, as text."""
    names = ("wars", "wars_learning", "together", "rpdi", "profit_gain")
    effects = {(e.condition, e.quantity): e for e in found.effects}
    lines = [
        f"{found.settings.plan.sessions} sessions of {found.settings.plan.ticks} ticks, seed "
        f"{found.settings.plan.seed}; * differs from what it is compared with (5% a column)",
        f"{'condition':<31}" + "".join(f"{name:>15}" for name in names),
    ]
    for name, one in found.settings.chosen.items():
        cells = []
        for quantity in names:
            value = float(found.outcomes[name].by_session[quantity].mean())
            known = effects.get((name, quantity))
            cells.append(f"{value:>14.3f}{'*' if known is not None and known.distinct else ' '}")
        lines.append(f"{one.label:<31}" + "".join(cells))
    lines += ["", f"{'control':<48}{'wars':>9}{'alarms':>9}{'at most':>9}"]
    lines += [
        f"{c.description:<48}{c.wars:>9.3f}{c.alarms:>9.3f}{c.upper:>9.3f}" for c in found.controls
    ]
    for name, cars in found.autos.items():
        wars, gain = (cars["learnt"][key]["mean"] for key in ("wars_per_1000", "profit_gain"))
        lines.append(f"{name}: {wars:.3f} wars per 1000 ticks once learnt, profit gain {gain:.3f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.price_wars.study", description=TITLE
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep plays and pictures there")
    parser.add_argument("--quick", action="store_true", help="a small version, about a minute")
    parser.add_argument("--sessions", type=int, help="of each condition")
    parser.add_argument("--ticks", type=int, help="of each session")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--learner", default=RetailWorld.learner, help="kind of the sellers' policy"
    )
    parser.add_argument("--only", default="", help="names of conditions, with commas between")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    try:
        s = settings_of(given)
        found = study(s, given.out, lambda text: print(text, file=sys.stderr, flush=True))
        if given.json is not None:
            write_whole(given.json, as_json(found).encode())
        if given.out is not None:
            for path in draw(found, given.out):
                print(path, file=sys.stderr)
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(table(found))
    return 0


def settings_of(given: argparse.Namespace) -> WarStudySettings:
    """Settings from the command line's arguments."""
    s = quick() if given.quick else WarStudySettings()
    changes = {k: v for k in ("sessions", "ticks") if (v := getattr(given, k)) is not None}
    only = tuple(one for one in given.only.split(",") if one)
    return WarStudySettings(
        replace(s.plan, seed=given.seed, **changes),
        RetailWorld(learner=given.learner),
        only or s.only,
        None if s.autos is None else replace(s.autos, seed=given.seed),
        given.workers,
    )


if __name__ == "__main__":
    sys.exit(main())
