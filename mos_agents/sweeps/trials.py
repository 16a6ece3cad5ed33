"""What a trial does: it takes a scenario and a seed, and returns measures.

A kind of trial is a frozen dataclass of settings. Calling it plays a trial. `check` refuses a
scenario that it cannot play before anything runs, `changed` lets a grid go over its own settings
(`play.burn_in=0,100`), and `bundles` says what a trial takes of a cluster.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from mos_agents.market.checks import check_whole
from mos_agents.market.faults import headline
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError
from mos_agents.policies import Policy
from mos_agents.rollout import ParticipantPool, transitions
from mos_agents.runs.tables import AGGREGATE_VALUES, aggregate
from mos_agents.scenarios import Scenario
from mos_agents.sweeps.pricing import collusion_measures
from mos_agents.sweeps.trial_folder import TrialFolder
from mos_agents.wording import setting


@short_repr
class TrialResult(NamedTuple):
    """What a trial returns.

    Parameters
    ----------
    measures : mapping
        Finite numbers by name; unknown ones are left out.
    notes : tuple of str
        What else a reader should know, a line each.
    files : mapping
        Contents by path of files that belong in the trial's folder and could not be written there.
    """

    measures: Mapping[str, float]
    notes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = {}

    @classmethod
    def of(cls, measures: Mapping[str, Any], notes: tuple[str, ...] = ()) -> TrialResult:
        """A result without the measures that are not finite."""
        numbers = {name: float(value) for name, value in measures.items()}
        return cls({n: value for n, value in numbers.items() if math.isfinite(value)}, notes)


class TrialSpec(Protocol):
    """A kind of trial and its settings: the protocol that all kinds of trial follow."""

    kind: ClassVar[str]
    headline: ClassVar[tuple[str, ...]]
    """The measures that a printed table shows."""

    def settings(self) -> dict[str, Any]:
        """As plain data; `trial_spec(kind, **settings)` reads them back."""

    def changed(self, key: str, value: Any) -> TrialSpec:
        """With one setting changed, or InputError."""

    def check(self, scenario: Scenario) -> None:
        """InputError unless the scenario can be played so."""

    def inputs(self) -> dict[str, str]:
        """SHA-256 of every file that its settings name, by its path."""

    def portable(self) -> TrialSpec:
        """The same for a machine that has none of these files."""

    def at(self, folder: TrialFolder) -> TrialSpec:
        """The same, with the folder for what it makes besides measures."""

    def bundles(self, cpus: float, gpus: float) -> list[dict[str, float]]:
        """What a trial takes of a cluster: its own process first, then each that it starts."""

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        """Play. The same scenario and seed give the same result on any machine."""


class BaseTrial(TrialSpec):
    """What kinds of trials share: their fields are their settings."""

    kind: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    def changed(self, key: str, value: Any) -> Any:
        known = [one.name for one in fields(self)]  # type: ignore[arg-type]
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(known)}"
            raise InputError(
                f"{setting('grid')} {self.kind}.{key}: {key!r:.60} is not a key here; {hint}"
            )
        try:
            return replace(self, **{key: value})  # type: ignore[type-var]
        except InputError as error:
            raise InputError(f"{setting('grid')} {self.kind}.{key}: {error}") from None

    def inputs(self) -> dict[str, str]:
        return {}

    def portable(self) -> Any:
        return self

    def at(self, folder: TrialFolder) -> Any:
        return self

    def bundles(self, cpus: float, gpus: float) -> list[dict[str, float]]:
        return [{"CPU": cpus, "GPU": gpus}]


@dataclass(frozen=True)
class PlayTrial(BaseTrial):
    """A trial that plays the scenario as `mos run` does; its measures are those of `play_market`.

    Parameters
    ----------
    burn_in : int
        Ticks at the beginning that are left out of the means, >= 0.
    theory : bool
        Whether profit gain, RPDI and Lerner index are measured too. That takes seconds a trial
        where the benchmarks have no closed form.
    """

    kind: ClassVar[str] = "play"
    headline: ClassVar[tuple[str, ...]] = ("profit_gain", "reward", "pnl", "mean_ask", "spread")

    burn_in: int = 0
    theory: bool = False

    def __post_init__(self) -> None:
        check_whole("burn_in", self.burn_in, 0)
        if not isinstance(self.theory, bool):
            raise InputError(f"theory={self.theory!r} must be true or false")

    def check(self, scenario: Scenario) -> None:
        if self.burn_in >= scenario.ticks:
            raise InputError(f"burn_in={self.burn_in} must be below ticks={scenario.ticks}")
        ParticipantPool.of(scenario.market(), scenario.policies(), 0, 1)

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        return play_market(
            scenario.market(),
            scenario.policies(),
            seed,
            scenario.markets,
            self.burn_in,
            self.theory,
        )


def play_market(
    market: Market,
    policies: Mapping[str, Policy],
    seed: int,
    markets: int,
    burn_in: int = 0,
    theory: bool = False,
) -> TrialResult:
    """Play the market's horizon, and say what each participant did.

    Measures are means per tick, over markets and the ticks after `burn_in`, under the names of the
    table `aggregates`: `pnl.firm_1` of a participant, `pnl.firm` of those with the role firm, `pnl`
    of all alike. `share` is of the units sold, `spread` ask less bid, `faults` the decisions lost.
    A policy that fails loses its decisions, and the notes say so.
    With `theory`, profit gain, RPDI and Lerner index of the mean prices and profits.
    """
    pool = ParticipantPool.of(market, policies, seed, markets, on_fault="hold")
    layout, means = market.layout, RunningMeans()
    for at, transition in enumerate(
        transitions(market, policies, seed=seed, markets=markets, pool=pool)
    ):
        if at >= burn_in:
            means.add(aggregate(market, transition.step))
    found = dict(zip(AGGREGATE_VALUES, means.values(), strict=True))
    del found["reward_p05"], found["reward_p95"]
    with np.errstate(invalid="ignore"):
        found["share"] = found["sold"] / found["sold"].sum()
    found["spread"] = found["mean_ask"] - found["mean_bid"]
    notes = headline(pool.faults.values(), markets * market.horizon)
    measures: dict[str, float] = {}
    if theory:
        measures, more = collusion_measures(market, found["mean_ask"][None], found["pnl"][None])
        notes += more
    measures |= by_participant(found, layout.participants, layout.roles)
    lost = sum(fault.decisions for fault in pool.faults.values())
    return TrialResult.of(measures | {"faults": lost}, tuple(notes))


@dataclass
class RunningMeans:
    """Running means over ticks of arrays that may hold NaN, which count for nothing."""

    total: Any = 0.0
    count: Any = field(default=0)

    def add(self, values: Array) -> None:
        known = ~np.isnan(values)
        self.total = self.total + np.where(known, values, 0.0)
        self.count = self.count + known

    def values(self) -> Array:
        """NaN where nothing was known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Array = np.asarray(self.total) / self.count
        return means


