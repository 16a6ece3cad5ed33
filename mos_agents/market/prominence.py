"""Prominence: which offers of a group shoppers see first, as a platform decides.

A rule chooses offers. Shoppers who follow it see those alone, or see them boosted; the others look
at every offer, at a search cost. Equal offers are distinguished by the market's own random numbers,
so that one of them is shown and sells: shares are never split between them.
"""

# Browsing (`browsing`) is another thing: which products a visitor looks at. Prominence is about the
# offers of what she looks at.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mos_agents.market.checks import changes_nothing, within_floats
from mos_agents.market.kernels import inlined, kernel
from mos_agents.market.market import Market
from mos_agents.market.stages import Demand, Prominence, Shown
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, Info, InputError, Quotes, State

TIES = "prominence"
"""Key of the random numbers that decide among equal offers, one for each group."""
STEERED = "steered"
"""Key of the random numbers that draw among weighted offers, one for each."""
WEIGHTS = "weights of the platform"
"""What a venue's memory holds of the platform's weights [B, L] of its offers, or of bids."""
SLACK = 1e-9
"""Prices nearer than this share are the same to a cushion: a grid's steps do not add up exactly."""


@dataclass(frozen=True)
@within_floats
class ShowEverything(Prominence):
    """Every offer is shown alike.

    With `followers` below 1 and a search cost, the others bear that cost.
    """

    def validate(self, market: Market) -> None:
        if self.boost:
            raise changes_nothing(
                "execution.prominence.boost", self.boost, "it would help every offer alike"
            )
        if (self.followers < 1.0) != (self.search_cost > 0.0):
            setting = "followers" if self.followers < 1.0 else "search_cost"
            raise changes_nothing(
                f"execution.prominence.{setting}",
                getattr(self, setting),
                "every offer is shown to everybody, and searching costs nothing"
                if self.followers < 1.0
                else "all shoppers follow what is shown, and nobody searches",
            )

    @property
    def is_active(self) -> bool:
        return self.followers < 1.0

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        return Shown(offered, offered)


@dataclass(frozen=True)
class ShowRanked(Prominence):
    """Shows the offers of the lowest score in each group; equal scores are distinguished by a draw.

    The base class of the rules that rank offers. A subclass writes `scores`.

    Parameters
    ----------
    shown : int
        offers that are shown in each group, >= 1.
    """

    shown: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shown < 1:
            raise InputError(f"shown={self.shown!r} shows nobody: set it to 1 or more offers")

    def validate(self, market: Market) -> None:
        check_followers(self)
        most = int(np.diff(market.layout.group_start).max())
        if self.shown >= most:
            raise changes_nothing(
                "execution.prominence.shown",
                self.shown,
                f"customers compare at most {most} offers",
                "set it below, or set execution.prominence.kind=everything",
            )

    def scores(self, market: Market, quotes: Quotes) -> Array:
        """[B, L] scores, in money; the lowest are shown."""
        raise NotImplementedError

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        layout, scores = market.layout, self.scores(market, quotes)
        ties = draws.block_uniforms(TIES, layout.G)
        groups = layout.group_start, layout.group_listing
        chosen = lowest(scores, offered, ties, self.shown, *groups)
        return self.chosen(offered, chosen)


@dataclass(frozen=True)
@within_floats
class ShowCheapest(ShowRanked):
    """Shows the cheapest offers of each group (price-directed prominence).

    Johnson, Rhodes and Wildenbeest (Econometrica 91(5), 2023).
    """

    def scores(self, market: Market, quotes: Quotes) -> Array:
        return quotes.ask


@dataclass(frozen=True)
@within_floats
class ShowRandom(ShowRanked):
    """Shows offers drawn at random at every tick, whatever they cost: a control."""

    def scores(self, market: Market, quotes: Quotes) -> Array:
        return np.zeros_like(quotes.ask)


