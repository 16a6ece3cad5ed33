"""The pictures of a training: what learners earned as they learnt, and how their networks did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from mos_agents.market.types import Array
from mos_agents.report import style
from mos_agents.report.charts import ReportFigure, plain, rolling, thin
from mos_agents.report.sweeps import line_colours

POINTS = 400
"""Iterations drawn of a line, evenly spaced where there are more."""

FIGURES = {
    "policy_loss": "Loss of the policy",
    "vf_loss": "Loss of the value function",
    "entropy": "Entropy of the policy",
    "mean_kl_loss": "How far an update moves the policy (KL)",
    "qf_loss": "Loss of the action values",
    "qf_mean": "Mean action value",
    "td_error_mean": "Mean error of the action values",
    "alpha_value": "Weight of the entropy",
}
"""Figures of RLlib's learners that are drawn where they change, the first of them."""

MOST_FIGURES = 4

Records = Sequence[Mapping[str, Any]]


def pictures(
    records: Records,
    agents: Sequence[str],
    policies: Sequence[str],
    own: Mapping[str, float] | None = None,
) -> tuple[ReportFigure, ...]:
    """What is drawn of the records of a training, a line for each learner or its policy.

    own: what learners' own policies in the scenario earn.
    """
    if not records:
        return ()
    names = [key for key in FIGURES if _moves(records, policies, key)]
    with style.styled():
        return (
            rewards(records, agents, own or {}),
            *(learning(records, policies, name) for name in names[:MOST_FIGURES]),
        )


def rewards(records: Records, agents: Sequence[str], own: Mapping[str, float]) -> ReportFigure:
    """Rewards while training and in the evaluations between, beside those of own policies."""
    window = window_of(records)
    figure, places = style.canvas(style.WIDE, 3.3)
    axes = places[0, 0]
    evaluated = False
    for agent, colour in zip(agents, line_colours(len(agents)), strict=True):
        _line(axes, records, f"reward/{agent}", colour, window)
        played = [r for r in records if f"evaluation/{agent}" in r]
        evaluated = evaluated or bool(played)
        axes.plot(
            [r["iteration"] for r in played],
            [r[f"evaluation/{agent}"] for r in played],
            color=colour,
            linestyle="--",
            linewidth=0.8,
            marker="o",
            markersize=3.4,
        )
        if agent in own:
            axes.axhline(own[agent], color=colour, linestyle=":", linewidth=1.0)
    over_iterations(axes, records)
    level = " Dotted: its own policy in the scenario, in the markets of the evaluations."
    dots = " Dots: evaluations, in which nobody explores, in markets of their own."
    return ReportFigure(
        "rewards",
        "Reward per tick",
        f"Of each learner, in one market, {_mean(window)} while it explores."
        + dots * evaluated
        + level * bool(own),
        style.svg(figure, "rewards", "Reward per tick of the learners by iteration"),
        True,
        (
            *_legend(agents),
            *((("evaluation", style.INK, "dots"),) if evaluated else ()),
            *((("own policy", style.INK, "dash"),) if own else ()),
        ),
    )


def learning(records: Records, policies: Sequence[str], key: str) -> ReportFigure:
    """A figure of RLlib's learners."""
    window = window_of(records)
    figure, places = style.canvas(style.HALF, 2.6)
    for policy, colour in zip(policies, line_colours(len(policies)), strict=True):
        _line(places[0, 0], records, f"{policy}/{key}", colour, window)
    over_iterations(places[0, 0], records)
    return ReportFigure(
        f"figure-{key}",
        FIGURES[key],
        f"RLlib's {key}, {_mean(window)}.",
        style.svg(figure, key, f"{FIGURES[key]} by iteration"),
        False,
        _legend(policies),
    )


def window_of(records: Records) -> int:
    """Iterations that a moving mean covers: a fiftieth of them."""
    return max(1, len(records) // 50)


def over_iterations(axes: Any, records: Records) -> None:
    axes.set_xlabel("iteration", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    axes.yaxis.set_major_formatter(lambda value, _: plain(value))
    axes.set_xlim(0, records[-1]["iteration"] * 1.01)


def values(records: Records, key: str) -> Array:
    """[T] what the records say under a key; NaN where they say nothing."""
    return np.array([record.get(key, np.nan) for record in records], dtype=float)


def _moves(records: Records, policies: Sequence[str], key: str) -> bool:
    """Whether there is anything to see: PPO, for one, has a distance that it does not measure."""
    found = {r[f"{policy}/{key}"] for policy in policies for r in records if f"{policy}/{key}" in r}
    return len(found) > 1


def _line(axes: Any, records: Records, key: str, colour: str, window: int) -> None:
    found = rolling(values(records, key)[:, None], window)
    x, y = thin(np.array([record["iteration"] for record in records]), found, POINTS)
    axes.plot(x, y[:, 0], color=colour, marker="o" if len(records) == 1 else "", markersize=3.4)


def _mean(window: int) -> str:
    return "iteration by iteration" if window == 1 else f"a moving mean over {window} iterations"


def _legend(names: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    pairs = zip(names, line_colours(len(names)), strict=True)
    return tuple((name, colour, "line") for name, colour in pairs)
