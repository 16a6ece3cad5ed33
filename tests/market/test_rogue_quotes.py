"""A rogue quote is refused with its reason; the ledger and everybody else do not feel it.

Kinds that concern messages (a duplicate, a stale or future tick, somebody else's name) belong to
the actors, who know of ticks and senders; here stand those that concern the quote itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mos_agents.market.market import Market
from mos_agents.market.quotes import PostedPrice, SealedBid, TwoSided
from mos_agents.market.refusals import REASONS, refusals
from mos_agents.market.stages import Schedule
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import QuoteRefused
from mos_agents.testing.promises import bits, read_only
from tests.market.worlds import auction, makers, retail

DRAWS = 1000
MARKETS = 50  # each with a draw of its own
RULES: dict[str, Any] = {
    "price": {"conduct": "refuse", "sized": True, "size": 9.0},
    "sides": {"conduct": "refuse", "sized": True, "size": 9.0},
    "bid": {"conduct": "refuse", "sized": True, "size": 9.0, "high": 100.0},
}


@dataclass(frozen=True)
class Without(Schedule):
    """Everybody is on the move but participant `n`."""

    n: int

    def moves(self, market: Market, number: int, draws: Any) -> Any:
        return (np.arange(market.layout.N) != self.n)[None, :]


def stages() -> dict[str, tuple[Market, Any, Any]]:
    """A market of each kind of quote in the middle of trading, and lawful actions in it."""
    made = {}
    for name, market in (
        ("price", retail(3, 2, quotes=PostedPrice(**RULES["price"]))),
        ("sides", makers(3, 2, quotes=TwoSided(**RULES["sides"]), reference=retail().reference)),
        ("bid", auction(3, 2, quotes=SealedBid(**RULES["bid"]))),
    ):
        state = market.start(MARKETS)
        if name == "price":
            lawful = np.stack([state.quotes.ask, np.full((MARKETS, 6), 5.0)], axis=-1)
        elif name == "sides":
            lawful = np.tile([0.0, 0.1, 4.0], (MARKETS, 6, 1))
        else:
            bids = np.stack([np.arange(30.0, 36.0), np.ones(6)], axis=-1)
            lawful = np.tile(bids, (MARKETS, 1, 1))
        for t in range(6):
            step = tick(market, state, lawful, Streams.of(5, MARKETS).at(t))
            assert not step.info.refused.any()
            state = step.state
        made[name] = market, state, lawful
    return made


STAGES = stages()
Bend = Callable[[np.random.Generator, Any], Any]  # a lawful action [1, L_n, A] -> a message


def number(value: Callable[[np.random.Generator], float], column: int) -> Bend:
    """One number of one listing is replaced."""

    def bend(rng: np.random.Generator, action: Any) -> Any:
        action = action.copy()
        action[0, rng.integers(action.shape[1]), column] = value(rng)
        return action

    return bend


def scaled(low: float, high: float) -> Bend:
    """One price is multiplied."""

    def bend(rng: np.random.Generator, action: Any) -> Any:
        action = action.copy()
        i = rng.integers(action.shape[1])
        action[0, i, 0] = np.round(action[0, i, 0] * rng.uniform(low, high), 2)
        return action

    return bend


class RaisingArray:
    """An object that raises whatever happens to it."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no array today")

    def __len__(self) -> int:
        raise OSError("no length either")


