"""One look for all pictures: type, colours, and how a drawing becomes part of the page."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito (2008): distinguishable with any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6F4E9B")
REST = "#A9A9A6"
INK, SOFT, FAINT = "#22262B", "#6C727A", "#D9DCE0"

PARTS = {
    "spread_capture": "#7D9DB0",
    "inventory_pnl": "#CDB98F",
    "holding_cost": "#B5838D",
    "shortage": "#6D6875",
    "fees": "#A3B18A",
}
"""Muted, so that a part of the PnL is not taken for a participant."""

FONTS = ("Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
_INSTALLED = {font.name for font in font_manager.fontManager.ttflist}
RC: dict[str, Any] = {
    # The reader's browser may have all of FONTS; here, matplotlib looks for a missing one at every
    # label.
    "font.family": [name for name in FONTS if name in _INSTALLED] or [FONTS[-1]],
    "font.size": 8.2,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "axes.edgecolor": "#9AA0A6",
    "axes.labelcolor": SOFT,
    "axes.labelsize": 8.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 8.6,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "grid.color": "#E9EBEE",
    "grid.linewidth": 0.6,
    "xtick.color": "#9AA0A6",
    "ytick.color": "#9AA0A6",
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 7.6,
    "ytick.labelsize": 7.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "xtick.major.width": 0.6,
    "lines.linewidth": 1.15,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "savefig.dpi": 140,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}

WIDE, HALF = 11.2, 5.5
"""Widths in inches; the page shows 100 pixels an inch."""

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def canvas(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> Any:
    """A figure and its axes [rows, columns]."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **grid)


def styled() -> Any:
    """Everything drawn inside looks alike, whatever the user's own settings are."""
    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **RC, "backend": "svg"})


def svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an SVG element of the page; `description` is for readers who cannot see it."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # Letters that this machine has no font for are drawn by the reader's browser.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        _lay_out(figure)
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", text)  # numbered afresh in every figure
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    listed = ", ".join(f"'{font}'" for font in FONTS)
    text = re.sub(r"(font-family: )[^;\"]*", rf"\1{listed}", text)
    # The page's own type: a list of fonts in every label would say it a hundred times.
    text = re.sub(r"(font: [^\"';]*?px) [^;\"]*", r"\1 x", text)
    # Shorter coordinates, in tags alone: a figure in a label keeps its digits.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size is not None
    head = f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{description}"'
    return re.sub(r"<svg[^>]*", lambda _: head, text, count=1).strip()


def _lay_out(figure: Figure) -> None:
    """Place the axes once: savefig alone would draw the whole figure twice to do that."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    engine.execute(figure)
    with matplotlib.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def standalone(figure: Figure, name: str) -> str:
    """The figure as an SVG file of its own, text as outlines: it looks alike everywhere."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)


def png(figure: Figure, dpi: int = 160) -> bytes:
    """The figure as a PNG on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def colours(named: Sequence[int], groups: int) -> list[str]:
    """A colour per group: the same participant has the same one in every picture."""
    return [PALETTE[i] if i < len(named) else REST for i in range(groups)]


def title(axes: Axes, text: str) -> None:
    axes.set_title(shortened(text, 34))


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
