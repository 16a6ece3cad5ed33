"""The first moves and corrections of each learner, worked by hand.

A seller with two levels, 11 (number 0) and 13 (number 1); what it sees, earns and draws is given.
"""

import math

import numpy as np
import pytest
from scipy.stats import norm

from mos_agents.learners.thompson import greatest
from mos_agents.market.schedules import Alternating, RandomMoves
from mos_agents.market.streams import FixedDraws
from mos_agents.policies import make
from tests.learners.worlds import duopoly
from tests.policies.markets import seen

LEVELS = (11.0, 13.0)


def lived(policy, steps, spec=None):
    """(levels, memory) after steps (own level standing, reward of the last tick, uniform drawn).

    A learner that draws normals is given them in the uniform's place, one for each level.
    """
    spec = spec or duopoly().specs[0]
    memory, chosen = policy.start(spec, 1), []
    for standing, reward, *drawn_by_hand in steps:
        observation = seen(spec, own_ask=LEVELS[standing], rival_ask=LEVELS[1], cost=10.0)
        draws = FixedDraws({"choose": [drawn_by_hand]})
        memory = policy.learn(spec, observation, np.array([float(reward)]), memory, draws)
        if not drawn_by_hand:  # it has heard of its last reward, and the play ends
            return chosen, memory
        action, memory = policy.act(spec, observation, memory, draws)
        chosen.append(LEVELS.index(action[0, 0, 0]))
    return chosen, memory


def chances(policy, memory, standing=1, spec=None):
    """Propensities of the two levels."""
    spec = spec or duopoly().specs[0]
    observation = seen(spec, own_ask=LEVELS[standing], rival_ask=LEVELS[1], cost=10.0)
    return [
        float(policy.propensity(spec, observation, np.full((1, 1, 1), price), memory)[0])
        for price in LEVELS
    ]


def two_levels(kind, **parameters):
    return make(kind, prices=LEVELS, relative_to="money", **({"features": "nothing"} | parameters))


def test_sarsa_judges_a_move_by_the_move_that_followed_it():
    policy = two_levels("sarsa", features="own", alpha=0.5, delta=0.9, epsilon=0.0)
    chosen, memory = lived(
        policy,
        [
            (1, 0, 0.7),  # nothing is known: .7 draws level 1
            (1, 4, 0.2),  # the move waits for this one: still nothing is known, .2 draws level 0
            (0, 6, 0.7),  # Q(1, 1) = .5 (4 + .9 Q(1, 0)) = 2; in state 0 nothing is known: level 1
            (1, 8, 0.7),  # Q(1, 0) = .5 (6 + .9 Q(0, 1)) = 3; in state 1 level 0 is the best
            (0, 1),  # Q(0, 1) = .5 (8 + .9 Q(1, 0)) = .5 (8 + 2.7) = 5.35
        ],
    )
    assert chosen == [1, 0, 1, 0]
    assert memory.tables.q == pytest.approx(np.array([[0.0, 5.35], [3.0, 2.0]]))


def test_sarsa_and_q_learning_differ_where_the_next_move_is_an_experiment():
    """One state, both levels known: Q = (3, 2). Level 1 earns 4 and is followed by level 1, which
    is not the best: SARSA bootstraps on 2 and not on 3."""
    policy = two_levels("sarsa", alpha=0.5, delta=0.5, epsilon=1.0, initial=(3.0, 2.0))
    _, memory = lived(policy, [(1, 0, 0.9), (1, 4, 0.9), (1, 4)])
    assert memory.tables.q[0] == pytest.approx([3.0, 0.5 * 2.0 + 0.5 * (4.0 + 0.5 * 2.0)])


def test_boltzmann_weighs_levels_by_their_worths_over_the_temperature():
    policy = two_levels("boltzmann", alpha=0.5, delta=0.5, temperature=2.0, beta=math.log(2.0))
    _, memory = lived(policy, [(1, 0, 0.6), (1, 4)])
    assert memory.tables.q[0] == pytest.approx([0.0, 2.0])  # .5 (4 + .5 x 0)
    hot = 1.0 / (1.0 + math.exp(2.0))  # T = 1 by now
    assert chances(policy, memory) == pytest.approx([hot, 1.0 - hot], rel=1e-14)
    chosen, memory = lived(policy, [(1, 0, 0.6), (1, 4, hot - 1e-9), (0, 1)])
    assert chosen == [1, 0]
    assert memory.tables.q[0] == pytest.approx([1.0, 2.0])  # .5 (1 + .5 x 2)
    cold = 1.0 / (1.0 + math.exp((2.0 - 1.0) / 0.5))
    assert chances(policy, memory) == pytest.approx([cold, 1.0 - cold], rel=1e-14)