@dataclass(frozen=True)
@within_floats
class BuyBox(ShowRanked):
    """Shows the offers of the best mix of price, rating and owner, as a buy box does.

    The score of an offer is its price, less `rating` times its quality in the catalogue, less `own`
    for the platform's own offers.

    Parameters
    ----------
    rating : float
        money that one unit of quality is worth to the rule.
    own : float
        money by which the platform's own offers are favoured (self-preferencing).
    """

    rating: float = 0.0
    own: float = 0.0

    def validate(self, market: Market) -> None:
        super().validate(market)
        if self.own and market.collector < 0:
            raise changes_nothing(
                "execution.prominence.own", self.own, "no participant has the role platform"
            )
        if self.rating and not np.ptp(market.catalogue.quality) > 0.0:
            raise changes_nothing(
                "execution.prominence.rating", self.rating, "all offers have the same quality"
            )

    def scores(self, market: Market, quotes: Quotes) -> Array:
        favour = self.rating * market.catalogue.quality
        return quotes.ask - favour - self.own * (market.layout.seller == market.collector)


@dataclass(frozen=True)
@within_floats
class ShowSteered(ShowRanked):
    """Shows what the platform chooses at every tick: its action gives each offer a weight.

    Shown are the offers of the greatest weight; equal ones are distinguished by a draw. An offer of
    weight 0 is not shown while others can be bought. Weights that are all 0 are refused.

    Parameters
    ----------
    drawn : bool
        offers are drawn at every tick, with chances in proportion to their weights.
    """

    drawn: bool = False

    def validate(self, market: Market) -> None:
        super().validate(market)
        _check_venue(market, "steered", "the platform's weights")

    @property
    def is_steered(self) -> bool:
        return True

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        layout, weights = market.layout, state.memory[WEIGHTS]
        groups = layout.group_start, layout.group_listing
        eligible = offered & (weights > 0.0)
        for g in range(layout.G):  # all that have a weight are sold out: the others are shown
            members = layout.group_listing[layout.group_start[g] : layout.group_start[g + 1]]
            nobody = ~eligible[:, members].any(axis=1)
            eligible[np.ix_(nobody, members)] = offered[np.ix_(nobody, members)]
        scores = -weights
        if self.drawn:  # the smallest of exponential times whose rates are the weights
            times = -np.log1p(-draws.block_uniforms(STEERED, layout.L))
            rates = np.maximum(weights, np.finfo(np.float64).tiny)
            scores = np.log(np.maximum(times, np.finfo(np.float64).tiny)) - np.log(rates)
        ties = draws.block_uniforms(TIES, layout.G)
        return self.chosen(offered, lowest(scores, eligible, ties, self.shown, *groups))


@dataclass(frozen=True)
@within_floats
class ShowSponsored(ShowRanked):
    """Shows the offers whose sellers bid most for the place.

    A bid is money for each unit that the shown offer sells. Those that are shown pay the highest
    bid of those that are not (a uniform price, the second price where one is shown) to the
    platform, or to the outside world where there is none. Equal bids are told apart by a draw.

    Parameters
    ----------
    highest_bid : float
        most that a seller may bid, in money per unit, > 0.
    """

    highest_bid: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.highest_bid < np.inf:
            raise InputError(f"highest_bid={self.highest_bid!r} must be > 0, in money, and finite")

    def validate(self, market: Market) -> None:
        super().validate(market)
        _check_venue(market, "sponsored", "the sellers' bids")

    @property
    def highest_placement(self) -> float:
        return self.highest_bid

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        layout = market.layout
        ties = draws.block_uniforms(TIES, layout.G)
        groups = layout.group_start, layout.group_listing
        return self.chosen(
            offered, lowest(-state.memory[WEIGHTS], offered, ties, self.shown, *groups)
        )


def _check_venue(market: Market, kind: str, what: str) -> None:
    """InputError for a rule whose weights are slots, in a market without venues."""
    if market.standalone:
        raise InputError(
            f"execution.prominence.kind={kind}: {what} belong to a venue; write the market as one "
            "venue, under venues"
        )


