"""Positions: cash and inventory, limits, supplies on their way, and the cost of holding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mos_agents.market import unused_settings
from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.holdings import holdings_of, trades_by_holding
from mos_agents.market.kernels import flat, kernel
from mos_agents.market.market import Market
from mos_agents.market.stages import PositionRule, TradeCosts
from mos_agents.market.types import Array, Executions, Flows, InputError, Positions, State


@dataclass(frozen=True)
@within_floats
class Ledger(PositionRule):
    """Double-entry accounts of every participant and of the outside world.

    Where the catalogue's stock is infinite, nothing is held: units sold are sourced at cost, and
    units bought are used at once for their value. Otherwise inventory moves with the trades.

    Parameters
    ----------
    limit : float
        largest inventory of a listing that bids may build up, whatever is supplied, in units;
        with `short`, also the largest short position, > 0.
    short : bool
        units may be sold that are not held.
    base_stock : float
        stock that orders restore every tick, as a multiple of the opening stock; 0 never
        orders, >= 0.
    lead_time : int
        ticks until an order arrives, which is paid at cost on delivery, >= 0.
    holding_cost : float
        money per unit held (long or short) and tick, >= 0.
    shortage_cost : float
        money per unit that was asked for and turned away, >= 0.
    mark : str
        value inventory at its "cost" or at the "reference" price.
    endowment : float
        opening cash of each participant, in money.
    fee : float
        share of the money that changes hands in a participant's own trades, which it pays, in
        (-1, 1); below 0 it is a rebate. The first platform receives it and pays none itself;
        without a platform, it goes to the outside world. Venues have fees of their own.
    unit_fee : float
        the same in money per unit traded; below 0 it is a rebate.
    payer : str
        who pays the fees: "traders", for their sales and purchases, or the "seller" alone.
    credit : float
        largest debt that a participant's orders may lead to, were they all filled at their
        limits, in money, >= 0; an order beyond it is refused. Infinity gives unlimited credit.
    """

    limit: float = np.inf
    short: bool = False
    base_stock: float = 0.0
    lead_time: int = 0
    holding_cost: float = 0.0
    shortage_cost: float = 0.0
    mark: str = "cost"
    endowment: float = 0.0
    fee: float = 0.0
    unit_fee: float = 0.0
    payer: str = "traders"
    credit: float = np.inf

    def __post_init__(self) -> None:
        for name in ("base_stock", "lead_time", "holding_cost", "shortage_cost"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name}={getattr(self, name)!r} must be >= 0")
        if not np.isfinite(self.endowment):
            raise InputError(f"endowment={self.endowment!r} must be a finite sum of money")
        if not self.limit > 0.0:
            raise InputError(f"limit={self.limit!r} must be > 0 units")
        if not -1.0 < self.fee < 1.0:
            raise InputError(f"fee={self.fee!r} must be in (-1, 1), a share; below 0 is a rebate")
        if not np.isfinite(self.unit_fee):
            raise InputError(f"unit_fee={self.unit_fee!r} must be a finite sum of money per unit")
        if self.payer not in ("traders", "seller"):
            raise InputError(
                f"payer={self.payer!r} must be traders or seller; takers pay fees of venues"
            )
        if not self.credit >= 0.0:
            raise InputError(f"credit={self.credit!r} must be >= 0, in money; .inf has no limit")
        if self.mark not in ("cost", "reference"):
            raise InputError(f"mark={self.mark!r} must be 'cost' or 'reference'")

    def validate(self, market: Market) -> None:
        """InputError for what this market would accept and never read."""
        self._check_fees(market)
        if self.credit < np.inf and not market.layout.has_orders:
            raise changes_nothing(
                "positions.credit",
                self.credit,
                "it limits orders of participants, and there are none",
                "leave it out",
            )
        if unused_settings.nothing_held(market):
            neutral = {
                "holding_cost": 0.0,
                "base_stock": 0.0,
                "lead_time": 0,
                "limit": np.inf,
                "short": False,
                "mark": "cost",
            }
            idle = [(k, getattr(self, k)) for k, v in neutral.items() if getattr(self, k) != v]
            if idle:
                text = ", ".join(f"positions.{name}={value}" for name, value in idle)
                raise InputError(
                    f"{text} changes nothing here: all goods are made to order (stock=.inf), and "
                    f"nothing is held; leave {'it' if len(idle) == 1 else 'them'} out, or set "
                    + ", ".join(f"{name}={neutral[name]}" for name, _ in idle)
                )
        elif self.base_stock and not market.base_stocks.any():
            raise changes_nothing(
                "positions.base_stock",
                self.base_stock,
                "it is a multiple of the opening stock, which is 0",
                "set it to 0, or set catalogue.stock",
            )
        elif self.lead_time and not self.base_stock:
            raise changes_nothing(
                "positions.lead_time",
                self.lead_time,
                "nothing is ever ordered",
                "set it to 0, or set positions.base_stock",
            )
        elif np.isfinite(self.limit) and not market.buys and not self.short:
            raise changes_nothing(
                "positions.limit", self.limit, "it binds bids and short positions: there are none"
            )
        elif self.short and not market.asks:
            raise changes_nothing("positions.short", self.short, "nobody sells")
        if self.shortage_cost and unused_settings.nothing_lost(market):
            raise changes_nothing(
                "positions.shortage_cost",
                self.shortage_cost,
                "nobody is turned away (an auction, or endless stock and quotes)",
            )

    def _check_fees(self, market: Market) -> None:
        charged = [name for name in ("fee", "unit_fee") if getattr(self, name)]
        for name in charged:
            value = float(getattr(self, name))
            if market.layout.goods:
                raise InputError(
                    f"positions.{name}={value:.10g}: each venue has fees of its own; write it "
                    "under venues, as in fees: {kind: fixed, fee: 0.1}"
                )
            if unused_settings.nobody_else_trades(market):
                raise changes_nothing(
                    f"positions.{name}", value, "the platform receives it, and nobody else trades"
                )
            if self.payer == "seller" and not market.asks:
                raise changes_nothing(
                    f"positions.{name}",
                    value,
                    "sellers pay it, and nobody sells here",
                    "set positions.payer=traders",
                )
        if self.payer != "traders" and not charged:
            raise changes_nothing("positions.payer", self.payer, "no fee is charged")

    def limits(self) -> tuple[float, float]:
        return -float(self.limit) if self.short else 0.0, float(self.limit)

    def base_stocks(self, market: Market) -> Array:
        return np.where(market.made_to_order, 0.0, market.catalogue.stock) * float(self.base_stock)

    def trade_costs(self) -> TradeCosts:
        return TradeCosts(self.fee, self.unit_fee, self.shortage_cost)

    def valuation(self) -> str:
        return self.mark

    def credit_limit(self) -> float:
        return float(self.credit)

    def opening(self, market: Market, batch: int) -> Positions:
        layout, stock = market.layout, market.catalogue.stock
        held = np.where(np.isinf(stock), 0.0, stock)
        held = held[holdings_of(market).slot] if layout.goods else held
        inventory = np.ascontiguousarray(np.broadcast_to(held, (batch, layout.H)))
        return Positions(
            np.full((batch, layout.N), self.endowment),
            inventory,
            np.zeros((batch, int(self.lead_time), layout.H)),
            np.zeros(batch),
            np.zeros((batch, layout.n_goods)),
        )

    def capacity(self, market: Market, positions: Positions) -> tuple[Array, Array]:
        held = positions.inventory
        if market.unlimited:
            return held, market.cached(("no limit", len(held)), lambda: _endless(held.shape))
        lower, upper = market.position_limits
        if market.layout.goods:
            lower, upper = holdings_of(market)[-2:]
        return held - lower, upper - held

    def delivery_ticks(self) -> float:
        return float(self.lead_time)

    def marks(self, market: Market, state: State) -> Array:
        return state.cost if self.mark == "cost" else market.marks_of_listings(state.reference)

    def charges(self, market: Market) -> Array:
        """What `settle_trades` charges, in the order of its names for them. [5]"""
        costs, fees = (self.holding_cost, self.shortage_cost), (self.fee, self.unit_fee)
        return np.array([*costs, *fees, self.payer == "traders"], dtype=np.float64)

    def settle(
        self, market: Market, state: State, executions: Executions
    ) -> tuple[Positions, Flows]:
        before, layout = state.positions, market.layout
        made = blank_accounts(before)
        trades, cost = trades_of(executions), state.cost
        owned = (layout.first, layout.instrument, market.made_to_order, market.base_stocks)
        if layout.goods:
            first, good, slot, made_to_order, base_stock, _, _ = holdings_of(market)
            trades, cost = trades_by_holding(market, trades), cost.take(slot, axis=1)
            owned = first, good, made_to_order, base_stock
        settle_trades(
            made,
            tuple(before),
            trades,
            cost,
            owned,
            self.charges(market),
            market.collector,
        )
        settled = after_trades(made)
        return settled if executions.fees is None else charged(market, *settled, executions.fees)


CASH, REVENUE, SPENDING, HOLDING, SHORTAGE, FEES = range(6)
"""Rows of `accounts`: cash, then the flows in their order."""
INVENTORY, DELIVERED = range(2)
"""Rows of `goods`."""
Accounts = tuple[Array, Array, Array, Array, Array]
"""accounts [6, B, N], goods [2, B, L], orders, the outside world's cash and its units."""


