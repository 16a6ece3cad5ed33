"""A memory on disk is whole or refused; a frozen learner plays it and learns nothing."""

import hashlib
import io
import pickle
import zipfile

import numpy as np
import pytest

from mos_agents.learners import GreedyPolicy, load, save
from mos_agents.market.schedules import Alternating
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.policies import from_config, make, to_config
from mos_agents.rollout import rollout
from mos_agents.scenarios.policy_files import embed_files
from mos_agents.testing.learners import market_of
from mos_agents.testing.policies import memory_bits as bits
from mos_agents.testing.policies import played
from tests.learners.worlds import KINDS, PRICES, duopoly, learner, placed

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def memory():
    return learner("sarsa").start(duopoly().specs[0], 2)


def test_numbers_of_every_kind_come_back_bit_for_bit(tmp_path):
    odd = np.array([0.0, -0.0, np.nan, -np.inf, 5e-324, 1 / 3])
    memory = {"a": (odd, [np.arange(3, dtype=np.int32), None]), "b": 7, "c": np.ones((2, 0), bool)}
    save(tmp_path / "m.npz", memory)
    back = load(tmp_path / "m.npz", memory)
    assert bits(back) == bits(memory) and back["b"] == 7 and back["a"][1][1] is None
    assert type(back["a"]) is tuple and type(back["a"][1]) is list


def test_the_same_memory_is_the_same_file_and_replaces_the_former(tmp_path, memory):
    for name in ("a.npz", "b.npz"):
        save(tmp_path / name, memory)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    memory.tables.q[:] = 3.0
    save(tmp_path / "a.npz", memory)
    assert bits(load(tmp_path / "a.npz", memory)) == bits(memory)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.npz",
        "a.npz.sha256",
        "b.npz",
        "b.npz.sha256",
    ]


def one_line(message, call, *arguments):
    with pytest.raises(InputError, match=message) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def test_every_flipped_byte_and_every_cut_is_refused_in_one_line(tmp_path, memory):
    path = tmp_path / "m.npz"
    save(path, memory)
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 25):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        one_line("damaged", load, path, memory)
        path.write_bytes(whole[:at])
        one_line("damaged", load, path, memory)
    path.write_bytes(whole)
    assert bits(load(path, memory)) == bits(memory)
    path.with_name("m.npz.sha256").unlink()
    one_line("missing", load, path, memory)


def signed(path, data):
    path.write_bytes(data)
    line = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
    path.with_name(path.name + ".sha256").write_text(line)


def test_a_file_that_holds_something_else_is_refused_though_its_digest_is_right(tmp_path, memory):
    path = tmp_path / "m.npz"
    signed(path, b"not an archive")
    one_line("holds no learner's memory", load, path, memory)
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as file:
        file.writestr("memory/clock.npy", "not an array")
    signed(path, text.getvalue())
    one_line("holds no learner's memory", load, path, memory)
    objects = io.BytesIO()
    np.savez(objects, x=np.array([{}], dtype=object))
    signed(path, objects.getvalue())
    one_line("holds no learner's memory", load, path, memory)


def test_another_policys_memory_is_refused(tmp_path, memory):
    path, spec = tmp_path / "m.npz", duopoly().specs[0]
    save(path, memory)
    one_line("lacks|too much", load, path, learner("boltzmann").start(spec, 2))
    one_line("is needed here", load, path, learner("sarsa").start(spec, 3))
    one_line("is needed here", load, path, learner("sarsa", prices=4).start(spec, 2))


def test_what_cannot_be_kept_is_told(tmp_path, memory):
    one_line("ends in .npz", save, tmp_path / "m.txt", memory)
    one_line("cannot be written", save, tmp_path / "nowhere" / "m.npz", memory)
    one_line("nothing to save", save, tmp_path / "m.npz", ())
    one_line("must be numbers", save, tmp_path / "m.npz", {"a": np.array(["text"])})
    one_line("is not there", load, tmp_path / "m.npz", memory)
    one_line("must be a tuple", save, tmp_path / "m.npz", 3.0)


# --- learners that play without learning ----------------------------------------------------------


