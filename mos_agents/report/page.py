"""The page itself: a summary in sentences, a table, the pictures, and how to make the run again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from mos_agents.report import auctions, chain, dealers, posted_prices, style
from mos_agents.report.charts import ReportFigure
from mos_agents.report.data import Data
from mos_agents.report.summary import RunSummary, SummaryTable, summary_of
from mos_agents.runs.files import RunError, write_whole
from mos_agents.runs.plan import ordinal

PICTURES = {
    "posted": posted_prices.pictures_of,
    "dealers": dealers.pictures_of,
    "auction": auctions.pictures_of,
    "chain": chain.pictures_of,
}


def page(data: Data, points: int, pictures: bool = True, theory: Sequence[str] = ()) -> str:
    """The whole HTML text. Every word that came from a scenario is escaped."""
    found = summary_of(data, theory)
    drawn: tuple[ReportFigure, ...] = ()
    if pictures and not data.empty:
        with style.styled(), warnings.catch_warnings():
            # In a tick without quotes or trades a mean is of nothing: the picture has a gap there.
            warnings.simplefilter("ignore", RuntimeWarning)
            drawn = PICTURES[data.kind](data, points)
    return document(
        data.run.name,
        [
            *paragraphs(found.faults),
            *header(data),
            *summary(found),
            *table(found.table),
            *gallery(drawn),
            *provenance(data),
        ],
    )


def document(title: str, body: list[str]) -> str:
    """A page that asks for nothing from outside, around its parts."""
    style_sheet = (files("mos_agents.report") / "page.css").read_text()
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; img-src data:\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{style_sheet}</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


class PageContent(NamedTuple):
    """A page on a folder that is no run's.

    Parameters
    ----------
    what : str
        it is;
    rows : str
        what the table has one for each of.
    facts : Sequence
        name and value, at the top.
    made : Sequence
        likewise, at the bottom.
    """

    what: str
    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    pictures: tuple[ReportFigure, ...]
    rows: str
    table: SummaryTable
    made: Sequence[tuple[str, str]]
    scenario: str
    faults: Sequence[str] = ()  # of policies: the first lines of all


def content_html(content: PageContent) -> str:
    """The page; it asks for nothing from outside, and every word in it is escaped."""
    return document(
        content.title,
        [
            *paragraphs(content.faults),
            *opening(content.title, content.lead, content.facts),
            *paragraphs(content.notes),
            *gallery(content.pictures),
            *table(content.table, content.rows),
            *closing(content.what, content.made, content.scenario),
        ],
    )


def opening(title: str, lead: str, facts: Sequence[tuple[str, str]]) -> list[str]:
    """The name, what it is about, and its facts."""
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    about = [f'<p class="lead">{escape(lead)}</p>'] if lead else []
    return ["<header>", f"<h1>{escape(title)}</h1>", *about, f"<dl>{cells}</dl>", "</header>"]


def paragraphs(notes: Sequence[str]) -> list[str]:
    """What a reader should know first."""
    return [f'<p class="note">{escape(line)}</p>' for line in notes]


def closing(what: str, made: Sequence[tuple[str, str]], scenario: str) -> list[str]:
    """How it was made, with its scenario."""
    return [
        '<section class="provenance">',
        f"<h2>How this {what} was made</h2>",
        *closing_facts(made),
        "<h3>The scenario, with every default</h3>",
        f"<pre>{escape(scenario)}</pre>",
        "</section>",
    ]


def closing_facts(made: Sequence[tuple[str, str]]) -> list[str]:
    """Names and values, one below the other."""
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in made)
    return [f'<table class="facts">{cells}</table>']


def header(data: Data) -> list[str]:
    facts = data.run.facts
    items = [
        ("scenario", str(facts["scenario"])),
        ("participants", f"{len(data.names):,}"),
        ("instruments", f"{len(set(data.instrument[data.kinds == 0].tolist())):,}"),
        ("markets", f"{facts['markets']:,}"),
        ("ticks", f"{data.run.ticks:,}"),
        ("seed", str(facts["seed"])),
    ]
    return [
        *opening(data.run.name, description(data.run.scenario), items),
        *paragraphs(notes(data)),
    ]


def description(scenario: str) -> str:
    """The scenario's own description."""
    import yaml

    try:
        loaded = yaml.safe_load(scenario)
    except yaml.YAMLError:
        return ""
    return str(loaded.get("description") or "") if isinstance(loaded, dict) else ""


