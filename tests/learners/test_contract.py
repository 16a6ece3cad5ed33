"""What every learner keeps: bits, memories, propensities, turns, and its distance from others."""

from dataclasses import replace

import numpy as np
import pytest

from mos_agents.learners import LEARNERS, price_grid
from mos_agents.market.types import InputError
from mos_agents.policies import POLICIES, make
from mos_agents.policies.base import Policy
from mos_agents.testing import LearnerSuite
from mos_agents.testing.policies import copied, played
from mos_agents.testing.policies import memory_bits as bits
from mos_agents.trees import flatten, named
from tests.learners.worlds import KINDS, PLACES, duopoly, learner, placed
from tests.policies.markets import auction, shop

everywhere = pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind in KINDS for place in PLACES]
)
every_kind = pytest.mark.parametrize("kind", KINDS)


def test_every_learner_is_under_this_contract():
    assert set(KINDS) == set(LEARNERS)
    assert {kind for kind, cls in POLICIES.items() if cls.learn is not Policy.learn} == {
        *LEARNERS,
        "epsilon_greedy",
        "by_venue",  # its parts may learn
    }


@everywhere
class TestEveryLearner(LearnerSuite):
    @pytest.fixture(autouse=True)
    def _case(self, kind, place):
        market, parameters = PLACES[place]
        self.make, self.market = lambda: learner(kind, **parameters), lambda: market


@every_kind
def test_two_learners_of_a_kind_share_neither_streams_nor_memory(kind):
    market = shop(sellers=2, products=2)
    policy = learner(kind, prices=9)
    transitions, pool = played(market, dict.fromkeys(("firm_1", "firm_2"), policy))
    one, two = (turn_levels(transitions, market, n) for n in (0, 1))
    assert (one[0] != two[0]).any()  # the first move is chance alone
    for ours in flatten(pool.memories[0]):
        assert not any(np.shares_memory(ours, theirs) for theirs in flatten(pool.memories[1]))
    assert bits(pool.memories[0]) != bits(pool.memories[1])


def turn_levels(transitions, market, n):
    return np.stack([transition.actions[:, market.layout.own(n), 0] for transition in transitions])


@every_kind
def test_what_a_rival_keeps_to_itself_changes_nothing_for_a_learner(kind):
    """The rival's cost and so its profit, cash and values are others; its prices are the same."""

    def against(cost):
        market = shop(sellers=2, products=2)
        costs = market.catalogue.cost.copy()
        costs[market.layout.own(1)] = cost
        market = market.with_parts(catalogue=replace(market.catalogue, cost=costs))
        rival = make("fixed_price", price=14.0)
        policy = learner(kind, features="cheapest", relative_to="cost", low=1.1, high=1.9)
        return played(market, {"firm_1": policy, "firm_2": rival})

    (dear, dear_table), (cheap, cheap_table) = against(13.0), against(2.0)
    assert (dear[5].step.reward[:, 1] != cheap[5].step.reward[:, 1]).all()
    for one, other in zip(dear, cheap, strict=True):
        assert one.actions[:, :2].tobytes() == other.actions[:, :2].tobytes()
    assert bits(dear_table.memories[0]) == bits(cheap_table.memories[0])


@every_kind
def test_a_spec_shows_a_learner_nothing_private_of_others(kind):
    market, _ = placed(kind, "states")
    private = {"own_sold", "own_ask", "exposure", "inventory", "cash", "cost"}
    for spec in market.specs:
        own = set(range(*spec.listings.indices(market.layout.L)))
        for field in spec.fields:
            if field.name in private - {"cash", "exposure"}:
                assert set(field.index) <= own
        assert list(next(f for f in spec.fields if f.name == "cash").index) == [spec.number]
        assert {f.name for f in spec.fields} <= private | {
            "reference",
            "rival_ask",
            "rival_open",
            "clock",
        }