@dataclass(frozen=True)
@within_floats
class ShowDynamic(Prominence):
    """Shows one offer of each group, which keeps its place while it is not undercut by much.

    The holder stays as long as it does not raise its price and every rival is dearer than its price
    less the cushion. Otherwise the cheapest offer takes the place; of several, one is drawn. This
    reads the dynamic price-directed prominence of Johnson, Rhodes and Wildenbeest (Econometrica
    91(5), 2023), whose exact rule was not at hand.

    Parameters
    ----------
    cushion : float
        money by which a rival must undercut the holder to take its place, >= 0.
    """

    cushion: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.cushion < np.inf:
            raise InputError(f"cushion={self.cushion!r} must be >= 0, in money")

    def validate(self, market: Market) -> None:
        check_followers(self)
        if int(np.diff(market.layout.group_start).max()) < 2:
            raise changes_nothing(
                "execution.prominence.kind", "dynamic", "customers compare one offer only"
            )

    def memory(self, market: Market) -> Mapping[str, Array]:
        return {HOLDERS: np.zeros(market.layout.L), HELD_AT: np.zeros(market.layout.L)}

    def scores(self, market: Market, quotes: Quotes) -> Array:
        """[B, L] prices, the lowest of which takes a place that is free."""
        return quotes.ask

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        layout, memory = market.layout, state.memory
        ties = draws.block_uniforms(TIES, layout.G)
        groups = layout.group_start, layout.group_listing
        held = memory[HOLDERS], memory[HELD_AT]
        chosen = hold_or_lowest(quotes.ask, offered, ties, *held, self.cushion, *groups)
        return self.chosen(offered, chosen)

    def remember(
        self, market: Market, state: State, info: Info, draws: Draws
    ) -> Mapping[str, Array]:
        assert info.executions.shown is not None
        return {HOLDERS: info.executions.shown.copy(), HELD_AT: info.quotes.ask.copy()}


HOLDERS, HELD_AT = "prominence holders", "prominence prices"
"""What `ShowDynamic` remembers: 1 where an offer holds the place, and the last prices. [B, L]"""


@dataclass(frozen=True)
@within_floats
class ShowFixed(Prominence):
    """Shows the same offers at every tick, whatever they cost: a control.

    Parameters
    ----------
    offers : tuple of str
        the offers that are shown, as "participant.instrument".
    """

    offers: tuple[str, ...] = ()

    def validate(self, market: Market) -> None:
        check_followers(self)
        known = set(offer_names(market))
        for name in self.offers:
            if name not in known:
                raise InputError(
                    f"execution.prominence.offers: {name!r} is no offer; offers are "
                    f"{', '.join(offer_names(market)[:8])}"
                )
        chosen, layout = self._chosen(market), market.layout
        for g in range(layout.G):
            members = layout.group_listing[layout.group_start[g] : layout.group_start[g + 1]]
            if members.size and not chosen[members].any():
                raise InputError(
                    f"execution.prominence.offers shows nobody to customers of "
                    f"{layout.instruments[layout.instrument[members[0]]]}: name one of its offers"
                )

    def _chosen(self, market: Market) -> np.ndarray:
        return np.array([name in self.offers for name in offer_names(market)])

    def show(
        self, market: Market, state: State, quotes: Quotes, offered: np.ndarray, draws: Draws
    ) -> Shown:
        named = market.cached(("shown", self.offers), lambda: self._chosen(market))
        return self.chosen(offered, offered & named)


def offer_names(market: Market) -> list[str]:
    """[L] names of the offers."""
    layout = market.layout
    pairs = zip(layout.seller, layout.instrument, strict=True)
    return [f"{layout.participants[n]}.{layout.instruments[k]}" for n, k in pairs]


def check_followers(rule: Prominence) -> None:
    """InputError for a rule that nobody follows, and for a search cost that nobody bears."""
    if rule.followers == 0.0:
        raise InputError(
            "execution.prominence.followers=0: nobody follows what is shown; set "
            "execution.prominence.kind=everything"
        )
    if rule.search_cost and rule.followers == 1.0:
        raise changes_nothing(
            "execution.prominence.search_cost",
            rule.search_cost,
            "all shoppers follow what is shown, and nobody searches",
        )


# --- what shoppers make of it ---------------------------------------------------------------------


