"""The laboratory's work, one function for each command of `mos`.

    from mos_agents import lab

    result = lab.run("retail", ticks=20)
    print(result)                    # what the run came to
    result.run.listings()            # its tables
    lab.verify(result.run)           # make it again, and compare every table

run, resume: play a scenario into a folder; go on with an interrupted run, sweep or training.
verify, compare, report, check: look at a recorded run; at any file.
audit: look for signs of collusion and price wars in observed prices, of a file or a run.
sweep, train, exploit: a grid of settings and seeds; learners; learners against fixed policies.
replicate, replicate_all, demo: experiments of the literature; two sellers who learn.

Nothing here prints. `on_progress` and `on_message` are called while the work goes on, and errors
are `InputError` and `RunError` with a message of one line. Ctrl-C ends the work in good order: it
raises `Interrupted`, whose message names what is kept.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mos_agents.lab.auditing import AuditResult, audit
    from mos_agents.lab.checking import FileCheck, check
    from mos_agents.lab.comparing import RunComparison, compare
    from mos_agents.lab.demonstration import DemoResult, demo
    from mos_agents.lab.exploiting import ExploitResult, exploit
    from mos_agents.lab.feedback import Interrupted, WorkProgress
    from mos_agents.lab.literature import Literature, replicate_all
    from mos_agents.lab.replicating import Replication, experiments, replicate
    from mos_agents.lab.reporting import RunResult, report
    from mos_agents.lab.resuming import resume
    from mos_agents.lab.running import run
    from mos_agents.lab.sweeping import SweepRun, sweep
    from mos_agents.lab.trainings import train
    from mos_agents.lab.verifying import VerifyResult, verify

__all__ = [
    "run",
    "resume",
    "verify",
    "compare",
    "report",
    "check",
    "audit",
    "sweep",
    "train",
    "exploit",
    "experiments",
    "replicate",
    "replicate_all",
    "demo",
    "RunResult",
    "VerifyResult",
    "RunComparison",
    "FileCheck",
    "AuditResult",
    "SweepRun",
    "ExploitResult",
    "Replication",
    "Literature",
    "DemoResult",
    "WorkProgress",
    "Interrupted",
]

_HOMES = {
    "auditing": ("AuditResult", "audit"),
    "checking": ("FileCheck", "check"),
    "comparing": ("RunComparison", "compare"),
    "demonstration": ("DemoResult", "demo"),
    "exploiting": ("ExploitResult", "exploit"),
    "feedback": ("Interrupted", "WorkProgress"),
    "literature": ("Literature", "replicate_all"),
    "replicating": ("Replication", "experiments", "replicate"),
    "reporting": ("RunResult", "report"),
    "resuming": ("resume",),
    "running": ("run",),
    "sweeping": ("SweepRun", "sweep"),
    "trainings": ("train",),
    "verifying": ("VerifyResult", "verify"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Loaded on first use (PEP 562): a training needs other libraries than a run.
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}"
    )


def __dir__() -> list[str]:
    return list(__all__)