def blank_accounts(before: Positions) -> Accounts:
    """Empty arrays for `settle_trades` to fill in."""
    return (
        np.empty((6, *before.cash.shape)),
        np.empty((2, *before.inventory.shape)),
        np.empty(before.on_order.shape),
        np.empty(before.outside_cash.shape),
        np.empty(before.outside_units.shape),
    )


def trades_of(executions: Executions) -> tuple[Array, Array, Array, Array, Array]:
    """Units and prices of trades, and the units turned away, as kernels take them. [B, L] each"""
    sold, sold_price, bought, bought_price, _, lost = executions.arrays
    return sold, sold_price, bought, bought_price, lost


def after_trades(made: Accounts) -> tuple[Positions, Flows]:
    """Positions and flows from filled accounts."""
    accounts, (inventory, delivered), orders, world_cash, world_units = made
    cash, revenue, spending, holding, shortage, fees = accounts
    return (
        Positions(cash, inventory, orders, world_cash, world_units),
        Flows(revenue, spending, holding, shortage, fees, delivered),
    )


def charged(
    market: Market, positions: Positions, flows: Flows, fees: Array
) -> tuple[Positions, Flows]:
    """Positions and flows after the fees of venues.

    Parameters
    ----------
    market : Market
        The market.
    positions, flows
        Those before these fees.
    fees : array [B, L]
        Money that each slot's owner owes; the platform receives it, or else the outside world.

    Returns
    -------
    tuple
        Positions and flows.
    """
    layout = market.layout
    owed, total = np.zeros(flows.fees.shape), np.zeros(len(fees))
    for i, n in enumerate(layout.seller):  # in order: the same bits in a batch of any size
        owed[:, n] += fees[:, i]
        total += fees[:, i]
    outside = positions.outside_cash
    if market.collector >= 0:
        owed[:, market.collector] -= total
    else:
        outside = outside + total
    return (
        positions._replace(cash=positions.cash - owed, outside_cash=outside),
        flows._replace(fees=flows.fees + owed),
    )


