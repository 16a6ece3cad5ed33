"""Play a scenario into a run folder, show how far it is, and leave in good order when stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mos_agents import runs, scenarios
from mos_agents.market import kernels
from mos_agents.market.printing import printable
from mos_agents.market.tick import Market
from mos_agents.market.types import InputError, Step
from mos_agents.scenarios import Scenario, telling
from mos_agents.scenarios.schema import Read

if TYPE_CHECKING:
    from mos_agents.rollout import ParticipantPool

Show = Callable[[int], None]
"""Called with the number of ticks played."""


class Interrupted(Exception):
    """Somebody stopped the run; the message is one line and the exit code names the signal."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def resolve(
    scenario: str, changes: list[str], ticks: int | None, markets: int | None, seed: int | None
) -> Scenario:
    """The scenario with the command's changes."""
    given = {"ticks": ticks, "markets": markets, "seed": seed}
    changes = [*changes, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    loaded = scenarios.load(scenario)
    try:
        return scenarios.override(loaded, changes) if changes else loaded
    except InputError as error:
        text = str(error)
        for key in (key for key, value in given.items() if value is not None):
            if text.startswith(f"--set: {key}="):  # it was given by an option of its own
                raise InputError(text.replace("--set: ", "--", 1)) from None
        raise


def play(
    scenario: Scenario,
    out: Path,
    name: str | None = None,
    record_markets: int | None = None,
    every: int | None = None,
    stem: str | None = None,
) -> tuple[Path, str]:
    """Play the scenario to its end; returns the run's folder and the hash of its trajectory.

    Raises Interrupted on Ctrl-C or a request to end, with what was recorded on the disk.
    """
    market, read = scenario.made()
    plan = runs.RecordingPlan.of(
        market.layout, scenario.ticks, scenario.markets, record_markets, every
    )
    print_line(
        f"{scenario.name}: {scenario.ticks:,} ticks, {plural(scenario.markets, 'market')}, "
        f"{plural(market.layout.N, 'participant')}, "
        f"{plural(market.layout.K, 'instrument')}, seed {scenario.seed}"
    )
    print_line(f"recording {plan.describe(scenario.markets)}")
    print_file_notes(scenario, market, read)
    if not compiled():
        print_line("compiling the market's kernels: up to a minute, once")
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
        stem=stem,
        inputs=scenario.inputs(),
    )
    return _to_the_end(recording, steps, pool)


def scenario_of(run: runs.Run) -> Scenario:
    """The scenario that a run was made from; RunError where a file that it reads has changed."""
    scenario = scenarios.parse(run.scenario, f"{run.folder}/scenario.yaml")
    check_same(run, scenario)
    return scenario


def check_same(run: runs.Run, scenario: Scenario) -> None:
    """RunError where run.json tells of another seed or length, or where a file that the scenario
    reads is not what the run was made from."""
    for name in ("seed", "ticks", "markets"):
        recorded, kept = run.facts[name], getattr(scenario, name)
        if recorded != kept:
            raise runs.RunError(
                f"{run.folder / 'run.json'}: {name}={recorded}, but scenario.yaml says {kept}: "
                "damaged or edited"
            )
    found = scenario.inputs()
    for path, kept in run.facts["inputs"].items():
        if found.get(path, kept) != kept:
            raise runs.RunError(
                f"{path}: is not what {run.name} was made from; restore it, or make the run again"
            )


def go_on(run: runs.Run) -> tuple[Path, str]:
    """Go on with an interrupted run: the ticks it has are played again, and only the rest added."""
    scenario = scenario_of(run)
    recording = runs.resume(run, scenario.market())
    print_line(f"{run.name}: {recording.ticks:,} of {scenario.ticks:,} ticks are recorded and stay")
    if recording.ticks:
        print_line(
            f"going on from tick {recording.ticks:,}; the ticks before it are played again first, "
            "from tick 0 and without being recorded: a run without actors keeps no checkpoints"
        )
    else:
        print_line("going on from tick 0")
    return _to_the_end(recording, *loop_of(scenario))


def steps_of(scenario: Scenario) -> Iterator[Step]:
    """The scenario's steps, one a tick, played in one loop."""
    return loop_of(scenario)[0]


