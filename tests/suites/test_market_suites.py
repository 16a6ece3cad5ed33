"""Every check of the suites for demand models and stages fails on a part that is faulty."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from mos_agents.market.arrivals import FixedMass
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Expected
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.reference import Fundamentals
from mos_agents.market.rewards import Objective
from mos_agents.market.schedules import Periodic, Simultaneous
from mos_agents.market.stages import ArrivalProcess, Demand
from mos_agents.testing import DemandSuite, StageSuite
from tests.market.worlds import expected
from tests.suites.breaking import assert_fails, checks_of

# --- demand models --------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaultyShoppers(Demand):
    """Shoppers who visit one seller at random, with one fault."""

    fault: str = ""
    choice = "within"

    def shares(self, market, prices, available, reference):
        appeal = (1.5 - prices / reference).clip(0.0, 1.0) / market.layout.N
        good = appeal * available
        rng = np.random.default_rng()
        return {
            "": lambda: good,
            "of one listing": lambda: good[:, :1],
            "NaN": lambda: np.where(available.all(), good, np.nan),
            "negative": lambda: good - 0.2,
            "sold out": lambda: appeal,
            "too many": lambda: 3.0 * market.layout.N * good,
            "of the batch": lambda: good * prices.min() / prices.max(),
            "random": lambda: good * rng.random(),
            "written over": lambda: good if available.all() else prices.__imul__(0.0),
            "by position": lambda: good * np.linspace(0.5, 1.0, market.layout.L),
            "snobs": lambda: available * (prices / reference / 10.0).clip(0.0, 1.0) / 6.0,
            "of the first row": lambda: good * (prices == reference),
        }[self.fault]()


class PlainShoppers(Demand):
    choice = "within"

    def shares(self, market, prices, available, reference):
        return available / market.layout.N


@dataclass(frozen=True)
class Nearby(FaultyShoppers):
    choice = "nearby"


def demand_suite(made):
    class OneDemandModel(DemandSuite):
        def make(self):
            return made

    return OneDemandModel()


DEMAND = [
    ("test_it_is_a_frozen_dataclass_with_a_choice", "a model", "does not inherit from Demand"),
    ("test_it_is_a_frozen_dataclass_with_a_choice", PlainShoppers(), "not a frozen dataclass"),
    ("test_it_is_a_frozen_dataclass_with_a_choice", Nearby(), "choice='nearby' is neither"),
    ("test_shares_are_finite_numbers_of_the_offers", "of one listing", r"have shape \(1, 1\)"),
    ("test_shares_are_finite_numbers_of_the_offers", "NaN", "returned NaN or infinity"),
    ("test_shares_are_finite_numbers_of_the_offers", "negative", "returned -0.2, which is below"),
    ("test_nobody_buys_what_is_not_available", "sold out", "multiply the shares by `available`"),
    ("test_shares_of_a_choice_sum_to_one_at_most", "too many", "sum to .* in one choice among"),
    ("test_a_market_depends_on_its_own_row_alone", "of the batch", "differ when other markets"),
    (
        "test_the_same_offers_have_the_same_shares_and_stay_as_they_are",
        "random",
        "other shares for the same offers",
    ),
    (
        "test_the_same_offers_have_the_same_shares_and_stay_as_they_are",
        "written over",
        "writes to the arrays",
    ),
    ("test_sellers_with_equal_offers_are_treated_alike", "by position", "order of the sellers"),
    ("test_a_higher_price_brings_no_more_customers", "snobs", "rises when its price rises"),
    (
        "test_it_plays_by_shares_and_by_draws_with_stock_that_runs_out",
        "of the first row",
        "with a stock of 30 sold 0 to 0 units",
    ),
]


@pytest.mark.parametrize(("check", "fault", "message"), DEMAND)
def test_a_faulty_demand_model_fails(check, fault, message):
    known = isinstance(fault, str) and fault != "a model"
    made = FaultyShoppers(fault) if known else fault
    assert_fails(demand_suite(made), check, message)


def test_a_demand_model_that_nobody_buys_from_is_told_what_to_set():
    never = demand_suite(Logit(intercept=-900.0))
    assert_fails(never, "test_nobody_buys_what_is_not_available", "set `reference_price`")


def test_every_check_of_the_demand_suite_can_fail_and_a_sound_model_passes_all():
    assert {check for check, *_ in DEMAND} == checks_of(DemandSuite)
    for check in checks_of(DemandSuite):
        getattr(demand_suite(FaultyShoppers()), check)()


def test_a_suite_without_make_says_so():
    class WithoutMake(DemandSuite):
        pass

    assert_fails(
        WithoutMake(), "test_nobody_buys_what_is_not_available", "WithoutMake has no `make`"
    )


# --- stages ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FaultyArrivals(FixedMass):
    fault: str = ""
    seen: ClassVar = [0]
    ignores_quotes = True

    def arrive(self, market, state, quotes, draws):
        found, excitation = super().arrive(market, state, quotes, draws)
        mass = found.mass
        if self.fault == "hidden":
            self.seen[0] += 1
        batch = 1.0 + 0.01 * np.ptp(state.quotes.ask[:, 0])
        change = {
            "random": lambda: found._replace(mass=mass * np.random.default_rng().random()),
            "hidden": lambda: found._replace(mass=mass * (1.0 + self.seen[0])),
            "company": lambda: found._replace(mass=mass * batch),
            "written over": lambda: state.demand_scale.__imul__(1.5) is None or found,
            "read-only": lambda: found._replace(
                mass=mass * (1.0 + state.demand_scale.flags.writeable)
            ),
            "shape": lambda: found._replace(exposure=found.exposure[:, :1]),
            "negative": lambda: found._replace(mass=mass - 100.0),
            "undivided": lambda: found._replace(start=found.start + 1),
            "groups": lambda: found._replace(
                start=np.arange(len(mass) + 1),
                group=np.full(len(mass), 99),
                side=np.zeros(len(mass), np.int64),
                size=np.ones(len(mass)),
                intent=np.ones(len(mass)),
            ),
            "quotes": lambda: found._replace(mass=mass * quotes.ask.mean(1)[:, None, None]),
            "copies": lambda: found,
        }
        return change.get(self.fault, lambda: found)(), excitation

    def __deepcopy__(self, memo):
        return FaultyArrivals(9.0) if self.fault == "copies" else self


class PlainArrivals(ArrivalProcess):
    def arrive(self, market, state, quotes, draws):
        return FixedMass(5.0).arrive(market, state, quotes, draws)


@dataclass(frozen=True)
class FaultySchedule(Simultaneous):
    def moves(self, market, tick, draws):
        return np.ones(market.layout.N)


@dataclass(frozen=True)
class WrongTurns(Periodic):
    def turn(self, market, n):
        return 3, 1


@dataclass(frozen=True)
class FaultyQuotes(PostedPrice):
    fault: str = ""

    def limits(self, market):
        low, high = super().limits(market)
        return (high + 1.0, low) if self.fault == "limits" else (low, high)

    def admit(self, market, state, actions, moves):
        found, refused = super().admit(market, state, actions, moves)
        change = {
            "infinite": lambda: (found._replace(ask=found.ask + np.inf), refused),
            "size": lambda: (found._replace(ask_size=np.full_like(found.ask_size, -1.0)), refused),
            "one for all": lambda: (found, refused[:, :1]),
            "takes NaN": lambda: (found, refused * 0),
            "moves on": lambda: (found._replace(ask=found.ask + 1.0), refused),
        }
        return change.get(self.fault, lambda: (found, refused))()


@dataclass(frozen=True)
class FaultyExecution(Expected):
    fault: str = ""

    def execute(self, market, state, quotes, arrivals, draws):
        made = super().execute(market, state, quotes, arrivals, draws)
        change = {
            "negative": lambda: made._replace(sold=made.sold - 100.0),
            "above size": lambda: made._replace(bought=made.bought + 5.0),
            "above stock": lambda: made._replace(sold=made.sold + 1e9),
            "below ask": lambda: made._replace(sold_price=made.sold_price * 0.5),
            "more lost": lambda: made._replace(lost=made.demand + 1.0),
        }
        return change.get(self.fault, lambda: made)()


@dataclass(frozen=True)
class FaultyLedger(Ledger):
    fault: str = ""

    def settle(self, market, state, executions):
        positions, flows = super().settle(market, state, executions)
        if self.fault == "money":
            return positions._replace(cash=positions.cash + 1.0), flows
        return positions._replace(outside_units=positions.outside_units + 1.0), flows


@dataclass(frozen=True)
class FaultyReference(Fundamentals):
    def move(self, market, state, draws):
        reference, cost, demand = super().move(market, state, draws)
        return reference, cost * np.nan, demand


@dataclass(frozen=True)
class FaultyView(MarketView):
    fault: str = ""

    def observe(self, market, state, arrivals, executions, draws):
        found = super().observe(market, state, arrivals, executions, draws)
        return found[:, :-1] if self.fault == "narrow" else found * 0.0 - 1e12


@dataclass(frozen=True)
class FaultyRewards(Objective):
    fault: str = ""

    def score(self, market, metrics):
        score = super().score(market, metrics)
        return score[:, :1] if self.fault == "narrow" else score

    def breakdown(self, market, metrics):
        return {name: term * 2.0 for name, term in super().breakdown(market, metrics).items()}


def stage_suite(**parts):
    class OneMarket(StageSuite):
        def make(self):
            # Assigned as they are: that `make_market` refuses some of them is another test's.
            market = expected(stock=200.0)
            for name, part in parts.items():
                object.__setattr__(market, name, part)
            return market

    return OneMarket()


STAGES = [
    (
        "test_stages_are_frozen_dataclasses_of_their_base_class",
        {"arrivals": PlainArrivals()},
        "PlainArrivals is not a frozen dataclass",
    ),
    (
        "test_the_same_seed_gives_the_same_bits",
        {"arrivals": FaultyArrivals(5.0, fault="random")},
        "FaultyArrivals: two plays of one seed differ",
    ),
    (
        "test_nothing_is_remembered_outside_the_state",
        {"arrivals": FaultyArrivals(5.0, fault="hidden")},
        "a play that continues from a saved state differs",
    ),
    (
        "test_a_market_has_the_same_bits_in_any_company",
        {"arrivals": FaultyArrivals(5.0, fault="company")},
        r"market 7 differs at tick \d+ when it is played with others",
    ),
    (
        "test_no_stage_writes_to_what_it_is_given",
        {"arrivals": FaultyArrivals(5.0, fault="written over")},
        "a stage writes to an array",
    ),
    (
        "test_no_stage_writes_to_what_it_is_given",
        {"arrivals": FaultyArrivals(5.0, fault="read-only")},
        "decides differently on arrays that cannot",
    ),
    ("test_the_schedule_says_who_moves", {"schedule": FaultySchedule()}, "float64 of shape"),
    (
        "test_the_schedule_says_who_moves",
        {"schedule": WrongTurns((2, 2, 2), (0, 0, 0))},
        "moves every 3 ticks from tick 1 on, and `moves` says otherwise",
    ),
    *(
        (
            "test_lawful_actions_are_admitted_and_others_leave_the_quote",
            {"quotes": FaultyQuotes(fault=fault)},
            message,
        )
        for fault, message in (
            ("limits", "the first at most the second"),
            ("infinite", "ask prices .* not finite"),
            ("size", "ask size below 0"),
            ("one for all", r"refusals of shape \(4, 1\)"),
            ("takes NaN", "takes an action of NaN"),
            ("moves on", "changes a quote although it refuses"),
        )
    ),
    *(
        (
            "test_arrivals_are_counts_in_order",
            {"arrivals": FaultyArrivals(5.0, fault=fault)},
            message,
        )
        for fault, message in (
            ("shape", r"an exposure of shape \(4, 1\)"),
            ("negative", "a mass or an exposure below 0"),
            ("undivided", "`start` does not divide"),
            ("groups", "an unknown choice group"),
        )
    ),
    (
        "test_arrivals_that_ignore_quotes_are_the_same_under_other_quotes",
        {"arrivals": FaultyArrivals(5.0, fault="quotes")},
        "other quotes bring other arrivals",
    ),
    *(
        (
            "test_trades_keep_to_quotes_limits_and_demand",
            {"execution": FaultyExecution(Logit(), fault=fault)},
            message,
        )
        for fault, message in (
            ("negative", "units sold are below 0"),
            ("above size", "bought more units than it quoted"),
            ("above stock", "sold more units than its stock"),
            ("below ask", "sells below its ask"),
            ("more lost", "more demand is lost than there was"),
        )
    ),
    (
        "test_no_money_and_no_unit_comes_from_nowhere",
        {"positions": FaultyLedger(fault="money")},
        "changes by 3 in a tick",
    ),
    (
        "test_no_money_and_no_unit_comes_from_nowhere",
        {"positions": FaultyLedger(fault="units")},
        "units of an instrument appear or vanish",
    ),
    (
        "test_fundamentals_have_a_level_each",
        {"reference": FaultyReference()},
        "gave costs of shape .* not finite",
    ),
    (
        "test_fields_describe_the_observations",
        {"observations": FaultyView(fault="narrow")},
        "`fields` describe",
    ),
    (
        "test_fields_describe_the_observations",
        {"observations": FaultyView(fault="low")},
        "outside its range",
    ),
    (
        "test_the_terms_of_a_reward_sum_to_it",
        {"rewards": FaultyRewards(fault="narrow")},
        r"gave shape \(4, 1\)",
    ),
    (
        "test_the_terms_of_a_reward_sum_to_it",
        {"rewards": FaultyRewards(fault="terms")},
        "do not sum to the reward",
    ),
    (
        "test_a_copy_of_the_market_plays_the_same",
        {"arrivals": FaultyArrivals(5.0, fault="copies")},
        "a copy of the market plays otherwise",
    ),
]


@pytest.mark.parametrize(("check", "parts", "message"), STAGES)
def test_a_faulty_stage_fails(check, parts, message):
    assert_fails(stage_suite(**parts), check, message)


def test_what_is_no_market_is_refused():
    class NoMarket(StageSuite):
        def make(self):
            return FixedMass(1.0)

    assert_fails(
        NoMarket(),
        "test_stages_are_frozen_dataclasses_of_their_base_class",
        "`make` returned a FixedMass, not a Market",
    )


def test_every_check_of_the_stage_suite_can_fail():
    assert {check for check, *_ in STAGES} == checks_of(StageSuite)
