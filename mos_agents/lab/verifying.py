"""A finished run made again from its journal or its seed, and compared with its tables.

There are three outcomes. The run is what its scenario leads to; or it is not, and the first
difference is named; or the run cannot be made again, and the reason is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from mos_agents import runs, scenarios
from mos_agents.actors.driver import Driver, LocalShards
from mos_agents.actors.journal_replay import JournalReplay
from mos_agents.lab.actor_runs import JOURNAL, ActorConfig, shard_plan
from mos_agents.lab.feedback import Feedback, OnProgress, WorkProgress
from mos_agents.lab.folders import RunLike, run_of
from mos_agents.lab.local_runs import check_same, loop_of, scenario_of, steps_of
from mos_agents.market.frames import Printed
from mos_agents.market.market import Market
from mos_agents.market.types import InputError, Step
from mos_agents.runs import Run, RunError
from mos_agents.runs.facts import Facts
from mos_agents.runs.faults import fault_facts, lost_by
from mos_agents.runs.rebuild import Rebuilding
from mos_agents.runs.recording import market_facts
from mos_agents.runs.sealing import versions
from mos_agents.scenarios import Scenario
from mos_agents.wording import function, plural, resuming, setting

OWN_FAULTS = {"refused", "not finite"}
"""Trouble that a policy has again when it is played again; all else depended on the day."""


OF_ACTORS = {"trouble", "withdrawn"}
"""What run.json tells of a finished run of actors only."""


@dataclass(frozen=True)
class VerifyResult(Printed):
    """A run that passed: it was made again with the same values.

    Attributes
    ----------
    run : Run
        The recorded run.
    source : str
        What it was made again from: its journal, or its scenario and seed.
    found : str
        The hash of the trajectory made again.
    decided : bool
        Whether the policies decided again; False where their decisions were read from the journal.
    unshown : str
        Faults in run.json that playing the run again cannot show; empty where there are none.
    """

    run: Run
    source: str
    found: str
    decided: bool
    unshown: str = ""

    def lines(self) -> Iterator[str]:
        """What was checked, and what was not."""
        facts = self.run.facts
        yield f"{self.run.name}: {self.source} led to the same hash {self.found}"
        kept, every = facts["recorded_markets"], facts["every"]
        which = "every market" if kept == facts["markets"] else f"the first {kept:,} markets"
        when = "at every tick" if every == 1 else f"at every {runs.plan.ordinal(every)} tick"
        yield (
            f"checked: every value of listings and participants ({which}, {when}) and of "
            f"aggregates ({plural(facts['ticks'], 'tick')}), repeated bit by bit; the digests of "
            f"{plural(3 * facts['parts'], 'part')}; and in run.json the scenario, seed, length, "
            "market, files and hash"
        )
        unchecked = ["the times, versions and words on faults in run.json"]
        if facts["name"] != self.run.name:
            unchecked.append(f"the name (it was recorded as {facts['name']})")
        if facts["actors"]:
            unchecked.append("which workers held the participants")
        if any(self.run.folder.glob("*.html")):
            unchecked.append(f"the pages beside it ({function('report')} writes them again)")
        if self.unshown:
            unchecked.append(self.unshown)
        if not self.decided:
            unchecked.append("whether the policies decide so: the journal says what they decided")
        yield f"not checked: {'; '.join(unchecked)}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def verify(
    run: RunLike,
    *,
    root: str | os.PathLike[str] = "runs",
    on_progress: OnProgress | None = None,
) -> VerifyResult:
    """Repeat a finished run, and compare every table with it.

    Parameters
    ----------
    run : str, path or Run
        The run's name below `root`, or its folder.
    root : str or path
        The folder that holds the run folders.
    on_progress : callable, optional
        Called with a `WorkProgress` after each tick that is played again.

    Returns
    -------
    VerifyResult
        What was checked and what was not; `print` shows it.

    Raises
    ------
    RunError
        Where something differs, and where the run cannot be made again.
    """
    run, feedback = run_of(run, root), Feedback.of(on_progress, None)
    if not run.finished:
        raise RunError(f"{run.folder}: not finished; {resuming('run', run.name)} goes on")
    if run.facts.get("parts_sha256") is None:
        raise RunError(
            f"{run.folder}/run.json: holds no digests of the tables: it was made by an earlier "
            "version, or damaged; make the run again"
        )
    if strange := sorted(set(run.facts) - set(Facts.model_fields)):
        raise RunError(f"{run.folder}/run.json: {strange[0]!r} is no field of a run: damaged")
    run.check()
    acted = (run.folder / JOURNAL).exists()
    if acted != bool(run.facts["actors"]):
        there = "is there" if acted else "is missing"
        raise RunError(
            f"{run.folder / JOURNAL}: {there}, but run.json says actors={run.facts['actors']}: "
            "damaged or edited"
        )
    return _of_actors(run, feedback) if acted else _of_the_loop(run, feedback)


# --- runs in one loop -----------------------------------------------------------------------------


def _of_the_loop(run: Run, feedback: Feedback) -> VerifyResult:
    scenario = scenario_of(run)
    market = scenario.market()
    _check_facts(run, scenario, market)
    if trouble := (OF_ACTORS | {"reasons"}) & set(run.facts):
        raise RunError(f"{run.folder}/run.json: {min(trouble)} is for runs of actors: damaged")
    anew = Rebuilding(run, market)
    steps, table = loop_of(scenario)
    for step in steps:
        anew.add(step)
        feedback.progress(WorkProgress("ticks", anew.ticks, scenario.ticks))
    if anew.hash != run.facts["hash"]:
        _tell_another(run, scenario, anew, anew.hash)
    _check_tables(run, anew)
    recorded, found = (
        lost_by(run.facts.get("faults", ())),
        lost_by(fault_facts(table.faults.values())),
    )
    if recorded != found:
        raise RunError(
            f"{run.folder}/run.json: faults are {recorded} (decisions lost, first tick), but "
            f"repeated {found}: damaged or edited"
        )
    return VerifyResult(run, "the scenario and its seed", anew.hash, decided=True)


# --- runs of actors -------------------------------------------------------------------------------


def _of_actors(run: Run, feedback: Feedback) -> VerifyResult:
    """The journal first. Where it does not go back to the first tick, the seed as well."""
    actors, scenario = _actors_of(run), _undecided(run)
    market = scenario.market()
    _check_facts(run, scenario, market)
    plan = runs.RecordingPlan(
        run.facts["recorded_markets"], run.facts["every"], scenario.ticks, 0, 0
    )
    parts = shard_plan(actors, scenario, run.folder, plan, run.facts["name"])
    replay = JournalReplay(parts, market, scenario.markets, actors.shards)
    if replay.first and actors.audit:
        raise RunError(
            f"{run.folder / JOURNAL}: begins with tick {replay.first:,} where tick 0 should be "
            "(run.json says audit=True): damaged"
        )
    anew = Rebuilding(run, market, replay.first)
    for tick in replay:
        anew.take(tick.row, tick.means)
    reach = f"the journal from tick {replay.first:,} on" if replay.first else "the whole journal"
    if anew.ticks != scenario.ticks or replay.hash != run.facts["hash"]:
        raise RunError(
            f"{run.folder}: {reach} led to tick {anew.ticks:,} and hash {replay.hash}, the run "
            f"says tick {scenario.ticks:,} and hash {run.facts['hash']}: damaged, or made on "
            f"another platform or version{_other_versions(run)}"
        )
    _check_tables(run, anew)
    if "faults" in run.facts:
        raise RunError(f"{run.folder}/run.json: faults is for runs of one loop: damaged")
    if gone := OF_ACTORS - set(run.facts):
        raise RunError(f"{run.folder}/run.json: {min(gone)} is missing: damaged or edited")
    for name, ours, theirs in (
        ("trouble", run.facts["trouble"], dict(replay.counts)),
        ("withdrawn", run.facts["withdrawn"], replay.withdrawn),
    ):
        if ours != theirs:
            raise RunError(
                f"{run.folder}/run.json: {name} is {ours}, but the journal says {theirs}: damaged "
                "or edited"
            )
    if not replay.first:
        return VerifyResult(run, reach, replay.hash, decided=False)
    return _from_the_seed(run, actors, replay, feedback)


def _from_the_seed(
    run: Run, actors: ActorConfig, replay: JournalReplay, feedback: Feedback
) -> VerifyResult:
    """A run whose journal has let go of its first ticks: played again by actors in this process."""
    before = (
        f"{run.name}: the ticks before {replay.first:,} cannot be verified; those from there on "
        "are as the journal has them"
    )
    try:
        scenario = scenario_of(run)
    except InputError as error:
        raise RunError(f"{before}: {error}; {_remedy()}") from None
    found = run.facts["trouble"]
    if any("late" in kinds for kinds in found.values()):  # who hung then would hang here as well
        raise RunError(
            f"{before}: {_trouble_of_the_day(found)}, and the seed does not repeat that; "
            f"{_remedy()}"
        )
    plan = runs.RecordingPlan(
        run.facts["recorded_markets"], run.facts["every"], scenario.ticks, 0, 0
    )
    shards = shard_plan(actors, scenario, run.folder, plan, run.facts["name"])
    driver = Driver(
        LocalShards(),
        shards.without_folder(),
        scenario.ticks,
        scenario.markets,
        actors.shards,
        actors.checkpoint_every,
        actors.restarts,
    )
    anew = Rebuilding(run, scenario.market())
    for tick in driver.run():
        anew.take(tick.row, tick.means)
        feedback.progress(WorkProgress("ticks", anew.ticks, scenario.ticks))
    if driver.hash != run.facts["hash"]:
        if trouble := _trouble_of_the_day(found):
            raise RunError(f"{before}: {trouble}, and the seed does not repeat that; {_remedy()}")
        _tell_another(run, scenario, anew, driver.hash)
    _check_tables(run, anew)
    source = f"the scenario and its seed, and the journal from tick {replay.first:,} on,"
    unshown = _unshown(run, driver.health.counts, driver.health.withdrawn)
    return VerifyResult(run, source, driver.hash, decided=True, unshown=unshown)


def _unshown(run: Run, found: Mapping[str, Mapping[str, int]], withdrawn: Sequence[str]) -> str:
    """The trouble of the day that playing again cannot show, in words; "" where there is none.

    Raises RunError where it does show the trouble, and run.json tells of another.
    """
    recorded, day = run.facts["trouble"], False
    for name in sorted({*recorded, *found}):
        ours, theirs = recorded.get(name, {}), found.get(name, {})
        for kind in sorted({*ours, *theirs}):
            expected, made = ours.get(kind, 0), theirs.get(kind, 0)
            if made > expected or (made < expected and kind in OWN_FAULTS):
                raise RunError(
                    f"{run.folder}/run.json: trouble.{name}.{kind} is {expected:,}, but repeated "
                    f"{made:,}: damaged or edited"
                )
            day |= made < expected
    if set(withdrawn) - set(run.facts["withdrawn"]):
        raise RunError(
            f"{run.folder}/run.json: withdrawn is {run.facts['withdrawn']}, but repeated "
            f"{list(withdrawn)}: damaged or edited"
        )
    day |= set(withdrawn) != set(run.facts["withdrawn"])
    return "the faults of the run (" + _trouble_of_the_day(recorded) + ")" if day else ""


def _remedy() -> str:
    return (
        f"a run made with {setting('audit', True)} keeps the whole journal, which shows all of it"
    )


def _trouble_of_the_day(trouble: Mapping[str, Mapping[str, int]]) -> str:
    """Who was late, failed or was brought back; "" where nobody was."""
    recorded = [
        f"{name} ({', '.join(f'{count:,} {kind}' for kind, count in sorted(kinds.items()))})"
        for name, kinds in sorted(trouble.items())
        if set(kinds) - OWN_FAULTS
    ]
    return "participants had trouble: " + ", ".join(recorded[:5]) if recorded else ""


def _actors_of(run: Run) -> ActorConfig:
    """How the run's participants were hosted."""
    where, recorded = run.folder / "run.json", run.facts["actors"]
    try:
        actors = ActorConfig.of(recorded)
    except (TypeError, InputError) as error:
        raise RunError(f"{where}: actors: {error}: damaged or edited") from None
    kept = {**actors.facts(), "deadline": recorded.get("deadline")}  # no result depends on it
    if strange := [
        name for name, value in kept.items() if name not in recorded or recorded[name] != value
    ]:
        raise RunError(f"{where}: actors.{strange[0]} is missing: damaged or edited")
    there = sorted(path.name for path in (run.folder / JOURNAL).glob("shard-*"))
    if there != [f"shard-{n:04d}" for n in range(len(there))] or len(there) != actors.shards:
        raise RunError(
            f"{run.folder / JOURNAL}: holds {plural(len(there), 'shard')} where run.json says "
            f"shards={actors.shards}: damaged or edited"
        )
    return actors