def _endless(shape: tuple[int, ...]) -> Array:
    endless = np.full(shape, np.inf)
    endless.flags.writeable = False  # everybody gets the same one
    return endless


@kernel
def settle_trades(made, before, trades, cost, layout, charges, collector):  # type: ignore[no-untyped-def]
    """Fill in positions and flows after the trades, deliveries and charges of one tick.

    Whatever a participant pays or receives, somebody else or the outside world receives or pays.

    Parameters
    ----------
    made
        As `blank_accounts` makes them.
    before
        The five arrays of `Positions`.
    trades
        As `trades_of` gives them.
    cost
        [B, L] unit costs.
    layout
        first [N + 1], instrument [L], made to order [L], base stock [L].
    charges
        Money per unit held and per unit turned away; the fee as a share of money and per unit,
        which the collector receives; 1 where purchases are charged too, 0 where sales alone are.
    collector
        The participant that receives fees and does not pay them; -1: the outside world.
    """
    accounts, goods, orders, world_cash, world_units = made
    cash, inventory, on_order, outside_cash, outside_units = before
    sold, sold_price, bought, bought_price, lost = trades
    first, instrument, made_to_order, base_stock = layout
    batch, n_participants = np.uint64(cash.shape[0]), np.uint64(cash.shape[1])
    n_listings, n_instruments = np.uint64(inventory.shape[1]), np.uint64(outside_units.shape[1])
    lead, one = np.uint64(on_order.shape[1]), np.uint64(1)
    holding_cost, shortage_cost = charges[0], charges[1]
    fee, per_unit, purchases = charges[2], charges[3], charges[4]
    charged = fee != 0.0 or per_unit != 0.0
    # Tables as one long row each: one place p serves all that is [B, N], one place i all [B, L].
    balance, revenue, spending = (
        flat(accounts[CASH]),
        flat(accounts[REVENUE]),
        flat(accounts[SPENDING]),
    )
    holding, shortage, fees = (
        flat(accounts[HOLDING]),
        flat(accounts[SHORTAGE]),
        flat(accounts[FEES]),
    )
    stock, delivered = flat(goods[INVENTORY]), flat(goods[DELIVERED])
    cash, inventory, cost, lost = flat(cash), flat(inventory), flat(cost), flat(lost)
    sold, sold_price, bought, bought_price = (
        flat(sold),
        flat(sold_price),
        flat(bought),
        flat(bought_price),
    )
    for b in range(batch):
        for k in range(n_instruments):
            world_units[b, k] = outside_units[b, k]
        collected = 0.0
        for n in range(n_participants):
            received = paid = kept = missed = due = 0.0
            for j in range(np.uint64(first[n]), np.uint64(first[n + one])):
                i = b * n_listings + j
                units, arriving = inventory[i], 0.0
                income = sold[i] * sold_price[i]
                outlay = bought[i] * bought_price[i]
                if charged and n != collector:
                    owed = fee * income + fee * (purchases * outlay)
                    owed += per_unit * (sold[i] + purchases * bought[i])
                    due += owed
                    collected -= owed
                if made_to_order[j]:
                    # Bought from and sold to the outside at cost: inventory and units stay.
                    income += bought[i] * cost[i]
                    outlay += sold[i] * cost[i]
                    for d in range(lead):
                        orders[b, d, j] = 0.0
                else:
                    net = sold[i] - bought[i]
                    own, wish = np.uint64(instrument[j]), base_stock[j]
                    units -= net
                    world_units[b, own] += net
                    if lead > 0:
                        arriving = on_order[b, 0, j]
                        coming = 0.0
                        for d in range(one, lead):
                            orders[b, d - one, j] = on_order[b, d, j]
                            coming += on_order[b, d, j]
                        wanted = wish - (units + arriving) - coming
                        # A short position alone orders nothing.
                        orders[b, lead - one, j] = max(wanted, 0.0) if wish > 0.0 else 0.0
                    elif wish > 0.0 and wish > units:
                        arriving = wish - units
                    units += arriving
                    world_units[b, own] -= arriving
                    outlay += arriving * cost[i]
                    kept += holding_cost * abs(units)
                stock[i], delivered[i] = units, arriving
                missed += shortage_cost * lost[i]
                received += income
                paid += outlay
            p = b * n_participants + n
            revenue[p], spending[p] = received, paid
            holding[p], shortage[p], fees[p] = kept, missed, due
        if charged and collector >= 0:
            fees[b * n_participants + np.uint64(collector)] = collected
        world = outside_cash[b]
        for row in range(b * n_participants, (b + one) * n_participants):
            change = revenue[row] - spending[row] - holding[row]
            change = change - shortage[row] - fees[row]
            balance[row] = cash[row] + change
            world -= change
        world_cash[b] = world
