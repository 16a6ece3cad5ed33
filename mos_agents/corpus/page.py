"""The page of the screens: what each asks, what it cannot do, and how often it sounds where."""

from __future__ import annotations

from mos_agents.analysis.screens import SCREENS, rates_for
from mos_agents.analysis.screens.observed import NEEDS
from mos_agents.analysis.screens.rates import WorldRate, rate_rows
from mos_agents.corpus.worlds import WORLDS

OPENING = """# Screens and their error rates

A screen takes the record of one market and tests the hypothesis that its firms compete. This page
shows how often each screen sounds at the 5% level in simulated markets of which it is known whether
the firms compete. `python -m mos_agents.corpus` measures the table, and
`python -m mos_agents.corpus page` writes this page from it.

No rate holds beyond the worlds, lengths and numbers of firms for which it was measured. A screen
that is silent does not clear a market, and a screen that sounds does not convict it. Screens of
patterns find what competitors show, too.

A cell shows the share of alarms among verdicts, in per cent, and the number of verdicts in
brackets. Competitive worlds come first: their alarms are false.
"""


def page() -> str:
    """Write the page from the table.

    Returns
    -------
    str
        Markdown.
    """
    sizes = sorted({(int(row["ticks"]), int(row["firms"])) for row in rate_rows()})
    parts = [OPENING]
    for conduct, title in ((True, "Screens of conduct"), (False, "Screens of patterns")):
        parts.append(f"## {title}\n")
        for kind in SCREENS.values():
            if kind.conduct is not conduct:
                continue
            needs = "; ".join(" or ".join(NEEDS[one] for one in any_of) for any_of in kind.needs)
            parts.append(f"### {kind.title} (`{kind.name}`)\n")
            parts.append(f"{kind.question} Needs prices{' and ' + needs if needs else ''}.\n")
            parts.append(f"What it cannot do: {kind.cannot}\n")
            parts.append(_table(kind.name, sizes))
    parts.append("## The worlds\n")
    parts += [f"- `{w.name}` ({w.kind}): {w.description}" for w in WORLDS.values()]
    return "\n".join(parts) + "\n"


def _table(screen: str, sizes: list[tuple[int, int]]) -> str:
    found: dict[str, dict[tuple[int, int], WorldRate]] = {}
    for size in sizes:
        rates = rates_for(screen, *size)
        for world in rates.worlds if rates is not None else ():
            if (rates is not None) and (rates.ticks, rates.firms) == size:
                found.setdefault(world.world, {})[size] = world
    head = "| world | kind | " + " | ".join(f"{t} dates, {n} firms" for t, n in sizes) + " |"
    lines = [head, "| --- | --- |" + " --- |" * len(sizes)]
    for name, world in WORLDS.items():
        if name in found:
            cells = " | ".join(_cell(found[name].get(size)) for size in sizes)
            lines.append(f"| {name.replace('_', ' ')} | {world.kind} | {cells} |")
    return "\n".join(lines) + "\n"


def _cell(rate: WorldRate | None) -> str:
    if rate is None or not rate.sessions:
        return "–"
    return f"{100.0 * rate.rate:.1f} ({rate.sessions})"
