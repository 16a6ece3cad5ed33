"""What a sweep is to play: the points of a grid over a scenario, each with the same seeds.

A *cell* is a point of the grid, a *trial* a cell with one seed. Trials are numbered cell by cell.
All cells meet the same seeds (common random numbers), so that cells differ by what was changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mos_agents import scenarios
from mos_agents.market.checks import is_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.runs.folder import identity
from mos_agents.scenarios import Scenario
from mos_agents.scenarios.changes import SHORTHANDS
from mos_agents.sweeps.trials import TrialSpec, trial_spec
from mos_agents.wording import setting

MOST_TRIALS = 100_000
"""Trials of a sweep; more are a slip of the pen, and their table could not be read."""

FIXED = {
    "name": "is what the scenario is called",
    "description": "changes nothing that is played",
    "seed": "is varied by the number of seeds",
}
"""Keys of a scenario that no grid goes over, and why."""

KINDS = ("play", "sessions", "train")
"""Kinds of trials; a setting that begins with one of these names is of that kind."""


class Axis(NamedTuple):
    """A setting of a sweep and the values that it takes.

    Parameters
    ----------
    path : str
        The path of the setting, such as "arrivals.sessions".
    values : tuple
        The values in order, plain data as in YAML.
    """

    path: str
    values: tuple[Any, ...]

    @classmethod
    def parsed(cls, text: str) -> Axis:
        """`arrivals.sessions=10,20,30`; InputError where it is not that."""
        path, equals, listed = text.partition("=")
        if not equals or not path.strip():
            raise InputError(
                f"{setting('grid')} {text!r:.80} must be KEY=VALUE,VALUE,..., such as firms=2,3,4"
            )
        try:
            values = scenarios.listed(listed)
        except InputError as error:
            raise InputError(f"{setting('grid')} {path.strip()}: {error}") from None
        return cls(path.strip(), tuple(values))

    @property
    def key(self) -> str:
        """The path in full: `participants.firm.count` for `firms`."""
        first, dot, rest = self.path.partition(".")
        return SHORTHANDS.get(first, first) + dot + rest

    @property
    def label(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@short_repr
@dataclass(frozen=True, eq=False)
class Cell:
    """A point of a sweep's grid, and the scenario that it makes.

    Parameters
    ----------
    number : int
        Its number, from 0.
    values : mapping
        The values of its settings, by path.
    scenario : Scenario
        The scenario with these settings.
    spec : TrialSpec
        The kind of trial with these settings.
    """

    number: int
    values: Mapping[str, Any]
    scenario: Scenario
    spec: TrialSpec

    def __str__(self) -> str:
        return ", ".join(f"{path}={scenarios.inline(v)}" for path, v in self.values.items())

    def __reduce__(self) -> tuple[Any, ...]:
        return PortableCell, (scenarios.dump(self.scenario.portable()), self.spec.portable())


@short_repr
@dataclass(frozen=True)
class PortableCell:
    """A cell in another process: the scenario as text, and networks in place of their files."""

    described: str
    spec: TrialSpec

    @property
    def scenario(self) -> Scenario:
        """Read here, so that what goes wrong in it is a fault of one trial."""
        return scenarios.parse(self.described, trusted=True)


class Trial(NamedTuple):
    """A cell with one seed. `name` is the name of its file.

    Parameters
    ----------
    number : int
        Its number, from 0.
    cell : int
        The number of its cell.
    seed : int
        Its seed.
    """

    number: int
    cell: int
    seed: int

    @property
    def name(self) -> str:
        """The name of the trial's files."""
        return f"cell-{self.cell:05d}-seed-{self.seed}"


