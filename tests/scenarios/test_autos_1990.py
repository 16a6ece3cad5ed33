"""The catalogue of US cars of 1990: its costs and qualities rationalise prices and shares."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mos_agents.scenarios as scenarios
from mos_agents.market.equilibrium import LogitMarket

DATA = Path(scenarios.__file__).parent / "data"


def parameter(name: str) -> float:
    """A number from the table of parameters in the catalogue's note."""
    note = (DATA / "autos_1990.md").read_text(encoding="utf-8")
    return float(re.search(rf"^\| {name} \| (\S+) \|$", note, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def cars() -> pl.DataFrame:
    return pl.read_csv(DATA / "autos_1990.csv")


@pytest.fixture(scope="module")
def market(cars) -> LogitMarket:
    return LogitMarket(
        quality=cars["quality"].to_numpy(),
        cost=cars["cost"].to_numpy(),
        owner=cars["seller"].to_numpy(),
        price_coefficient=parameter("price_coefficient"),
        nest=cars["nest"].to_numpy(),
        nesting=parameter("nesting"),
        outside_utility=parameter("outside_utility"),
    )


@pytest.fixture(scope="module")
def observed(cars):
    return cars["reference_price"].to_numpy()


def test_catalogue_has_its_columns_131_distinct_models_and_20_sellers(cars):
    assert cars.columns == [
        "product",
        "seller",
        "cost",
        "reference_price",
        "quality",
        "stock",
        "nest",
        "share",
    ]
    assert cars["product"].n_unique() == cars.height == 131
    assert cars["seller"].n_unique() == 20
    assert cars["stock"].null_count() == 131
    assert set(cars["nest"]) == {"american", "asian", "european"}


def test_price_coefficient_is_the_published_one():
    assert parameter("price_coefficient") == 0.216


def test_observed_prices_are_a_bertrand_nash_equilibrium_at_the_calibrated_costs(market, observed):
    gradient = market.profit_gradient(observed)
    assert np.abs(gradient).max() < 1e-8
    # Shares are of the order of 1e-4, so the gradient per unit sold is the sharper statement.
    assert np.abs(gradient / market.shares(observed)).max() < 1e-8


def test_no_seller_gains_from_moving_its_prices_together_or_apart(market, observed):
    profit = market.profits(observed)
    rng = np.random.default_rng(1990)
    for position, seller in enumerate(market.firms):
        own = np.asarray(market.owner) == seller
        changes = np.concatenate([rng.normal(0.0, 0.5, (50, 131)), [[-0.05] * 131, [0.05] * 131]])
        trial = np.where(own, observed + changes, observed)
        assert (market.profits(trial)[:, position] < profit[position]).all()


def test_observed_shares_are_demand_at_the_observed_prices(market, observed, cars):
    assert np.abs(market.shares(observed) - cars["share"].to_numpy()).max() < 1e-12
    assert cars["share"].sum() == pytest.approx(0.0922, abs=5e-5)


def test_no_cost_is_negative_and_every_markup_is_positive(cars):
    assert cars["cost"].min() >= 0.0
    assert (cars["reference_price"] - cars["cost"]).min() > 0.0


@pytest.mark.parametrize("start", ["cost", "far above", "scrambled"])
def test_solving_from_other_prices_returns_the_observed_ones(market, observed, start):
    prices = {
        "cost": market.cost,
        "far above": np.full(131, 200.0),
        "scrambled": np.random.default_rng(7).permutation(observed),
    }[start]
    solution = market.bertrand_nash(prices)
    np.testing.assert_allclose(solution.prices, observed, atol=1e-8, rtol=0.0)
    assert solution.residual <= 1e-11


def test_every_model_has_elastic_demand_and_margins_are_a_third_of_revenue(market, observed, cars):
    assert -np.diag(market.elasticities(observed)).max() > 1.0
    share = cars["share"].to_numpy()
    assert ((observed - market.cost) @ share) / (observed @ share) == pytest.approx(1 / 3, abs=0.02)


def test_shares_times_households_are_whole_cars(cars):
    units = cars["share"].to_numpy() * parameter("households")
    assert np.abs(units - np.round(units)).max() < 1e-3
    assert round(units.sum()) == 8_695_428