# --- propensities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "q_learning"])
def test_levels_that_the_limits_make_one_price_are_refused(kind):
    market = duopoly()  # prices of at most 40
    policy = learner(kind, prices=(20.0, 41.0, 50.0), relative_to="money")
    with pytest.raises(InputError, match=r"prices: levels 1 and 2 for .* are both 40"):
        policy.start(market.specs[0], 1)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "q_learning"])
def test_off_its_turn_a_learner_repeats_itself_for_certain(kind):
    market, policies = placed(kind, "periodic")
    transitions, pool = played(market, policies, markets=2)
    spec, policy = market.specs[0], pool.policies[0]
    for at, transition in enumerate(transitions):
        own, action = spec.own(transition.observation), transition.actions[:, spec.listings]
        if at % 2:
            assert (policy.propensity(spec, own, action, transition.memories[0]) == 1.0).all()
            ratio = action[:, :, 0] / transitions[at - 1].actions[:, spec.listings, 0]
            assert np.allclose(ratio, 1.0)


# --- scopes, participants and parameters ----------------------------------------------------------


@every_kind
def test_a_firm_moves_all_its_listings_by_one_level_and_listings_move_apart(kind):
    market = shop(sellers=2, products=10)
    for scope, kinds in (("firm", 1), ("listing", 2)):
        policy = learner(kind, scope=scope)
        transitions, pool = played(market, dict.fromkeys(("firm_1", "firm_2"), policy), markets=1)
        spec = market.specs[0]
        ratios = [
            np.unique((t.actions[0, spec.listings, 0] / 15.0).round(9)).size for t in transitions
        ]
        assert (max(ratios) == 1) if kinds == 1 else (max(ratios) >= 2)
        assert pool.memories[0].level.shape == (1, 1 if scope == "firm" else 10)


TABLE = [[1.0, 2.0], [0.0, 3.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        ("sarsa", {"alpha": 0.0}, r"sarsa.alpha=0 must be in \(0, 1\]"),
        ("sarsa", {"delta": 1.5}, "sarsa.delta=1.5"),
        ("sarsa", {"epsilon": -0.1}, "sarsa.epsilon=-0.1"),
        ("sarsa", {"beta": -1.0}, "sarsa.beta=-1.0"),
        ("sarsa", {"initial": (1.0, 2.0)}, "sarsa.initial has 2 numbers, but there are 3"),
        ("sarsa", {"features": "costs"}, "sarsa.features='costs'"),
        ("boltzmann", {"temperature": 0.0}, "boltzmann.temperature=0.0"),
        ("boltzmann", {"temperature_floor": 0.0}, "boltzmann.temperature_floor=0.0"),
        ("boltzmann", {"temprature": 1.0}, "did you mean 'temperature'"),
        ("bandit_epsilon_greedy", {"step": 0.0}, "bandit_epsilon_greedy.step=0"),
        ("bandit_epsilon_greedy", {"step": 2.0}, "bandit_epsilon_greedy.step=2.0"),
        ("ucb1", {"reward_high": -1.0}, "ucb1.reward_low=0.0 must be below reward_high=-1.0"),
        ("ucb1", {"confidence": -1.0}, "ucb1.confidence=-1.0"),
        ("exp3", {"gamma": 0.0}, "exp3.gamma=0"),
        ("exp3", {"reward_high": float("inf")}, "exp3.reward_high=inf"),
        ("thompson", {"noise": 0.0}, "thompson.noise=0 must be > 0"),
        ("thompson", {"prior_sd": -1.0}, "thompson.prior_sd=-1.0"),
        ("wolf_phc", {"win": 0.2, "lose": 0.1}, "wolf_phc.win=0.2 must be at most lose=0.1"),
        ("wolf_phc", {"lose": 0.0}, "wolf_phc.lose=0"),
        ("hedge", {"reward_low": None}, "hedge.reward_low is missing"),
        ("hedge", {"payoffs": TABLE[:2]}, "hedge.payoffs must be a table of 3 rows"),
        ("hedge", {"payoffs": [[1.0], [2.0, 3.0], [1.0]]}, "hedge.payoffs must be a table"),
        ("hedge", {"payoffs": "a table"}, "hedge.payoffs must be a table"),
    ],
)
def test_a_wrong_parameter_is_told_in_one_line(kind, parameters, message):
    with pytest.raises(InputError, match=message) as error:
        learner(kind, **parameters)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["ucb1", "exp3"])
