"""Published figures against ours: what every replication is made of, and the command that runs it.

An experiment is a folder with a `run.py` that has
- `TITLE`, and `QUICK`, the changes ("k=v") that make a quick look of it;
- `Settings`, a frozen dataclass with `seed`, and `sessions` or what `COUNT` names;
- `notes(settings)`, lines on ties, grid and order of moves, which are printed;
- `replicate(settings, execution)`, which gives findings.
`mos replicate NAME` runs it. One that keeps no finished sessions says `KEEPS = False`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from mos_agents.analysis.shares import bounded_interval, clopper_pearson, wilson_interval
from mos_agents.analysis.statistics import mean_interval, student
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError
from mos_agents.runs.folder import STUDY, differences
from mos_agents.tasks import ThreadPool, WorkerPool
from mos_agents.wording import setting

EXPERIMENTS = {
    "calvano_2020": "experiments.calvano_2020.run",
    "klein_2021": "experiments.klein_2021.run",
    "asker_fershtman_pakes_2022": "experiments.asker_fershtman_pakes_2022.run",
    "avellaneda_stoikov_2008": "experiments.avellaneda_stoikov_2008.run",
    "brasic_2025": "experiments.brasic_2025.run",
    "johnson_rhodes_wildenbeest_2023": "experiments.johnson_rhodes_wildenbeest_2023.run",
    "banchio_skrzypacz_2022": "experiments.banchio_skrzypacz_2022.run",
    "brown_mackay_2023": "experiments.brown_mackay_2023.run",
    "hartline_long_zhang_2024": "experiments.hartline_long_zhang_2024.run",
    "abada_lambin_2023": "experiments.abada_lambin_2023.run",
    "price_wars": "experiments.price_wars.run",
}
"""What can be replicated, by the name of its folder."""


@dataclass(frozen=True)
class Finding:
    """One quantity: what was published, what came out here, and whether that is within error.

    `published`, `within` and `source` are None where the paper has no such figure. One session does
    not scatter: its interval is NaN (null in JSON), and nothing is said of `within`.
    computed: the figure is no sample's; its interval is itself. sessions: over how many the
    interval is. at_least: some of what was timed had not ended where the record ends, at `end`
    where that is one number; an upper limit that reaches it is infinite (null in JSON). z: how far
    ours is from the published figure beyond its rounding, in standard errors of both.
    """

    quantity: str
    published: float | None
    ours: float
    ci95: tuple[float, float]
    within: bool | None = None
    source: str | None = None
    computed: bool = False
    sessions: int = field(default=0, compare=False)
    at_least: bool = False
    end: float = field(default=math.inf, compare=False)
    z: float = field(default=0.0, compare=False)

    def agrees(self, limit: float) -> bool:
        """Whether the published figure is within `limit` standard errors, or in our interval.

        The interval of few sessions is wider than normal errors say, more so of skewed figures.
        """
        low, high = self.ci95
        inside = self.published is not None and low <= self.published <= high
        return bool(abs(self.z) <= limit or inside)


@dataclass(frozen=True)
class Published:
    """A published figure: its value, its source, the half unit of its last printed digit, and its
    own standard error (None: that of ours, scaled to the paper's number of sessions)."""

    value: float
    source: str
    rounding: float = 0.0
    error: float | None = None


@dataclass(frozen=True)
class ExecutionConfig:
    """Where an experiment runs, what it keeps, and who sees its progress.

    Parameters
    ----------
    workers
        Where sessions are played.
    folder
        Finished sessions are kept there; None keeps nothing.
    progress
        Called with (what, done, in all); where it returns True, the experiment stops.
    """

    workers: WorkerPool = field(default_factory=lambda: ThreadPool(2))
    folder: Path | None = None
    progress: Callable[[str, int, int], bool | None] = lambda what, done, of: None

    def progress_of(self, what: str) -> Callable[[int, int], bool | None]:
        """The progress of one part."""
        return lambda done, of: self.progress(what, done, of)

    def folder_of(self, part: str) -> Path | None:
        """Where a part of the experiment keeps its finished sessions."""
        return None if self.folder is None else self.folder / part


class Findings:
    """Collects findings, and judges them together: one in twenty *tables* may be off by chance.

    With J published figures each is held to the two-sided level .05 / J (Bonferroni).
    """

    def __init__(self, published: dict[str, Published], paper_sessions: int) -> None:
        self._published, self._paper = published, paper_sessions
        self._rows: list[tuple[str, float, float, float]] = []
        self._intervals: dict[str, tuple[float, float]] = {}
        self._ends: dict[str, float] = {}
        self._cut_off: set[str] = set()
        self._computed: set[str] = set()

    def mean(self, quantity: str, values: Any, least: float = -math.inf) -> None:
        """The mean of one value a session, which is never below `least`."""
        values = np.asarray(values, dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0:
            return
        sd = float(values.std(ddof=1)) if values.size > 1 else math.nan
        self._rows.append((quantity, float(values.mean()), sd, values.size))
        if values.size > 1:
            low, high = mean_interval(values)[1:3]
            self._intervals[quantity] = (max(low, least), high)

    def ratio(self, quantity: str, parts: Any, wholes: Any) -> None:
        """A mean over cases of which a session has several: sum of parts [S] / sum of wholes [S].

        Cases of one session are alike, so it is sessions that scatter (Cochran 1977, eq. 6.13).
        """
        parts, wholes = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
        value = float(parts.sum() / wholes.sum())
        gaps = (parts - value * wholes) / wholes.mean()
        sd = float(gaps.std(ddof=1)) if parts.size > 1 else math.nan
        self._rows.append((quantity, value, sd, parts.size))
        if parts.size > 1:
            self._intervals[quantity] = mean_interval(value + gaps)[1:3]

    def share_of_cases(self, quantity: str, parts: Any, wholes: Any) -> None:
        """A share of cases, as `ratio`, with Wilson's limits: they never leave [0, 1]."""
        self.ratio(quantity, parts, wholes)
        _, value, sd, count = self._rows[-1]
        found = wilson_interval(value, sd / math.sqrt(count), int(count))
        if not math.isnan(sd):
            self._intervals[quantity] = (found.low, found.high)

    def mean_share(self, quantity: str, values: Any) -> None:
        """The mean of one share in [0, 1] a session: as `mean`, with limits within [0, 1]."""
        values = np.asarray(values, dtype=np.float64)
        values = values[np.isfinite(values)]
        self.mean(quantity, values)
        if values.size > 1:
            self._intervals[quantity] = bounded_interval(values)[1:3]

    def duration(self, quantity: str, value: float, error: float, count: int, end: float) -> None:
        """An estimated duration with its standard error, seen for no longer than `end`.

        What reaches the end of the record may be longer: such a figure is told as "at least", and
        such an upper limit is infinite.
        """
        self.estimate(quantity, value, error, count)
        low, high = value - student(count) * error, value + student(count) * error
        self._intervals[quantity] = (max(low, 0.0), high if high < end else math.inf)
        self._ends[quantity] = end
        if value >= end:
            self._cut_off.add(quantity)

    def mean_duration(self, quantity: str, values: Any, cut_off: bool) -> None:
        """The mean of one duration a session; no upper limit where some did not end (`cut_off`)."""
        self.mean(quantity, values, least=0.0)
        if cut_off and len(values):
            _, value, sd, count = self._rows[-1]
            low = max(value - student(count) * sd / math.sqrt(count), 0.0)
            self._intervals[quantity] = (low, math.inf)
            self._cut_off.add(quantity)  # the mean of what was seen is less than the true one

    def share(self, quantity: str, holds: Any) -> None:
        """The share of sessions in which something holds."""
        holds = np.asarray(holds, dtype=np.float64)
        p = float(holds.mean())
        self._intervals[quantity] = clopper_pearson(int(holds.sum()), holds.size)
        # Where it never (or always) holds, the spread is that of one more session that differs.
        smooth = (holds.sum() + 0.5) / (holds.size + 1.0)
        self._rows.append((quantity, p, math.sqrt(smooth * (1.0 - smooth)), holds.size))

    def deviation(self, quantity: str, values: Array) -> None:
        """The standard deviation over sessions; its own scatter by the fourth moment."""
        if values.size < 2:
            return
        sd = float(values.std(ddof=1))
        gaps = values - values.mean()
        spread = float((gaps**2).mean())
        kurtosis = float((gaps**4).mean()) / spread**2 if spread > 0.0 else 1.0
        scatter = sd * math.sqrt(max(kurtosis - 1.0, 0.0) / 4.0)
        self._rows.append((quantity, sd, scatter, values.size))

    def quantile(self, quantity: str, values: Array, at: float) -> None:
        """A quantile over sessions; its scatter from the order statistics around it."""
        ours = float(np.quantile(values, at))
        reach = 1.96 * math.sqrt(at * (1.0 - at) / values.size)
        low, high = np.quantile(values, [max(at - reach, 0.0), min(at + reach, 1.0)])
        scatter = float(high - low) / (2.0 * 1.96) * math.sqrt(values.size)
        self._rows.append((quantity, ours, scatter, values.size))

    def estimate(self, quantity: str, value: float, error: float, count: int) -> None:
        """A figure with its own standard error, from so many sessions."""
        self._rows.append((quantity, float(value), error * math.sqrt(count), count))

    def exact(self, quantity: str, value: float) -> None:
        """A figure that is computed, not sampled."""
        self._computed.add(quantity)
        self._rows.append((quantity, float(value), 0.0, 1))

    def all(self) -> list[Finding]:
        """The findings, in the order of their coming."""
        judged = sum(row[0] in self._published for row in self._rows)
        limit = float(stats.norm.ppf(1.0 - 0.025 / max(judged, 1)))
        return [self._judged(*row, limit) for row in self._rows]

    def _judged(
        self, quantity: str, ours: float, scatter: float, count: float, limit: float
    ) -> Finding:
        error = scatter / math.sqrt(count)
        width = student(count) * error if error else 0.0
        interval = self._intervals.get(quantity, (ours - width, ours + width))
        published = self._published.get(quantity)
        more: dict[str, Any] = {
            "computed": quantity in self._computed,
            "sessions": int(count),
            "at_least": quantity in self._cut_off,
            "end": self._ends.get(quantity, math.inf),
        }
        if published is None:
            return Finding(quantity, None, ours, interval, **more)
        theirs = scatter / math.sqrt(self._paper) if published.error is None else published.error
        beyond = max(abs(ours - published.value) - published.rounding, 0.0)
        both = math.hypot(error, theirs)
        if both > 0.0:
            more["z"] = math.copysign(max(beyond - 1e-12, 0.0), ours - published.value) / both
        elif beyond > 1e-12:
            more["z"] = math.inf
        found = Finding(quantity, published.value, ours, interval, None, published.source, **more)
        beyond_the_record = more["at_least"] and ours - published.value < limit * both + 1e-12
        if math.isnan(both) or beyond_the_record:  # how far the true figure is, nobody saw
            return found
        return replace(found, within=found.agrees(limit))


# --- the command ----------------------------------------------------------------------------------


def titles() -> dict[str, str]:
    """What can be replicated, with its title."""
    return {name: import_module(module).TITLE for name, module in EXPERIMENTS.items()}


def settings(
    name: str,
    changes: Sequence[str] = (),
    *,
    sessions: int | None = None,
    seed: int | None = None,
    keeps: bool = False,
) -> Any:
    """The settings of an experiment after changes ("k=v" texts), checked before anything is played.

    keeps: whether finished sessions are to be kept in a folder.
    Raises InputError, in one line, for an unknown experiment, setting or value.
    """
    module = _module(name)
    if keeps and not getattr(module, "KEEPS", True):
        raise InputError(f"{name} keeps no sessions in a folder: it takes seconds; leave it out")
    given = {getattr(module, "COUNT", "sessions"): sessions, "seed": seed}
    made = changed(module.Settings(), changes)
    return _replaced(made, {key: value for key, value in given.items() if value is not None})


def quick(name: str) -> tuple[str, ...]:
    """The changes that make a quick look of an experiment: fewer sessions of the same play."""
    return tuple(_module(name).QUICK)


def keeps(name: str) -> bool:
    """Whether an experiment can keep its finished sessions in a folder."""
    return bool(getattr(_module(name), "KEEPS", True))


def played(name: str, settings: Any, execution: ExecutionConfig | None = None) -> list[Finding]:
    """The findings of an experiment under these settings."""
    execution = execution or ExecutionConfig()
    if execution.folder is not None:
        claim_for(name, settings, execution.folder)
    findings: list[Finding] = _module(name).replicate(settings, execution)
    return findings


def notes(name: str, settings: Any) -> list[str]:
    """Conventions that the figures of an experiment depend on, a line each."""
    if name not in EXPERIMENTS:
        return []  # a record of somebody's own settings has no conventions
    told: list[str] = _module(name).notes(settings)
    return told


def claim_for(name: str, settings: Any, folder: Path) -> None:
    """Make a folder that of an experiment with these settings, for any number of sessions.

    Raises RunError in one line where it belongs to another, or holds other files.
    """
    kept = {key: value for key, value in asdict(settings).items() if key != "sessions"}
    facts = json.loads(json.dumps({"experiment": name, "settings": kept}))
    STUDY.claim(folder, facts, refusal=_other_sessions, unused=_has_no_sessions)


def _other_sessions(held: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What the folder of another experiment, or of other settings, holds."""
    if held["experiment"] != ours["experiment"]:
        return f"holds sessions of {held['experiment']}"
    return f"holds sessions with {differences(held['settings'], ours['settings'])}"


def _has_no_sessions(folder: Path) -> bool:
    return not any(one.is_dir() for one in folder.iterdir())


def _module(name: str) -> Any:
    if name not in EXPERIMENTS:
        raise InputError(f"{name!r} is no experiment; there are {', '.join(EXPERIMENTS)}")
    return import_module(EXPERIMENTS[name])


def changed(before: Any, changes: Sequence[str]) -> Any:
    """The settings after changes of the form k=v, values as in YAML."""
    values: dict[str, Any] = {}
    for change in changes:
        key, mark, text = change.partition("=")
        if not mark:
            raise InputError(f"{setting('changes')} {change!r} must have the form name=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"{setting('changes')} {change!r}: the value cannot be read") from None
        if isinstance(value, str):
            try:  # YAML takes 4e-6 for a text
                value = float(value)
            except ValueError:
                pass
        values[key.strip()] = tuple(value) if isinstance(value, list) else value
    return _replaced(before, values)


def _replaced(before: Any, values: dict[str, Any]) -> Any:
    known = [one.name for one in fields(before)]
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{key}={value!r} is no setting here; settings are {', '.join(known)}")
    try:
        return replace(before, **values)
    except TypeError as error:
        raise InputError(f"{', '.join(values)}: {error}") from None


def check_numbers(
    settings: Any, rules: dict[str, tuple[type, float, float]], above: Sequence[str] = ()
) -> None:
    """InputError unless each setting is a number of its type within its limits, both included.

    above: names of those that have to be more than their lower limit.
    """
    for name, (kind, low, high) in rules.items():
        value = getattr(settings, name)
        if kind is int:
            check_whole(name, value, low, high)
        else:
            check_real(name, value, low, high, above=name in above)
