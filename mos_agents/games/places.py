"""Prominence in a finite game: which offers are shown after a profile, and what that pays.

What a profile pays depends on who is shown. Each set of offers that can be shown together is put to
the market in turn, so that all payoffs are the market's own. Who is shown is found in the compiled
loop by the market's own rule and with the market's own random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

from mos_agents.market.execution import ShopperChoice
from mos_agents.market.kernels import inlined
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.prominence import (
    TIES,
    ShowDynamic,
    ShowEverything,
    ShowFixed,
    ShowRanked,
    drawn_of,
    is_beyond_cushion,
    offer_names,
)
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.stages import Prominence
from mos_agents.market.streams import Streams, block, key_number
from mos_agents.market.types import Array, InputError, IntArray, Quotes

BLOCK_BITS = 2
"""Periods share a block of draws in fours."""
MOST_SETS = 64
"""Sets of offers that can be shown together."""


@short_repr
class PlaceArrays(NamedTuple):
    """A rule of prominence, as the compiled loops take it.

    The F offers stand group by group. The sets that can be shown are numbered with the groups as
    digits, the first group's the most significant.
    """

    score: Array  # [F, m] the score of an offer by its player's level
    player: IntArray  # [F]
    start: IntArray  # [G + 1] offers of each group
    number: IntArray  # [G, 2^most offers of a group] number of a set of a group, by its bits
    sets: IntArray  # [G] how many sets a group has
    profiles: int  # P
    most: int  # offers shown in a group
    is_dynamic: bool
    cushion: float
    first: Any  # [P] of two offers: which has the lower score; 2 where they are equal
    stays: Any  # [3, P] of two offers: whether a holder (2: nobody) is within the cushion
    is_drawn: bool  # whether a draw decides at every profile
    philox_key: Any  # of the market's streams
    session: Any
    ties: Any  # key of the draws


@short_repr
@dataclass(frozen=True, eq=False)
class Places:
    """The sets of offers that can be shown, and what every profile pays and leaves under each.

    Parameters
    ----------
    rule : Prominence
        The market's rule.
    offers : array of int [F]
        Listings, group by group.
    start : array of int [G + 1]
        Where each group's offers begin.
    player : array of int [F]
        Whose each offer is.
    sets : tuple
        For each group, its sets of offers: tuples of positions in the group.
    score : array [F, m]
        The score of an offer by its player's price.
    payoffs : array [V P, n]
        Reward per tick; row v P + p is profile p where the v-th set is shown.
    prices : array [V P, n]
        Mean of the prices that the player asks.
    states : array of int [n, V P]
        The situation that each player sees afterwards.
    markets : tuple of Market
        For each set, the market in which it is always shown.
    """

    rule: Prominence
    offers: IntArray
    start: IntArray
    player: IntArray
    sets: tuple[tuple[tuple[int, ...], ...], ...]
    score: Array
    payoffs: Array
    prices: Array
    states: IntArray
    markets: tuple[Market, ...]

    @property
    def has_state(self) -> bool:
        """Whether what is shown depends on the past, or is a part of what players see."""
        by_set = self.states.reshape(len(self.states), self.count, -1)
        return isinstance(self.rule, ShowDynamic) or bool((by_set != by_set[:, :1]).any())

    @cached_property
    def count(self) -> int:
        """V, how many sets of offers can be shown."""
        return int(np.prod([len(one) for one in self.sets]))

    def arrays(self, seed: int, session: int) -> PlaceArrays:
        """The rule as the loops take it, for one session."""
        groups = len(self.sets)
        widest = int(np.diff(self.start).max())
        number = np.zeros((groups, 2**widest), np.int64)
        for g, sets in enumerate(self.sets):
            for v, members in enumerate(sets):
                number[g, sum(1 << j for j in members)] = v
        key = Streams.of(seed, 1).philox_key
        first, stays = self._of_a_pair
        return PlaceArrays(
            self.score,
            self.player,
            self.start,
            number,
            np.array([len(one) for one in self.sets], np.int64),
            len(self.payoffs) // self.count,
            _most(self.rule),
            isinstance(self.rule, ShowDynamic),
            _cushion(self.rule),
            first,
            stays,
            bool((first == 2).all()),
            (key[0], key[1]),
            np.uint64(session),
            np.uint64(key_number(TIES)),
        )

    @cached_property
    def _of_a_pair(self) -> tuple[Any, Any]:
        """`first` and `stays` of two players with an offer each; empty elsewhere."""
        if len(self.offers) != 2 or len(self.sets) != 1:
            return np.zeros(0, np.int64), np.zeros((3, 0), np.bool_)
        mine, others = np.meshgrid(*self.score, indexing="ij")
        first = np.where(mine < others, 0, np.where(others < mine, 1, 2)).ravel()
        cushion, stays = _cushion(self.rule), np.zeros((3, first.size), np.bool_)
        held = [(others, mine), (mine, others)]
        for holder, (rival, price) in enumerate(held):
            pairs = zip(rival.ravel(), price.ravel(), strict=True)
            stays[holder] = [is_beyond_cushion(r, p, cushion) for r, p in pairs]
        return first, stays

    def expected(self, levels: IntArray) -> Array:
        """[P, n] payoffs where nobody holds a place yet: equal offers are shown equally often.

        `levels` are those of all profiles, [P, n].
        """
        total = np.zeros((len(levels), self.payoffs.shape[1]))
        for v, chance in enumerate(self._chances(levels)):
            total += chance[:, None] * self.payoffs[v * len(levels) : (v + 1) * len(levels)]
        return total

    def _chances(self, levels: IntArray) -> list[Array]:
        """For each set, its chance [P] to be shown where nobody holds a place."""
        by_group = []
        for g, sets in enumerate(self.sets):
            members = range(self.start[g], self.start[g + 1])
            scores = np.stack([self.score[f, levels[:, self.player[f]]] for f in members], axis=1)
            cut = np.sort(scores, axis=1)[:, len(sets[0]) - 1][:, None]  # the last score shown
            sure, equal = scores < cut, scores == cut
            fits = []
            for chosen in sets:
                inside = np.isin(np.arange(len(members)), chosen)
                fits.append((inside >= sure).all(axis=1) & (inside <= (sure | equal)).all(axis=1))
            by_group.append([fit / np.sum(fits, axis=0) for fit in fits])
        ones = np.ones(len(levels))
        return [np.prod([ones, *some], axis=0) for some in product(*by_group)]


def _most(rule: Prominence) -> int:
    """How many offers of a group a rule shows."""
    return rule.shown if isinstance(rule, ShowRanked) else 1


def _cushion(rule: Prominence) -> float:
    return float(rule.cushion) if isinstance(rule, ShowDynamic) else 0.0


def uncertain(market: Market) -> Prominence | None:
    """The rule of a market in which the quotes of the tick alone do not say who is shown."""
    rule = market.execution.prominence_rule()
    if rule is None or isinstance(rule, ShowFixed | ShowEverything):
        return None
    return rule


def places_of(
    market: Market,
    specs: tuple[ParticipantSpec, ...],
    quotes: Callable[[Market, IntArray], Quotes],
    put: Callable[[Market], tuple[Array, Array, IntArray]],
    sizes: list[int],
) -> Places:
    """Put every profile to the market under every set of offers that can be shown.

    `put` plays all profiles in a market; `quotes` gives those of profiles [R, n].
    Raises InputError where the compiled games cannot play the rule.
    """
    rule, layout = uncertain(market), market.layout
    ranks = isinstance(rule, ShowRanked) and type(rule).show is ShowRanked.show
    holds = isinstance(rule, ShowDynamic) and type(rule).show is ShowDynamic.show
    if not isinstance(rule, ShowRanked | ShowDynamic) or not (ranks or holds):
        raise InputError(
            f"execution.prominence: {type(rule).__name__} is not played in the compiled game; play "
            "it tick by tick with mos_agents.rollout"
        )
    owner = {spec.number: i for i, spec in enumerate(specs)}
    if missing := set(layout.seller) - set(owner):
        raise InputError(
            f"{layout.participants[min(missing)]} keeps its prices; with a rule of prominence the "
            "compiled game needs a learner for each seller"
        )
    offers, start = layout.group_listing, layout.group_start
    player = np.array([owner[int(n)] for n in layout.seller[offers]], np.int64)
    most = _most(rule)
    sets = tuple(
        tuple(combinations(range(size), min(most, int(size)))) for size in np.diff(start).tolist()
    )
    count = float(np.prod([float(len(one)) for one in sets]))
    if count > MOST_SETS:
        raise InputError(
            f"execution.prominence: {count:,.0f} sets of offers can be shown, at most {MOST_SETS} "
            "are played in the compiled game; play tick by tick with mos_agents.rollout"
        )
    scores = lambda levels: rule.scores(market, quotes(market, levels))  # noqa: E731
    score = np.zeros((len(offers), max(sizes)))
    for level in range(max(sizes)):
        here = np.minimum(level, np.array(sizes) - 1)
        score[:, level] = scores(here[None])[0, offers]
    _check_scores(rule, scores, score, offers, player, sizes)
    names, markets = offer_names(market), []
    for chosen in product(*sets):
        shown = tuple(names[offers[start[g] + j]] for g, one in enumerate(chosen) for j in one)
        markets.append(_showing(market, shown))
    payoffs, prices, states = (list(one) for one in zip(*map(put, markets), strict=True))
    return Places(
        rule,
        offers,
        start,
        player,
        sets,
        score,
        np.concatenate(payoffs),
        np.concatenate(prices),
        np.concatenate(states, axis=1),
        tuple(markets),
    )


def _check_scores(
    rule: Prominence,
    scores: Callable[[IntArray], Array],
    score: Array,
    offers: IntArray,
    player: IntArray,
    sizes: list[int],
) -> None:
    """InputError where an offer's score depends on more than its own price."""
    levels = np.random.default_rng(0).integers(0, sizes, (64, len(sizes)))
    if not np.array_equal(
        scores(levels)[:, offers], score[np.arange(len(offers)), levels[:, player]]
    ):
        raise InputError(
            f"execution.prominence: {type(rule).__name__} scores an offer by more than its own "
            "price; play it tick by tick with mos_agents.rollout"
        )