def test_a_frozen_learner_takes_its_table_along_where_its_file_is_not(tmp_path):
    market, policies = placed("q_learning", "random")
    _, pool = played(market, policies, ticks=60)
    path = tmp_path / "m.npz"
    save(path, pool.memories[0])
    config = {"kind": "greedy", "policy": to_config(pool.policies[0]), "path": str(path)}
    here = make(**config)
    sent, written = pickle.dumps(here), embed_files(config)

    def play(one):
        steps, _ = played(market, {**policies, "firm_1": one}, ticks=9)
        return [step.actions.tobytes() for step in steps]

    wanted = play(here)
    path.unlink()
    assert play(pickle.loads(sent)) == wanted
    assert "path" not in {k for k, v in written.items() if v is not None}
    assert play(make(**written)) == wanted
    one_line("in place of a path", from_config, {**written, "path": str(path)})
    one_line("base64", play, make(**{**written, "packed": "no table"}))
    one_line("is not there", embed_files, config)


@every_kind
@pytest.mark.parametrize("place", ["states of a firm, two periods", "periodic", "random"])
def test_a_frozen_learner_plays_the_same_from_file_and_from_hand_and_learns_nothing(
    kind, place, tmp_path
):
    market, policies = placed(kind, place)
    _, pool = played(market, policies, ticks=60)
    policy, memory = pool.policies[0], pool.memories[0]
    save(tmp_path / "m.npz", memory)
    frozen = GreedyPolicy.of(policy, memory)
    assert not frozen.learns
    from_file = make("greedy", policy=to_config(policy), path=str(tmp_path / "m.npz"))
    plays = []
    for one in (frozen, from_file):
        transitions, pool = played(market, {**policies, "firm_1": one}, ticks=20)
        plays.append([t.actions.tobytes() for t in transitions])
        held = pool.memories[0]
        assert bits(held.learnt) == bits(memory)
        for transition in transitions:
            if transition.step.info.moved[:, 0].all():
                own, spec = market.specs[0].own(transition.observation), market.specs[0]
                action = transition.actions[:, spec.listings]
                assert (one.propensity(spec, own, action, transition.memories[0]) > 0.0).all()
    assert plays[0] == plays[1]


@every_kind
def test_a_learner_frozen_in_the_middle_of_a_play_stands_where_it_stood(kind):
    market, policies = placed(kind, "periodic")
    transitions, pool = played(market, policies, ticks=31)
    draws = Streams.of(8, 4).at(31)
    for n, moves in ((0, False), (1, True)):  # at tick 31 firm_2 is on the move, firm_1 is not
        spec, memory = market.specs[n], pool.memories[n]
        own = spec.own(transitions[-1].step.observation)
        frozen, held = GreedyPolicy.continued(policies["firm_1"], memory)
        before = bits(memory)
        action, after = frozen.act(spec, own, held, draws)
        assert (after.clock[0], bits(memory)) == (32, before)
        afresh = frozen.start(spec, 4)._replace(clock=np.array([spec.turn[1]]))  # its first move
        wanted = (
            frozen.act(spec, own, afresh, draws)[0]
            if moves
            else frozen.policy.priced(spec, own, memory.level)
        )
        assert np.array_equal(action, wanted)


@every_kind
def test_a_frozen_learner_plays_the_level_that_its_learner_thinks_best(kind):
    """Told by hand that 16 is the best, whatever else it believes."""
    market = duopoly()
    policy = learner(kind, prices=PRICES, relative_to="money")
    memory = policy.start(market.specs[0], 1)
    if kind == "q_learning":
        memory.q[0, 3], memory.best[0] = 5.0, 3
    else:
        table = memory.tables
        best = {
            "thompson": "total",
            "exp3": "log",
            "wolf_phc": "now",
            "ucb1": "mean",
            "bandit_epsilon_greedy": "mean",
        }.get(kind, "q")
        if kind == "hedge":
            table.loss[0] = (1.0, 1.0, 1.0, 0.0, 1.0)
        else:
            getattr(table, best)[0, 3] = 5.0
        if hasattr(table, "trials"):
            table.trials[:] = 1
    frozen = GreedyPolicy.of(policy, memory)
    done = rollout(market, {"firm_1": frozen, "firm_2": make("hold")}, ticks=5, series=("ask",))
    assert (done.series["ask"][:, 0, 0] == PRICES[3]).all()


