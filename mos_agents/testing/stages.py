"""What the stages of a market promise, each on its own and together."""

from __future__ import annotations

import copy

import numpy as np

from mos_agents.market.market import BASES, PARTS, Market
from mos_agents.market.streams import Streams
from mos_agents.market.types import BUY, SELL
from mos_agents.testing.playing import of_market, play, random_actions
from mos_agents.testing.promises import Suite, bits, broken, check, check_value, described, summed


class StageSuite(Suite):
    """Tests of a market with a stage of your own: what each stage returns, and what it leaves be.

    Write `make(self)`, which returns a market that uses the stage, such as
    `mos_agents.pricing_game().with_parts(arrivals=Returning())`.

    Attributes
    ----------
    batch : int
        B, the number of markets that are played.
    ticks : int
        Ticks that are played.
    conserves : bool
        False where the stage makes money or units on purpose.
    """

    batch: int = 4
    ticks: int = 8
    conserves: bool = True

    def _name(self, market: Market, part: str) -> str:
        return type(getattr(market, part)).__name__

    def test_stages_are_frozen_dataclasses_of_their_base_class(self) -> None:
        market = self.make()
        check(
            isinstance(market, Market),
            f"`make` returned a {type(market).__name__}, not a Market",
            "return a market that uses your stage, as in "
            "mos_agents.pricing_game().with_parts(arrivals=MyArrivals())",
        )
        for part in PARTS:
            check_value(getattr(market, part), BASES[part], "its methods")

    def test_the_same_seed_gives_the_same_bits(self) -> None:
        one = [bits(pair) for pair in play(self.make(), self.ticks, self.batch)]
        other = [bits(pair) for pair in play(self.make(), self.ticks, self.batch)]
        check(
            one == other,
            f"{self._stages()}: two plays of one seed differ",
            "draw random numbers from `draws` alone, and never from numpy.random",
        )

    def test_nothing_is_remembered_outside_the_state(self) -> None:
        market, half = self.make(), self.ticks // 2
        pairs = list(play(market, 2 * half, self.batch))
        middle = copy.deepcopy(pairs[half][0])
        for again in (market, self.make()):
            later = play(again, half, self.batch, state=middle)
            check(
                [bits(pair) for pair in later] == [bits(pair) for pair in pairs[half:]],
                f"{self._stages()}: a play that continues from a saved state differs from the "
                "uninterrupted one",
                "keep what is remembered in `memory` and `remember`, and not in the stage: a "
                "snapshot holds the state alone",
            )

    def test_a_market_has_the_same_bits_in_any_company(self) -> None:
        market = self.make()
        numbers = np.array([7, 2, 11, 0])
        together = list(play(market, self.ticks, numbers))
        for b, number in enumerate(numbers[:2]):
            alone = play(market, self.ticks, np.array([number]))
            for t, (many, one) in enumerate(zip(together, alone, strict=True)):
                check(
                    bits(of_market(many, b, len(numbers))) == bits(of_market(one, 0, 1)),
                    f"{self._stages()}: market {number} differs at tick {t} when it is played "
                    "with others",
                    "let no row of an array depend on another row; where the last digits differ, "
                    "sum with cumsum or a loop: numpy sums arrays of another shape in another "
                    "order",
                )

    def test_no_stage_writes_to_what_it_is_given(self) -> None:
        try:
            frozen = [bits(pair) for pair in play(self.make(), self.ticks, 2, frozen=True)]
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            broken(
                f"{self._stages()}: a stage writes to an array that it is given",
                "make a new array: the state before the tick is still needed",
            )
        plain = [bits(pair) for pair in play(self.make(), self.ticks, 2)]
        check(
            frozen == plain,
            f"{self._stages()}: a stage decides differently on arrays that cannot be written to",
            "make new arrays in every case",
        )

    def test_the_schedule_says_who_moves(self) -> None:
        market = self.make()
        name, layout = self._name(market, "schedule"), market.layout
        for t in range(self.ticks):
            moves = market.schedule.moves(market, t, Streams.of(0, self.batch).at(t))
            check(
                isinstance(moves, np.ndarray)
                and moves.dtype == np.bool_
                and moves.shape in ((self.batch, layout.N), (1, layout.N)),
                f"{name}.moves returned {described(moves)}",
                f"return booleans of shape [{self.batch}, {layout.N}] (markets, participants), or "
                f"[1, {layout.N}] where all markets are the same",
            )
            for n in range(layout.N):
                period, offset = market.schedule.turn(market, n)
                due = (t - offset) % period == 0 if period else None
                check(
                    due is None or (moves[:, n] == due).all(),
                    f"{name}.turn says that {layout.participants[n]} moves every {period} ticks "
                    f"from tick {offset} on, and `moves` says otherwise at tick {t}",
                    "return (0, 0) from `turn` where moves are not regular",
                )

    def test_lawful_actions_are_admitted_and_others_leave_the_quote(self) -> None:
        market = self.make()
        name = self._name(market, "quotes")
        state = market.start(self.batch)
        everybody = np.ones((self.batch, market.layout.N), np.bool_)
        low, high = market.quotes.limits(market)
        wanted = (market.layout.L, len(market.quotes.features))
        check(
            low.shape == wanted == high.shape and (low <= high).all(),
            f"{name}.limits returned lowest actions of shape {low.shape} and highest of "
            f"{high.shape}",
            f"return two arrays of shape {wanted}: (listings, features), the first at most the "
            "second",
        )
        actions = random_actions(market, np.random.default_rng(0), self.batch)
        admitted, refused = market.quotes.admit(market, state, actions, everybody)
        for side, units in (("bid", admitted.bid_size), ("ask", admitted.ask_size)):
            prices = getattr(admitted, side)
            check(
                prices.shape == state.cost.shape and np.isfinite(prices).all(),
                f"{name}.admit gave {side} prices of shape {prices.shape}, or prices that are not "
                "finite",
                f"give a finite price for every listing, shape {state.cost.shape}, and size 0 where"
                " there is no quote",
            )
            check(
                (units >= 0.0).all(),
                f"{name}.admit gave a {side} size below 0 or NaN",
                "give 0 where there is no quote",
            )
        check(
            refused.shape == everybody.shape,
            f"{name}.admit gave refusals of shape {refused.shape}",
            f"give one number for each market and participant, shape {everybody.shape}",
        )
        nonsense = np.full_like(actions, np.nan)
        kept, refused = market.quotes.admit(market, state, nonsense, everybody)
        acts = np.array([market.layout.own(n) != slice(0, 0) for n in range(market.layout.N)])
        check(
            (refused[:, acts] > 0).all(),
            f"{name}.admit takes an action of NaN",
            "refuse it with `mos_agents.market.refusals.NOT_FINITE`",
        )
        check(
            bits(kept[:4]) == bits(state.quotes[:4]),
            f"{name}.admit changes a quote although it refuses the action",
            "leave the quote in force as it stands",
        )

    def test_arrivals_are_counts_in_order(self) -> None:
        market = self.make()
        name, layout = self._name(market, "arrivals"), market.layout
        for _, step in play(market, self.ticks, self.batch):
            found = step.info.arrivals
            check(
                found.mass.shape == (self.batch, layout.G, 2)
                and found.exposure.shape == (self.batch, layout.G),
                f"{name}.arrive gave a mass of shape {found.mass.shape} and an exposure of shape "
                f"{found.exposure.shape}",
                f"give shapes {(self.batch, layout.G, 2)} and {(self.batch, layout.G)}",
            )
            check(
                (found.mass >= 0.0).all() and (found.exposure >= 0.0).all(),
                f"{name}.arrive gave a mass or an exposure below 0",
                "demand cannot be negative: clip it at 0",
            )
            check(
                len(found.start) == self.batch + 1
                and found.start[-1] == len(found.group) == len(found.side) == len(found.size)
                and (np.diff(found.start) >= 0).all(),
                f"{name}.arrive: `start` does not divide the single arrivals among the markets",
                "let market b own the arrivals start[b] to start[b + 1]",
            )
            check(
                ((found.group >= 0) & (found.group < layout.G)).all()
                and np.isin(found.side, (BUY, SELL)).all()
                and (found.size >= 0.0).all(),
                f"{name}.arrive gave an arrival of an unknown choice group or side, or of negative "
                "size",
                f"groups are 0 to {layout.G - 1}, sides are BUY ({BUY}) and SELL ({SELL})",
            )

    def test_arrivals_that_ignore_quotes_are_the_same_under_other_quotes(self) -> None:
        market = self.make()
        if not market.arrivals_ignore_quotes:
            return
        state = list(play(market, 3, self.batch))[-1][1].state
        draws = Streams.of(0, self.batch).at(state.tick)
        other = state.quotes._replace(ask=state.quotes.ask * 1.5, bid=state.quotes.bid * 0.5)
        one = market.arrivals.arrive(market, state, state.quotes, draws)
        two = market.arrivals.arrive(market, state, other, draws)
        check(
            bits(one) == bits(two),
            f"{self._name(market, 'arrivals')} says `ignores_quotes = True`, and other quotes "
            "bring other arrivals",
            "set `ignores_quotes = False`",
        )

    def test_trades_keep_to_quotes_limits_and_demand(self) -> None:
        market = self.make()
        name = self._name(market, "execution")
        for before, step in play(market, self.ticks, self.batch):
            quotes, made = step.info.quotes, step.info.executions
            room = market.positions.capacity(market, before.positions)
            if market.layout.goods:  # what one venue trades makes room for the next
                room = np.array(np.inf), np.array(np.inf)
            slack = 1e-9
            for verb, units, size, space in (
                ("sold", made.sold, quotes.ask_size, room[0]),
                ("bought", made.bought, quotes.bid_size, room[1]),
            ):
                check(
                    np.isfinite(units).all() and (units >= 0.0).all(),
                    f"{name}.execute: units {verb} are below 0 or not finite",
                    "give 0 where nothing is traded",
                )
                check(
                    (units <= size * (1 + slack) + slack).all(),
                    f"{name}.execute: a listing {verb} more units than it quoted",
                    "trade at most `quotes.ask_size` and `quotes.bid_size`",
                )
                check(
                    (units <= np.maximum(space, 0.0) * (1 + slack) + slack).all(),
                    f"{name}.execute: a listing {verb} more units than its stock or limit allows",
                    "trade at most `market.positions.capacity(...)`",
                )
            asks = quotes.ask
            if step.info.arrivals.returning is not None:  # some buy at prices of earlier ticks
                asks = market.arrivals.standing_prices(market, before, quotes)
            check(
                (made.sold_price >= asks - slack)[made.sold > 0.0].all()
                and (made.bought_price <= quotes.bid + slack)[made.bought > 0.0].all(),
                f"{name}.execute: somebody sells below its ask or buys above its bid",
                "trade at the quoted price or at a better one for whom quoted",
            )
            check(
                (made.lost <= made.demand + slack).all(),
                f"{name}.execute: more demand is lost than there was",
                "count in `lost` the part of `demand` that stock or limits turned away",
            )

    def test_no_money_and_no_unit_comes_from_nowhere(self) -> None:
        if not self.conserves:
            return
        market = self.make()
        name, layout = self._name(market, "positions"), market.layout
        for before, step in play(market, self.ticks, self.batch):
            old, new = before.positions, step.state.positions
            money = [p.cash.sum(1) + p.outside_cash for p in (old, new)]
            scale = np.abs(new.cash).sum(1) + np.abs(new.outside_cash) + 1.0
            check(
                (np.abs(money[1] - money[0]) <= 1e-9 * scale).all(),
                f"{name}.settle: the cash of participants and of the outside changes by "
                f"{np.abs(money[1] - money[0]).max():.6g} in a tick",
                "book every payment twice, the other time in `outside_cash` where nobody else gets "
                "it; set `conserves = False` if money is made on purpose",
            )
            units = [
                p.outside_units + summed(p.inventory, layout.holding_good, layout.n_goods)
                for p in (old, new)
            ]
            check(
                np.allclose(units[1], units[0], rtol=1e-9, atol=1e-7),
                f"{name}.settle: units of an instrument appear or vanish",
                "book every unit twice, the other time in `outside_units`; set `conserves = False` "
                "if units are made on purpose",
            )

    def test_fundamentals_have_a_level_each(self) -> None:
        market = self.make()
        name, layout = self._name(market, "reference"), market.layout
        state = market.start(self.batch)
        moved = market.reference.move(market, state, Streams.of(0, self.batch).at(0))
        for what, levels, size in zip(
            ("reference prices", "costs", "demand scales"),
            moved,
            (layout.K, layout.L, layout.G),
            strict=True,
        ):
            check(
                levels.shape == (self.batch, size) and np.isfinite(levels).all(),
                f"{name}.move gave {what} of shape {levels.shape}, or some that are not finite",
                f"give finite levels of shape {(self.batch, size)}",
            )

    def test_fields_describe_the_observations(self) -> None:
        market = self.make()
        name = self._name(market, "observations")
        for _, step in play(market, self.ticks, self.batch):
            width = sum(spec.size for spec in market.specs)
            check(
                step.observation.shape == (self.batch, width),
                f"{name}.observe gave shape {step.observation.shape}, and `fields` describe "
                f"{width} numbers a market",
                "give each participant as many numbers as its fields have, in roster order",
            )
            for spec in market.specs:
                own = spec.own(step.observation)
                for field in spec.fields:
                    numbers = own[:, spec.where[field.name]]
                    check(
                        ((numbers >= field.low) & (numbers <= field.high)).all(),
                        f"{name}: {spec.name} sees {field.name!r} outside its range "
                        f"[{field.low:g}, {field.high:g}]",
                        "widen the range of the field, or clip what is observed",
                    )

    def test_the_terms_of_a_reward_sum_to_it(self) -> None:
        market = self.make()
        name = self._name(market, "rewards")
        shape = (self.batch, market.layout.N)
        score = market.rewards.score(market, np.zeros((*shape, len(market.metrics))))
        check(
            score.shape == shape,
            f"{name}.score gave shape {score.shape}",
            f"give a reward for each market and participant, shape {shape}",
        )
        for _, step in play(market, self.ticks, self.batch):
            terms = market.rewards.breakdown(market, step.metrics)
            check(
                np.allclose(sum(terms.values()), step.reward, rtol=1e-9, atol=1e-9),
                f"{name}.breakdown: the terms do not sum to the reward",
                "return every term of the reward, weighted as in `score`",
            )

    def test_a_copy_of_the_market_plays_the_same(self) -> None:
        market = self.make()
        plain = [bits(pair) for pair in play(market, 3, 2)]
        copied = [bits(pair) for pair in play(copy.deepcopy(market), 3, 2)]
        check(
            plain == copied,
            f"{self._stages()}: a copy of the market plays otherwise",
            "keep only parameters in the stage: it is copied to every process that plays it",
        )

    def _stages(self) -> str:
        """The stages that are not the package's own, for messages."""
        market = self.make()
        parts = [getattr(market, part) for part in PARTS]
        parts += [demand] if (demand := market.execution.demand_model()) is not None else []
        own = [
            type(one).__name__
            for one in parts
            if not type(one).__module__.startswith("mos_agents.")
        ]
        return ", ".join(own) or "the market"
