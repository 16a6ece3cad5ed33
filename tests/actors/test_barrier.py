"""The information barrier: what is sent to a participant's process holds nothing of anybody else's.

A recording runtime keeps every byte that goes to each worker, at its birth and afterwards. Then the
others' secrets are changed, and the bytes must stay. Under one roof participants share a process
by the user's choice (`workers`); the barrier then stands around the roof.
"""

import pickle
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.actors.messages import Call
from mos_agents.actors.participant import Snapshot
from mos_agents.actors.runtime import LocalRuntime
from mos_agents.market.market import Market
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Streams
from tests.actors.worlds import SHOP, Stalls, one_shard, parse, undisturbed, with_policy
from tests.policies.markets import auction, dealers, shop

RIVALS = ("platform", "firm_2")


class Wire(LocalRuntime):
    """Keeps what is sent to every worker, as bytes and as things, by its participants' names."""

    def __init__(self):
        super().__init__()
        self.sent, self.things, self.names = {}, {}, {}

    def start(self, parts, name):
        handle = super().start(parts, name)
        self.names[handle] = tuple(part[1].name for part in parts)
        self.keep(handle, ("start", parts, name))
        return handle

    def ask(self, asks, deadline):
        for handle, verb, arguments in asks:
            self.keep(handle, (verb, arguments))
        return super().ask(asks, deadline)

    def keep(self, handle, thing):
        self.sent.setdefault(self.names[handle], []).append(pickle.dumps(thing, 4))
        self.things.setdefault(self.names[handle], []).append(thing)


def heard(scenario, ticks=10, market=None, monkeypatch=None, **options):
    """All that is sent in a run with a death, restored memories and a checkpoint in it."""
    wire = Wire()
    shard = one_shard(scenario, wire, markets=4, keep_calls=1e-9, **options)
    if market is not None:
        shard = one_shard(scenario, wire, markets=4, keep_calls=1e-9, **options)
        shard.clearing_house.market = market
        shard.clearing_house.state = market.start(4)
        shard.clearing_house.observation = market.first_observation(
            shard.clearing_house.state, shard.clearing_house.streams.at(0)
        )
    shard.start()
    for at in range(ticks):
        if at == 6:
            for record in shard.supervisor.records:
                wire.kill(record.handle)
        shard.advance(1)
    return wire


def changed(market: Market, **secrets) -> Market:
    """The market with other secrets of the rivals' own listings."""
    rivals = np.concatenate(
        [np.arange(market.layout.L)[market.spec(name).listings] for name in RIVALS]
    )
    columns = {}
    for name, factor in secrets.items():
        column = getattr(market.catalogue, name).copy()
        column[rivals] *= factor
        columns[name] = column
    return market.with_parts(catalogue=replace(market.catalogue, **columns))


HELD = with_policy("platform", "hold", with_policy("firm_2", "hold"))
"""Rivals that hold their price: it does not move with their costs or stocks."""


@pytest.mark.parametrize(
    "secrets",
    [{"cost": 0.9}, {"cost": 0.5}, {"stock": 7.0}, {"cost": 0.7, "stock": 3.0}],
    ids=str,
)
def test_a_rivals_costs_stocks_and_cash_do_not_reach_the_others(secrets):
    """The price stays above the floor and the stock lasts, so nothing public changes."""
    scenario = with_policy("platform", "hold", HELD, arrivals__sessions=2.0)
    market = scenario.market()
    plain, secret = (
        heard(scenario, market=market),
        heard(scenario, market=changed(market, **secrets)),
    )
    assert plain.sent["firm_1",] == secret.sent["firm_1",]
    assert plain.sent["platform",] != secret.sent["platform",]  # its own it does learn


def test_a_rivals_policy_and_its_parameters_do_not_reach_the_others():
    """Two policies that do the same: only the rivals themselves are told which one it is."""
    plain = with_policy("firm_2", {"kind": "hold"})
    secret = with_policy(
        "firm_2",
        {
            "kind": "epsilon_greedy",
            "policy": {"kind": "hold"},
            "epsilon": 0.0,
            "low": 1.0,
            "high": 77.125,
        },
    )
    plain, secret = heard(plain), heard(secret)
    for name in ("platform", "firm_1"):
        assert plain.sent[name,] == secret.sent[name,]
    assert plain.sent["firm_2",] != secret.sent["firm_2",]


def test_demand_that_was_turned_away_does_not_reach_the_sellers():
    """Stocks of nothing: all that customers wanted is lost, and however much that was, the sellers
    are told the same (their looks are sessions, and those stay)."""
    wires, truth = [], set()
    for elasticity in (2.0, 0.5):
        market = scenarios.preset(
            "retail",
            firms=2,
            products=2,
            catalogue__stock=0.0,
            positions__base_stock=0.0,
            positions__lead_time=0,
            execution__demand__elasticity=elasticity,
            rewards__weights={"pnl": 1.0},
        )
        wires.append(heard(market))
        truth.add(undisturbed(market, 10, 4))
    assert len(truth) == 2 and wires[0].sent == wires[1].sent


