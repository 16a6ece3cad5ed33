"""A scenario of two venues, from its file through the loop, the command line, actors and agents."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import mos_agents
from envs.market_env import MarketEnv
from mos_agents import scenarios
from mos_agents.cli import run as mos
from mos_agents.lab import verify
from mos_agents.market.types import ORDER, InputError
from mos_agents.policies import from_config, to_config
from mos_agents.rollout import play, rollout
from mos_agents.runs import read
from tests.actors.test_shards import RandomCrashes
from tests.actors.worlds import driven, one_shard, undisturbed
from tests.commands import refused

FILE = Path(__file__).parent / "files" / "two_venues.yaml"
TWO_VENUES = scenarios.load(str(FILE))
DATA = scenarios.yaml_text.yaml.safe_load(FILE.read_text())


def changed(**settings):
    """The scenario with settings changed by their path."""
    return scenarios.override(
        TWO_VENUES, [f"{k.replace('__', '.')}={v}" for k, v in settings.items()]
    )


def test_a_file_of_venues_comes_back_as_it_was():
    assert scenarios.parse(scenarios.dump(TWO_VENUES)) == TWO_VENUES
    assert scenarios.parse(scenarios.commented(TWO_VENUES)) == TWO_VENUES
    for key in ("quotes", "arrivals", "execution", "reference", "catalogue"):
        assert key not in TWO_VENUES.data()
    one = scenarios.load("retail")
    assert "venues" not in one.data() and scenarios.parse(scenarios.dump(one)) == one


def test_goods_flow_from_the_maker_to_the_firms_and_on_to_shoppers():
    market = TWO_VENUES.market()
    run = rollout(market, TWO_VENUES.policies(), markets=20, series=("sold", "bought", "inventory"))
    orders = market.layout.kind == ORDER
    made, retail = run.series["sold"][:, :, 0], run.series["sold"][:, :, ~orders][:, :, 1:]
    assert made.sum() > 1000.0
    np.testing.assert_allclose(run.series["bought"][:, :, orders].sum(axis=-1), made)
    held = run.series["inventory"][-1, :, 1:].sum(axis=-1)
    np.testing.assert_allclose(held, made.sum(axis=0) - retail.sum(axis=(0, 2)))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("venues__retail__arrivals__buy", 30.0),
        ("venues__wholesale__delivery", 2),
        ("venues__wholesale__order_time", "last"),
        ("venues__wholesale__orders__size", 5.0),
        ("venues__wholesale__quotes__size", 6.0),
        ("venues__wholesale__catalogue__cost", 1.2),
        ("positions__credit", 15.0),
        ("participants__firm__policy__policies__wholesale.orders__level", 4.0),
    ],
)
def test_settings_of_venues_are_heeded(setting, value):
    if "policies" in setting:  # a name with a point in it is no path of --set
        data = scenarios.yaml_text.yaml.safe_load(FILE.read_text())
        data["participants"][1]["policy"]["policies"]["wholesale.orders"]["level"] = value
        other = scenarios.validation.validate(data)
    else:
        other = changed(**{setting: value})
    if setting == "venues__wholesale__order_time":
        # The maker's customers all send orders, so that the order of trading changes nothing there.
        other = scenarios.override(other, ["venues.wholesale.arrivals={kind: poisson, buy: 5}"])
        first = scenarios.override(other, ["venues.wholesale.order_time=first"])
        fills = [
            "venues.wholesale.execution={kind: fill_intensity}",
            "venues.wholesale.quotes.size=9",
        ]
        pair = (scenarios.override(one, fills) for one in (other, first))
        assert len({undisturbed(one, 40, 3) for one in pair}) == 2
        return
    assert undisturbed(other, 40, 3) != undisturbed(TWO_VENUES, 40, 3)


def test_a_run_is_recorded_verified_and_reported(tmp_path, capsys):
    settings = ["--set", "venues.retail.arrivals.buy=12", "--out", str(tmp_path)]
    assert mos(["run", str(FILE), *settings]) == 0
    (folder,) = tmp_path.iterdir()
    run = read(folder)
    assert mos(["verify", str(folder)]) == 0
    assert run.facts["hash"] in capsys.readouterr().out
    assert undisturbed(changed(venues__retail__arrivals__buy=12.0), 40, 3) == run.facts["hash"]
    assert set(run.listings()["instrument"]) == {"wholesale.apples", "retail.apples"}
    assert verify(folder) and (folder / "report.html").exists()


def test_actors_come_to_the_hash_of_the_loop_in_any_shards():
    wanted = undisturbed(TWO_VENUES, 40, 4)
    assert driven(TWO_VENUES, 40, 4).hash == wanted
    delayed = changed(venues__wholesale__delivery=3)
    assert driven(delayed, 40, 4, count=2).hash == undisturbed(delayed, 40, 4)


def test_participants_that_crash_come_back_to_the_hash_of_the_loop(tmp_path):
    """Goods are in transit, orders among the arrivals, and workers die all the time."""
    delayed = changed(venues__wholesale__delivery=3, venues__wholesale__order_time="among")
    runtime = RandomCrashes(random.Random(1), 0.1)
    shard = one_shard(delayed, runtime, restarts=10**6, folder=str(tmp_path))
    shard.start()
    for _ in range(8):
        shard.advance(5)
        shard.checkpoint()
    runtime.chance = 0.0
    shard.advance(1)
    assert runtime.killed >= 3
    assert shard.digest.hexdigest() == undisturbed(delayed, 41, 3)


def test_every_participant_can_be_an_agent_of_pettingzoo():
    parallel_api_test(MarketEnv(TWO_VENUES), num_cycles=60)
    env = MarketEnv(TWO_VENUES, agents=["firm_1"])
    env.reset(seed=3)
    for _ in range(5):
        action = np.array([12.0, 2.0, 2.3, 0.0])
        _, rewards, _, _, infos = env.step({"firm_1": action})
    assert infos["firm_1"]["refused"] == "" and rewards["firm_1"] != 0.0


def test_agents_choose_quantities_and_prices_from_grids():
    orders = "venues.wholesale.orders.size=20"
    env = MarketEnv(
        scenarios.override(TWO_VENUES, [orders]),
        agents=["firm_1"],
        actions="discrete",
        levels=5,
        band=(0.9, 1.1),
    )
    env.reset(seed=3)
    assert env.action_space("firm_1").nvec.tolist() == [5, 5]
    seen, _, _, _, infos = env.step({"firm_1": np.array([3, 2])})
    fields = TWO_VENUES.market().spec("firm_1").where
    assert infos["firm_1"]["refused"] == ""
    assert seen["firm_1"][fields["order_bought"]] == 15.0
    assert seen["firm_1"][fields["own_ask"]] == pytest.approx(2.5)


def test_agents_play_what_policies_play():
    """A firm from outside that sends its policy's actions meets the same market."""
    market, policies = TWO_VENUES.market(), TWO_VENUES.policies()
    firm = policies["firm_1"]
    inside = [step.reward[0, 1] for step in play(market, policies, seed=5, ticks=10)]
    env = MarketEnv(TWO_VENUES, agents=["firm_1"])
    spec, memory, outside = market.spec("firm_1"), None, []
    seen, _ = env.reset(seed=5)
    memory = firm.start(spec, 1)
    for _ in range(10):
        action, memory = firm.act(spec, seen["firm_1"][None], memory, None)
        seen, rewards, _, _, _ = env.step({"firm_1": action.ravel()})
        outside.append(rewards["firm_1"])
    assert outside == inside


