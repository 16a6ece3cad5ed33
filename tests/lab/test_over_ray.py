"""The functions of the lab that need Ray: typed results, callbacks, and going on after Ctrl-C."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from mos_agents import lab

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("here")]
SHORT: dict[str, Any] = {"ticks": 60, "markets": 2, "changes": {"instruments": 2}}


@pytest.mark.usefixtures("no_other_cluster")
def test_a_run_on_ray_has_the_hash_of_the_local_one_and_reports_its_health() -> None:
    seen: list[lab.WorkProgress] = []
    lines: list[str] = []
    far = lab.run(
        "retail",
        **SHORT,
        backend="ray",
        shards=2,
        workers=1,
        report=False,
        on_progress=seen.append,
        on_message=lines.append,
    )
    assert isinstance(far, lab.RunResult) and far.report is None
    assert [(at.part, at.done, at.total) for at in seen] == [("ticks", n, 60) for n in range(1, 61)]
    health = seen[-1].health
    assert health is not None and not health.shard_restarts
    assert set(health.seconds) == {"platform", "firm_1", "firm_2"}
    assert "Ray: starting a local cluster" in lines
    assert far.run.facts["actors"]["backend"] == "ray"
    near = lab.run("retail", **SHORT, report=False)
    assert far.hash == near.hash and far.run.listings().equals(near.run.listings())


def test_a_run_on_ray_that_ctrl_c_stopped_is_resumed_in_the_same_process(two_nodes: Any) -> None:
    def press(at: lab.WorkProgress) -> None:
        if at.done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(
        lab.Interrupted, match=r"lab\.resume\('runs/retail-s0-001'\) goes on"
    ) as stop:
        lab.run(
            "retail",
            **SHORT,
            backend="ray",
            address=two_nodes.address,
            report=False,
            on_progress=press,
        )
    assert stop.value.folder is not None and "--" not in str(stop.value)
    finished = lab.resume(stop.value.folder, address=two_nodes.address, report=False)
    assert finished.hash == lab.run("retail", **SHORT, report=False).hash


def test_a_sweep_on_ray_has_the_rows_of_a_local_one(two_nodes: Any) -> None:
    settings: dict[str, Any] = {"seeds": 2, "ticks": 2, "report": False}
    seen: list[tuple[int, int]] = []
    far = lab.sweep(
        "retail",
        {"firms": [1, 2]},
        **settings,
        address=two_nodes.address,
        on_progress=lambda progress, plan: seen.append((progress.done, len(plan.trials))),
    )
    near = lab.sweep("retail", {"firms": [1, 2]}, **settings, backend="local")
    assert isinstance(far, lab.SweepRun) and seen[-1] == (4, 4)
    assert far.result.trials.equals(near.result.trials)


GAME: dict[str, Any] = {
    "agents": ("firm_1",),
    "policies": {"firm_2": {"kind": "hold"}},
    "horizon": 50,
    "markets": 4,
    "ticks": 32,
    "evaluate_every": 0,
    "evaluation_markets": 2,
    "checkpoint_every": 2,
}


@pytest.mark.train
@pytest.mark.usefixtures("no_other_cluster")
class TestTraining:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        pytest.importorskip("torch")

    def test_a_training_gives_its_policies_and_goes_on_after_ctrl_c(self) -> None:
        seen: list[tuple[int, int]] = []
        lines: list[str] = []

        def press(record: Any, total: int) -> None:
            seen.append((record["iteration"], total))
            if record["iteration"] == 2:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(
            lab.Interrupted, match=r"stopped after iteration 2; lab\.resume"
        ) as stop:
            lab.train(
                "pricing_game",
                **GAME,
                iterations=3,
                name="mine",
                on_progress=press,
                on_message=lines.append,
            )
        assert seen == [(1, 3), (2, 3)]
        assert lines[0].startswith("pricing_game: ppo, ")
        trained = lab.resume("mine", on_progress=lambda record, total: None)
        whole = lab.train("pricing_game", **GAME, iterations=3)
        assert type(trained) is type(whole) and trained.ended == "iterations"
        assert set(trained.policies) == {"firm_1"} and trained.folder == stop.value.folder
        assert [one["reward"] for one in trained.history] == [
            one["reward"] for one in whole.history
        ]
        assert lab.check("runs/mine").kind == "training" and lab.report("mine").is_file()

    def test_exploit_measures_the_gain_at_each_place(self) -> None:
        seen: list[tuple[str, int]] = []
        gains: list[str] = []
        found = lab.exploit(
            "pricing_game",
            participants=["firm_1"],
            changes={"ticks": 50, "participants.firm.policy": "hold"},
            markets=2,
            seeds=1,
            iterations=2,
            train_markets=4,
            ticks=32,
            on_progress=lambda name, record, total: seen.append((name, record["iteration"])),
            on_gain=lambda gain: gains.append(gain.participant),
        )
        assert isinstance(found, lab.ExploitResult)
        assert seen == [("firm_1", 1), ("firm_1", 2)] and gains == ["firm_1"]
        assert [one.participant for one in found.exploitability.gains] == ["firm_1"]
        assert "NashConv" in str(found)