def walk(thing, path=""):
    """Every leaf of what was sent, with the way to it."""
    if is_dataclass(thing) and not isinstance(thing, type):
        slots = {f.name: getattr(thing, f.name) for f in fields(thing)}
        for name, value in {**getattr(thing, "__dict__", {}), **slots}.items():
            yield from walk(value, f"{path}.{name}")
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from walk(value, f"{path}[{key}]")
    elif isinstance(thing, tuple | list):
        names = getattr(thing, "_fields", range(len(thing)))
        for name, value in zip(names, thing, strict=True):
            yield from walk(value, f"{path}.{name}")
    else:
        yield path, thing


ALLOWED = (
    str,
    int,
    float,
    bool,
    type(None),
    slice,
    np.ndarray,
    np.integer,
    np.floating,
    np.bool_,
)


@pytest.mark.parametrize("preset", scenarios.presets())
@pytest.mark.parametrize("workers", [0, 2])
def test_only_own_specs_own_policies_own_streams_and_own_observations_are_sent(preset, workers):
    scenario = scenarios.load(preset)
    wire, market = heard(scenario, ticks=8, workers=workers), scenario.market()
    policies, keys = scenario.policies(), {}
    for names, things in wire.things.items():
        for verb, *arguments in things:
            if verb == "start":
                for run, spec, policy, streams, _ in arguments[0]:
                    assert (
                        type(spec) is ParticipantSpec
                        and type(streams) is Streams
                        and run == "a-run"
                    )
                    assert policy == policies[spec.name] and spec.name in names
                    keys[spec.name] = streams.philox_key.tobytes()
            elif verb in ("decide", "catch_up"):
                for call in arguments[0][0]:
                    assert type(call) is Call and call.participant in names
                    assert call.observation.shape == (4, market.spec(call.participant).size)
                    assert call.reward.shape == (4,)
                    # A view would take the whole of everybody's observations with it.
                    assert call.observation.base is None or call.observation.base.nbytes <= (
                        call.observation.nbytes
                    )
            elif verb == "restore":
                for name, kept in arguments[0][0].items():
                    assert name in names and type(kept) is Snapshot
            else:
                assert verb in ("ready", "snapshot") and arguments == [()]
        for path, leaf in walk(things):
            assert isinstance(leaf, ALLOWED) or hasattr(leaf, "act"), (path, type(leaf))
    assert len(set(keys.values())) == market.layout.N


def test_the_seed_from_which_all_random_numbers_follow_is_never_sent():
    """With it a participant could compute tomorrow's customers and its rivals' explorations."""
    seed = 7_163_549_221_873_905_211  # not a number that comes about by chance
    scenario = SHOP.model_copy(update={"seed": seed})
    wire = heard(scenario)
    forbidden = [Streams.of(seed).philox_key] + [
        Streams.of(seed, owner=n).philox_key for n in RIVALS
    ]
    sent = b"".join(wire.sent["firm_1",])
    for path, leaf in walk(wire.things["firm_1",]):
        if isinstance(leaf, int | np.integer):
            assert int(leaf) != seed, path
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iu":
            assert seed not in leaf.ravel().tolist(), path
    for secret in (
        np.uint64(seed).tobytes(),
        str(seed).encode(),
        *(k.tobytes() for k in forbidden),
    ):
        assert secret not in sent
    assert Streams.of(seed, owner="firm_1").philox_key.tobytes() in sent  # the search would find it


def test_the_markets_random_numbers_do_not_reach_a_participant_before_they_show():
    """Two runs whose customers differ from tick 4 on are told alike up to there."""
    wires = []
    for sessions in (5.0, 500.0):
        market = SHOP.market()
        wire = Wire()
        shard = one_shard(SHOP, wire, markets=4)
        shard.start()
        shard.advance(4)
        changed = replace(market.arrivals, sessions=sessions)
        shard.clearing_house.market = market.with_parts(arrivals=changed)
        shard.advance(3)
        wires.append(list(wire.sent["firm_1",]))
    upto = 1 + 1 + 5  # its birth, whether it is awake, and the calls of ticks 0 to 4
    assert wires[0][:upto] == wires[1][:upto] and wires[0][upto:] != wires[1][upto:]


@dataclass(frozen=True)
class Private:
    """What of a market is private to participant `n`: its rows of the catalogue."""

    market: Market

    def differs(self, n, column):
        catalogue = self.market.catalogue
        values = getattr(catalogue, column).copy()
        rival = np.flatnonzero(self.market.layout.seller != n)
        values[rival] = values[rival] * 1.37 + 0.11
        other = self.market.with_parts(catalogue=replace(catalogue, **{column: values}))
        return bare(self.market.specs[n]) != bare(other.specs[n])


def bare(spec):
    return pickle.dumps({f.name: getattr(spec, f.name) for f in fields(spec)}, 4)


@pytest.mark.parametrize("market", [shop(), dealers(assets=2), auction()], ids=lambda m: m.name)
@pytest.mark.parametrize("column", ["cost", "quality", "stock", "reference_price"])
def test_a_spec_says_nothing_of_the_others_rows_in_the_catalogue(market, column):
    for n in range(market.layout.N):
        assert not Private(market).differs(n, column)


def test_the_barrier_is_seen_when_it_has_a_hole(monkeypatch):
    """The search above finds a seed, a foreign observation and a foreign policy."""
    wire = heard(SHOP)
    wire.things["firm_1",].append(("start", Stalls(at=9)))
    assert any(path.endswith(".at") and leaf == 9 for path, leaf in walk(wire.things["firm_1",]))
    assert parse(scenarios.dump(SHOP)) == SHOP
