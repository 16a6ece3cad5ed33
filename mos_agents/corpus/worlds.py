"""The labelled corpus: simulated markets of which it is known whether their firms compete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mos_agents.analysis.screens import Observed, logit_best_reply
from mos_agents.corpus import cartels, competitive
from mos_agents.corpus.learners import LEVELS, learnt, play_on, trained_again
from mos_agents.corpus.markets import COST, QUALITY, SCALE, Conditions, fading
from mos_agents.corpus.shocks import NAMES, Shocks, draw_shocks
from mos_agents.market.checks import check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError

TRIALS = 0.03
"""Chance of a tick that a learner tries a random price."""

POOL = 250
"""Sessions of learning; larger corpora play each of them on several times."""

RETRAINED = 30
"""Sessions whose first firm is trained again, three times each, of each hundred."""


@short_repr
@dataclass(frozen=True, eq=False)
class LabelledMarket:
    """One simulated market with its label.

    Parameters
    ----------
    world : str
        Name of its world.
    kind : {"competitive", "tacit", "explicit", "seeming"}
        How its firms come to their prices.
    observed : Observed
        What an auditor has: prices, recorded costs, quantities, season labels.
    compared : Observed
        The same, with the prices of a control market.
    theory : Observed
        The same, with competitive and joint-profit prices at the true cost and demand of each date,
        and the static best reply.
    """

    world: str
    kind: str
    observed: Observed
    compared: Observed
    theory: Observed


@short_repr
@dataclass(frozen=True)
class World:
    """One world of the corpus.

    Parameters
    ----------
    name : str
        Its name.
    kind : {"competitive", "tacit", "explicit", "seeming"}
        How its firms come to their prices.
    description : str
        What happens in it, in a sentence.
    shocks : tuple of str
        Kinds of shocks.
    prices : callable, optional
        Takes a generator and `Shocks` and returns prices [T, S, N].
    learners : str, optional
        Kind of the learners, where learners set the prices.
    vendors : bool, optional
        Whether the first two firms have one vendor.
    """

    name: str
    kind: str
    description: str
    shocks: tuple[str, ...]
    prices: Callable[[np.random.Generator, Shocks], Array] | None = None
    learners: str = ""
    vendors: bool = False

    def generate(self, sessions: int, ticks: int, firms: int, seed: int) -> list[LabelledMarket]:
        """Draw markets of this world.

        Parameters
        ----------
        sessions, ticks, firms : int
            S, T and N.
        seed : int
            Seed of all random numbers, >= 0.

        Returns
        -------
        list of LabelledMarket
            The S markets.
        """
        rng = np.random.default_rng([seed, *self.name.encode()])
        if self.learners:
            return _learners(self, sessions, ticks, firms, seed, rng)
        assert self.prices is not None
        shocks = draw_shocks(rng, ticks, sessions, firms, self.shocks)
        prices = self.prices(rng, shocks)
        control = _control(rng, shocks)
        nash, joint = shocks.conditions.nash(), shocks.conditions.joint()
        units = shocks.conditions.sold(prices)
        vendors = ("a", "a", *"bcdefghi"[: firms - 2]) if self.vendors else None
        out = []
        for s in range(sessions):
            period = int(shocks.period[s])
            record = Observed(
                prices[:, s],
                cost=shocks.recorded_cost[:, s],
                quantities=units[:, s],
                seasons={f"a season of {period} dates": shocks.season[:, s]} if period else {},
                offered=shocks.offered[:, s],
                vendors=vendors,
            )
            reply = logit_best_reply(
                shocks.conditions.quality[:, s], shocks.conditions.cost[:, s], SCALE
            )
            theory = replace(
                record, price_nash=nash[:, s], price_joint=joint[:, s], best_reply=reply
            )
            compared = replace(record, control=control[:, s])
            out.append(LabelledMarket(self.name, self.kind, record, compared, theory))
        return out


def _control(rng: np.random.Generator, shocks: Shocks) -> Array:
    """Prices [T, S, 3] of three competitors elsewhere under the same costs and demand."""
    conditions = shocks.conditions
    cost = conditions.cost.mean(axis=2, keepdims=True)
    # Firms that are sold out say nothing about demand elsewhere.
    level = np.where(shocks.offered, conditions.quality, QUALITY).mean(axis=2, keepdims=True)
    elsewhere = Conditions(np.repeat(cost, 3, axis=2), np.repeat(level, 3, axis=2))
    common = np.minimum(shocks.factor.max(axis=2, keepdims=True), 1.0)
    prices = elsewhere.nash() * common
    return prices * (1.0 + shocks.noise[:, None] * rng.standard_normal(prices.shape))


def _learners(
    world: World, sessions: int, ticks: int, firms: int, seed: int, rng: np.random.Generator
) -> list[LabelledMarket]:
    if firms not in LEVELS:
        raise InputError(f"firms={firms!r} must be one of {list(LEVELS)} for a world of learners")
    strategies = learnt(world.learners, firms, min(sessions, POOL), 0)
    asked, meant = [], []
    for _ in range(-(-sessions // len(strategies.best))):
        one, wish = play_on(strategies, ticks, TRIALS, rng)
        asked.append(one)
        meant.append(wish)
    level = np.concatenate(asked, axis=1)[:, :sessions]
    wished = np.concatenate(meant, axis=1)[:, :sessions]
    grid = strategies.grid
    shift = np.zeros((ticks, sessions, 1))
    if "cost" in world.shocks:
        shift = fading(rng, (ticks, sessions, 1), 0.9, 0.1)
    prices = grid[level] + shift
    still = Conditions(np.full(level.shape, COST), np.full(level.shape, QUALITY))
    units = still.sold(grid[level])
    one_nash, one_joint = still.nash()[:1], still.joint()[:1]
    shocks = draw_shocks(rng, ticks, sessions, firms, (), symmetric=True)
    control = _control(rng, shocks) + shift
    chances = np.full((*level.shape, grid.size), TRIALS / grid.size)
    np.put_along_axis(chances, wished[..., None], 1.0 - TRIALS + TRIALS / grid.size, axis=-1)
    out = []
    for s in range(sessions):
        again = None
        if s < RETRAINED:
            again = trained_again(strategies, s % len(strategies.best), 3, seed + 1000 * s)
        record = Observed(
            prices[:, s],
            cost=np.repeat(COST + shift[:, s], firms, axis=1),
            quantities=units[:, s],
            chances=None if "cost" in world.shocks else chances[:, s],
            grid=None if "cost" in world.shocks else grid,
            retrained=again,
        )
        # Buying nothing becomes dearer by as much as the products do: best replies in margins.
        margins = logit_best_reply(QUALITY, COST, SCALE)
        moved = shift[:, s]

        def reply(asked: Array, moved: Array = moved, margins: object = margins) -> Array:
            best: Array = margins(asked - moved) + moved  # type: ignore[operator]
            return best

        theory = replace(
            record,
            price_nash=one_nash[:, s] + shift[:, s],
            price_joint=one_joint[:, s] + shift[:, s],
            best_reply=reply,
        )
        compared = replace(record, control=control[:, s])
        out.append(LabelledMarket(world.name, world.kind, record, compared, theory))
    return out


def _competitive() -> list[World]:
    rules = (
        ("nash", "Static Nash prices with independent noise", competitive.nash_prices),
        (
            "replies",
            "Best replies to the last date, with noise that fades",
            competitive.reply_prices,
        ),
    )
    words = {
        "cost": "costs move (common and own, autocorrelation .9)",
        "season": "a season moves costs that are not on record",
        "promotions": "common and single promotions",
        "demand": "demand, not on record, moves with autocorrelation .9",
        "stock": "firms are sold out now and then",
    }
    worlds = []
    for name, text, prices in rules:
        worlds.append(World(name, "competitive", f"{text}.", (), prices))
        for shock in NAMES:
            described = f"{text}; {words[shock]}."
            worlds.append(World(f"{name}_{shock}", "competitive", described, (shock,), prices))
        every = f"{text}; all shocks at once."
        worlds.append(World(f"{name}_all", "competitive", every, NAMES, prices))
    return worlds


_LIST = (
    *_competitive(),
    World("noise", "competitive", "Much noise around Nash prices.", (), competitive.noise_prices),
    World(
        "edgeworth",
        "competitive",
        "Sellers of the same good undercut each other in cycles; costs move.",
        ("cost",),
        competitive.edgeworth_prices,
    ),
    World(
        "separate_data",
        "competitive",
        "Two firms have one vendor, which keeps their data apart; costs move.",
        ("cost",),
        partial(cartels.vendor_prices, pooled=False),
        vendors=True,
    ),
    World(
        "myopic_learners",
        "competitive",
        "Q-learners without a future, with rare trials.",
        (),
        learners="myopic",
    ),
    World(
        "learners", "tacit", "Q-learners with a future, with rare trials.", (), learners="patient"
    ),
    World(
        "learners_cost",
        "tacit",
        "Q-learners with a future, with rare trials; common costs move.",
        ("cost",),
        learners="patient",
    ),
    World(
        "cartel",
        "explicit",
        "A cartel at joint-profit prices from which nobody defects; costs move.",
        ("cost",),
        cartels.cartel_prices,
    ),
    World(
        "cartel_defections",
        "explicit",
        "A cartel; a firm defects now and then (3% of dates), and all ask Nash prices for a while.",
        ("cost",),
        partial(cartels.cartel_prices, defections=0.03),
    ),
    World(
        "rigid_cartel",
        "explicit",
        "A cartel that revises its prices every 13 dates; costs move.",
        ("cost",),
        partial(cartels.cartel_prices, revised=13),
    ),
    World(
        "new_cartel",
        "explicit",
        "Firms compete for half of the record, then agree on joint-profit prices; costs move.",
        ("cost",),
        partial(cartels.cartel_prices, begins=0.5),
    ),
    World(
        "hasty_learners",
        "seeming",
        "Q-learners without a future that stopped exploring too early.",
        (),
        learners="hasty",
    ),
    World(
        "pooled_data",
        "seeming",
        "Two firms have one vendor, which pools their data; costs move.",
        ("cost",),
        partial(cartels.vendor_prices, pooled=True),
        vendors=True,
    ),
)

WORLDS: dict[str, World] = {world.name: world for world in _LIST}
"""The worlds by name."""


def generate(
    world: str, sessions: int, ticks: int, firms: int, seed: int = 0
) -> list[LabelledMarket]:
    """Draw labelled markets of one world.

    Parameters
    ----------
    world : str
        One of `WORLDS`.
    sessions, ticks, firms : int
        S, T and N. Worlds of learners exist for 2 and 3 firms.
    seed : int, optional
        Seed of all random numbers, >= 0.

    Returns
    -------
    list of LabelledMarket
        S markets. The same seed gives the same markets.

    Raises
    ------
    InputError
        If the world is unknown or a number is out of its range.
    """
    if world not in WORLDS:
        raise InputError(f"world={world!r} must be one of {', '.join(WORLDS)}")
    check_whole("sessions", sessions, 1)
    check_whole("ticks", ticks, 20)
    check_whole("firms", firms, 2, 10)
    check_whole("seed", seed, 0)
    return WORLDS[world].generate(sessions, ticks, firms, seed)
