"""The table of error rates is made from the corpus, and the page is made from the table."""

from __future__ import annotations

import csv
from pathlib import Path

from mos_agents.analysis.screens import SCREENS, rates_for
from mos_agents.analysis.screens.rates import LEVELS, TABLE, rate_rows
from mos_agents.analysis.shares import clopper_pearson
from mos_agents.corpus import WORLDS
from mos_agents.corpus.page import page
from mos_agents.corpus.rates import FIELDS, make_table, measure


def test_the_table_is_made_row_by_row_and_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "rates.csv"
    lines = make_table(path, sessions=2)
    assert "nash, 52 dates, 5 firms: 2 markets" in next(lines)
    lines.close()
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["world"] for row in rows} == {"nash"}
    again = measure(WORLDS["nash"], 2, 52, 5, 0)
    assert rows == [{name: row[name] for name in FIELDS} for row in again]
    assert "nash_cost" in next(make_table(path, sessions=2))


def test_the_shipped_table_has_every_world_and_every_screen():
    assert {row["world"] for row in rate_rows()} == set(WORLDS)
    assert {row["screen"] for row in rate_rows()} == set(SCREENS)
    with TABLE.open() as file:
        assert next(csv.reader(file)) == list(FIELDS)


def test_no_screen_of_conduct_exceeds_its_level_in_a_competitive_world_beyond_chance():
    """In no cell does the exact 99% interval of the rate lie above the level."""
    for row in rate_rows():
        if row["kind"] == "competitive" and SCREENS[row["screen"]].conduct:
            alarms, sessions = int(row["alarms_0.05"]), int(row["sessions"])
            assert clopper_pearson(alarms, sessions, 0.99)[0] <= 0.05, row


def test_rates_are_those_of_the_nearest_size_and_level():
    found = rates_for("price_war", 60, 5)
    assert found is not None
    assert (found.ticks, found.firms, found.level) == (52, 5, 0.05)
    assert found.false_alarm_rate <= 0.05
    assert found.power > found.mean_power
    assert "52 dates and 5 firms" in found.sentence
    assert rates_for("price_war", 30, 2).ticks == 52
    assert rates_for("price_war", 200, 3).ticks == 156
    assert rates_for("price_war", 200, 3, level=0.007).level == 0.01
    assert rates_for("price_war", 200, 3, level=0.2) is None
    assert rates_for("astrology", 200, 3) is None
    assert min(LEVELS) == 0.001


def test_the_page_is_the_one_that_the_table_gives():
    shown = Path(__file__).parents[2] / "docs" / "guides" / "screens.md"
    assert shown.read_text(encoding="utf-8") == page()
