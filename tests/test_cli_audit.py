"""`mos audit`: prices of a file or a run in; verdicts, a page, JSON and CSV out; or one line."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mos_agents import lab
from mos_agents.cli import run
from mos_agents.market.types import Array, InputError
from tests.commands import refused
from tests.test_cli import output_of
from tests.test_notebooks import read as read_tags

WEEKS = [dt.date(2024, 1, 1) + dt.timedelta(7 * i) for i in range(52)]
SELLERS = "ABCDE"


def market(seed: int = 0, ticks: int = 52) -> tuple[Array, Array]:
    """Five sellers that pass on a common cost, with noise of their own: prices and costs."""
    rng = np.random.default_rng(seed)
    cost = 5.0 + np.cumsum(0.1 * rng.normal(size=ticks))
    return 4.0 + cost[:, None] + 0.08 * rng.normal(size=(ticks, 5)), cost


def text(prices: Array, cost: Array | None = None, head: str = "week,firm,price,cost") -> str:
    """A long file of prices, and of costs where they are given."""
    columns = head.split(",")[: 3 + (cost is not None)]
    rows = [",".join(columns)]
    for n, seller in enumerate(SELLERS[: prices.shape[1]]):
        for t, day in enumerate(WEEKS[: len(prices)]):
            own = [str(day), seller, f"{prices[t, n]:.3f}"]
            rows.append(",".join(own + ([f"{cost[t]:.3f}"] if cost is not None else [])))
    return "\n".join(rows) + "\n"


@pytest.fixture()
def prices(here: Path) -> Path:
    (here / "prices.csv").write_text(text(*market()))
    return here / "prices.csv"


def test_a_year_of_weeks_is_audited_with_a_page_json_and_csv(capsys, here, prices):
    output = output_of(
        capsys, "audit", "prices.csv", "--out", "found", "--json", "f.json", "--csv", "f.csv"
    )
    assert "recognised: a row for each price: seller in 'firm', price in 'price'" in output
    assert "No alarm: " in output
    assert "5 sellers in 52" in output
    assert "Screens that do not apply:" in output
    assert {one.name for one in (here / "found").iterdir()} == {
        "report.html",
        "audit.json",
        "audit.csv",
        "prices.csv",
    }
    found = json.loads((here / "f.json").read_text())
    assert found == json.loads((here / "found/audit.json").read_text())
    assert found["alarm"] is False
    for one in found["verdicts"]:
        assert {
            "screen",
            "alarm",
            "p_value",
            "false_alarm_rate",
            "power",
            "sentence",
        } <= set(one)
        assert 0.0 <= one["p_value"] <= one["p_corrected"] <= 1.0
    assert {"price_war", "following"} <= {one["screen"] for one in found["verdicts"]}
    own = hashlib.sha256(prices.read_bytes()).hexdigest()
    assert found["inputs"] == [{"what": "prices", "path": "prices.csv", "sha256": own}]
    assert own in (here / "found/report.html").read_text()
    rows = list(csv.DictReader(io.StringIO((here / "f.csv").read_text())))
    assert len(rows) == len(found["verdicts"]) + len(found["not_applied"])


def test_the_prices_as_they_were_read_give_the_same_verdicts(here, prices):
    first = lab.audit("prices.csv")
    first.write("found")
    again = lab.audit("found/prices.csv", columns={"product": "product"})
    assert [(v.screen, v.p_value) for v in again.found.verdicts] == [
        (v.screen, v.p_value) for v in first.found.verdicts
    ]


def test_the_same_prices_long_and_wide_give_the_same_verdicts(here, prices):
    own, cost = market()
    rows = [
        f"{d},{','.join(f'{p:.3f}' for p in own[t])},{cost[t]:.3f}" for t, d in enumerate(WEEKS)
    ]
    Path("wide.csv").write_text("\n".join([f"date,{','.join(SELLERS)},cost", *rows]))
    long, wide = lab.audit("prices.csv"), lab.audit("wide.csv")
    assert [(v.screen, v.p_value) for v in long.found.verdicts] == [
        (v.screen, v.p_value) for v in wide.found.verdicts
    ]


def test_costs_may_stand_in_a_column_a_file_or_a_number(here, prices):
    own, cost = market()
    Path("bare.csv").write_text(text(own))
    Path("named.csv").write_text(text(own, cost, "week,firm,price,x"))
    Path("costs.csv").write_text(
        "\n".join(["date,cost", *(f"{d},{c:.3f}" for d, c in zip(WEEKS, cost, strict=True))])
    )
    in_column = lab.audit("prices.csv")
    for other in (
        lab.audit("named.csv", cost="x", columns={"price": "price"}),
        lab.audit("bare.csv", cost="costs.csv"),
    ):
        assert [(v.screen, v.p_value) for v in other.found.verdicts] == [
            (v.screen, v.p_value) for v in in_column.found.verdicts
        ]
    assert [what for what, _, _ in lab.audit("bare.csv", cost="costs.csv").record.digests] == [
        "prices",
        "cost",
    ]
    constant = lab.audit("bare.csv", cost=5)
    observed = constant.record.products[0].observed
    assert observed.cost is not None and (observed.cost == 5.0).all()


def test_without_costs_the_screens_say_what_they_need(here):
    Path("bare.csv").write_text(text(market()[0]))
    found = lab.audit("bare.csv")
    without = {one.screen: one.sentence for one in found.found.not_applied}
    assert "unit costs" in without["price_war"]
    assert not found.alarm


def test_a_demand_model_gives_theory_at_the_cost_of_each_tick(here, prices):
    own = np.random.default_rng(0)
    cost = 1.0 + 0.2 * np.sin(np.arange(52) / 8.0)
    Path("duo.csv").write_text(text(0.5 + cost[:, None] + 0.02 * own.normal(size=(52, 2)), cost))
    found = lab.audit("duo.csv", demand="pricing_game")
    observed = found.record.products[0].observed
    assert observed.price_nash is not None and observed.price_joint is not None
    at_one = int(np.abs(cost - 1.0).argmin())
    assert observed.price_nash[at_one] == pytest.approx(1.4729 + cost[at_one] - 1.0, abs=5e-3)
    assert np.corrcoef(observed.price_nash[:, 0], cost)[0, 1] > 0.99
    assert (observed.price_joint > observed.price_nash).all()
    assert observed.best_reply is not None
    nash = observed.best_reply(observed.price_nash)
    assert nash == pytest.approx(observed.price_nash, abs=1e-4)
    assert "collusive_pricing" in {one.screen for one in found.found.verdicts}
    with pytest.raises(InputError, match="give a scenario with the same sellers, or as many"):
        lab.audit("prices.csv", demand="pricing_game")


def test_several_products_are_audited_together(here):
    rows = ["week,product,firm,price,cost"]
    for product in ("tea", "milk"):
        own, cost = market(seed=len(product))
        rows += [f"{product}," + line for line in text(own, cost).splitlines()[1:]]
    head = "product,week,firm,price,cost"
    Path("goods.csv").write_text("\n".join([head, *rows[1:]]))
    found = lab.audit("goods.csv")
    assert [one.name for one in found.record.products] == ["tea", "milk"]
    assert all(len(one.products) == 2 for one in found.found.verdicts)
    assert any("2 products together" in one.sentence for one in found.found.verdicts)


def test_sellers_of_one_product_each_are_one_market(here):
    own, cost = market()
    lines = text(own, cost).splitlines()
    rows = [f"{line},model {line.split(',')[1]}" for line in lines[1:]]
    Path("cars.csv").write_text("\n".join([lines[0] + ",product", *rows]))
    found = lab.audit("cars.csv")
    assert [one.sellers for one in found.record.products] == [tuple(SELLERS)]


def test_the_result_is_typed_and_shows_itself_in_a_notebook(here, prices):
    found = lab.audit("prices.csv")
    assert isinstance(found, lab.AuditResult)
    tags = read_tags(found._repr_html_())
    assert "No alarm" in tags.text
    frame = found.to_polars()
    assert isinstance(frame, pl.DataFrame)
    assert frame.height == len(found.found.verdicts) + len(found.found.not_applied)
    assert str(found).startswith("No alarm: ")


def test_names_from_a_file_are_never_markup(here):
    own, cost = market()
    hostile = "<script>alert('x')</script>"
    Path("prices.csv").write_text(text(own, cost).replace(",A,", f",{hostile},"))
    page = lab.audit("prices.csv").write("found").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_is_audited_with_its_own_costs_and_theory(capsys, here):
    run(["run", "pricing_game", "--ticks", "60", "--no-report"])
    capsys.readouterr()
    output = output_of(capsys, "audit", "pricing_game-s0-001")
    assert "benchmarks of theory from pricing_game" in output
    assert "Collusive pricing: no alarm" in output
    found = lab.audit("pricing_game-s0-001")
    assert found.record.digests[0][1] == "listings/part-000000.parquet"


def test_the_spread_of_dealers_is_audited_and_bids_are_refused(capsys, here):
    run(["run", "market_making", "--ticks", "40", "--no-report"])
    run(["run", "auction", "--ticks", "40", "--no-report"])
    found = lab.audit("market_making-s0-001")
    assert found.record.price == "spread between bid and ask"
    assert not found.alarm and not found.found.conduct
    assert str(found).startswith("No verdict: ")
    assert "submit bids and post no prices" in refused(capsys, "audit", "auction-s0-001")


def test_every_recorded_market_of_a_run_is_a_record(here):
    result = lab.run("pricing_game", ticks=40, markets=3, report=False)
    found = lab.audit(result.run)
    assert [one.name for one in found.record.products] == [
        f"product_1, market {m}" for m in range(3)
    ]


# --- what goes wrong is one line ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "gone.csv"),
        (["gone"], "gone"),
        (["note.pdf"], "must end in .csv, .tsv, .txt (.gz), .parquet or .xlsx"),
        (["prices.csv", "--price", "cheap"], "column 'cheap' is not there"),
        (["prices.csv", "--cost", "cheap"], "column 'cheap' is not there"),
        (["prices.csv", "--cost", "-3"], "--cost=-3.0 must be a unit cost >= 0"),
        (["prices.csv", "--cost", "gone.csv"], "gone.csv"),
        (["prices.csv", "--quantity", "7"], "must be a file or the heading"),
        (["prices.csv", "--demand", "gone"], "gone"),
        (["prices.csv", "--demand", "auction"], "no benchmarks of theory from auction"),
        (["prices.csv", "--vendors", "Z=acme"], "'Z' is no seller"),
        (["prices.csv", "--vendors", "Z"], "must be written A=B"),
        (["prices.csv", "--every", "fortnight"], "must be one of hour, day, week"),
        (["prices.csv", "--read", "mark=comma"], "mark must be one of separator"),
        (["prices.csv", "--read", "decimal=dot"], "must be one of point, comma"),
        (["prices.csv", "--level", "2"], "level"),
        (["prices.csv", "--seed", "-1"], "seed"),
        (["prices.csv", "--json", "gone/f.json"], "there is no folder"),
        (["prices.csv", "--out", "prices.csv"], "is no folder"),
        (["short.csv"], "an audit needs at least 8"),
        (["german.csv"], "say it with --read decimal=point"),
    ],
    ids=lambda a: str(a)[-40:],
)
def test_what_is_wrong_is_told_in_one_line(capsys, here, prices, arguments, message):
    Path("note.pdf").write_text("prices")
    Path("short.csv").write_text(text(market()[0][:4]))
    Path("german.csv").write_text("date;A;B\n" + "\n".join(f"{d};1,234;1,250" for d in WEEKS))
    assert message in refused(capsys, "audit", *arguments)


def test_settings_of_files_are_refused_for_a_run(capsys, here):
    run(["run", "pricing_game", "--ticks", "10", "--no-report"])
    message = refused(capsys, "audit", "pricing_game-s0-001", "--cost", "3")
    assert "--cost is for a file of prices; a run has its own record" in message
