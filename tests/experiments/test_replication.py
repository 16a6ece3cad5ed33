"""What replications are made of: the rule for `within`, intervals, settings and their errors."""

import csv
import io
import json
import math
import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import replication
from experiments.replication import (
    EXPERIMENTS,
    Finding,
    Findings,
    Published,
    changed,
    check_numbers,
    settings,
    titles,
)
from experiments.tables import as_csv, as_json, as_latex, judged_together, table
from mos_agents.analysis.statistics import mean_interval
from mos_agents.market.types import InputError


def one(published, add, paper_sessions=1000):
    """The only finding of a table of one figure."""
    found = Findings({"x": published}, paper_sessions)
    add(found)
    (finding,) = found.all()
    return finding


def test_a_mean_is_within_where_it_is_1_96_of_both_errors_away_and_not_beyond():
    values = np.tile([0.0, 2.0], 200)  # mean 1, sd 1.00125, error .05006
    error = values.std(ddof=1) / math.sqrt(400)
    both = 1.959964 * math.hypot(error, values.std(ddof=1) / math.sqrt(100))
    for gap, within in ((0.99 * both, True), (1.01 * both, False)):
        finding = one(Published(1.0 + gap, "here"), lambda f: f.mean("x", values), 100)
        assert (finding.ours, finding.within, finding.source) == (1.0, within, "here")
    assert finding.ci95 == mean_interval(values)[1:3]
    assert finding.ci95 == pytest.approx((1.0 - 1.97 * error, 1.0 + 1.97 * error), abs=2e-3)


def test_the_rounding_of_a_printed_figure_is_no_distance():
    for published, within in ((0.1084, True), (0.1096, False)):
        finding = one(Published(published, "s", 0.0005), lambda f: f.exact("x", 0.108))
        assert finding.within is within and finding.ci95 == (0.108, 0.108)


def test_of_several_figures_each_is_held_to_its_share_of_the_error():
    # Five figures of error 1 each, theirs exact: the limit is that of .05 / 5, 2.576.
    names = "abcde"
    for gap, within in ((2.57, True), (2.58, False)):
        found = Findings({n: Published(gap, "s", error=0.0) for n in names}, 1)
        for name in names:
            found.estimate(name, 0.0, 1.0, 10)
        assert {f.within for f in found.all()} == {within}


def test_a_share_has_the_interval_of_clopper_and_pearson():
    finding = one(Published(0.5, "s"), lambda f: f.share("x", np.arange(20) < 4))
    low, high = stats.beta.ppf(0.025, 4, 17), stats.beta.ppf(0.975, 5, 16)
    assert finding.ours == 0.2
    assert finding.ci95 == pytest.approx((low, high))
    never = one(Published(0.01, "s"), lambda f: f.share("x", np.zeros(20)))
    assert never.ci95[0] == 0.0 and never.ci95[1] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert never.within is True  # one in a hundred is not told from none of twenty


def test_only_what_is_computed_is_called_exact():
    found = Findings({}, 1000)
    found.mean("sampled", [0.7, 0.7, 0.7])
    found.exact("computed", 0.7)
    assert [row[3] for row in table(found.all())] == ["the same in all 3", "exact"]


def test_a_figure_that_nobody_published_is_not_judged():
    found = Findings({}, 1000)
    found.mean("x", [1.0, 2.0, math.nan])
    assert found.all() == [Finding("x", None, 1.5, found.all()[0].ci95, None, None)]


def test_a_quantile_of_a_uniform_sample_has_its_order_statistics_error():
    values = np.linspace(0.0, 1.0, 10_001)
    finding = one(Published(0.25, "s"), lambda f: f.quantile("x", values, 0.25))
    half = 1.96 * math.sqrt(0.25 * 0.75 / 10_001)
    assert finding.ci95 == pytest.approx((0.25 - half, 0.25 + half), abs=2e-4)


def test_cases_of_one_session_count_as_one_draw():
    # Ten sessions of four cases each that agree: as certain as ten cases, not forty.
    parts = 4.0 * (np.arange(10) < 5)
    finding = one(Published(0.5, "s"), lambda f: f.ratio("x", parts, np.full(10, 4.0)))
    error = np.std([0.5, -0.5] * 5, ddof=1) / math.sqrt(10)
    assert finding.ours == 0.5
    reach = stats.t.ppf(0.975, 9) * error  # Student's: ten sessions, not infinitely many
    assert finding.ci95[0] <= 0.5 - reach + 1e-12 and finding.ci95[1] >= 0.5 + reach - 1e-12
    assert finding.ci95 == pytest.approx((0.5 - reach, 0.5 + reach), abs=0.5 * reach)