def _undecided(run: Run) -> Scenario:
    """The run's scenario; where a policy is not at hand, with others in its place.

    The journal says what everybody decided: to clear it again, no policy is asked.
    """
    try:
        return scenario_of(run)
    except InputError:
        data = scenarios.yaml_text.parsed_value(run.scenario, "scenario.yaml")
        for group in data.get("participants", ()) if isinstance(data, dict) else ():
            if isinstance(group, dict):
                group.pop("policy", None)
        made = scenarios.validation.validate(data, f"{run.folder}/scenario.yaml")
        check_same(run, made)
        return made


# --- what both have -------------------------------------------------------------------------------


def _check_facts(run: Run, scenario: Scenario, market: Market) -> None:
    """What run.json says of the scenario, checked against the scenario."""
    facts = {"scenario": run.facts["scenario"], **run.facts["market"]}
    for name, due in ({"scenario": scenario.name} | market_facts(market)).items():
        if facts.get(name, MISSING) != due:
            raise RunError(
                f"{run.folder}/run.json: {name} is {facts.get(name)!r:.80}, but scenario.yaml "
                "leads "
                f"to {due!r:.80}: damaged or edited"
            )
    read = set(scenario.inputs())
    if unread := sorted(set(run.facts["inputs"]) - read - _of_policies(run)):
        raise RunError(f"{run.folder}/run.json: inputs: {unread[0]!r} is not read: damaged")
    if unkept := sorted(read - set(run.facts["inputs"])):
        raise RunError(
            f"{run.folder}/run.json: inputs: the digest of {unkept[0]!r} is missing: damaged"
        )


