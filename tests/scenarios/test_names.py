"""Names from a file are shown as they are, and never say where anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.rollout import rollout
from mos_agents.runs.names import file_stem, participant_fault
from mos_agents.scenarios.participants import Participants

HEAD = "product,seller,cost,reference_price,quality,stock\n"
CASES = Path(__file__).parents[1] / "cases" / "names_that_become_paths"
ESCAPES = [
    "../../ESCAPED",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..\\..\\x",
    "~/x/y",
    "*",
    "a\x00b",
    "a\x1b[31mb",
    "a\nb",
    "a\tb",
    "a\u202eb",
    "a\u200bb",
    "a\u2028b",
    "\ufeffa\ufeff",
    "a\u0085b",
    "x" * 101,
    "\ud7ff/",
    "con/../../x",
]
SOUND = [
    "Big Co",
    "Müller & Söhne",
    "ヘッドホン店",
    "C:",
    "a:b",
    "a?b",
    'the "best"',
    "<b>",
    "100%",
    "a%3Ab",
    "-rf",
    ".hidden",
    "a.",
    "Acme, Inc.",
    "O'Neill",
    "$HOME",
    "a|b",
    "x" * 100,
    "店" * 100,
    "é",
]


def sold_by(folder: Path, seller: str) -> scenarios.Scenario:
    quoted = seller.replace('"', '""')
    (folder / "goods.csv").write_text(HEAD + f'tea,"{quoted}",5,10,0.5,100\ntea,b,5,10,0.5,100\n')
    return scenarios.parse(
        "name: h\nticks: 3\nparticipants: [{name: b, policy: {kind: cost_plus}}, {name: '*'}]\n"
        f"catalogue: {{kind: file, path: {folder}/goods.csv}}\n"
        "execution: {kind: sampled, demand: {kind: logit}}\narrivals: {kind: poisson, buy: 5}\n"
    )


def test_a_seller_whose_name_is_a_path_is_refused_when_the_catalogue_is_read(
    tmp_path: Path,
) -> None:
    shutil.copytree(CASES, tmp_path / "case")
    scenario = scenarios.load(tmp_path / "case" / "04_seller_name_escapes.yaml")
    with pytest.raises(InputError, match=r"row 2: seller='\.\./\.\./ESCAPED' is no name"):
        scenario.market()


@pytest.mark.parametrize("seller", [s for s in ESCAPES if "\x00" not in s and "\x1b" not in s])
def test_a_name_that_could_lead_elsewhere_or_not_be_seen_is_refused(
    tmp_path: Path, seller: str
) -> None:
    with pytest.raises(InputError) as caught:
        sold_by(tmp_path, seller).market()
    assert "row 2" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("seller", SOUND)
def test_a_name_of_any_language_is_shown_as_it_is(tmp_path: Path, seller: str) -> None:
    scenario = sold_by(tmp_path, seller)
    market = scenario.market()
    assert market.layout.participants == ("b", seller)
    rollout(market, scenario.policies(), seed=0, ticks=2)
    again = scenarios.parse(scenarios.dump(scenario))
    assert again.market().layout.participants == ("b", seller)
    assert Participants(name=seller).name == seller


@pytest.mark.parametrize("name", [*ESCAPES[:-1], "", " a", "a "])
def test_a_scenario_takes_the_names_that_a_catalogue_takes(name: str) -> None:
    if name == "*":
        return
    with pytest.raises(InputError, match="name"):
        scenarios.parse(
            "name: h\nexecution: {kind: expected, demand: {kind: logit}}\ninstruments: 1\n"
            f"participants: [{{name: {scenarios.inline(name)}}}]\n"
        )


@pytest.mark.parametrize("name", SOUND)
def test_the_files_of_a_participant_lie_in_their_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{file_stem(name)}.npz.sha256.tmp"
    path.write_bytes(b"")
    assert path.resolve().parent == tmp_path
    assert not path.name.startswith((".", "-"))


def test_plain_names_are_the_names_of_their_files() -> None:
    for name in ("platform", "firm_1", "toyota", "a.b", "A-1"):
        assert file_stem(name) == name
    assert file_stem("Big Co") == "Big%20Co"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=6, unique=True))
def test_no_two_names_have_one_file(names: list[str]) -> None:
    taken = [name for name in names if participant_fault(name) is None]
    stems = [file_stem(name) for name in taken]
    assert len(set(stems)) == len(taken)
    for stem in stems:
        assert len(stem.encode()) <= 240
        assert "/" not in stem and stem not in (".", "..") and stem.isprintable()