def test_a_standard_deviations_own_error_is_that_of_normal_draws():
    values = np.random.default_rng(1).normal(0.0, 2.0, 200_000)
    finding = one(Published(2.0, "s"), lambda f: f.deviation("x", values))
    half = 1.96 * 2.0 / math.sqrt(2 * 200_000)
    assert finding.ci95[1] - finding.ours == pytest.approx(half, rel=0.02)


def test_one_session_does_not_scatter_and_is_not_judged():
    finding = one(Published(0.5, "s"), lambda f: f.mean("x", [2.0]))
    assert finding.within is None and np.isnan(finding.ci95).all()
    assert table([finding])[0][3:5] == ("-", "-")
    (row,) = json.loads(as_json("some", Some(), [finding]), parse_constant=pytest.fail)["results"]
    assert row["ci95"] == [None, None] and row["within"] is None and row["ours"] == 2.0


@dataclass(frozen=True)
class Some:
    n: int = 2
    beta: float = 4e-6
    cost: float | tuple[float, ...] = 1.0

    def __post_init__(self):
        check_numbers(self, {"n": (int, 1, 6), "beta": (float, 0.0, 1.0)})


def test_settings_are_changed_by_texts():
    assert changed(Some(), []) == Some()
    made = changed(Some(), ["n=3", " beta = 2.4e-7", "cost=[1, 0.5]"])
    assert made == Some(3, 2.4e-7, (1, 0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("n", "changes 'n' must have the form name=value"),
        ("m=3", "m=3 is no setting here; settings are n, beta, cost"),
        ("n=2.5", "n=2.5 must be a whole number in [1, 6]"),
        ("n=true", "n=True must be a whole number in [1, 6]"),
        ("n=7", "n=7 must be a whole number in [1, 6]"),
        ("beta=x", "beta='x' must be a number in [0, 1]"),
        ("beta=.nan", "beta=nan must be a number in [0, 1]"),
        ("n=[1", "changes 'n=[1': the value cannot be read"),
    ],
)
def test_a_wrong_change_is_one_line(change, message):
    with pytest.raises(InputError) as error:
        changed(Some(), [change])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nobody_1999", [], "'nobody_1999' is no experiment; there are calvano_2020, klein_2021"),
        ("calvano_2020", ["alpha=2"], "alpha=2 must be a number in (0, 1]"),
        ("calvano_2020", ["alpha=0"], "alpha=0 must be a number in (0, 1]"),
        ("calvano_2020", ["levels=1"], "levels=1 must be a whole number in [2, 1000]"),
        ("calvano_2020", ["cost=[1,2,3]"], "cost=(1, 2, 3) must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["cost=true"], "cost=True must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["cost=[1,true]"], "cost=(1, True) must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["quality=x"], "quality='x' must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["quality=.nan"], "quality=nan must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["cost=[]"], "cost=() must be one number in [-1e6, 1e6]"),
        ("calvano_2020", ["n=1"], "n=1: a monopolist's Nash price is its joint-profit price"),
        ("calvano_2020", ["n=0"], "n=0 must be a whole number in [2, 6]"),
        ("calvano_2020", ["n=true"], "n=True must be a whole number in [2, 6]"),
        ("calvano_2020", ["beta=0"], "beta=0 explores for ever"),
        ("klein_2021", ["halfway=0"], "halfway=0 must be a number in (0, 1]"),
        ("klein_2021", ["cost=true"], "cost=True must be a number in [0, 0.999]"),
        ("klein_2021", ["k=1"], "k=1 must be a whole number in [2, 500]"),
        ("klein_2021", ["periods=100"], "tail=1000 must be at most periods=100"),
        ("asker_fershtman_pakes_2022", ["updating=no"], "updating=False must be asynchronous, syn"),
        ("asker_fershtman_pakes_2022", ["low=11"], "low=11 must be below high=10.0"),
        ("avellaneda_stoikov_2008", ["paths=1.5"], "paths=1.5 must be a whole number"),
        ("avellaneda_stoikov_2008", ["gamma=true"], "gamma=True must be a finite number > 0"),
        ("avellaneda_stoikov_2008", ["gamma=0"], "gamma=0 must be a finite number > 0"),
        ("avellaneda_stoikov_2008", ["seed=-1"], "seed=-1 must be a whole number in [0, 9.22"),
        ("avellaneda_stoikov_2008", ["gamma=-1"], "gamma=-1 must be a finite number > 0"),
        ("avellaneda_stoikov_2008", ["gamma=x"], "gamma='x' must be a finite number > 0"),
    ],
)
def test_what_cannot_be_replicated_is_refused_before_anything_is_played(name, changes, message):
    with pytest.raises(InputError) as error:
        settings(name, changes)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["xi=9", "n=3"], "are no grid of rising prices >= 0; give another xi"),
        (["quality=1e6"], "are no grid of rising prices >= 0; give another xi"),
        (["quality=-1e6"], "without a range between them nothing can be placed in it"),
    ],
)
def test_a_market_without_a_grid_or_a_range_of_prices_is_one_line(changes, message):
    from experiments.calvano_2020 import run

    made = settings("calvano_2020", changes, sessions=1)
    with pytest.raises(InputError) as error:
        run.learners(made, run.market(made))
    assert "\n" not in str(error.value)
    assert message in str(error.value)


