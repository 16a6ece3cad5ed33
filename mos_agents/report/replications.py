"""Figures of experiments: a table of colours over two parameters, prices after a deviation, and
what each seed of each condition came to."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents.market.types import Array, InputError
from mos_agents.report.style import INK, PALETTE, SOFT, canvas, styled
from mos_agents.runs.files import check_target, write_whole

FORMS = ("png", "svg")


def checked(path: Path) -> Path:
    """The path; InputError unless a figure can be written there."""
    if path.suffix.lstrip(".") not in FORMS:
        raise InputError(f"{path}: a figure's name ends in .{' or .'.join(FORMS)}")
    parent = Path(os.path.realpath(path.parent))
    if not parent.is_dir():
        raise InputError(f"{path}: there is no folder {parent}; make it first")
    check_target(path)
    return path


def heat_map(
    values: Array, rows: Sequence[float], columns: Sequence[float], title: str, axes: Sequence[str]
) -> Any:
    """A figure of values [rows, columns], each written in its cell; axes: the names of x and y."""
    with styled():
        figure, places = canvas(1.6 + 1.05 * len(columns), 1.5 + 0.62 * len(rows))
        ax = places[0, 0]
        spread = float(np.nanmax(values) - np.nanmin(values)) or 1.0
        low = float(np.nanmin(values))
        ax.imshow(values, cmap="cividis", origin="lower", aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            dark = (value - low) / spread < 0.55
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if dark else INK)
        ax.set_xticks(range(len(columns)), [f"{x:.3g}" for x in columns])
        ax.set_yticks(range(len(rows)), [f"{x:.3g}" for x in rows])
        ax.grid(False)
        ax.set(xlabel=axes[0], ylabel=axes[1], title=title)
    return figure


def responses(panels: Mapping[str, Mapping[str, Array]], ylabel: str) -> Any:
    """A panel a title: lines by name from the period before the shock, which is period 1.

    A line is [T], or [3, T] with the ends of its band.
    """
    with styled():
        figure, places = canvas(4.6 * len(panels), 3.2, 1, len(panels), sharey=True)
        for ax, (title, lines) in zip(places[0], panels.items(), strict=True):
            ax.axhline(0.0, color=SOFT, linewidth=0.6)
            for (name, line), colour in zip(lines.items(), PALETTE, strict=False):
                mean, *band = 100.0 * np.atleast_2d(line)
                at = np.arange(len(mean))
                if band:
                    ax.fill_between(at, *band, color=colour, alpha=0.2, linewidth=0)
                ax.plot(
                    at,
                    mean,
                    color=colour,
                    marker="o",
                    markersize=2.6,
                    label=name,
                )
            ax.set(title=title, xlabel="period (1: the deviation)")
            ax.set_xticks(range(0, max(np.shape(line)[-1] for line in lines.values()), 5))
            ax.legend(frameon=False, loc="lower right")
        places[0, 0].set_ylabel(ylabel)
    return figure


def dots(
    groups: Mapping[str, Sequence[float]],
    intervals: Mapping[str, tuple[float, float, float]],
    marks: Mapping[str, float],
    xlabel: str,
) -> Any:
    """A row a group: a dot for each seed, and the mean (mean, low, high) with its interval.

    marks: vertical lines by name.
    """
    with styled():
        figure, places = canvas(7.2, 0.9 + 0.42 * len(groups))
        ax = places[0, 0]
        for (name, at), style in zip(marks.items(), ("--", ":", "-."), strict=False):
            ax.axvline(at, color=SOFT, linewidth=0.9, linestyle=style, label=name)
        for row, (name, values) in enumerate(groups.items()):
            mean, low, high = intervals[name]
            colour = PALETTE[row % len(PALETTE)]
            ax.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.35, markersize=4)
            ax.plot([low, high], [row, row], color=colour, linewidth=2.2)
            ax.plot([mean], [row], "D", color=colour, markersize=5.5)
        ax.set_yticks(range(len(groups)), list(groups))
        ax.set_ylim(len(groups) - 0.4, -0.6)
        ax.set_xlabel(xlabel)
        if marks:
            ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(marks))
    return figure


def bands(lines: Mapping[str, tuple[Array, Array]], axes: Sequence[str]) -> Any:
    """Lines over a parameter, each with a band where it has one.

    lines: by name, x [K] and y [1, K], or [3, K] with the ends of intervals. axes: names of x, y.
    """
    with styled():
        figure, places = canvas(5.6, 3.2)
        ax = places[0, 0]
        for (name, (x, y)), colour in zip(lines.items(), PALETTE, strict=False):
            if len(y) == 3:
                ax.fill_between(x, y[1], y[2], color=colour, alpha=0.25, linewidth=0)
            ax.plot(x, y[0], color=colour, marker="o", markersize=3, label=name)
        ax.set(xlabel=axes[0], ylabel=axes[1])
        ax.legend(frameon=False)
    return figure


def agreement(rows: Mapping[str, tuple[float, float, float, float, bool | None]]) -> Any:
    """A row a quantity: ours less the published figure, relative to it, with a 95% band.

    rows: (ours, low, high, published, whether it is within sampling error) by name. Where the
    published figure is 0 the difference itself is drawn. Differences beyond the figure itself lie
    at the edge.
    """
    with styled():
        figure, places = canvas(8.4, 1.1 + 0.24 * len(rows))
        ax, furthest = places[0, 0], 0.02
        ax.axvline(0.0, color=INK, linewidth=0.8)
        for at, (ours, low, high, published, within) in enumerate(rows.values()):
            unit = abs(published) or 1.0
            gap, *ends = np.clip((np.array([ours, low, high]) - published) / unit, -1.0, 1.0)
            colour = PALETTE[1] if within is False else PALETTE[0]
            if np.isfinite(ends).all():
                ax.barh(at, ends[1] - ends[0], left=ends[0], height=0.6, color=colour, alpha=0.3)
                furthest = max(furthest, *np.abs(ends))
            furthest = max(furthest, abs(gap))
            ax.plot([gap], [at], "o" if abs(gap) < 1.0 else "D", color=colour, markersize=4)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_xlim(-1.04 * furthest, 1.04 * furthest)
        ax.set_xlabel("(ours - published) / published; bands: 95% intervals")
    return figure


def save(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all; the same figure gives the same bytes."""
    held = io.BytesIO()
    form = path.suffix.lstrip(".")
    with styled():
        import matplotlib

        matplotlib.rcParams["svg.hashsalt"] = path.stem
        # A file stands alone, on any background.
        date = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(held, format=form, facecolor="white", metadata=date)
    write_whole(path, held.getvalue())