def test_a_cold_boltzmann_learner_asks_the_best_price_without_overflow():
    policy = two_levels("boltzmann", initial=(1e6, -1e6), temperature=1e-9, temperature_floor=1e-9)
    chosen, memory = lived(policy, [(1, 0, 0.999999)])
    assert chosen == [0] and chances(policy, memory) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("step", "means"), [(None, [5.0, 3.0]), (0.5, [2.5, 2.0])], ids=["means", "constant step"]
)
def test_a_bandit_keeps_the_mean_of_what_levels_earned(step, means):
    policy = two_levels("bandit_epsilon_greedy", step=step, epsilon=1.0)
    chosen, memory = lived(policy, [(1, 0, 0.9), (1, 4, 0.9), (1, 2, 0.1), (0, 5)])
    # Of level 1: 4, then 2: mean 3; by steps of one half 2, then 2. Of level 0: 5.
    assert chosen == [1, 1, 0] and memory.tables.mean[0] == pytest.approx(means)
    assert memory.tables.trials[0].tolist() == [1, 2]


def test_an_exploring_bandit_draws_the_best_level_with_one_minus_half_of_epsilon():
    policy = two_levels(
        "bandit_epsilon_greedy", epsilon=0.4, beta=math.log(2.0), epsilon_floor=0.15
    )
    _, memory = lived(policy, [(1, 0, 0.9), (1, 4)])
    assert chances(policy, memory) == pytest.approx([0.1, 0.9])  # epsilon = .2 at tick 1
    _, memory = lived(policy, [(1, 0, 0.9), (1, 4, 0.9), (1, 4)])
    assert chances(policy, memory) == pytest.approx([0.075, 0.925])  # not .1, but the floor of .15


def test_ucb1_tries_every_level_once_and_then_the_highest_bound():
    policy = two_levels("ucb1", reward_low=0.0, reward_high=10.0)
    chosen, memory = lived(policy, [(1, 0, 0.6), (1, 4, 0.6), (0, 5)])
    assert chosen == [1, 0]  # level 1 by chance, level 0 because it is the only one left
    index = policy.index(memory.tables, np.zeros((1, 1), np.int64))[0, 0]
    assert index == pytest.approx(
        [0.5 + math.sqrt(2 * math.log(2)), 0.4 + math.sqrt(2 * math.log(2))]
    )
    assert chances(policy, memory) == [1.0, 0.0]
    chosen, memory = lived(policy, [(1, 0, 0.6), (1, 4, 0.6), (0, 5, 0.6), (0, 5)])
    index = policy.index(memory.tables, np.zeros((1, 1), np.int64))[0, 0]
    # Three trials: .5 + sqrt(2 ln 3 / 2) = 1.548 and .4 + sqrt(2 ln 3) = 1.882.
    assert index == pytest.approx([1.548147, 1.882304], abs=1e-6)
    assert chances(policy, memory) == [0.0, 1.0]


def test_exp3_raises_the_weight_of_the_level_drawn_by_its_reward_over_its_chance():
    policy = two_levels("exp3", gamma=0.5, reward_low=0.0, reward_high=10.0)
    _, memory = lived(policy, [(1, 0, 0.6), (1, 10)])
    # x = 1, p = .5: the weight gains exp(.5 x 1 / (.5 x 2)) = exp(.5); half of the draws explore.
    share = math.exp(0.5) / (1.0 + math.exp(0.5))
    assert chances(policy, memory)[1] == pytest.approx(0.25 + 0.5 * share, rel=1e-14)
    _, memory = lived(policy, [(1, 0, 0.6), (1, 10, 0.1), (0, 5)])
    chance = 0.25 + 0.5 * (1.0 - share)
    weights = np.exp([0.5 * 0.5 / (chance * 2.0), 0.5])
    assert chances(policy, memory)[0] == pytest.approx(0.25 + 0.5 * weights[0] / weights.sum())


