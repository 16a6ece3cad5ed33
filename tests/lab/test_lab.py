"""The application layer: typed results, callbacks, errors of one line, and nothing is printed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mos_agents
from mos_agents import lab, runs, scenarios
from mos_agents.cli import run as mos
from mos_agents.market.types import InputError
from mos_agents.report.summary import RunSummary
from mos_agents.wording import function, resuming, setting, shell_words

pytestmark = pytest.mark.usefixtures("here")
SHORT: dict[str, Any] = {"ticks": 6, "changes": {"instruments": 2}}


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def test_a_run_has_its_folder_its_tables_its_summary_and_its_report() -> None:
    result = lab.run("retail", **SHORT)
    assert isinstance(result, lab.RunResult) and isinstance(result.run, runs.Run)
    assert result.folder.name == "retail-s0-001"
    assert (result.run.ticks, result.run.facts["hash"]) == (6, result.hash)
    assert result.report == result.folder / "report.html"
    assert isinstance(result.summary, RunSummary) and str(result) == result.summary.text()


def test_a_run_in_python_has_the_hash_of_the_same_command(
    capfd: pytest.CaptureFixture[str],
) -> None:
    mos(["run", "retail", "--ticks", "6", "--set", "instruments=2", "--seed", "3", "--no-report"])
    assert f"hash    {lab.run('retail', **SHORT, seed=3, report=False).hash}" in (
        capfd.readouterr().out
    )


def test_the_package_shows_run_by_itself() -> None:
    assert mos_agents.run is lab.run
    assert mos_agents.run("retail", **SHORT, report=False).report is None


@pytest.mark.parametrize("changes", [{"firms": 4, "arrivals.contamination": 0.3}, ["firms=4"]])
def test_changes_are_a_mapping_or_texts(changes: Any) -> None:
    result = lab.run("retail", ticks=2, changes=changes, report=False)
    assert scenarios.parse(result.run.scenario).market().layout.N == 5


def test_a_scenario_of_ones_own_is_played_as_it_is() -> None:
    scenario = scenarios.override(scenarios.load("retail"), ["ticks=3", "seed=8"])
    facts = lab.run(scenario, report=False).run.facts
    assert (facts["ticks"], facts["seed"]) == (3, 8)


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_progress_is_reported_after_each_tick(backend: str) -> None:
    seen: list[lab.WorkProgress] = []
    lines: list[str] = []
    lab.run(
        "retail",
        **SHORT,
        backend=backend,
        report=False,
        on_progress=seen.append,
        on_message=lines.append,
    )
    assert [(at.part, at.done, at.total) for at in seen] == [("ticks", n, 6) for n in range(1, 7)]
    assert all((at.health is None) == (backend == "local") for at in seen)
    assert lines[0].startswith("retail: 6 ticks, 1 market, 3 participants")


def test_a_run_over_actors_has_the_hash_of_the_local_one() -> None:
    one = lab.run("retail", **SHORT, markets=2, report=False)
    two = lab.run("retail", **SHORT, markets=2, report=False, backend="actors", shards=2)
    assert one.hash == two.hash
    found = lab.compare(one.run, two.run)
    assert isinstance(found, lab.RunComparison) and found.table.height == 3
    assert "hashes agree" in found.verdict and str(found).endswith(found.verdict)


@pytest.mark.parametrize("backend", ["local", "actors"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_run_that_resume_finishes(number: int, backend: str) -> None:
    def press(at: lab.WorkProgress) -> None:
        if at.done == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(lab.Interrupted, match=r"stopped: the first \d of 6 ticks") as stop:
        lab.run("retail", **SHORT, backend=backend, on_progress=press)
    assert (stop.value.number, stop.value.code) == (number, 128 + number)
    assert stop.value.folder is not None
    assert isinstance(stop.value, KeyboardInterrupt)  # no `except Exception` swallows it
    assert signal.getsignal(number) == before
    assert not runs.read(str(stop.value.folder)).finished
    finished = lab.resume(stop.value.folder)
    assert finished.hash == lab.run("retail", **SHORT).hash and finished.report is not None


def interrupted(**options: Any) -> Path:
    """The folder of a run that was stopped after its third tick."""

    def stop_at(progress: lab.WorkProgress) -> None:
        if progress.done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(lab.Interrupted) as stop:
        lab.run("retail", **SHORT, on_progress=stop_at, **options)
    assert stop.value.folder is not None
    return stop.value.folder


@pytest.mark.parametrize(
    ("begun", "resumed", "written"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_a_resumed_run_has_a_report_where_it_began_with_one_unless_asked_otherwise(
    begun: bool, resumed: bool | None, written: bool
) -> None:
    given = {} if resumed is None else {"report": resumed}
    finished = lab.resume(interrupted(report=begun), **given)
    assert (finished.report is not None) == written


def test_a_callback_that_fails_ends_the_run_with_its_own_error() -> None:
    def fail(at: lab.WorkProgress) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        lab.run("retail", **SHORT, on_progress=fail)


WRONG = [
    ({"scenario": "retial"}, "did you mean 'retail'"),
    ({"ticks": -1}, "^ticks=-1: "),
    ({"changes": {"firmz": 1}}, "^changes"),
    ({"changes": "firms=2"}, "must be a mapping"),
    ({"backend": "cloud"}, "backend='cloud' must be one of local, actors, ray"),
    ({"shards": 2}, "^shards is for actors: add backend='ray'$"),
    ({"backend": "actors", "spread": True}, "^spread is for the nodes of a cluster: add backend="),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=lambda one: str(one)[:40])
def test_a_wrong_setting_is_one_line_in_the_words_of_python(
    settings: dict[str, Any], message: str, here: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        lab.run(**{"scenario": "retail", **settings})
    assert "\n" not in str(error.value) and "--" not in str(error.value)
    assert list(here.iterdir()) == []


def test_the_command_line_names_the_same_settings_as_options() -> None:
    def words() -> str:
        names = (setting("burn_in"), setting("backend", "ray"), setting("insecure", True))
        return "; ".join([*names, function("report", "verify"), resuming("run", "runs/a")])

    assert words() == (
        "burn_in; backend='ray'; insecure=True; lab.report and lab.verify; lab.resume('runs/a')"
    )
    with shell_words():
        assert words() == (
            "--burn-in; --backend ray; --insecure; mos report and mos verify; "
            "mos run --resume runs/a"
        )
    assert words().startswith("burn_in")


def test_verify_returns_what_was_checked_and_refuses_a_damaged_run() -> None:
    run = lab.run("retail", **SHORT, report=False).run
    seen: list[lab.WorkProgress] = []
    found = lab.verify(run, on_progress=seen.append)
    assert isinstance(found, lab.VerifyResult) and found.found == run.facts["hash"]
    assert seen[-1].done == 6 and "checked: every value" in str(found)
    part = next((run.folder / "listings").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(runs.RunError, match="damaged"):
        lab.verify(run.name)


def test_check_says_what_kind_of_file_it_is() -> None:
    run = lab.run("retail", **SHORT, report=False)
    assert lab.check(run.folder).kind == "run"
    found = lab.check("retail")
    assert (found.kind, found.file) == ("scenario", "retail")
    assert str(found).startswith("retail is fine: 3 participants")
    Path("goods.csv").write_text("product,seller,cost,reference_price,quality,stock\na,b,1,2,1,9\n")
    assert lab.check("goods.csv").kind == "table"


def test_report_writes_the_page_anew() -> None:
    result = lab.run("retail", **SHORT, report=False)
    assert lab.report(result.run) == lab.report("retail-s0-001") == result.report
    with pytest.raises(InputError, match=r"nothing-001.* is not in runs"):
        lab.report("nothing-001")


def test_a_sweep_has_its_table_and_goes_on() -> None:
    seen: list[tuple[int, int]] = []
    settings: dict[str, Any] = {"seeds": 2, "ticks": 2, "backend": "local"}
    swept = lab.sweep(
        "retail",
        {"firms": [1, 2]},
        **settings,
        name="mine",
        on_progress=lambda watch, plan: seen.append((watch.done, len(plan.trials))),
    )
    assert isinstance(swept, lab.SweepRun) and swept.report is not None
    assert seen[-1] == (4, 4) and swept.result.trials["firms"].to_list() == [1, 1, 2, 2]
    again = lab.resume("mine", backend="local", report=False)
    assert again.result.trials.equals(swept.result.trials)
    texts = lab.sweep("retail", ["firms=1,2"], **settings, report=False)
    assert texts.result.trials.equals(swept.result.trials)


def test_settings_of_a_sweep_that_do_not_go_together_are_one_line() -> None:
    with pytest.raises(InputError, match=r"^give sessions or train, not both$"):
        lab.sweep("retail", sessions=2, train={"algo": "ppo"})
    with pytest.raises(InputError, match=r"^workers is for "):
        lab.sweep("retail", backend="local", workers=2)


def test_the_demonstration_gives_its_verdict_and_reports_each_session() -> None:
    seen: list[lab.WorkProgress] = []
    found = lab.demo(2, on_progress=seen.append)
    assert isinstance(found, lab.DemoResult) and found.report.is_file()
    assert [(at.part, at.done, at.total) for at in seen if at.done] == [
        (part, done, 2) for part in ("learners", "no future", "blind") for done in (1, 2)
    ]
    assert str(found).startswith(
        "Price wars after low trials are not beyond chance in 2 sessions.\n"
    )


def test_an_experiment_is_played_again_and_its_figures_are_compared() -> None:
    assert "avellaneda_stoikov_2008" in lab.experiments()
    seen: list[lab.WorkProgress] = []
    found = lab.replicate("avellaneda_stoikov_2008", sessions=50, on_progress=seen.append)
    assert isinstance(found, lab.Replication) and found.rows()
    assert json.loads(found.as_json())["experiment"] == found.name
    assert set(found.missed) <= {one.quantity for one in found.findings}
    with pytest.raises(InputError, match="is no experiment"):
        lab.replicate("calvano_1820")


def test_what_is_listed_is_there_and_is_documented() -> None:
    assert sorted(dir(lab)) == sorted(lab.__all__)
    for name in lab.__all__:
        assert (getattr(lab, name).__doc__ or "").strip()
    with pytest.raises(AttributeError, match=r"it has run, resume"):
        lab.play  # noqa: B018