def shown_offers(
    rule: Prominence,
    market: Market,
    state: State,
    quotes: Quotes,
    offered: np.ndarray,
    draws: Draws,
) -> Shown:
    """What the rule shows. InputError where it shows nothing to shoppers who could buy."""
    shown = rule.show(market, state, quotes, offered, draws)
    for part in (shown.visible, shown.prominent):
        if np.shape(part) != offered.shape or np.asarray(part).dtype != np.bool_:
            raise InputError(
                f"{type(rule).__name__}.show must give booleans of shape {offered.shape} = "
                "(markets, listings)"
            )
    empty = offered.any(axis=1) & ~(shown.visible & offered).any(axis=1)
    if empty.any() and rule.followers > 0.0:
        raise InputError(
            f"{type(rule).__name__}.show shows nobody in market {int(empty.argmax())} at tick "
            f"{state.tick}: make one of the offers visible"
        )
    return shown


def seen_shares(
    rule: Prominence,
    shown: Shown | None,
    market: Market,
    demand: Demand,
    prices: Array,
    available: np.ndarray,
    reference: Array,
    rows: slice | np.ndarray = slice(None),
) -> Array:
    """[R, L] shares of a demand model, averaged over shoppers who follow and who search.

    `rows` are the markets that the other arrays are of.
    """
    if shown is None:
        return demand.shares(market, prices, available, reference)
    follow = rule.followers
    mixed = np.zeros(prices.shape)
    if follow > 0.0:
        looks = prices - rule.boost * shown.prominent[rows] if rule.boost else prices
        visible = available & shown.visible[rows]
        mixed = follow * demand.shares(market, looks, visible, reference)
    if follow < 1.0:
        searched = prices + rule.search_cost
        mixed += (1.0 - follow) * demand.shares(market, searched, available, reference)
    return mixed


@kernel
def lowest(score, offered, ties, most, group_start, group_listing):  # type: ignore[no-untyped-def]
    """[B, L] the `most` offers of the lowest score in each group; `ties` [B, G] decide ties."""
    chosen = np.zeros(score.shape, np.bool_)
    for b in range(score.shape[0]):
        for g in range(group_start.shape[0] - 1):
            draw = ties[b, g]
            for _ in range(most):
                best, equal = np.inf, 0
                for j in range(group_start[g], group_start[g + 1]):
                    i = group_listing[j]
                    if offered[b, i] and not chosen[b, i]:
                        if score[b, i] < best or equal == 0:
                            best, equal = score[b, i], 1
                        elif score[b, i] == best:
                            equal += 1
                if equal == 0:
                    break
                winner, draw = drawn_of(draw, equal)
                for j in range(group_start[g], group_start[g + 1]):
                    i = group_listing[j]
                    if offered[b, i] and not chosen[b, i] and score[b, i] == best:
                        if winner == 0:
                            chosen[b, i] = True
                            break
                        winner -= 1
    return chosen


@kernel
def hold_or_lowest(  # type: ignore[no-untyped-def]
    price, offered, ties, holders, held_at, cushion, group_start, group_listing
):
    """[B, L] each group's holder where it keeps its place, and its cheapest offer elsewhere."""
    chosen = lowest(price, offered, ties, 1, group_start, group_listing)
    for b in range(price.shape[0]):
        for g in range(group_start.shape[0] - 1):
            begin, end = group_start[g], group_start[g + 1]
            holder = -1
            for j in range(begin, end):
                if holders[b, group_listing[j]] > 0.0:
                    holder = group_listing[j]
            if holder < 0 or not offered[b, holder]:
                continue
            stays = price[b, holder] <= held_at[b, holder]
            for j in range(begin, end):
                i = group_listing[j]
                if i != holder and offered[b, i]:
                    stays &= is_beyond_cushion(price[b, i], price[b, holder], cushion)
            if stays:
                for j in range(begin, end):
                    chosen[b, group_listing[j]] = group_listing[j] == holder
    return chosen


@inlined
def drawn_of(draw, equal):  # type: ignore[no-untyped-def]
    """Which of so many equal offers a draw chooses; and what is left of it, a draw again."""
    winner = min(np.int64(draw * equal), equal - 1)
    return winner, draw * equal - winner


@inlined
def is_beyond_cushion(rival, held, cushion):  # type: ignore[no-untyped-def]
    """Whether a rival's price is above the holder's less the cushion."""
    return rival > held - cushion + SLACK * max(1.0, abs(held))