def test_sessions_seed_and_seed_zero_reach_the_settings():
    made = settings("calvano_2020", ["seed=5"], sessions=7, seed=0)
    assert (made.sessions, made.seed) == (7, 0)
    assert settings("avellaneda_stoikov_2008", sessions=50).paths == 50
    with pytest.raises(InputError, match="keeps no sessions in a folder"):
        settings("avellaneda_stoikov_2008", keeps=True)


def test_every_experiment_has_a_title_a_folder_and_a_readme_that_names_its_settings():
    for name, title in titles().items():
        module = replication._module(name)
        assert title and "\n" not in title
        assert EXPERIMENTS[name] == f"experiments.{name}.run"
        assert settings(name) == module.Settings()
        readme = (Path(module.__file__).parent / "README.md").read_text()
        assert readme.startswith("# ") and f"mos replicate {name}" in readme
        ours = {one.name for one in fields(module.Settings)} - {"sessions", "seed"}
        assert {one for one in ours if f"`{one}`" not in readme} == set()


def test_the_file_has_the_form_of_all_experiments():
    findings = [
        Finding("a", 1.0, 1.5, (1.0, 2.0), True, "Table 1"),
        Finding("b", None, 2.0, (2.0, 2.0)),
        Finding("c", None, 2.0, (2.0, 2.0), computed=True),
    ]
    read = json.loads(as_json("name", Some(), findings))
    assert read["experiment"] == "name"
    assert read["settings"] == {"n": 2, "beta": 4e-6, "cost": 1.0}
    assert read["results"][0] == {
        "quantity": "a",
        "published": 1.0,
        "ours": 1.5,
        "ci95": [1.0, 2.0],
        "within": True,
        "source": "Table 1",
    }
    assert read["results"][1]["within"] is None
    assert read["results"][2].keys() == read["results"][0].keys()
    assert table(findings) == [
        ("a", "1", "1.5", "[1, 2]", "yes", "Table 1"),
        ("b", "-", "2", "2", "-", "-"),
        ("c", "-", "2", "exact", "-", "-"),
    ]


# --- intervals that do not mislead ----------------------------------------------------------------


def judged(add):
    """The row of the table, and of the JSON, of the only figure."""
    found = Findings({}, 1000)
    add(found)
    (finding,) = found.all()
    record = json.loads(as_json("e", Empty(), [finding]))["results"][0]
    return table([finding])[0][2:4], record


@dataclass(frozen=True)
class Empty:
    seed: int = 0


@pytest.mark.parametrize("good", [0, 1, 39, 40])
def test_a_share_of_cases_never_leaves_zero_to_one_and_never_has_no_width(good):
    parts, wholes = np.zeros(40), np.full(40, 2.0)
    parts[:good] = 2.0
    _, record = judged(lambda f: f.share_of_cases("x", parts, wholes))
    low, high = record["ci95"]
    assert 0.0 <= low < high <= 1.0
    assert low <= record["ours"] <= high


def test_the_limits_of_a_duration_are_not_negative():
    values = np.array([1.0, 1.0, 1.0, 1.0, 30.0])
    _, free = judged(lambda f: f.mean("x", values))
    assert free["ci95"][0] < 0.0
    for add in (
        lambda f: f.mean("x", values, least=0.0),
        lambda f: f.mean_duration("x", values, cut_off=False),
        lambda f: f.mean_duration("x", values, cut_off=True),
    ):
        _, record = judged(add)
        assert record["ci95"][0] == 0.0


def test_a_mean_of_shares_stays_a_share():
    values = np.r_[np.ones(9), 0.4]
    _, record = judged(lambda f: f.mean_share("x", values))
    assert 0.0 <= record["ci95"][0] < record["ci95"][1] <= 1.0


def test_a_punishment_that_lasts_to_the_end_of_the_record_is_told_as_at_least():
    """It said 29 [13.67, 44.33] of a record of 29 periods."""
    cells, record = judged(lambda f: f.duration("x", 29.0, 7.82, 40, end=29))
    assert cells == ("at least 29", "[13.18, beyond 29]")
    assert record["at_least"] is True and record["ci95"][1] is None


