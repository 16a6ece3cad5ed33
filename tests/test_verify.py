"""`mos verify` finds what was forged, passes what is sound, and says so where nobody can tell.

The short forms below are part of every run of the tests. The whole of it, 500 forgeries and 50
sound runs, also over Ray: `pytest -m matrix tests/test_verify.py`.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mos_agents import policies, runs, scenarios
from mos_agents.cli import run
from mos_agents.lab import actor_runs
from mos_agents.lab.actor_runs import ActorConfig
from mos_agents.lab.feedback import Feedback
from mos_agents.lab.verifying import VerifyResult, verify
from mos_agents.policies.base import Policy
from mos_agents.runs import RecordingPlan, RunError, recording
from mos_agents.runs.sealing import sealed
from mos_agents.scenarios import Scenario
from tests.commands import environment, refused
from tests.forging import facts_of, forge, part, reseal, rewrite
from tests.test_runs import mos, recorded

pytestmark = pytest.mark.usefixtures("here")


def world(draw: random.Random) -> Scenario:
    """A small scenario of some kind."""
    preset, size = draw.choice(
        [
            ("retail", "instruments=2"),
            ("market_making", "instruments=2"),
            ("auction", "ticks=9"),
            ("pricing_game", "ticks=9"),
        ]
    )
    changes = [size, f"ticks={draw.randint(5, 24)}", f"markets={draw.randint(1, 5)}"]
    return scenarios.override(scenarios.load(preset), [*changes, f"seed={draw.randint(0, 99)}"])


def partly(scenario: Scenario, draw: random.Random) -> RecordingPlan:
    """A plan that leaves out ticks, markets, both or nothing."""
    return RecordingPlan.of(
        scenario.market().layout,
        scenario.ticks,
        scenario.markets,
        draw.randint(1, scenario.markets),
        draw.choice([1, 1, 2, 3, 100]),
    )


def in_the_loop(root: Path, scenario: Scenario, draw: random.Random) -> Path:
    ends = tuple(draw.sample(range(1, scenario.ticks), draw.randint(1, 3)))
    how: Any = {"plan": partly(scenario, draw), "inputs": scenario.inputs()}
    return recorded(root, scenario, ends, **how).folder


def resumed(root: Path, scenario: Scenario, draw: random.Random) -> Path:
    """Stopped at some tick, perhaps with rows that never reached the disk, and played on."""
    from mos_agents.rollout import play

    stop = draw.randint(2, scenario.ticks - 1)
    how: Any = {"plan": partly(scenario, draw), "inputs": scenario.inputs()}
    recorded(root, scenario, (draw.randint(1, stop),), stop=stop, **how).close()
    (folder,) = root.iterdir()
    again = runs.resume(runs.read(folder), scenario.market())
    for step in play(
        scenario.market(),
        scenario.policies(),
        seed=scenario.seed,
        ticks=scenario.ticks,
        markets=scenario.markets,
    ):
        again.add(step)
        if draw.random() < 0.2:
            again.flush()
    again.finish()
    return folder


def by_actors(root: Path, scenario: Scenario, draw: random.Random, backend: str = "actors") -> Path:
    how = ActorConfig(
        backend,
        shards=draw.randint(1, scenario.markets),
        workers=draw.randint(0, 2),
        checkpoint_every=draw.choice([3, 5, 500]),
        audit=draw.random() < 0.5,
    )
    plan = partly(scenario, draw)
    return actor_runs.play(
        lambda: actor_runs.open_recording(
            scenario, root, how, None, plan.markets, plan.every, Feedback()
        ),
        scenario,
        how,
        Feedback(),
    )


MAKERS: dict[str, Callable[[Path, Scenario, random.Random], Path]] = {
    "loop": in_the_loop,
    "resumed": resumed,
    "actors": by_actors,
}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of actors are recorded in parts of some three ticks."""
    monkeypatch.setattr(recording, "VALUES", 900)


def made(root: Path, number: int) -> Path:
    """The run of a number: which kind, scenario and layout follow from it."""
    draw = random.Random(number)
    maker = list(MAKERS.values())[number % len(MAKERS)]
    return maker(root, world(draw), draw)


# --- forgeries and sound runs ---------------------------------------------------------------------


