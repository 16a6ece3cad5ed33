"""Scenario files name learners as they name policies, and runs, checks and evaluations follow."""

import subprocess
import sys

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.cli import run
from mos_agents.learners import GreedyPolicy, save
from mos_agents.market.types import InputError
from mos_agents.policies import make, to_config
from mos_agents.rollout import log_decisions, rollout
from mos_agents.testing.policies import played
from tests.learners.worlds import KINDS, PLACES, duopoly, learner, placed

SHORT = {
    "q_learning": "{kind: q_learning, prices: 4, features: cheapest}",
    "sarsa": "{kind: sarsa, prices: 4, features: own}",
    "boltzmann": "{kind: boltzmann, prices: 4, features: own, temperature: 5}",
    "wolf_phc": "{kind: wolf_phc, prices: 4, features: nothing}",
    "bandit_epsilon_greedy": "bandit_epsilon_greedy",
    "ucb1": "{kind: ucb1, reward_high: 1e2}",
    "exp3": "{kind: exp3, reward_high: 100}",
    "thompson": "thompson",
    "hedge": "{kind: hedge, reward_low: 0, reward_high: 100}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_scenario_names_a_learner_by_its_kind_and_plays_it(kind):
    scenario = scenarios.override(
        scenarios.load("retail"), ["products=2", f"participants.platform.policy={SHORT[kind]}"]
    )
    policies = scenario.policies()
    assert policies["platform"].kind == kind and policies["platform"].learns
    done = rollout(scenario.market(), policies, ticks=10, markets=2)
    assert done.faults == () and done.refused == {}


TABLES = {
    "rivals' prices": ("sarsa", {"rival_prices": ((0.9, 1.0), (0.8, 1.0, 1.2))}),
    "payoffs of q_learning": ("q_learning", {"payoffs": ((0.5, 1.0), (2.0, 1 / 3), (0.0, 1e-3))}),
    "payoffs of hedge": ("hedge", {"payoffs": ((0.5, 1.0), (2.0, 1 / 3), (0.0, 1e6))}),
    "a first table": ("boltzmann", {"initial": (1.0, 2.0, 3.0)}),
    "no step": ("bandit_epsilon_greedy", {"step": None}),
    "a step": ("bandit_epsilon_greedy", {"step": 0.1}),
    "own prices": ("wolf_phc", {"prices": (10.0, 0.1 + 10.2, 1e2)}),
}


@pytest.mark.parametrize(
    "policy",
    [learner(kind, **PLACES["states of a firm, two periods"][1]) for kind in KINDS]
    + [learner(kind, **parameters) for kind, parameters in TABLES.values()]
    + [GreedyPolicy(learner("exp3"), path="memory.npz", market=2)],
    ids=lambda policy: policy.kind,
)
def test_every_parameter_survives_being_written_as_yaml(policy):
    scenario = scenarios.preset("retail", firms=2, products=2)
    data = scenario.model_dump(mode="python")
    data["participants"][0]["policy"] = to_config(policy)
    written = scenarios.dump(scenarios.Scenario.model_validate(data))
    again = scenarios.parse(written)
    assert again.policies()["platform"] == policy
    assert scenarios.dump(again) == written


def test_mos_checks_and_runs_a_scenario_with_learners(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scenario = scenarios.override(
        scenarios.load("retail"),
        [
            "products=2",
            *(f"participants.{name}.policy={SHORT['sarsa']}" for name in ("platform", "firm")),
        ],
    )
    (tmp_path / "learners.yaml").write_text(scenarios.dump(scenario))
    assert run(["check", "learners.yaml"]) == 0
    assert "is fine" in capsys.readouterr().out
    assert run(["run", "learners.yaml", "--ticks", "6", "--no-report", "--name", "one"]) == 0
    assert run(["verify", "one"]) == 0
    capsys.readouterr()
    wrong = (tmp_path / "learners.yaml").read_text().replace("alpha: 0.15", "alpha: 0.0")
    wrong = wrong.replace("kind: sarsa", "kind: sarsa\n    alpha: 0", 1)
    (tmp_path / "wrong.yaml").write_text(wrong)
    assert run(["check", "wrong.yaml"]) == 2
    found = capsys.readouterr().err
    assert "sarsa.alpha" in found and found.count("\n") == 1


def test_a_learner_can_be_made_by_name_before_anything_else_is_loaded():
    program = "from mos_agents.policies import make; print(make('sarsa').kind)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["sarsa"]


@pytest.mark.parametrize("kind", [["sarsa"], {"kind": "sarsa"}, 3, None])
def test_a_kind_that_is_no_word_is_told(kind):
    with pytest.raises(InputError, match="is not a policy"):
        make(kind)


def test_a_wrong_parameter_of_a_learner_is_told_with_its_place_in_the_file():
    with pytest.raises(InputError, match=r"ucb1.reward_high is missing") as error:
        scenarios.override(scenarios.load("retail"), ["participants.platform.policy=ucb1"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learners_record_has_the_propensities_it_acted_with(kind):
    """The record of a learner that learns all the while: 1/chance has mean 1 over each menu."""
    market, policies = placed(kind, "a firm's lever")
    found = log_decisions(market, policies, "firm_1", seed=2, ticks=15, markets=6)
    assert found.behaviour.shape == (6, 15)
    assert ((found.behaviour > 0.0) & (found.behaviour <= 1.0 + 1e-12)).all()
    transitions, pool = played(market, policies, ticks=15, markets=6, seed=2)
    spec, policy = market.specs[0], pool.policies[0]
    for at, transition in enumerate(transitions):
        stated = policy.propensity(
            spec,
            spec.own(transition.observation),
            transition.actions[:, spec.listings],
            transition.memories[0],
        )
        assert np.array_equal(stated, found.behaviour[:, at])


def test_what_a_frozen_learner_would_earn_can_be_asked_of_another_record(tmp_path):
    market = duopoly()
    policy = learner("bandit_epsilon_greedy", prices=(12.0, 13.5, 16.0), relative_to="money")
    _, pool = played(market, dict.fromkeys(("firm_1", "firm_2"), policy), ticks=200, markets=1)
    save(tmp_path / "m.npz", pool.memories[0])
    frozen = GreedyPolicy(policy, path=str(tmp_path / "m.npz"), market=0)
    logged = learner(
        "exp3", prices=(12.0, 13.5, 16.0), relative_to="money", gamma=1.0, reward_high=60.0
    )
    found = log_decisions(
        market,
        dict.fromkeys(("firm_1", "firm_2"), logged),
        "firm_1",
        targets={"frozen": frozen},
        ticks=5,
        markets=300,
    )
    weights = found.target["frozen"] / found.behaviour
    assert weights.mean() == pytest.approx(1.0, abs=4.0 * weights.std() / np.sqrt(weights.size))
    assert found.behaviour == pytest.approx(np.full((300, 5), 1 / 3))
