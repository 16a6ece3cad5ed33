"""The same market under many settings and seeds: planned, played anywhere, kept, and added up.

`SweepPlan.of` crosses the values of settings with seeds; `sweep` plays the trials that a folder
does not have yet; a `SweepResult` has a row per trial and a row per cell with intervals.
"""

from mos_agents.sweeps.folder import SweepFolder, TrialOutcome
from mos_agents.sweeps.plan import Axis, Cell, SweepPlan, Trial
from mos_agents.sweeps.sessions import SessionsTrial
from mos_agents.sweeps.sweep import sweep
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.trials import PlayTrial, TrialResult, TrialSpec, trial_spec

__all__ = [
    "Axis",
    "Cell",
    "PlayTrial",
    "SessionsTrial",
    "SweepFolder",
    "SweepPlan",
    "SweepResult",
    "Trial",
    "TrialOutcome",
    "TrialResult",
    "TrialSpec",
    "sweep",
    "trial_spec",
]
