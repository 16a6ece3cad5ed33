"""Off-policy estimates against truths that are computed exactly, and refusals where none can be."""

import numpy as np
import pytest

from mos_agents.analysis.fitted_values import fit_values
from mos_agents.analysis.ope import doubly_robust, ips, snips
from mos_agents.analysis.ope_weights import OverlapError
from mos_agents.market.demand import Logit
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.rollout import log_decisions, rollout
from tests.policies.markets import shop

GRID = np.linspace(12.0, 18.0, 4)
FREE = PostedPrice(low=5.0, high=40.0, max_relative_change=1.0, tick_size=0.0)
KEEN = Logit(intercept=8.0, price_coefficient=8.0)
RIVAL = make("fixed_price", price=14.0)
REPLICATIONS = 400


def explorer(price, epsilon):
    """Asks one price of the grid, but with probability epsilon any of its four."""
    return make(
        "epsilon_greedy",
        policy={"kind": "fixed_price", "price": price},
        epsilon=epsilon,
        levels=4,
        low=12.0,
        high=18.0,
    )


BEHAVIOUR, TARGET = explorer(12.0, 0.8), explorer(14.0, 0.3)


def exact_shop():
    """One product, a rival at 14, expected demand of a crowd of 20: rewards without chance."""
    return shop(2, 1, demand=KEEN, quotes=FREE, reference=Fundamentals())


def sampled_shop():
    """The same with a Poisson crowd that chooses one by one: the same rewards on average."""
    return shop(2, 1, sampled=True, demand=KEEN, quotes=FREE, reference=Fundamentals())


def one_period_truth():
    """Expected reward of the target: its four probabilities times the exact rewards."""
    rewards = np.array(
        [
            rollout(
                exact_shop(), {"firm_1": make("fixed_price", price=p), "firm_2": RIVAL}, ticks=1
            ).reward[0, 0]
            for p in GRID
        ]
    )
    chances = 0.3 / 4 + 0.7 * (GRID == 14.0)
    return float(chances @ rewards)


def features(record):
    """One indicator per price of the grid, of what was done and of the menu."""
    price = record.action[:, :, 0, 0]
    taken = (np.abs(price[..., None] - GRID) < 1e-9) * 1.0
    offered = np.broadcast_to(np.eye(4), (*price.shape, 4, 4))
    return taken, offered


def records(market, rows, ticks=1, targets=None, rival=RIVAL):
    return log_decisions(
        market,
        {"firm_1": BEHAVIOUR, "firm_2": rival},
        "firm_1",
        ticks=ticks,
        markets=rows,
        targets=targets or {"t": TARGET},
        menu=GRID[:, None, None],
        seed=11,
    )


def coverage(record, truth, target, discount=1.0, episodes=150, **settings):
    """Shares of the replications whose 95% intervals hold the truth, by estimator."""
    settings = {"discount": discount, **settings}
    taken, offered = features(record)
    hits = np.zeros(3)
    for r in range(REPLICATIONS):
        own = slice(r * episodes, (r + 1) * episodes)
        logged = record.reward[own], record.behaviour[own], target[own]
        q, v = fit_values(
            record.reward[own], taken[own], offered[own], record.menu["t"][own], discount=discount
        )
        found = (
            ips(*logged, **settings),
            snips(*logged, **settings),
            doubly_robust(*logged, q, v, **settings),
        )
        hits += [e.low <= truth <= e.high for e in found]
    return hits / REPLICATIONS


@pytest.fixture(scope="module")
def single():
    return records(sampled_shop(), 150 * REPLICATIONS)


# Of 400 replications at a true rate of .95, between .917 and .983 hit, but for one time in 700;
# skewed weights cost a little more at the lower end.
AT_THE_RATE = (0.912, 0.985)


def test_intervals_cover_the_truth_of_a_single_decision_at_their_rate(single):
    found = coverage(single, one_period_truth(), single.target["t"])
    assert (found >= AT_THE_RATE[0]).all() and (found <= AT_THE_RATE[1]).all(), found


def test_bootstrap_intervals_cover_it_as_well(single):
    truth, hits, runs = one_period_truth(), np.zeros(2), 150
    for r in range(runs):
        own = slice(r * 150, (r + 1) * 150)
        logged = single.reward[own], single.behaviour[own], single.target["t"][own]
        for i, estimator in enumerate((ips, snips)):
            found = estimator(*logged, interval="bootstrap", resamples=400)
            hits[i] += found.low <= truth <= found.high
    assert (hits / runs >= 0.89).all() and (hits / runs <= 0.995).all(), hits / runs


