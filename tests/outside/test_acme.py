"""Another package: installed, on the path, in a scenario, over Ray, killed, verified."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT, Prompt, environment
from tests.waiting import PATIENCE, eventually

ACME = ROOT / "tests" / "outside" / "acme"
PLAIN = ["--no-report"]
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prompt]:
    """Commands in an empty folder, which know nothing but this checkout and acme's own folder."""
    made = Prompt(tmp_path_factory.mktemp("acme"), ACME)
    yield made
    made.close()


def python(
    folder: Path, *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = environment()
    if path is not None:
        env["PYTHONPATH"] += f":{path}"
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True
    )


def facts(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "runs" / name / "run.json").read_text())
    return found


@pytest.fixture(scope="module")
def played(acme: Prompt) -> Path:
    """A folder with a run of acme's preset, in one loop."""
    told = acme("mos", "run", "acme_shop", "--import", "acme_market", "--name", "one", *PLAIN)
    assert told.returncode == 0, told.stderr
    return acme.folder


def test_a_run_names_the_module_and_verify_asks_for_it(played: Path, acme: Prompt) -> None:
    assert "import:\n- acme_market\n" in (played / "runs/one/scenario.yaml").read_text()
    assert len(str(facts(played, "one")["versions"]["acme_market"])) >= 16  # type: ignore[index]
    asked = acme("mos", "verify", "one")
    assert asked.returncode == 2 and "add --import acme_market" in asked.stderr
    assert asked.stderr.count("\n") == 1
    done = acme("mos", "verify", "one", "--import", "acme_market")
    assert done.returncode == 0, done.stderr
    assert "led to the same hash" in done.stdout


@pytest.mark.xdist_group("ray")
def test_over_ray_the_run_has_the_same_hash_and_a_killed_one_goes_on(
    played: Path, acme: Prompt, two_nodes: Any
) -> None:
    """The stage's memory and the learner's survive the death of the driver and of its actors.

    The nodes know nothing of the package: they are sent its files.
    """
    arguments = ["run", "acme_shop", "--import", "acme_market", "--name", "ray", "--backend", "ray"]
    arguments += ["--shards", "2", "--address", two_nodes.address, *PLAIN]
    env = environment()
    env["PYTHONPATH"] += f":{ACME}"
    process = subprocess.Popen(
        [sys.executable, "-m", "mos_agents.cli", *arguments, "--ticks", "1200"],
        cwd=played,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shards = played / "runs/ray"
    eventually(lambda: list(shards.rglob("snapshot-*.npz")) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)
    again = ["run", "--resume", "ray", "--import", "acme_market", "--address", two_nodes.address]
    resumed = acme("mos", *again, *PLAIN)
    assert resumed.returncode == 0, resumed.stderr
    order = ["run", "acme_shop", "--import", "acme_market", "--ticks", "1200", "--name", "two"]
    local = acme("mos", *order, *PLAIN)
    assert local.returncode == 0, local.stderr
    assert facts(played, "ray")["hash"] == facts(played, "two")["hash"]


def test_an_environment_and_a_sweep_know_the_names(acme: Prompt) -> None:
    (acme.folder / "env.py").write_text(
        "import acme_market\n"
        "from envs import retail_v0\n"
        "env = retail_v0.parallel_env(scenario='acme_shop', agents=['acme'], horizon=5)\n"
        "env.reset(seed=0)\n"
        "while env.agents:\n"
        "    actions = {one: env.action_space(one).sample() for one in env.agents}\n"
        "    out = env.step(actions)\n"
        "print('played')\n"
    )
    done = acme("python", "env.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "played\n"
    swept = acme(
        *["mos", "sweep", "acme_shop", "--import", "acme_market", "--seeds", "1", "--ticks", "5"],
        *["--grid", "execution.demand.patience=0.4,0.8", "--name", "swept"],
    )
    assert swept.returncode == 0, swept.stderr


def test_each_part_passes_its_suite(tmp_path: Path) -> None:
    suites = [*PYTEST, str(ACME / "suites.py")]
    done = python(tmp_path, *suites, path=ACME)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout) and "skipped" not in done.stdout


def test_without_pytest_the_suites_are_refused_in_one_line(tmp_path: Path) -> None:
    hidden = "import importlib.util as u; find = u.find_spec; "
    hidden += "u.find_spec = lambda name, *more: None if name == 'pytest' else find(name, *more); "
    done = python(tmp_path, "-c", hidden + "import mos_agents.testing")
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: mos_agents.testing needs pytest, which is not installed: "
        'pip install "mos-agents[testing]"'
    )


def test_an_installed_package_needs_no_import(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(ACME, source, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--no-index", "--target", str(target), str(source)], check=True, cwd=tmp_path
    )
    mos = ["-m", "mos_agents.cli"]
    told = python(tmp_path, *mos, "explain", "acme_patient", path=target)
    assert told.returncode == 0, told.stderr
    assert "share of shoppers who buy at half the reference price" in told.stdout
    order = ["run", "acme_shop", "--ticks", "3", "--name", "one", *PLAIN]
    done = python(tmp_path, *mos, *order, path=target)
    assert done.returncode == 0, done.stderr
    assert str(facts(tmp_path, "one")["versions"]["acme_market"]).startswith("1.0 ")  # type: ignore[index]
