"""Figures for people: digits, per cent, and names in a row."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """A figure for people: 3 to 4 digits, thousands set apart."""
    if value != value:
        return "–"
    size = abs(value)
    if size >= 99.95 or size == 0.0:
        text = f"{value:,.0f}"
    elif size >= 9.995:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}" if size >= 0.0995 else f"{value:.3g}"
    return text.replace("-", "−") if float(text.replace(",", "")) else "0"


def percent(value: float) -> str:
    if value != value:
        return "–"
    return f"{100 * value:.1f}%".replace("-", "−")


def join_names(items: Sequence[str]) -> str:
    """a, b and c."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