def _showing(market: Market, names: tuple[str, ...]) -> Market:
    """The market in which always the same offers are shown, to the same shoppers."""
    execution = market.execution
    assert isinstance(execution, ShopperChoice)
    rule = execution.prominence
    fixed = ShowFixed(rule.followers, rule.search_cost, rule.boost, names)
    return market.with_parts(execution=replace(execution, prominence=fixed))


# --- who is shown, in the compiled loops ----------------------------------------------------------


@inlined
def tie_draws(places, g, t):  # type: ignore[no-untyped-def]
    """The draws that decide among a group's equal offers in the four periods of t's block."""
    count, at = np.uint64(g + 1), np.uint64(t >> BLOCK_BITS)
    return block(places.philox_key, count, at, places.session, places.ties)


@inlined
def tie_draw(places, g, t):  # type: ignore[no-untyped-def]
    """The draw of one period."""
    u0, u1, u2, u3 = tie_draws(places, g, t)
    word = t & 3
    if word < 2:
        return u0 if word == 0 else u1
    return u2 if word == 2 else u3


@inlined
def shown_set(places, level, place, held, t):  # type: ignore[no-untyped-def]
    """The number of the set of offers that is shown at these levels [n].

    place [G] and held [G] are who holds each group's place and its last price, kept up to date.
    """
    found = 0
    for g in range(places.sets.shape[0]):
        begin, end = places.start[g], places.start[g + 1]
        holder, bits = place[g], 0
        if places.is_dynamic and holder >= 0:
            price = score_of(places, holder, level)
            stays = price <= held[g]
            for f in range(begin, end):
                if f != holder:
                    rival = score_of(places, f, level)
                    stays = stays and is_beyond_cushion(rival, price, places.cushion)
            if stays:
                bits = 1 << (holder - begin)
        if bits == 0:
            draw = -1.0
            for _ in range(min(places.most, end - begin)):
                best, equal, first = 0.0, 0, begin
                for f in range(begin, end):
                    if (bits >> (f - begin)) & 1 == 0:
                        score = score_of(places, f, level)
                        if equal == 0 or score < best:
                            best, equal, first = score, 1, f
                        elif score == best:
                            equal += 1
                if equal > 1:
                    if draw < 0.0:
                        draw = tie_draw(places, g, t)
                    winner, draw = drawn_of(draw, equal)
                    f = first
                    while True:
                        if (bits >> (f - begin)) & 1 == 0 and score_of(places, f, level) == best:
                            if winner == 0:
                                break
                            winner -= 1
                        f += 1
                    first = f
                bits |= 1 << (first - begin)
                place[g] = first
        held[g] = score_of(places, place[g], level)
        found = found * places.sets[g] + places.number[g, bits]
    return found


@inlined
def score_of(places, f, level):  # type: ignore[no-untyped-def]
    """The score of an offer at these levels."""
    return places.score[f, level[places.player[f]]]


@inlined
def shown_of_pair(places, profile, lowered_1, lowered_2, place):  # type: ignore[no-untyped-def]
    """Which of two offers is shown: 0, 1, or 2 where a draw decides.

    lowered: whether each player asks no more than in the last period.
    """
    found = places.first[profile]
    if places.is_dynamic:
        stays = places.stays[np.uint64(place), profile]
        stays = stays and (lowered_1 if place == 0 else lowered_2)
        found = place if stays else found
    return found