MISSING = object()


def _of_policies(run: Run) -> set[str]:
    """Paths in the scenario's policies, whether or not the policies are at hand."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update(v for k, v in value.items() if k == "path" and isinstance(v, str))
            value = list(value.values())
        for inner in value if isinstance(value, list) else ():
            look(inner)

    look(scenarios.yaml_text.parsed_value(run.scenario, "scenario.yaml").get("participants"))
    return found


def _check_tables(run: Run, anew: Rebuilding) -> None:
    if anew.differs:
        raise RunError(
            f"{run.folder}/{anew.differs}: the table does not hold what happened: damaged or forged"
        )
    if anew.ticks != run.ticks:
        raise RunError(
            f"{run.folder}: repeated it has {anew.ticks:,} ticks, its tables have {run.ticks:,}: "
            "damaged"
        )


def _tell_another(run: Run, scenario: Scenario, anew: Rebuilding, found: str) -> NoReturn:
    """Raise what explains best that the seed led elsewhere."""
    if fickle := _fickle(scenario):
        raise RunError(
            f"{run.name}: cannot be verified: {fickle}, so the seed does not lead to the same run "
            f"twice. This says nothing against the run. With {setting('backend', 'actors')} and "
            f"{setting('audit', True)}, the journal keeps what was decided, and nothing has to be "
            "decided again"
        )
    where = f" ({anew.differs})" if anew.differs else ", though the repeated tables agree"
    raise RunError(
        f"{run.folder}: the scenario and its seed led to tick {anew.ticks:,} and hash {found}, the "
        f"run says tick {run.facts['ticks']:,} and hash {run.facts['hash']}{where}: damaged, "
        f"forged, or made with other policies, or on another platform or version"
        f"{_other_versions(run)}"
    )


def _other_versions(run: Run) -> str:
    """What the run was made with that is not here."""
    here, then = versions(), run.facts["versions"]
    other = [
        f"{name} {then.get(name, 'none')} then, {here.get(name, 'none')} now"
        for name in sorted(set(here) | set(then))
        if here.get(name) != then.get(name)
    ]
    return f" ({', '.join(other)})" if other else ""


def _fickle(scenario: Scenario) -> str:
    """Whose policy decides otherwise when the same is played twice, and when; "" if nobody's."""
    for at, (one, two) in enumerate(zip(steps_of(scenario), steps_of(scenario), strict=True)):
        names = _apart(scenario, one, two)
        if names:
            return f"{' and '.join(names)} decided otherwise at tick {at:,}, played twice"
    return ""


def _apart(scenario: Scenario, one: Step, two: Step) -> list[str]:
    """Whose quotes differ between two plays of a tick."""
    layout = scenario.market().layout
    listings = np.zeros(layout.L, bool)
    for ours, theirs in zip(one.info.quotes[:4], two.info.quotes[:4], strict=True):  # not the age
        different = (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
        listings |= different.any(axis=0)
    return [name for n, name in enumerate(layout.participants) if listings[layout.own(n)].any()]