def test_thompson_believes_as_a_normal_prior_and_normal_rewards_have_it():
    policy = two_levels("thompson", noise=1.0, prior_mean=0.0, prior_sd=2.0)
    chosen, memory = lived(policy, [(1, 0, 0.1, 0.3), (1, 3)])
    assert chosen == [1]  # 0 + 2 x .3 is more than 0 + 2 x .1
    mean, sd = policy.belief(memory.tables, np.zeros((1, 1), np.int64))
    assert mean[0, 0] == pytest.approx([0.0, 2.4])  # 3 / (1 + 1 / 4)
    assert sd[0, 0] == pytest.approx([2.0, 1.25**-0.5])
    expected = norm.cdf(2.4 / math.sqrt(4.0 + 0.8))
    assert chances(policy, memory)[1] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("gap", [0.0, 0.3, 2.0, 8.0, 40.0])
@pytest.mark.parametrize("sds", [(1.0, 1.0), (100.0, 1e-4), (0.5, 30.0)])
def test_the_chance_that_a_normal_is_the_greater_of_two_is_known_in_closed_form(gap, sds):
    expected = norm.cdf(gap / math.hypot(*sds))
    found = greatest(np.array([gap, 0.0]), np.array(sds))
    assert found == pytest.approx([expected, 1.0 - expected], abs=1e-12)


def test_chances_to_be_the_greatest_of_many_are_those_of_draws_and_alike_for_alike():
    assert greatest(np.zeros(7), np.full(7, 3.0)) == pytest.approx(np.full(7, 1 / 7), abs=1e-12)
    mean, sd = np.array([0.0, 1.0, 1.5, -2.0]), np.array([3.0, 1.0, 0.1, 0.01])
    draws = mean + sd * np.random.default_rng(0).standard_normal((400_000, 4))
    found = np.bincount(draws.argmax(axis=1), minlength=4) / 400_000
    assert greatest(mean, sd) == pytest.approx(found, abs=4e-3)


def test_wolf_learns_by_the_long_step_while_losing_and_the_short_one_while_winning():
    policy = two_levels("wolf_phc", alpha=0.5, delta=0.0, win=0.1, lose=0.2, epsilon=0.0)
    _, memory = lived(policy, [(1, 0, 0.6), (1, 4)])
    # Q = (0, 2). The strategy is its own average: that is not winning. .2 goes from level 0 to 1.
    assert memory.tables.now[0] == pytest.approx([0.3, 0.7])
    chosen, memory = lived(policy, [(1, 0, 0.6), (1, 4, 0.1), (0, 1)])
    # Q = (.5, 2), average (.4, .6): .3 x .5 + .7 x 2 = 1.55 is more than 1.4: it wins.
    assert chosen == [1, 0] and memory.tables.q[0] == pytest.approx([0.5, 2.0])
    assert memory.tables.average[0] == pytest.approx([0.4, 0.6])
    assert memory.tables.now[0] == pytest.approx([0.2, 0.8])
    assert chances(policy, memory) == pytest.approx([0.2, 0.8])


def test_wolf_gives_no_more_than_a_level_has():
    policy = two_levels("wolf_phc", alpha=1.0, delta=0.0, win=0.1, lose=0.9, epsilon=0.0)
    _, memory = lived(policy, [(1, 0, 0.6), (1, 4)])
    assert memory.tables.now[0].tolist() == [0.0, 1.0]


def test_hedge_with_a_payoff_table_weighs_what_every_level_would_have_earned():
    policy = two_levels("hedge", payoffs=((0.0, 4.0), (2.0, 2.0)))
    _, memory = lived(policy, [(1, 0, 0.6), (1, 2)])  # the rival stands at its level 1
    # Of [0, 4], level 0 would have earned all and level 1 half: losses 0 and .5; t = 2.
    assert memory.tables.loss[0] == pytest.approx([0.0, 0.5])
    weight = math.exp(-0.5 * math.sqrt(8.0 * math.log(2.0) / 2.0))
    assert chances(policy, memory) == pytest.approx([1 / (1 + weight), weight / (1 + weight)])


def test_hedge_without_a_table_divides_the_loss_by_its_chance_and_a_little_more():
    policy = two_levels("hedge", reward_low=0.0, reward_high=10.0)
    _, memory = lived(policy, [(1, 0, 0.6), (1, 4)])
    implicit = 0.5 * math.sqrt(math.log(2.0) / 2.0)
    assert memory.tables.loss[0] == pytest.approx([0.0, 0.6 / (0.5 + implicit)])
    weight = math.exp(-math.sqrt(math.log(2.0) / 4.0) * 0.6 / (0.5 + implicit))
    assert chances(policy, memory) == pytest.approx([1 / (1 + weight), weight / (1 + weight)])


