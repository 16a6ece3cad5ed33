"""`mos`: every command, every error in one line, and the same command gives the same hash."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mos_agents import __version__, runs, scenarios
from mos_agents.cli import run
from tests.commands import refused
from tests.test_runs import HOSTILE, ROOT
from tests.waiting import PATIENCE

SHORT = ["--ticks", "6", "--set", "instruments=2"]


pytestmark = pytest.mark.usefixtures("here")


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that goes well prints."""
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def hash_in(output: str) -> str:
    found = re.search(r"^hash +([0-9a-f]{32})$", output, re.MULTILINE)
    assert found
    return found[1]


# --- what the commands do -------------------------------------------------------------------------


def test_a_run_makes_a_folder_a_hash_and_a_report(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    output = output_of(capsys, "run", "retail", *SHORT)
    lines = output.splitlines()
    assert lines[0] == "retail: 6 ticks, 1 market, 3 participants, 2 instruments, seed 0"
    assert re.fullmatch(r"recording the market, every tick: 36 rows .* about \d+ kB", lines[1])
    assert lines[-3] == "report  runs/retail-s0-001/report.html"
    assert lines[-2] == "run     runs/retail-s0-001"
    assert (here / "runs/retail-s0-001/report.html").exists()
    read = runs.read("retail-s0-001")
    assert (read.ticks, read.facts["hash"]) == (6, hash_in(output))


def test_the_same_command_and_seed_give_the_same_hash(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "retail", *SHORT, "--no-report", "--seed"]
    zero, one = hash_in(output_of(capsys, *command, "0")), hash_in(output_of(capsys, *command, "1"))
    assert hash_in(output_of(capsys, *command, "0")) == zero != one
    assert sorted(p.name for p in Path("runs").iterdir()) == [
        "retail-s0-001",
        "retail-s0-002",
        "retail-s1-001",
    ]


def test_the_same_command_gives_the_same_hash_in_another_process(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    command = ["run", "market_making", "--ticks", "20", "--no-report"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "5"}
    done = subprocess.run(
        [sys.executable, "-m", "mos_agents.cli", *command],
        cwd=here,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert hash_in(done.stdout) == hash_in(output_of(capsys, *command))


@pytest.mark.parametrize(
    "preset", ["retail", "market_making", "auction", "autos_1990", "pricing_game"]
)
def test_every_preset_runs_and_reports(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    output_of(capsys, "run", preset, "--ticks", "5", "--markets", "2")
    assert (Path("runs") / f"{preset}-s0-001" / "report.html").stat().st_size > 20_000


def test_the_demo_ends_with_the_path_of_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    *lines, last = output_of(capsys, "demo", "--sessions", "2", "--seed", "9").splitlines()
    assert last == "report  runs/demo-s9-001/report.html"
    assert "Price wars after low trials are not beyond chance in 2 sessions." in lines
    folder = Path("runs/demo-s9-001")
    assert {p.name for p in folder.iterdir()} == {"report.html", "demo.svg", "results.json"}


def test_options_reach_the_run(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    output_of(
        capsys,
        "run",
        "retail",
        *SHORT,
        "--markets",
        "5",
        "--seed",
        "3",
        "--out",
        "else/where",
        "--name",
        "mine",
        "--record-markets",
        "2",
        "--every",
        "4",
        "--no-report",
        "--set",
        "arrivals.contamination=0.3",
    )
    read = runs.read("mine", here / "else/where")
    assert read.facts["recorded_markets"] == 2
    assert read.facts["every"] == 4
    assert sorted(set(read.listings()["tick"])) == [0, 4]
    scenario = scenarios.parse(read.scenario)
    assert (scenario.ticks, scenario.markets, scenario.seed) == (6, 5, 3)
    assert scenario.arrivals.contamination == 0.3
    assert not (read.folder / "report.html").exists()


def test_a_run_of_its_own_scenario_file_is_the_same_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = hash_in(output_of(capsys, "run", "retail", *SHORT, "--seed", "4"))
    again = output_of(capsys, "run", "runs/retail-s4-001/scenario.yaml")
    assert hash_in(again) == first


def test_scenarios_lists_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    lines = output_of(capsys, "scenarios").splitlines()
    assert [line.split()[0] for line in lines] == scenarios.presets()


def test_what_show_prints_is_a_scenario_that_check_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for preset in scenarios.presets():
        Path("mine.yaml").write_text(output_of(capsys, "show", preset))
        assert "is fine" in output_of(capsys, "check", "mine.yaml")
        assert scenarios.load("mine.yaml") == scenarios.load(preset)


def test_a_report_is_made_anew_from_the_folder_alone(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    output_of(capsys, "run", "retail", *SHORT)
    page = here / "runs/retail-s0-001/report.html"
    before = page.read_text()
    page.unlink()
    moved = here / "elsewhere"
    moved.mkdir()
    (here / "runs/retail-s0-001").rename(moved / "retail-s0-001")
    assert output_of(capsys, "report", "elsewhere/retail-s0-001").split()[-1] == (
        "elsewhere/retail-s0-001/report.html"
    )
    assert (moved / "retail-s0-001/report.html").read_text() == before


def test_compare_tells_totals_differences_and_whether_the_bits_agree(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in ("0", "0", "1"):
        output_of(capsys, "run", "retail", *SHORT, "--seed", seed, "--no-report")
    same = output_of(capsys, "compare", "retail-s0-001", "retail-s0-002")
    assert "hashes agree" in same
    other = output_of(capsys, "compare", "runs/retail-s0-001", "runs/retail-s1-001")
    assert "hashes differ" in other
    one, two = (runs.read(n).participants() for n in ("retail-s0-001", "retail-s1-001"))
    pnl = [t.filter(t["participant"] == "firm_1")["pnl"].sum() for t in (one, two)]
    block = other[other.index("\npnl") :]
    row = re.search(r"firm_1 +(\S+) +(\S+) +(\S+)", block)
    assert row
    found = [float(cell.replace(",", "")) for cell in row.groups()]
    assert found == pytest.approx([pnl[0], pnl[1], pnl[1] - pnl[0]], abs=0.011)


def test_runs_of_different_participants_can_be_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output_of(capsys, "run", "retail", *SHORT, "--no-report")
    output_of(capsys, "run", "auction", "--ticks", "3", "--no-report")
    output = output_of(capsys, "compare", "retail-s0-001", "auction-s0-001")
    assert re.search(r"bidder_1 +- +\S+ +-", output)
    assert "differ in length" in output


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(capsys, "--version") == f"mos-agents {__version__}\n"


def test_mos_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(capsys) == output_of(capsys, "--help")


@pytest.mark.parametrize(
    "command", ["run", "demo", "scenarios", "show", "check", "report", "compare"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Usage: mos" in output_of(capsys, command, "--help")


# --- errors ---------------------------------------------------------------------------------------

ERRORS = [
    (["run", "retial"], "retial", "retail"),
    (["run", "nowhere.yaml"], "nowhere.yaml", ""),
    (["run", "retail", "--ticks", "0"], "mos: --ticks=0: ", "0"),
    (["demo", "--sessions", "1"], "sessions", "1"),
    (["run", "retail", "--ticks", "many"], "many", "ticks"),
    (["run", "retail", "--markets", "0"], "mos: --markets=0: ", "0"),
    (["run", "retail", "--seed", "-1"], "mos: --seed=-1: ", "0"),
    (["run", "retail", "--set", "seed=-1", "--ticks", "3"], "mos: --set: seed=-1: ", "0"),
    (["run", "retail", "--set", "tick=3"], "tick", "ticks"),
    (["run", "retail", "--set", "nonsense"], "nonsense", "="),
    (["run", "retail", "--set", "arrivals.sesions=3"], "sesions", "sessions"),
    (["run", "retail", "--every", "0"], "every", "0"),
    (["run", "retail", "--record-markets", "-2"], "record_markets", "-2"),
    (["run", "retail", "--name", "../x"], "../x", "characters"),
    (["run", "retail", "--out", "file/below"], "file", "--out"),
    (["run", "retail", "--tics", "3"], "--tics", "--ticks"),
    (["run"], "scenario", "--help"),
    (["rnu"], "rnu", "--help"),
    (["show", "nothing"], "nothing", "retail"),
    (["check", "."], ".", ""),
    (["check", "broken.yaml"], "broken.yaml", ""),
    (["report", "absent"], "absent", "runs"),
    (["report", "file"], "file", ""),
    (["report", "/"], "/", ""),
    (["compare", "absent", "absent"], "absent", "runs"),
    (["compare", "absent"], "RUN", ""),
    (["run", "retail", "--set", "positions.lead_time=1000000000000"], "memory", "fewer"),
]


@pytest.mark.parametrize(("arguments", "names", "remedy"), ERRORS, ids=lambda a: str(a)[:40])
def test_an_error_is_one_line_and_leaves_no_run(
    arguments: list[str], names: str, remedy: str, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "file").write_text("")
    (here / "broken.yaml").write_text("name: [")
    line = refused(capsys, *arguments)
    assert names.lower() in line.lower()
    assert remedy.lower() in line.lower()
    assert sorted(p.name for p in here.rglob("*")) == ["broken.yaml", "file"]


@pytest.mark.parametrize("name", HOSTILE[::8], ids=range(0, len(HOSTILE), 8))
def test_no_name_leads_out_of_the_folder(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    refused(capsys, "run", "retail", *SHORT, f"--name={name}")
    refused(capsys, "report", "--", name)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_name_that_is_taken_is_refused_and_the_run_there_stays(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    output_of(capsys, "run", "retail", *SHORT, "--name", "mine")
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert "already" in refused(capsys, "run", "retail", *SHORT, "--name", "mine")
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_a_damaged_run_is_refused_by_report_and_compare(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    output_of(capsys, "run", "retail", *SHORT, "--name", "mine")
    part = here / "runs/mine/aggregates/part-000000.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    assert "damaged" in refused(capsys, "report", "mine")
    assert "damaged" in refused(capsys, "compare", "mine", "mine")


# --- stopping -------------------------------------------------------------------------------------


def test_a_folder_without_its_mark_is_told_by_all_that_it_might_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("runs/it/checkpoints").mkdir(parents=True)
    line = refused(capsys, "report", "it")
    assert "runs/it: has none of run.json, training.json, sweep.json; it is damaged, or" in line


def test_a_network_that_is_not_there_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    policy = "participants.0.policy={kind: network, path: gone.npz}"
    line = refused(capsys, "run", "pricing_game", "--set", policy)
    assert "mos: firm_1: gone.npz: cannot be read" in line and line.count("gone.npz") == 1


def test_a_demo_that_cannot_be_kept_is_refused_before_it_is_played(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "file").write_text("")
    assert "file/below" in refused(capsys, "demo", "--out", "file/below")
    assert capsys.readouterr().out == ""


def test_a_market_without_equilibrium_is_one_line_in_any_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mos_agents.lab.demonstration.PRESET", "retail"
    )  # three sellers, shoppers compare
    assert "perhaps there are none in pure strategies" in refused(capsys, "demo")


def test_ctrl_c_is_one_line_where_a_command_keeps_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mos_agents.lab.demonstration.demo", pressed)
    assert run(["demo"]) == 130
    assert capsys.readouterr().err == "mos: interrupted\n"


PRESSED = """
import os, signal, sys

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:  # as a library might
                raise ImportError(name)

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
sys.meta_path.insert(0, Pressed())
sys.argv = ["mos", *{arguments!r}]
import runpy
runpy.run_module("mos_agents.cli", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("mos_agents.cli.app", ["--version"]),
        ("typer", ["--version"]),
        ("numpy", ["show", "retail"]),
        ("numba", ["run", "retail"]),
        ("scipy", ["demo"]),
        ("polars", ["sweep", "retail"]),
    ],
)
def test_ctrl_c_while_the_libraries_are_loaded_is_one_line(
    module: str, arguments: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRESSED.format(module=module, arguments=arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mos: interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_ends_in_one_line_and_what_it_recorded_is_readable(
    number: int, code: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mos_agents.cli",
            "run",
            "retail",
            "--ticks",
            "1000000",
            "--set",
            "instruments=2",
            "--name",
            "stopped",
            "--every",
            "1",
        ],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while not (here / "runs/stopped/run.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1.0)
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert error.count("\n") == 1
    stopped = runs.read("stopped")
    assert f"{stopped.ticks:,} of 1,000,000 ticks" in error
    assert (stopped.finished, stopped.facts["hash"]) == (False, None)
    assert stopped.ticks > 0
    output_of(capsys, "report", "stopped")
    output_of(capsys, "compare", "stopped", "stopped")


def test_a_reader_who_leaves_early_sees_no_traceback(here: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m mos_agents.cli show autos_1990 | head -1; "
        "echo ${PIPESTATUS[0]} >&2",
        shell=True,
        executable="/bin/bash",
        cwd=here,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr in ("0\n", "1\n")  # the exit code, and nothing else


def test_a_terminal_gets_a_progress_bar_and_a_file_plain_lines(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "tick 6 of 6" in output_of(capsys, "run", "retail", *SHORT)
    import pty

    parent, child = pty.openpty()
    command = [sys.executable, "-m", "mos_agents.cli", "run", "retail", *SHORT, "--no-report"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "90"}
    process = subprocess.Popen(command, cwd=here, stdout=child, stderr=child, env=environment)
    os.close(child)
    output = b""
    while True:
        try:
            data = os.read(parent, 4096)
        except OSError:
            break
        if not data:
            break
        output += data
    os.close(parent)
    assert process.wait() == 0
    text = output.decode()
    assert "6/6" in text
    assert "tick 6 of 6" not in text
    assert "hash" in text


def test_a_run_whose_catalogue_has_changed_is_neither_resumed_nor_verified(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    goods = here / "goods.csv"
    goods.write_text("product,seller,cost,reference_price,quality,stock\ntea,a,1,2,0,\n")
    Path("shop.yaml").write_text(
        "name: shop\nticks: 6\nparticipants: [{name: '*'}]\n"
        "catalogue: {kind: file, path: goods.csv}\n"
        "execution: {kind: expected, demand: {kind: logit}}\n"
    )
    output_of(capsys, "run", "shop.yaml", "--no-report", "--name", "first")
    output_of(capsys, "verify", "first")
    scenario = scenarios.load("shop.yaml")
    recording = runs.record(
        scenario.market(),
        "runs",
        scenario="shop",
        described=scenarios.dump(scenario),
        ticks=6,
        name="second",
        inputs=scenario.inputs(),
    )
    recording.flush()
    goods.write_text(goods.read_text().replace("a,1,", "a,1.5,"))
    assert "goods.csv" in refused(capsys, "verify", "first")
    assert "restore it" in refused(capsys, "run", "--resume", "second")
    goods.unlink()
    assert "goods.csv" in refused(capsys, "run", "--resume", "second")
