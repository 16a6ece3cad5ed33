"""`mos replicate`: the table, the file, one line for what is wrong, and on from where it ended."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from mos_agents.cli import run
from tests.clusters import living, up
from tests.commands import each_refused, environment, stopped
from tests.waiting import PATIENCE, eventually

QUICK = ["--set", "levels=5", "--set", "beta=2e-3", "--set", "window=2000"]
CALVANO = ["replicate", "calvano_2020", *QUICK, "--sessions", "12"]


pytestmark = pytest.mark.usefixtures("here")


def results(file: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(Path(file).read_text())["results"]
    return found


def test_the_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replicate", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [
        "calvano_2020",
        "klein_2021",
        "asker_fershtman_pakes_2022",
        "avellaneda_stoikov_2008",
        "brasic_2025",
        "johnson_rhodes_wildenbeest_2023",
        "banchio_skrzypacz_2022",
        "brown_mackay_2023",
        "hartline_long_zhang_2024",
        "abada_lambin_2023",
        "price_wars",
    ]


def test_it_prints_progress_a_table_and_its_speed_and_writes_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*CALVANO, "--json", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "sessions 12 of 12" in lines
    heading = next(line for line in lines if line.startswith("quantity"))
    assert heading.split()[:3] == ["quantity", "published", "ours"]
    nash = next(line for line in lines if line.startswith("nash_price"))
    assert nash.split()[1:5] == ["1.47293", "1.47293", "exact", "yes"]
    assert "written found.json" in lines
    assert re.fullmatch(r"\d+\.\d seconds, 12 sessions played \(.*/s\)", lines[-1])
    names = [one["quantity"] for one in results("found.json")]
    for name in (
        "profit_gain",
        "profit_gain_sd",
        "cycle_length_1_share",
        "cycle_length_2_share",
        "periods_to_convergence",
        "punishment_length",
        "unprofitable_deviation_share",
        "one_shot_nash_share",
        "exact_nash_share",
    ):
        assert name in names


def test_a_missed_figure_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.calvano_2020 import run as experiment
    from experiments.replication import Published

    wrong = {"nash_price": Published(1.5, "nowhere")}
    monkeypatch.setattr(experiment, "published", lambda s: wrong)
    assert run(CALVANO) == 1
    out = capsys.readouterr().out
    assert "not within sampling error of what was published: nash_price" in out
    assert re.search(r"nash_price +1\.5 +1\.47293 +exact +NO +nowhere", out)


def test_the_folder_of_fewer_sessions_serves_more_and_gives_the_same_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*CALVANO, "--folder", "kept", "--json", "a.json"]) == 0
    assert run([*CALVANO, "--folder", "kept", "--workers", "1", "--json", "b.json"]) == 0
    assert "0 sessions played (0/s), 12 were there" in capsys.readouterr().out
    assert run([*CALVANO, "--json", "c.json"]) == 0
    assert Path("a.json").read_text() == Path("b.json").read_text() == Path("c.json").read_text()


ERRORS = [
    (["replicate"], "which experiment"),
    (["replicate", "nobody"], "'nobody' is no experiment; there are calvano_2020"),
    ([*CALVANO, "--set", "alpha=2"], "alpha=2 must be a number in"),
    ([*CALVANO, "--set", "levels=1"], "levels=1 must be a whole number in [2, 1000]"),
    ([*CALVANO, "--set", "learner=sarsa"], "learner='sarsa' is no setting here"),
    ([*CALVANO, "--set", "n=3", "--set", "xi=9"], "no grid of rising prices"),
    ([*CALVANO, "--set", "quality=-1e6"], "without a range between them"),
    ([*CALVANO, "--set", "quality=1e6"], "no grid of rising prices"),
    ([*CALVANO, "--sessions", "0"], "sessions=0"),
    ([*CALVANO, "--sessions", "x"], "'x' must be a whole number"),
    ([*CALVANO, "--seed", "-1"], "seed=-1"),
    ([*CALVANO, "--workers", "0"], "workers=0"),
    ([*CALVANO, "--backend", "cloud"], "must be 'local' or 'ray'"),
    ([*CALVANO, "--address", "a:1"], "add --backend ray"),
    ([*CALVANO, "--backend", "ray", "--workers", "2"], "--workers is for this machine"),
    ([*CALVANO, "--backend", "ray", "--address", "127.0.0.1:9"], "127.0.0.1:9"),
    ([*CALVANO, "--json", "absent/found.json"], "there is no folder"),
    ([*CALVANO, "--json", "."], "is a folder"),
    ([*CALVANO, "--folder", "absent/kept"], "there is no folder"),
    (["replicate", "avellaneda_stoikov_2008", "--folder", "kept"], "keeps no sessions"),
    (["replicate", "avellaneda_stoikov_2008", "--sessions", "1"], "paths=1 must be >= 2"),
]


test_a_wrong_order_is_one_line_and_leaves_nothing = each_refused(ERRORS)


ASKER = ["replicate", "asker_fershtman_pakes_2022", "--set", "levels=9", "--sessions", "3"]


def test_a_folder_of_another_play_or_experiment_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*CALVANO, "--folder", "kept"]) == 0
    assert run([*ASKER, "--set", "updating=synchronous", "--folder", "other"]) == 0
    before = sorted(Path().rglob("*"))
    for arguments, message in (
        ([*CALVANO, "--seed", "1", "--folder", "kept"], "kept: holds sessions with seed=0, not 1;"),
        ([*CALVANO, "--set", "cost=[1,2]", "--folder", "kept"], "with cost=1.0, not [1, 2]; give"),
        ([*ASKER, "--folder", "kept"], "kept: holds sessions of calvano_2020; give another"),
        ([*CALVANO, "--folder", "other"], "holds sessions of asker_fershtman_pakes_2022; give"),
        ([*ASKER, "--folder", "other", "--seed", "1"], "updating='synchronous', not 'both'; seed="),
        ([*CALVANO, "--folder", "kept/sessions"], "sessions: holds other files; give an empty"),
    ):
        capsys.readouterr()
        assert run(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_a_folder_that_nothing_was_played_for_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CALVANO, "--set", "xi=9", "--set", "n=3", "--folder", "kept"]) == 2
    assert run([*CALVANO, "--folder", "kept"]) == 0


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on() -> None:
    order = ["replicate", "calvano_2020", "--set", "levels=5", "--set", "beta=1e-4"]
    output = stopped(
        signal.SIGINT,
        lambda: list(Path("kept").rglob("*.npz")),
        *order,
        "--sessions",
        "400",
        "--folder",
        "kept",
    )
    kept = len(list(Path("kept").rglob("*.npz")))
    assert 0 < kept < 40
    assert output == (
        f"mos: stopped: {10 * kept} of 400 sessions kept in kept; the same command goes on from "
        "there\n"
    )


@pytest.mark.xdist_group("ray")
def test_a_cluster_finds_the_same_bits_and_finishes_what_was_begun_here(two_nodes: Any) -> None:
    assert run([*CALVANO, "--folder", "kept", "--json", "local.json"]) == 0
    whole = sorted(Path("kept").rglob("*.npz"))
    for path in whole[::2]:  # half of the sessions are to be played again
        path.unlink()
    over_ray = [*CALVANO, "--backend", "ray", "--address", two_nodes.address]
    assert run([*over_ray, "--folder", "kept", "--json", "ray.json"]) == 0
    assert Path("ray.json").read_text() == Path("local.json").read_text()
    assert sorted(Path("kept").rglob("*.npz")) == whole


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("no_other_cluster")
def test_a_replication_whose_head_node_is_lost_ends_in_one_line_and_goes_on_here() -> None:
    order = [*CALVANO[:2], *QUICK, "--sessions", "100", "--folder", "kept"]
    with pytest.MonkeyPatch.context() as patch:
        made = up(patch, "token", 1)
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", "mos_agents.cli", *order],
                *["--backend", "ray", "--address", made.address],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        eventually(lambda: process.poll() is not None or len(kept_parts()) >= 2)
        process.send_signal(signal.SIGSTOP)  # it begins no more sessions,
        workers = [psutil.Process(pid) for pid in living(made.head_node, "")]
        for worker in workers:
            worker.suspend()  # and none end
        for server in made.head_node.all_processes["gcs_server"]:
            psutil.Process(server.process.pid).kill()
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=PATIENCE)
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        made.shutdown()
    before = kept_parts()
    assert process.returncode == 2 and 2 <= len(before) < 10, error
    assert re.fullmatch(
        rf"mos: the cluster's head node at \S+ is lost: .*; {10 * len(before)} of 100 sessions "
        "kept in kept; the same command goes on from there",
        error.splitlines()[-1],
    )
    assert run(order) == 0
    after = kept_parts()
    assert len(after) == 10 and {name: after[name] for name in before} == before


def kept_parts() -> dict[str, bytes]:
    """The files of kept sessions, by name."""
    return {path.name: path.read_bytes() for path in Path("kept").rglob("*.npz")}


@pytest.mark.parametrize(
    ("name", "changes", "quantities"),
    [
        (
            "johnson_rhodes_wildenbeest_2023",
            [*QUICK, "--set", "prominence=dynamic", "--set", "commission=0.2", "--set", "fee=0.05"],
            "price posted_price consumer_surplus output profit fees constant_share",
        ),
        (
            "brasic_2025",
            ["--set", "levels=4", "--set", "beta=2e-3", "--set", "checks=20", "--set", "omega=0.8"],
            "price quantity consumer_surplus profit platform_reward fees",
        ),
    ],
)
def test_conventions_of_ties_grid_and_moves_are_printed_and_written(
    name: str, changes: list[str], quantities: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replicate", name, *changes, "--sessions", "4", "--json", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = json.loads(Path("found.json").read_text())["notes"]
    assert [line.partition(":")[0] for line in told] == ["ties", "grid", "order of moves"]
    assert set(told) <= set(lines)
    values = {one["quantity"]: one["ours"] for one in results("found.json")}
    assert set(quantities.split()) <= set(values)
    assert values["fees"] > 0.0  # type: ignore[operator]


def test_all_quick_is_one_table_in_every_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments import replication

    few = ("asker_fershtman_pakes_2022", "brown_mackay_2023")
    monkeypatch.setattr(
        replication, "EXPERIMENTS", {name: replication.EXPERIMENTS[name] for name in few}
    )
    order = ["replicate", "--all", "--quick", "--csv", "a.csv", "--latex", "a.tex"]
    assert run([*order, "--json", "a.json", "--figure", "a.svg"]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith(few)]
    assert sum(line.split()[1] == "slow_price" for line in lines) == 1
    assert out.count("experiment  ") == 1
    rows = list(csv.DictReader(Path("a.csv").open()))
    assert {row["experiment"] for row in rows} == set(few)
    assert all(row["published"] and row["within"] == "yes" for row in rows)
    assert Path("a.tex").read_text().startswith(r"\begin{tabular}")
    made = json.loads(Path("a.json").read_text())["experiments"]
    assert [one["experiment"] for one in made] == list(few)
    assert Path("a.svg").read_text().count("<svg") == 1


def test_all_takes_no_settings_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["calvano_2020"], ["--set", "n=3"], ["--sessions", "3"]):
        assert run(["replicate", "--all", *more]) == 2
        error = capsys.readouterr().err
        assert "--all plays every experiment as it is" in error and error.count("\n") == 1
