"""Screens sound where something was planted, and not at competitive controls."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mos_agents.analysis import controls
from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.impulse import Deviation, rivals_reaction
from mos_agents.analysis.price_wars import WarDefinition
from mos_agents.analysis.screens import (
    CollusivePricing,
    EdgeworthCycle,
    Following,
    Observed,
    PriceWar,
    SessionPaths,
    coordination,
    fall_together,
    false_alarm_rate,
    logit_best_reply,
)
from mos_agents.analysis.screens.pricing import beyond_reply
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError

MARKET = LogitMarket.from_scale([2.0, 2.0], [1.0, 1.0], range(2), scale=0.25)
KNOWN = Benchmarks.of(MARKET.bertrand_nash(), MARKET.joint_profit())
NASH, JOINT = float(KNOWN.price_nash[0]), float(KNOWN.price_joint[0])
GRID = np.linspace(NASH - 0.1 * KNOWN.gap, JOINT + 0.1 * KNOWN.gap, 15)
CHEAPEST_REPLY = 1.62  # about the static best response to the joint price
TICKS, MANY = 200, 1000


REPLY = logit_best_reply(2.0, 1.0, 0.25)


def of(prices, deviation=None, demand=1.0):
    profits = demand * MARKET.profits(prices)
    return SessionPaths(prices, KNOWN, profits, deviation, 1.0, demand, REPLY)


def planted_wars(sessions, ticks=TICKS, seed=0, together=True):
    """High prices, three falls to Nash: of both firms within a tick, or each at its own time."""
    rng = np.random.default_rng(seed)
    prices = JOINT + 0.01 * rng.standard_normal((ticks, sessions, 2))
    for s in range(sessions):
        for _ in range(3):
            onset, length = rng.integers(ticks, size=2), int(rng.integers(6, 15))
            for i in range(2):
                start = onset[0] + i if together else onset[i]
                prices[(start + np.arange(length)) % ticks, s, i] -= KNOWN.gap
    return prices


CONTROLS = {
    "random": controls.random_prices(GRID, TICKS, MANY, 2, seed=0),
    "a little noise around Nash": controls.nash_with_noise(NASH, 0.02, TICKS, MANY, 2, seed=0),
    "much noise around Nash": controls.nash_with_noise(NASH, 0.1, TICKS, MANY, 2, seed=0),
    "fading noise around Nash": controls.autoregressive(NASH, 0.15, 0.9, TICKS, MANY, 2, seed=0),
    "random walks": controls.random_walks(NASH, 0.05, 1.0, 2.0, TICKS, MANY, 2, seed=0),
    "re-paired": controls.mixed_sessions(planted_wars(MANY), seed=0),
}


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(
    "screen",
    [
        PriceWar(),
        Following(),
        EdgeworthCycle(),
        fall_together,
        partial(fall_together, reference="repair"),
    ],
    ids=["war", "following", "cycle", "turned", "re-paired"],
)
def test_a_competitive_control_is_flagged_at_most_in_5_per_cent_of_1000_sessions(screen, control):
    found = false_alarm_rate(screen, SessionPaths(CONTROLS[control], KNOWN, cost=1.0))
    assert found.sessions == MANY
    assert found.at_most(0.05), str(found)


def test_the_definition_taken_literally_flags_every_random_session():
    literal = partial(fall_together, level=1.0)
    assert literal(SessionPaths(CONTROLS["random"], KNOWN)).all()
    assert literal(SessionPaths(CONTROLS["re-paired"], KNOWN)).mean() > 0.5
    assert not literal(SessionPaths(CONTROLS["a little noise around Nash"], KNOWN)).any()


REFERENCES = ("shift", "repair")


@pytest.mark.parametrize("reference", REFERENCES)
def test_wars_that_firms_wage_together_are_flagged(reference):
    sessions = SessionPaths(planted_wars(200, ticks=400), KNOWN, cost=1.0)
    assert fall_together(sessions, reference=reference).mean() > 0.85
    assert PriceWar()(sessions).mean() > 0.85


def falling_costs(sessions, seed, common):
    """Nash prices, noise, and three spells of low cost: at the same ticks for all, or not."""
    rng = np.random.default_rng(seed)
    cost = np.zeros((TICKS, sessions, 1))
    for s in range(sessions):
        for onset in (40, 90, 150) if common else rng.integers(20, TICKS - 20, size=3):
            cost[onset : onset + 12, s] = -0.3
    return NASH + cost + rng.normal(0.0, 0.05, (TICKS, sessions, 2)), cost


def test_a_cost_shock_that_all_sessions_share_misleads_turning_but_not_re_pairing():
    prices, _ = falling_costs(MANY, 0, common=True)
    assert fall_together(SessionPaths(prices[:, :200], KNOWN)).mean() > 0.5
    again = partial(fall_together, reference="repair")
    found = false_alarm_rate(again, SessionPaths(prices, KNOWN))
    assert found.at_most(0.05), str(found)


def test_a_sessions_own_cost_shock_misleads_both_unless_it_is_taken_out_of_prices():
    prices, cost = falling_costs(MANY, 0, common=False)
    for reference in REFERENCES:
        screen = partial(fall_together, reference=reference)
        assert screen(SessionPaths(prices[:, :200], KNOWN)).mean() > 0.3
        found = false_alarm_rate(screen, SessionPaths(prices - cost, KNOWN))
        assert found.at_most(0.05), str(found)


@pytest.mark.parametrize(("enough", "shares"), [(None, (0.05, 0.25, 0.5)), (5, (0.05, 0.25))])
def test_p_values_of_unconnected_firms_are_spread_evenly(enough, shares):
    prices = controls.random_prices(GRID, 100, 1000, 3, seed=1)
    p = coordination(prices, NASH, JOINT, WarDefinition(level=3), copies=19, enough=enough)
    for share in shares:
        assert abs((p <= share + 1e-9).mean() - share) < 4.0 * np.sqrt(share * (1 - share) / 1000)
    assert p.min() == 0.05


def test_a_session_without_a_war_has_p_value_1():
    quiet = np.full((50, 3, 2), JOINT)
    np.testing.assert_array_equal(coordination(quiet, NASH, JOINT), [1.0] * 3)


def test_a_cost_shock_sets_off_no_war_and_without_costs_there_is_no_verdict():
    for common in (True, False):
        prices, cost = falling_costs(MANY, 0, common=common)
        sessions = SessionPaths(prices, KNOWN, cost=1.0 + np.repeat(cost, 2, axis=2))
        found = false_alarm_rate(PriceWar(), sessions)
        assert found.at_most(0.05), str(found)
        with pytest.raises(InputError, match="it needs the firms' unit costs or"):
            PriceWar()(SessionPaths(prices, KNOWN))


def saw_teeth(sessions, jitter, noise, seed=0, ticks=TICKS):
    """Falls from the joint price to Nash in about 8 ticks, then one rise."""
    rng = np.random.default_rng(seed)
    prices = np.empty((ticks, sessions, 2))
    for s in range(sessions):
        begin = 0
        while begin < ticks:
            length = max(4, round(8 * (1.0 + jitter * rng.standard_normal())))
            fall = np.linspace(JOINT, NASH, length)[: ticks - begin]
            prices[begin : begin + length, s] = fall[:, None]
            begin += length
    return prices + rng.normal(0.0, noise, prices.shape)


def test_saw_teeth_are_flagged():
    for jitter, noise in ((0.0, 0.03), (0.1, 0.0), (0.1, 0.1 * KNOWN.gap)):
        saw = saw_teeth(100, jitter, noise)
        assert EdgeworthCycle()(SessionPaths(saw, KNOWN)).all()
        assert EdgeworthCycle(every=2)(SessionPaths(np.repeat(saw, 2, axis=0), KNOWN)).all()
        assert not EdgeworthCycle()(SessionPaths(saw[::-1], KNOWN)).any()  # rises slowly


def test_seasons_and_promotions_are_no_price_cycles():
    rng, ticks = np.random.default_rng(0), np.arange(600)
    noise = 0.02 * rng.standard_normal((600, 200, 3))
    sine = 1.75 + 0.2 * np.sin(2.0 * np.pi * ticks / 20)[:, None, None] + noise
    promotion = 1.75 - 0.18 * (ticks % 52 < 4)[:, None, None] + noise
    known = Benchmarks(np.full(3, NASH), np.full(3, JOINT), np.full(3, 0.22), np.full(3, 0.34))
    for prices in (sine, promotion):
        found = false_alarm_rate(EdgeworthCycle(), SessionPaths(prices, known))
        assert found.at_most(0.05), str(found)


def test_a_price_cycle_is_left_alone_by_the_screens_of_answers():
    saw = saw_teeth(1, 0.1, 0.0)[:, 0]
    record = Observed(saw, cost=1.0, price_nash=NASH, price_joint=JOINT, best_reply=REPLY)
    for screen in (PriceWar(), Following(), CollusivePricing()):
        found = screen.test(record)
        assert found.alarm is None
        assert "cycle of undercuts" in found.sentence


# --- collusive pricing ----------------------------------------------------------------------------


def deviation(start, answer):
    """Firm 0 of each session is forced from `start` [S, 2] to the reply; the rest is `answer`."""
    alone = np.tile(start, (12, 1, 1))
    prices = alone.copy()
    prices[2, :, 0] = CHEAPEST_REPLY
    for row in range(3, 12):
        prices[row] = answer(row - 1, prices)  # tau
    return Deviation(prices, alone, MARKET.profits(prices), MARKET.profits(alone), shock=2)


def test_high_prices_with_punishment_are_flagged_and_without_it_are_not():
    rest = np.full((TICKS, 5, 2), JOINT)
    punished = deviation(rest[0], lambda tau, p: NASH if tau <= 6 else JOINT)
    ignored = deviation(rest[0], lambda tau, p: JOINT)
    assert CollusivePricing()(of(rest, punished)).all()
    assert not CollusivePricing()(of(rest, ignored)).any()


def test_a_slap_on_the_wrist_that_leaves_the_deviation_profitable_is_not_flagged():
    rest = np.full((TICKS, 5, 2), JOINT)
    slap = deviation(rest[0], lambda tau, p: 1.9 if tau == 2 else JOINT)
    assert not CollusivePricing()(of(rest, slap)).any()


def test_firms_that_price_at_random_earn_much_and_are_not_flagged():
    prices = CONTROLS["random"]
    alone = prices[:30]
    forced = alone.copy()
    forced[5, :, 0] = CHEAPEST_REPLY
    pair = Deviation(forced, alone, MARKET.profits(forced), MARKET.profits(alone), shock=5)
    assert (CollusivePricing().lower_limit(MARKET.profits(prices), KNOWN) > 0.25).mean() > 0.9
    found = false_alarm_rate(CollusivePricing(threshold=0.25), of(prices, pair))
    assert found.at_most(0.05), str(found)


def test_without_the_same_numbers_in_both_runs_chance_passes_for_punishment():
    prices = CONTROLS["random"]
    alone, other = prices[:30], prices[100:130].copy()
    other[:5] = alone[:5]
    other[5, :, 0] = CHEAPEST_REPLY
    pair = Deviation(other, alone, MARKET.profits(other), MARKET.profits(alone), shock=5)
    screen = CollusivePricing(threshold=0.25)  # what random firms earn is above it, below the usual
    assert screen(of(prices, pair)).mean() > 0.08  # more than the level


def test_myopic_firms_answer_a_cut_with_a_cut_and_are_not_flagged():
    def reply(tau, prices):
        menu = np.stack([GRID, np.full(15, prices[tau, 0, 0])], axis=1)  # the deviator's last price
        best = GRID[MARKET.profits(menu)[:, 0].argmax()]
        return np.array([[NASH, best if tau == 2 else NASH]])

    noise = controls.nash_with_noise(NASH, 0.02, TICKS, MANY, 2, seed=2)
    start = np.full((MANY, 2), NASH)
    found = false_alarm_rate(CollusivePricing(reaction=0.0), of(noise, deviation(start, reply)))
    assert found.at_most(0.05), str(found)


def test_high_demand_alone_is_no_collusion():
    """Competitors whose demand is 30% above the benchmarks' earn as much as a mild cartel."""
    noise = controls.nash_with_noise(NASH, 0.02, TICKS, 200, 2, seed=3)
    start = np.full((200, 2), NASH)
    answer = deviation(start, lambda tau, p: NASH)
    assert (CollusivePricing().lower_limit(1.3 * MARKET.profits(noise), KNOWN) > 0.5).all()
    assert not CollusivePricing()(of(noise, answer, demand=1.3)).any()
    with pytest.raises(InputError, match="demand must be given"):
        CollusivePricing()(SessionPaths(noise, KNOWN, MARKET.profits(noise), answer))


