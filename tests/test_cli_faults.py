"""`mos` keeps a run alive whatever its policies do, and says first of all what they did wrong."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from mos_agents import runs, scenarios
from mos_agents.cli import run
from mos_agents.lab import sweeping
from mos_agents.policies.base import POLICIES, Deterministic, register
from mos_agents.runs.sealing import sealed
from mos_agents.sweeps.trials import TrialResult
from tests.commands import refused

HOW = {
    "ValueError": lambda action: int("dear"),
    "GeneratorExit": lambda action: (_ for _ in ()).throw(GeneratorExit()),
    "not a finite number": lambda action: action * np.nan,
    "wrong action": lambda action: action[:, :, :0],
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @register("failing")
    @dataclass(frozen=True)
    class FailsFromTickFive(Deterministic):
        """Fails from tick 5 on, as `how` says; a user's own policy, entered by Python."""

        how: str = "ValueError"
        start_too: bool = False
        kind: ClassVar[str]

        def start(self, spec, batch):
            if self.start_too:
                raise RuntimeError("no data")
            return np.zeros(1)

        def act(self, spec, observation, memory, draws):
            action = observation[:, spec.where["own_ask"], None]
            done = HOW[self.how](action) if draws.tick >= 5 else action
            return done, memory

    yield
    del POLICIES["failing"]


def scenario(**policy):
    made = scenarios.preset(
        "pricing_game",
        ticks=12,
        markets=2,
        participants=[
            {"name": "firm_1", "policy": {"kind": "failing", **policy}},
            {"name": "firm_2", "policy": {"kind": "fixed_price", "price": 1.7}},
        ],
    )
    Path("mine.yaml").write_text(scenarios.dump(made))
    return "mine.yaml"


@pytest.mark.parametrize("how", HOW)
def test_a_run_is_kept_alive_and_its_faults_are_the_first_line_of_all_that_is_told(how, capsys):
    assert run(["run", scenario(how=how), "--name", "one"]) == 0
    message = capsys.readouterr().out.splitlines()
    results = message[
        next(i for i, line in enumerate(message) if line.startswith("tick 12 of 12")) + 1 :
    ]
    line = f"FAULTS of firm_1: 14 of 24 decisions lost (14 {how}), first at tick 5: "
    assert results[0].startswith(line)
    if how in ("ValueError", "GeneratorExit"):
        assert f"({Path(__file__).name}:" in results[0]
    facts = json.loads(Path("runs/one/run.json").read_text())
    assert [f["decisions"] for f in facts["faults"]] == [14]
    page = Path("runs/one/report.html").read_text()
    first = page[page.index("<main>") : page.index("<header>")]
    assert line[:50] in first
    assert run(["verify", "one"]) == 0
    assert run(["compare", "one", "one"]) == 0
    compared = capsys.readouterr().out
    text = compared[compared.index("first: FAULTS") :].splitlines()
    assert text[0].startswith(f"first: {line}") and text[1].startswith(f"second: {line}")
    assert text[2].startswith("first   one:")


def test_a_run_without_faults_says_nothing_of_any(capsys):
    assert run(["run", "pricing_game", "--ticks", "5", "--name", "sound"]) == 0
    assert "FAULTS" not in capsys.readouterr().out
    assert "FAULTS" not in Path("runs/sound/report.html").read_text()
    assert runs.fault_lines(runs.read("sound").facts) == []


@pytest.mark.parametrize("how", HOW)
def test_the_same_run_over_actors_loses_the_same_decisions_and_has_the_same_hash(how, capsys):
    path = scenario(how=how)
    assert run(["run", path, "--name", "one", "--no-report"]) == 0
    assert run(["run", path, "--name", "two", "--backend", "actors"]) == 0
    text = capsys.readouterr().out.splitlines()
    line = next(line for line in reversed(text) if line.startswith("FAULTS"))
    assert line.startswith("FAULTS of firm_1: 14 of 24 decisions lost (14 ")
    assert escape(line) in Path("runs/two/report.html").read_text()
    one, two = (runs.read(name).facts for name in ("one", "two"))
    assert one["hash"] == two["hash"] and two["trouble"]["firm_1"]
    assert "refused" not in two["trouble"]["firm_1"]


@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_policy_that_cannot_begin_is_one_line_and_leaves_no_run(backend, capsys):
    line = refused(capsys, "run", scenario(start_too=True), "--backend", backend)
    assert "firm_1: its policy cannot start: RuntimeError: no data" in line
    assert not [*Path().glob("runs/*")] or backend == "actors"


@pytest.mark.parametrize("forged", ["less", "more", "another", "none"])
def test_verify_finds_faults_that_were_edited(forged, capsys):
    assert run(["run", scenario(), "--name", "one", "--no-report"]) == 0
    path = Path("runs/one/run.json")
    facts = json.loads(path.read_text())
    (fault,) = facts["faults"]
    facts["faults"] = {
        "less": [fault | {"decisions": 13}],
        "more": [fault, fault],
        "another": [fault | {"participant": "firm_2"}],
        "none": [],
    }[forged]
    path.write_bytes(sealed(facts))
    assert "faults are" in refused(capsys, "verify", "one")


def test_a_sweep_tells_faults_before_all_else_and_apart_from_other_notes():
    line = "FAULTS of firm_1: 3 of 4 decisions lost (3 KeyError), first at tick 1: KeyError"
    rows = [
        TrialResult({}, (line, "not converged")),
        TrialResult({}, (line,)),
        TrialResult({}, ("not converged",)),
    ]
    result = SimpleNamespace(done={i: SimpleNamespace(result=row) for i, row in enumerate(rows)})
    assert sweeping.fault_lines(result) == [f"{line} (2 trials)"]
    assert sweeping.notes(result) == {"not converged": 2}
    many = [TrialResult({}, (f"FAULTS of firm_{i}: all",)) for i in range(13)]
    result = SimpleNamespace(done={i: SimpleNamespace(result=row) for i, row in enumerate(many)})
    found = sweeping.fault_lines(result)
    assert len(found) == 11 and found[-1] == "FAULTS: 3 more such lines"
