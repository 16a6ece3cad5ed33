"""What trials measure: the same as the laboratory's other ways to it."""

from __future__ import annotations

import numpy as np
import pytest

import mos_agents
from mos_agents import scenarios
from mos_agents.analysis.collusion import profit_gain
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.sessions import play_sessions
from mos_agents.games.strategies import GreedyGame
from mos_agents.market.equilibrium import benchmarks
from mos_agents.policies.base import Policy
from mos_agents.rollout import rollout
from mos_agents.sweeps import PlayTrial, SessionsTrial
from mos_agents.sweeps.pricing import LEAST_GAP, collusion_measures
from mos_agents.sweeps.trials import by_participant, play_market
from tests.sweeps.worlds import GAME, RETAIL


def test_play_measures_what_a_rollout_adds_up() -> None:
    scenario = scenarios.override(RETAIL, ["markets=3"])
    row = PlayTrial()(scenario, 4).measures
    found = rollout(scenario.market(), scenario.policies(), seed=4, ticks=6, markets=3)
    for n, name in enumerate(found.participants):
        for measure in ("reward", "pnl", "units_traded", "holding_cost"):
            expected = found.metric(measure)[:, n].mean() / 6
            assert row[f"{measure}.{name}"] == pytest.approx(expected, rel=1e-12)
    names = ("platform", "firm_1", "firm_2")
    assert row["pnl"] == pytest.approx(np.mean([row[f"pnl.{name}"] for name in names]))
    assert row["pnl.firm"] == pytest.approx((row["pnl.firm_1"] + row["pnl.firm_2"]) / 2)
    assert sum(row[f"share.{name}"] for name in names) == pytest.approx(1.0)
    assert "mean_bid" not in row and "spread" not in row  # nobody buys here


def test_ticks_of_the_burn_in_do_not_count() -> None:
    found = rollout(RETAIL.market(), RETAIL.policies(), seed=1, series=("reward",))
    row = PlayTrial(burn_in=4)(RETAIL, 1).measures
    late = found.series["reward"][4:].mean(axis=(0, 1))
    assert row["reward.platform"] == pytest.approx(late[0], rel=1e-12)
    assert PlayTrial()(RETAIL, 1).measures["reward.platform"] != row["reward.platform"]


def test_makers_have_a_spread() -> None:
    scenario = scenarios.override(scenarios.load("market_making"), ["ticks=4", "assets=1"])
    row = PlayTrial()(scenario, 0).measures
    assert row["spread.maker_1"] == row["mean_ask.maker_1"] - row["mean_bid.maker_1"] > 0.0


def test_a_policy_that_fails_is_told_of() -> None:
    from mos_agents.market.spec import ParticipantSpec

    class Broken(Policy):
        kind = "broken"

        def start(self, spec: ParticipantSpec, markets: int) -> None:
            return None

        def act(self, spec, observation, memory, draws):  # type: ignore[no-untyped-def]
            raise ValueError("no idea")

    row = play_market(RETAIL.market(), {**RETAIL.policies(), "firm_1": Broken()}, 0, 2)
    assert row.measures["faults"] == 12
    line = "FAULTS of firm_1: 12 of 12 decisions lost (12 ValueError), first at tick 0: ValueError"
    assert len(row.notes) == 1 and row.notes[0].startswith(f"{line}: no idea (test_trials.py:")


def test_sessions_are_judged_as_everywhere_else() -> None:
    work = SessionsTrial(6, window=2000)
    row = work(GAME, 3).measures
    game = RepeatedGame.of(GAME.market(), GAME.policies())
    played = play_sessions(game, seed=3, sessions=6, window=2000)
    cycles = GreedyGame(game, played).cycles()
    theory = benchmarks(GAME.market())
    gain = profit_gain(cycles.mean(game.stage.payoffs), theory.pi_N, theory.pi_M)
    assert row["profit_gain"] == gain.mean()
    assert row["periods"] == (played.periods - 2000).mean()
    assert row["cycle_1"] + row["cycle_2"] + row["cycle_longer"] == pytest.approx(1.0)
    assert row["cycle_1"] == (cycles.length == 1).mean()
    assert row["price"] == pytest.approx(cycles.mean(game.stage.prices).mean())
    assert 0.0 <= row["exact_nash"] <= row["one_shot_nash"] <= 1.0


def test_play_tick_by_tick_can_tell_profit_gain_too() -> None:
    scenario = scenarios.override(GAME, ["ticks=50", "markets=2"])
    row = PlayTrial(theory=True)(scenario, 0).measures
    theory = benchmarks(scenario.market())
    span = theory.pi_M.mean() - theory.pi_N.mean()
    assert row["profit_gain"] == pytest.approx((row["pnl"] - theory.pi_N.mean()) / span)
    assert "profit_gain" not in PlayTrial()(scenario, 0).measures


def test_sessions_cut_off_are_told_of_and_have_no_time_to_convergence() -> None:
    row = SessionsTrial(2, periods=500, window=400)(GAME, 0)
    assert row.measures["converged"] == 0.0 and "periods" not in row.measures
    assert row.notes == ("2 of 2 sessions did not converge",)


def test_rewards_that_are_not_profits_have_no_profit_gain() -> None:
    moody = scenarios.override(GAME, ["rewards.weights={pnl: 1.0, volatility: -0.1}"])
    row = PlayTrial(theory=True)(scenarios.override(moody, ["ticks=5"]), 0)
    assert "profit_gain" in row.measures  # of the pnl, which is known apart
    scaled = scenarios.override(GAME, ["rewards.weights={pnl: 2.0}"])
    row = SessionsTrial(2, window=500)(scaled, 0)
    assert "profit_gain" not in row.measures and "rpdi" in row.measures
    assert row.notes == ("no profit gain: rewards are not profits; see rewards.weights",)


def test_a_market_without_benchmarks_says_so() -> None:
    row = PlayTrial(theory=True)(
        scenarios.override(scenarios.load("market_making"), ["ticks=3"]), 0
    )
    assert "profit_gain" not in row.measures
    assert any(note.startswith("no profit gain: ") for note in row.notes)


def test_a_role_called_like_a_participant_gives_way_to_it() -> None:
    found = by_participant(
        {"x": np.array([1.0, 2.0, 6.0])}, ("firm", "b", "platform"), ("firm", "firm", "platform")
    )
    assert found == {"x": 3.0, "x.firm": 1.0, "x.b": 2.0, "x.platform": 6.0}


def test_the_same_seed_gives_the_same_row_and_another_seed_another() -> None:
    for work, scenario in ((PlayTrial(), RETAIL), (SessionsTrial(2, window=500), GAME)):
        assert work(scenario, 5) == work(scenario, 5) != work(scenario, 6)


def test_a_profit_gain_is_not_a_ratio_to_a_gap_of_almost_nothing() -> None:
    market = mos_agents.pricing_game(execution__demand__outside=3.0)
    far = mos_agents.pricing_game()
    theory, usual = benchmarks(market), benchmarks(far)
    assert theory.pi_M.mean() < (1.0 + LEAST_GAP) * theory.pi_N.mean()
    for place, solved in ((market, theory), (far, usual)):
        measures, notes = collusion_measures(place, solved.p_M[None], solved.pi_M[None])
        assert ("profit_gain" in measures) == (place is far)
        assert any("earn only" in note for note in notes) == (place is market)
