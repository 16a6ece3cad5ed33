"""Results show themselves in a notebook, as frames of polars and pandas, and never as markup."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import mos_agents
from mos_agents import analysis, runs, scenarios
from mos_agents.games import GreedyGame, RepeatedGame, play_sessions
from mos_agents.market.frames import MOST_ROWS, Framed, frame_html
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.rollout import compare_policies, rollout

HOSTILE = "<script>alert('x')</script>\x1b[31m & \"q\""


class Tags(HTMLParser):
    """The tags of a page that are open, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.seen <= {"p", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert all(c.isprintable() or c == "\n" for c in page)
    return tags


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    market = mos_agents.retail(firms=1, products=2)
    policies: dict[str, Any] = {"platform": make("cost_plus"), "firm_1": make("hold")}
    found: dict[str, Any] = {
        "rollout": rollout(market, policies, ticks=4, markets=3),
        "comparison": compare_policies(
            market,
            {"base": make("hold"), HOSTILE: make("cost_plus")},
            participant="platform",
            others={"firm_1": make("hold")},
            ticks=3,
            markets=12,
        ),
        "market": market,
        "scenario": mos_agents.load("retail"),
    }
    game = mos_agents.load("pricing_game")
    found["benchmarks"] = mos_agents.benchmarks(game.market())
    found["nash"] = found["benchmarks"].nash
    repeated = RepeatedGame.of(game.market(), game.policies())
    found["played"] = play_sessions(repeated, seed=0, sessions=3, periods=500)
    frozen = GreedyGame(repeated, found["played"])
    found["judgement"] = frozen.judged(frozen.cycles())
    prices = 1.0 + np.random.default_rng(0).random((400, 3, 2))
    found["wars"] = analysis.episodes(prices, np.full(2, 1.0), np.full(2, 2.0))
    found["war table"] = analysis.war_table(found["wars"])
    theory = analysis.Benchmarks(1.0, 2.0, 0.1, 0.3, 0.5)
    found["measures"] = analysis.measures(prices, prices, theory)
    found["survival"] = analysis.survival(np.arange(1.0, 9.0), np.ones(8, bool))
    return found


TABLES = (
    "rollout",
    "comparison",
    "benchmarks",
    "nash",
    "played",
    "judgement",
    "wars",
    "war table",
    "measures",
    "survival",
)


@pytest.mark.parametrize("name", [*TABLES, "market", "scenario"])
def test_a_result_is_a_page_without_markup_of_others(results: dict[str, Any], name: str) -> None:
    assert read(results[name]._repr_html_()).text.strip()


def test_a_name_with_markup_is_shown_as_it_is_written(results: dict[str, Any]) -> None:
    shown = read(results["comparison"]._repr_html_()).text
    assert "<script>alert('x')</script>\\x1b[31m" in shown


@pytest.mark.parametrize("name", TABLES)
def test_polars_and_pandas_get_the_same_cells(results: dict[str, Any], name: str) -> None:
    pytest.importorskip("pandas")
    frame, other = results[name].to_polars(), results[name].to_pandas()
    assert frame.height >= 1
    assert list(other.columns) == frame.columns and len(other) == frame.height
    for column in frame.columns:
        one, two = frame[column].to_list(), other[column].tolist()
        for a, b in zip(one, two, strict=True):
            assert a == b or ((a is None or a != a) and (b is None or b != b))


def test_a_rollout_has_a_row_for_each_market_and_participant(results: dict[str, Any]) -> None:
    result, frame = results["rollout"], results["rollout"].to_polars()
    assert frame.height == 3 * 2
    for (b, n), reward in np.ndenumerate(result.reward):
        row = frame.row(2 * b + n, named=True)
        assert (row["market"], row["participant"]) == (b, result.participants[n])
        assert row["reward"] == reward
        assert row["pnl"] == result.metric("pnl")[b, n]


def test_price_wars_have_a_row_for_each_episode(results: dict[str, Any]) -> None:
    wars = results["wars"]
    assert len(wars) > 3
    rows = wars.to_polars().rows(named=True)
    for row, episode in zip(rows, wars, strict=True):
        assert (row["session"], row["onset"]) == (episode.session, episode.onset)
        cut = [i for i in range(2) if row[f"first_cutter_{i}"]]
        assert cut == list(episode.first_cutters)


def test_a_run_shows_its_facts_and_gives_its_tables(tmp_path: Path) -> None:
    scenario = scenarios.override(mos_agents.load("retail"), ["ticks=3"])
    market = scenario.market()
    recording = runs.record(market, tmp_path, scenario="retail", ticks=3)
    for step in mos_agents.play(market, scenario.policies(), ticks=3):
        recording.add(step)
    recording.finish()
    run = runs.read(recording.folder)
    assert "retail" in read(run._repr_html_()).text
    assert run.to_polars().equals(run.aggregates())
    assert run.to_polars("listings").equals(run.listings())
    found = mos_agents.summarise(run)
    assert found.table.rows[0][0] in read(found._repr_html_()).text
    assert found.to_polars().rows() == list(found.table.rows)


def test_a_long_frame_is_cut_and_says_so() -> None:
    page = read(frame_html(pl.DataFrame({"x": range(1000)})))
    assert page.text.count("\n") < 2 * MOST_ROWS
    assert "980 more rows: to_polars() has them all" in page.text


def test_without_pandas_one_line_says_what_to_do(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for name in TABLES:
        with pytest.raises(InputError, match=r"^to_pandas\(\) needs pandas.*`pip install pandas`"):
            results[name].to_pandas()


def test_a_result_without_arrays_is_one_row(results: dict[str, Any]) -> None:
    table = results["war table"]
    row = table.to_polars().row(0, named=True)
    assert row["episodes"] == table.episodes
    assert row["per_1000_ticks_low"] == table.per_1000_ticks.low
    assert isinstance(table, Framed)
