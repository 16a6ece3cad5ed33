"""Those who learn by themselves beside the trained come out as they have become."""

from itertools import pairwise

import numpy as np
import pytest

pytestmark = pytest.mark.train
pytest.importorskip("torch")

from mos_agents import learners, scenarios  # noqa: E402
from mos_agents.policies.base import from_config  # noqa: E402
from mos_agents.rollout import play, rollout  # noqa: E402
from mos_agents.training import best_response, hosted_learners, train  # noqa: E402
from mos_agents.training.assignment import TrainingAssignment  # noqa: E402
from mos_agents.training.best_response import exploitability  # noqa: E402
from mos_agents.training.evaluation import evaluated, everybody  # noqa: E402
from mos_agents.trees import named  # noqa: E402
from tests.training.worlds import small  # noqa: E402

TABLE = {"kind": "q_learning", "prices": 5, "alpha": 0.3, "beta": 0.01}


def rivalry(policy=TABLE, **changes):
    return small(policies={"firm_2": policy}, iterations=3, **changes)


@pytest.fixture(scope="module")
def trained(on_cluster):
    return train(rivalry())


def prices(trained, policies, markets):
    """[T, B] what firm_2 asks."""
    assignment = trained.assignment
    steps = play(assignment.playing, policies, seed=3, ticks=12, markets=markets)
    return np.stack([step.state.quotes.ask[:, 1] for step in steps])


def test_a_rival_comes_out_with_the_table_that_it_has_learnt_in_each_market(trained):
    memory = trained.memories["firm_2"]
    assert memory.clock[0] == 3 * 32
    fresh = trained.assignment.playing.spec("firm_2")
    assert memory.q.shape == from_config(TABLE).start(fresh, 4).q.shape
    learnt = (memory.q != from_config(TABLE).start(fresh, 4).q).reshape(4, -1).sum(axis=1)
    assert (learnt > 5).all()


def test_a_trained_pair_plays_and_the_rival_chooses_what_its_table_says_is_best(trained):
    pair, table = {**trained.policies, **trained.greedy_policies()}, trained.memories["firm_2"].q
    learner, spec = from_config(TABLE), trained.assignment.playing.spec("firm_2")
    steps = list(play(trained.assignment.playing, pair, seed=3, ticks=12, markets=4))
    for before, after in pairwise(steps):
        seen, found = spec.own(before.observation), spec.own(after.observation)
        rows = table[np.arange(4) * learner.states(spec) + learner.encode(spec, seen)[:, 0]]
        asked = learner.level_of(spec, found, spec.read(found, "own_ask"))
        assert np.array_equal(np.take_along_axis(rows, asked, 1)[:, 0], rows.max(axis=1))


def test_one_markets_table_can_be_played_in_all_markets(trained):
    whole = prices(trained, {**trained.policies, **trained.greedy_policies()}, 4)
    alone = prices(
        trained, {**trained.policies, **trained.greedy_policies(market=2)}, np.array([2, 3])
    )
    assert np.array_equal(whole[:, 2], alone[:, 0])
    assert not np.array_equal(whole[:, 3], alone[:, 1])


def test_a_rivals_memory_can_be_kept_and_played_from_its_file(trained, tmp_path):
    learners.save(tmp_path / "firm_2.npz", trained.memories["firm_2"])
    read = from_config({"kind": "greedy", "policy": TABLE, "path": str(tmp_path / "firm_2.npz")})
    ours, theirs = (
        prices(trained, {**trained.policies, "firm_2": one}, 4)
        for one in (read, trained.greedy_policies()["firm_2"])
    )
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["q_learning", "wolf_phc", "sarsa"])
def test_memories_of_runners_side_by_side_are_the_memory_of_all_markets(kind):
    policy = {"kind": kind, "prices": 5}
    assignment = TrainingAssignment.of(rivalry(policy))
    (spec, made) = hosted_learners.learners(assignment)["firm_2"]

    def learnt(numbers):
        batch = assignment.markets("training", numbers)
        batch.reset()
        for price in np.linspace(1.2, 2.0, 30):
            batch.step(np.full(batch.action_shape, price))
        return batch.memories["firm_2"]

    whole = dict(named(learnt([0, 1, 2, 3])))
    parts = dict(named(hosted_learners.joined(spec, made, [learnt([0, 1, 2]), learnt([3])])))
    assert parts.keys() == whole.keys()
    assert all(np.array_equal(parts[name], array) for name, array in whole.items())


def test_a_learner_that_something_is_wrapped_around_comes_out_as_well(on_cluster):
    wrapped = {"kind": "epsilon_greedy", "epsilon": 0.1, "policy": TABLE}
    trained = train(rivalry(wrapped))
    assert not rollout(
        trained.assignment.playing,
        {**trained.policies, **trained.greedy_policies()},
        ticks=5,
        markets=4,
    ).faults


def test_who_does_not_learn_or_begins_anew_with_every_episode_has_no_memory_to_show():
    assert not hosted_learners.learners(TrainingAssignment.of(rivalry({"kind": "hold"})))
    assert not hosted_learners.learners(TrainingAssignment.of(rivalry(keep_memories=False)))


def test_evaluations_are_played_against_what_the_others_have_learnt(trained):
    assignment, networks = trained.assignment, trained.networks
    policies, markets = everybody(assignment, networks, trained.memories)
    assert markets == 4 and assignment.plan.evaluation_markets == 2
    assert isinstance(policies["firm_2"], learners.GreedyPolicy)
    learnt, faults = evaluated(assignment, networks, trained.memories)
    assert not faults
    pair = {**trained.policies, **trained.greedy_policies()}
    seed = assignment.seed("evaluation")
    steps = list(play(assignment.playing, pair, seed=seed, markets=4))
    assert learnt["firm_1"] == pytest.approx(np.mean([step.reward[:, 0] for step in steps]))
    assert learnt != evaluated(assignment, networks)[0]


def test_what_a_training_leaves_plays_the_table_that_was_learnt_beside_the_network(
    on_cluster, tmp_path
):
    trained = train(rivalry({"kind": "epsilon_greedy", "epsilon": 0.1, "policy": TABLE}), tmp_path)
    scenario = scenarios.load(trained.folder / "trained.yaml")
    pair = {**trained.policies, **trained.greedy_policies(market=0)}
    assert np.array_equal(prices(trained, scenario.policies(), 3), prices(trained, pair, 3))
    found = exploitability(
        best_response.of_training(trained.folder, iterations=1),
        participants=["firm_1"],
        seeds=2,
        markets=2,
    )
    assert np.isfinite(found["firm_1"].gain)