def by_participant(
    found: Mapping[str, Array], names: tuple[str, ...], roles: tuple[str, ...]
) -> dict[str, float]:
    """Measures [N] by name: of each participant, of each role where there are two, and of all.

    A role's measure is left out where a participant is called like the role.
    """
    made: dict[str, float] = {}
    kinds = [role for role in dict.fromkeys(roles) if role not in names]
    groups = {role: np.array([r == role for r in roles]) for role in kinds if len(set(roles)) > 1}
    for name, values in found.items():
        made[name] = _mean(values)
        for role, among in groups.items():
            made[f"{name}.{role}"] = _mean(values[among])
        for participant, value in zip(names, values, strict=True):
            made[f"{name}.{participant}"] = float(value)
    return made


def _mean(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def trial_spec(kind: str, **settings: Any) -> TrialSpec:
    """Make a kind of trial from its name and settings.

    Parameters
    ----------
    kind : str
        "play", "sessions" or "train".
    **settings
        The settings of that kind.

    Returns
    -------
    TrialSpec
        The kind of trial.

    Raises
    ------
    InputError
        If the kind or a setting is not known.
    """
    from mos_agents.sweeps.sessions import SessionsTrial
    from mos_agents.sweeps.training import TrainingTrial

    kinds: dict[str, Any] = {one.kind: one for one in (PlayTrial, SessionsTrial, TrainingTrial)}
    if kind not in kinds:
        raise InputError(f"trial: kind={kind!r} is not known; kinds are {', '.join(kinds)}")
    try:
        made: TrialSpec = kinds[kind](**settings)
    except TypeError:
        raise InputError(f"trial: {sorted(settings)} are not the settings of {kind!r}") from None
    return made