def test_bounds_of_rewards_have_to_be_given(kind):
    with pytest.raises(InputError, match=f"{kind}.reward_high is missing"):
        make(kind)


@every_kind
def test_a_learner_for_another_participant_is_told_before_the_first_tick(kind):
    with pytest.raises(InputError, match=f"policy {kind} decides the price"):
        learner(kind).start(auction().specs[0], 1)
    with pytest.raises(InputError, match="no rival is seen here"):
        learner(kind, features="rivals").start(shop(sellers=1).specs[0], 1)


@every_kind
def test_tables_of_a_whole_batch_that_no_memory_holds_are_refused_before_they_are_made(
    kind, monkeypatch
):
    given = learner(kind, low=0.8, high=1.2, prices=60, features="all")
    spec = shop(sellers=2, products=1).specs[0]
    with pytest.raises(InputError, match=r"in 10,000,000 markets take .* GB, and 80% of") as error:
        given.start(spec, 10_000_000)
    assert "\n" not in str(error.value) and f"tables of {kind} in" in str(error.value)
    there = sum(a.nbytes for name, a in named(given.start(spec, 1)) if a.size >= 60 * 60)
    one = given.memory_needed(spec, 1)
    assert there <= one < 1.1 * there
    monkeypatch.setattr(price_grid, "memory", lambda: 3.5 * one / price_grid.MOST_OF_MEMORY)
    given.start(spec, 3)
    with pytest.raises(InputError, match="play at most 3 markets, or set fewer prices"):
        given.start(spec, 4)
    monkeypatch.setattr(price_grid, "memory", lambda: 0.5 * one)
    with pytest.raises(InputError, match="GB; set fewer prices or features='cheapest'"):
        given.start(spec, 1)


def test_tables_of_all_learners_of_a_play_count_together(monkeypatch):
    market, policies = placed("q_learning", "states")
    assert len(policies) > 1
    one = policies["firm_1"].memory_needed(market.specs[0], 4)
    monkeypatch.setattr(price_grid, "memory", lambda: 1.5 * one / price_grid.MOST_OF_MEMORY)
    policies["firm_1"].start(market.specs[0], 4)
    with pytest.raises(InputError, match=r"firm_1, firm_2.*: tables of q_learning in 4 markets"):
        played(market, policies)


@every_kind
def test_a_table_that_no_memory_holds_is_refused_before_it_is_made(kind):
    # 1000 x 1000 situations are few enough, but each has 1000 numbers.
    given = learner(kind, low=0.8, high=1.2, prices=1000, features="all")
    with pytest.raises(InputError, match="would keep a table of 1,000,000,000 numbers") as error:
        given.start(duopoly().specs[0], 1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("place", "parameters", "message"),
    [
        ("two products", {}, "has 2 columns, but the rivals seen have 3"),
        ("alternating", {}, "that move at every tick"),
        ("two products", {"features": "own"}, "that move at every tick"),
    ],
)
def test_a_payoff_table_that_does_not_fit_the_participant_is_told(place, parameters, message):
    market, _ = PLACES[place]
    with pytest.raises(InputError, match=message):
        learner("hedge", payoffs=TABLE, **parameters).start(market.specs[0], 1)


def test_copies_are_of_this_test_alone():
    """The helper that the tests above rely on does copy."""
    memory = learner("sarsa").start(duopoly().specs[0], 2)
    twin = copied(memory)
    twin.tables.q[:] = 7.0
    assert (memory.tables.q == 0.0).all() and bits(twin) != bits(memory)