@short_repr
@dataclass(frozen=True, eq=False)
class SweepPlan:
    """A plan of a sweep: a scenario, the grid over it, the seeds, and the kind of trial.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    grid : tuple of Axis
        The settings that vary; all combinations of their values are played.
    seeds : tuple of int
        The seeds; every cell has all of them.
    spec : TrialSpec
        What a trial does with a scenario and a seed.
    cpus, gpus : float
        What a trial takes of the cluster. They change no result.

    Raises
    ------
    InputError
        If the grid is empty or has a value twice, a path leads nowhere, a cell is no valid
        scenario, or a trial cannot play it.
    """

    scenario: Scenario
    grid: tuple[Axis, ...]
    seeds: tuple[int, ...]
    spec: TrialSpec
    cpus: float = 1.0
    gpus: float = 0.0

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        grid: Sequence[str] | Mapping[str, Sequence[Any]],
        seeds: int | Sequence[int] = 10,
        spec: TrialSpec | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
    ) -> SweepPlan:
        """A plan, checked cell by cell.

        grid: texts such as `firms=2,3`, or values by path. seeds: how many, from the scenario's own
        on, or which. spec: what a trial does; None plays the scenario tick by tick.
        """
        axes = (
            tuple(Axis(path, tuple(values)) for path, values in grid.items())
            if isinstance(grid, Mapping)
            else tuple(Axis.parsed(text) for text in grid)
        )
        made = cls(
            scenario, axes, _numbers(seeds, scenario.seed), spec or trial_spec("play"), cpus, gpus
        )
        made.check()
        return made

    def check(self) -> None:
        """InputError unless every cell can be played."""
        for name, number, least in (("cpus", self.cpus, 0.0), ("gpus", self.gpus, 0.0)):
            whole = isinstance(number, int | float) and not isinstance(number, bool)
            if not whole or not least <= number < 1e6 or (number > 1 and number % 1):
                raise InputError(f"{name}={number!r} must be a number >= 0, whole above 1")
        _check_axes(self.grid)
        count = len(self.seeds)
        for axis in self.grid:
            count *= len(axis.values)
        if count > MOST_TRIALS:
            raise InputError(
                f"{setting('grid')}: {count:,} trials are more than {MOST_TRIALS:,}; take "
                "fewer values or seeds"
            )
        seen: dict[str, Cell] = {}
        for cell in self.cells:
            same = scenarios.dump(cell.scenario) + repr(cell.spec)
            if same in seen:
                raise InputError(
                    f"{setting('grid')}: {cell} is the same market as {seen[same]}; leave one out"
                )
            seen[same] = cell
            try:
                cell.spec.check(cell.scenario)
            except InputError as error:
                raise InputError(f"{setting('grid')} {cell}: {error}") from None
        self.spec.bundles(self.cpus, self.gpus)  # refuses what its kind of trial has no use for

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The points of the grid; the last axis moves fastest."""
        return tuple(self._cells())

    def _cells(self) -> Iterator[Cell]:
        prefix = f"{self.spec.kind}."
        for number, point in enumerate(itertools.product(*(axis.values for axis in self.grid))):
            values = dict(zip((axis.path for axis in self.grid), point, strict=True))
            changes, spec = [], self.spec
            for path, value in values.items():
                if path.startswith(prefix):
                    spec = spec.changed(path.removeprefix(prefix), value)
                elif (kind := path.partition(".")[0]) in KINDS:
                    raise InputError(
                        f"{setting('grid')} {path}: is not for trials of kind {self.spec.kind}; "
                        f"{_remedy(kind)}"
                    )
                else:
                    changes.append(f"{path}={scenarios.inline(value)}")
            made = self.scenario
            if changes:
                made = scenarios.override(made, changes, setting("grid"))
            yield Cell(number, values, made, spec)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Every cell with every seed, cell by cell."""
        pairs = itertools.product(range(len(self.cells)), self.seeds)
        return tuple(Trial(number, *pair) for number, pair in enumerate(pairs))

    @cached_property
    def bundles(self) -> list[dict[str, float]]:
        """What a trial takes of a cluster, in the cell that takes most."""
        found = (cell.spec.bundles(self.cpus, self.gpus) for cell in self.cells)
        return max(found, key=len)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Everything that the results depend on, as plain data; `from_facts` takes it back."""
        return {
            "scenario": scenarios.dump(self.scenario),
            "grid": [[axis.path, [scenarios.inline(v) for v in axis.values]] for axis in self.grid],
            "seeds": list(self.seeds),
            "trial": {"kind": self.spec.kind, **self.spec.settings()},
            "inputs": self.inputs,
        }

    @cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of every file that a cell is read from, by its path."""
        return {
            path: mark
            for cell in self.cells
            for path, mark in {**cell.scenario.inputs(), **cell.spec.inputs()}.items()
        }

    @cached_property
    def identity(self) -> str:
        """A digest of the facts: the same for two plans with the same results."""
        return identity(self.facts)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], cpus: float, gpus: float) -> SweepPlan:
        """The plan that `facts` came from, checked again."""
        settings = dict(facts["trial"])
        grid = tuple(
            Axis(path, tuple(scenarios.listed(", ".join(texts)))) for path, texts in facts["grid"]
        )
        made = cls(
            scenarios.parse(facts["scenario"], "sweep.json"),
            grid,
            tuple(facts["seeds"]),
            trial_spec(settings.pop("kind"), **settings),
            cpus,
            gpus,
        )
        made.check()
        return made


def _remedy(kind: str) -> str:
    """What makes trials of a kind."""
    if kind == "play":
        return f"leave out {setting('sessions')} and {setting('train')}"
    return f"add {setting(kind, 'N' if kind == 'sessions' else None)}"


def _numbers(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    if is_whole(seeds):
        if not 1 <= seeds <= MOST_TRIALS:
            raise InputError(f"seeds={seeds} must be in [1, {MOST_TRIALS:,}]")
        return tuple(range(first, first + int(seeds)))
    listed = tuple(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else ()
    if not listed or len(set(listed)) != len(listed):
        raise InputError(f"seeds={seeds!r:.60} must be a number >= 1, or distinct seeds >= 0")
    for seed in listed:
        Streams.of(seed, 1)
    return tuple(int(seed) for seed in listed)


def _check_axes(grid: Sequence[Axis]) -> None:
    if not grid:
        raise InputError(
            f"{setting('grid')}: is missing; give KEY=VALUE,VALUE,..., such as firms=2,3,4"
        )
    for at, axis in enumerate(grid):
        if axis.path in FIXED:
            raise InputError(f"{setting('grid')} {axis.path}: {axis.path} {FIXED[axis.path]}")
        if axis.key in [other.key for other in grid[:at]]:
            raise InputError(
                f"{setting('grid')} {axis.path}: is there twice; give all its values at once"
            )
        if not axis.values:
            raise InputError(
                f"{setting('grid')} {axis.path}: has no values; give some, such as 1,2,3"
            )
        texts = [scenarios.inline(value) for value in axis.values]
        for text in texts:
            if texts.count(text) > 1:
                raise InputError(f"{setting('grid')} {axis.path}: {text} is there twice")
