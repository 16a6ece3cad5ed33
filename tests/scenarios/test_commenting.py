"""`mos show`: a scenario with every setting explained, which is still that scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mos_agents import scenarios
from mos_agents.cli import run
from mos_agents.scenarios import commented, dump, load, override, parse

VARIANTS = [
    ("retail", ["arrivals=poisson", "execution.demand=logit"]),
    ("retail", ["schedule={kind: periodic, periods: [1, 2, 3]}", "reference.cost=shock"]),
    ("retail", ["participants.firm.policy={kind: hold}", "instruments=[tea, 'on', '12']"]),
    ("retail", ["participants.firm.policy={kind: sarsa, prices: 15, features: cheapest}"]),
    ("retail", ["reference.demand={kind: shock, only: [0, 1, 2, 3, 4, 5]}"]),
    ("retail", ["rewards.by_participant={platform: {pnl: 2.0}, firm_1: {pnl: 0.5, fees: -1.0}}"]),
    ("market_making", ["reference.price=jump_diffusion", "makers=1", "quotes.sized=true"]),
    ("auction", ["execution.price=second", "bidders=7", "items=3"]),
    ("pricing_game", ["schedule=alternating", "observations.show_clock=false"]),
    ("autos_1990", ["positions.mark=reference", "ticks=1"]),
]


@pytest.mark.parametrize("preset", scenarios.presets())
def test_a_preset_with_comments_is_the_same_scenario(preset: str) -> None:
    assert parse(commented(load(preset))) == parse(dump(load(preset)))


@pytest.mark.parametrize(("preset", "changes"), VARIANTS)
def test_a_scenario_of_other_parts_with_comments_is_the_same(
    preset: str, changes: list[str]
) -> None:
    scenario = override(load(preset), changes)
    assert parse(commented(scenario)) == scenario


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.text(max_size=300).filter(lambda text: text.isprintable() or "\n" in text))
def test_a_description_of_any_text_stays_what_it_is(text: str) -> None:
    scenario = load("auction").model_copy(update={"description": text})
    assert parse(commented(scenario)) == parse(dump(scenario))


@pytest.mark.parametrize("preset", scenarios.presets())
def test_every_setting_of_a_preset_has_a_comment(preset: str) -> None:
    silent, before = [], ""
    seen: set[str] = set()
    for line in commented(load(preset)).splitlines():
        key = line.strip().removeprefix("- ").partition(":")[0]
        setting = key.isidentifier() and ":" in line and not line.startswith("    ")
        if setting and "#" not in line + before and key not in seen:
            silent.append(line)
        seen.add(key)
        before = line
    assert silent == []


def test_comments_tell_unit_range_and_kind() -> None:
    lines = commented(load("retail")).splitlines()
    (fee,) = (line for line in lines if "  fee:" in line)
    assert fee.split("# ")[1].startswith("share of the money that changes hands")
    (kind,) = (line for line in lines if "kind: reactive" in line)
    assert "# The scripted competitor" in kind


def test_participants_after_the_first_are_not_explained_again() -> None:
    text = commented(load("autos_1990"))
    assert text.count("the participant's name") == 1
    assert text.count("what they play unless they are") == 1


def test_lines_are_not_long() -> None:
    for preset in scenarios.presets():
        assert max(map(len, commented(load(preset)).splitlines())) <= 100


def test_show_prints_comments_and_with_plain_none(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert run(["show", "retail"]) == 0
    with_comments = capsys.readouterr().out
    assert run(["show", "retail", "--plain"]) == 0
    plain = capsys.readouterr().out
    assert "# " in with_comments and "#" not in plain
    assert plain == dump(load("retail"))
    for name, text in (("a.yaml", with_comments), ("b.yaml", plain)):
        (here / name).write_text(text)
        assert load(name) == load("retail")


def test_a_run_of_what_show_printed_is_the_same_run(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert run(["show", "auction"]) == 0
    (here / "mine.yaml").write_text(capsys.readouterr().out)
    hashes = []
    for name in ("auction", "mine.yaml"):
        assert run(["run", name, "--ticks", "4", "--no-report"]) == 0
        lines = capsys.readouterr().out.splitlines()
        hashes.append(next(line for line in lines if line.startswith("hash")))
    assert hashes[0] == hashes[1]
