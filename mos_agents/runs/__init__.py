"""The laboratory's notebook: a folder per run, readable after any crash, and checked when read.

`record` opens a folder and writes what a market does; `read` opens one and gives it back as tables.
"""

from mos_agents.runs.faults import fault_facts, fault_lines
from mos_agents.runs.files import RunError
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.names import checked_name, locate, path_below, slug
from mos_agents.runs.plan import RecordingPlan
from mos_agents.runs.reading import Run, read
from mos_agents.runs.recording import Recording, record
from mos_agents.runs.resuming import resume
from mos_agents.runs.tables import TABLES

__all__ = [
    "RecordingPlan",
    "Recording",
    "Run",
    "RunError",
    "TABLES",
    "TrajectoryHash",
    "fault_facts",
    "checked_name",
    "fault_lines",
    "path_below",
    "locate",
    "read",
    "record",
    "resume",
    "slug",
]
