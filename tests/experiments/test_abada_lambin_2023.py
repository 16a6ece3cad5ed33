"""Abada and Lambin (2023): exploration removes gains that nobody could have learnt to defend."""

import numpy as np
import pytest

from experiments.abada_lambin_2023 import run as study
from experiments.replication import ExecutionConfig, played, settings
from mos_agents.market.types import InputError

NAME = "abada_lambin_2023"


def figures(*changes, sessions=20):
    s = settings(NAME, changes, sessions=sessions)
    return {one.quantity: one for one in played(NAME, s, ExecutionConfig())}


def test_without_a_future_exploration_removes_the_gain():
    found = figures("tries=[1, 300]")
    assert found["profit_gain.tries_1"].ours > 0.5
    assert found["profit_gain.tries_300"].ours < 0.35
    low, high = found["gain_removed"].ci95
    assert 0.1 < low < high


def test_with_a_future_it_does_not():
    found = figures("tries=[1, 20]", "memory=1", "delta=0.95", "levels=7")
    assert found["gain_removed"].ours < 0.1
    assert found["profit_gain.tries_20"].ours > 0.5


def test_exploration_is_counted_per_price_and_state():
    s = settings(NAME, ["memory=1", "levels=6", "tries=[4]"])
    beta = s.market(4).beta
    periods = np.arange(200_000)
    tried = np.exp(-beta * periods).sum() / (6 * 6**2)  # prices, states
    assert tried == pytest.approx(4, rel=1e-2)


def test_equilibria_of_the_grid_are_those_found_by_trying():
    s = settings(NAME, ["tries=1", "levels=5"], sessions=1)
    from experiments.calvano_2020 import run as calvano

    outcome = calvano.played(s.market(1), ExecutionConfig())
    pay = outcome.game.stage.payoffs.reshape(5, 5, 2)
    b = outcome.benchmarks
    gains = [
        (pay[i, j].mean() - b.profit_nash.mean()) / (b.profit_joint - b.profit_nash).mean()
        for i in range(5)
        for j in range(5)
        if pay[i, j, 0] == pay[:, j, 0].max() and pay[i, j, 1] == pay[i, :, 1].max()
    ]
    assert study.grid_nash(outcome) == pytest.approx((min(gains), max(gains)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["tries=0"], r"tries=0 must be a number in \[0.01, 1e6\], or a list"),
        (["tries=[1, 1]"], "has a number twice"),
        (["tries=many"], "tries='many' must be a number"),
        (["memory=3"], "memory=3 must be a whole number"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings(NAME, changes)
