"""A run in one loop: played into its folder, stopped in good order, gone on with."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

from mos_agents import runs, scenarios
from mos_agents.lab.feedback import (
    Feedback,
    Interrupted,
    WorkProgress,
    compile_note,
    stop_requests,
)
from mos_agents.market.market import Market
from mos_agents.market.types import InputError, Step
from mos_agents.rollout import ParticipantPool, transitions
from mos_agents.scenarios import Scenario, file_summaries
from mos_agents.scenarios.building import ReadFiles
from mos_agents.wording import plural, resuming, shown


def play(
    scenario: Scenario,
    out: Path,
    name: str | None,
    record_markets: int | None,
    every: int | None,
    feedback: Feedback,
    report: bool,
) -> Path:
    """Play the scenario to its end; returns the run's folder.

    Raises Interrupted on Ctrl-C or SIGTERM, with what was recorded on the disk.
    """
    market, read = scenario.made()
    plan = runs.RecordingPlan.of(
        market.layout, scenario.ticks, scenario.markets, record_markets, every
    )
    feedback.message(
        f"{scenario.name}: {scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}, "
        f"{plural(market.layout.N, 'participant')}, "
        f"{plural(market.layout.K, 'instrument')}, seed {scenario.seed}"
    )
    feedback.message(f"recording {plan.describe(scenario.markets)}")
    report_files(scenario, market, read, feedback)
    if note := compile_note("the market's kernels"):
        feedback.message(note)
    steps, pool = loop_of(scenario)  # refuses a policy that does not fit before there is a folder
    recording = runs.record(
        market,
        out,
        scenario=scenario.name,
        described=scenarios.dump(scenario),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
        plan=plan,
        name=name,
        inputs=scenario.inputs(),
        report=report,
    )
    return _to_the_end(recording, steps, pool, feedback)


def scenario_of(run: runs.Run) -> Scenario:
    """The scenario that a run was made from; RunError where a file that it reads has changed."""
    scenario = scenarios.parse(run.scenario, f"{run.folder}/scenario.yaml")
    check_same(run, scenario)
    return scenario


def check_same(run: runs.Run, scenario: Scenario) -> None:
    """RunError where run.json tells of another seed or length, or where a file that the scenario
    reads is not what the run was made from."""
    for name in ("seed", "ticks", "markets"):
        message, kept = run.facts[name], getattr(scenario, name)
        if message != kept:
            raise runs.RunError(
                f"{run.folder / 'run.json'}: {name}={message}, but scenario.yaml says {kept}: "
                "damaged or edited"
            )
    found = scenario.inputs()
    for path, kept in run.facts["inputs"].items():
        if found.get(path, kept) != kept:
            raise runs.RunError(
                f"{path}: is not what {run.name} was made from; restore it, or make the run again"
            )


def go_on(run: runs.Run, feedback: Feedback) -> Path:
    """Go on with an interrupted run: the ticks it has are played again, and only the rest added."""
    scenario = scenario_of(run)
    recording = runs.resume(run, scenario.market())
    feedback.message(
        f"{run.name}: {recording.ticks:,} of {scenario.ticks:,} ticks are recorded and stay"
    )
    feedback.message(
        f"going on from tick {recording.ticks:,}; the ticks before it are played again first, "
        "from tick 0 and without being recorded: a run without actors keeps no checkpoints"
        if recording.ticks
        else "going on from tick 0"
    )
    return _to_the_end(recording, *loop_of(scenario), feedback)


def steps_of(scenario: Scenario) -> Iterator[Step]:
    """The scenario's steps, one a tick, played in one loop."""
    return loop_of(scenario)[0]


def loop_of(scenario: Scenario) -> tuple[Iterator[Step], ParticipantPool]:
    """The steps of the run, and the pool that counts the faults of its policies.

    A run is kept alive, here as over actors: a policy that fails loses the decision.
    """
    market, policies = scenario.market(), scenario.policies()
    pool = ParticipantPool.of(market, policies, scenario.seed, scenario.markets, on_fault="hold")
    looped = transitions(
        market,
        policies,
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
        pool=pool,
    )
    return (transition.step for transition in looped), pool


def _to_the_end(
    recording: runs.Recording, steps: Iterator[Step], pool: ParticipantPool, feedback: Feedback
) -> Path:
    total = recording.facts["ticks"]
    try:
        with keeping(recording), stop_requests() as asked:
            for step in steps:
                recording.add(step)
                feedback.progress(WorkProgress("ticks", recording.seen, total))
                if asked:
                    break
        if asked and recording.ticks < total:
            recording.flush()
            raise stopped(recording, asked[0])
        recording.finish(faults=runs.fault_facts(pool.faults.values()))
        for line in runs.fault_lines(recording.facts):
            feedback.message(line)
        return recording.folder
    except Interrupted:
        raise
    except KeyboardInterrupt:  # a second Ctrl-C: at once, with what the disk has
        raise stopped(recording, signal.SIGINT) from None
    except Exception:
        if not recording.acknowledged:
            recording.discard()
        raise
    finally:
        recording.close()  # this process may go on with it


@contextlib.contextmanager
def keeping(recording: runs.Recording) -> Iterator[None]:
    """What was recorded before a market had to stop is kept, and reported with the cause."""
    try:
        yield
    except runs.RunError:  # the disk itself may be what went wrong
        raise
    except InputError as error:
        if not recording.ticks:
            recording.discard()
            raise
        recording.flush()
        raise InputError(
            f"{error} (the first {recording.ticks:,} ticks are recorded in "
            f"{shown(recording.folder)})"
        ) from None


def stopped(recording: runs.Recording, number: int) -> Interrupted:
    """Where the run stands, and how to go on."""
    return Interrupted(
        f"stopped: the first {recording.acknowledged:,} of {recording.facts['ticks']:,} ticks "
        f"are recorded in {shown(recording.folder)}; {resuming('run', shown(recording.folder))} "
        "goes on",
        number,
        recording.folder,
    )


def estimates(market: Market) -> list[str]:
    """What the market takes from its data by estimate, if anything: lines of text."""
    found = market.reference.estimated(market)
    return [found] if found else []


def report_files(scenario: Scenario, market: Market, read: ReadFiles, feedback: Feedback) -> None:
    """What was recognised in the scenario's files and left out of them, and what is estimated."""
    for line in [*file_summaries.summarise_files(scenario, read, shown), *estimates(market)]:
        feedback.message(line)
