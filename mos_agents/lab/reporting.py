"""A finished run as a value, with its summary and its report."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mos_agents import runs, scenarios
from mos_agents.analysis.numbers import number
from mos_agents.analysis.verdicts import money_text
from mos_agents.lab.folders import MARKS, kind_of
from mos_agents.market.demand import Logit
from mos_agents.market.equilibrium import EquilibriumError, benchmarks
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError
from mos_agents.market.unused_settings import stands_still
from mos_agents.report import Data, write
from mos_agents.report.summary import RunSummary, summary_of
from mos_agents.report.verdicts import over
from mos_agents.runs.names import locate
from mos_agents.wording import shown

MOST_LISTINGS = 200
"""Listings up to which the benchmarks of a logit market are found in about a second."""

FEW_LISTINGS = 12
"""The same for other demand models, whose prices have to be searched for."""

LAST = 10
"""The last tenth of a run's ticks is compared with its benchmarks: by then learners try less."""


@short_repr
@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run: its folder, its hash, and its summary. `print` shows the summary.

    Attributes
    ----------
    run : runs.Run
        The recorded run: its facts and its tables.
    """

    run: runs.Run

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.run.folder

    @property
    def hash(self) -> str:
        """The hash of the trajectory: the same scenario and seed give the same hash."""
        return str(self.run.facts["hash"])

    @property
    def report(self) -> Path | None:
        """The page `report.html`; None where none was written."""
        page = self.folder / "report.html"
        return page if page.is_file() else None

    @cached_property
    def summary(self) -> RunSummary:
        """What the run came to: a few sentences and a table of its participants."""
        return summary_of(self._data, self._theory)

    def write_report(self) -> Path:
        """Write `report.html` again, whole or not at all; its path."""
        return write(self.run, self._theory, self._data)

    @cached_property
    def _data(self) -> Data:
        return Data.of(self.run)

    @cached_property
    def _theory(self) -> tuple[str, ...]:
        return tuple(theory_of(self._data))

    def _repr_html_(self) -> str:
        return self.summary._repr_html_()

    def __str__(self) -> str:
        return self.summary.text()


def report(
    run: str | os.PathLike[str] | runs.Run, *, root: str | os.PathLike[str] = "runs"
) -> Path:
    """Write `report.html` of a run, a training or a sweep again.

    Parameters
    ----------
    run : str, path or Run
        The name of a folder below `root`, or its path.
    root : str or path
        The folder that holds the run folders.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError, RunError
        Where there is no such folder, or it is damaged.
    """
    if isinstance(run, runs.Run):
        return RunResult(run).write_report()
    folder = locate(os.fspath(run), Path(root))
    match kind_of(folder):
        case "run":
            return RunResult(runs.read(folder)).write_report()
        case "training":
            from mos_agents.lab import training_page
            from mos_agents.training import read_training

            return training_page.write(read_training(folder))
        case "sweep":
            from mos_agents.lab import sweep_page
            from mos_agents.sweeps import SweepFolder, SweepResult

            kept = SweepFolder.read(folder)
            return sweep_page.write(SweepResult(kept.plan, kept.done()), folder)
    raise runs.RunError(
        f"{shown(folder)}: has none of {', '.join(MARKS.values())}; it is damaged, or is no "
        "run's, training's or sweep's folder"
    )


def theory_of(data: Data) -> Iterator[str]:
    """A sentence on prices beside the market's benchmarks, where the market is a repeated game.

    That is where nothing is held and nothing moves by itself, so that one set of benchmarks holds
    at every tick. None where there are no equilibrium prices, or the scenario's files are gone.
    """
    run = data.run
    if data.empty or data.kind != "posted":
        return
    try:
        market = scenarios.parse(run.scenario, f"{run.folder}/scenario.yaml").market()
        if not _repeats(market):
            return
        found = benchmarks(market)
    except (InputError, EquilibriumError, ArithmeticError):
        return
    late = data.ticks >= run.ticks - max(run.ticks // LAST, 1)
    prices = data.listings["ask"][late].mean(axis=(0, 2))
    nash, joint = float(found.p_N.mean()), float(found.p_M.mean())
    summary = (
        f"In the last tenth of the ticks prices averaged {money_text(prices)}; Bertrand-Nash is "
        f"{number(nash)}, joint profit {number(joint)}."
    )
    gain = _gain(data.participants["pnl"][late], found.pi_N, found.pi_M)
    limits = f" (In brackets: 95% intervals over {over(data)}.)" if "[" in summary + gain else ""
    yield summary + gain + limits


def _gain(pnl: Array, nash: Array, joint: Array) -> str:
    """Where average profit lies between both benchmarks; nothing where they are the same."""
    width = float(joint.mean() - nash.mean())
    if not width > 1e-9 * abs(float(nash.mean())):
        return ""
    gain = (pnl.mean(axis=(0, 2)) - float(nash.mean())) / width
    text = f" The profit gain was {money_text(gain)} (0 at Bertrand-Nash, 1 at joint profit)."
    if float(gain.mean()) < -0.005:
        text += (
            " It is below 0 where single prices miss their own benchmark, even if their average "
            "does not."
        )
    return text


def _repeats(market: Market) -> bool:
    """Whether the market is the same at every tick, and small enough to look for benchmarks."""
    still = all(stands_still(market, name) for name in ("price", "cost", "demand"))
    made_to_order = bool(np.isinf(market.catalogue.stock).all())
    logit = isinstance(market.execution.demand_model(), Logit)
    return still and made_to_order and market.layout.L <= (MOST_LISTINGS if logit else FEW_LISTINGS)
