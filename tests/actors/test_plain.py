"""Nothing that a worker sends is unpickled at the clearing house: no result and no error."""

import ast
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mos_agents.actors.ray import runtime as ray_runtime
from mos_agents.actors.ray.runtime import RayRuntime
from mos_agents.policies.base import Policy
from tests.actors.hostile import PACKERS, RAISED, RETURNED, Hostile
from tests.actors.test_runtimes import calls, parts

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("own_cluster")]

PAYLOADS = [*RETURNED, *RAISED]
VERBS = ["ready", "snapshot", "decide", "catch_up", "location", "restore"]
MAIN = VERBS[:3]


def struck(folder):
    """Who has unpickled a payload."""
    return {int(path.name.removeprefix("struck-")) for path in Path(folder).glob("struck-*")}


class Attacked:
    """A clearing house (this process) and a worker whose participant has taken its process over."""

    def __init__(self, folder, channels):
        self.folder, self.channels = folder, channels
        self.runtime = RayRuntime(channels=channels)
        self.born()

    def born(self):
        policy = Hostile(str(self.folder), os.getpid())
        self.worker = self.runtime.start(parts("firm_1", policy), "hostile")
        self.tick = -1
        assert self.asked("decide").ok

    def asked(self, verb, armed=None):
        """The answer to a verb, before which the worker was given an order."""
        if armed:
            Path(self.folder, "next").write_text(json.dumps(armed))
        arguments = {
            "decide": lambda: calls("firm_1", self.tick),
            "catch_up": lambda: ([],),
            "restore": lambda: ({},),
        }
        self.tick += verb == "decide"
        given = arguments.get(verb, tuple)()
        return self.runtime.ask([(self.worker, verb, given)], 60.0)[0]

    def attack(self, verb, payload):
        packer = PACKERS.get(verb, "pack_fact")
        if verb == "decide":
            answer = self.asked(verb, (packer, payload))
        else:
            assert self.asked("decide", (packer, payload)).ok
            answer = self.asked(verb)
        assert not Path(self.folder, "next").exists()  # the order was carried out
        if (answer.dead or answer.late) and not self.asked("decide").ok:
            self.runtime.kill(self.worker)
            self.born()
        return answer


@pytest.fixture(scope="module")
def by_ray(shared_clusters, tmp_path_factory):
    shared_clusters.own()
    made = Attacked(tmp_path_factory.mktemp("by-ray"), channels=False)
    yield made
    made.runtime.close()


@pytest.fixture(scope="module")
def by_channel(shared_clusters, tmp_path_factory):
    shared_clusters.own()
    made = Attacked(tmp_path_factory.mktemp("by-channel"), channels=True)
    yield made
    made.runtime.close()


def test_there_are_more_than_thirty_payloads():
    assert len(PAYLOADS) >= 40


def held(attacked, verb, payload):
    answer = attacked.attack(verb, payload)
    assert os.getpid() not in struck(attacked.folder), verb
    assert not answer.ok and answer.error and "\n" not in answer.error, (verb, answer)
    return True


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_not_opened_whatever_verb_gives_it(payload, by_ray):
    verbs = VERBS if payload in ("a bomb", "a loud bomb") else MAIN
    assert all(held(by_ray, verb, payload) for verb in verbs)


@pytest.mark.parametrize("payload", ["a bomb", "a pickle as bytes", "a loud bomb", "a loud exit"])
def test_a_payload_over_a_channel_is_not_opened(payload, by_channel):
    """A channel that got something else than bytes is closed, and the worker ends with it."""
    assert all(held(by_channel, verb, payload) for verb in ("decide", "ready"))


def test_a_host_whose_start_raises_a_payload_is_dead_and_it_is_not_opened(by_ray):
    for payload in ("a loud bomb", "a loud exit", "a bomb as the cause of an error"):
        policy = Hostile(str(by_ray.folder), os.getpid(), payload)
        worker = by_ray.runtime.start(parts("firm_1", policy), "hostile from the start")
        answer = by_ray.runtime.ask([(worker, "decide", calls("firm_1", 0))], 60.0)[0]
        assert not answer.ok and os.getpid() not in struck(by_ray.folder)
        by_ray.runtime.kill(worker)


def dropped(by_ray, seconds=10.0):
    """Whether a call that raised a payload was opened here after its reference was dropped."""
    assert by_ray.asked("decide", ("pack_fact", "a loud bomb")).ok
    by_ray.worker.ready.remote()  # the reference is dropped before the answer is here
    until = time.monotonic() + seconds
    while os.getpid() not in struck(by_ray.folder) and time.monotonic() < until:
        time.sleep(0.05)
    opened = os.getpid() in struck(by_ray.folder)
    Path(by_ray.folder, f"struck-{os.getpid()}").unlink(missing_ok=True)
    return opened


def test_an_error_that_nobody_asked_for_is_not_opened(by_ray, caplog):
    assert not dropped(by_ray, seconds=2.0)
    (record,) = [one for one in caplog.records if one.name == "mos_agents.actors.ray.answers"]
    assert record.getMessage() == (
        "an abandoned call failed: raised an exception; it was not opened"
    )


