"""What reaches a terminal: names come from other people's files, and steer nothing there."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import mos_agents
from mos_agents import scenarios
from mos_agents.cli import run as mos
from mos_agents.cli.terminal import print_line
from mos_agents.market.printing import cell, printable
from tests.commands import environment

HOSTILE = {
    "clears the screen": "a\x1b[2Jb",
    "sets the title": "a\x1b]0;owned\x07b",
    "goes back": "a\rb",
    "rings": "a\x07b",
    "rubs out": "a\x08\x08b",
    "a C1 control": "a\x9b31mb",
    "deletes": "a\x7fb",
    "turns round": "a\u202eb",
    "isolates": "a\u2066b",
    "a separator": "a\u2028b",
    "nul": "a\x00b",
    "half a letter": "a\ud800b",
    "markup": "a[red]b",
    "a link": "a\x1b]8;;http://x\x1b\\b",
}
hostile = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)


def harmless(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


@hostile
def test_a_line_that_is_said_steers_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_line(f"first\t{name}\nsecond")
    found = capsys.readouterr().out
    assert harmless(found) and found.startswith("first\ta") and found.endswith("b\nsecond\n")


@hostile
def test_an_error_shows_a_name_escaped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["check", name],
        ["show", name + ".yaml"],
        ["run", "retail", "--set", name],
        ["compare", name, "b"],
        ["run", "retail", "--set", f"{name}=1"],
        ["report", name],
        [name],
        ["run", "retail", f"--{name}"],
    ):
        assert mos(arguments) == 2
        found = capsys.readouterr().err
        assert harmless(found) and found.count("\n") == 1 and found.startswith("mos: ")


@hostile
def test_a_table_on_a_terminal_shows_a_name_as_it_is_and_takes_no_markup(name: str) -> None:
    from envs.text import table

    market = mos_agents.retail(firms=1, products=1)
    layout = replace(market.layout, participants=(name, "firm"))
    hold = replace(market, layout=layout, name=name)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    console.print(table(hold, hold.start(1), None))
    found = screen.getvalue()
    bare = found.replace("\x1b[1m", "").replace("\x1b[3m", "").replace("\x1b[0m", "")
    assert harmless(bare)
    assert printable(name) in bare


@given(st.text())
def test_whatever_a_text_is_it_is_printable_afterwards(text: str) -> None:
    assert harmless(printable(text))
    if text.isprintable():
        assert printable(text) == text
    assert "\n" not in cell(text)


def test_a_terminal_of_few_letters_gets_the_others_escaped(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "mos_agents.cli", "check", "Ünïcode-Ж.yaml"],
        env={**environment(), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 2 and "Traceback" not in made.stderr
    assert made.stderr.startswith("mos: ") and made.stderr.count("\n") == 1


@hostile
def test_a_sellers_name_of_a_catalogue_reaches_no_terminal_raw(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "\x00" in name or "\ud800" in name:
        pytest.skip("no file holds it")
    rows = f'product,seller,cost,reference_price,quality,stock\ntea,"{name}",1,2,0,10\n'
    (tmp_path / "goods.csv").write_bytes(rows.encode())
    (tmp_path / "s.yaml").write_text(
        'name: s\nparticipants: [{name: "*", policy: {kind: cost_plus, margin: 0.2}}]\n'
        "catalogue: {kind: file, path: goods.csv}\nticks: 3\n"
        "execution: {kind: expected, demand: {kind: logit}}\n"
    )
    out = ["--out", str(tmp_path / "runs")]
    codes = [
        mos(["check", str(tmp_path / "s.yaml")]),
        mos(["run", str(tmp_path / "s.yaml"), *out, "--name", "a", "--no-report"]),
        mos(["run", str(tmp_path / "s.yaml"), *out, "--name", "b", "--no-report"]),
    ]
    if codes[1] == 0:
        codes.append(mos(["compare", "a", "b", *out]))
    found = capsys.readouterr()
    assert harmless(found.out) and harmless(found.err)


def test_scenarios_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert mos(["show", "retail"]) == 0
    assert scenarios.parse(capsys.readouterr().out) == scenarios.load("retail")
