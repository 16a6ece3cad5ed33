"""The one loop: who sees what, what a failing policy costs, and what comes out of a play."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from mos_agents.market.observations import MarketView
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.schedules import Alternating
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.policies.base import Policy
from mos_agents.rollout import (
    SERIES,
    PolicyFault,
    compare_policies,
    log_decisions,
    mean_interval,
    play,
    rollout,
    transitions,
)
from tests.policies.markets import dealers, shop

WALK = make("random_walk", volatility=0.05)
NAMES = ("firm_1", "firm_2", "firm_3")


def everybody(policy=WALK, **others):
    return {**dict.fromkeys(NAMES, policy), **others}


@dataclass(frozen=True)
class MisbehavesAtTick(Policy):
    """Does at tick `at` what `how` says; otherwise keeps its price in force."""

    how: Any
    at: int = 2
    kind = "broken"
    atomic = True

    def start(self, spec, batch):
        return 0

    def act(self, spec, observation, memory, draws):
        action = observation[:, spec.where["own_ask"], None]
        if draws.tick == self.at:
            return self.how(action), memory + 1
        return action, memory + 1

    def propensity(self, spec, observation, action, memory):
        return np.ones(len(observation))


def raises(action):
    raise RuntimeError("a bug")


FAILURES = {
    "raises": raises,
    "not a number": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.full_like(a, np.inf),
    "too few": lambda a: a[:, :1],
    "no batch": lambda a: a[0, 0, 0],
    "text": lambda a: "expensive",
    "nothing": lambda a: None,
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
    "complex": lambda a: a + 1j,
    "objects": lambda a: a.astype(object),
    "no pair": lambda a: a,  # replaced below: `act` itself returns no memory
}


@dataclass(frozen=True)
class ForgetsItsMemory(MisbehavesAtTick):
    def act(self, spec, observation, memory, draws):
        return observation[:, spec.where["own_ask"], None]


# --- the loop -------------------------------------------------------------------------------------


def test_play_is_the_loop_written_by_hand():
    market, batch, seed = shop(sampled=True), 4, 5
    state, streams = market.start(batch), Streams.of(seed, batch)
    own = [Streams.of(seed, batch, owner=name) for name in NAMES]
    observation = market.first_observation(state, streams.at(0))
    for at, step in enumerate(play(market, everybody(), seed=seed, ticks=6, markets=batch)):
        actions = [
            WALK.act(spec, spec.own(observation), None, streams.at(at))[0]
            for spec, streams in zip(market.specs, own, strict=True)
        ]
        by_hand = tick(market, state, np.concatenate(actions, axis=1), streams.at(at))
        state, observation = by_hand.state, by_hand.observation
        assert np.array_equal(step.reward, by_hand.reward)
        assert np.array_equal(step.observation, by_hand.observation)
        assert step.state.tick == at + 1
    assert at == 5


def test_play_lasts_the_horizon_unless_told_otherwise():
    market = shop(horizon=7)
    assert sum(1 for _ in play(market, everybody())) == 7
    assert sum(1 for _ in play(market, everybody(), ticks=3)) == 3


def test_two_participants_with_the_same_policy_have_their_own_streams():
    asks = rollout(shop(), everybody(), ticks=1, series=("ask",)).series["ask"][0, 0]
    assert len(set(asks.tolist())) == 6


def test_a_market_has_the_same_bits_alone_in_any_company_and_in_any_order():
    market = shop(sampled=True, observations=MarketView(quote_delay=1, quote_noise=0.05))
    policies = everybody(firm_2=make("undercut"), firm_3=make("reactive"))
    whole = rollout(market, policies, ticks=10, markets=30, series=SERIES)
    few = rollout(market, policies, ticks=10, markets=np.array([17, 3, 29]), series=SERIES)
    for name in SERIES:
        assert np.array_equal(whole.series[name][:, [17, 3, 29]], few.series[name]), name
    other = rollout(market, policies, ticks=10, markets=30, seed=1)
    assert not np.array_equal(whole.reward, other.reward)


def test_a_policy_that_writes_into_what_it_sees_spoils_nothing_but_its_own_move():
    def spoils(action):
        action[...] = 12.0
        return action

    market = shop()
    (transition,) = transitions(
        market, everybody(firm_1=MisbehavesAtTick(spoils, at=0)), ticks=1, markets=2
    )
    untouched = market.first_observation(market.start(2), Streams.of(0, 2).at(0))
    assert (transition.actions[:, :2] == 12.0).all()
    assert np.array_equal(transition.observation, untouched)


def test_everybody_gets_its_own_observation_alone():
    @dataclass(frozen=True)
    class Looks(MisbehavesAtTick):
        def act(self, spec, observation, memory, draws):
            assert observation.base is None and observation.shape == (2, spec.size)
            assert (spec.read(observation, "own_ask") == spec.opening_price).all()
            return spec.read(observation, "own_ask")[..., None], memory

    prices = shop().catalogue.reference_price + np.arange(6.0)
    market = shop(quotes=PostedPrice())
    market = market.with_parts(catalogue=replace(market.catalogue, reference_price=prices))
    assert rollout(market, everybody(Looks(None)), ticks=1, markets=2).faults == ()


@pytest.mark.parametrize("how", FAILURES)
def test_a_failing_policy_loses_its_move_and_nobody_elses(how):
    market = shop(reference=Fundamentals())
    broken = ForgetsItsMemory(None) if how == "no pair" else MisbehavesAtTick(FAILURES[how])
    kept = {"ticks": 6, "markets": 3, "series": ("ask", "reward"), "on_fault": "hold"}
    failed = rollout(market, everybody(firm_2=broken), **kept)
    standing = rollout(market, everybody(firm_2=MisbehavesAtTick(lambda a: a)), **kept)
    for name in kept["series"]:
        assert np.array_equal(failed.series[name], standing.series[name])
    (fault,) = failed.faults
    ticks = 6 if how == "no pair" else 1
    assert (fault.participant, fault.decisions) == ("firm_2", 3 * ticks)
    assert fault.first_tick == (0 if how == "no pair" else 2)
    assert failed.refused == {"firm_2": {"not a finite number": 3 * ticks}}
    assert str(failed).startswith(f"FAULTS of firm_2: {3 * ticks} of 18 decisions lost")


def test_a_policy_that_fails_in_one_market_is_refused_in_that_one_only():
    def once(action):
        action[1] = np.nan
        return action

    run = rollout(
        shop(), everybody(firm_2=MisbehavesAtTick(once)), ticks=4, markets=3, on_fault="hold"
    )
    assert run.faults[0].decisions == 1
    assert run.refused == {"firm_2": {"not a finite number": 1}}


def test_a_policy_with_endless_kinds_of_failure_does_not_fill_the_memory():
    @dataclass(frozen=True)
    class Chatty(MisbehavesAtTick):
        def act(self, spec, observation, memory, draws):
            raise RuntimeError(f"tick {draws.tick}")

    run = rollout(shop(), everybody(firm_1=Chatty(None)), ticks=300, on_fault="hold")
    assert len(run.faults) <= 101
    assert sum(fault.decisions for fault in run.faults) == 300


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"policies": {"firm_1": WALK}}, r"none for \['firm_2', 'firm_3'\]"),
        ({"policies": everybody(firm_9=WALK)}, "'firm_9' is not a participant"),
        ({"policies": everybody(make("glft"))}, "glft decides the offset"),
        ({"policies": None}, "policies=None must map"),
        ({"policies": everybody(firm_2="hold")}, "firm_2: policy='hold' must be a policy or"),
        ({"ticks": 0}, "ticks=0 must be a whole number >= 1"),
        ({"ticks": 2.5}, "ticks=2.5"),
        ({"markets": 0}, "markets=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_a_wrong_use_of_play_is_told_at_once(arguments, message):
    with pytest.raises(InputError, match=message):
        play(shop(), **{"policies": everybody(), **arguments})


def test_a_policy_may_be_given_as_its_kind_and_parameters():
    written = everybody({"kind": "random_walk", "volatility": 0.05})
    first, second = (rollout(shop(), p, ticks=3) for p in (written, everybody()))
    np.testing.assert_array_equal(first.reward, second.reward)


def test_a_market_by_name_is_refused():
    with pytest.raises(InputError, match="market='retail' must be a Market"):
        rollout("retail", everybody(), ticks=1)


def test_a_menu_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"menu has shape \(3,\)"):
        log_decisions(shop(), everybody(), "firm_1", menu=np.ones(3), ticks=1)


# --- totals and series ----------------------------------------------------------------------------


def test_totals_are_the_sums_of_the_steps():
    market = shop(sampled=True)
    steps = list(play(market, everybody(), ticks=8, markets=5, seed=2))
    run = rollout(market, everybody(), ticks=8, markets=5, seed=2, series=("sold", "cash"))
    assert np.allclose(run.reward, sum(step.reward for step in steps), rtol=1e-12)
    assert np.allclose(
        run.metric("units_traded"), run.series["sold"].reshape(8, 5, 3, 2).sum((0, 3))
    )
    assert np.array_equal(run.series["cash"][-1], run.final.positions.cash)
    assert sum(a.nbytes for a in run.series.values()) == 8 * 8 * 5 * (6 + 3)


def test_pnl_is_the_change_of_cash_where_nothing_is_held():
    run = rollout(shop(sampled=True), everybody(), ticks=8, markets=5)
    assert np.allclose(run.metric("pnl"), run.final.positions.cash)


def test_series_too_large_are_refused_before_the_play():
    with pytest.raises(InputError, match="take 1 MB, over memory_limit=0 MB"):
        rollout(shop(), everybody(), markets=100, ticks=200, series=("ask",), memory_limit=1000)
    with pytest.raises(InputError, match="'asks' is not kept"):
        rollout(shop(), everybody(), series=("asks",))


# --- comparisons ----------------------------------------------------------------------------------


def test_the_same_policy_under_two_names_makes_no_difference_at_all():
    """Common random numbers: not a small difference, none."""
    found = compare_policies(
        shop(sampled=True),
        {"a": WALK, "b": make("random_walk", volatility=0.05)},
        participant="firm_1",
        others=everybody(),
        markets=20,
        ticks=5,
    )
    assert (found.row("b").difference, found.row("b").difference_high) == (0.0, 0.0)
    assert found.row("a").mean == found.row("b").mean


def test_a_dearer_policy_earns_what_logit_demand_says():
    """Expected demand is exact: intervals shrink to the figure worked out here."""
    found = compare_policies(
        shop(2, 1, reference=Fundamentals()),
        {"at 15": make("fixed_price", price=15.0), "at 20": make("fixed_price", price=17.0)},
        participant="firm_1",
        others={"firm_2": make("fixed_price", price=15.0)},
        markets=5,
        ticks=3,
    )
    weights = np.exp([0.5 - 1.5 * 17 / 15, -1.0, 0.0])
    dear = 7.0 * 20.0 * weights[0] / weights.sum()
    even = 5.0 * 20.0 * np.exp(-1.0) / (2 * np.exp(-1.0) + 1.0)
    row = found.row("at 20")
    assert row.mean == pytest.approx(dear)
    assert row.low == row.high == row.mean
    assert row.difference == pytest.approx(dear - even)
    assert row.better == float(dear > even)


def test_common_random_numbers_tell_apart_what_separate_streams_do_not():
    market = dealers(makers=1, ticks=100)
    found = compare_policies(
        market,
        {"narrow": make("fixed_spread", spread=1.2), "wide": make("fixed_spread", spread=1.4)},
        participant="maker_1",
        seeds=(0, 1),
        markets=100,
    )
    narrow, wide = (found.values[name, "maker_1"] for name in ("narrow", "wide"))
    assert narrow.size == 200
    assert (wide - narrow).var() < 0.6 * (wide.var() + narrow.var())
    row = found.row("wide")
    assert row.difference == pytest.approx((wide - narrow).mean())
    assert row.difference_low < row.difference < row.difference_high


def test_whole_markets_are_compared_for_everybody():
    found = compare_policies(
        shop(sampled=True),
        {"calm": everybody(make("hold")), "war": everybody(make("undercut", share=0.1))},
        markets=30,
        ticks=10,
        baseline="calm",
        metric="revenue",
    )
    assert [(r.candidate, r.participant) for r in found.rows] == [
        (c, n) for n in NAMES for c in ("calm", "war")
    ]
    assert all(found.row("war", name).difference_high < 0.0 for name in NAMES)
    text = str(found)
    assert "revenue per tick, 30 replicates, 95% intervals" in text
    assert len({len(line) for line in text.splitlines()[1:] if "war" in line}) == 1


def test_a_failing_candidate_is_named_in_the_table():
    found = compare_policies(
        shop(),
        {"sound": WALK, "broken": MisbehavesAtTick(raises)},
        participant="firm_1",
        others=everybody(),
        markets=2,
        ticks=4,
        on_fault="hold",
    )
    assert list(found.faults) == ["broken"]
    assert str(found).startswith("broken: FAULTS of firm_1: 2 of 8 decisions lost (2 RuntimeError)")
    assert "RuntimeError: a bug" in str(found)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"candidates": {}}, "must name at least one"),
        ({"baseline": "c"}, "baseline='c' must be one of"),
        ({"confidence": 95}, "confidence=95 must be between 0 and 1"),
        ({"seeds": (1, 1)}, "must be distinct"),
        ({"participant": "firm_7"}, "'firm_7' is not one of"),
        ({"participant": None}, "each must give a policy to every participant"),
        ({"metric": "wealth"}, "metric='wealth'"),
        ({"confidence": "x"}, "confidence='x' must be between 0 and 1"),
        ({"resamples": 0}, "resamples=0 must be a whole number >= 10"),
        ({"seeds": None}, "must be distinct numbers"),
        ({"markets": [3, 3]}, "must be distinct: the same one is no replicate"),
    ],
)
def test_a_wrong_comparison_is_told_in_one_line(arguments, message):
    given = {"candidates": {"a": WALK}, "participant": "firm_1", "others": everybody()}
    with pytest.raises(InputError, match=message):
        compare_policies(shop(), **{**given, "markets": 2, "ticks": 1, **arguments})


@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_intervals_cover_the_mean_at_their_rate(law):
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        sample = getattr(generator, "standard_" + law)(60)
        _, low, high = mean_interval(sample, 0.9, 500)
        covered += low <= (1.0 if law == "exponential" else 0.0) <= high
    assert 0.85 <= covered / 400 <= 0.945  # .9 with 3 standard errors, and some skewness


def test_one_replicate_has_no_interval():
    assert mean_interval(np.array([3.0])) == (3.0, -np.inf, np.inf)


# --- records --------------------------------------------------------------------------------------


def test_a_record_holds_what_was_seen_done_and_how_likely_it_was():
    policies = everybody(firm_2=make("uniform", levels=4, low=10.0, high=19.0))
    menu = make("uniform", levels=4, low=10.0, high=19.0).grid(shop().spec("firm_2"))
    market = shop(products=1, quotes=PostedPrice(max_relative_change=1.0, min_margin=0.0))
    record = log_decisions(
        market,
        policies,
        "firm_2",
        ticks=5,
        markets=50,
        targets={"fixed": make("fixed_price", price=13.0), "same": policies["firm_2"]},
        menu=menu[:, :1],
    )
    run = rollout(market, policies, ticks=5, markets=50, series=("action", "reward"))
    assert np.array_equal(record.action[..., 0, 0], run.series["action"][:, :, 1, 0].T)
    assert np.array_equal(record.reward, run.series["reward"][:, :, 1].T)
    assert (record.behaviour == 0.25).all() and (record.target["same"] == 0.25).all()
    assert np.array_equal(record.target["fixed"], (record.action[..., 0, 0] == 13.0) * 1.0)
    assert (record.menu["fixed"] == [0.0, 1.0, 0.0, 0.0]).all()
    own = record.spec.where["own_ask"]
    assert np.array_equal(record.observation[:, 1:, own][..., 0], record.action[:, :-1, 0, 0])


def test_a_participant_that_is_not_on_the_move_decides_nothing():
    market = shop(2, 1, schedule=Alternating())
    record = log_decisions(
        market,
        dict.fromkeys(NAMES[:2], make("uniform", levels=5)),
        "firm_2",
        ticks=6,
        markets=3,
        targets={"hold": make("hold")},
    )
    assert record.moved.tolist() == [[False, True] * 3] * 3
    assert (record.behaviour[:, ::2] == 1.0).all() and (record.behaviour[:, 1::2] == 0.2).all()
    assert (record.target["hold"][:, ::2] == 1.0).all()


def test_a_record_of_a_policy_that_fails_is_refused():
    given = shop(), everybody(firm_1=MisbehavesAtTick(raises))
    with pytest.raises(PolicyFault, match=r"failed at tick 2: RuntimeError"):
        log_decisions(*given, "firm_2", ticks=5, markets=2)
    with pytest.raises(InputError, match=r"failed at tick 2 .*no propensity"):
        log_decisions(*given, "firm_1", ticks=5, markets=2, on_fault="hold")
    record = log_decisions(*given, "firm_2", ticks=5, markets=2, on_fault="hold")
    assert record.reward.shape == (2, 5)