# --- turns ----------------------------------------------------------------------------------------

DISCOUNTED = {"sarsa": {"epsilon": 0.0}, "boltzmann": {}, "wolf_phc": {"epsilon": 0.0}}


@pytest.mark.parametrize("kind", DISCOUNTED)
def test_rewards_between_two_own_moves_are_discounted_and_summed(kind):
    """Klein (2021), eq. 4: r_t + delta r_(t+1) + delta^2 max Q, moves being every second tick."""
    policy = two_levels(kind, alpha=0.5, delta=0.9, initial=(10.0, 10.0), **DISCOUNTED[kind])
    spec = duopoly(schedule=Alternating()).specs[0]
    steps = [(1, 0, 0.6), (1, 3, 0.6), (1, 5, 0.6), (1, 2, 0.6), (1, 7, 0.6)]
    chosen, memory = lived(policy, [*steps, (1, 0)], spec)
    first = 0.5 * 10.0 + 0.5 * (3.0 + 0.9 * 5.0 + 0.81 * 10.0)
    assert chosen[:2] == [1, 1]  # at tick 1 it is not on the move and says the same again
    assert memory.tables.q[0, 1] != 10.0
    _, early = lived(policy, [*steps[:3], (1, 2)], spec)
    assert early.tables.q[0, 1] == pytest.approx(first)


def test_who_moves_second_hears_of_nothing_before_its_first_move():
    policy = two_levels("boltzmann", alpha=0.5, delta=0.9)
    spec = duopoly(schedule=Alternating()).specs[1]
    _, memory = lived(policy, [(1, 0, 0.6), (1, 100, 0.6), (1, 3, 0.6), (1, 5)], spec)
    assert memory.tables.q[0] == pytest.approx([0.0, 0.5 * (3.0 + 0.9 * 5.0)])


@pytest.mark.parametrize("kind", ["bandit_epsilon_greedy", "ucb1", "thompson"])
def test_a_bandit_hears_the_mean_of_the_ticks_in_which_its_price_stood(kind):
    scale = {"ucb1": {"reward_high": 1.0, "reward_low": 0.0}}
    policy = two_levels(kind, **scale.get(kind, {}))
    spec = duopoly(schedule=Alternating()).specs[0]
    drawn_by_hand = (0.6, 0.9)
    _, memory = lived(policy, [(1, 0, *drawn_by_hand), (1, 0.3, *drawn_by_hand), (1, 0.5)], spec)
    found = memory.tables.total if kind == "thompson" else memory.tables.mean
    assert found[0] == pytest.approx([0.0, 0.4]) and memory.tables.trials[0].tolist() == [0, 1]


RANDOM = duopoly(schedule=RandomMoves(0.5)).specs[0]


def test_where_turns_are_not_known_the_level_that_stood_is_corrected():
    """Level 1 was proposed, but level 0 was in force and earned 4."""
    policy = two_levels("boltzmann", alpha=0.5, delta=0.0)
    _, memory = lived(policy, [(0, 0, 0.6), (0, 4)], RANDOM)
    assert memory.tables.q[0] == pytest.approx([2.0, 0.0])
    policy = two_levels("sarsa", alpha=0.5, delta=0.5, epsilon=0.0)
    _, memory = lived(policy, [(0, 0, 0.6), (0, 4, 0.6), (1, 8, 0.6), (0, 0)], RANDOM)
    # (0, 4) is followed by level 1, then nothing is known of it; (1, 8) is followed by level 0.
    assert memory.tables.q[0] == pytest.approx([2.0, 0.5 * (8.0 + 0.5 * 2.0)])


@pytest.mark.parametrize("kind", ["exp3", "hedge"])
def test_weights_by_chance_learn_only_from_a_proposal_that_stood(kind):
    policy = two_levels(kind, reward_low=0.0, reward_high=10.0)
    _, passed = lived(policy, [(0, 0, 0.6), (0, 4)], RANDOM)
    assert chances(policy, passed, spec=RANDOM) == [0.5, 0.5]
    _, heard = lived(policy, [(0, 0, 0.6), (1, 4)], RANDOM)
    assert chances(policy, heard, spec=RANDOM) != [0.5, 0.5]
