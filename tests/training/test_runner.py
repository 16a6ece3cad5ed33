"""The batch runner tells the learner what happened, and the learner computes what RLlib would."""

import numpy as np
import pytest

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")

from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS  # noqa: E402
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger  # noqa: E402

from mos_agents.market.types import InputError  # noqa: E402
from mos_agents.policies.rules import Hold  # noqa: E402
from mos_agents.runs.files import RunError  # noqa: E402
from mos_agents.training import TrainingPlan, check, train, trainer  # noqa: E402
from mos_agents.training import assignment as assignment_module  # noqa: E402
from mos_agents.training.assignment import TrainingAssignment  # noqa: E402
from mos_agents.training.fragments import (  # noqa: E402
    Fragment,
    PolicyFragment,
    ReplayBuffer,
)
from mos_agents.training.normaliser import calibrate  # noqa: E402
from mos_agents.training.rllib_config import configured  # noqa: E402
from mos_agents.training.rllib_learners import estimated, estimated_in_turn  # noqa: E402
from mos_agents.training.rllib_runner import BatchRunner  # noqa: E402
from mos_agents.training.session import recorded  # noqa: E402
from mos_agents.training.torch_networks import chooser  # noqa: E402
from tests.training.worlds import game, small  # noqa: E402


def runner(**changes):
    assignment = TrainingAssignment.of(small(**changes))
    return BatchRunner(config=configured(assignment, calibrate(assignment)))


LEARNS_TOO = {"firm_2": {"kind": "q_learning", "prices": 5, "alpha": 0.3}}
TWO = {"agents": ("firm_1", "firm_2"), "policies": {}}
CASES = {
    "numbers": TWO,
    "levels": {**TWO, "actions": "discrete"},
    "shared": {**TWO, "sharing": "shared"},
    "values": {"algo": "dqn"},
    "squashed": {"algo": "sac"},
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_fragment_holds_is_what_the_markets_do_upon_its_actions(case):
    made = runner(**CASES[case])
    fragments = made.sample(num_timesteps=70 * 4)  # episodes are 50 ticks
    assert [f.ticks for f in fragments] == [50, 20]
    assignment, normalisers = made.assignment, made.normalisers
    markets = assignment.markets("training", 4)
    how = {p.name: chooser(assignment.plan.algo, p) for p in assignment.policies}
    for fragment in fragments:
        observation = markets.reset()
        for t in range(fragment.ticks + 1):
            for policy in assignment.policies:
                rows = np.concatenate([observation[:, markets.columns[a]] for a in policy.agents])
                found = fragment.policies[policy.name].observations[t]
                assert np.array_equal(found, normalisers[policy.name].seen(rows))
            if t == fragment.ticks:
                break
            actions = {}
            for policy in assignment.policies:
                placed = how[policy.name].placed(fragment.policies[policy.name].actions[t])
                actions |= {a: placed[4 * i : 4 * i + 4] for i, a in enumerate(policy.agents)}
            observation, reward, _, _ = markets.step(actions)
            for policy in assignment.policies:
                own = np.concatenate([reward[:, markets.agents.index(a)] for a in policy.agents])
                found = fragment.policies[policy.name].rewards[t]
                assert np.array_equal(found, normalisers[policy.name].earned(own))


def test_a_stretch_in_pieces_is_the_stretch_in_one():
    whole, pieces = runner(), runner()
    one = whole.sample(num_timesteps=40 * 4)[0].policies["firm_1"]
    parts = [pieces.sample(num_timesteps=n * 4)[0].policies["firm_1"] for n in (7, 33)]
    assert np.array_equal(one.actions, np.concatenate([p.actions for p in parts]))
    assert np.array_equal(one.rewards, np.concatenate([p.rewards for p in parts]))


def test_decisions_that_fail_among_the_others_are_counted_over_stretches_and_episodes(monkeypatch):
    act, calls = Hold.act, []

    def fails_now_and_then(*arguments):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise ValueError("no price today")
        return act(*arguments)

    made, message = runner(), []
    monkeypatch.setattr(Hold, "act", fails_now_and_then)
    for ticks in (7, 33, 20, 60):  # episodes have 50 ticks
        made.sample(num_timesteps=ticks * 4)
        result = MetricsLogger(root=True)
        result.aggregate([made.get_metrics()], key=ENV_RUNNER_RESULTS)
        record = recorded(made.assignment, result.reduce())
        message.append(record.get("faults/firm_2", 0))
    assert len(calls) == 120 and message == [2 * 4, 11 * 4, 7 * 4, 20 * 4]


@pytest.mark.parametrize("case", ["numbers", "levels"])
def test_chances_are_those_that_the_algorithm_computes_itself(case):
    made = runner(**CASES[case])
    part = made.sample()[0].policies["firm_1"]
    kind = made.module["firm_1"].get_exploration_action_dist_cls()
    outputs = torch.tensor(part.outputs.reshape(-1, part.outputs.shape[-1]))
    actions = torch.tensor(part.actions.reshape(len(outputs), *part.actions.shape[2:]))
    theirs = kind.from_logits(outputs).logp(actions).numpy()
    assert part.log_chance.ravel() == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_draws_have_the_distribution_that_the_outputs_say():
    assignment = TrainingAssignment.of(small(actions="discrete"))
    how = chooser("ppo", assignment.policies[0])
    logits = np.array([0.0, 1.0, 2.0, -1.0, 0.5], np.float32)
    uniforms = (np.arange(20_000)[:, None] + 0.5) / 20_000
    drawn = how.drawn(np.tile(logits, (20_000, 1)), uniforms)
    wanted = np.exp(logits) / np.exp(logits).sum()
    assert np.bincount(drawn, minlength=5) / 20_000 == pytest.approx(wanted, abs=1e-3)
    normal = chooser("ppo", TrainingAssignment.of(small()).policies[0])
    numbers = normal.drawn(np.tile(np.float32([0.3, -1.0]), (20_000, 1)), uniforms)
    assert numbers.mean() == pytest.approx(0.3, abs=1e-3)
    assert numbers.std() == pytest.approx(np.exp(-1.0), rel=1e-2)


def test_worths_are_tried_with_the_chance_that_is_set():
    how = chooser("dqn", TrainingAssignment.of(small("dqn")).policies[0], epsilon=0.25)
    rng = np.random.default_rng(0)
    drawn = how.drawn(np.tile(np.float32([0, 0, 9, 0, 0]), (40_000, 1)), rng.random((40_000, 2)))
    assert (drawn == 2).mean() == pytest.approx(0.75 + 0.25 / 5, abs=0.01)


def test_advantages_are_those_of_rllibs_own_connector():
    from ray.rllib.utils.postprocessing.value_predictions import compute_value_targets

    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(9, 3)).astype(np.float32)
    values = rng.normal(size=(10, 3)).astype(np.float32)
    ours = estimated(rewards, values, 0.9, 0.8) + values[:-1]
    for r in range(3):
        # As RLlib lays it out: a last tick more, which only carries the value beyond the end.
        cut = np.array([0.0] * 8 + [1.0, 0.0], np.float32)
        theirs = compute_value_targets(
            values=values[:, r],
            rewards=np.append(rewards[:, r], 0.0).astype(np.float32),
            terminateds=np.zeros(10, np.float32),
            truncateds=cut,
            gamma=0.9,
            lambda_=0.8,
        )
        assert ours[:, r] == pytest.approx(theirs[:9], rel=1e-5)


