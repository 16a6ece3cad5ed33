"""The results of the demonstration: figures with intervals, and the content of its page."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from mos_agents import __version__
from mos_agents.analysis.collusion import profit_gain
from mos_agents.analysis.controls import mixed_sessions
from mos_agents.analysis.price_wars import PriceWars, WarDefinition, episodes
from mos_agents.analysis.screens import coordination
from mos_agents.analysis.shares import share_interval
from mos_agents.analysis.statistics import student
from mos_agents.games.repeated import RepeatedGame
from mos_agents.lab.demo_sessions import AFTER, LEAD, DemoGroup, first_tried
from mos_agents.lab.demo_verdict import CHANCE, DemoVerdict, Figure, verdict
from mos_agents.market.equilibrium import PriceBenchmarks
from mos_agents.market.types import Array
from mos_agents.report.learning import Learning

PRESET = "pricing_game"
BLOCKS = 240
"""Means shown of a whole session."""
CLOSE = 120
"""Periods of the close-up."""
WARS = WarDefinition(level=5)
"""Price wars as everywhere, but for the pre-shock mean: tries come every ten periods here, so that
five before the cuts are what they fell from."""


def wars_of(prices: Array, theory: PriceBenchmarks) -> tuple[PriceWars, Array]:
    """The price wars, and how many per 1000 periods in each session."""
    found = episodes(prices, theory.p_N, theory.p_M, WARS)
    return found, 1000.0 * found.counts / len(prices)


def shown_session(one: DemoGroup, rate: Array) -> int:
    """Of the sessions that had price wars and came to rest at one price, that nearest the median
    profit gain; of all, where there is none."""
    likely = np.flatnonzero((rate > 0.0) & (one.cycles.length == 1))
    likely = likely if likely.size else np.arange(rate.size)
    return int(likely[np.abs(one.gain[likely] - np.median(one.gain)).argmin()])


def figures_of(
    patient: DemoGroup, without: DemoGroup, theory: PriceBenchmarks, seed: int
) -> tuple[dict[str, Figure], PriceWars, Array]:
    """Every figure with its interval; the learners' price wars, and how many in each session."""
    wars, rate = wars_of(patient.prices, theory)
    _, apart = wars_of(mixed_sessions(patient.prices, seed), theory)
    _, rate_without = wars_of(without.prices, theory)
    figures = {
        "profit_gain": Figure.of(patient.gain),
        "profit_gain_no_future": Figure.of(without.gain),
        "wars_per_1000_periods": Figure.of(rate),
        "wars_per_1000_periods_repaired": Figure.of(apart),
        "wars_per_1000_periods_no_future": Figure.of(rate_without),
        "war_duration": Figure.of(by_session(wars, wars.duration, ~wars.censored)),
        "war_depth": Figure.of(by_session(wars, wars.depth)),
    }
    for name, one in (("", patient), ("_no_future", without)):
        returned = one.returned[np.isfinite(one.returned)]
        cut_off = bool((returned < 1.0 - 1e-12).any())
        figures["unprofitable_cut_share" + name] = Figure.of(
            np.clip(one.unprofitable, 0.0, 1.0), share=True
        )
        figures["periods_away" + name] = Figure.of(one.away, cut_off=cut_off)
        figures["returned_share" + name] = Figure.of(np.clip(one.returned, 0.0, 1.0), share=True)
        figures["fell_together_share" + name] = together(one.prices, theory, seed)
    return figures, wars, rate


def by_session(wars: PriceWars, values: Array, which: Any = True) -> Array:
    """[S] means of a value a war, [E]; NaN where a session has none. Wars of a session are alike,
    so it is sessions that an interval is over."""
    kept = np.flatnonzero(np.broadcast_to(which, values.shape))
    count = np.bincount(wars.session[kept], minlength=wars.sessions)
    total = np.bincount(wars.session[kept], values[kept], minlength=wars.sessions)
    return np.divide(total, count, out=np.full(wars.sessions, np.nan), where=count > 0)


def together(prices: Array, theory: PriceBenchmarks, seed: int) -> Figure:
    """The share of sessions whose wars are worse, at the level `CHANCE`, than those of the same
    paths moved against each other in time, after which the firms no longer meet."""
    worse = coordination(
        prices, theory.p_N, theory.p_M, WARS, copies=99, seed=seed, enough=10, reference="shift"
    )
    return Figure(share_interval(worse <= CHANCE), worse.size, share=True)


def as_records(figures: dict[str, Figure], sessions: int, seed: int) -> dict[str, Any]:
    """The form that all experiments write; a figure that is cut off has no upper limit."""
    results = []
    for name, one in figures.items():
        high = None if one.cut_off else finite(one.interval.high)
        results.append(
            {
                "quantity": name,
                "published": None,
                "ours": finite(one.interval.estimate),
                "ci95": [finite(one.interval.low), high],
                "within": None,
                "source": None,
            }
            | ({"at_least": True} if one.cut_off else {})
        )
    return {
        "experiment": "demo",
        "settings": {"sessions": sessions, "seed": seed},
        "results": results,
    }


def finite(value: float) -> float | None:
    """JSON has no word for what is not a number."""
    return value if np.isfinite(value) else None


