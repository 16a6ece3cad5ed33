"""What a demand model promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.stages import ArrivalProcess, Demand, ExecutionRule
from mos_agents.market.types import Array, InputError, Layout
from mos_agents.testing.playing import play
from mos_agents.testing.promises import (
    Suite,
    bits,
    broken,
    check,
    check_value,
    described,
    read_only,
    summed,
)


@short_repr
class Offers(NamedTuple):
    """What a demand model is asked about. [R, L] each."""

    prices: Array
    available: Any
    reference: Array


class DemandSuite(Suite):
    """Tests of a demand model: shares are probabilities, and depend on the offers alone.

    Write `make(self)`, which returns the demand model.

    Attributes
    ----------
    reference_price : float
        Prices are tried between 0.4 and 1.8 times this one, in money.
    sellers : tuple of int
        Markets with so many sellers are tried.
    gives_units : bool
        True for a model whose numbers are units and not probabilities; they may sum to more than 1.
    treats_sellers_alike : bool
        False where equal offers of different sellers may have different shares.
    falls_with_price : bool
        False where a higher price may bring more customers.
    """

    reference_price: float = 10.0
    sellers: tuple[int, ...] = (1, 2, 3, 6)
    gives_units: bool = False
    treats_sellers_alike: bool = True
    falls_with_price: bool = True

    def market(self, demand: Demand, sellers: int, products: int, seed: int) -> Market:
        """Make the market in which the demand model is asked.

        Parameters
        ----------
        demand : Demand
            The demand model.
        sellers, products : int
            Every seller offers every product.
        seed : int
            Seed of the reference prices, qualities and nests.

        Returns
        -------
        Market
        """
        rng = np.random.default_rng(seed)
        names = [f"seller_{n}" for n in range(sellers)]
        layout = Layout.dense(
            names, [f"p{k}" for k in range(products)], ["firm"] * sellers, demand.choice
        )
        size = layout.L
        catalogue = Catalogue(
            np.full(size, 0.1 * self.reference_price),
            self.reference_price * rng.uniform(0.5, 1.5, size),
            rng.random(size),
            np.full(size, np.inf),
            rng.integers(0, 3, size),
        )
        return make_market(layout, catalogue, Expected(demand))

    def offers(self, market: Market, seed: int, rows: int = 3) -> Offers:
        """Draw prices with ties, and sold-out listings."""
        rng = np.random.default_rng(seed)
        shape = (rows, market.layout.L)
        prices = self.reference_price * rng.uniform(0.4, 1.8, shape)
        tied = self.reference_price * np.round(prices / self.reference_price, 1)
        prices = np.where(rng.random(shape) < 0.5, tied, prices)
        reference = np.tile(market.catalogue.reference_price, (rows, 1))
        return Offers(prices, rng.random(shape) < 0.8, reference)

    def _cases(self) -> list[tuple[Demand, Market, Offers]]:
        """Markets of one and of two products with offers in each."""
        demand, found = self.make(), []
        for seed in range(10):
            for sellers in self.sellers:
                try:
                    market = self.market(demand, sellers, 1 + seed % 2, seed)
                except InputError as error:
                    if "nobody buys" in str(error):
                        continue
                    broken(
                        f"A market with {type(demand).__name__} is refused: {error}",
                        "return an array of one share for each offer, of the shape of the prices",
                    )
                found.append((demand, market, self.offers(market, seed)))
        if not found:
            broken(
                f"{type(demand).__name__}: nobody buys at the reference prices of any market tried",
                "set `reference_price` of the suite to a price that suits the model",
            )
        return found

    def test_it_is_a_frozen_dataclass_with_a_choice(self) -> None:
        demand = self.make()
        check_value(demand, Demand, "`choice` and `shares`")
        check(
            demand.choice in ("within", "across"),
            f"{type(demand).__name__}.choice={demand.choice!r} is neither 'within' nor 'across'",
            "'within' where customers compare the sellers of one product, 'across' where they "
            "choose in the whole market",
        )

    def test_shares_are_finite_numbers_of_the_offers(self) -> None:
        for demand, market, offers in self._cases():
            name, shares = type(demand).__name__, demand.shares(market, *offers)
            check(
                isinstance(shares, np.ndarray)
                and shares.dtype == np.float64
                and shares.shape == offers.prices.shape,
                f"{name}.shares returned {described(shares)} for prices of shape "
                f"{offers.prices.shape}",
                "return a float64 array with a row for each market and a column for each listing",
            )
            check(
                np.isfinite(shares).all(),
                f"{name}.shares returned NaN or infinity",
                "look for a division by zero or an overflow where few sellers are available",
            )
            check(
                (shares >= 0.0).all(),
                f"{name}.shares returned {shares.min():.6g}, which is below 0",
                "clip the shares at 0",
            )

    def test_nobody_buys_what_is_not_available(self) -> None:
        for demand, market, offers in self._cases():
            shares = demand.shares(market, *offers)
            none = demand.shares(
                market, offers.prices, np.zeros_like(offers.available), offers.reference
            )
            check(
                not shares[~offers.available].any() and not np.any(none),
                f"{type(demand).__name__}.shares gives a listing that is not available a share "
                "above 0",
                "multiply the shares by `available`",
            )

    def test_shares_of_a_choice_sum_to_one_at_most(self) -> None:
        if self.gives_units:
            return
        for demand, market, offers in self._cases():
            shares = demand.shares(market, *offers)
            total = summed(shares, market.layout.group, market.layout.G)
            check(
                (total <= 1.0 + 1e-9).all(),
                f"{type(demand).__name__}.shares sum to {total.max():.6g} in one choice among "
                f"{market.layout.N} sellers",
                "a customer buys once or not at all, so divide by the number of sellers or by the "
                "sum; set `gives_units = True` if the numbers are units",
            )

    def test_a_market_depends_on_its_own_row_alone(self) -> None:
        for demand, market, offers in self._cases():
            whole = demand.shares(market, *offers)
            for row in range(len(whole)):
                alone = demand.shares(market, *(part[row : row + 1] for part in offers))
                check(
                    bits(alone) == bits(whole[row : row + 1].copy()),
                    f"{type(demand).__name__}.shares of a market differ when other markets are "
                    "computed with it",
                    "sum and compare along the listings only; where the last digits differ, use "
                    "cumsum or a loop: numpy sums arrays of another shape in another order",
                )

    def test_the_same_offers_have_the_same_shares_and_stay_as_they_are(self) -> None:
        for demand, market, offers in self._cases():
            frozen = read_only(offers)
            try:
                first = demand.shares(market, *frozen)
            except ValueError as error:
                if "read-only" not in str(error):
                    raise
                broken(
                    f"{type(demand).__name__}.shares writes to the arrays that it is given",
                    "make a new array",
                )
            check(
                bits(first) == bits(demand.shares(market, *offers)),
                f"{type(demand).__name__}.shares gives other shares for the same offers",
                "draw no random numbers and keep nothing between calls: executions draw who "
                "chooses what",
            )

    def test_sellers_with_equal_offers_are_treated_alike(self) -> None:
        if not self.treats_sellers_alike:
            return
        for demand, market, offers in self._cases():
            layout = market.layout
            if layout.K > 1:  # the listings of a seller move together: one product shows it
                continue
            order = np.random.default_rng(layout.N).permutation(layout.N)
            columns = ("cost", "reference_price", "quality", "stock", "nest")
            shuffled = market.with_parts(
                catalogue=Catalogue(*(vars(market.catalogue)[name][order] for name in columns))
            )
            shares = demand.shares(market, *offers)
            moved = demand.shares(shuffled, *(part[:, order] for part in offers))
            check(
                np.allclose(moved, shares[:, order], rtol=1e-10, atol=1e-14),
                f"{type(demand).__name__}.shares depend on the order of the sellers",
                "use prices, qualities and nests, and no positions; set `treats_sellers_alike = "
                "False` if the order is meant to matter",
            )

    def test_a_higher_price_brings_no_more_customers(self) -> None:
        if not self.falls_with_price:
            return
        for demand, market, offers in self._cases():
            everybody = np.ones_like(offers.available)
            dearer = offers.prices.copy()
            dearer[:, -1] += 0.07 * self.reference_price
            before = demand.shares(market, offers.prices, everybody, offers.reference)[:, -1]
            after = demand.shares(market, dearer, everybody, offers.reference)[:, -1]
            check(
                (after <= before + 1e-12).all(),
                f"{type(demand).__name__}: a share rises when its price rises",
                "look at the sign of the price; set `falls_with_price = False` if it is meant",
            )

    def test_it_plays_by_shares_and_by_draws_with_stock_that_runs_out(self) -> None:
        demand = self.make()
        ways: list[tuple[ArrivalProcess, ExecutionRule]] = [(FixedMass(20.0), Expected(demand))]
        if not self.gives_units:
            ways.append((Poisson(20.0), Sampled(demand)))
        stock = 30.0
        for arrivals, execution in ways:
            market = self._market_with_customers(demand)
            catalogue = replace(market.catalogue, stock=np.full(market.layout.L, stock))
            market = market.with_parts(execution=execution, arrivals=arrivals, catalogue=catalogue)
            sold = np.zeros((2, market.layout.L))
            for _, step in play(market, 30, 2):
                sold += step.info.executions.sold
            check(
                sold.any() and (sold <= stock + 1e-9).all(),
                f"{type(demand).__name__} under {type(execution).__name__}: sellers with a stock "
                f"of {stock:g} sold {sold.min():g} to {sold.max():g} units",
                "give shares above 0 to available listings alone",
            )

    def _market_with_customers(self, demand: Demand) -> Market:
        for seed in range(20):
            try:
                return self.market(demand, 2, 1, seed)
            except InputError as error:
                if "nobody buys" not in str(error):
                    raise
        raise AssertionError("nobody buys at any of the reference prices")