def forged(count: int, originals: int) -> Iterator[str]:
    """Forge so many runs, one after another; what was done to those that passed."""
    folders = [made(Path("originals") / str(n), n) for n in range(originals)]
    for number in range(count):
        draw = random.Random(1000 + number)
        copy = Path("forged") / draw.choice(folders).name
        source = folders[number % len(folders)]
        shutil.copytree(source, copy := Path("forged") / source.name)
        found = forge(copy, draw)
        try:
            verify(runs.read(copy))
        except RunError as error:
            assert "\n" not in str(error)
        else:
            yield f"{number}: {found}"
        shutil.rmtree(copy)


def test_sixty_forgeries_of_sixty_are_found(often: None) -> None:
    assert list(forged(60, 6)) == []


@pytest.mark.matrix
def test_five_hundred_forgeries_of_five_hundred_are_found(often: None) -> None:
    passed = list(forged(500, 12))
    assert passed == [], "\n".join(passed)


@pytest.mark.parametrize("number", range(9))
def test_a_sound_run_passes(number: int, often: None) -> None:
    folder = made(Path("runs"), number)
    lines = list(verify(runs.read(folder)).lines())
    assert facts_of(folder)["hash"] in lines[0]


@pytest.mark.matrix
@pytest.mark.parametrize("number", range(9, 39))
def test_thirty_more_sound_runs_pass(number: int, often: None) -> None:
    verify(runs.read(made(Path("runs"), number)))