def test_ties_are_drawn_and_mixed_strategies_are_mixed_if_wanted():
    market = duopoly()
    spec = market.specs[0]
    observation = np.repeat(spec.own(market.first_observation(market.start(1), None)), 4000, axis=0)
    policy = learner("wolf_phc", prices=PRICES, relative_to="money")
    memory = policy.start(spec, 1)
    memory.tables.now[0] = (0.1, 0.4, 0.1, 0.4, 0.0)
    for mixed, expected in ((False, [0, 0.5, 0, 0.5, 0]), (True, [0.1, 0.4, 0.1, 0.4, 0])):
        frozen = GreedyPolicy.of(policy, memory, market=0, mixed=mixed)
        held = frozen.start(spec, 4000)
        action, _ = frozen.act(spec, observation, held, Streams.of(1, 4000).at(0))
        found = [(action[:, 0, 0] == price).mean() for price in PRICES]
        assert found == pytest.approx(expected, abs=0.04)
        stated = frozen.propensity(spec, observation, action, held)
        prices = np.searchsorted(PRICES, action[:, 0, 0])
        assert stated == pytest.approx(np.array(expected)[prices])


def test_one_markets_memory_can_be_played_in_all(tmp_path):
    market, policies = placed("sarsa", "states")
    _, pool = played(market, policies, ticks=40, markets=4)
    policy, memory, spec = pool.policies[0], pool.memories[0], market.specs[0]
    third = market_of(policy, spec, memory, 4, 2)
    for frozen in (GreedyPolicy.of(policy, memory, market=2), GreedyPolicy.of(policy, third)):
        held = frozen.start(spec, 3)
        assert np.array_equal(held.learnt.tables.q, np.tile(third.tables.q, (3, 1)))
    one_line("is needed here", GreedyPolicy.of(policy, memory).start, spec, 3)
    one_line("is needed here", GreedyPolicy.of(policy, memory, market=4).start, spec, 3)
    one_line("another kind", GreedyPolicy.of(learner("boltzmann"), memory).start, spec, 4)


def test_an_impulse_is_answered_by_the_tables_alone():
    """Alternating moves, a table that answers an undercut with an undercut and peace with peace."""
    market = duopoly(schedule=Alternating())
    policy = learner("q_learning", prices=PRICES, relative_to="money", features="rivals")
    memory = policy.start(market.specs[1], 1)
    answers = np.array([0, 0, 1, 3, 3])
    memory.q[np.arange(5), answers], memory.best[:] = 1.0, answers
    rival = make("fixed_price", price=12.0)
    done = rollout(
        market,
        {"firm_1": rival, "firm_2": GreedyPolicy.of(policy, memory)},
        ticks=4,
        series=("ask",),
    )
    assert done.series["ask"][1:, 0, 1].tolist() == [11.0] * 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"policy": {"kind": "hold"}}, "must be a learner"),
        ({"policy": {"kind": "sarsa"}, "path": 3}, "greedy.path=3"),
        ({"policy": {"kind": "sarsa"}, "market": -1}, "greedy.market=-1"),
        ({"policy": {"kind": "sarsa"}, "market": True}, "greedy.market=True"),
        ({"policy": {"kind": "sarsa"}, "mixed": "yes"}, "greedy.mixed='yes'"),
        ({"policy": {"kind": "sarsa", "alpha": 2}}, "sarsa.alpha=2"),
        ({}, "greedy.policy is missing"),
    ],
)
def test_a_wrong_parameter_of_a_frozen_learner_is_told_in_one_line(parameters, message):
    one_line(message, lambda: make("greedy", **parameters))


def test_a_frozen_learner_is_written_down_and_read_back_and_needs_its_file(tmp_path):
    frozen = make("greedy", policy={"kind": "sarsa"}, path=str(tmp_path / "none.npz"), market=1)
    assert from_config(to_config(frozen)) == frozen
    one_line("is not there", frozen.start, duopoly().specs[0], 1)
    one_line("greedy.path is missing", GreedyPolicy(learner("sarsa")).start, duopoly().specs[0], 1)
