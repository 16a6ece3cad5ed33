"""The demonstration: sellers who learn by themselves, a price war between them, and the controls.

The market of Calvano et al. (2020), preset `pricing_game`, is played by Q-learners for as many
sessions as asked for. After the learning each seller explores now and then, and the periods after
such trials are compared with calm ones. Controls: the same learners without a future (delta = 0),
learners who see no price, sellers of different sessions put together, and learning switched off.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mos_agents import runs, scenarios
from mos_agents.games.trials import ARMS
from mos_agents.lab.demo_results import PRESET, page_and_figures
from mos_agents.lab.demo_sessions import group
from mos_agents.lab.demo_verdict import DemoVerdict
from mos_agents.lab.feedback import Feedback, OnMessage, OnProgress, compile_note
from mos_agents.market.checks import echo
from mos_agents.market.equilibrium import benchmarks
from mos_agents.market.frames import Printed
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.wording import function, setting

MOST_SESSIONS = 100_000


@short_repr
@dataclass(frozen=True)
class DemoResult(Printed):
    """The demonstration: its folder, and its verdict, which `print` shows.

    Attributes
    ----------
    folder : Path
        Holds `report.html`, `demo.svg` and `results.json`.
    verdict : DemoVerdict
        What the sellers came to do, with its uncertainty and its controls.
    """

    folder: Path
    verdict: DemoVerdict

    @property
    def report(self) -> Path:
        """The page `report.html`."""
        return self.folder / "report.html"

    def __str__(self) -> str:
        return str(self.verdict)


def demo(
    sessions: int = 100,
    *,
    seed: int = 0,
    workers: int = 2,
    out: str | os.PathLike[str] = "runs",
    on_progress: OnProgress | None = None,
    on_message: OnMessage | None = None,
) -> DemoResult:
    """Let two sellers learn to price, and measure the price wars that trials set off.

    Parameters
    ----------
    sessions : int
        Learning runs, of the learners and of each control; at least 2.
    seed : int
        The seed of all random numbers.
    workers : int
        Threads.
    out : str or path
        The folder that holds the demonstration's folder.
    on_progress, on_message : callable, optional
        Called after each session, and with lines of text.

    Returns
    -------
    DemoResult
        The measures of the learners and of each control, the verdict, and the folder.

    Raises
    ------
    InputError
        One line about a setting that is wrong, before anything is played.
    """
    if isinstance(sessions, bool) or sessions < 2:
        raise InputError(f"sessions={sessions!r} must be a whole number >= 2: one does not scatter")
    if sessions > MOST_SESSIONS:
        raise InputError(
            f"sessions={echo(sessions)} are too many to wait for, at most {MOST_SESSIONS:,}; "
            f"{function('sweep')} plays more of them ({setting('sessions')}) and keeps what is done"
        )
    root, feedback = Path(out), Feedback.of(on_progress, on_message)
    check_writable(root)
    if note := compile_note("the market's kernels"):
        feedback.message(note)
    began = time.monotonic()
    scenario = scenarios.load(PRESET)
    market = scenario.market()
    learners: dict[str, Any] = dict(scenario.policies())
    theory = benchmarks(market)
    patient = group("learners", market, learners, theory, sessions, seed, workers, feedback, ARMS)
    myopic = {
        name: replace(one, delta=0.0, initial=tuple((1.0 - one.delta) * v for v in one.initial))
        for name, one in learners.items()
    }
    without = group("no future", market, myopic, theory, sessions, seed, workers, feedback)
    unseeing = {name: replace(one, features="nothing") for name, one in learners.items()}
    blind = group("blind", market, unseeing, theory, sessions, seed, workers, feedback)
    folder = new_folder(root, seed)
    made, verdict, figures = page_and_figures(
        patient, without, blind, theory, seed, time.monotonic() - began
    )
    from mos_agents.report import learning as page

    runs.files.write_whole(folder / "results.json", (json.dumps(figures, indent=2) + "\n").encode())
    page.picture(made, folder / "demo.svg")
    runs.files.write_whole(folder / "report.html", page.html(made).encode())
    return DemoResult(folder, verdict)


def check_writable(out: Path) -> None:
    """InputError unless folders can be made in `out`: checked before the play, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out}: no demo can be kept here: {error.strerror or error}; give another folder "
            f"with {setting('out')}"
        ) from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"{out}: cannot be written to; give another folder with {setting('out')}")


def new_folder(out: Path, seed: int) -> Path:
    """demo-s0-001, or the next number that is free."""
    for number in range(1, 100_000):
        folder = out / f"demo-s{seed}-{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{out}: holds too many demos; remove some")
