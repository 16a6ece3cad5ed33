"""Markets of several venues for the tests, and random play in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mos_agents.market.arrivals import FixedMass, Hawkes, Poisson
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity, ReservationPrices
from mos_agents.market.demand import Cheapest, Logit
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.prominence import ShowSteered
from mos_agents.market.quotes import PostedPrice, TwoSided
from mos_agents.market.reference import Fundamentals, GeometricBrownian, OrnsteinUhlenbeck
from mos_agents.market.schedules import RandomMoves, Simultaneous
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import ORDER, State, Step
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.fees import FixedFees, ScheduledFees, SetByPlatform
from mos_agents.market.venues.orders import LimitOrders
from mos_agents.market.venues.venue import Venue
from tests.oracles.venues import slot_name


def priced(reference: float, cost: float, stock: float) -> Any:
    """Makes a catalogue whose slots are alike."""
    return lambda layout: Catalogue(
        *(np.full(layout.L, value) for value in (cost, reference, 0.0, stock))
    )


WHOLESALE = Venue(
    "wholesale",
    ("apples",),
    ("maker",),
    ("firm_1", "firm_2"),
    TwoSided(tick_size=0.01, max_spread=1.0),
)
RETAIL = Venue(
    "retail",
    ("apples",),
    ("firm_1", "firm_2"),
    arrivals=Poisson(20.0),
    execution=Sampled(Logit()),
)


def chain(wholesale: Any = None, retail: Any = None, stock: float = np.inf, **parts: Any) -> Market:
    """A maker sells to two firms, which sell to shoppers."""
    venues = (replace(WHOLESALE, **(wholesale or {})), replace(RETAIL, **(retail or {})))
    return venue_market(
        ("maker", "firm_1", "firm_2"),
        ("maker", "firm", "firm"),
        venues,
        {"wholesale": priced(1.5, 1.0, stock), "retail": priced(2.0, 1.5, 0.0)},
        **parts,
    )


def actions_of(market: Market, batch: int = 1, **slots: Any) -> Any:
    """[B, L, A] actions by slot, such as `maker_wholesale=(0.0, 0.5)`; orders as `..._order`."""
    layout = market.layout
    actions = np.zeros((batch, layout.L, market.action_width))
    for i in range(layout.L):
        who = layout.participants[layout.seller[i]]
        name = f"{who}_{layout.instruments[layout.instrument[i]].split('.')[0]}"
        values = slots.get(name + "_order" * int(layout.kind[i] == ORDER))
        if values is not None:
            actions[:, i, : len(values)] = values
    return actions


def random_fees(rng: np.random.Generator, platform: bool) -> Any:
    """Fees of any kind; a platform may set them."""
    payer = str(rng.choice(["seller", "taker", "traders"]))
    fixed = FixedFees(payer, float(rng.choice([0.05, -0.01])), float(rng.choice([0.0, 0.05])))
    steps = ScheduledFees(payer, (0.0, 0.1, 0.02), (0.1,), int(rng.integers(1, 4)))
    sets = SetByPlatform(
        payer, 0.02, 0.0, 0.3, float(rng.choice([0.0, 0.5])), int(rng.integers(1, 3))
    )
    kinds = [FixedFees(), fixed, steps, *([sets] * 3 if platform else [])]
    return kinds[int(rng.integers(len(kinds)))]


def random_venues(
    rng: np.random.Generator, names: list[str], chance: bool = True, platform: bool = False
) -> tuple[Venue, ...]:
    """One to three venues of these participants, with any rules that fit together.

    chance: customers may choose by chance. platform: there is one, which may set rules.
    """
    goods, venues = ["apples", "pears"][: rng.integers(1, 3)], []
    for v in range(rng.integers(1, 4)):
        quoting = _some(rng, names)
        ordering = _some(rng, names) if rng.random() < 0.8 else ()
        dealers = rng.random() < 0.5
        sized = bool(rng.random() < 0.5)
        size = float(rng.choice([7.0, 30.0, 12.5])) if sized or rng.random() < 0.6 else np.inf
        rule: Any = {
            "size": size,
            "sized": sized,
            "conduct": str(rng.choice(["clip", "refuse"])),
            "on_refusal": str(rng.choice(["stand", "withdraw"])),
        }
        coarse = bool(rng.random() < 0.6)  # so that quotes tie
        arrivals, execution = [
            (Poisson(6.0), Sampled(Logit())),
            (FixedMass(5.0), Expected(Logit())),
            (Poisson(4.0), Sampled(Cheapest())),
        ][rng.integers(3)]
        quotes: Any = PostedPrice(tick_size=0.25 if coarse else None, min_margin=0.0, **rule)
        if dealers:
            quotes = TwoSided(tick_size=0.25 if coarse else None, max_spread=3.0, **rule)
            arrivals = [Hawkes(2.0, mean_size=3.0), Poisson(3.0, 2.0)][rng.integers(2)]
            execution = FillIntensity()
            if coarse:  # outsiders with reservation prices between 0.8 and 1.2 of the reference
                execution = ReservationPrices()
        if platform and chance and not dealers and len(quoting) > 1 and rng.random() < 0.5:
            steered = ShowSteered(float(rng.choice([1.0, 0.7])), drawn=bool(rng.random() < 0.5))
            execution = replace(execution, prominence=steered)
        if not chance:
            arrivals = FixedMass(5.0, 3.0 * dealers)
            execution = Expected(Logit())
            if dealers:
                kind = ReservationPrices if coarse else FillIntensity
                execution = kind(expected=True)
        if ordering and rng.random() < 0.4:
            outside: dict[str, Any] = {}
        else:
            outside = {"arrivals": arrivals, "execution": execution}
        orders: dict[str, Any] = {}
        if ordering:
            orders = {
                "ordering": ordering,
                "order_time": str(rng.choice(["first", "last", "among"])),
                "delivery": int(rng.integers(0, 4)),
                "orders": LimitOrders(size=float(rng.choice([5.0, 40.0])), sell=dealers),
            }
        moves = Fundamentals(GeometricBrownian(sigma=0.02), demand=OrnsteinUhlenbeck(sigma=0.2))
        traded = tuple(_some(rng, goods))
        venues.append(
            Venue(
                f"v{v}",
                traded,
                quoting,
                quotes=quotes,
                reference=moves,
                fees=random_fees(rng, platform),
                **outside,
                **orders,
            )
        )
    return tuple(venues)


def _some(rng: np.random.Generator, names: list[str]) -> tuple[str, ...]:
    chosen = [name for name in names if rng.random() < 0.6]
    return tuple(chosen) or (names[int(rng.integers(len(names)))],)


def random_market(rng: np.random.Generator, chance: bool = True) -> Market:
    """Any market of several venues."""
    names = ["anna", "ben", "carla", "dora"][: int(rng.integers(2, 5))]
    platform = bool(rng.random() < 0.6)
    hybrid = [*names, "platform"] if platform and rng.random() < 0.4 else names
    venues = random_venues(rng, hybrid, chance, platform)
    if platform:
        names.insert(int(rng.integers(len(names) + 1)), "platform")
    ordered = any(venue.ordering for venue in venues)
    endless = {name: bool(rng.random() < 0.3) for name in names}
    bids = ordered or any(isinstance(venue.quotes, TwoSided) for venue in venues)
    held = {n for v in venues for n in (*v.quoting, *v.ordering) if not endless[n]}
    ledger = Ledger(
        limit=float(rng.choice([25.0, 200.0])) if bids and held else np.inf,
        short=bool(rng.random() < 0.3) if held else False,
        endowment=float(rng.choice([0.0, 100.0])),
        credit=float(rng.choice([np.inf, 50.0])) if ordered else np.inf,
        mark=str(rng.choice(["cost", "reference"])) if held else "cost",
    )
    stock = {name: np.inf if endless[name] else float(rng.integers(0, 20)) for name in names}

    def catalogue(layout: Any) -> Catalogue:
        stocks = np.array([stock[layout.participants[n]] for n in layout.seller])
        ones = np.ones(layout.L)
        return Catalogue(8.0 * ones, 10.0 * ones, 0.0 * ones, stocks)

    schedule = RandomMoves(0.6) if rng.random() < 0.3 else Simultaneous()
    roles = ["platform" if name == "platform" else "firm" for name in names]
    return venue_market(names, roles, venues, catalogue, positions=ledger, schedule=schedule)


def corners(market: Market) -> tuple[Any, Any]:
    """Lowest and highest action [L, A] of random play: prices near the reference price."""
    low, high = (one.copy() for one in market.quotes.limits(market))
    for view in market.quotes.views(market):
        reference = market.catalogue.reference_price
        orders = view.orders
        low[orders, 1], high[orders, 1] = 0.8 * reference[orders], 1.2 * reference[orders]
        own = view.listings
        if "price" in view.venue.quotes.features:
            low[own, 0], high[own, 0] = 0.8 * reference[own], 1.2 * reference[own]
        else:
            low[own, 0], high[own, 0] = -0.5, 0.5
    return low, high


def play(
    market: Market, ticks: int, markets: Any = 1, seed: int = 0
) -> Iterator[tuple[State, Step]]:
    """State before and step of each tick of random play that depends on market and name alone."""
    numbers = np.arange(markets) if isinstance(markets, int) else np.asarray(markets)
    streams = Streams.of(seed, numbers)
    choices = Streams.of(seed, numbers, owner="everybody")
    low, high = corners(market)
    state = market.start(len(numbers))
    slots = [slot_name(market.layout, i) for i in range(market.layout.L)]
    order = np.argsort([sorted(slots).index(one) for one in slots])
    for t in range(ticks):
        table = np.empty((len(numbers), *low.shape))
        table[:, order] = (
            choices.at(t).uniforms("action", low.size).reshape(len(numbers), *low.shape)
        )
        actions = low + (high - low) * table
        whole = (market.layout.kind == ORDER) & (table[:, :, 1] < 0.7)
        actions[:, :, 0] = np.where(whole, np.rint(actions[:, :, 0]), actions[:, :, 0])
        none = (market.layout.kind == ORDER) & (table[:, :, 0] > 0.9)
        actions[:, :, 0] = np.where(none, 0.0, actions[:, :, 0])
        actions[:, :, 0] = np.where((table[:, :, 1] > 0.99), np.nan, actions[:, :, 0])
        step = tick(market, state, actions, streams.at(t))
        yield state, step
        state = step.state
