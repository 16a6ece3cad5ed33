"""Settings that a market cannot heed are refused in one line with the reason, also in Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mos_agents
from mos_agents import scenarios
from mos_agents.market import demand
from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.browsing import Browsing
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.metrics import METRICS
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice, TwoSided
from mos_agents.market.reference import Fundamentals, GeometricBrownian, Shock
from mos_agents.market.rewards import Objective
from mos_agents.market.schedules import Periodic
from mos_agents.market.types import InputError
from mos_agents.market.unused_settings import always_zero
from mos_agents.testing.playing import play
from tests.commands import refused
from tests.market.worlds import KINDS, auction, expected, makers, retail

TOLD = [
    # preset, changes, what the line says
    ("market_making", ["positions.payer=seller"], "no fee is charged"),
    ("market_making", ["positions.fee=0.1", "positions.payer=taker"], "must be traders or seller"),
    ("auction", ["positions.fee=0.2", "positions.payer=seller"], "nobody sells here"),
    ("retail", ["firms=0", "positions.unit_fee=0.1"], "nobody else trades"),
    ("retail", ["firms=0", "positions.fee=0.1"], "nobody else trades"),
    ("pricing_game", ["positions.holding_cost=0.01"], "holding_cost=0.01 changes nothing"),
    (
        "pricing_game",
        ["positions.base_stock=1.0", "positions.lead_time=2"],
        "positions.base_stock=1.0, positions.lead_time=2 changes nothing here: all goods are made",
    ),
    ("auction", ["positions.lead_time=2"], "nothing is held"),
    ("retail", ["positions.base_stock=0"], "nothing is ever ordered"),
    ("retail", ["catalogue.stock=0"], "it is a multiple of the opening stock, which is 0"),
    ("pricing_game", ["positions.shortage_cost=1.0"], "nobody is turned away"),
    ("auction", ["positions.shortage_cost=1.0"], "nobody is turned away"),
    ("autos_1990", ["positions.limit=100"], "nothing is held"),
    ("retail", ["positions.limit=100"], "it binds bids and short positions"),
    ("pricing_game", ["positions.mark=reference"], "positions.mark=reference changes nothing"),
    ("retail", ["catalogue.quality=[0, 9]"], "elasticity does not look at it"),
    ("market_making", ["catalogue.quality=2.0"], "fillintensity does not look at it"),
    ("retail", ["dt=0.5"], "dt=0.5 changes nothing here: no rate here is per unit of time"),
    ("pricing_game", ["arrivals.sell=3"], "nobody buys from customers"),
    ("auction", ["arrivals=poisson"], "arrivals.buy=1 changes nothing here: an auction sells"),
    ("auction", ["arrivals.kind=poisson", "arrivals.buy=0"], "nothing would ever be auctioned"),
    ("auction", ["arrivals=browsing"], "browsing shoppers need posted prices"),
    ("market_making", ["arrivals=browsing"], "browsing shoppers need posted prices"),
    ("auction", ["execution.reserve=2.0"], "is above the highest bid allowed (1)"),
    ("auction", ["observations.quote_delay=2"], "bids are sealed"),
    ("auction", ["observations.show_rivals=false"], "bids are sealed"),
    ("retail", ["firms=0", "observations.quote_noise=0.1"], "nobody meets a rival's quotes"),
    ("retail", ["observations.show_rivals=false", "observations.quote_delay=2"], "show_rivals"),
    ("pricing_game", ["rewards.weights={pnl: 1, holding_cost: -1}"], "this metric is always 0"),
    ("market_making", ["rewards.weights={pnl: 1, fees: -1}"], "no fee is charged"),
    ("auction", ["rewards.weights={pnl: 1, conversion: 1}"], "no participant sells to customers"),
    (
        "pricing_game",
        ["rewards.weights={pnl: 1, lost_opportunity: -1}"],
        "no customer is ever turned",
    ),
    ("retail", ["rewards.by_participant={firm_1: {fees: -1}}"], "by_participant.firm_1.fees"),
    ("retail", ["reference.cost={kind: shock, at: 500}"], "is not reached in 500 ticks"),
    ("market_making", ["reference.cost=geometric_brownian"], "every cost is 0"),
    ("autos_1990", ["participants.3.count=2"], "count: leave it out"),
    ("market_making", ["execution.kappa=20000"], "no order trades even at the"),
    ("market_making", ["execution.kappa=0.00001"], "every order trades even at the"),
    ("retail", ["schedule={kind: periodic, periods: [2, 2, 3], offsets: [0, 2, 0]}"], "first"),
    ("retail", ["execution.demand=linear"], "nobody buys at the reference prices"),
    ("retail", ["execution.demand={kind: linear, intercept: 1}"], "ends at a price of int"),
    ("retail", ["execution.demand={kind: cheapest, slope: 0.9}"], "ends at a price of 1.11"),
    ("retail", ["execution.demand={kind: cheapest, choke: 2}"], "ends at a price of 2;"),
    ("retail", ["execution.demand.base=0"], "set execution.demand.base above 0"),
    (
        "retail",
        ["execution.demand={kind: logit, relative: false, price_coefficient: 9}"],
        "is per unit of money",
    ),
    ("autos_1990", ["execution.demand.price_coefficient=20"], "is per unit of money"),
]


@pytest.mark.parametrize(("preset", "changes", "line"), TOLD)
def test_a_setting_that_the_market_cannot_heed_is_refused_with_the_reason(preset, changes, line):
    with pytest.raises(InputError) as found:
        scenarios.override(scenarios.load(preset), changes).market()
    assert line in str(found.value)
    assert "\n" not in str(found.value) and len(str(found.value)) < 300


def test_a_fee_that_nobody_pays_is_refused_by_run(capsys, tmp_path):
    """Nothing is played, and nothing is left behind."""
    line = refused(
        capsys,
        "run",
        "auction",
        "--ticks",
        "60",
        "--no-report",
        "--out",
        str(tmp_path),
        "--set",
        "positions.fee=0.01",
        "--set",
        "positions.payer=seller",
    )
    assert line.strip() == (
        "mos: positions.fee=0.01 changes nothing here: sellers pay it, and nobody sells here; set "
        "positions.payer=traders"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["firms=", "quotes.high= ", "seed=", "participants.0.count="])
def test_an_empty_value_is_refused_and_not_read_as_none(change, capsys):
    line = refused(capsys, "run", "retail", "--set", change)
    assert "has no value: write one" in line


def test_null_in_place_of_a_number_is_refused_with_the_word_for_infinity(capsys):
    line = refused(capsys, "run", "retail", "--set", "catalogue.stock=null")
    assert "catalogue.stock: null is not a number here; .inf is infinity" in line


@pytest.mark.parametrize(
    "text", ["firms:", "participants:\n  - name: a\n    count:\n", "quotes: {kind: x, high: }"]
)
def test_a_key_without_a_value_in_a_file_is_refused_by_its_line(text):
    with pytest.raises(InputError, match=r"line \d: '\w+' has no value: write one"):
        scenarios.parse("name: x\n" + text)
    with pytest.raises(InputError, match="has no value"):
        scenarios.override(scenarios.load("retail"), ["quotes={kind: posted_price, high: }"])


def test_null_is_a_value_for_what_may_be_left_out():
    scenario = scenarios.override(scenarios.load("retail"), ["quotes.high=null"])
    assert scenario.quotes.high is None
    assert scenarios.parse(scenarios.dump(scenario)) == scenario


PARTS = [
    (lambda: makers(positions=Ledger(payer="seller")), "no fee is charged"),
    (lambda: auction(positions=Ledger(fee=0.1, payer="seller")), "nobody sells"),
    (lambda: expected(positions=Ledger(holding_cost=1.0)), "nothing is held"),
    (lambda: auction(positions=Ledger(lead_time=1)), "nothing is held"),
    (lambda: auction(positions=Ledger(short=True)), "nothing is held"),
    (lambda: retail(positions=Ledger(lead_time=3)), "nothing is ever ordered"),
    (lambda: retail(positions=Ledger(limit=5.0)), "it binds bids and short positions"),
    (lambda: expected(rewards=Objective({"inventory_risk": -1.0})), "always 0"),
    (lambda: retail(rewards=Objective({"inventory_pnl": 1.0})), "valued at the cost, which never"),
    (lambda: makers(reference=Fundamentals(), rewards=Objective({"inventory_risk": 1.0})), "never"),
    (
        lambda: retail(
            2,
            1,
            rewards=Objective({"revenue": 1.0}, {"platform": {"pnl": 1.0}, "firm_1": {"pnl": 1.0}}),
        ),
        "weights",
    ),
    (lambda: retail(1, observations=MarketView(show_rivals=False)), "nobody meets"),
    (lambda: auction(observations=MarketView(quote_noise=0.1)), "bids are sealed"),
    (lambda: expected(arrivals=Poisson(1.0, 2.0)), "nobody buys from customers"),
    (lambda: auction(arrivals=FixedMass(1.0, 2.0)), "arrivals.buy=1 changes nothing"),
    (lambda: auction(arrivals=FixedMass(0.0, 0.0)), "nothing would ever be auctioned"),
    (lambda: makers(arrivals=Browsing()), "need posted prices"),
    (lambda: auction(execution=Auction(reserve=101.0)), "above the highest bid allowed (100)"),
    (lambda: expected(execution=Expected(demand.Linear())), "nobody buys at the reference prices"),
    (lambda: retail(execution=Sampled(demand.Logit(intercept=-60.0))), "a share of 0"),
    (lambda: retail(reference=Fundamentals(cost=Shock(at=900))), "is not reached in 500 ticks"),
    (lambda: makers(reference=Fundamentals(cost=GeometricBrownian())), "every cost is 0"),
    (lambda: makers(quotes=PostedPrice(min_margin=0.3)), "no listing has a cost"),
    (lambda: expected(dt=2.0, reference=Fundamentals()), "dt=2 changes nothing"),
    (lambda: retail(3, schedule=Periodic((2, 2, 2), (0, 1, 2))), "first ticks of the periods"),
]


@pytest.mark.parametrize(("make", "line"), PARTS)
def test_who_builds_a_market_in_python_is_told_the_same(make, line):
    with pytest.raises(InputError) as found:
        make()
    assert line in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize(
    "preset, change",
    [
        ("retail", "positions.holding_cost=0"),
        ("retail", "positions.fee=0.1"),
        ("retail", "positions.shortage_cost=0"),
        ("retail", "firms=1"),
        ("retail", "products=1"),
        ("retail", "quotes.high=80"),
        ("retail", "catalogue.stock=5"),
        ("retail", "rewards.weights.holding_cost=0"),
        ("market_making", "positions.holding_cost=0"),
        ("auction", "catalogue.cost=0"),
        ("pricing_game", "catalogue.cost=0"),
    ],
)
def test_a_setting_of_zero_and_other_ordinary_changes_are_no_faults(preset, change):
    scenarios.override(scenarios.load(preset), [change]).market()


@pytest.mark.parametrize("change", ["execution=expected", "execution.kind=expected"])
def test_another_execution_keeps_the_demand(change):
    changed = scenarios.override(scenarios.load("retail"), ["execution.demand.base=0.3", change])
    rule = changed.market().execution
    assert isinstance(rule, Expected) and rule.demand.base == 0.3


def test_an_execution_without_a_demand_drops_it():
    changed = scenarios.override(scenarios.load("pricing_game"), ["execution=fill_intensity"])
    assert not hasattr(changed.execution, "demand")


def test_one_policy_takes_the_place_of_a_list_by_its_name():
    changed = scenarios.override(
        scenarios.load("retail"), ["participants.firm.policy=static_markup"]
    )
    kinds = [type(policy).__name__ for policy in changed.policies().values()]
    assert kinds[1:] == ["StaticMarkup", "StaticMarkup"]


@pytest.mark.parametrize(
    "change, line",
    [
        ("catalogue.cost=0", "catalogue.cost=0: must be a list of values"),
        ("participants.0.policy=3", "participants.0.policy=3: must be a mapping"),
    ],
)
def test_a_value_of_another_shape_is_told_in_words(change, line):
    with pytest.raises(InputError, match=line):
        scenarios.override(scenarios.load("retail"), [change])


def test_an_environment_refuses_weights_on_what_is_always_zero():
    from envs import retail_v0

    with pytest.raises(InputError, match=r"rewards.weights.fees=-1 changes nothing here"):
        retail_v0.parallel_env(weights={"pnl": 1.0, "fees": -1.0})


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(["no stock", "fee", "plain", "held", "still"]),
    st.integers(0, 2**32),
)
def test_what_is_said_to_be_always_zero_is_zero_and_nothing_else(kind, how, seed):
    """By random play: a metric that is named is 0 throughout, and of the others none is by rule."""
    parts = {
        "no stock": {},
        "plain": {},
        "fee": {"positions": Ledger(fee=0.01)},
        "held": {"positions": Ledger()},
        "still": {"reference": Fundamentals()},
    }[how]
    market = KINDS[kind](**parts)
    zero = always_zero(market)
    metrics = np.concatenate([step.metrics for _, step in play(market, 12, 3, seed=seed)])
    for name in zero:
        assert not metrics[..., METRICS.index(name)].any(), name


def test_a_market_of_the_presets_numbers_in_another_arrival_process_is_not_refused():
    market = mos_agents.market_making(arrivals__kind="poisson", arrivals__sell=2.0)
    assert isinstance(market.arrivals, Poisson)
    expected(arrivals=Hawkes(2.0), execution=Sampled(demand.Logit()))
    makers(quotes=TwoSided(), arrivals=FixedMass(3.0))