def test_a_limit_beyond_the_record_is_told_where_the_figure_itself_is_within_it():
    cells, record = judged(lambda f: f.duration("x", 20.0, 6.0, 40, end=29))
    assert cells == ("20", "[7.864, beyond 29]") and "at_least" not in record
    cells, _ = judged(lambda f: f.duration("x", 6.0, 0.4, 40, end=29))
    assert cells == ("6", "[5.191, 6.809]")


def test_a_mean_of_durations_of_which_some_did_not_end_has_no_upper_limit():
    values = np.array([5.0, 6.0, 7.0, 200.0])
    cells, record = judged(lambda f: f.mean_duration("x", values, cut_off=True))
    assert cells[0] == "at least 54.5" and cells[1].endswith(", no limit]")
    assert record["ci95"][1] is None and record["at_least"] is True
    cells, record = judged(lambda f: f.mean_duration("x", values, cut_off=False))
    assert cells[0] == "54.5" and record["ci95"][1] is not None


def test_figures_that_are_all_alike_say_so_instead_of_a_width_of_zero():
    cells, _ = judged(lambda f: f.mean("x", np.ones(20)))
    assert cells == ("1", "the same in all 20")


def test_what_is_cut_off_near_the_published_figure_is_not_judged():
    published = Published(30.0, "s", 0.5)
    finding = one(published, lambda f: f.duration("x", 29.0, 2.0, 40, end=29))
    assert finding.within is None
    far = one(Published(6.0, "s", 1.0), lambda f: f.duration("x", 29.0, 2.0, 40, end=29))
    assert far.within is False


def findings_of_two():
    quiet = Finding("x", 1.0, 1.2, (1.1, 1.5), True, "a, b & c", z=2.0)
    loud = Finding("y_z", 0.0, 5.0, (4.0, math.inf), True, "100% sure", at_least=True, z=2.5)
    return {"one": [quiet, Finding("w", None, 2.0, (1.0, 3.0))], "two": [loud]}


def test_findings_as_csv_come_back_with_all_digits():
    rows = list(csv.DictReader(io.StringIO(as_csv(findings_of_two()))))
    assert [row["experiment"] for row in rows] == ["one", "one", "two"]
    assert rows[0] == {
        "experiment": "one",
        "quantity": "x",
        "published": "1.0",
        "ours": "1.2",
        "low": "1.1",
        "high": "1.5",
        "within": "yes",
        "source": "a, b & c",
    }
    assert rows[1]["published"] == rows[1]["within"] == "" and rows[2]["high"] == ""


def test_findings_as_latex_have_as_many_cells_as_columns_and_no_bare_marks():
    text = as_latex(findings_of_two())
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [line.count(" & ") for line in body] == [5] * 4
    assert r"y\_z" in text and "{[1.1, 1.5]}" in text
    assert not re.search(r"(?<!\\)[%#$]", text) and not re.search(r"(?<!\\)_", text)


def test_tables_are_judged_together_at_one_level():
    # Alone each table would hold its figure to 1.96; two together hold both to 2.24.
    found = judged_together(findings_of_two())
    assert [one.within for one in found["one"]] == [True, None]
    assert [one.within for one in found["two"]] == [False]


def test_a_published_figure_inside_our_interval_is_never_off():
    apart = Finding("x", 0.09, 0.02, (0.0, 0.095), None, "s", z=-3.5)
    assert apart.agrees(1.96)
    assert not Finding("x", 0.09, 0.02, (0.0, 0.085), None, "s", z=-3.5).agrees(1.96)


def test_a_judged_figure_knows_how_far_off_it_is():
    values = np.tile([0.0, 2.0], 200)
    error = math.hypot(values.std(ddof=1) / 20.0, 0.1)
    finding = one(Published(0.7, "s", 0.05, error=0.1), lambda f: f.mean("x", values))
    assert finding.z == pytest.approx(0.25 / error)
    assert one(Published(1.3, "s"), lambda f: f.exact("x", 1.2)).z == math.inf


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_its_ties_grid_and_order_of_moves_and_has_a_quick_look(name):
    for changes in ((), replication.quick(name)):
        told = replication.notes(name, settings(name, changes))
        assert {"ties", "grid", "order of moves"} <= {line.partition(":")[0] for line in told}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_common_settings_have_the_limits_that_they_have_everywhere(name):
    known = {one.name: getattr(settings(name), one.name) for one in fields(settings(name))}
    with pytest.raises(InputError, match="seed=-1 must be a whole number in"):
        settings(name, ["seed=-1"])
    for key in {"alpha", "beta"} & set(known):
        with pytest.raises(InputError, match=rf"{key}=-1 must be a number"):
            settings(name, [f"{key}=-1"])
    if {"low", "high"} <= set(known):
        with pytest.raises(InputError, match=r"low=1.5 must be below high=1.25"):
            settings(name, ["low=1.5", "high=1.25"])