def test_ray_would_open_an_error_that_nobody_asked_for(by_ray, monkeypatch):
    """So that the test above would see a hole."""
    from ray._private.worker import global_worker

    monkeypatch.delattr(global_worker, "raise_errors")
    assert dropped(by_ray)


def test_read_as_ray_reads_them_the_payloads_would_run(by_ray):
    """So that the tests above would see a hole."""
    import ray

    opened, folder = set(), by_ray.folder
    for payload in PAYLOADS:
        if payload.startswith("metadata") or payload.endswith(("exit", "interruption")):
            continue  # those end the worker
        assert by_ray.asked("decide", ("pack_fact", payload)).ok
        try:
            got = ray.get(by_ray.worker.ready.remote(), timeout=60.0)
            if payload == "a bomb behind a reference":
                ray.get(got, timeout=60.0)
        except Exception:
            pass
        if os.getpid() in struck(folder):
            opened.add(payload)
            Path(folder, f"struck-{os.getpid()}").unlink()
    assert len(opened) >= 12, opened


@dataclass(frozen=True)
class Spies(Policy):
    """Says which of Ray's secrets it finds in its environment and in that of what it starts."""

    kind = "spies"
    atomic = True

    def start(self, spec, batch):
        return None

    def act(self, spec, observation, memory, draws):
        inherited = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
        found = [n for n in os.environ if n.startswith("RAY_AUTH_TOKEN")]
        raise RuntimeError(f"own {found}, inherited {'RAY_AUTH_TOKEN' in inherited}")

    def propensity(self, spec, observation, action, memory):
        raise NotImplementedError


def test_a_policy_and_what_it_starts_do_not_find_the_token_in_their_environment():
    assert os.environ["RAY_AUTH_TOKEN"]
    runtime = RayRuntime()
    try:
        worker = runtime.start(parts("firm_1", Spies()), "spies")
        (reply,) = runtime.ask([(worker, "decide", calls("firm_1", 0))], None)[0].value
    finally:
        runtime.close()
    assert reply.fault.startswith("RuntimeError: own [], inherited False (test_plain.py:")


def test_honest_memories_of_every_type_arrive_to_the_bit():
    from mos_agents.actors import wire
    from mos_agents.actors.participant import Snapshot

    types = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f8", ">i4"]
    arrays = [np.arange(6).reshape(2, 3).astype(kind) for kind in types]
    arrays += [np.zeros((0, 3), "i4"), np.array(2.5), np.array(np.nan), np.zeros((2, 0))]
    arrays += [np.arange(12.0).reshape(3, 4)[:, ::2], np.asfortranarray(np.arange(4.0)[:, None])]
    kept = {"firm_1": Snapshot(7, arrays), "firm_2": Snapshot(7, [])}
    found, seconds = wire.unpack_snapshots(wire.pack_snapshots(kept, 0.5))
    assert seconds == 0.5 and list(found) == ["firm_1", "firm_2"]
    for one, other in zip(arrays, found["firm_1"].memory, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert other.flags.writeable


HEADINGS = [
    '{"firm_1": [0, [["|O8", [1]]]]}',
    '{"firm_1": [0, [["<f8", [2]]]]}',
    '{"firm_1": [0, [["<f8", [-1]]]]}',
    '{"firm_1": [0, [["<f8", [0.5]]]]}',
    '{"firm_1": [0, [["<f8", "1"]]]}',
    '{"firm_1": [0, [["<U4", [2]]]]}',
    '{"firm_1": [0, [["f8,O", [1]]]]}',
    '{"firm_1": [0, [[["<f8"], [1]]]]}',
    '{"firm_1": [0, [["<f8"]]]}',
    '{"firm_1": 3}',
    "[]",
    "3",
    "null",
    '"x"',
    '{"firm_1": []}',
    '{"firm_1": [0, [["<f3", [1]]]]}',
    '{"firm_1": [0, [["<f8", [99999999999999999999]]]]}',
    '{"firm_1": [0, [["<M8", [1]]]]}',
    '{"firm_1": [0, [["<c8", [1]]]]}',
]


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_block_of_memories_that_is_none_is_refused_in_one_line(heading):
    from mos_agents.actors import wire
    from mos_agents.actors.messages import MessageError

    text = f"[0.0, {heading}]".encode()
    with pytest.raises(MessageError, match="answered with no block of memories") as refusal:
        wire.unpack_snapshots(wire.LENGTH.pack(len(text)) + text + bytes(8))
    assert "\n" not in str(refusal.value)


def test_the_clearing_house_gets_nothing_of_a_host_by_the_functions_that_unpickle():
    """`ray.get` is called where shards, environments and tasks answer, which are the package's own;
    and nobody in `actors` unpickles."""
    folder = Path(ray_runtime.__file__).parents[1]
    found = set()
    for path in folder.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.get":
                    found.add((path.relative_to(folder).as_posix(), function.name))
                assert not (isinstance(node, ast.Attribute) and node.attr in ("loads",)) or (
                    ast.unparse(node) == "json.loads"
                ), path
    assert found == {
        ("ray/cluster.py", "fetched"),
        ("ray/shards.py", "result"),
        ("ray/env_server.py", "close"),
        ("ray/tasks.py", "_fetched"),
    }
