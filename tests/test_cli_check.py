"""`mos check` knows what a file is, says what is in it, and how it is used."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mos_agents import scenarios
from mos_agents.learners.network_files import save_network
from mos_agents.learners.saving import save
from tests.commands import refused
from tests.learners.networks import network
from tests.test_cli import output_of

CASES = Path(__file__).parent / "cases"
HEAD = "product,seller,cost,reference_price,quality,stock\n"


def test_a_scenario_says_which_column_drives_what_from_when_to_when(capsys, here):
    shutil.copytree(CASES / "parquet_with_a_date_column", here / "case")
    lines = output_of(capsys, "check", "case/s.yaml")
    assert "market_making is fine" in lines
    assert "reference.price from case/prices.parquet:" in lines
    assert "3 rows, 2025-03-03 to 2025-03-05" in lines
    assert "asset_1 <- Close: 10 to 12" in lines
    assert "recognised: dates in Date" in lines


def test_a_scenario_says_what_was_left_out(capsys, here):
    shutil.copytree(CASES / "ohlcv_volume_becomes_a_price", here / "case")
    text = (here / "case/s.yaml").read_text()
    text = text.replace("path: ohlcv.csv", "path: ohlcv.csv\n    columns: [Close]")
    (here / "case/s.yaml").write_text(text)
    lines = output_of(capsys, "check", "case/s.yaml")
    assert "asset_1 to asset_5, all 5, <- Close: 50.6 to 57.6" in lines
    assert "left out: Open, High, Low, Volume" in lines


def test_a_scenario_says_what_was_recognised_in_its_catalogue(capsys, here):
    shutil.copytree(CASES / "catalogue_with_semicolons_and_decimal_commas", here / "case")
    lines = output_of(capsys, "check", "case/s.yaml")
    assert "2 rows: 2 products of 1 seller" in lines
    assert "cost 2.1 to 1234.5; reference_price 3.49 to 1999" in lines
    assert "recognised: fields separated by semicolons" in lines


def test_a_run_says_once_what_was_recognised(capsys, here):
    shutil.copytree(CASES / "catalogue_with_semicolons_and_decimal_commas", here / "case")
    lines = output_of(capsys, "run", "case/s.yaml", "--ticks", "2", "--no-report")
    assert lines.count("fields separated by semicolons") == 1
    assert "catalogue case/goods.csv: fields separated by semicolons; numbers with a comma" in lines


def test_a_catalogue_is_told_as_one_with_the_line_that_uses_it(capsys, here):
    (here / "goods.csv").write_text(HEAD.replace(",", ";") + "tea;a;1,5;2;0;\n")
    lines = output_of(capsys, "check", "goods.csv")
    assert "goods.csv is a catalogue" in lines
    assert "1 row: 1 product of 1 seller" in lines
    assert "use it in a scenario: catalogue: {kind: file, path: goods.csv}" in lines


def test_a_series_is_told_column_by_column_with_the_line_that_uses_it(capsys, here):
    shutil.copy(CASES / "one_null_row_in_a_price_series" / "prices.csv", here / "prices.csv")
    lines = output_of(capsys, "check", "prices.csv")
    assert "Close: numbers, 50.6 to 52.6, 1 missing (first in row 3)" in lines
    assert "Volume: volumes, sizes or changes" in lines
    assert "Date goes from old to new: 2025-03-03 to 2025-03-05" in lines
    assert "{kind: replay, path: prices.csv, columns: [Close]}" in lines
    (here / "back.csv").write_text("Date,Close\n2025-03-05,1\n2025-03-04,2\n")
    lines = output_of(capsys, "check", "back.csv")
    assert "Date goes from new to old" in lines
    assert "columns: [Close], order: newest_first}" in lines


def test_a_bad_table_is_refused_as_a_scenario_would_refuse_it(capsys, here):
    (here / "goods.csv").write_text(HEAD + "tea,a,x,2,0,\n")
    assert "goods.csv: row 2: cost='x' must be a number" in refused(capsys, "check", "goods.csv")
    (here / "p.csv").write_text("1,2\n3,4\n")
    assert "the first row has no names" in refused(capsys, "check", "p.csv")
    (here / "p.parquet").write_bytes(b"PAR1 and nothing more")
    assert "p.parquet: " in refused(capsys, "check", "p.parquet")


def test_a_run_is_told_by_its_folder_its_file_and_its_tables(capsys, here):
    output_of(capsys, "run", "retail", "--ticks", "2", "--name", "mine", "--no-report")
    for given in ("runs/mine", "runs/mine/run.json"):
        lines = output_of(capsys, "check", given)
        assert (
            "runs/mine is the folder of a run: retail, 2 ticks, 1 market, seed 0, finished" in lines
        )
        assert "mos report" in lines
    part = output_of(capsys, "check", "runs/mine/listings/part-000000.parquet")
    assert "is a part of the table listings of the run runs/mine" in part
    assert "retail is fine" in output_of(capsys, "check", "runs/mine/scenario.yaml")
    (here / "runs/mine/run.json").write_text("{}")
    assert "run.json" in refused(capsys, "check", "runs/mine")


def test_what_was_learnt_is_told_with_the_line_that_uses_it(capsys, here):
    save(here / "memory.npz", (np.zeros((2, 3)),))
    lines = output_of(capsys, "check", "memory.npz")
    assert "memory.npz is what a learner remembers" in lines
    assert "[2, 3]" in lines
    assert "kind: greedy" in lines
    (here / "memory.npz").write_bytes(b"PK")
    assert "memory.npz" in refused(capsys, "check", "memory.npz")


def test_a_trained_network_is_told_with_whom_it_plays_for(capsys, here):
    spec = scenarios.load("retail").market().spec("platform")
    save_network(here / "net.npz", network(spec))
    lines = output_of(capsys, "check", "net.npz")
    assert "net.npz is a trained network of platform (platform): 10 listings" in lines
    assert "policy: {kind: network, path: net.npz}" in lines


@pytest.mark.parametrize("name", ["report.html", "notes.txt~", "picture.png", "data.json"])
def test_what_mos_does_not_read_is_told_so(capsys, here, name):
    (here / name).write_bytes(b"\x89PNG")
    assert "is nothing that mos reads" in refused(capsys, "check", name)


def test_a_folder_of_something_else_is_told_so(capsys, here):
    (here / "goods").mkdir()
    assert "goods: is a folder without run.json" in refused(capsys, "check", "goods")


def test_headings_reach_a_terminal_without_what_would_colour_it(capsys, here):
    pl.DataFrame({"\x1b[31mClose\x07": [1.0, 2.0]}).write_parquet(here / "p.parquet")
    lines = output_of(capsys, "check", "p.parquet")
    assert "\x1b" not in lines
    assert "\x07" not in lines
    assert "[31mClose: numbers, 1 to 2" in lines


def test_presets_are_scenarios(capsys, here):
    for name in scenarios.presets():
        assert f"{name} is fine" in output_of(capsys, "check", name)


def test_a_series_of_amounts_is_proposed_for_demand_and_not_for_prices(capsys, here):
    shutil.copy(CASES / "demand_of_closed_hours" / "visitors.csv", here)
    lines = output_of(capsys, "check", "visitors.csv")
    assert "reference: {demand: {kind: replay, path: visitors.csv, columns: [visitors]}}" in lines
    assert "{price:" not in lines


def test_a_series_of_prices_is_proposed_for_prices(capsys, here):
    (here / "p.csv").write_text("Date,Close,Volume\n2025-03-03,10,900\n2025-03-04,11,950\n")
    lines = output_of(capsys, "check", "p.csv")
    assert "reference: {price: {kind: replay, path: p.csv, columns: [Close]}}" in lines
