"""What is said where a cluster cannot be joined, before Ray ends the process without a word."""

import os
import socket
import subprocess
import sys

import pytest

from mos_agents.actors.ray import cluster as ray_cluster
from mos_agents.actors.ray import head as ray_head
from mos_agents.market.types import InputError
from tests.actors.processes import descendants, listening, titled
from tests.actors.worlds import SHOP, driven
from tests.test_runs import ROOT

TOKEN = "a" * 64


@pytest.fixture
def somebody():
    """The address of somebody who takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A session that says RAY_AUTH_MODE=token, in an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ray").mkdir()
    return tmp_path


def put(path, text):
    path.write_text(text)
    return {}


NO_TOKEN = {
    "no file": (lambda home: {}, "auth_token does not exist"),
    "an empty variable": (lambda home: {"RAY_AUTH_TOKEN": ""}, "does not exist"),
    "an empty file": (lambda home: put(home / ".ray" / "auth_token", ""), "holds none"),
    "a file of blanks": (lambda home: put(home / ".ray" / "auth_token", " \n\t\n"), "holds none"),
    "a folder": (lambda home: (home / ".ray" / "auth_token").mkdir() or {}, "is no file"),
    "a pipe": (lambda home: os.mkfifo(home / ".ray" / "auth_token") or {}, "is no file"),
    "a link to nowhere": (
        lambda home: (home / ".ray" / "auth_token").symlink_to(home / "gone") or {},
        "does not exist",
    ),
    "an empty home": (lambda home: {"HOME": str(home / "none")}, "does not exist"),
    "a path to nothing": (
        lambda home: {"RAY_AUTH_TOKEN_PATH": str(home / "none")},
        "RAY_AUTH_TOKEN_PATH names no",
    ),
    "a path to an empty file": (
        lambda home: {"RAY_AUTH_TOKEN_PATH": str(home / "e"), **put(home / "e", "")},
        "holds none",
    ),
    "a path to a folder": (lambda home: {"RAY_AUTH_TOKEN_PATH": str(home)}, "is no file"),
    "a path to a pipe": (
        lambda home: os.mkfifo(home / "p") or {"RAY_AUTH_TOKEN_PATH": str(home / "p")},
        "is no file",
    ),
    "a path to nothing beside a file": (
        lambda home: {"RAY_AUTH_TOKEN_PATH": "none", **put(home / ".ray" / "auth_token", TOKEN)},
        "RAY_AUTH_TOKEN_PATH names no",
    ),
}


@pytest.mark.parametrize("case", NO_TOKEN)
def test_a_session_without_a_token_is_told_so_in_one_line(case, home, somebody, monkeypatch):
    made, told = NO_TOKEN[case]
    for name, value in made(home).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=told) as caught, ray_cluster.cluster(somebody):
        pass
    assert "\n" not in str(caught.value) and str(caught.value).startswith("address=")
    assert os.environ["RAY_AUTH_MODE"] == "token"


HAS_TOKEN = {
    "a variable": lambda home: {"RAY_AUTH_TOKEN": TOKEN},
    "a variable and a path to nothing": lambda home: {
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_AUTH_TOKEN_PATH": "none",
    },
    "a file": lambda home: put(home / ".ray" / "auth_token", TOKEN + "\n"),
    "a path": lambda home: {"RAY_AUTH_TOKEN_PATH": str(home / "t"), **put(home / "t", TOKEN)},
    "a link": lambda home: (
        put(home / "t", TOKEN),
        (home / ".ray" / "auth_token").symlink_to(home / "t"),
    )[0],
}


@pytest.mark.parametrize("case", HAS_TOKEN)
def test_a_session_with_a_token_is_not_refused_for_want_of_one(case, home, monkeypatch):
    """Nor does Ray itself look elsewhere for it."""
    from ray._raylet import AuthenticationTokenLoader

    for name, value in HAS_TOKEN[case](home).items():
        monkeypatch.setenv(name, value)
    ray_cluster._check_token("here")
    ray_cluster._reload_environment()
    try:
        assert AuthenticationTokenLoader.instance().get_raw_token() == TOKEN
    finally:
        monkeypatch.undo()
        ray_cluster._reload_environment()


COMMANDS = [
    ["run", "market_making", "--ticks", "5", "--backend", "ray"],
    ["replicate", "calvano_2020", "--sessions", "2", "--backend", "ray"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_command_without_a_token_ends_with_one_line_and_code_2(command, home, somebody, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mos_agents.cli", *command, "--address", somebody],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("mos: address=") and "this session shows none" in line
    assert not (tmp_path / "runs").exists()


MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.55.1
    Python: 3.12.4
This process on node 192.0.2.7 was started with:
    Ray: 2.60.0
    Python: 3.11.2
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError(MISMATCH),
            "runs Ray 2.55.1 on Python 3.12.4, this environment Ray 2.60.0 on "
            "Python 3.11.2; they must be the same on every node",
        ),
        (ConnectionError("two\nlines"), "answers but cannot be joined: ConnectionError: two lines"),
        (RuntimeError("Version mismatch, in other words"), "answers but cannot be joined"),
    ],
    ids=["another version", "broken off", "another wording"],
)
def test_a_cluster_that_answers_and_cannot_be_joined_is_not_called_silent(error, told, monkeypatch):
    def init(**_):
        raise error

    monkeypatch.setattr(ray_cluster, "_checked", lambda *_: None)
    monkeypatch.setattr(ray_cluster.ray, "init", init)
    with pytest.raises(InputError) as caught, ray_cluster.cluster("192.0.2.7:6379"):
        pass
    assert told in str(caught.value) and "no Ray cluster answers" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rays_own_words_on_another_version_are_understood():
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as caught:
        check_version_info({"ray_version": "9.9.9", "python_version": "3.11.0"}, "node here")
    told = ray_cluster._why_not("head:6379", caught.value)
    assert "the cluster runs Ray 9.9.9 on Python 3.11.0, this environment" in told


# --- the head node --------------------------------------------------------------------------------


class FakeClock:
    """Time as a test has it pass."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(ray_head.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ray_head.time, "sleep", self.passes)

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def watched(monkeypatch):
    """A watch over a head node that is there while `there` says so; and the clock."""
    clock, there = FakeClock(monkeypatch), []

    class FakeContext:
        gcs_address = "192.0.2.7:6379"

    def connection(place, timeout):
        assert place == ("192.0.2.7", 6379)
        if not there:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(ray_head.ray, "get_runtime_context", FakeContext)
    monkeypatch.setattr(ray_head.socket, "create_connection", connection)
    return ray_head.Head(), clock, there


