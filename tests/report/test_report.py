"""The page: complete in itself, small, escaped, and honest about what it was drawn from."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mos_agents import report, runs, scenarios
from mos_agents.analysis.numbers import number, percent
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Elasticity
from mos_agents.market.execution import Expected, Sampled
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError, Layout
from mos_agents.policies import make
from mos_agents.report import style
from mos_agents.report.charts import rolling, thin
from mos_agents.report.data import Data
from mos_agents.report.measures import sold_out
from mos_agents.report.picture import apart, draw
from mos_agents.report.posted_prices import levels
from mos_agents.rollout import play
from mos_agents.runs import RecordingPlan, Run

PRESETS = ("retail", "market_making", "auction", "autos_1990")
HOSTILE = (
    "<script>alert(1)</script>",
    "</svg></pre><img src=x onerror=alert(1)>",
    '"onload="alert(1)',
    "$\\frac{1}{0}$",
    "&amp;&lt;b&gt;",
    "javascript:alert(1)",
    "url(http://evil.example/x)",
    "名前 \u202egnp.exe",
    "x" * 300,
    "--><!-- ]]>",
)


def recorded(root: Path, name: str, *changes: str, stop: int | None = None, **plan: int) -> Run:
    scenario = scenarios.override(scenarios.load(name), list(changes))
    market = scenario.market()
    run = runs.record(
        market,
        root,
        scenario=name,
        described=scenarios.dump(scenario),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
        plan=RecordingPlan.of(market.layout, scenario.ticks, scenario.markets, **plan),
    )
    steps = play(
        market,
        scenario.policies(),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
    )
    for step in steps:
        run.add(step)
        if run.ticks == stop:
            run.flush()
            return runs.read(run.folder)
    run.finish()
    return runs.read(run.folder)


def hostile_run(root: Path) -> Run:
    """A market whose participants, products, scenario and description all try to break out."""
    layout = Layout.dense(HOSTILE[:3], HOSTILE[3:], ["platform", "firm", "firm"])
    market = make_market(layout, Catalogue.drawn(layout, 0), Sampled(Elasticity()))
    run = runs.record(
        market,
        root,
        scenario=HOSTILE[0],
        described="description: '" + " ".join(h.replace("'", "") for h in HOSTILE) + "'\n",
        ticks=30,
        name="hostile",
    )
    state, streams = market.start(1), Streams.of(0, 1)
    prices = market.catalogue.reference_price[None, :, None]
    for t in range(30):
        step = tick(market, state, prices, streams.at(t))
        run.add(step)
        state = step.state
    run.finish()
    return runs.read(run.folder)


VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


REFERENCES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"}


def outside_references(text: str) -> list[str]:
    """Whatever in the page would make a browser ask for something, or run something."""
    outline = Outline(text)
    found = [
        f"{name}={value[:60]}"
        for name, value in outline.attributes
        if name in REFERENCES and not value.startswith(("#", "data:image/"))
    ]
    found += [
        f"{name}={value[:60]}"
        for name, value in outline.attributes
        if name.startswith("on")
        or any(not u.startswith("#") for u in re.findall(r"url\(\s*[\"']?([^)\"']*)", value))
    ]
    for sheet in re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL):
        found += re.findall(r"@import[^;]*|url\([^)]*\)", sheet)
    forbidden = {"script", "iframe", "object", "embed", "link", "base", "form", "img"}
    return found + sorted(forbidden & set(outline.tags))


@pytest.mark.parametrize(
    "fault",
    [
        '<p onclick="x">',
        "<script>1</script>",
        '<img src="https://a/b.png">',
        '<a href="//a/b">a</a>',
        "<style>p { background: url(x.png) }</style>",
        '<style>@import "a.css";</style>',
        '<g style="fill: url(http://a)"></g>',
    ],
)
def test_the_search_for_references_sees_the_fault(fault: str) -> None:
    text = fault if "</" in fault or "img" in fault else fault + "</p>"
    assert outside_references(f"<body>{text}</body>")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("markets", [1, 6])
def test_a_page_is_complete_in_itself_and_small(preset: str, markets: int, tmp_path: Path) -> None:
    run = recorded(tmp_path, preset, "ticks=40", f"markets={markets}")
    path = report.write(run)
    text = path.read_text()
    assert outside_references(text) == []
    assert "http" not in text.replace(run.scenario, "").replace("http-equiv", "")
    assert path.stat().st_size < report.LIMIT
    outline = Outline(text)
    assert outline.tags.count("svg") >= 5
    message = " ".join(outline.text)
    assert run.facts["hash"] in message
    assert "seed" in message
    for version in run.facts["versions"].values():
        assert version in message
    for name in run.facts["market"]["participants"]:
        assert name in message
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", message.lower())


def test_every_picture_is_well_formed(tmp_path: Path) -> None:
    text = report.html(recorded(tmp_path, "retail", "ticks=20"))
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) >= 5
    for picture in pictures:
        ElementTree.fromstring(picture.replace("xlink:href", "href"))
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= set(ids)


def test_figures_and_names_in_a_picture_keep_their_digits() -> None:
    with style.styled():
        figure, grid = style.canvas(style.HALF, 2.0)
        grid[0, 0].set_title("bolt 1.23456")
        grid[0, 0].set_yticks([0.0025], ["0.0025"])
        grid[0, 0].plot([0.1234567, 0.7654321], [0.001, 0.004])
        text = style.svg(figure, "one", "one")
    assert ">0.0025<" in text
    assert ">bolt 1.23456<" in text
    assert not re.search(r' d="[^"]*\.\d{3}', text)  # coordinates are shortened


def test_what_is_made_to_order_is_never_called_sold_out(tmp_path: Path) -> None:
    layout = Layout.dense(("one", "two"), ("a", "b"), ["firm", "firm"])
    stock = np.array([np.inf, 0.0, 5.0, np.inf])
    market = make_market(
        layout, Catalogue(np.ones(4), np.full(4, 2.0), np.zeros(4), stock), Expected(Elasticity())
    )
    recording = runs.record(market, tmp_path, ticks=3)
    for step in play(market, {"one": make("hold"), "two": make("hold")}, ticks=3):
        recording.add(step)
    recording.finish()
    data = Data.of(runs.read(recording.folder))
    assert data.held.tolist() == [0.0, 1.0, 1.0, 0.0]
    left = data.listings["inventory"][:, 0, 2]
    np.testing.assert_array_equal(sold_out(data)[:, 0, 0], 1.0)  # of its stocked product alone
    np.testing.assert_array_equal(sold_out(data)[:, 0, 1], left <= 0)


def test_sellers_with_costs_of_their_own_each_have_a_line(tmp_path: Path) -> None:
    layout = Layout.dense(("one", "two"), ("a", "b"), ["firm", "firm"])
    cost = np.array([1.0, 1.0, 2.0, 1.0])
    market = make_market(
        layout,
        Catalogue(cost, np.full(4, 3.0), np.zeros(4), np.full(4, 9.0)),
        Expected(Elasticity()),
    )
    recording = runs.record(market, tmp_path, ticks=2)
    for step in play(market, {"one": make("hold"), "two": make("hold")}, ticks=2):
        recording.add(step)
    recording.finish()
    data = Data.of(runs.read(recording.folder))
    assert [float(v[0]) for v, _, _ in levels(data, 0)] == [1.0, 2.0, 3.0]
    assert [(float(v[0]), c) for v, c, _ in levels(data, 1)] == [(1.0, style.INK), (3.0, style.INK)]


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    text = report.write(hostile_run(tmp_path)).read_text()
    assert outside_references(text) == []
    assert "<script" not in text.lower()
    message = " ".join(Outline(text).text)
    for word in HOSTILE[:4]:
        assert word in message
    colours = re.findall(r'style="color:([^"]*)"', text)
    assert colours
    assert all(re.fullmatch(r"#[0-9A-Fa-f]{6}", colour) for colour in colours)


def test_a_page_with_more_participants_and_products_than_can_be_drawn_stays_small(
    tmp_path: Path,
) -> None:
    crowd = ["participants=[{name: firm, count: 40, policy: {kind: random_walk}}]"]
    run = recorded(tmp_path, "retail", *crowd, "instruments=60", "ticks=60")
    text = report.html(run)
    assert len(text.encode()) < report.LIMIT
    assert "34 others" in text


def test_points_are_given_up_until_the_page_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(tmp_path, "market_making", "ticks=400", "instruments=3")
    full = len(report.html(run).encode())
    monkeypatch.setattr(report, "LIMIT", full * 2 // 3)
    text = report.html(run)
    assert len(text.encode()) < full * 2 // 3
    assert text.count("<svg") == 7


def test_a_long_run_stays_small(tmp_path: Path) -> None:
    run = recorded(tmp_path, "market_making", "ticks=3000", "instruments=6")
    assert len(report.html(run).encode()) < report.LIMIT


def test_where_points_do_not_help_the_page_goes_without_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(tmp_path, "auction", "ticks=5")
    monkeypatch.setattr(report, "LIMIT", 30_000)
    text = report.html(run)
    assert len(text) < 30_000
    assert "<svg" not in text
    assert "bidder_1" in text


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    run = recorded(tmp_path, "retail", "ticks=900", stop=7)
    text = " ".join(Outline(report.html(run)).text)
    assert "interrupted: it shows the first 7 of 900 ticks" in text
    assert "interrupted" not in report.html(recorded(tmp_path, "retail", "ticks=7"))


def test_a_run_that_recorded_nothing_still_has_a_page(tmp_path: Path) -> None:
    market = scenarios.retail()
    run = runs.read(runs.record(market, tmp_path, ticks=10).folder)
    assert "before anything was recorded" in report.html(run)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_of_a_single_tick_has_a_page(preset: str, tmp_path: Path) -> None:
    assert outside_references(report.html(recorded(tmp_path, preset, "ticks=1"))) == []


def test_what_is_only_partly_recorded_is_said(tmp_path: Path) -> None:
    run = recorded(tmp_path, "retail", "ticks=12", "markets=4", record_markets=2, every=3)
    text = " ".join(Outline(report.html(run)).text)
    assert "the first 2 of 4 markets at every 3rd tick" in text


def test_a_page_is_the_same_each_time_it_is_made(tmp_path: Path) -> None:
    run = recorded(tmp_path, "retail", "ticks=10")
    assert report.html(run) == report.html(run)


# --- the figures behind the pictures ------------------------------------------------------------


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Data:
    run = recorded(tmp_path_factory.mktemp("runs"), "retail", "ticks=30", "markets=3")
    return Data.of(run)


def test_totals_agree_with_the_tables(retail: Data) -> None:
    table = retail.run.participants()
    for n, name in enumerate(retail.names):
        whole = table.filter(table["participant"] == name)["pnl"].sum() / 3
        assert retail.total("pnl")[n] == pytest.approx(whole)
    sold = retail.run.listings()["sold"].sum() / 3
    assert retail.total("sold").sum() == pytest.approx(sold)


def test_the_parts_add_up_to_the_pnl(retail: Data) -> None:
    parts = retail.total("spread_capture") + retail.total("inventory_pnl")
    parts = parts - retail.total("position_cost") - retail.total("fees")
    np.testing.assert_allclose(parts, retail.total("pnl"), rtol=1e-9)


def test_the_table_states_what_the_run_holds(retail: Data) -> None:
    text = report.html(retail.run)
    cells = re.findall(r"<td>(.*?)</td>", text)
    for n, name in enumerate(retail.names):
        row = cells[cells.index(name) :]
        assert row[2].split(" [")[0] == number(retail.total("pnl")[n])
        assert row[6] == percent(retail.total("sold")[n] / retail.total("sold").sum())


def test_groups_share_out_all_participants(tmp_path: Path) -> None:
    data = Data.of(recorded(tmp_path, "autos_1990", "ticks=2"))
    members = [m for _, group in data.groups for m in group]
    assert sorted(members) == list(range(20))
    units = data.means["units_traded"].sum(axis=0)
    assert units[data.named].min() >= np.delete(units, data.named).max()
    assert data.groups[-1][0] == "14 others"


def test_a_moving_mean_is_the_mean_of_the_last_rows() -> None:
    values = np.array([[1.0], [3.0], [np.nan], [5.0]])
    np.testing.assert_allclose(rolling(values, 2)[:, 0], [1.0, 2.0, 3.0, 5.0])
    np.testing.assert_allclose(rolling(values, 9)[:, 0], [1.0, 2.0, 2.0, 3.0])


def test_thinning_keeps_both_ends() -> None:
    ticks = np.arange(1001)
    x, y = thin(ticks, ticks * 2.0, 50)
    assert (len(x), x[0], x[-1]) == (50, 0, 1000)
    assert (y == 2 * x).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567.8, "1,234,568"),
        (-12.34, "−12.3"),
        (0.123, "0.12"),
        (float("nan"), "–"),
        (0.00123, "0.00123"),
        (9.999, "10.0"),
        (-0.0, "0"),
    ],
)
def test_figures_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


# --- the picture of the README ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_picture_is_written_where_it_is_asked_for(suffix: str, tmp_path: Path) -> None:
    run = recorded(tmp_path, "retail", "ticks=30")
    path = draw(run, tmp_path / f"demo{suffix}", "product_3")
    assert path.stat().st_size > 5_000
    if suffix == ".svg":
        ElementTree.fromstring(path.read_text())


def test_a_picture_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    run = recorded(tmp_path, "retail", "ticks=3")
    with pytest.raises(InputError, match="product_11"):
        draw(run, tmp_path / "a.svg", "product_11")
    with pytest.raises(InputError, match="svg"):
        draw(run, tmp_path / "a.gif")
    with pytest.raises(InputError, match="posted"):
        draw(recorded(tmp_path, "auction", "ticks=3"), tmp_path / "a.svg")


def test_labels_that_would_touch_are_moved_apart() -> None:
    placed = apart(np.array([0.0, 1.0, 50.0]), 10.0)
    np.testing.assert_allclose(placed, [-4.5, 5.5, 50.0])
