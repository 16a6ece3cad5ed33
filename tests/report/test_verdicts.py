"""What a report says of who did better: by intervals over markets, or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mos_agents
from mos_agents import report
from mos_agents.analysis.statistics import mean_interval
from mos_agents.analysis.verdicts import total_interval
from mos_agents.report.data import Data
from mos_agents.runs import Run
from tests.report.test_report import Outline, recorded

SUPERLATIVES = re.compile(r"earned the most|the highest|kept the largest|did best|is the best")
DEALERS = "market_making"
NAIVE = "participants.0.policy=[{kind: fixed_spread, spread: 1.3333}]"


def summary(run: Run) -> str:
    text = " ".join(Outline(report.html(run)).text)
    return text[text.index("In short") : text.index("Participants")]


@pytest.mark.parametrize("preset", ["retail", DEALERS, "auction", "pricing_game"])
def test_of_one_market_no_report_names_a_winner(preset: str, tmp_path: Path) -> None:
    found = summary(recorded(tmp_path, preset, "ticks=30"))
    assert "no participant is named the best; more markets give one" in found
    assert not SUPERLATIVES.search(found)


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The preset of market makers in forty markets, at a fifth of its length."""
    changes = ("ticks=200", "markets=40", "instruments=3")
    return recorded(tmp_path_factory.mktemp("runs"), DEALERS, *changes)


def test_the_preset_tells_avellaneda_stoikov_from_the_naive_maker_by_risk(forty: Run) -> None:
    given = summary(forty)
    found = re.search(
        r"maker_1 \(avellaneda_stoikov\) bears ([\d.]+) \[([\d.]+), ([\d.]+)\] times the risk of "
        r"maker_3 \(fixed_spread\)",
        given,
    )
    assert found is not None
    ratio, low, high = (float(x) for x in found.groups())
    assert low < ratio < high < 0.6
    assert "95% intervals for all pairs together, over 40 markets" in given
    assert "maker_1 than maker_3" in given  # per unit of risk
    assert "root mean square" in given


def test_the_preset_does_not_call_the_profit_of_avellaneda_stoikov_or_the_naive_maker_larger(
    forty: Run,
) -> None:
    found = summary(forty)
    assert "No participant earned more than all others by more than chance" in found
    assert not SUPERLATIVES.search(found)


def test_a_terminal_shows_risk_beside_profit(forty: Run) -> None:
    text = " ".join(mos_agents.summarise(forty).text().split())
    assert "times the risk of maker_3 (fixed_spread)" in text
    assert "95% intervals for all pairs together, over 40 markets" in text


def test_the_table_has_policy_risk_and_intervals(forty: Run) -> None:
    text = " ".join(Outline(report.html(forty)).text)
    for heading in ("policy", "sd of PnL", "PnL / sd", "rms inventory"):
        assert heading in text
    assert "In brackets: 95% intervals over 40 markets" in text


def test_the_interval_of_the_table_is_over_the_markets_of_the_run_and_at_least_students(
    forty: Run,
) -> None:
    data = Data.of(forty)
    totals = data.by_market("pnl")
    assert totals.shape == (40, 3)
    assert totals.mean(axis=0) == pytest.approx(data.total("pnl"))
    found = total_interval(totals[:, 0])
    reach = 2.0227 * totals[:, 0].std(ddof=1) / np.sqrt(40)
    assert found == mean_interval(totals[:, 0])
    assert found.high >= found.estimate + reach * (1.0 - 1e-4)
    assert found.low <= found.estimate - reach * (1.0 - 1e-4)
    assert found.high - found.low <= 3.0 * reach


def test_identical_makers_are_not_told_apart(tmp_path: Path) -> None:
    changes = ("ticks=100", "markets=24", "instruments=2", "seed=1")
    found = summary(recorded(tmp_path, DEALERS, NAIVE, *changes))
    assert "No participant earned more than all others by more than chance" in found
    assert "No two participants differ in risk" in found


def test_a_maker_who_quotes_too_wide_is_told_from_the_one_who_takes_its_orders(
    tmp_path: Path,
) -> None:
    kinds = "{kind: fixed_spread, spread: 1.3}, {kind: fixed_spread, spread: 3.0}"
    wide = f"participants.0.policy=[{kinds}]"
    run = recorded(tmp_path, DEALERS, wide, "participants.0.count=2", "ticks=60", "markets=10")
    found = summary(run)
    assert "maker_1 (fixed_spread) earned more than each other participant" in found
    assert "its lead over maker_2 is" in found
    assert "95% intervals over 10 markets; a lead is a paired difference" in found
    assert "10 markets are too few to compare risks" in found


def test_a_run_recorded_in_part_says_over_which_markets_its_intervals_are(tmp_path: Path) -> None:
    run = recorded(
        tmp_path, DEALERS, "ticks=20", "markets=12", "instruments=2", record_markets=8, every=2
    )
    text = " ".join(Outline(report.html(run)).text)
    assert "over 8 recorded markets" in text
    assert "from every 2th tick" not in text and "from every 2nd tick" in text


def test_many_participants_are_compared_with_the_nearest_alone(tmp_path: Path) -> None:
    run = recorded(tmp_path, DEALERS, "participants.0.count=9", "ticks=10", "markets=8")
    assert summary(run).count("its lead over") == 1
    assert len(re.findall(r"(?:lead over|and over) maker_", summary(run))) == 1


def test_policies_are_dealt_out_to_names_as_the_scenario_does(tmp_path: Path) -> None:
    run = recorded(tmp_path, DEALERS, "participants.0.count=5", "ticks=2", "markets=1")
    kinds = ("avellaneda_stoikov", "glft", "fixed_spread", "avellaneda_stoikov", "glft")
    assert Data.of(run).policies == kinds


def test_a_market_made_in_python_has_no_policies_to_name(tmp_path: Path) -> None:
    from tests.report.test_report import hostile_run

    assert set(Data.of(hostile_run(tmp_path)).policies) == {""}