def test_the_estimates_of_a_large_record_agree_with_the_truth(single):
    truth, logged = one_period_truth(), (single.reward, single.behaviour, single.target["t"])
    q, v = fit_values(single.reward, *features(single), single.menu["t"])
    found = ips(*logged), snips(*logged), doubly_robust(*logged, q, v)
    for estimate in found:
        assert abs(estimate.value - truth) < 4.0 * estimate.standard_error < 0.06 * truth
    assert found[2].standard_error < found[1].standard_error < found[0].standard_error


def test_target_propensities_set_to_one_are_refused_and_would_miss_the_truth(single):
    """The fault that this project set out from: every target propensity is 1."""
    truth, ones = one_period_truth(), np.ones_like(single.behaviour)
    with pytest.raises(OverlapError, match=r"averages .* and must be near 1"):
        ips(single.reward, single.behaviour, ones)
    found = coverage(single, truth, ones, minimum_ess=0.0)
    assert (found[:2] < 0.05).all() and found[2] > AT_THE_RATE[1], found


def test_behaviour_propensities_that_are_not_the_real_ones_miss_the_truth(single):
    found = coverage(
        single,
        one_period_truth(),
        single.target["t"] * np.where(single.behaviour > 0.3, 0.8, 1.25),
        minimum_ess=0.0,
    )
    assert found[0] < 0.9


# --- episodes -------------------------------------------------------------------------------------

TICKS, DISCOUNT = 3, 0.9
MILD = explorer(14.0, 0.6)  # weights of three ticks multiply: the target is nearer than above
FOLLOWER = make("match_cheapest", floor=0.0)  # asks what firm_1 asked the tick before


def episode_truth():
    """All 4^3 price paths, played out exactly and weighted by the target's probabilities."""
    paths = np.array(np.meshgrid(*[GRID] * TICKS, indexing="ij")).reshape(TICKS, -1).T
    every = {"firm_1": make("uniform", levels=4, low=12.0, high=18.0), "firm_2": FOLLOWER}
    record = log_decisions(exact_shop(), every, "firm_1", ticks=TICKS, markets=4000)
    played = record.action[:, :, 0, 0]
    value = 0.0
    for path in paths:
        row = np.flatnonzero((np.abs(played - path) < 1e-9).all(axis=1))[0]
        chance = np.prod(0.6 / 4 + 0.4 * (np.abs(path - 14.0) < 1e-9))
        value += chance * float(DISCOUNT ** np.arange(TICKS) @ record.reward[row])
    return value


@pytest.fixture(scope="module")
def episodes():
    asked = {"t": MILD}
    return records(sampled_shop(), 300 * REPLICATIONS, TICKS, asked, FOLLOWER)


def test_intervals_cover_the_truth_of_an_episode_at_their_rate(episodes):
    """The rival follows: what the target does now changes what it earns next."""
    found = coverage(
        episodes,
        episode_truth(),
        episodes.target["t"],
        discount=DISCOUNT,
        episodes=300,
        minimum_ess=10.0,
    )
    assert (found >= 0.9).all() and (found <= 0.985).all(), found


def test_ignoring_what_a_decision_brings_later_misses_the_truth_of_an_episode(episodes):
    """Weights of the present decision alone: the estimate of a one-period world."""
    ratio = episodes.target["t"] / episodes.behaviour
    alone = (ratio * episodes.reward) @ DISCOUNT ** np.arange(TICKS)
    truth = episode_truth()
    whole = ips(episodes.reward, episodes.behaviour, episodes.target["t"], discount=DISCOUNT)
    assert abs(whole.value - truth) < 4.0 * whole.standard_error
    assert abs(alone.mean() - truth) > 10.0 * alone.std() / np.sqrt(alone.size)


def test_a_perfect_model_needs_no_chance_and_a_wrong_one_does_no_harm():
    record = records(exact_shop(), 400)
    truth = one_period_truth()
    logged = record.reward, record.behaviour, record.target["t"]
    q, v = fit_values(record.reward, *features(record), record.menu["t"], ridge=1e-12)
    perfect = doubly_robust(*logged, q, v)
    assert perfect.value == pytest.approx(truth, rel=1e-6)
    assert perfect.standard_error < 1e-6 * truth
    wrong = doubly_robust(*logged, np.full_like(q, 3.0), np.full_like(v, 3.0))
    assert abs(wrong.value - truth) < 4.0 * wrong.standard_error