@pytest.mark.matrix
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_sound_run_that_was_killed_and_resumed_passes(
    backend: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_and_resumed(backend, 1 + 20 * number)
    verify(runs.read("it"))


@pytest.mark.matrix
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("number", range(3))
def test_a_sound_run_over_ray_passes(number: int, often: None) -> None:
    draw = random.Random(number)
    verify(runs.read(by_actors(Path("runs"), world(draw), draw, "ray")))


def killed_and_resumed(backend: str, after: int) -> None:
    """The run `it`, killed after so many parts were recorded, and played to its end."""
    command = [
        "run",
        "retail",
        "--ticks",
        "1500",
        "--markets",
        "2",
        "--set",
        "products=2",
        "--no-report",
        "--name",
        "it",
        "--backend",
        backend,
    ]
    # It writes what it has after every tick or so: far before its end, whatever the machine does.
    process = subprocess.Popen(
        mos(*command, seconds=0.0), stdout=subprocess.DEVNULL, env=environment()
    )
    try:
        while len(list(Path("runs/it/aggregates").glob("*.parquet"))) <= after:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not runs.read("it").finished
    assert run(["run", "--resume", "it", "--no-report"]) == 0


def test_a_run_that_was_killed_and_resumed_passes_and_says_from_where_it_went_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for backend in ("local", "actors"):
        killed_and_resumed(backend, 20)
        output = capsys.readouterr().out
        ticks, of = re.findall(r"it: ([\d,]+) of ([\d,]+) ticks are recorded and stay", output)[0]
        begin = re.findall(r"going on from tick ([\d,]+)", output)[0]
        assert int(ticks.replace(",", "")) >= 20 and of == "1,500"
        if backend == "local":
            assert begin == ticks and "played again first, from tick 0" in output
        else:  # the journal is ahead of the tables, and what it holds is not decided again
            assert int(begin.replace(",", "")) >= int(ticks.replace(",", ""))
            assert "no policy decides again" in output or "is on the disk" in output
        verify(runs.read("it"))
        shutil.rmtree("runs/it")


# --- what is said ---------------------------------------------------------------------------------


@pytest.fixture
def retail() -> Scenario:
    return scenarios.override(scenarios.load("retail"), ["instruments=2", "ticks=12", "markets=4"])


def test_it_says_what_was_checked_and_what_was_not(
    retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = RecordingPlan.of(retail.market().layout, 12, 4, record_markets=2, every=3)
    name = recorded(Path("runs"), retail, (5,), plan=plan).folder.name
    assert run(["verify", name]) == 0
    first, checked, unchecked = capsys.readouterr().out.splitlines()[-3:]
    assert first.startswith(f"{name}: the scenario and its seed led to the same hash")
    for words in ("the first 2 markets", "every 3rd tick", "aggregates (12 ticks)", "6 parts"):
        assert words in checked
    assert unchecked == "not checked: the times, versions and words on faults in run.json"


def test_a_run_that_was_renamed_passes_and_is_told_so(
    retail: Scenario, often: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for maker in (in_the_loop, by_actors):
        folder = maker(Path("runs"), retail, random.Random(0))
        folder.rename("runs/mine")
        assert run(["verify", "mine"]) == 0
        assert f"it was recorded as {folder.name}" in capsys.readouterr().out
        shutil.rmtree("runs/mine")


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_doubled_column_with_every_digest_made_anew_is_found_by_its_place(
    backend: str, retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = in_the_loop if backend == "local" else by_actors
    folder = maker(Path("runs"), retail, random.Random(1))
    rewrite(part(folder, "aggregates", 0), lambda d: d.with_columns(d["pnl"] * 2.0), "the seal")
    reseal(folder)
    line = refused(capsys, "verify", folder.name)
    assert "aggregates/part-000000.parquet: 'pnl' at tick 0, participant 'platform'" in line
    assert "damaged or forged" in line


def test_tables_of_another_seed_are_found_and_so_is_a_seed_of_other_tables(
    retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    other = scenarios.override(retail, ["seed=5"])
    one, two = (recorded(Path("runs"), s, (4,)).folder for s in (retail, other))
    for table in runs.TABLES:
        shutil.rmtree(one / table)
        shutil.copytree(two / table, one / table)
    reseal(one, hash=facts_of(two)["hash"])
    line = refused(capsys, "verify", one.name)
    assert "damaged, forged, or made with other policies" in line and "listings/part" in line


def test_another_platform_or_version_is_named(
    retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(Path("runs"), retail).folder
    reseal(folder, hash="0" * 32, versions=facts_of(folder)["versions"] | {"numpy": "9.9"})
    line = refused(capsys, "verify", folder.name)
    assert "numpy 9.9 then, " + np.__version__ + " now" in line
    assert "the repeated tables agree" in line


def test_a_run_of_an_earlier_version_is_told_as_that(
    retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(Path("runs"), retail).folder
    facts = facts_of(folder)
    del facts["parts_sha256"]
    (folder / "run.json").write_bytes(sealed(facts))
    runs.read(folder).check()  # it is read all the same
    assert "made by an earlier version" in refused(capsys, "verify", folder.name)


# --- policies that nobody can play again ----------------------------------------------------------


@dataclass(frozen=True)
class Moody(Policy):
    """Decides by what is not in the seed. broken: raises in the ticks of BAD_DAY."""

    kind = "moody"
    atomic = False
    broken: bool = False

    def start(self, spec: Any, batch: int) -> Any:
        return ()

    def act(self, spec: Any, observation: Any, memory: Any, draws: Any) -> Any:
        if self.broken and BAD_DAY and draws.tick in (3, 4):
            raise RuntimeError("not today")
        how = 0.5 if self.broken else MOODS.random()
        asked = spec.low + (spec.high - spec.low) * how
        return np.broadcast_to(asked, (len(observation), *spec.action_shape)), memory


MOODS = np.random.default_rng()
BAD_DAY = [True]


@pytest.fixture
def auction() -> Scenario:
    """Every bid is free: whoever decides otherwise is seen to."""
    return scenarios.override(scenarios.load("auction"), ["ticks=12", "markets=4"])


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(policies.POLICIES, "moody", Moody)
    yield


def with_policy(scenario: Scenario, config: dict[str, Any]) -> Scenario:
    """The first bidder plays another policy."""
    data = scenarios.yaml_text.parsed_value(scenarios.dump(scenario), "scenario")
    group = data["participants"][-1]
    others = group["policy"] if isinstance(group["policy"], list) else [group["policy"]]
    group["policy"] = [config, *others, *others][: group["count"]]
    return scenarios.validation.validate(data)


def played_by_actors(scenario: Scenario, **how: Any) -> Path:
    by = ActorConfig("actors", **{"checkpoint_every": 5, **how})
    return actor_runs.play(
        lambda: actor_runs.open_recording(scenario, Path("runs"), by, "it", None, None, Feedback()),
        scenario,
        by,
        Feedback(),
    )


def test_a_policy_that_is_not_deterministic_is_told_as_that_and_not_as_damage(
    auction: Scenario, moody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = with_policy(auction, {"kind": "moody"})
    for folder in (recorded(Path("runs"), scenario).folder, played_by_actors(scenario)):
        line = refused(capsys, "verify", folder.name)
        assert re.search(
            r"cannot be verified: bidder_1 decided otherwise at tick \d+, played", line
        )
        assert "This says nothing against the run" in line
        assert "With --backend actors and --audit, the journal keeps" in line
        assert "damaged" not in line and "forged" not in line


def test_with_the_whole_journal_no_policy_is_needed_nor_its_class(
    auction: Scenario,
    moody: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = played_by_actors(with_policy(auction, {"kind": "moody"}), audit=True, shards=2)
    for at_hand in (True, False):
        if not at_hand:
            monkeypatch.delitem(policies.POLICIES, "moody")
        assert run(["verify", "it"]) == 0, capsys.readouterr().err
        output = capsys.readouterr().out
        assert "it: the whole journal led to the same hash" in output
        assert "whether the policies decide so" in output
    rewrite(part(folder, "participants", 0), lambda d: d.with_columns(d["cash"] + 1.0), "the seal")
    reseal(folder)
    assert "'cash' at tick 0" in refused(capsys, "verify", "it")


def test_without_the_class_and_the_whole_journal_the_rest_is_verified_and_the_start_told(
    auction: Scenario,
    moody: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    played_by_actors(with_policy(auction, {"kind": "moody"}))
    monkeypatch.delitem(policies.POLICIES, "moody")
    line = refused(capsys, "verify", "it")
    assert "the ticks before 10 cannot be verified; those from there on are as the journal" in line
    assert "moody" in line and "--audit" in line and "damaged" not in line


def test_trouble_of_the_day_is_told_where_the_journal_has_let_go_of_it(
    auction: Scenario,
    moody: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = with_policy(auction, {"kind": "moody", "broken": True})
    for audit in (True, False):
        monkeypatch.setattr("tests.test_verify.BAD_DAY", [True])
        folder = played_by_actors(scenario, audit=audit)
        assert facts_of(folder)["trouble"]["bidder_1"]["failed"] == 8  # two ticks of four markets
        monkeypatch.setattr("tests.test_verify.BAD_DAY", [])
        if audit:
            assert run(["verify", "it"]) == 0
        else:
            line = refused(capsys, "verify", "it")
            assert "participants had trouble: bidder_1 (8 failed)" in line
            assert "the seed does not repeat that" in line and "damaged" not in line
        shutil.rmtree(folder)


def test_an_interrupted_run_of_such_a_policy_does_not_go_on_as_another_run(
    auction: Scenario, moody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = with_policy(auction, {"kind": "moody"})
    recorded(Path("runs"), scenario, (10,), stop=10, name="it").close()
    line = refused(capsys, "run", "--resume", "it")
    assert re.search(r"cannot go on: tick \d, played again, is not as it was recorded", line)
    assert "--backend actors" in line
    assert runs.read("it").ticks == 10


def test_trouble_that_run_json_tells_and_the_journal_does_not_is_found(
    retail: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = played_by_actors(retail)
    for name, value in (("trouble", {"firm_1": {"late": 1}}), ("withdrawn", ["firm_2"])):
        before = (folder / "run.json").read_bytes()
        reseal(folder, **{name: value})
        assert f"{name} is" in refused(capsys, "verify", "it")
        (folder / "run.json").write_bytes(before)
    verify(runs.read("it"))


def test_a_file_of_the_market_that_has_changed_is_named_whatever_the_journal_holds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    goods = Path("goods.csv")
    goods.write_text("product,seller,cost,reference_price,quality,stock\ntea,a,1,2,0,\n")
    Path("shop.yaml").write_text(
        "name: shop\nticks: 6\nparticipants: [{name: '*'}]\n"
        "catalogue: {kind: file, path: goods.csv}\n"
        "execution: {kind: expected, demand: {kind: logit}}\n"
    )
    for extra in ([], ["--backend", "actors", "--audit"]):
        assert run(["run", "shop.yaml", "--no-report", "--name", "it", *extra]) == 0
        assert run(["verify", "it"]) == 0
        text = goods.read_text()
        goods.write_text(text.replace("a,1,", "a,1.5,"))
        assert "goods.csv: is not what it was made from" in refused(capsys, "verify", "it")
        goods.write_text(text)
        shutil.rmtree("runs/it")


def test_what_is_verified_says_so_in_python(retail: Scenario) -> None:
    found = verify(runs.read(recorded(Path("runs"), retail).folder))
    assert isinstance(found, VerifyResult) and found.decided