def test_a_head_node_that_stays_away_is_lost_and_one_that_comes_back_is_not(watched):
    head, clock, there = watched
    there.append(True)
    for _ in range(100):
        clock.passes(1.0)
        head.check()
    there.clear()
    for _ in range(4):
        clock.passes(2.5)
        head.check()
    there.append(True)
    clock.passes(2.5)
    head.check()
    there.clear()
    with pytest.raises(ray_head.HeadLost, match=r"192\.0\.2\.7:6379 is lost: Connection"):
        for _ in range(10):
            clock.passes(2.5)
            head.check()


def test_one_failed_look_after_a_long_time_is_no_loss(watched):
    head, clock, _ = watched
    clock.passes(10_000.0)
    head.check()


def test_whoever_starts_a_shard_waits_for_the_head_node_until_it_is_lost(watched):
    head, clock, there = watched
    there.append(True)
    head.wait()
    assert clock.now == 100.0
    there.clear()
    with pytest.raises(ray_head.HeadLost):
        head.wait()
    assert 110.0 < clock.now < 112.0


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("own_cluster")
def test_a_cluster_of_ones_own_listens_on_the_loopback_interface_alone():
    """And its workers are as urgent as this process: others on the machine do not go first."""
    from mos_agents.actors.ray.shards import RayShards

    driven(SHOP, 5, 2, RayShards(), workers=1)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in titled("ray::IDLE")} <= {
        os.getpriority(os.PRIO_PROCESS, 0)
    }
    places = {address for _, address, _ in listening([os.getpid(), *descendants()])}
    assert places and all(place.startswith("127.") for place in places)


@pytest.mark.xdist_group("ray")
@pytest.mark.usefixtures("own_cluster")
def test_a_process_on_a_cluster_is_refused_another_and_stays_on_the_first():
    with pytest.raises(InputError, match="on a Ray cluster already"), ray_cluster.cluster():
        pass
    assert ray_cluster.joined() and ray_cluster.cores() >= 4
