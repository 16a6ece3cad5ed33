"""How much processor time a command takes from a fresh process, beside bare imports.

The second column of a line is the floor: a Python process that imports numpy and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from experiments.benchmarks.timing import BenchmarkLine

MOS = (sys.executable, "-m", "mos_agents.cli")
FLOOR = (sys.executable, "-c", "import numpy")
COMMANDS = {
    "mos --help": (*MOS, "--help"),
    "mos scenarios": (*MOS, "scenarios"),
    "mos run retail --ticks 1": (*MOS, "run", "retail", "--ticks", "1"),
}


def run(runs: int = 9) -> list[BenchmarkLine]:
    """Fresh processes a CPU second of each command, in turns with the floor."""
    work = {"floor": FLOOR, **COMMANDS}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(runs + 1):
            for name, command in work.items():
                taken = processor_time(command, folder)
                if turn:  # the first turn compiles and fills the caches
                    seconds[name].append(taken)
    floor = median(seconds["floor"])
    return [
        BenchmarkLine(
            f"start: {name} ({median(seconds[name]):.2f} s)",
            "starts",
            1.0 / median(seconds[name]),
            "python -c 'import numpy'",
            1.0 / floor,
            None,
        )
        for name in COMMANDS
    ]


def processor_time(command: tuple[str, ...], folder: str) -> float:
    """Seconds of processor time that a process and its children take."""
    root = str(Path(__file__).resolve().parents[2])
    before = os.times()
    subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
