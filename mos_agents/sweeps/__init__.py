"""The same market under many settings and seeds: planned, played on Ray Tune, kept, and added up.

`SweepPlan.of` crosses the values of settings with seeds; `sweep` plays the trials that a folder
does not have yet; a `SweepResult` has a row per trial and a row per cell with intervals.
"""

from mos_agents.sweeps.folder import Done, SweepFolder
from mos_agents.sweeps.plan import Axis, Cell, SweepPlan, Trial
from mos_agents.sweeps.sessions import Sessions
from mos_agents.sweeps.sweep import Died, Here, Runner, Watch, sweep
from mos_agents.sweeps.table import SweepResult
from mos_agents.sweeps.work import Play, Row, Work, work_from

__all__ = [
    "Axis",
    "Cell",
    "Died",
    "Done",
    "Here",
    "Play",
    "Row",
    "Runner",
    "Sessions",
    "SweepFolder",
    "SweepPlan",
    "SweepResult",
    "Trial",
    "Watch",
    "Work",
    "sweep",
    "work_from",
]