def test_a_horizon_carries_the_value_on_and_is_no_end():
    """One tick, worth 10 afterwards: the advantage counts it, discounted."""
    found = estimated(np.ones((1, 1), np.float32), np.float32([[0.0], [10.0]]), 0.9, 0.95)
    assert found[0, 0] == pytest.approx(1.0 + 0.9 * 10.0)


def fragment(ticks, markets, first=0):
    """Observation, action and reward of market m at tick t: 100 m + first + t."""
    seen = 100.0 * np.arange(markets) + first + np.arange(ticks + 1)[:, None]
    wide = seen.astype(np.float32)
    part = PolicyFragment(
        wide[:, :, None], wide[:-1].astype(np.int64), wide[:-1], wide[:-1, :, None], wide[:-1]
    )
    return Fragment({"x": part}, ticks, markets)


def test_a_transition_drawn_from_the_memory_is_one_that_happened():
    memory = ReplayBuffer(1000, 1, 0.9, np.random.default_rng(0))
    memory.add([fragment(8, 3), fragment(8, 3, first=20)])
    (drawn,) = memory.sample(500)
    columns = drawn.policies["x"]
    assert np.array_equal(columns["new_obs"], columns["obs"] + 1.0)
    assert np.array_equal(columns["rewards"], columns["obs"][:, 0])
    assert len(np.unique(columns["rewards"])) == 48
    assert not columns["terminateds"].any()