def test_a_best_reply_to_a_cut_is_no_punishment():
    """At the joint price a static best replier cuts after a cut, too, and cuts no further."""
    rest = np.full((TICKS, 5, 2), JOINT)

    def reply(tau, prices):
        cut = REPLY(prices[tau]) - REPLY(rest[tau]) if tau == 2 else 0.0
        return rest[tau] + cut

    start = deviation(rest[0], reply)
    assert (rivals_reaction(start) < -0.01).all()
    assert (beyond_reply(start, REPLY) > -0.01).all()
    assert not CollusivePricing()(of(rest, start)).any()


def test_the_limit_of_a_constant_gain_is_the_gain():
    rest = np.full((40, 2, 2), JOINT)
    np.testing.assert_allclose(CollusivePricing().lower_limit(MARKET.profits(rest), KNOWN), 1.0)


# --- controls -------------------------------------------------------------------------------------


def test_a_control_has_the_prices_that_it_promises():
    assert set(np.unique(CONTROLS["random"])) == set(GRID)
    walk = CONTROLS["random walks"]
    assert walk.min() >= 1.0
    assert walk.max() <= 2.0
    np.testing.assert_allclose(walk[0], NASH)
    for name, spread in (("a little noise around Nash", 0.02), ("fading noise around Nash", 0.15)):
        assert CONTROLS[name].mean() == pytest.approx(NASH, abs=0.01)
        assert CONTROLS[name].std() == pytest.approx(spread, rel=0.02)
    fading = CONTROLS["fading noise around Nash"] - NASH
    assert (fading[1:] * fading[:-1]).mean() / fading.var() == pytest.approx(0.9, abs=0.01)


