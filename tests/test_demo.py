"""The demonstration: its page stands alone, and its verdict says what its figures say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mos_agents.analysis.price_wars import episodes
from mos_agents.analysis.statistics import Interval
from mos_agents.lab import demo
from mos_agents.lab.demo_results import CLOSE, WARS, by_session, close_up
from mos_agents.lab.demo_verdict import Figure, verdict
from mos_agents.market.types import InputError


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return demo(4, seed=0, out=tmp_path_factory.mktemp("runs"))


def results(folder: Path) -> dict:
    record = json.loads((folder / "results.json").read_text())
    return {one["quantity"]: one for one in record["results"]}


def test_the_page_asks_for_nothing_from_outside_and_shows_what_was_promised(shown):
    folder, sentence = shown.folder, shown.verdict.headline
    page = (folder / "report.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!\#|data:)|url\((?!\#)|@import""", page)
    assert "default-src 'none'" in page and len(page) < 2_000_000
    for word in ("Nash", "joint profit", "price war", "learners without a future", sentence[:40]):
        assert word in page


def test_the_same_seed_has_the_same_figures_and_another_folder(shown, tmp_path):
    again = demo(4, seed=0, out=tmp_path, workers=1)
    assert again.folder.name == shown.folder.name == "demo-s0-001"
    assert again.verdict == shown.verdict
    assert results(again.folder) == results(shown.folder)
    assert demo(2, seed=5, out=tmp_path, workers=1).folder.name == "demo-s5-001"


def test_learners_gain_more_than_learners_without_a_future(shown):
    found = results(shown.folder)
    assert found["profit_gain"]["ours"] > 0.6 > found["profit_gain_no_future"]["ours"]
    assert found["unprofitable_cut_share"]["ours"] > 0.7
    for one in found.values():
        low, high = one["ci95"]
        assert low is None or low <= one["ours"]
        assert high is None or one["ours"] <= high
        if "share" in one["quantity"]:
            assert 0.0 <= low < high <= 1.0


def test_the_verdict_says_so_where_nothing_is_found():
    def verdict_of(**changes):
        names = (
            "profit_gain",
            "profit_gain_no_future",
            "unprofitable_cut_share",
            "unprofitable_cut_share_no_future",
            "periods_away",
            "periods_away_no_future",
            "wars_per_1000_periods",
            "wars_per_1000_periods_repaired",
            "wars_per_1000_periods_no_future",
            "fell_together_share",
            "fell_together_share_no_future",
        )
        whole = dict.fromkeys(names, Interval(0.0, -0.1, 0.1, 0.05)) | changes
        made = {k: Figure(v, 10, "share" in k) for k, v in whole.items()}
        return verdict(made, 10).text(width=10_000)

    assert (
        "did not earn more than in competition" in verdict_of()
        and "not more often than by chance" in verdict_of()
    )
    assert "sellers earned more than in competition" in verdict_of(
        profit_gain=Interval(0.8, 0.7, 0.9, 0.05)
    )
    together = verdict_of(fell_together_share=Interval(0.5, 0.4, 0.6, 0.05))
    assert "not more often than by chance" not in together and "50% [40%, 60%]" in together
    others = verdict_of(fell_together_share_no_future=Interval(0.75, 0.66, 0.83, 0.05))
    assert "against 75% [66%, 83%] without a future and 5% by chance" in others
    alike = Interval(0.6, 0.5, 0.7, 0.05)
    same = verdict_of(fell_together_share=alike, fell_together_share_no_future=alike)
    assert "the first two rates do not differ, so the wars do not show cooperation" in same
    assert "less often than without a future" in verdict_of(
        fell_together_share=Interval(0.2, 0.1, 0.3, 0.05), fell_together_share_no_future=alike
    )
    rich = Interval(0.8, 0.7, 0.9, 0.05)
    assert "gain 0.00 [-0.10, 0.10]: less." in verdict_of(profit_gain=rich)
    overlapping = verdict_of(profit_gain=rich, profit_gain_no_future=Interval(0.7, 0.6, 0.8, 0.05))
    assert "gain 0.70 [0.60, 0.80]: the two do not differ." in overlapping
    nobody = Interval(*(4 * [float("nan")]))
    assert "none" in verdict_of(periods_away=nobody, unprofitable_cut_share=nobody)


def test_the_close_up_begins_and_ends_in_peace_around_a_planted_war():
    prices = np.full((1000, 1, 2), 1.9)
    prices[500:508, 0, :] = 1.5
    wars = episodes(prices, 1.47, 1.92, WARS)
    begin, stretch, spans = close_up(prices[:, 0], wars, 0)
    assert len(stretch) == CLOSE and begin < 500 < 508 < begin + CLOSE
    assert spans == ((500 - begin, 508 - begin),)


def test_one_session_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="sessions=1"):
        demo(1, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_share_of_none_says_what_so_many_sessions_exclude():
    assert Figure.of(np.zeros(20), share=True).text() == "0% (20 sessions: at most 17%)"
    assert Figure.of(np.ones(4), share=True).text() == "100% (4 sessions: at least 40%)"


def test_a_duration_cut_off_by_the_end_of_the_record_is_told_as_at_least():
    values = np.array([4.0, 6.0, 5.0, 5.5])
    assert (
        Figure.of(values, cut_off=True).text(1)
        == "at least 5.1 [3.8, no limit] (rough: 4 sessions)"
    )
    assert Figure.of(values).text(1).startswith("5.1 [3.8, 6.5]")


def test_wars_are_averaged_within_their_session_first():
    prices = np.full((1000, 3, 2), 1.9)
    for begin, depth in ((200, 1.5), (500, 1.7)):
        prices[begin : begin + 8, 0, :] = depth
    prices[500:508, 1, :] = 1.5
    wars = episodes(prices, 1.47, 1.92, WARS)
    depth = by_session(wars, wars.depth)
    assert depth[0] == pytest.approx(wars.depth[wars.session == 0].mean())
    assert np.isnan(depth[2]) and Figure.of(depth).sessions == 2
