"""What a run ends with: what it came to in words, then where its files are, then its hash."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mos_agents import runs, scenarios
from mos_agents.analysis.numbers import number
from mos_agents.analysis.verdicts import money_text
from mos_agents.lab.playing import print_line, shown
from mos_agents.market.demand import Logit
from mos_agents.market.equilibrium import EquilibriumError, benchmarks
from mos_agents.market.tick import Market
from mos_agents.market.types import Array, InputError
from mos_agents.report import Data, write
from mos_agents.report.summary import summary_of
from mos_agents.report.verdicts import over

MOST_LISTINGS = 200
"""Listings up to which the benchmarks of a logit market are found in about a second."""

FEW_LISTINGS = 12
"""The same for other demand models, whose prices have to be searched for."""

LAST = 10
"""The last tenth of a run's ticks is compared with its benchmarks: by then learners try less."""

WIDTH = 96


def finished(folder: Path, trajectory: str, report: bool) -> None:
    """Say what the run came to, write its report if wanted, and say where everything is."""
    run = runs.read(folder)
    data = Data.of(run)
    theory = tuple(theory_of(data))
    width = (
        min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH) if sys.stdout.isatty() else WIDTH
    )
    print_line("")
    summary = summary_of(data, theory)
    print_line(summary._replace(faults=()).text(width))  # those were the first lines after the play
    print_line("")
    if report:
        print_line(f"report  {shown(write(run, theory, data))}")
    print_line(f"run     {shown(folder)}")
    print_line(f"hash    {trajectory}")


def reported(run: runs.Run) -> None:
    """Write the report of a run anew, and say where it is."""
    data = Data.of(run)
    print_line(f"report  {shown(write(run, tuple(theory_of(data)), data))}")


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
    return f" The profit gain (0 at Nash, 1 at joint profit) was {money_text(gain)}."


def _repeats(market: Market) -> bool:
    """Whether the market is the same at every tick, and small enough to look for benchmarks."""
    parts = (getattr(market.reference, name, None) for name in ("price", "cost", "demand"))
    still = all(type(part).__name__ == "Constant" for part in parts)
    made_to_order = bool(np.isinf(market.catalogue.stock).all())
    logit = isinstance(getattr(market.execution, "demand", None), Logit)
    return still and made_to_order and market.layout.L <= (MOST_LISTINGS if logit else FEW_LISTINGS)
