"""A plan is checked before anything is started, in one line, without PyTorch."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.learners import Network, save_network
from mos_agents.learners.network import Categorical, Layer, Signature
from mos_agents.market.types import InputError
from mos_agents.training import TrainingPlan, check, state_codec
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.normaliser import calibrate, from_arrays, to_arrays
from tests.training.worlds import game, small

IN_TURN = game(schedule={"kind": "alternating"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algo": "a2c"}, "algo='a2c' must be one of ppo, dqn, sac, appo$"),
        ({"algo": "dqn", "actions": "continuous"}, "dqn takes discrete actions only; .* sac"),
        ({"algo": "sac", "actions": "discrete"}, "sac takes continuous actions only; .* dqn"),
        ({"sharing": "by_role"}, "did you mean 'by-role'"),
        ({"actions": "grid"}, "must be one of continuous, discrete"),
        ({"markets": 0}, "markets=0 must be a whole number >= 1"),
        ({"workers": -1}, "workers=-1 must be"),
        ({"iterations": 2.5}, "iterations=2.5 must be a whole number"),
        ({"seed": True}, "seed=True must be"),
        ({"hidden": ()}, "one to eight widths"),
        ({"hidden": 32}, r"hidden=32 must be a list of widths, such as \[64, 64\]"),
        ({"hidden": (64, 0)}, "hidden=0 must be"),
        ({"lr": 0.0}, r"lr=0.0 must be a number in \(0, 1\]"),
        ({"lr": float("nan")}, "lr=nan must be"),
        ({"gamma": 1.5}, r"gamma=1.5 must be a number in \[0, 1\]"),
        ({"stop": {"ticks": 3}}, "stop='ticks' must be one of steps, reward, seconds"),
        ({"stop": {"steps": -3}}, "stop steps=-3 must be"),
        ({"normalise": "yes"}, "normalise='yes' must be one of calibration, none"),
        ({"horizon": 0}, "horizon=0 must be"),
        ({"policies": "shared"}, "must be what each name plays; who shares .* is `sharing`"),
    ],
)
def test_nonsense_is_refused_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agents": ("firm_7",)}, "'firm_7' is not a participant"),
        ({"policies": {"nobody": {"kind": "hold"}}}, "'nobody' is not a participant"),
        ({"levels": 1}, "levels=1 must be"),
        (
            {"scenario": IN_TURN, "algo": "appo"},
            "algo='appo' learns from every tick, and firm_1 may not move at each; train with ppo",
        ),
        ({"scenario": IN_TURN, "ticks": 3}, "ticks=3 must be >= 4: firm_1 moves every 2 ticks"),
        (
            {"scenario": IN_TURN, "agents": ("firm_2",), "policies": {}, "ticks": 4, "horizon": 5},
            "ticks=4 must be >= 5: firm_2 moves every 2 ticks",
        ),
        (
            {"scenario": IN_TURN, "algo": "dqn", "horizon": 2},
            "horizon=2 must be >= 3: firm_1 moves every 2 ticks, .* in the same episode",
        ),
        ({"band": (2.0, 1.0)}, "band="),
        (
            {"scenario": "retail", "agents": None, "policies": {}, "algo": "dqn"},
            "platform has 10 listings; train with ppo or appo",
        ),
        (
            {"scenario": "retail", "agents": None, "policies": {}, "sharing": "shared"},
            "platform and firm_1 cannot share one: role platform at platform, firm at firm_1; try "
            "by-role or independent",
        ),
    ],
)
def test_a_plan_that_does_not_fit_its_market_is_refused_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        check(small(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("turn", [(1, 0), (2, 0), (2, 1), (3, 5), (7, 2)])
def test_in_as_many_ticks_as_a_policy_waits_a_move_of_it_is_over(turn):
    policy = TrainingAssignment.of(small()).policies[0]
    period, first = turn
    for horizon in range(1, 30):
        own = [t >= 0 and (t - first) % period == 0 for t in range(horizon)]
        over = 20 * [mine and any(own[:t]) for t, mine in enumerate(own)]
        waits = dataclasses.replace(policy, turns=(turn,)).waits(horizon)
        if waits is None:
            assert not any(over)
            continue
        at, most = waits
        assert over.index(True) == at - 1
        stretches = [any(over[t : t + most]) for t in range(len(over) - most)]
        assert all(stretches)
        assert most == at or not all(any(over[t : t + most - 1]) for t in range(len(stretches)))


@pytest.mark.parametrize(
    ("sharing", "groups"),
    [
        ("independent", {"platform": 1, "firm_1": 1, "firm_2": 1}),
        ("by-role", {"platform": 1, "firm": 2}),
    ],
)
def test_policies_are_shared_as_the_plan_says(sharing, groups):
    agents = ("platform", "firm_1", "firm_2")
    assignment = TrainingAssignment.of(TrainingPlan("retail", agents=agents, sharing=sharing))
    assert {p.name: len(p.agents) for p in assignment.policies} == groups


def test_the_facts_of_a_plan_make_the_same_plan():
    plan = small(
        stop={"steps": 1e6}, hyper={"num_epochs": 3}, agents=["firm_1"], hidden=[8, 9], band=[1, 2]
    )
    again = TrainingPlan.from_facts(plan.described())
    assert again == plan
    assert again.described() == plan.described()


def test_actions_are_within_the_band_and_at_its_ends():
    (policy,) = TrainingAssignment.of(small()).policies
    low, high = policy.placed(np.array([[-3.0], [3.0]]))[:, 0, 0]
    assert (low, high) == pytest.approx((0.6 * 1.4729266646604, 2 * 1.4729266646604))


def test_learning_pilot_and_evaluation_have_streams_of_their_own():
    assignment = TrainingAssignment.of(small())
    seeds = {assignment.seed(purpose) for purpose in ("training", "calibration", "evaluation")}
    assert len(seeds) == 3
    assert assignment.seed("training") != TrainingAssignment.of(small(seed=1)).seed("training")


def test_the_pilot_measures_what_is_seen_and_earned_and_says_the_same_each_time():
    assignment = TrainingAssignment.of(
        small(policies={"firm_2": {"kind": "uniform", "low": 1.2, "high": 1.9}})
    )
    normalisers = calibrate(assignment)
    normaliser = normalisers["firm_1"]
    own = assignment.policies[0].spec
    # Prices drawn evenly from the band: mean in its middle, deviation its width over root 12. What
    # is seen first in an episode is the opening price: one tick in fifty.
    middle, width = 1.3 * 1.4729266646604, 1.4 * 1.4729266646604
    ask = own.where["own_ask"].start
    assert normaliser.shift[ask] == pytest.approx(middle, rel=0.02)
    assert normaliser.scale[ask] == pytest.approx(width / np.sqrt(12.0), rel=0.03)
    assert normaliser.seen(normaliser.shift[None]).tolist() == [[0.0] * own.size]
    again = from_arrays(to_arrays(calibrate(assignment)), ["firm_1"])["firm_1"]
    assert all(np.array_equal(a, b) for a, b in zip(normaliser, again, strict=True))


def test_without_a_pilot_nothing_is_changed():
    normaliser = calibrate(TrainingAssignment.of(small(normalise="none")))["firm_1"]
    x = np.array([[1e6, -1e6] * 5])
    assert (normaliser.seen(x) == x.astype(np.float32)).all()
    assert normaliser.earned(np.array([3.0])) == 3.0


def test_a_state_comes_back_as_it_was_and_holds_nothing_that_runs():
    kept = {"a": [1, 2.5, None, True, "x"], 3: {"w": np.arange(6.0).reshape(2, 3)}, "t": (1,)}
    read = state_codec.from_bytes(state_codec.to_bytes(kept), "x")
    assert read["a"] == kept["a"] and read["t"] == [1]
    assert np.array_equal(read[3]["w"], kept[3]["w"])
    with pytest.raises(InputError, match="nothing that a checkpoint can keep"):
        state_codec.to_bytes({"a": object()})
    with pytest.raises(InputError, match=r"x: "):
        state_codec.from_bytes(b"nonsense", "x")


def test_a_plan_and_its_assignment_need_no_pytorch():
    program = (
        "import sys\n"
        "from mos_agents.training import TrainingPlan, check\n"
        "check(TrainingPlan('retail'))\n"
        "print('torch' in sys.modules, 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_a_scenario_may_be_given_by_name():
    assert TrainingPlan("auction").scenario == scenarios.load("auction")


def test_who_is_told_what_to_play_does_not_learn():
    assignment = TrainingAssignment.of(TrainingPlan(game(), policies={"firm_2": {"kind": "hold"}}))
    assert assignment.agents == assignment.plan.agents == ("firm_1",)
    with pytest.raises(InputError, match="'firm_2' learns, and has a policy in `policies`"):
        TrainingAssignment.of(
            TrainingPlan(game(), agents=("firm_2",), policies={"firm_2": {"kind": "hold"}})
        )


def test_a_rivals_network_goes_along_with_the_plan_and_not_as_a_path(tmp_path):
    path = tmp_path / "rival.npz"
    policy = TrainingAssignment.of(
        TrainingPlan(game(), agents=("firm_2",), actions="discrete")
    ).policies[0]
    layer = Layer(np.zeros((policy.size, policy.levels)), np.arange(float(policy.levels)))
    save_network(path, Network(Signature.of(policy.spec), (layer,), Categorical(policy.grid)))
    rival = {"firm_2": {"kind": "network", "path": str(path)}}
    plan = TrainingPlan(game(), agents=("firm_1",), policies=rival)
    path.unlink()
    again = TrainingPlan.from_facts(plan.described())
    assert again.policies == plan.policies
    assert "firm_2" not in TrainingAssignment.of(again).agents
    with pytest.raises(InputError, match=r"rival.npz: cannot be read"):
        TrainingPlan(game(), agents=("firm_1",), policies=rival)


@pytest.mark.parametrize("preset", ["marketplace", "commission_game"])
def test_what_is_played_after_a_training_is_the_scenario_with_everybody_by_name(preset):
    """Venues name groups of participants, and a platform may sell nothing."""
    from mos_agents.training.folder import trained_scenario

    scenario = scenarios.load(preset)
    plan = TrainingPlan(scenario, agents=("firm_1",))
    made = scenarios.parse(trained_scenario(plan, {"firm_1": {"kind": "hold"}}))
    one, other = scenario.market().layout, made.market().layout
    assert one.participants == other.participants and one.seller.tolist() == other.seller.tolist()
    assert made.policies()["firm_1"].kind == "hold"
