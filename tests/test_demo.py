"""The demonstration: its page stands alone, and its verdict says what its figures say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mos_agents.analysis.statistics import Interval
from mos_agents.analysis.war_effects import war_effect
from mos_agents.lab import demo
from mos_agents.lab.demo_results import CLOSE, close_up
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
    assert found["war_after_trial"]["ours"] > 0.1
    for end in ("_no_future", "_blind"):
        assert found["war_after_trial" + end]["ours"] < 0.5 * found["war_after_trial"]["ours"]
    for one in found.values():
        low, high = one["ci95"]
        assert low is None or low <= one["ours"]
        assert high is None or one["ours"] <= high
        if "share" in one["quantity"]:
            assert 0.0 <= low < high <= 1.0


def verdict_of(trials=2000, **changes):
    names = ("war_after_trial", "war_placebo", "significant_share")
    names += ("profit_gain", "unprofitable_cut_share")
    ends = ("", "_no_future", "_blind", "_strangers", "_learning_off")
    whole = {name + end: Interval(0.0, 0.0, 0.1, 0.05) for name in names for end in ends}
    whole |= {"war_difference": Interval(0.0, -0.1, 0.1, 0.05)}
    shares = ("share", "trial", "placebo")
    made = {k: Figure(v, 10, any(one in k for one in shares)) for k, v in (whole | changes).items()}
    return verdict(made, dict.fromkeys(ends, trials)).text(width=10_000)


def test_the_verdict_says_so_where_low_trials_set_off_no_wars():
    nothing = verdict_of(war_after_trial=Interval(0.2, 0.1, 0.3, 0.05))
    assert nothing.startswith("Price wars after low trials are not beyond chance in 10 sessions.")


def test_the_headline_counts_low_trials_and_has_the_control_beside_it():
    found = {"war_difference": Interval(0.2, 0.1, 0.3, 0.05)}
    for share, text in ((0.26, "four"), (0.35, "three"), (0.07, "14")):
        said = verdict_of(war_after_trial=Interval(share, 0.1, 0.4, 0.05), **found)
        first = (
            f"One low trial in {text} sets off a price war; without a future, none in a thousand"
        )
        assert said.startswith(first)
    few = verdict_of(50, war_after_trial=Interval(0.25, 0.1, 0.4, 0.05), **found)
    assert "without a future, none in 50." in few
    some = {"war_after_trial_no_future": Interval(0.004, 0.0, 0.01, 0.002)}
    assert "without a future, 4 in a thousand." in verdict_of(
        war_after_trial=Interval(0.25, 0.1, 0.4, 0.05), **found, **some
    )
    often = verdict_of(war_after_trial=Interval(0.8, 0.7, 0.9, 0.05), **found)
    assert often.startswith("A low trial in 80% of cases sets off a price war")


def test_the_sentences_and_the_table_have_every_control():
    found = {
        "war_difference": Interval(0.2, 0.1, 0.3, 0.05),
        "war_after_trial": Interval(0.25, 0.2, 0.3, 0.05),
        "war_after_trial_strangers": Interval(0.09, 0.06, 0.12, 0.02),
        "war_after_trial_learning_off": Interval(0.33, 0.2, 0.4, 0.02),
    }
    said = verdict_of(**found)
    assert "among strangers 9%, and with learning switched off 33%." in said
    assert "after 25% [20%, 30%] of such trials" in said
    for column in ("no future", "blind", "strangers", "learning off"):
        assert column in said
    nobody = Interval(*(4 * [float("nan")]))
    assert "No seller could be made to cut its price." in verdict_of(unprofitable_cut_share=nobody)


def test_the_close_up_begins_and_ends_in_peace_around_a_planted_war():
    begin, spans = close_up(1000, [(500, 508)])
    assert begin < 500 < 508 < begin + CLOSE
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
    prices, tried = np.full((1000, 3, 2), 1.9), np.zeros((1000, 3, 2), bool)
    for begin, low in ((200, 1.5), (500, 1.7)):
        prices[begin : begin + 8, 0, :], tried[begin - 2, 0, 0] = low, True
    prices[500:508, 1, :], tried[498, 1, 0] = 1.5, True
    prices[tried] = 1.6
    wars = war_effect(prices, tried, 1.47, 1.92).wars
    depth = wars.by_session(wars.depth, 3)
    assert len(wars.session) == 3
    assert depth[0] == pytest.approx(wars.depth[wars.session == 0].mean())
    assert np.isnan(depth[2]) and Figure.of(depth).sessions == 2
