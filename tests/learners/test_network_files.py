"""A network's file comes back as it was or is refused in one line; scenarios name its path."""

import hashlib
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.cli import run
from mos_agents.learners import Gaussian, TrainedNetwork, load_network, save_network
from mos_agents.learners.network_files import from_bytes, to_bytes
from mos_agents.learners.saving import from_text, to_text
from mos_agents.market.types import InputError
from tests.learners.networks import network
from tests.policies.markets import dealers, shop

SPEC = shop().specs[0]


@pytest.mark.parametrize("head", ("levels", "values", "gaussian", "clipped"))
def test_a_network_comes_back_as_it_was_and_the_same_network_is_the_same_file(tmp_path, head):
    spec = dealers(assets=2).specs[0]
    made = network(spec, head, provenance={"algo": "ppo", "versions": {"torch": "2.13"}}, clip=7.0)
    save_network(tmp_path / "n.npz", made)
    back = load_network(tmp_path / "n.npz")
    assert (
        back.signature == made.signature and back.provenance == made.provenance and back.clip == 7.0
    )
    assert type(back.head) is type(made.head) and to_bytes(back) == to_bytes(made)
    seen = np.random.default_rng(0).normal(size=(3, spec.size))
    assert np.array_equal(back.forward(seen), made.forward(seen))
    assert from_text(to_text(to_bytes(made))) == to_bytes(made)
    if isinstance(made.head, Gaussian):
        assert back.head.squash == made.head.squash
        assert (back.head.log_std is None) == (made.head.log_std is None)


def signed(path, data):
    path.write_bytes(data)
    line = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
    path.with_name(path.name + ".sha256").write_text(line)


def one_line(message, call, *arguments):
    with pytest.raises(InputError, match=message) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def test_every_flipped_byte_and_every_cut_is_refused_in_one_line(tmp_path):
    path = tmp_path / "n.npz"
    save_network(path, network(SPEC))
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 12):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        one_line("damaged", load_network, path)
        signed(path, whole[:at])
        one_line("holds no network", load_network, path)
    path.write_bytes(b"")
    with open(path, "r+b") as file:
        file.truncate(90_000_000)  # nothing is read of a file that no network can have
    one_line("has 90,000,000 bytes", load_network, path)
    one_line("cannot be read", load_network, tmp_path / "none.npz")
    one_line("ends in .npz", load_network, tmp_path / "n.pt")


class Runs:
    """What a hostile pickle would do."""

    def __reduce__(self):
        return print, ("this ran",)


