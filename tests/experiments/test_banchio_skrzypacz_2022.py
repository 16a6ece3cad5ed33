"""Banchio and Skrzypacz (2022): what is published where, small plays, and what is refused."""

import json

import pytest

from experiments.banchio_skrzypacz_2022 import run as study
from experiments.replication import ExecutionConfig, played, settings
from mos_agents.cli import run
from mos_agents.market.types import InputError

NAME = "banchio_skrzypacz_2022"


def figures(*changes, sessions=6):
    s = settings(NAME, changes, sessions=sessions)
    return {one.quantity: one for one in played(NAME, s, ExecutionConfig())}


def test_first_price_auctions_end_low_and_second_price_auctions_at_the_top():
    low = figures("mix=1.2", "auctions=200000")
    assert low["revenue"].ours < 0.4 and low["below_top_share"].ours == 1.0
    high = figures("mix=2", sessions=3)
    assert high["revenue"].ours == pytest.approx(0.95) and high["below_top_share"].ours == 0.0
    assert high["all_bid_0.95_share"].published == 0.994


def test_with_feedback_the_auctioneer_gets_nine_tenths():
    found = figures("feedback=true", sessions=3)
    assert found["revenue_at_least_0.9_share"].ours == 1.0
    assert found["revenue_at_least_0.9_share"].within is True


def test_the_papers_figures_are_those_of_its_settings_alone():
    assert study.published(study.Settings())["revenue"].value == pytest.approx(0.2265)
    shares = [study.published(study.Settings(mix=m))["below_top_share"].value for m in (1.4, 1.5)]
    assert shares == [0.86, 0.41]
    for other in ({"reserve": 0.2}, {"bidders": 3}, {"initial": 0.5}, {"auctions": 10_000}):
        assert study.published(study.Settings(**other)) == {}


def test_the_terminal_bids_are_a_distribution():
    found = figures("auctions=100000", sessions=12)
    at = [one.ours for name, one in found.items() if name.startswith("all_bid_")]
    assert sum(at) == pytest.approx(found["equal_bids_share"].ours)


def test_the_command_prints_ties_grid_and_order_of_moves(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = [
        f"--set={one}" for one in ("reserve=0.2", "auctions=50000", "gamma=0.9", "alpha=0.1")
    ]
    assert run(["replicate", NAME, *changes, "--sessions", "4", "--json", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for beginning in ("ties: ", "grid: 19 bids", "order of moves: ", "inferred: "):
        assert any(line.startswith(beginning) for line in lines)
    record = json.loads((tmp_path / "found.json").read_text())
    assert {"revenue", "below_top_share"} <= {one["quantity"] for one in record["results"]}
    assert len(record["notes"]) == 4


def test_a_window_as_long_as_the_play_is_refused():
    with pytest.raises(InputError, match="window=1000 must be less than auctions=1000"):
        settings(NAME, ["auctions=1000"])
    with pytest.raises(InputError, match="mix=3 must be a number"):
        settings(NAME, ["mix=3"])


def test_the_figure_takes_written_findings(capsys, tmp_path):
    from experiments.banchio_skrzypacz_2022.figure import line, main

    paths = []
    for mix in (2.0, 1.0):
        path = tmp_path / f"{mix}.json"
        order = ["replicate", NAME, f"--set=mix={mix}", "--set=auctions=60000", "--set=gamma=0.5"]
        run([*order, "--sessions", "3", "--json", str(path)])
        paths.append(str(path))
    mixes, shares = line([json.loads(open(path).read()) for path in paths])
    assert mixes.tolist() == [1.0, 2.0] and shares.shape == (3, 2)
    assert (shares[1] <= shares[0]).all() and (shares[0] <= shares[2]).all()
    assert main([*paths, "--out", str(tmp_path / "a.svg")]) == 0
    assert main([*paths, "--out", str(tmp_path / "a.doc")]) == 2