def test_nobody_reads_anothers_stock_cash_or_orders():
    market = TWO_VENUES.market()
    layout = market.layout
    for spec in market.specs:
        own = range(*layout.own(spec.number).indices(layout.L))
        held = range(*layout.held_by(spec.number).indices(layout.H))
        for field in spec.fields:
            if field.name in ("inventory", "in_transit"):
                assert set(field.index) <= set(held)
            elif field.name.startswith(("own_", "order_", "cost")):
                assert set(field.index) <= set(own)
            elif field.name == "cash":
                assert set(field.index) == {spec.number}
            elif field.name.startswith("rival_"):
                assert not (layout.kind[field.index] == ORDER).any()
                assert (layout.seller[field.index] != spec.number).all()
    # The maker sees no quotes of the shop, where it does not trade.
    assert not any(field.name.startswith("rival_") for field in market.spec("maker").fields)


def test_a_policy_by_venue_is_written_as_it_is_read():
    policy = TWO_VENUES.policies()["firm_1"]
    config = to_config(policy)
    assert from_config(config) == policy
    assert config["policies"]["wholesale.orders"]["kind"] == "base_stock"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quotes": {"kind": "posted_price"}}, "quotes: each venue has its own"),
        ({"catalogue": {"kind": "same"}}, "catalogue: every venue has its own"),
        ({"venues": []}, "venues"),
        ({"venues": DATA["venues"][:1] * 2}, "'wholesale' is there twice"),
        ({"venues": [DATA["venues"][0] | {"quoting": ["nobody"]}]}, "'nobody' is not one of"),
        ({"venues": [DATA["venues"][0] | {"goods": ["pears"]}]}, "'pears' is not one of"),
        ({"venues": [DATA["venues"][0] | {"order_time": "soon"}]}, "order_time"),
        ({"venues": [DATA["venues"][0] | {"place": "here"}]}, "place"),
        (
            {"venues": [DATA["venues"][0], DATA["venues"][1] | {"delivery": 1}]},
            "delivery=1 changes nothing",
        ),
    ],
)
def test_a_bad_file_of_venues_is_refused_in_one_line(change, message):
    with pytest.raises(InputError) as error:
        scenarios.validation.validate(DATA | change).market().specs  # noqa: B018
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_policy_that_does_not_fit_a_venue_is_refused_in_one_line(capsys, tmp_path):
    line = refused(
        capsys,
        "run",
        str(FILE),
        "--set",
        "participants.firm.policy={kind: cost_plus}",
        "--out",
        str(tmp_path),
    )
    assert "give it a policy for those" in line
    line = refused(
        capsys,
        "run",
        str(FILE),
        "--set",
        "participants.firm.policy={kind: by_venue, policies: {retail: {kind: cost_plus}}}",
        "--out",
        str(tmp_path),
    )
    assert "one for each of wholesale.orders, retail" in line
    assert mos_agents.scenarios is scenarios