NUMBERS: dict[str, Callable[[np.random.Generator], float]] = {
    "nan": lambda r: np.nan,
    "a NaN with a payload": lambda r: float(
        np.uint64(0x7FF8000000000000 + r.integers(1, 2**32)).view(np.float64)
    ),
    "infinity": lambda r: np.inf,
    "minus infinity": lambda r: -np.inf,
    "1e308": lambda r: r.uniform(1.0, 1.79) * 1e308,
    "-1e308": lambda r: -r.uniform(1.0, 1.79) * 1e308,
    "huge": lambda r: 10.0 ** r.uniform(5.0, 300.0),
}
POSITIVE: dict[str, Callable[[np.random.Generator], float]] = {
    "negative": lambda r: -r.exponential(10.0) - 1e-9,
    "zero": lambda r: 0.0,
    "minus zero": lambda r: -0.0,
    "denormal": lambda r: float(r.integers(1, 2**40)) * 5e-324,
    "minus denormal": lambda r: -float(r.integers(1, 2**40)) * 5e-324,
}
VALUES: list[tuple[str, str, Bend]] = [
    *((f"price {k}", "price", number(v, 0)) for k, v in (NUMBERS | POSITIVE).items()),
    ("price an ulp too low", "price", number(lambda r: float(np.nextafter(0.01, 0.0)), 0)),
    ("price an ulp too high", "price", number(lambda r: float(np.nextafter(1e3, 2e3)), 0)),
    (
        "price off the grid",
        "price",
        lambda r, a: a + np.array([r.choice([-1.0, 1.0]) * r.uniform(1e-4, 0.0049), 0.0]),
    ),
    ("price below the margin floor", "price", scaled(0.4, 0.8)),
    ("price up too fast", "price", scaled(1.25, 3.0)),
    *((f"spread {k}", "sides", number(v, 1)) for k, v in (NUMBERS | POSITIVE).items()),
    *((f"offset {k}", "sides", number(v, 0)) for k, v in NUMBERS.items()),
    ("crossed", "sides", number(lambda r: -r.uniform(0.01, 0.5), 1)),
    ("spread too thin", "sides", number(lambda r: r.uniform(1e-9, 0.0099), 1)),
    ("spread too wide", "sides", number(lambda r: r.uniform(0.501, 50.0), 1)),
    ("offset too far", "sides", number(lambda r: r.choice([-1, 1]) * r.uniform(5.01, 90.0), 0)),
    ("offset off the grid", "sides", number(lambda r: r.uniform(0.001, 0.009), 0)),
    *((f"bid {k}", "bid", number(v, 0)) for k, v in NUMBERS.items()),
    ("bid negative", "bid", number(POSITIVE["negative"], 0)),
    ("bid above the limit", "bid", number(lambda r: r.uniform(100.01, 1e4), 0)),
    ("bid off the grid", "bid", number(lambda r: 30.0 + r.uniform(0.001, 0.009), 0)),
    *(
        (f"{where} size {k}", where, number(v, -1))
        for where in ("price", "sides", "bid")
        for k, v in NUMBERS.items()
    ),
    *(
        (f"{where} size negative", where, number(POSITIVE["negative"], -1))
        for where in ("price", "sides", "bid")
    ),
    ("size an ulp too large", "price", number(lambda r: float(np.nextafter(9.0, 10.0)), -1)),
    ("everything NaN", "sides", lambda r, a: np.full_like(a, np.nan)),
    ("integers out of range", "price", lambda r, a: np.full(a.shape, np.iinfo(np.int64).min)),
    ("unsigned out of range", "bid", lambda r, a: np.full(a.shape, np.iinfo(np.uint64).max)),
    ("float16 that overflowed", "price", lambda r, a: np.full(a.shape, np.inf, np.float16)),
]
SHAPES: list[tuple[str, Bend]] = [
    ("a listing too many", lambda r, a: np.concatenate([a, a[:, :1]], axis=1)),
    ("a listing too few", lambda r, a: a[:, 1:]),
    ("a feature too many", lambda r, a: np.concatenate([a, a[..., :1]], axis=2)),
    ("a feature too few", lambda r, a: a[..., :1]),
    ("a market too many", lambda r, a: np.concatenate([a, a])),
    ("no market", lambda r, a: a[:0]),
    ("an axis too many", lambda r, a: a[None]),
    ("sixty axes", lambda r, a: np.ones((1,) * 60)),
    ("flat", lambda r, a: a.ravel()),
    ("a scalar", lambda r, a: r.random()),
    ("nothing", lambda r, a: []),
    ("ragged", lambda r, a: [[[1.0, 2.0], [3.0]]]),
    ("objects", lambda r, a: a.astype(object)),
    ("strings of digits", lambda r, a: a.astype(str)),
    ("bytes", lambda r, a: b"12.5"),
    ("text", lambda r, a: "buy!"),
    ("booleans", lambda r, a: a > 0.0),
    ("complex numbers", lambda r, a: a + 1j),
    ("dates", lambda r, a: a.astype("datetime64[s]")),
    ("durations", lambda r, a: a.astype("timedelta64[s]")),
    ("records", lambda r, a: np.zeros(a.shape, [("price", float)])),
    ("None", lambda r, a: None),
    ("a list with None", lambda r, a: np.where(a > 1e9, a, None).tolist()),
    ("a dictionary", lambda r, a: {"price": 3.0}),
    ("a set", lambda r, a: {1.0, 2.0}),
    ("a generator", lambda r, a: (x for x in (1.0, 2.0))),
    ("a function", lambda r, a: abs),
    ("whole numbers beyond all types", lambda r, a: [[[10**400] * a.shape[2]] * a.shape[1]]),
    ("an object that raises", lambda r, a: RaisingArray()),
    ("a list of objects that raise", lambda r, a: [RaisingArray(), RaisingArray()]),
]


