"""Price wars: firms answer a lone cut by falling together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mos_agents.analysis.controls import mixed_rivals, time_shifted
from mos_agents.analysis.numbers import percent
from mos_agents.analysis.paths import paths
from mos_agents.analysis.price_wars import WarDefinition, episodes
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.answers import Answers, answers
from mos_agents.analysis.screens.edgeworth import price_cycle
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.analysis.screens.sessions import SessionPaths
from mos_agents.analysis.war_tables import severity
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import Array, InputError, IntArray

CYCLE = (
    "prices go round in a cycle of undercuts, in which competitors, too, answer each cut in full"
)


def coordination(
    prices: ArrayLike,
    p_n: ArrayLike,
    p_m: ArrayLike,
    definition: WarDefinition | None = None,
    copies: int = 199,
    seed: int = 0,
    enough: int | None = None,
    reference: str = "shift",
) -> Array:
    """Return the p-value of each session: are its wars worse than if its firms were unconnected?

    The session's severity is compared with that of `copies` in which the firms do not meet: the
    p-value is (1 + copies at least as bad) / (1 + copies). A session without a war has 1. Small
    values say that firms fell together, not that one answered the other.

    Parameters
    ----------
    prices : array [T, S, N]
        Prices in money per unit.
    p_n, p_m : float or array [N] or [S, N]
        Bertrand-Nash and joint-profit prices.
    definition : WarDefinition, optional
        What counts as a price war.
    copies : int, optional
        Copies to compare with.
    seed : int, optional
        Seed of the copies.
    enough : int, optional
        A session is let go as soon as so many copies are at least as bad, with the p-value enough /
        copies made: as good, and several times quicker [1]_.
    reference : {"shift", "repair"}, optional
        How copies are made. "shift" turns each firm's path round in time by its own random amount.
        It needs one session only, and is right for firms that are stationary: what the clock does
        to all of them at once counts as falling together. "repair" puts firm 0 among firms of other
        sessions at the same ticks. It is right for sessions of one design, some hundred of them,
        under shocks that hit all sessions at the same tick. What a session has for itself counts as
        falling together.

    Returns
    -------
    array [S]
        p-values.

    Raises
    ------
    InputError
        If a number or the reference is not allowed.

    References
    ----------
    .. [1] Besag, J. and Clifford, P. (1991). Sequential Monte Carlo p-values. Biometrika 78(2).
    """
    price = paths(prices, "prices")
    check_whole("copies", copies, 1)
    if enough is not None:
        check_whole("enough", enough, 1)
    if reference not in ("shift", "repair"):
        raise InputError(f"reference={reference!r} must be 'shift' or 'repair'")
    shift = reference == "shift"
    rng = np.random.default_rng(check_whole("seed", seed, 0))
    p_n, p_m = (np.broadcast_to(p, price.shape[1:]) for p in (p_n, p_m))
    observed = severity(episodes(price, p_n, p_m, definition))
    out = np.ones(price.shape[1])
    worse = np.zeros(price.shape[1], dtype=np.int64)
    left = np.flatnonzero(observed > 0.0)
    for made in range(1, copies + 1):
        if left.size == 0:
            break
        apart = time_shifted(price[:, left], rng) if shift else mixed_rivals(price, left, rng)
        chance = severity(episodes(apart, p_n[left], p_m[left], definition))
        worse[left] += chance >= observed[left] * (1.0 - 1e-9)
        if enough is not None:
            done = worse[left] >= enough
            out[left[done]] = enough / made
            left = left[~done]
    out[left] = (1.0 + worse[left]) / (1.0 + copies)
    return out


def fall_together(
    sessions: SessionPaths,
    definition: WarDefinition | None = None,
    level: float = 0.02,
    copies: int = 199,
    seed: int = 0,
    reference: str = "shift",
) -> IntArray:
    """Say for each session whether its firms fell together more than unconnected firms would.

    This is a description and no evidence of price wars. A cost that all firms share makes them fall
    together, and so does learning at the same time (see `PriceWar` for a test).

    Parameters
    ----------
    sessions : SessionPaths
        The sessions.
    definition : WarDefinition, optional
        What counts as a price war.
    level : float, optional
        Largest p-value of `coordination`. 1 flags any session with a price war.
    copies, seed, reference : optional
        As in `coordination`.

    Returns
    -------
    array of bool [S]
        The flags.

    Raises
    ------
    InputError
        If so few copies give no p-value as low as the level.
    """
    check_real("level", level, 0.0, 1.0, above=True)
    if level * (check_whole("copies", copies, 1) + 1) < 1.0:
        raise InputError(
            f"copies={copies!r} give no p-value as low as level={level!r}; use "
            f"{int(np.ceil(1.0 / level)) - 1} or more"
        )
    known, price = sessions.benchmarks, sessions.prices
    wars = episodes(price, known.price_nash, known.price_joint, definition)
    flags: IntArray = wars.counts > 0
    if level < 1.0 and flags.any():
        p = coordination(
            price,
            known.price_nash,
            known.price_joint,
            definition,
            copies,
            seed,
            int(level * (copies + 1) + 1e-9),
            reference,
        )
        flags &= p <= level * (1.0 + 1e-9)
    return flags


@dataclass(frozen=True)
class PriceWar(Screen):
    """A screen: price wars that lone cuts set off.

    It sounds where the mean price fell by the definition of a price war, and where rivals answered
    lone cuts by more than a static best reply (see `answers`). Prices are first cleared of costs,
    seasons and common series (see `adjusted`). It refuses a record without any of them: a fall of
    costs and a price war then look the same.

    Parameters
    ----------
    definition : WarDefinition
        What counts as a price war.
    yardstick : float
        Stands for p_M - p_N where competitive and joint-profit prices are not on record, as a share
        of the mean price.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of resampling.
    """

    name: ClassVar[str] = "price_war"
    title: ClassVar[str] = "Price war"
    question: ClassVar[str] = (
        "Do rivals answer a firm's lone price cut with a joint fall of prices?"
    )
    needs: ClassVar = (("cost", "control", "common"),)
    cannot: ClassVar[str] = (
        "It does not see wars that all firms begin at the same date: a common shock that is not on "
        "record looks the same. It gives no verdict on price cycles."
    )

    definition: WarDefinition = field(default_factory=WarDefinition)
    yardstick: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_real("yardstick", self.yardstick, 0.0, above=True)

    def judge(self, observed: Observed) -> ScreenResult:
        if price_cycle(observed).found:
            return self.no_verdict(CYCLE)
        found = answers(observed, -1)
        wars = self.wars(observed)
        p_value = found.p_value if wars else 1.0
        count = {1: "once", 2: "twice"}.get(wars, f"{wars} times")
        told = (
            f"Prices fell together {count}, far enough for a price war"
            if wars
            else "Prices never fell together far enough for a price war"
        )
        return self.verdict(
            p_value,
            found.share,
            f"{told}. {answered(found, 'cut')}. So lone cuts set off price wars.",
            f"{told}. {answered(found, 'cut')}. There is no evidence that cuts set off price wars.",
            found.removed,
            wars=float(wars),
            lone_changes=float(found.changes),
        )

    def wars(self, observed: Observed) -> int:
        """Count the price wars in prices without costs, seasons and common series.

        Parameters
        ----------
        observed : Observed
            The record.

        Returns
        -------
        int
            The number of wars.
        """
        price = adjusted(observed).prices
        low, high = 0.0, self.yardstick * float(price.mean())
        if observed.has("benchmarks"):
            assert observed.price_nash is not None
            assert observed.price_joint is not None
            low, high = float(observed.price_nash.mean()), float(observed.price_joint.mean())
        price = price - min(0.0, float(price.min()))
        return len(episodes(price[:, None, :], low, high, self.definition))


def answered(found: Answers, what: str) -> str:
    """How rivals answered, in a sentence or two without the last full stop."""
    if not found.changes:
        return f"No firm made a {what} alone"
    times = {1: "Once", 2: "Twice"}.get(found.changes, f"{found.changes} times")
    if found.share != found.share:
        return f"{times} a firm made a {what} alone, and took it back at once"
    if found.share <= 0.0:
        return f"{times} a firm made a {what} alone. The others did not follow"
    bound = (
        "more than it pays a competitor to do"
        if found.exact
        else "more than half, the most that it pays a competitor to do"
    )
    likely = "This is" if found.p_value <= 0.05 else "This is not surely"
    return (
        f"{times} a firm made a {what} alone. The others then moved by {percent(found.share)} of "
        f"it in the same direction. {likely} {bound}"
    )
