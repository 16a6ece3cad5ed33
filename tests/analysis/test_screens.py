"""Screens sound where something was planted, and not at competitive controls."""

from __future__ import annotations

import numpy as np
import pytest

from mos_agents.analysis import controls
from mos_agents.analysis.collusion import Benchmarks
from mos_agents.analysis.cycles import SawTooth
from mos_agents.analysis.impulse import Deviation
from mos_agents.analysis.price_wars import WarDefinition
from mos_agents.analysis.screens import (
    CollusivePricing,
    EdgeworthCycle,
    PriceWar,
    SessionPaths,
    coordination,
    false_alarm_rate,
)
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.types import InputError

MARKET = LogitMarket.from_scale([2.0, 2.0], [1.0, 1.0], range(2), scale=0.25)
KNOWN = Benchmarks.of(MARKET.bertrand_nash(), MARKET.joint_profit())
NASH, JOINT = float(KNOWN.price_nash[0]), float(KNOWN.price_joint[0])
GRID = np.linspace(NASH - 0.1 * KNOWN.gap, JOINT + 0.1 * KNOWN.gap, 15)
CHEAPEST_REPLY = 1.62  # about the static best response to the joint price
TICKS, MANY = 200, 1000


def of(prices, deviation=None):
    return SessionPaths(prices, KNOWN, MARKET.profits(prices), deviation)


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
    [PriceWar(), PriceWar(reference="repair"), EdgeworthCycle()],
    ids=["turned", "re-paired", "cycle"],
)
def test_a_competitive_control_is_flagged_at_most_in_5_per_cent_of_1000_sessions(screen, control):
    found = false_alarm_rate(screen, SessionPaths(CONTROLS[control], KNOWN))
    assert found.sessions == MANY
    assert found.at_most(0.05), str(found)


def test_the_definition_taken_literally_flags_every_random_session():
    literal = PriceWar(level=1.0)
    assert literal(SessionPaths(CONTROLS["random"], KNOWN)).all()
    assert literal(SessionPaths(CONTROLS["re-paired"], KNOWN)).mean() > 0.5
    assert not literal(SessionPaths(CONTROLS["a little noise around Nash"], KNOWN)).any()


REFERENCES = ("shift", "repair")


@pytest.mark.parametrize("reference", REFERENCES)
def test_wars_that_firms_wage_together_are_flagged(reference):
    sessions = SessionPaths(planted_wars(200, ticks=400), KNOWN)
    assert PriceWar(reference=reference)(sessions).mean() > 0.85


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
    assert PriceWar()(SessionPaths(prices[:, :200], KNOWN)).mean() > 0.5
    found = false_alarm_rate(PriceWar(reference="repair"), SessionPaths(prices, KNOWN))
    assert found.at_most(0.05), str(found)


def test_a_sessions_own_cost_shock_misleads_both_unless_it_is_taken_out_of_prices():
    prices, cost = falling_costs(MANY, 0, common=False)
    for reference in REFERENCES:
        screen = PriceWar(reference=reference)
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


def test_only_wars_in_the_window_count():
    prices = np.full((60, 1, 2), JOINT)
    prices[30:40] = NASH
    for begin, end, flagged in ((0, None, True), (0, 30, False), (30, 31, True), (31, None, False)):
        screen = PriceWar(level=1.0, begin=begin, end=end)
        assert screen(SessionPaths(prices, KNOWN)).tolist() == [flagged]


def test_saw_teeth_are_flagged():
    saw = np.tile(np.linspace(JOINT, NASH, 8)[:, None, None], (25, 100, 2))
    noisy = saw + np.random.default_rng(0).normal(0.0, 0.03, saw.shape)
    assert EdgeworthCycle()(SessionPaths(noisy, KNOWN)).all()
    assert EdgeworthCycle(SawTooth(every=2))(SessionPaths(np.repeat(saw, 2, axis=0), KNOWN)).all()


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
    assert screen(of(prices, pair)).mean() > 0.2


def test_myopic_firms_answer_a_cut_with_a_cut_and_are_not_flagged():
    def reply(tau, prices):
        menu = np.stack([GRID, np.full(15, prices[tau, 0, 0])], axis=1)  # the deviator's last price
        best = GRID[MARKET.profits(menu)[:, 0].argmax()]
        return np.array([[NASH, best if tau == 2 else NASH]])

    noise = controls.nash_with_noise(NASH, 0.02, TICKS, MANY, 2, seed=2)
    start = np.full((MANY, 2), NASH)
    found = false_alarm_rate(CollusivePricing(reaction=0.0), of(noise, deviation(start, reply)))
    assert found.at_most(0.05), str(found)


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
        (lambda: PriceWar(level=0.001), "copies=199"),
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
