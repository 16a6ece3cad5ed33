"""Hartline, Long and Zhang (2024): exact regrets, their estimates, and what is refused."""

import json

import numpy as np
import pytest

from experiments.hartline_long_zhang_2024 import run as study
from experiments.replication import ExecutionConfig, played, settings
from mos_agents.cli import run
from mos_agents.market.types import InputError

NAME = "hartline_long_zhang_2024"


def figures(*changes, sessions=4):
    s = settings(NAME, ["ticks=1000", *changes], sessions=sessions)
    return {one.quantity: one for one in played(NAME, s, ExecutionConfig())}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], {"regret": 0.065770, "plausible_regret": 0.035343, "plausible_cost": 1.2}),
        (["cost_low=0", "cost_high=2"], {"plausible_cost": 1.421}),
        (["price=1.4"], {"regret": 0.013745, "plausible_cost": 0.958}),
        (["price=[1.9, 1.4]"], {"regret": 0.038550, "hindsight_regret": 0.034237}),
    ],
)
def test_the_exact_regrets_are_those_of_an_independent_program(changes, expected):
    found = figures(*changes, sessions=2)
    for name, value in expected.items():
        assert found[name].ours == pytest.approx(value, abs=5e-4 if "cost" in name else 1e-6)
    judged = [one.within for one in found.values() if one.computed and one.published is not None]
    assert judged and all(judged)


def test_regret_by_trying_every_map_of_prices():
    # Calibrated regret is what the best map from prices meant to prices set would have earned more.
    s = settings(NAME, ["levels=4", "low=1.3", "high=1.9", "price=1.9", "epsilon=0.4"])
    units, pi, grid = s.units, s.chances[0], s.grid
    best = 0.0
    for which in np.ndindex(*(4,) * 4):
        swapped = [(grid[q] - 1.0) * (units[q] @ pi) * pi[p] for p, q in enumerate(which)]
        kept = [(grid[p] - 1.0) * (units[p] @ pi) * pi[p] for p in range(4)]
        best = max(best, sum(swapped) - sum(kept))
    from mos_agents.analysis.screens import calibrated_regret

    assert calibrated_regret(study.exact_table(s), grid, 1.0) == pytest.approx(best, abs=1e-12)


def test_short_records_exaggerate_and_the_test_does_not():
    calm = figures("price=1.4", sessions=30)
    assert calm["estimated_regret"].ours > 2 * calm["regret"].ours
    assert calm["alarm_share"].ours <= 0.1
    cartel = figures("ticks=10000", sessions=10)
    assert cartel["alarm_share"].ours >= 0.8


def test_a_record_is_the_same_in_any_company():
    s = settings(NAME, ["ticks=200"])
    assert study.audited(s, 3, [0, 1, 2])[2] == study.audited(s, 3, [2])[0]


def test_the_command_writes_its_quantities(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["replicate", NAME, "--quick", "--json", "found.json"]) == 0
    names = {one["quantity"] for one in json.loads(open("found.json").read())["results"]}
    assert {"regret", "plausible_regret", "estimated_regret", "alarm_share"} <= names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["price=1.45"], "price=1.45 must be on the grid of 10 prices from 1.2 to 2.1"),
        (["price=cartel"], "price='cartel' must be a number, or a list of numbers"),
        (["epsilon=0"], "epsilon=0 must be a number in"),
        (["cost_low=1.3"], "cost_low=1.3 must be at most cost_high=1.2"),
    ],
)
def test_what_cannot_be_audited_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings(NAME, changes)