# --- worked by hand -------------------------------------------------------------------------------


def test_two_episodes_worked_by_hand():
    """Weights 2, 2x.5 = 1 and .5, .5x2 = 1; discount .5."""
    reward = np.array([[1.0, 2.0], [3.0, 4.0]])
    behaviour = np.array([[0.25, 0.5], [0.5, 0.25]])
    target = np.array([[0.5, 0.25], [0.25, 0.5]])
    free = {"discount": 0.5, "minimum_ess": 0.0}
    assert ips(reward, behaviour, target, **free).value == pytest.approx(
        0.5 * (2 * 1 + 0.5 * 1 * 2 + 0.5 * 3 + 0.5 * 1 * 4)
    )
    assert snips(reward, behaviour, target, **free).value == pytest.approx(
        (2 * 1 + 0.5 * 3) / 2.5 + 0.5 * (2 + 4) / 2
    )
    q, v = np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([[5.0, 4.0], [3.0, 2.0]])
    first = 5 + 2 * (1 + 0.5 * 4 - 1) + 0.5 * 1 * (2 - 1)
    second = 3 + 0.5 * (3 + 0.5 * 2 - 2) + 0.5 * 1 * (4 - 2)
    found = doubly_robust(reward, behaviour, target, q, v, **free)
    assert found.value == pytest.approx(0.5 * (first + second))
    assert (found.episodes, found.effective, found.largest) == (2, 2.0, 0.5)


def test_the_behaviour_evaluated_from_its_own_record_is_its_plain_mean():
    generator = np.random.default_rng(0)
    reward, chance = generator.normal(size=(200, 4)), generator.uniform(0.1, 1.0, (200, 4))
    plain = reward.sum(axis=1)
    for estimator in (ips, snips):
        found = estimator(reward, chance, chance)
        assert found.value == pytest.approx(plain.mean())
        assert found.standard_error == pytest.approx(plain.std(ddof=1) / np.sqrt(200))
        assert found.effective == pytest.approx(200.0)


def test_a_constant_added_to_all_rewards_moves_the_self_normalised_estimate_by_it(single):
    own = slice(0, 150)
    logged = single.behaviour[own], single.target["t"][own]
    moved = snips(single.reward[own] + 1000.0, *logged)
    plain = snips(single.reward[own], *logged)
    assert moved.value == pytest.approx(plain.value + 1000.0)
    assert moved.standard_error == pytest.approx(plain.standard_error)


# --- refusals -------------------------------------------------------------------------------------


def test_poor_overlap_is_refused_with_its_measure_and_a_remedy():
    record = records(exact_shop(), 60, targets={"t": TARGET, "off": explorer(13.0, 0.0)})
    few = slice(0, 20)
    with pytest.raises(
        OverlapError, match=r"effective sample size .* of 20 .*record more episodes"
    ):
        ips(record.reward[few], record.behaviour[few], record.target["t"][few])
    with pytest.raises(OverlapError, match=r"effective sample size 0.0 of 60"):
        snips(record.reward, record.behaviour, record.target["off"])
    with pytest.raises(OverlapError, match="no recorded action is possible"):
        snips(record.reward, record.behaviour, record.target["off"], minimum_ess=0.0)


def test_a_target_that_does_what_the_behaviour_never_does_is_refused():
    """Half of what the target does is in the record: weights look even, but average one half."""
    generator = np.random.default_rng(0)
    reward, behaviour = generator.normal(size=1000), np.full(1000, 0.25)
    with pytest.raises(OverlapError, match="the behaviour never does"):
        ips(reward, behaviour, np.where(generator.random(1000) < 0.5, 0.25, 0.0))


def test_a_fixed_price_cannot_be_evaluated_from_prices_drawn_from_a_continuum():
    record = log_decisions(
        exact_shop(),
        {"firm_1": make("uniform", low=12.0, high=18.0), "firm_2": RIVAL},
        "firm_1",
        ticks=1,
        markets=500,
        targets={"t": make("fixed_price", price=15.0)},
    )
    with pytest.raises(OverlapError):
        ips(record.reward, record.behaviour, record.target["t"])


