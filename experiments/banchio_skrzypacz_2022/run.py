"""Two bidders' Q-learning in an auction: why the first-price rule ends in low bids.

Banchio and Skrzypacz, "Artificial Intelligence and Auction Design", EC 2022 (arXiv 2202.05947).
`mos replicate banchio_skrzypacz_2022`; what was found, and what is inferred, stands in README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from experiments.common_settings import check_settings
from experiments.replication import ExecutionConfig, Finding, Findings, Published
from experiments.sessions import sessions_played
from mos_agents.games.bidding_game import BiddingGame, play_bidding_sessions
from mos_agents.market.types import InputError, IntArray

TITLE = "Q-learning bidders in first-price and second-price auctions (Banchio, Skrzypacz, EC 2022)"
QUICK = ("sessions=20",)
SOURCE = "Banchio and Skrzypacz 2022"
KEEPS = False
PAPER_SESSIONS = 1000


@dataclass(frozen=True)
class AuctionSettings:
    """The paper's baseline. mix: 1 is a first-price auction, 2 a second-price auction.

    Bids are 1/steps, ..., (steps - 1)/steps of the value 1. reserve: lowest bid that can win.
    feedback: bidders are told the highest rival bid, and correct the value of every bid. A bidder
    tries a bid with chance epsilon exp(-decay t). First values are initial / (1 - gamma). ties:
    drawn or split among the highest bidders. greedy_ties: lowest or random. explores: all bids or
    neighbours. fringe: one more bid, uniform on [0, 1]. window: a session has converged if no
    greedy bid changed in so many last auctions.
    """

    mix: float = 1.0
    bidders: int = 2
    reserve: float = 0.0
    feedback: bool = False
    alpha: float = 0.05
    gamma: float = 0.99
    epsilon: float = 0.025
    decay: float = 2e-4
    initial: float = 1.0
    ties: str = "drawn"
    greedy_ties: str = "lowest"
    explores: str = "all"
    fringe: bool = False
    steps: int = 20
    auctions: int = 1_000_000
    window: int = 1000
    sessions: int = PAPER_SESSIONS
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            {
                "auctions": (int, 1, 10**10),
                "window": (int, 0, 10**9),
            },
        )
        if self.window >= self.auctions:
            raise InputError(f"window={self.window} must be less than auctions={self.auctions}")
        self.game  # noqa: B018 - checks the other settings

    @property
    def game(self) -> BiddingGame:
        """The auction that is repeated."""
        names = [one.name for one in fields(BiddingGame)]
        return BiddingGame(**{name: getattr(self, name) for name in names})


Settings = AuctionSettings
"""What `mos replicate` sets."""


def notes(s: AuctionSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    if s.feedback:
        ties = "of equal highest bids each is paid its expected share"
    else:
        ties = "of equal highest bids " + (
            "one is drawn" if s.ties == "drawn" else "each wins a share"
        )
    greedy = "the lowest is made" if s.greedy_ties == "lowest" else "one is drawn at each auction"
    return [
        f"ties: {ties}; of equally good bids {greedy}",
        f"grid: {s.steps - 1} bids from {1 / s.steps:g} to {1 - 1 / s.steps:g}, steps of "
        f"{1 / s.steps:g}, kept as whole numbers; the value is 1",
        "order of moves: all bid at once, without a state; "
        + ("every bid is" if s.feedback else "the bid that was made is")
        + f" corrected after each of {s.auctions:,} auctions, with no early stop",
        f"inferred: the first values ({s.initial / (1.0 - s.gamma):g}), the rule for equally good "
        "bids, and what the paper calls collusive (here: the winning bid is below the top of the "
        "grid)",
    ]


COUNTS = {2: 110, 3: 202, 4: 202, 5: 192, 6: 164, 7: 92, 8: 34, 9: 4}
"""Of 1,000 first-price sessions, how many ended with both at this bid, in steps of .05."""
COLLUSIVE = dict(
    zip(np.arange(10, 20) / 10, (1.0, 1.0, 1.0, 1.0, 0.86, 0.41, 0.15, 0.02, 0.0, 0.0), strict=True)
)
"""The paper's share of collusive sessions by mix."""


def published(s: AuctionSettings) -> dict[str, Published]:
    """The paper's figures for these settings; none where it reports no such play."""
    base = AuctionSettings(sessions=s.sessions, seed=s.seed)
    found: dict[str, Published] = {}
    if s == replace(base, feedback=True):
        found["revenue_at_least_0.9_share"] = Published(
            1.0, f"{SOURCE}: all of 500 sessions at (.90, .90), which pays as much as .95"
        )
        return found
    if s != replace(base, mix=s.mix, greedy_ties=s.greedy_ties):
        return {}
    for mix, share in COLLUSIVE.items():
        if np.isclose(s.mix, mix):
            text = f"{SOURCE}, share of collusive sessions (definition inferred)"
            found["below_top_share"] = Published(share, text, 0.005)
    if s.mix == 1.0:
        bids = np.repeat(list(COUNTS), list(COUNTS.values())) / 20
        error = float(bids.std(ddof=1) / np.sqrt(bids.size))
        found["revenue"] = Published(float(bids.mean()), f"{SOURCE}, first price", 0.0, error)
        for step, count in COUNTS.items():
            name = share_name(step / 20)
            found[name] = Published(count / 1000, f"{SOURCE}, first price: {count} of 1,000")
    elif s.mix == 2.0:
        found["revenue"] = Published(0.9471, f"{SOURCE}, second price", 5e-5)
        found[share_name(0.95)] = Published(0.994, f"{SOURCE}, second price: 994 of 1,000")
    return found


def share_name(bid: float) -> str:
    """The quantity: how many sessions end with all bidders at this bid."""
    return f"all_bid_{bid:.2f}_share"


def replicate(s: AuctionSettings, execution: ExecutionConfig) -> list[Finding]:
    """Play, and put every quantity beside the paper's."""
    game = s.game
    plays: list[Any] = sessions_played(
        execution, play_bidding_sessions, game, s.seed, s.sessions, s.auctions
    )
    converged = np.array([one.stable >= s.window for one in plays])
    ends: IntArray = np.stack([one.bids for one in plays])
    found = Findings(published(s), PAPER_SESSIONS)
    found.share("converged_share", converged)
    found.mean("revenue_of_all_sessions", game.revenue(ends))
    bids = ends[converged]  # the paper discards the others
    if not len(bids):
        return found.all()
    revenue = game.revenue(bids)
    found.mean("revenue", revenue)
    found.share("revenue_at_least_0.9_share", revenue >= 0.9 - 1e-9)
    highest = bids.max(axis=1)
    found.share("below_top_share", highest < s.steps - 1)
    found.mean("winning_bid", highest / s.steps)
    found.quantile("winning_bid_median", highest / s.steps, 0.5)
    equal = np.ptp(bids, axis=1) == 0
    found.share("equal_bids_share", equal)
    for step in range(1, s.steps):
        here = equal & (highest == step)
        name = share_name(step / s.steps)
        if here.any() or name in published(s):
            found.share(name, here)
    return found.all()
