"""What analysis says of two trained networks: impulse response, price war, collusion, evaluation.

The networks are written down here, so that everything can be computed by hand: each asks its norm,
the joint-profit price, plus half of what its rival's last price lacks to it.
"""

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.analysis.collusion import Benchmarks, measures
from mos_agents.analysis.impulse import (
    ReturnTime,
    profitability,
    punishment,
    response,
    rivals_reaction,
)
from mos_agents.analysis.ope import ips
from mos_agents.analysis.price_wars import episodes
from mos_agents.analysis.screens import CollusivePricing, SessionPaths
from mos_agents.learners import Gaussian, Layer, Network, Signature
from mos_agents.learners import TrainedNetwork as Trained
from mos_agents.market.equilibrium import benchmarks, stage_profits
from mos_agents.rollout import forced_deviation, log_decisions, rollout
from tests.learners.networks import network

MARKET = scenarios.pricing_game()
THEORY = benchmarks(MARKET)
P_N, P_M = float(THEORY.p_N[0]), float(THEORY.p_M[0])
LOW, HIGH, SHOCK = 0.0, 4.0, 12


def half_way(spec):
    """norm + (rival's last ask - norm) / 2, as a network of one layer."""
    half = 0.5 * (HIGH - LOW)
    weights = np.zeros((spec.size, 1))
    weights[spec.where["rival_ask"]] = 0.5 / half
    bias = [(0.5 * P_M - LOW) / half - 1.0]
    head = Gaussian([[LOW]], [[HIGH]], log_std=[-3.0])
    return Network(Signature.of(spec), (Layer(weights, bias),), head)


@pytest.fixture(scope="module")
def policies():
    return {spec.name: Trained.of(half_way(spec)) for spec in MARKET.specs}


def deviation(policies, forced=1, price=P_N):
    return forced_deviation(
        MARKET, policies, "firm_1", price, shock=40, lead=SHOCK, forced=forced, ticks=80
    )


def test_a_cut_is_answered_by_half_and_prices_come_back_by_halves(policies):
    found = deviation(policies)
    cut = (P_N - P_M) / P_M
    change = response(found)
    assert change.at(1)[0] == pytest.approx(cut, abs=1e-6)
    assert rivals_reaction(found) == pytest.approx(cut / 2, abs=1e-6)
    assert change.at(3)[0] == pytest.approx(cut / 4, abs=1e-6)
    assert change.at(4)[1] == pytest.approx(cut / 8, abs=1e-6)
    # away by cut / 2 ** (tau - 1): beyond 1% until tau = 5, as |cut| = 23%
    assert punishment(found, ReturnTime(tolerance=0.01)).length.tolist() == [4]
    worth = profitability(found, discount=0.95)
    away = 0.5 ** np.arange(40)
    path = np.stack(
        [np.where(np.arange(40) % 2 == k, P_M + (P_N - P_M) * away, P_M) for k in (0, 1)], axis=1
    )
    earned = stage_profits(MARKET, path)[:, 0] - THEORY.pi_M[0]
    assert worth.gain == pytest.approx(0.95 ** np.arange(40) @ earned, abs=1e-5)
    assert worth.unprofitable == [True]


def test_a_longer_cut_is_a_price_war_that_its_author_began(policies):
    wars = episodes(deviation(policies, forced=6).prices, P_N, P_M)
    (war,) = wars
    assert (war.onset, war.first_cut, war.first_cutters) == (SHOCK + 1, SHOCK, (0,))
    assert war.recovered and war.depth == pytest.approx(0.75, abs=1e-3)
    assert len(episodes(deviation(policies).undeviated_prices, P_N, P_M)) == 0


def test_networks_at_the_joint_profit_price_are_measured_as_such(policies):
    # From the opening prices on they come to P_M by halves; tick 40 is close to it.
    found = deviation(policies)
    known = Benchmarks(THEORY.p_N, THEORY.p_M, THEORY.pi_N, THEORY.pi_M, MARKET.catalogue.cost)
    given = measures(found.undeviated_prices, found.undeviated_profits, known)
    assert given.profit_gain == pytest.approx(1.0, abs=1e-4)
    assert given.rpdi == pytest.approx(1.0, abs=1e-3)
    assert given.lerner == pytest.approx((P_M - 1.0) / P_M, abs=1e-3)
    played = rollout(MARKET, policies, ticks=70, series=("ask", "metrics"))
    sessions = SessionPaths(
        played.series["ask"][40:],
        known,
        played.series["metrics"][40:, :, :, 0],
        found,
        demand=1.0,
        best_reply=lambda prices: prices,
    )
    assert CollusivePricing(batches=5)(sessions).shape == (1,)


def test_a_network_that_explores_can_be_evaluated_off_its_own_policy():
    spec = MARKET.specs[0]
    networks = {s.name: network(s, "levels", levels=3, seed=n) for n, s in enumerate(MARKET.specs)}
    exploring = {name: Trained.of(one, explore=True) for name, one in networks.items()}
    target = Trained.of(network(spec, "levels", levels=3, seed=7), explore=True)
    logged = log_decisions(
        MARKET,
        exploring,
        "firm_1",
        ticks=2,
        markets=3000,
        seed=1,
        targets={"itself": exploring["firm_1"], "other": target},
    )
    assert np.array_equal(logged.target["itself"], logged.behaviour)
    estimate = ips(logged.reward, logged.behaviour, logged.target["other"])
    truth = rollout(MARKET, exploring | {"firm_1": target}, ticks=2, markets=3000, seed=2)
    assert abs(estimate.value - truth.reward[:, 0].mean()) < 4.0 * estimate.standard_error
    assert estimate.standard_error < 0.05