def loop_of(scenario: Scenario) -> tuple[Iterator[Step], ParticipantPool]:
    """The steps of the run, and the pool that counts the faults of its policies.

    A run is kept alive, here as over actors: a policy that fails loses the decision.
    """
    from mos_agents.rollout import ParticipantPool, transitions

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
    recording: runs.Recording, steps: Iterator[Step], pool: ParticipantPool
) -> tuple[Path, str]:
    try:
        with (
            keeping(recording),
            asked_to_stop() as asked,
            progress(recording.facts["ticks"]) as show,
        ):
            for step in steps:
                recording.add(step)
                show(recording.seen)
                if asked:
                    break
        if asked and recording.ticks < recording.facts["ticks"]:
            recording.flush()
            raise stopped(recording, asked[0])
        trajectory = recording.finish(faults=runs.as_facts(pool.faults.values()))
        for line in runs.fault_lines(recording.facts):
            print_line(line)
        return recording.folder, trajectory
    except KeyboardInterrupt:  # a second Ctrl-C: at once, with what the disk has
        raise stopped(recording, signal.SIGINT) from None
    except Exception:
        if not recording.acknowledged:
            recording.discard()
        raise


@contextlib.contextmanager
def keeping(recording: runs.Recording) -> Iterator[None]:
    """What was recorded before a market had to stop is put on the disk, and told with the cause."""
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


def compiled() -> bool:
    """Whether machine code of an earlier run lies beside the kernels."""
    folder = Path(kernels.__file__).parent / "__pycache__"
    return any(folder.glob("*.nbi")) or "NUMBA_CACHE_DIR" in os.environ


def stopped(recording: runs.Recording, number: int) -> Interrupted:
    """Where the run stands, and how to go on."""
    return stopped_by(
        f"mos: stopped: the first {recording.acknowledged:,} of {recording.facts['ticks']:,} ticks "
        f"are recorded in {shown(recording.folder)}; mos run --resume {shown(recording.folder)} "
        "goes on",
        number,
    )


def stopped_by(message: str, number: int) -> Interrupted:
    """What a command that a signal stopped leaves with."""
    return Interrupted(message, 128 + number)


@contextlib.contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Collects the first Ctrl-C or SIGTERM, to be looked at between ticks; a second one is raised.

    Where signals cannot be caught (outside the main thread) the list stays empty.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)  # raises KeyboardInterrupt
        asked.append(number)

    former = {}
    with contextlib.suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            former[number] = signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(ticks: int) -> Iterator[Show]:
    """A bar on a terminal; elsewhere a plain line now and then."""
    if not sys.stdout.isatty():
        yield plain(ticks)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("ticks"), BarColumn(40), MofNCompleteColumn(), Remaining(compact=True))
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("ticks", total=ticks)
        bar.update(task, completed=0)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each part of a longer work, told as (part, done, of); elsewhere plain lines."""
    if not sys.stdout.isatty():
        last: dict[str, float] = {}

        def line(part: str, done: int, of: int) -> None:
            now = time.monotonic()
            if done == of or now - last.get(part, 0.0) > 5.0:
                last[part] = now
                print_line(f"{part}: {done:,} of {of:,}")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}", markup=False), BarColumn(40), MofNCompleteColumn())
    with Progress(*columns, Remaining(compact=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(part: str, done: int, of: int) -> None:
            if part not in tasks:
                tasks[part] = bar.add_task(printable(part), total=of)
            bar.update(tasks[part], completed=done)

        yield show


def plain(ticks: int, seconds: float = 5.0) -> Show:
    """A line at most every `seconds`, and one at the end."""
    last = [time.monotonic()]

    def show(done: int) -> None:
        if done == ticks or time.monotonic() - last[0] > seconds:
            last[0] = time.monotonic()
            print_line(f"tick {done:,} of {ticks:,}")

    return show


def estimates(market: Market) -> list[str]:
    """What the market takes from its data by estimate, if anything: lines of text."""
    estimated = getattr(market.reference, "estimated", None)
    text = estimated(market) if estimated is not None else ""
    return [text] if text else []


def print_file_notes(scenario: Scenario, market: Market, read: Read) -> None:
    """What was recognised in the scenario's files and left out of them, and what is estimated."""
    for line in [*telling.files_in_short(scenario, read, shown), *estimates(market)]:
        print_line(line)


def print_line(line: str) -> None:
    """A plain line on stdout."""
    print(printable(line), flush=True)


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
