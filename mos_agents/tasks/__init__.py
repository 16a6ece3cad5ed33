"""Independent tasks: they run on any worker pool, and their kept results survive a kill.

`run_tasks` runs tasks in this process, on local threads or processes, or on a Ray cluster
(`actors.ray.tasks.RayTasks`); a `ResultFolder` keeps their results.
"""

from mos_agents.tasks.folder import ArrayCodec, JsonCodec, ResultFolder
from mos_agents.tasks.pools import InProcess, ProcessPool, ThreadPool, WorkerLost, WorkerPool
from mos_agents.tasks.progress import TaskProgress, TasksStopped
from mos_agents.tasks.runner import run_tasks
from mos_agents.tasks.task import Task, TaskOutcome

__all__ = [
    "ArrayCodec",
    "InProcess",
    "JsonCodec",
    "TaskOutcome",
    "ProcessPool",
    "ResultFolder",
    "Task",
    "TaskProgress",
    "TasksStopped",
    "ThreadPool",
    "WorkerLost",
    "WorkerPool",
    "run_tasks",
]