def page_and_figures(
    patient: DemoGroup, without: DemoGroup, theory: PriceBenchmarks, seed: int, seconds: float
) -> tuple[Learning, DemoVerdict, dict[str, Any]]:
    """The page's content, the verdict, and the figures behind both."""
    sessions, game = len(patient.gain), patient.game
    figures, wars, rate = figures_of(patient, without, theory, seed)
    found = verdict(figures, sessions)
    shown = shown_session(patient, rate)
    begin, close, spans = close_up(patient.prices[:, shown], wars, shown)
    period, path = whole_session(game, seed, shown, int(patient.greedy.played.periods[shown]))
    middle = np.nanmean(patient.rivals, axis=1)
    scatter = student(sessions) * np.nanstd(patient.rivals, axis=1, ddof=1) / np.sqrt(sessions)
    made = Learning(
        title="Two sellers who learn",
        headline=found.headline,
        sentences=found.sentences,
        lead="These sellers have no instruction to follow, to punish or to cooperate. Each is a "
        "Q-learner that sees the last period's prices and its own profit, in the logit market of "
        "Calvano, Calzolari, Denicolò and Pastorello (2020).",
        firms=game.stage.players,
        nash=float(theory.p_N.mean()),
        joint=float(theory.p_M.mean()),
        period=period,
        path=path,
        close_from=first_tried(game.learners[0]) + begin,
        close=close,
        wars=spans,
        response={"learners": means(patient), "no future": means(without)},
        band=np.stack([middle - scatter, middle + scatter], axis=1),
        shock=LEAD,
        head=found.head,
        rows=found.rows,
        note=f"Means over {sessions:,} sessions with 95% intervals over sessions, for the chance "
        "of learning alone. Without a future: the same learners with a discount factor of 0. Never "
        "met: firms of different sessions side by side, whose wars overlap by chance. Profit gain: "
        "0 is competition, "
        f"1 joint profit; on this grid of prices {on_grid(game, theory)}. Wars are counted while "
        "firms still try a price once in a hundred moves. A session counts as falling together if "
        "its wars are worse than in 19 of 20 copies in which the firms' price paths are shifted "
        "against each other in time.",
        facts=(
            ("to make it again", f"mos demo --sessions {sessions} --seed {seed}"),
            ("market and learners", f"mos show {PRESET}"),
            ("seconds", f"{seconds:.0f}"),
            (
                "versions",
                f"mos-agents {__version__}, numpy {np.__version__}, "
                f"Python {platform.python_version()}",
            ),
        ),
    )
    return made, found, as_records(figures, sessions, seed)


def on_grid(game: RepeatedGame, theory: PriceBenchmarks) -> str:
    """What the static equilibria of the finite game earn, as profit gains."""
    gains = profit_gain(game.stage.payoffs[game.stage.pure_nash()], theory.pi_N, theory.pi_M)
    if gains.size == 0:
        return "no prices are a static equilibrium"
    low, high = f"{gains.min():.2f}", f"{gains.max():.2f}"
    return f"static equilibria have {low}" + (f" to {high}" if low != high else "")


def means(one: DemoGroup) -> Array:
    """[T, 2] mean changes of who deviates and of the rivals; 0 where nobody could deviate."""
    if not np.isfinite(one.rivals).any():
        return np.zeros((LEAD + AFTER, 2))
    return np.stack([np.nanmean(one.deviator, axis=1), np.nanmean(one.rivals, axis=1)], axis=1)


def close_up(
    prices: Array, wars: PriceWars, session: int
) -> tuple[int, Array, tuple[tuple[int, int], ...]]:
    """The stretch of a session with the most ticks at war that begins and ends in peace."""
    own = wars.session == session
    spans = list(zip(wars.onset[own], wars.onset[own] + wars.duration[own], strict=True))
    busy = np.zeros(len(prices))
    for first, end in spans:
        busy[first:end] = 1.0
    total = np.concatenate(([0.0], np.cumsum(busy)))
    starts = np.arange(len(prices) - CLOSE)
    at_war = total[starts + CLOSE] - total[starts]
    calm = (busy[starts] == 0.0) & (busy[starts + CLOSE - 1] == 0.0) & (at_war <= CLOSE / 3)
    begin = int(starts[np.argmax(np.where(calm, at_war, -1.0))])
    inside = tuple(
        (int(a - begin), int(b - begin)) for a, b in spans if begin <= a and b <= begin + CLOSE
    )
    return begin, prices[begin : begin + CLOSE], inside


def whole_session(game: RepeatedGame, seed: int, session: int, periods: int) -> tuple[Array, Array]:
    """Middles of the blocks [P], and mean prices over them [P, n]."""
    length = max(1, periods // BLOCKS)
    state = game.start(seed, session)
    trace = np.empty((length, game.n), np.int64)
    path = []
    for block in range(periods // length):
        game.advance(state, seed, session, (block + 1) * length, trace=trace)
        path.append(game.stage.prices[game.stage.profile(trace)].mean(axis=0))
    middles = np.asarray((np.arange(len(path)) + 0.5) * length, dtype=np.float64)
    return middles, np.array(path)