def felt(step: Any) -> str:
    """All of a step but the record of the refusal itself."""
    return bits(
        (
            step.state,
            step.observation,
            step.reward,
            step.metrics,
            step.info._replace(refused=None, moved=None),
        )
    )


def test_there_are_forty_kinds_or_more():
    assert len(VALUES) + len(SHAPES) >= 40


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # casts of what does not fit a float
@pytest.mark.parametrize(("where", "bend"), [pytest.param(w, b, id=n) for n, w, b in VALUES])
def test_a_rogue_number_is_refused_and_nobody_else_feels_it(where, bend):
    rng = np.random.default_rng(0)
    market, state, lawful = STAGES[where]
    for draw in range(DRAWS // MARKETS):
        n, draws = draw % market.layout.N, Streams.of(draw, MARKETS).at(state.tick)
        spec = market.specs[n]
        own = lawful[:, spec.listings]
        message = np.concatenate([bend(rng, own[b : b + 1]) for b in range(MARKETS)])
        actions = lawful.copy()
        actions[:, spec.listings] = spec.checked(message, MARKETS)
        step = tick(market, state, actions, draws)
        assert (step.info.refused.astype(bool) == (np.arange(market.layout.N) == n)).all()
        found = refusals(market.layout.participants, step.info.refused)[spec.name]
        assert sum(found.values()) == MARKETS and set(found) <= set(REASONS[1:])
        calm = tick(market.with_parts(schedule=Without(n)), state, lawful, draws)
        assert felt(step) == felt(calm)


@pytest.mark.parametrize("bend", [pytest.param(b, id=n) for n, b in SHAPES])
def test_what_is_no_array_of_the_right_shape_does_not_get_through_the_door(bend):
    rng, refused = np.random.default_rng(0), 0
    for draw in range(DRAWS):
        market, _, lawful = STAGES[("price", "sides", "bid")[draw % 3]]
        spec = market.specs[draw % market.layout.N]
        with pytest.raises(QuoteRefused, match=spec.name) as refusal:
            spec.checked(bend(rng, lawful[:1, spec.listings]), 1)
        assert "\n" not in str(refusal.value)
        refused += 1
    assert refused == DRAWS


def test_lawful_quotes_are_taken_so_that_refusing_everything_would_be_seen():
    for market, state, lawful in STAGES.values():
        for message in (lawful, lawful.astype(np.float32).round(2).astype(float), lawful.tolist()):
            for spec in market.specs:
                own = np.asarray(message)[:, spec.listings]
                assert np.array_equal(spec.checked(own, MARKETS), own)
        step = tick(market, state, read_only(lawful), Streams.of(0, MARKETS).at(state.tick))
        assert not step.info.refused.any()
        assert refusals(market.layout.participants, step.info.refused) == {}


def test_a_refused_participant_may_be_taken_down_instead():
    market = retail(2, 1, quotes=PostedPrice(on_refusal="withdraw"))
    state = market.start(1)
    actions = np.array([[[np.nan], [20.0]]])
    step = tick(market, state, actions, Streams.of(0).at(0))
    assert step.info.quotes.ask_size[0, 0] == 0.0
    assert step.info.quotes.ask_size[0, 1] > 0.0
    assert step.info.quotes.ask[0, 0] == state.quotes.ask[0, 0]
