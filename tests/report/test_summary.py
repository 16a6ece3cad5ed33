"""What a run came to: the same words at the end of `mos run`, at the top of the page, in Python."""

from __future__ import annotations

import contextlib
import html
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mos_agents
from mos_agents import report, runs
from mos_agents.cli import run
from mos_agents.lab.reporting import theory_of
from mos_agents.report import verdicts
from mos_agents.report.data import Data
from mos_agents.report.measures import division
from mos_agents.report.summary import KINDS, RunSummary, SummaryTable, summarise, summary_of
from tests.report.test_report import Outline, hostile_run, recorded

Eight = tuple[str, list[str], Path]
PRESETS = ["retail", "market_making", "auction", "pricing_game", "autos_1990"]
WINNER = re.compile(r"earned more than each other|the best\b(?! bid)|won the most|earned the most")


def played(preset: str, markets: int, folder: Path) -> list[str]:
    """What `mos run` prints in a folder, after its first lines."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        assert run(["run", preset, "--ticks", "12", "--markets", str(markets)]) == 0
    lines = said.getvalue().splitlines()
    return lines[lines.index("") :]


@pytest.fixture(scope="module", params=PRESETS)
def eight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Eight:
    """A preset, what `mos run` printed of eight of its markets, and where the run is."""
    folder = tmp_path_factory.mktemp("eight")
    preset = str(request.param)
    return preset, played(preset, 8, folder), folder / f"runs/{preset}-s0-001"


def ends_well(preset: str, lines: list[str]) -> str:
    """Check the last lines of a run; the sentences among them."""
    assert lines[-3] == f"report  runs/{preset}-s0-001/report.html"
    assert lines[-2] == f"run     runs/{preset}-s0-001"
    assert re.fullmatch(r"hash    [0-9a-f]{32}", lines[-1])
    blank = [number for number, line in enumerate(lines) if not line]
    assert len(blank) == 3
    words = " ".join(lines[blank[0] + 1 : blank[1]])
    assert words.endswith("refused.") or "were refused" in words
    table = lines[blank[1] + 1 : blank[2]]
    names = list(mos_agents.load(preset).policies())
    assert [row.split()[0] for row in table[1:9]] == names[:8] or len(names) > 8
    assert max(map(len, lines)) <= 96
    return words


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_of_one_market_ends_with_sentences_a_table_its_report_its_folder_and_its_hash(
    preset: str, tmp_path: Path
) -> None:
    words = ends_well(preset, played(preset, 1, tmp_path))
    assert "no interval" in words and "8 markets" not in words


def test_a_run_ends_with_sentences_a_table_its_report_its_folder_and_its_hash(eight: Eight) -> None:
    preset, lines, _ = eight
    words = ends_well(preset, lines)
    assert "no interval" not in words and "8 markets" in words


def test_the_report_begins_with_the_words_of_the_terminal(eight: Eight) -> None:
    _, lines, folder = eight
    words = " ".join(lines[1 : lines.index("", 1)])
    page = (folder / "report.html").read_text()
    shown = html.unescape(page[page.index("In short") :])
    assert words in shown
    assert shown.index(words) < shown.index("<table")


def test_in_python_the_same_words_are_had_from_a_run_its_name_or_its_folder(eight: Eight) -> None:
    _, _, folder = eight
    one = runs.read(folder)
    found = mos_agents.summarise(one)
    assert str(found) == found.text() == "\n".join(str(found).splitlines())
    assert summarise(one.folder) == summarise(one.name, folder.parent) == found
    assert found.headline[0] in str(found).replace("\n", " ")
    text = " ".join(Outline((folder / "report.html").read_text()).text)
    assert all(sentence in text for sentence in (*found.headline, *found.details))


@pytest.mark.parametrize("preset", PRESETS)
def test_of_one_market_nobody_is_called_the_winner(preset: str, tmp_path: Path) -> None:
    found = summarise(recorded(tmp_path, preset, "ticks=20", "markets=1"))
    assert "no participant is named the best" in found.headline[0]
    assert not [s for s in found.headline[1:] + found.details if WINNER.search(s)]


def test_identical_firms_are_not_told_apart(tmp_path: Path) -> None:
    same = "participants.firm.policy={kind: fixed_price, price: 1.6}"
    found = summarise(recorded(tmp_path, "pricing_game", "ticks=20", "markets=9", same))
    assert found.headline[0].startswith("No participant earned more than all others")


def test_who_is_ahead_in_every_market_is_named_with_the_interval(tmp_path: Path) -> None:
    giver = "participants.firm.policy={kind: cost_plus, margin: 0.06}"
    run_ = recorded(tmp_path, "retail", "ticks=40", "markets=12", giver)
    first = summarise(run_).headline[0]
    assert first.startswith("platform (cost_plus) earned more than each other participant")
    assert "95% intervals over 12 markets; a lead is a paired difference" in first


def test_a_refused_quote_is_told_with_who_and_why(tmp_path: Path) -> None:
    changes = ("quotes.conduct=refuse", "participants.platform.policy.margin=0.01")
    found = summarise(recorded(tmp_path, "retail", "ticks=10", "markets=1", *changes))
    assert re.search(
        r"\d+ of the recorded quotes were refused, most of them from \w+ \(.+\)\.$",
        found.headline[-1],
    )


@pytest.mark.parametrize(("markets", "message"), [(1, "units were"), (2, "units a market were")])
def test_what_was_turned_away_is_told(markets: int, message: str, tmp_path: Path) -> None:
    few = ("catalogue.stock=3", "positions.base_stock=0.0", "positions.lead_time=0")
    found = summarise(recorded(tmp_path, "retail", "ticks=40", f"markets={markets}", *few))
    assert any(f"{message} turned away" in sentence for sentence in found.headline)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_columns_of_a_terminal_are_columns_of_the_table(preset: str, tmp_path: Path) -> None:
    one = recorded(tmp_path, preset, "ticks=5", "markets=2")
    found, kind = summarise(one), Data.of(one).kind
    assert set(KINDS[kind][3]) - {"units lost"} <= set(found.table.head)


def test_a_narrow_terminal_has_fewer_columns_and_no_longer_lines(tmp_path: Path) -> None:
    found = summarise(recorded(tmp_path, "retail", "ticks=5", "markets=8"))
    for width in (40, 60, 80, 120):
        lines = found.text(width).splitlines()
        assert max(map(len, lines)) <= width
        assert any(line.startswith("platform ") for line in lines)


def test_of_many_participants_the_first_are_shown_and_the_rest_counted() -> None:
    rows = tuple((f"firm_{n}", str(n)) for n in range(30))
    text = RunSummary(("Words.",), (), SummaryTable(("firm", "PnL"), rows), ("firm", "PnL")).text()
    assert text.endswith("and 18 more, in the report")
    assert text.count("firm_") == 12


def test_a_run_that_was_interrupted_before_anything_says_so(tmp_path: Path) -> None:
    market = mos_agents.retail(firms=1, products=1)
    recording = runs.record(market, tmp_path, scenario="retail", described="", ticks=5, name="it")
    recording.flush()
    found = summarise(recording.folder)
    assert found.headline == ("The run was interrupted before anything was recorded.",)
    assert found.text() == found.headline[0]


def test_hostile_names_stay_words_in_the_summary(tmp_path: Path) -> None:
    found = summarise(hostile_run(tmp_path))
    assert "\x1b" not in found.text()
    assert report.html(runs.read(tmp_path / "hostile"))


def test_a_summary_loads_nothing_that_draws() -> None:
    program = (
        "import sys, mos_agents; mos_agents.summarise; import mos_agents.lab.reporting; "
        "print('matplotlib' in sys.modules, 'ray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(mos_agents.__file__).parents[1],
    )
    assert done.stdout.split() == ["False", "False"]


# --- benchmarks -----------------------------------------------------------------------------------


def test_a_pricing_game_is_told_beside_its_benchmarks(tmp_path: Path) -> None:
    nash = "participants.firm.policy={kind: fixed_price, price: 1.4729266646604}"
    (message,) = theory_of(
        Data.of(recorded(tmp_path, "pricing_game", "ticks=40", "markets=2", nash))
    )
    assert message.startswith("In the last tenth of the ticks prices averaged 1.47 ")
    assert "Bertrand-Nash is 1.47, joint profit 1.92" in message
    gain = re.search(r"profit gain was (\S+) .*\(0 at Bertrand-Nash, ", message)
    assert gain and abs(float(gain[1].replace("−", "-"))) < 0.01
    assert "In brackets" not in message  # the same in both markets


def test_intervals_beside_benchmarks_say_what_they_are_over(tmp_path: Path) -> None:
    (message,) = theory_of(Data.of(recorded(tmp_path, "pricing_game", "ticks=40", "markets=7")))
    assert message.endswith("(In brackets: 95% intervals over 7 markets.)")


def test_figures_that_do_not_vary_are_not_said_to_have_intervals(tmp_path: Path) -> None:
    firms = (
        "participants=[{name: a, policy: {kind: fixed_price, price: 1.5}}, "
        "{name: b, policy: {kind: fixed_price, price: 1.9}}]"
    )
    text = summarise(recorded(tmp_path, "pricing_game", "ticks=5", "markets=8", firms)).text()
    assert "a (fixed_price) earned more" in text
    assert "the same in all 8 markets" in text
    assert "95% intervals" not in text


def test_a_deviation_that_is_a_rounding_error_is_none() -> None:
    values = np.full(30, 12.4)
    values[::2] += 4e-15
    assert verdicts.deviation(values) == "0"
    assert verdicts.deviation(np.array([1.0, 3.0])) == "1.41"
    assert verdicts.deviation(np.array([1.0])) == "–"


def test_a_table_says_that_refusals_are_counted_over_all_markets(tmp_path: Path) -> None:
    two = recorded(tmp_path, "retail", "ticks=3", "markets=2")
    assert "refused: in all markets together" in summarise(two).table.note


def test_at_joint_profit_prices_the_gain_is_one(tmp_path: Path) -> None:
    joint = "participants.firm.policy={kind: fixed_price, price: 1.92498}"
    (message,) = theory_of(
        Data.of(recorded(tmp_path, "pricing_game", "ticks=40", "markets=2", joint))
    )
    gain = re.search(r"was (\S+)", message[message.index("profit gain") :])
    assert gain and float(gain[1]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("preset", ["retail", "market_making", "auction"])
def test_where_no_benchmark_holds_at_every_tick_none_is_told(preset: str, tmp_path: Path) -> None:
    assert list(theory_of(Data.of(recorded(tmp_path, preset, "ticks=5", "markets=1")))) == []


def test_a_game_whose_costs_move_has_no_benchmark_for_all_ticks(tmp_path: Path) -> None:
    moved = ("reference.cost={kind: shock, at: 3}", "ticks=9", "markets=1")
    assert list(theory_of(Data.of(recorded(tmp_path, "pricing_game", *moved)))) == []


def test_a_market_made_in_python_has_a_summary_without_benchmarks(tmp_path: Path) -> None:
    assert list(theory_of(Data.of(hostile_run(tmp_path)))) == []


def test_the_fees_of_an_auction_are_a_part_of_its_surplus_and_of_the_first_words(
    tmp_path: Path,
) -> None:
    record = {}
    for name, fee in (("plain", ()), ("dear", ("positions.fee=0.1",))):
        found = Data.of(recorded(tmp_path / name, "auction", "ticks=30", *fee))
        record[name] = " ".join(summary_of(found).headline)
        revenue, kept, fees, wasted = division(found)
        assert kept == pytest.approx(found.participants["pnl"].sum() / found.R)
        assert fees == pytest.approx(0.1 * revenue if fee else 0.0)
        assert found.listings["bought"].sum() and wasted >= 0.0
    assert "went into fees" not in record["plain"] and "went into fees" in record["dear"]


# --- faults, and plays that are not recorded ------------------------------------------------------


def test_faults_of_policies_come_before_all_else(tmp_path: Path) -> None:
    one = recorded(tmp_path, "auction", "ticks=6", "markets=1")
    fault = {"participant": "bidder_1", "reason": "KeyError: 'x'", "first_tick": 0, "decisions": 6}
    one.facts["faults"] = [fault]
    lines = str(summarise(one)).splitlines()
    assert "bidder_1" in lines[0] and "6 of 6" in lines[0]
    assert lines[1].startswith("The surplus of the 3 participants")
    found = Outline(report.html(one)).text
    assert found.index(lines[0]) < next(n for n, text in enumerate(found) if text == "In short")


def rolled(markets: int, **firms: float) -> str:
    market = mos_agents.pricing_game()
    policies = {name: mos_agents.make("fixed_price", price=p) for name, p in firms.items()}
    return str(mos_agents.rollout.rollout(market, policies, ticks=4, markets=markets))


def test_a_rollout_ends_with_a_sentence_that_names_nobody_without_an_interval() -> None:
    last = rolled(1, firm_1=1.5, firm_2=1.6).splitlines()[-1]
    assert last.startswith("The reward of the 2 participants lies between ")
    assert last.endswith("so no participant is named the best; more markets give one.")


def test_a_rollout_names_who_earned_more_in_every_market() -> None:
    last = rolled(8, firm_1=1.5, firm_2=1.9).splitlines()[-1]
    assert last.startswith("firm_1 earned more than each other participant of the same market")


def test_a_rollout_of_equals_names_nobody() -> None:
    last = rolled(8, firm_1=1.6, firm_2=1.6).splitlines()[-1]
    assert last.startswith("No participant earned more than all others")