def with_entry(name, content, compress=zipfile.ZIP_STORED):
    """The bytes of a sound network with one entry replaced or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(to_bytes(network(SPEC)))) as old,
        zipfile.ZipFile(out, "w", compress) as new,
    ):
        for entry in old.namelist():
            if entry != name:
                new.writestr(entry, old.read(entry))
        if content is not None:
            new.writestr(name, content)
    return out.getvalue()


def npy(array, pickled=False):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=(1, 0), allow_pickle=pickled)
    return out.getvalue()


def facts(**changed):
    with zipfile.ZipFile(io.BytesIO(to_bytes(network(SPEC)))) as file:
        data = np.load(io.BytesIO(file.read("memory/facts.npy")))
    record = json.loads(data.tobytes()) | changed
    return npy(np.frombuffer(json.dumps(record).encode(), np.uint8))


HUGE = npy(np.zeros(2)).replace(b"(2,), }             ", b"(2000000000000,), } ")
BIAS, FACTS = "memory/bias_0.npy", "memory/facts.npy"
HOSTILE = {
    "a pickle": (b"not a zip" + pickle.dumps(Runs()), "holds no network"),
    "an array of objects": (with_entry(BIAS, npy(np.array([Runs()]), True)), "holds no network"),
    "a heading that lies": (with_entry(BIAS, HUGE), "not as long as its heading"),
    "a bomb": (with_entry(BIAS, npy(np.zeros(9_000)), zipfile.ZIP_DEFLATED), "compressed"),
    "not a number": (with_entry(BIAS, npy(np.full(8, np.nan))), "bias holds nan"),
    "another shape": (with_entry(BIAS, npy(np.zeros(3))), "bias has shape"),
    "texts for weights": (with_entry(BIAS, npy(np.array(["x"] * 8))), "bias must be numbers"),
    "a part missing": (with_entry(BIAS, None), "bias_0"),
    "a part too many": (with_entry("memory/more.npy", npy(np.zeros(2))), "has too much: more"),
    "no JSON": (with_entry(FACTS, npy(np.zeros(9, np.uint8))), "holds no network"),
    "other JSON": (with_entry(FACTS, npy(np.frombuffer(b"[]", np.uint8))), "holds no network"),
    "another format": (with_entry(FACTS, facts(format=2)), "format=2 must be 1"),
    "an unknown head": (with_entry(FACTS, facts(head="eval")), "holds no network"),
    "an unknown activation": (with_entry(FACTS, facts(activations=["eval", "x"])), "one of"),
    "a signature that is none": (with_entry(FACTS, facts(signature=[1])), "holds no network"),
    "sizes that are none": (
        with_entry(
            FACTS,
            facts(
                signature={
                    "participant": "a",
                    "role": "b",
                    "listings": 1,
                    "features": [],
                    "fields": [["x", -5]],
                }
            ),
        ),
        "n.npz",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_nothing_in_it_runs(tmp_path, capsys, case):
    data, message = HOSTILE[case]
    signed(tmp_path / "n.npz", data)
    one_line(message, load_network, tmp_path / "n.npz")
    one_line(message.replace("n.npz", "shown"), from_bytes, data, "shown")
    assert capsys.readouterr().out == ""


# --- in scenario files ----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a scenario whose two firms play networks that lie beside it."""
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    base = scenarios.preset("pricing_game")
    for n, spec in enumerate(base.market().specs):
        save_network(tmp_path / "own" / f"net_{n}.npz", network(spec, seed=n))

    data = scenarios.override(
        base,
        [
            "ticks=30",
            "markets=2",
            "participants=[{name: firm_1, policy: {kind: network, path: net_0.npz}}, "
            "{name: firm_2, policy: {kind: epsilon_greedy, policy: {kind: network, "
            "path: net_1.npz}, low: 1.2, high: 2.0}}]",
        ],
    )
    (tmp_path / "own" / "market.yaml").write_text(scenarios.dump(data))
    return tmp_path


def test_a_scenarios_networks_are_found_beside_its_file_and_pinned_by_their_digest(place):
    scenario = scenarios.load("own/market.yaml")
    paths = [str(place / "own" / f"net_{n}.npz") for n in (0, 1)]
    assert list(scenario.inputs()) == paths
    assert scenario.policies()["firm_1"] == TrainedNetwork(paths[0])
    assert scenario.policies()["firm_2"].policy == TrainedNetwork(paths[1])


def test_a_run_is_verified_and_refused_once_its_network_has_changed(place, capsys):
    assert run(["run", "own/market.yaml", "--name", "it", "--no-report"]) == 0
    assert run(["verify", "it"]) == 0
    save_network(place / "own" / "net_1.npz", network(SPEC, seed=9))
    capsys.readouterr()
    assert run(["verify", "it"]) == 2
    assert "net_1.npz: is not what it was made from" in (line := capsys.readouterr().err)
    assert line.count("\n") == 1


def test_another_machine_gets_the_networks_themselves_and_plays_the_same(place, capsys):
    hashes = []
    for backend in ("local", "actors"):
        assert run(["run", "own/market.yaml", "--backend", backend, "--no-report"]) == 0
        text = capsys.readouterr().out.splitlines()
        hashes.append(next(line for line in text if line.startswith("hash")))
    assert hashes[0] == hashes[1]
    scenario = scenarios.load("own/market.yaml")
    sent = scenarios.dump(scenario.portable())
    for path in (place / "own").glob("*.npz"):
        path.unlink()
    assert "net_0" not in sent and "net_1" not in sent
    there = scenarios.parse(sent)
    assert there.inputs() == {}
    for name, policy in there.policies().items():
        policy.start(there.market().spec(name), 2)
    one_line("cannot be read", scenario.portable)


def test_a_network_of_another_scenario_is_refused_before_there_is_a_run(place, capsys):
    save_network(place / "own" / "net_0.npz", network(SPEC))
    assert run(["run", "own/market.yaml", "--no-report"]) == 2
    line = capsys.readouterr().err
    assert "checkpoint of another scenario: listings 2 when trained, 1 here" in line
    assert line.count("\n") == 1 and not (place / "runs").exists()