def test_a_full_memory_forgets_the_oldest_and_comes_back_from_its_arrays():
    memory = ReplayBuffer(24, 1, 0.9, np.random.default_rng(0))
    for first in (0, 20, 40, 60):
        memory.add([fragment(4, 3, first)])
    assert len(memory) == 24
    again = ReplayBuffer(24, 1, 0.9, np.random.default_rng(0))
    again.from_arrays(memory.to_arrays())
    again.rng = memory.rng = np.random.default_rng(5)
    (drawn,) = memory.sample(300)
    assert set((drawn.policies["x"]["rewards"] % 100 // 20).tolist()) == {2.0, 3.0}
    again.rng = np.random.default_rng(5)
    (same,) = again.sample(300)
    assert np.array_equal(same.policies["x"]["obs"], drawn.policies["x"]["obs"])


def test_rewards_of_several_ticks_are_added_up():
    memory = ReplayBuffer(100, 3, 0.5, np.random.default_rng(0))
    memory.add([fragment(5, 1)])
    (drawn,) = memory.sample(100)
    columns = drawn.policies["x"]
    first = columns["obs"][:, 0]
    assert columns["rewards"] == pytest.approx(first + 0.5 * (first + 1) + 0.25 * (first + 2))
    assert np.array_equal(columns["new_obs"], columns["obs"] + 3.0)


TURNS = {
    "alternating": {"scenario": game(schedule={"kind": "alternating"})},
    "shared": {"scenario": game(schedule={"kind": "alternating"}), **TWO, "sharing": "shared"},
    "periodic": {"scenario": game(schedule={"kind": "periodic", "periods": [3, 1]})},
    "by chance": {"scenario": game(schedule={"kind": "random", "probability": 0.4})},
}


@pytest.mark.parametrize("lengths", [(50,), (7, 1, 2, 19, 21)])
@pytest.mark.parametrize("case", TURNS)
def test_each_own_move_is_learnt_from_once_with_what_came_until_the_next(case, lengths):
    """As played again tick by tick: seen, done, earned until the next own move, seen then."""
    made = runner(actions="discrete", **TURNS[case])
    memory = ReplayBuffer(10_000, 1, 0.5, np.random.default_rng(0))
    fragments = [f for n in lengths for f in made.sample(num_timesteps=n * 4)]
    memory.add(fragments)
    assignment, markets = made.assignment, made.assignment.markets("training", 4)
    policy = assignment.policies[0]
    count, normaliser = len(policy.agents), made.normalisers[policy.name]
    observation, wanted = markets.reset(), []
    going: list = [None] * (4 * count)

    def own(seen):
        return normaliser.seen(np.concatenate([seen[:, markets.columns[a]] for a in policy.agents]))

    fresh = np.concatenate(
        [  # what was chosen at each tick, carried moves left out
            f.policies[policy.name].actions[-f.ticks :] for f in fragments
        ]
    )
    for t in range(50):
        seen = own(observation)
        placed = fresh[t].reshape(count, 4, 1)
        observation, reward, _, info = markets.step(dict(zip(policy.agents, placed, strict=True)))
        moved = np.broadcast_to(info.moved, reward.shape).T.ravel()
        earned = normaliser.earned(reward.T.ravel())
        for r in range(4 * count):
            if moved[r]:
                if going[r] is not None:
                    wanted.append((*going[r], tuple(seen[r])))
                going[r] = (tuple(seen[r]), int(fresh[t, r]), 0.0, 0)
            if going[r] is not None:
                first, action, sofar, k = going[r]
                going[r] = (first, action, sofar + 0.5**k * float(earned[r]), k + 1)
    ring = memory.rings[policy.name]
    parts = {name: values[: ring.size, 0] for name, values in ring.arrays.items()}
    found = [
        (
            tuple(parts["observations"][i]),
            int(parts["actions"][i]),
            float(parts["rewards"][i]),
            int(parts["steps"][i]),
            tuple(parts["after"][i]),
        )
        for i in range(ring.size)
    ]

    def exact(one):
        return (one[0], one[1], one[3], one[4])

    assert len(found) == len(wanted) > 50
    assert sorted(map(exact, found)) == sorted(map(exact, wanted))
    totals = (sorted(one[2] for one in many) for many in (found, wanted))
    assert next(totals) == pytest.approx(next(totals), abs=1e-5)


def test_advantages_in_turn_are_those_of_a_market_that_only_has_the_own_ticks():
    """Two steps of 2 and 3 ticks, by hand; and with a move at every tick, the usual ones."""
    rewards = np.float32([[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]])
    values = np.float32([[10.0], [99.0], [20.0], [99.0], [99.0], [30.0], [99.0]])
    own = np.array([[1], [0], [1], [0], [0], [1]], bool)
    found, over = estimated_in_turn(rewards, values, own, 0.5, 0.8)
    second = 4.0 + 8.0 / 2 + 16.0 / 4 + 30.0 / 8 - 20.0
    first = 1.0 + 2.0 / 2 + 20.0 / 4 - 10.0 + 0.8 / 4 * second
    assert found[over] == pytest.approx([first, second])
    assert np.flatnonzero(over).tolist() == [0, 2]
    always, over = estimated_in_turn(rewards, values, np.ones_like(own), 0.5, 0.8)
    assert always[:-1] == pytest.approx(estimated(rewards[:-1], values[:-1], 0.5, 0.8))
    assert over.ravel().tolist() == [True] * 5 + [False]


def test_learning_from_a_memory_begins_when_everybody_has_a_move_to_learn_from():
    made = runner(
        scenario=game(schedule={"kind": "periodic", "periods": [20, 1]}),
        algo="dqn",
        **TWO,
        markets=128,
    )
    memory, played = ReplayBuffer(10_000, 1, 0.9, np.random.default_rng(0)), 0
    while played < made.config.num_steps_sampled_before_learning_starts:
        memory.add(made.sample())
        if not played:
            with pytest.raises(RunError, match="firm_1: nobody has moved twice"):
                memory.sample(4)
        played += 8 * 128
    (drawn,) = memory.sample(4)
    assert set(drawn.policies) == {"firm_1", "firm_2"}


def test_moves_that_are_not_over_are_in_a_snapshot():
    first, again = (runner(**TURNS["alternating"]) for _ in range(2))
    first.sample(num_timesteps=7 * 4)
    again.restore(first.snapshot())
    (ours,), (theirs,) = (r.sample(num_timesteps=5 * 4) for r in (first, again))
    for one, other in zip(ours.policies["firm_1"], theirs.policies["firm_1"], strict=True):
        assert np.array_equal(one, other)
    assert len(ours.policies["firm_1"].rewards) == 6  # the last move was at tick 6


def test_a_runner_that_comes_late_has_other_streams():
    first, late = runner(), runner()
    late.set_state({"num_env_steps_sampled_lifetime": 4000})
    ours, theirs = (r.sample()[0].policies["firm_1"] for r in (first, late))
    assert not np.array_equal(ours.actions, theirs.actions)


def test_a_runner_that_takes_over_knows_what_the_one_before_knew_and_has_other_streams():
    first, late = (runner(policies=LEARNS_TOO) for _ in range(2))
    first.sample(num_timesteps=70 * 4)
    kept = first.snapshot()
    late.set_state({"num_env_steps_sampled_lifetime": 4000})
    late.restore(kept, late=True)
    assert late.memories()["firm_2"].clock[0] == 70
    assert np.array_equal(late.memories()["firm_2"].q, first.memories()["firm_2"].q)
    (ours,), (theirs,) = (r.sample(num_timesteps=10 * 4) for r in (first, late))
    ours, theirs = ours.policies["firm_1"], theirs.policies["firm_1"]
    assert np.array_equal(ours.observations[0], theirs.observations[0])
    assert not np.array_equal(ours.actions, theirs.actions)


def test_a_market_of_several_listings_is_played_level_by_level():
    made = runner(
        scenario="retail", agents=("platform",), policies={}, actions="discrete", horizon=20
    )
    part = made.sample()[0].policies["platform"]
    assert part.actions.shape[1:] == (4, 10) and part.actions.max() == 4


@pytest.mark.parametrize(
    ("algo", "hyper", "message"),
    [
        ("ppo", {"clip_param": "abc"}, "hyper clip_param='abc' must be a number, such as 0.2"),
        ("ppo", {"num_epochs": 0}, "hyper num_epochs=0 must be >= 1"),
        ("dqn", {"epsilon": "abc"}, "hyper epsilon='abc' must be a number or a schedule"),
        ("dqn", {"epsilon": [[0, 1.0], 0.1]}, "or a schedule of two or more points"),
        ("ppo", {"entropy_coeff": [[5, 1.0], [9, 0.0]]}, "that begins at tick 0"),
        ("dqn", {"num_atoms": 51}, "hyper num_atoms: must be 1"),
        ("dqn", {"n_step": [1, 3]}, "hyper n_step=.1, 3. must be"),
        ("sac", {"n_step": 9}, r"hyper n_step=9 must be a whole number in \[1, 8\]"),
        ("ppo", {"nmu_epochs": 3}, "did you mean 'num_epochs'"),
        ("ppo", {"lr": 1}, "hyper lr: is set by a field of TrainingPlan"),
    ],
)
def test_settings_of_rllib_that_cannot_be_are_refused_before_anything_is_started(
    algo, hyper, message, monkeypatch
):
    def started(*_, **__):
        raise AssertionError("something was started")

    monkeypatch.setattr(trainer, "cluster", started)
    monkeypatch.setattr(trainer, "joined", started)
    monkeypatch.setattr(assignment_module.TrainingAssignment, "markets", started)
    plan = TrainingPlan("pricing_game", algo, hyper=hyper, markets=2, ticks=8)
    for verb in (check, train):
        with pytest.raises(InputError, match=message) as caught:
            verb(plan)
        assert "\n" not in str(caught.value)


def test_settings_of_rllib_are_passed_on():
    assignment = TrainingAssignment.of(small(hyper={"num_epochs": 3}))
    assert configured(assignment, calibrate(assignment)).num_epochs == 3
