"""Best responses that are trained, where the equilibrium code knows what there is to gain."""

import pytest

from mos_agents import scenarios
from mos_agents.learners import TrainedNetwork
from mos_agents.market.equilibrium import benchmarks, best_response
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout

pytestmark = pytest.mark.train

MARKET = scenarios.pricing_game().with_parts(horizon=32)  # the clock is seen in its shares


@pytest.fixture(scope="module")
def plan():
    from mos_agents.training.plan import TrainingPlan

    return TrainingPlan(
        "pricing_game",
        algo="ppo",
        horizon=32,
        markets=16,
        ticks=32,
        iterations=25,
        lr=2e-3,
        gamma=0.0,
        evaluate_every=0,
        band=(0.9, 1.4),
    )


def fixed(prices):
    names = MARKET.layout.participants
    return {
        n: {"kind": "fixed_price", "price": float(p)} for n, p in zip(names, prices, strict=True)
    }


@pytest.mark.filterwarnings("ignore")
def test_at_the_joint_profit_prices_a_learner_finds_most_of_what_deviating_gains(plan):
    from mos_agents.training.best_response import exploitability

    theory = benchmarks(MARKET)
    most = best_response(MARKET, theory.p_M, "firm_1")[1] - theory.pi_M[0]
    found = exploitability(plan, fixed(theory.p_M), participants=["firm_1"], markets=2, seeds=1)
    one = found["firm_1"]
    assert 0.9 * most < one.gain <= most + 1e-9
    assert one.before == pytest.approx(theory.pi_M[0], rel=1e-4)
    assert found.nash_conv == pytest.approx(one.gain) and "at least" in str(found)
    # the learner is a policy like any other, and plays what it was measured at
    policies = {**fixed(theory.p_M), "firm_1": one.policy}
    assert isinstance(one.policy, TrainedNetwork)
    played = rollout(MARKET, policies, ticks=32)
    assert played.reward[0, 0] / 32 == pytest.approx(one.after, rel=1e-6)
    with pytest.raises(InputError, match="'firm_2' was not trained; those are firm_1"):
        found["firm_2"]


@pytest.mark.filterwarnings("ignore")
def test_at_the_equilibrium_nobody_gains_and_the_bound_is_nought(plan):
    from mos_agents.training.best_response import exploitability

    theory, message = benchmarks(MARKET), []

    def on_training(name):
        message.append(name)
        return lambda record: message.append(record["iteration"])

    found = exploitability(
        plan.changed(iterations=2), fixed(theory.p_N), markets=2, seeds=1, on_training=on_training
    )
    assert [one.participant for one in found.gains] == list(MARKET.layout.participants)
    assert all(one.gain <= 1e-9 for one in found.gains)
    assert found.nash_conv == 0.0 and not found.evidence and found.low != found.low
    assert "NashConv: no evidence" in str(found) and "[0.0000, 0.0000]" not in str(found)
    assert message == ["firm_1", 1, 2, "firm_2", 1, 2]


def test_who_learns_is_refused_in_one_line_before_anything_is_trained(plan):
    from mos_agents.training.best_response import exploitability
    from mos_agents.training.hosted_learners import learns

    with pytest.raises(InputError, match=r"firm_1 goes on learning.*freeze it") as error:
        exploitability(plan)  # the preset's firms are Q-learners
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="'firm_9' is not a participant"):
        exploitability(plan, fixed((1.5, 1.5)), participants=["firm_9"])
    scripted = {"kind": "epsilon_greedy", "policy": {"kind": "hold"}}
    from mos_agents.policies import from_config

    assert not learns(from_config(scripted))
    assert learns(from_config({**scripted, "policy": {"kind": "q_learning"}}))


@pytest.mark.filterwarnings("ignore")
def test_what_a_training_left_behind_is_taken_up_with_its_settings(plan, tmp_path):
    from mos_agents.training import train
    from mos_agents.training.best_response import exploitability, of_training

    made = train(plan.changed(iterations=1), tmp_path, name="it")
    again = of_training("it", tmp_path, iterations=2)
    assert (again.algo, again.lr, again.iterations, again.agents) == ("ppo", 2e-3, 2, None)
    found = exploitability(again, participants=["firm_2"], markets=3, seeds=2, confidence=0.9)
    own = rollout(MARKET, made.policies, ticks=32).reward[0, 1] / 32
    assert found["firm_2"].before == pytest.approx(own, rel=1e-6)
    assert found["firm_2"].shares.shape == (6,) and found.confidence == 0.9
