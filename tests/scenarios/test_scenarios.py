"""Scenario files: what they say is what is built, and every mistake is one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import mos_agents
from mos_agents import scenarios
from mos_agents.market.browsing import Browsing
from mos_agents.market.types import InputError

PRESETS = scenarios.presets()

MISTAKES = [
    ("arrivals.sesions=5", "'sesions' is not a key here; did you mean 'sessions'?"),
    ("arrivals.sessions=-1", "sessions=-1.0 must be in [0, 1e+07]"),
    ("arrivals.sessions=yes", "arrivals.sessions=True: must be a number"),
    ("arrivals.sessions=.nan", "arrivals.sessions=nan: must be a number"),
    ("arrivals.views=[1, 2, 3]", "arrivals.views=[1, 2, 3]"),
    ("arrivals.views=[4, 1]", "views=(4, 1) must be (least, most)"),
    ("quotes.kind=postedprice", "did you mean 'posted_price'?"),
    ("execution.demand.kind=logti", "execution.demand: kind='logti' is not known"),
    ("execution.demand.nesting=2", "'nesting' is not a key here"),
    ("execution.demand.choice=across", "choice='across' must be 'within' for browsing"),
    ("schedule={kind: periodic, periods: [1, 2]}", "must have one entry for each of the 3"),
    ("participants.firm.count=-1", "count=-1"),
    ("participants.frim.count=2", "'frim' is not there; there are ['platform', 'firm']"),
    ("participants.platform.policy.kind=cost_puls", "cost_plus"),
    ("participants.platform.policy.margn=1", "margn"),
    ("participants.0.role=monopolist", "participants.0.role='monopolist'"),
    ("participants.0.name=a/b", "participants.0.name='a/b': is no name of a participant"),
    ("participants.0.name=firm_1", "'firm_1' is there twice"),
    ("rewards.weights.pnll=1", "'pnll' is not a metric"),
    ("rewards.by_participant.nobody={pnl: 1}", "'nobody' is not one of the participants"),
    ("positions.markk=cost", "did you mean 'mark'?"),
    ("catalogue.cost=[5]", "catalogue.cost"),
    ("catalogue.cost=[50, 5]", "cost=[50.0, 5.0] must be [least, most]"),
    ("reference.price.kind=gbm", "kinds are constant, geometric_brownian"),
    ("ticks=0", "ticks=0"),
    ("tiks=5", "did you mean 'ticks'?"),
    ("firm=2", "did you mean 'firms'?"),
    ("seed=-1", "seed=-1"),
    ("ticks", "must be KEY=VALUE"),
    ("ticks=[", "the value is not YAML"),
    ("name.first=x", "name has no parts"),
    ("instruments=[a, 'b c']", "instruments.1='b c'"),
    ("instruments=2.5", "instruments=2.5"),
    ("positions.holding_cost=1e308", "holding_cost=1e+308: must be 0, or 1e-15 to 1e+15"),
    ("quotes.tick_size=1e-320", "tick_size=1e-320: must be 0, or 1e-15 to 1e+15"),
]


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), ("2E3", 2e3), (".5e+1", 5.0)])
def test_numbers_may_be_written_with_an_exponent(text: str, value: float) -> None:
    assert scenarios.override(scenarios.load("retail"), [f"dt={text}"]).dt == value


def test_a_name_that_looks_like_a_number_stays_a_name() -> None:
    scenario = scenarios.override(scenarios.load("retail"), ["name='1e6'"])
    assert scenarios.parse(scenarios.dump(scenario)).name == "1e6"
    assert scenarios.preset("retail", instruments=["1e6", "a"]).instruments == ["1e6", "a"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_written_out_in_full_reads_back_as_itself(name: str) -> None:
    scenario = scenarios.load(name)
    again = scenarios.parse(scenarios.dump(scenario))
    assert again == scenario
    assert scenarios.dump(again) == scenarios.dump(scenario)


@pytest.mark.parametrize("name", PRESETS)
def test_every_participant_of_a_preset_has_a_policy_and_a_spec(name: str) -> None:
    scenario = scenarios.load(name)
    market = scenario.market()
    assert tuple(scenario.policies()) == market.layout.participants
    assert [spec.name for spec in market.specs] == list(market.layout.participants)


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_field_value_and_remedy(change: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.override(scenarios.load("retail"), [change]).market()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_retail_defaults_are_those_of_the_published_scenario() -> None:
    market = mos_agents.retail()
    assert (market.layout.N, market.layout.K, market.horizon) == (3, 10, 500)
    assert market.arrivals == Browsing(30.0, (1, 4), 0.1, 3.0, 0.01)
    cost, price = market.catalogue.cost, market.catalogue.reference_price
    assert 5.0 <= cost.min() <= cost.max() <= 50.0
    assert ((price / cost > 1.199) & (price / cost < 1.501)).all()
    assert (market.catalogue.stock == 100.0).all()


@pytest.mark.parametrize("firms", [0, 1, 7])
def test_any_number_of_firms_and_products_makes_a_market(firms: int) -> None:
    market = mos_agents.retail(firms=firms, products=4, arrivals__sessions=12)
    assert market.layout.N == firms + 1
    assert market.layout.L == 4 * (firms + 1)
    assert market.arrivals == Browsing(sessions=12.0)


def test_a_scenario_is_loaded_with_changes_in_either_form() -> None:
    changed = scenarios.load("retail", changes={"firms": 4, "arrivals.sessions": 50.0})
    texts = ["firms=4", "arrivals.sessions=50"]
    assert changed == scenarios.override(scenarios.load("retail"), texts)
    assert changed == scenarios.load("retail", changes=texts)
    with pytest.raises(InputError, match="must be a mapping such as"):
        scenarios.load("retail", changes="firms=4")


def test_a_kind_can_be_swapped_by_its_name_alone() -> None:
    retail = scenarios.load("retail")
    poisson = scenarios.override(retail, ["arrivals=poisson", "arrivals.buy=7"])
    assert poisson.arrivals.kind == "poisson"
    assert poisson.market().arrivals.buy == 7.0


def test_the_catalogue_of_a_scenario_does_not_depend_on_the_roster() -> None:
    few, many = mos_agents.retail(firms=1), mos_agents.retail(firms=5)
    assert np.array_equal(few.catalogue.cost[:10], many.catalogue.cost[:10])


def write(folder: Path, text: str, name: str = "goods.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


HEAD = "product,seller,cost,reference_price,quality,stock\n"


def from_file(path: str, participants: str = '[{name: "*"}]') -> scenarios.Scenario:
    return scenarios.parse(
        f"name: shop\nparticipants: {participants}\ncatalogue: {{kind: file, path: {path!r}}}\n"
        "execution: {kind: expected, demand: {kind: logit}}\n"
    )


def test_a_catalogue_file_in_any_row_order_gives_listings_in_roster_order(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "tea,beta,1,2,0.5,10\ntea,alpha,1.5,2.5,.4,\nmilk,beta,3,4,0,7\n")
    market = from_file(path, '[{name: alpha}, {name: "*"}]').market()
    assert market.layout.participants == ("alpha", "beta")
    assert market.layout.instruments == ("tea", "milk")
    assert market.catalogue.cost.tolist() == [1.5, 1.0, 3.0]
    assert market.catalogue.stock.tolist() == [np.inf, 10.0, 7.0]
    assert market.layout.first.tolist() == [0, 1, 3]


def test_a_parquet_catalogue_says_the_same_as_its_csv(tmp_path: Path) -> None:
    import polars as pl

    text = HEAD + "tea,beta,1,2,0.5,10\ntea,alpha,1.5,2.5,.4,\n"
    csv = write(tmp_path, text)
    pl.read_csv(csv).write_parquet(tmp_path / "goods.parquet")
    one = from_file(csv).market().catalogue
    other = from_file(str(tmp_path / "goods.parquet")).market().catalogue
    assert np.array_equal(one.cost, other.cost)
    assert np.array_equal(one.stock, other.stock)


BAD_FILES = [
    ("", "cannot be read"),
    (HEAD, "has no rows"),
    ("product,seller,cost\ntea,a,1\n", "column 'reference_price' is missing"),
    (HEAD + "tea,a,one,2,0,1\n", "row 2: cost='one' must be a number"),
    (HEAD + "tea,a,1,2,0,1\nmilk,a,-1,2,0,1\n", "row 3: cost='-1' must be >= 0"),
    (HEAD + "tea,a,1,0,0,1\n", "row 2: reference_price='0' must be > 0"),
    (HEAD + "tea,a,1,2,nan,1\n", "row 2: quality='nan' is missing"),
    (HEAD + "tea,a,1,2,inf,1\n", "row 2: quality='inf' must be a number"),
    (HEAD + "tea,a,1,2,0,-5\n", "row 2: stock='-5' must be >= 0"),
    (HEAD + "tea,a,1,2,0,1\ntea,a,1,2,0,1\n", "row 3: a offers tea already in row 2"),
    (HEAD + ",a,1,2,0,1\n", "row 2: product is empty"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_a_bad_catalogue_is_refused_by_row_and_column(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        from_file(write(tmp_path, text)).market()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_in_a_scenario_file_are_seen_from_its_folder(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "tea,a,1,2,0,1\n")
    write(tmp_path, "day,tea\n1,2.0\n2,2.5\n3,3.0\n", "prices.csv")
    write(
        tmp_path,
        'name: shop\nparticipants: [{name: "*"}]\ncatalogue: {kind: file, path: goods.csv}\n'
        "execution: {kind: expected, demand: {kind: logit}}\n"
        "ticks: 3\n"
        "reference: {price: {kind: replay, path: prices.csv, columns: [tea]}}\n",
        "shop.yaml",
    )
    market = scenarios.load(tmp_path / "shop.yaml").market()
    assert market.reference.price.path.ravel().tolist() == [2.0, 2.5, 3.0]


def test_a_count_of_a_files_seller_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "tea,beta,1,2,0.5,10\n")
    with pytest.raises(InputError, match=r"participants\.0\.count=3: .* leave count out"):
        from_file(path, "[{name: beta, count: 3}]").market()


def test_a_seller_whom_no_participant_stands_for_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "tea,beta,1,2,0.5,10\n")
    with pytest.raises(InputError, match="seller 'beta' of the catalogue"):
        from_file(path, "[{name: alpha}]").market()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "aliases"),
        ("- a", "must be keys and values"),
        ("name: a\nname: b", "'name' is there twice"),
        ("name: [", "line"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("[" * 4000 + "]" * 4000, ""),
        ("name: " + "x" * 100, "name="),
    ],
)
def test_text_that_is_no_scenario_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", scenarios.presets())
def test_a_scenario_travels_as_its_values(name):
    """The classes of its parts are made at import, and would be 60 kB more in every message."""
    scenario = scenarios.preset(name, seed=7)
    sent = pickle.dumps(scenario)
    assert pickle.loads(sent) == scenario
    assert len(sent) < 4_000
