"""Fees of venues: who pays them, who receives them, and a platform that sets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mos_agents import lab, scenarios
from mos_agents.market.equilibrium import LogitMarket
from mos_agents.market.equilibrium.chain import best_commission, fee_equilibrium
from mos_agents.market.refusals import NOT_FINITE, OUTSIDE, REASONS
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import FEE, InputError
from mos_agents.policies import make
from mos_agents.rollout import rollout, transitions
from mos_agents.scenarios.yaml_text import inline

FILE = Path(__file__).parents[1] / "scenarios" / "files" / "fee_game.yaml"
GAME = scenarios.load(str(FILE))
GRID = tuple(round(0.05 * i, 2) for i in range(14))


def changed(*changes):
    return scenarios.override(GAME, changes)


def logit(n=2, cost=1.0):
    return LogitMarket.from_scale(np.full(n, 2.0), np.full(n, cost), tuple(range(n)), 0.25)


def settled(scenario, ticks=3, **policies):
    """Rewards and prices of the last tick."""
    market = scenario.market()
    others = scenario.policies() | policies
    run = rollout(market, others, ticks=ticks, series=("ask", "reward"))
    return run.series["reward"][-1, 0], run.series["ask"][-1, 0]


@pytest.mark.parametrize("kind", ["fixed", "scheduled", "set_by_platform"])
@pytest.mark.parametrize(
    ("n", "fee", "price", "revenue", "profit"),
    [
        (2, 0.1, 1.572783, 0.144221, 0.190505),
        (2, 0.2, 1.693312, 0.295357, 0.154650),
        (3, 0.4, 2.0, 0.6, None),
    ],
)
def test_sellers_at_static_nash_pay_what_theory_says(kind, n, fee, price, revenue, profit):
    """The figures of the closed form to all digits given, and to 1e-8 those of the solver."""
    changes = [f"participants.firm.count={n}", f"participants.firm.policy.sellers={n}"]
    if kind == "set_by_platform":
        changes += [f"participants.platform.policy.fee={fee}"]
    else:
        value = f"fee: {fee}" if kind == "fixed" else f"fees: [0.3, {fee}]"
        changes += [f"venues.shop.fees={{kind: {kind}, {value}}}"]
        changes += ["participants.platform.policy={kind: hold}"]
    if kind == "fixed":
        changes += [f"participants.firm.policy.fee={fee}"]
    reward, ask = settled(changed(*changes))
    exact = fee_equilibrium(logit(n), fee)
    np.testing.assert_allclose(ask[-n:], exact.prices, rtol=1e-8)
    np.testing.assert_allclose(reward[1:], exact.seller_profits, rtol=1e-8)
    np.testing.assert_allclose(reward[0], exact.fees, rtol=1e-8)
    np.testing.assert_allclose(ask[-n:], price, atol=5e-7)
    np.testing.assert_allclose(reward[0], revenue, atol=5e-7)
    if profit is not None:
        np.testing.assert_allclose(reward[1:], profit, atol=5e-7)


def test_a_platform_of_the_best_fee_earns_what_theory_says():
    game = changed("participants.platform.policy={kind: best_fee}")
    reward, ask = settled(game)
    fee, revenue = best_commission(logit())
    np.testing.assert_allclose((ask[0], reward[0]), (fee, revenue), rtol=1e-8)
    np.testing.assert_allclose((ask[0], reward[0]), (0.410373, 0.518587), atol=5e-7)
    bounded = scenarios.override(game, ["venues.shop.fees.highest_fee=0.3"])
    assert settled(bounded)[1][0] == 0.3
    units = scenarios.override(
        game, ["venues.shop.fees={kind: set_by_platform, highest_fee: 0, highest_unit_fee: 2.0}"]
    )
    reward, _ = settled(units)
    np.testing.assert_allclose(reward[0], 0.429479, atol=5e-7)


@pytest.mark.parametrize(("n", "best"), [(2, 0.40), (3, 0.45)])
def test_a_bandit_finds_the_best_fee_of_the_grid(n, best):
    game = changed(
        f"participants.firm.count={n}",
        f"participants.firm.policy.sellers={n}",
        "venues.shop.fees.every=20",
        "participants.platform.policy={kind: bandit_epsilon_greedy, relative_to: money, "
        f"prices: {list(GRID)}}}",
    )
    run = rollout(game.market(), game.policies(), ticks=6000, markets=4, series=("ask",))
    late = run.series["ask"][4000:, :, 0]
    shares = {fee: float(np.isclose(late, fee).mean()) for fee in GRID}
    assert max(shares, key=shares.get) == best, shares
    stays = np.diff(run.series["ask"][:, 0, 0]) == 0.0
    assert stays[np.arange(1, 6000) % 20 != 0].all()


def test_a_fee_beyond_its_bound_is_refused_and_counted_and_bends_nobody_elses_tick():
    market = GAME.market()
    state, streams = market.start(4), Streams.of(0, np.arange(4))
    prices = np.array([0.1, 1.5, 1.6])[None, :, None] * np.ones((4, 1, 1))
    wrong = prices.copy()
    wrong[1, 0], wrong[2, 0], wrong[3, 0] = 0.66, np.nan, -0.01
    good, bad = (tick(market, state, one, streams.at(0)) for one in (prices, wrong))
    assert bad.info.refused[:, 0].tolist() == [0, OUTSIDE, NOT_FINITE, OUTSIDE]
    assert not bad.info.refused[:, 1:].any()
    assert bad.info.quotes.ask[:, 0].tolist() == [0.1, 0.0, 0.0, 0.0]
    assert (bad.info.quotes.ask[:, 1:] == good.info.quotes.ask[:, 1:]).all()
    assert (bad.info.executions.sold == good.info.executions.sold).all()
    run = rollout(
        market, GAME.policies() | {"platform": make("fixed_fee", fee=0.1)}, ticks=3, markets=2
    )
    assert not run.refused
    assert REASONS[OUTSIDE] == "outside the limits of an action"


def test_settings_of_fees_that_cannot_be_are_refused_in_one_line():
    for fees, message in (
        ("{kind: fixed, fee: 1.2}", "fee=1.2 must be in"),
        ("{kind: fixed, payer: nobody}", "payer='nobody' must be one of"),
        ("{kind: set_by_platform, highest_fee: 1.0}", "highest_fee=1.0 must be a share"),
        ("{kind: set_by_platform, highest_fee: 0}", "could set nothing"),
        ("{kind: set_by_platform, fee: 0.7}", "highest_fee is the most"),
        ("{kind: set_by_platform, every: 0}", "every=0"),
        ("{kind: scheduled, fees: [0.1, 0.2], unit_fees: [0, 0, 0]}", "as many numbers"),
    ):
        with pytest.raises(InputError, match=message) as error:
            changed(f"venues.shop.fees={fees}")
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="lets the platform decide, and there is none"):
        changed("participants.platform.role=firm").market()
    for policy, message in (
        ("{kind: fixed_fee, fee: 0.7}", "what the venue allows"),
        ("{kind: ucb1, prices: [0.1, 0.2], reward_high: 1}", "relative_to='opening' is for prices"),
        ("{kind: cost_plus}", "decides the price"),
    ):
        game = changed(f"participants.platform.policy={policy}")
        with pytest.raises(Exception, match=message):
            rollout(game.market(), game.policies(), ticks=1)


def test_the_platform_sees_its_rules_and_public_quotes_and_nothing_of_the_sellers():
    market = GAME.market()
    platform, firm = market.specs[0], market.specs[1]
    assert market.layout.kind.tolist() == [FEE, 0, 0]
    assert set(platform.where) == {
        "cash",
        "reference",
        "rival_ask",
        "rival_open",
        "fee",
        "unit_fee",
        "venue_sold",
        "clock",
    }
    assert "fee" in firm.where and "venue_sold" not in firm.where
    assert np.isnan(platform.opening_cost).all() and np.isfinite(firm.opening_cost).all()
    fixed = changed(
        "venues.shop.fees={kind: fixed, fee: 0.2}", "participants.platform.policy={kind: hold}"
    ).market()
    assert all("fee" not in spec.where for spec in fixed.specs)
    assert fixed.specs[0].size == 2  # cash and clock


def test_a_platform_may_be_after_fees_own_profit_consumers_and_output():
    """Its reward is the weighted sum of the closed form's figures, and infos and tables tell it."""
    weights = {"fee_revenue": 1.0, "own_profit": 0.3, "consumer_surplus": 0.5, "output": 0.1}
    game = changed(f"rewards.by_participant.platform={inline(weights)}")
    reward, _ = settled(game)
    exact = fee_equilibrium(logit(), 0.2)
    np.testing.assert_allclose(exact.consumer_surplus, 0.514180, atol=5e-7)
    wanted = exact.fees + 0.5 * exact.consumer_surplus + 0.1 * exact.quantities.sum()
    np.testing.assert_allclose(reward[0], wanted, rtol=1e-8)
    np.testing.assert_allclose(reward[1:], exact.seller_profits, rtol=1e-8)
    market = game.market()
    run = rollout(market, game.policies(), ticks=3, markets=2)
    assert run.metric("consumer_surplus").shape == (2, 3)
    assert "output" in run.to_polars().columns
    *_, last = transitions(market, game.policies(), seed=0, ticks=3)
    terms = market.rewards.breakdown(market, last.step.metrics)
    np.testing.assert_allclose(sum(terms.values()), last.step.reward, rtol=1e-12)
    assert "consumer_surplus" not in GAME.market().metrics


def test_consumer_surplus_is_a_column_where_demand_has_one_and_is_absent_elsewhere(tmp_path):
    for changes, there in (
        ({}, True),
        ({"venues.shop.execution.demand": {"kind": "cheapest"}}, False),
    ):
        played = lab.run(str(FILE), changes=changes, ticks=5, out=tmp_path, report=False)
        table = played.run.participants()
        assert ("consumer_surplus" in table.columns) == there
        assert lab.verify(played.run)
        if there:
            last = table.filter(table["tick"] == 4)["consumer_surplus"]
            np.testing.assert_allclose(last, 0.514180, atol=5e-7)
    with pytest.raises(InputError, match="no demand model of this market has a consumer surplus"):
        changed(
            "venues.shop.execution.demand={kind: cheapest}",
            "rewards.by_participant.platform={consumer_surplus: 1}",
        ).market()
    with pytest.raises(InputError, match="in ticks in which stock runs out"):
        changed("catalogue.stock=5", "rewards.weights={consumer_surplus: 1}").market()
