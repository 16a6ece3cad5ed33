"""A training whose cluster loses its head node ends in one line, and goes on elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.clusters import living, up
from tests.test_runs import ROOT
from tests.waiting import PATIENCE, eventually

pytestmark = [
    pytest.mark.train,
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("no_other_cluster"),
]
pytest.importorskip("torch")

from mos_agents import lab, training  # noqa: E402

ORDER = (
    "train pricing_game --agents firm_1 --other firm_2=hold --horizon 50 --markets 4 --ticks 32 "
    "--iterations 9000 --checkpoint-every 2 --name mine --backend ray"
).split()


def kept():
    """The iterations that have checkpoints."""
    found = Path("runs/mine/checkpoints").glob("*.npz")
    return sorted(int(path.stem) for path in found)


@pytest.mark.parametrize("workers", [0, 1])
def test_it_ends_in_one_line_and_is_resumed(workers, tmp_path, monkeypatch):
    """Without workers it does not notice by itself; one that waits for a worker is interrupted."""
    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        made = up(patch, "token", 1)
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", "mos_agents.cli", *ORDER],
                *["--workers", str(workers), "--address", made.address],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            eventually(lambda: process.poll() is not None or kept()[-1:] > [4])
            for pid in living(made.head_node, "BatchRunner"):
                psutil.Process(pid).suspend()  # so that the training waits for it
            for server in made.head_node.all_processes["gcs_server"]:
                psutil.Process(server.process.pid).kill()
            _, error = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            for pid in living(made.head_node, "BatchRunner"):
                psutil.Process(pid).kill()
            made.shutdown()
    assert process.returncode == 2, error
    assert re.fullmatch(
        rf"mos: the cluster's head node at \S+ is lost: .*; the first {kept()[-1]} of 9,000 "
        "iterations are kept in runs/mine; mos train --resume runs/mine goes on, with "
        "--address HEAD:PORT on another cluster",
        error.splitlines()[-1],
    )
    more = kept()[-1] + 1
    resumed = lab.resume("mine", iterations=more)
    assert [one["iteration"] for one in resumed.history] == list(range(1, more + 1))
    assert training.read_training("mine").finished