def notes(data: Data) -> list[str]:
    facts, lines = data.run.facts, []
    if not data.run.finished:
        lines.append(
            f"This run was interrupted: it shows the first {data.run.ticks:,} of "
            f"{facts['ticks']:,} ticks."
            if data.run.ticks
            else "This run was interrupted before anything was recorded."
        )
    if facts["recorded_markets"] < facts["markets"] or facts["every"] > 1:
        lines.append(
            f"Recorded are the first {facts['recorded_markets']:,} of {facts['markets']:,} markets"
            f" at every {_nth(facts['every'])}tick; sums in the table and means of PnL are over "
            "all markets and ticks."
        )
    if data.skip > 1:
        lines.append(
            "The run is long: pictures, and figures of quotes and inventories, are made from "
            f"every {ordinal(data.skip)} recorded tick."
        )
    return lines


def _nth(every: int) -> str:
    return "" if every == 1 else f"{every:,}th " if every > 3 else {2: "2nd ", 3: "3rd "}[every]


def summary(found: RunSummary) -> list[str]:
    """The headline, and below it what else there is to say."""
    texts = [" ".join(escape(one) for one in some) for some in (found.headline, found.details)]
    return [
        "<section>",
        "<h2>In short</h2>",
        *(f'<p class="summary">{text}</p>' for text in texts if text),
        "</section>",
    ]


def table(table: SummaryTable, heading: str = "Participants") -> list[str]:
    if not table.rows:
        return []
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = [
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    ]
    text = " text2" if len(table.head) > 1 and table.head[1] in ("role", "policy") else ""
    return [
        "<section>",
        f"<h2>{escape(heading)}</h2>",
        f'<table class="numbers{text}">',
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
        *rows,
        "</tbody>",
        "</table>",
        f'<p class="caption">{escape(table.note)}</p>',
        "</section>",
    ]


def gallery(pictures: tuple[ReportFigure, ...]) -> list[str]:
    return ['<section class="gallery">', *(figure(p) for p in pictures), "</section>"]


def figure(picture: ReportFigure) -> str:
    marks = "".join(
        f'<span><i class="{kind}" style="color:{colour}"></i>{escape(label)}</span>'
        for label, colour, kind in picture.legend
    )
    legend = f'<div class="legend">{marks}</div>' if marks else ""
    width = "wide" if picture.wide else "half"
    return (
        f'<figure class="{width}" id="{picture.name}"><h2>{escape(picture.title)}</h2>{legend}\n'
        f"{picture.svg}\n<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def provenance(data: Data) -> list[str]:
    facts = data.run.facts
    again = (
        f"mos run scenario.yaml --seed {facts['seed']} --ticks {facts['ticks']} "
        f"--markets {facts['markets']}"
    )
    rows = [
        ("started", facts["started"]),
        ("finished", facts["finished"] or "no: interrupted"),
        ("hash of the trajectory", facts["hash"] or "none: interrupted"),
        ("versions", ", ".join(f"{k} {v}" for k, v in facts["versions"].items())),
        ("to make it again", f"{again}, with the scenario.yaml of this folder"),
    ]
    return closing("run", rows, data.run.scenario)


def written(folder: Path, text: str) -> Path:
    """The page as `report.html` in the folder, whole or not at all; its path."""
    path = folder / "report.html"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path