def test_re_pairing_keeps_each_firms_paths_and_breaks_every_pair():
    paths = np.arange(5 * 4 * 3.0).reshape(5, 4, 3)
    mixed = controls.mixed_sessions(paths, seed=0)
    origin = [[int(mixed[0, s, i] // 3) for i in range(3)] for s in range(4)]
    assert all(len(set(row)) == 3 for row in origin)
    for i in range(3):
        assert sorted(row[i] for row in origin) == [0, 1, 2, 3]
        for s in range(4):
            np.testing.assert_array_equal(mixed[:, s, i], paths[:, origin[s][i], i])


def test_strangers_are_firms_of_other_sessions_at_the_same_tick():
    paths = np.arange(5 * 4 * 2.0).reshape(5, 4, 2)
    mixed = controls.mixed_rivals(paths, [1, 3], np.random.default_rng(0))
    np.testing.assert_array_equal(mixed[:, :, 0], paths[:, [1, 3], 0])
    for row, own in enumerate((1, 3)):
        other = int(mixed[0, row, 1] // 2)
        assert other != own
        np.testing.assert_array_equal(mixed[:, row, 1], paths[:, other, 1])


def test_turning_in_time_keeps_each_firms_own_round():
    paths = np.arange(7 * 3 * 2.0).reshape(7, 3, 2)
    turned = controls.time_shifted(paths, np.random.default_rng(0))
    for s in range(3):
        for i in range(2):
            by = int(turned[0, s, i] - paths[0, s, i]) // 6
            np.testing.assert_array_equal(turned[:, s, i], np.roll(paths[:, s, i], -by))
    assert not np.array_equal(turned, paths)


def test_shuffling_time_keeps_what_firms_charged_together():
    paths = np.arange(7 * 3 * 2.0).reshape(7, 3, 2)
    shuffled = controls.time_shuffled(paths, seed=0)
    np.testing.assert_array_equal(shuffled[:, :, 1] - shuffled[:, :, 0], 1.0)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), paths)
    assert not np.array_equal(shuffled, paths)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: controls.random_prices(GRID, 5, 3, 2, seed),
        lambda seed: controls.nash_with_noise(NASH, 0.1, 5, 3, 2, seed),
        lambda seed: controls.random_walks(NASH, 0.1, 1.0, 2.0, 5, 3, 2, seed),
        lambda seed: controls.autoregressive(NASH, 0.1, 0.5, 5, 3, 2, seed),
        lambda seed: controls.mixed_sessions(np.arange(30.0).reshape(5, 3, 2), seed),
    ],
)
def test_same_seed_same_control_and_seed_0_is_a_seed(make):
    np.testing.assert_array_equal(make(0), make(0))
    assert any(not np.array_equal(make(0), make(seed)) for seed in (1, 2, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: fall_together(SessionPaths(np.ones((9, 2, 2)), KNOWN), level=0.001),
            "copies=199",
        ),
        (lambda: PriceWar(level=0.0), "level=0.0"),
        (lambda: coordination(np.ones((9, 1, 2)), 1.0, 2.0, reference="luck"), "reference='luck'"),
        (
            lambda: controls.mixed_rivals(np.ones((9, 1, 2)), [0], np.random.default_rng(0)),
            "1 session",
        ),
        (
            lambda: CollusivePricing()(SessionPaths(np.ones((3, 1, 2)), KNOWN)),
            "profits and deviation",
        ),
        (lambda: CollusivePricing(batches=1), "batches=1"),
        (
            lambda: false_alarm_rate(lambda s: [True], SessionPaths(np.ones((3, 2, 2)), KNOWN)),
            "screen",
        ),
        (lambda: SessionPaths(np.ones((3, 2)), KNOWN), "prices has shape"),
        (lambda: controls.random_prices([1.0], 5, 3, 2, 0), "grid has shape"),
        (lambda: controls.random_prices(GRID, 5, 3, 2, -1), "seed=-1"),
        (lambda: controls.random_walks(3.0, 0.1, 1.0, 2.0, 5, 3, 2, 0), "start="),
        (lambda: controls.autoregressive(NASH, 0.1, 1.0, 5, 3, 2, 0), "memory=1.0"),
        (lambda: controls.mixed_sessions(np.ones((5, 1, 2)), 0), "1 sessions"),
    ],
)
def test_bad_input_is_told_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
