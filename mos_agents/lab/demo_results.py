"""The results of the demonstration: figures with intervals, and the content of its page."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from mos_agents import __version__
from mos_agents.analysis.collusion import profit_gain
from mos_agents.analysis.shares import share_interval
from mos_agents.analysis.statistics import student
from mos_agents.analysis.war_effects import WarEffect
from mos_agents.games.repeated import RepeatedGame
from mos_agents.lab.demo_sessions import AFTER, LEAD, STRETCH, TRIES, DemoGroup
from mos_agents.lab.demo_verdict import DemoVerdict, Figure, verdict
from mos_agents.market.equilibrium import PriceBenchmarks
from mos_agents.market.types import Array
from mos_agents.report.learning import Learning

PRESET = "pricing_game"
BLOCKS = 240
"""Means shown of a whole session."""
CLOSE = 120
"""Periods of the close-up."""
CHANCE = 0.05
"""Level of the test in each session."""


def shown_session(one: DemoGroup) -> int:
    """Of the sessions that came to rest at one price, with as many wars after low trials as half of
    those with a war or more, that nearest the median profit gain; of all, where there is none."""
    count = np.bincount(one.effects["learning"].wars.session, minlength=one.gain.size)
    enough = np.median(count[count > 0]) if count.any() else 1
    likely = np.flatnonzero((count >= enough) & (one.cycles.length == 1))
    likely = likely if likely.size else np.arange(one.gain.size)
    return int(likely[np.abs(one.gain[likely] - np.median(one.gain)).argmin()])


def figures_of(
    patient: DemoGroup, without: DemoGroup, blind: DemoGroup
) -> tuple[dict[str, Figure], dict[str, int]]:
    """Every figure with its interval, and the number of low trials behind the wars."""
    figures = {
        "profit_gain": Figure.of(patient.gain),
        "profit_gain_no_future": Figure.of(without.gain),
        "profit_gain_blind": Figure.of(blind.gain),
    }
    trials = {}
    for end, effect in (
        ("", patient.effects["learning"]),
        ("_no_future", without.effects["learning"]),
        ("_blind", blind.effects["learning"]),
        ("_strangers", patient.effects["strangers"]),
        ("_learning_off", patient.effects["not_learning"]),
    ):
        trials[end] = int(effect.trials.sum())
        figures |= war_figures(effect, end)
    wars = patient.effects["learning"].wars
    figures["war_duration"] = Figure.of(
        wars.by_session(wars.duration, patient.gain.size), least=0.0
    )
    figures["war_depth"] = Figure.of(wars.by_session(wars.depth, patient.gain.size), least=0.0)
    for name, one in (("", patient), ("_no_future", without), ("_blind", blind)):
        returned = one.returned[np.isfinite(one.returned)]
        cut_off = bool((returned < 1.0 - 1e-12).any())
        figures["unprofitable_cut_share" + name] = Figure.of(
            np.clip(one.unprofitable, 0.0, 1.0), share=True
        )
        figures["periods_away" + name] = Figure.of(one.away, cut_off=cut_off, least=0.0)
        figures["returned_share" + name] = Figure.of(np.clip(one.returned, 0.0, 1.0), share=True)
    return figures, trials


def war_figures(effect: WarEffect, end: str) -> dict[str, Figure]:
    """The shares after low trials and after calm periods, and of sessions in which they differ."""
    sessions = effect.trials.size
    found = share_interval(effect.significant(CHANCE))
    return {
        "war_after_trial" + end: Figure.of(effect.war_after_trial, share=True),
        "war_placebo" + end: Figure.of(effect.war_placebo, share=True),
        "war_difference" + end: Figure.of(effect.war_after_trial - effect.war_placebo),
        "significant_share" + end: Figure(found, sessions, share=True),
    }


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
    patient: DemoGroup,
    without: DemoGroup,
    blind: DemoGroup,
    theory: PriceBenchmarks,
    seed: int,
    seconds: float,
) -> tuple[Learning, DemoVerdict, dict[str, Any]]:
    """The page's content, the verdict, and the figures behind both."""
    sessions, game = len(patient.gain), patient.game
    figures, trials = figures_of(patient, without, blind)
    found = verdict(figures, trials)
    shown = shown_session(patient)
    paths, wars = patient.paths["learning"], patient.effects["learning"].wars
    prices, tried = paths.prices[:, shown], paths.tried[:, shown]
    own = wars.session == shown
    begins = zip(wars.onset[own], wars.onset[own] + wars.duration[own], strict=True)
    begin, spans = close_up(len(prices), [(int(first), int(end)) for first, end in begins])
    close = slice(begin, begin + CLOSE)
    learnt = int(patient.greedy.played.periods[shown])
    period, path = whole_session(game, seed, shown, learnt)
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
        close_from=learnt + begin,
        close=prices[close],
        tried=tried[close],
        wars=spans,
        response={"learners": means(patient), "no future": means(without)},
        band=np.stack([middle - scatter, middle + scatter], axis=1),
        shock=LEAD,
        head=found.head,
        rows=found.rows,
        note=f"Means over {sessions:,} sessions; in brackets 95% intervals over sessions, for the "
        "chance of learning alone. No future: learners without a future, whose discount factor is "
        "0. Blind: learners who see no price. Strangers: sellers of different sessions, put "
        "together after their learning. Learning off: the learners' tables no longer change. After "
        f"the learning each seller explores in {TRIES:.0%} of {STRETCH:,} periods. A war is a fall "
        "of the mean price by a quarter of the way from joint profit to competition, for three "
        "periods or more in which nobody explores and both sellers take part. Nobody explores "
        "around a calm period or around "
        "a trial that is counted. In each session the pattern of trials is turned round among the "
        "calm periods; the shares differ where 19 of 20 turns have fewer wars. Profit gain: 0 is "
        f"competition, 1 joint profit; on this grid of prices {on_grid(game, theory)}.",
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
    ticks: int, spans: Sequence[tuple[int, int]]
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The stretch of `CLOSE` ticks with the most ticks at war that begins and ends in peace, and
    the wars (first, last + 1) in it, counted from its beginning."""
    busy = np.zeros(ticks)
    for first, end in spans:
        busy[first:end] = 1.0
    total = np.concatenate(([0.0], np.cumsum(busy)))
    starts = np.arange(ticks - CLOSE)
    at_war = total[starts + CLOSE] - total[starts]
    calm = (busy[starts] == 0.0) & (busy[starts + CLOSE - 1] == 0.0) & (at_war <= CLOSE / 3)
    value = np.where(calm, at_war, -1.0)
    best = np.flatnonzero(value == value.max())
    together = best[: np.flatnonzero(np.diff(best, append=-1) != 1)[0] + 1]
    begin = int(starts[together[len(together) // 2]])  # the wars in the middle
    inside = tuple((a - begin, b - begin) for a, b in spans if begin <= a and b <= begin + CLOSE)
    return begin, inside


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