def test_a_density_is_evaluated_from_another_density():
    """Random walks around 15 with volatilities .1 (played) and .05 (asked about)."""
    wide, narrow = make("random_walk", volatility=0.1), make("random_walk", volatility=0.05)
    record = log_decisions(
        exact_shop(),
        {"firm_1": wide, "firm_2": RIVAL},
        "firm_1",
        ticks=1,
        markets=20_000,
        targets={"t": narrow},
    )
    truth = rollout(
        exact_shop(), {"firm_1": narrow, "firm_2": RIVAL}, ticks=1, markets=20_000, seed=5
    ).reward[:, 0]
    found = snips(record.reward, record.behaviour, record.target["t"])
    error = np.hypot(found.standard_error, truth.std() / np.sqrt(20_000))
    assert abs(found.value - truth.mean()) < 4.0 * error
    assert abs(record.reward.mean() - truth.mean()) > 8.0 * error


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"behaviour": np.zeros(40)}, "behaviour=0 must be > 0"),
        ({"target": -np.ones(40)}, "target=-1 must be >= 0"),
        ({"target": np.ones((40, 2))}, r"target has shape \(40, 2\), must be \(40, 1\)"),
        ({"reward": np.full(40, np.nan)}, "reward has 40 values that are not finite"),
        ({"reward": np.ones((1, 2, 3))}, "reward has shape"),
        ({"discount": 1.5}, "discount=1.5"),
        ({"confidence": 95.0}, "confidence=95.0 must be between 0 and 1"),
        ({"interval": "exact"}, "interval='exact'"),
        ({"target": np.full(40, 1e300), "behaviour": np.full(40, 1e-300)}, "largest weight is inf"),
        ({"reward": [[1.0, 2.0], [3.0]]}, "reward must be an array of numbers"),
        ({"discout": 1.0}, "discout=1.0 is not a setting"),
        ({"resamples": 0}, "resamples=0"),
    ],
)
def test_records_that_cannot_be_are_told_in_one_line(changes, message):
    given = {"reward": np.ones(40), "behaviour": np.ones(40), "target": np.ones(40), **changes}
    with pytest.raises(InputError, match=message):
        ips(**given)


def test_a_menu_that_misses_what_the_target_may_do_is_refused():
    with pytest.raises(InputError, match=r"menu_chances sum to 0\.5 somewhere"):
        fit_values(np.ones(10), np.ones((10, 1)), np.ones((10, 2, 1)), np.full((10, 2), 0.25))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ridge": -1.0}, "ridge=-1.0"),
        ({"folds": 2.5}, "folds=2.5"),
        ({"discount": 5}, "discount=5"),
    ],
)
def test_values_that_cannot_be_fitted_are_told_in_one_line(changes, message):
    arrays = (np.ones(10), np.ones((10, 1)), np.ones((10, 2, 1)), np.full((10, 2), 0.5))
    with pytest.raises(InputError, match=message):
        fit_values(*arrays, **changes)
    with pytest.raises(InputError, match="some features follow from others"):
        fit_values(arrays[0], np.ones((10, 2)), np.ones((10, 2, 2)), arrays[3], ridge=0.0)
    with pytest.raises(InputError, match="features has 10 values that are not finite"):
        fit_values(arrays[0], np.full((10, 1), np.nan), *arrays[2:])


def test_values_are_fitted_on_other_episodes_than_their_own():
    """With one indicator the fit is the other folds' mean, never the own reward."""
    reward = np.arange(10.0)
    q, v = fit_values(
        reward, np.ones((10, 1)), np.ones((10, 1, 1)), np.ones((10, 1)), folds=10, ridge=0.0
    )
    assert q[:, 0] == pytest.approx((reward.sum() - reward) / 9)
    assert np.allclose(q, v)


def test_fitted_values_hold_what_comes_later_discounted():
    """Rewards 1 and then 2, or 1 and then 4, by the second action; the target takes the latter."""
    second = np.tile([0, 1], 10)
    reward = np.stack([np.ones(20), 2.0 + 2.0 * second], axis=1)
    taken = np.stack([np.tile([1.0, 0.0], (20, 1)), np.eye(2)[second]], axis=1)
    menu = np.broadcast_to(np.eye(2), (20, 2, 2, 2))
    chances = np.broadcast_to([[1.0, 0.0], [0.0, 1.0]], (20, 2, 2))
    q, v = fit_values(reward, taken, menu, chances, discount=0.5, folds=3, ridge=1e-12)
    assert v == pytest.approx(np.tile([1.0 + 0.5 * 4.0, 4.0], (20, 1)), abs=1e-6)
    assert q[:, 0] == pytest.approx(np.full(20, 3.0), abs=1e-6)
    assert q[:, 1] == pytest.approx(reward[:, 1], abs=1e-6)
