"""Trials that train deep learners: a row from an evaluation, the same wherever it is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from mos_agents import scenarios
from mos_agents.actors.ray import cluster as ray_cluster
from mos_agents.market.equilibrium import benchmarks
from mos_agents.market.types import InputError
from mos_agents.sweeps import SweepPlan, sweep
from mos_agents.sweeps.training import TrainingTrial
from mos_agents.sweeps.trials import trial_spec
from mos_agents.tasks import InProcess

pytestmark = [
    pytest.mark.train,
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("no_other_cluster"),
]

GAME = scenarios.override(scenarios.load("pricing_game"), ["ticks=16"])
SHORT = "algo=ppo iterations=2 markets=4 ticks=16 hidden=[8] evaluate_every=0 evaluation_markets=2"


def test_deep_training_is_swept_on_ray_and_gives_the_rows_of_one_process(tmp_path: Path) -> None:
    made = SweepPlan.of(GAME, ["train.lr=1e-3,1e-2"], 1, TrainingTrial.parsed(SHORT))
    with ray_cluster.cluster(cpus=2):
        far = sweep(made, tmp_path / "far")
        near = sweep(made, tmp_path / "near", InProcess())
    assert not far.failed and far.trials.equals(near.trials)
    row = far.table.row(0, named=True)
    theory = benchmarks(GAME.market())
    span = theory.pi_M.mean() - theory.pi_N.mean()
    assert row["profit_gain"] == pytest.approx((row["pnl"] - theory.pi_N.mean()) / span)
    assert row["steps"] == 2 * 4 * 16
    assert far.table["reward"].n_unique() == 2  # another learning rate, another outcome


def test_settings_of_a_training_are_parsed_nested_and_come_back() -> None:
    made = TrainingTrial.parsed("algo=dqn hidden=[8,8] stop.steps=1e4 hyper.tau=0.5")
    made = made.changed("hyper.double_q", False)
    assert made.plan == {
        "algo": "dqn",
        "hidden": [8, 8],
        "stop": {"steps": 1e4},
        "hyper": {"tau": 0.5, "double_q": False},
    }
    assert trial_spec("train", **made.settings()) == made


def test_a_training_with_workers_takes_a_core_for_each() -> None:
    bundles = TrainingTrial.parsed("workers=2").bundles(0.5, 0.0)
    assert bundles == [{"CPU": 0.5, "GPU": 0.0}, {"CPU": 1.0}, {"CPU": 1.0}]
    made = SweepPlan.of(GAME, ["train.workers=0,2"], 1, TrainingTrial.parsed("algo=ppo"), 0.5)
    assert made.bundles == bundles  # as in the cell that takes most


def test_a_training_that_is_to_take_a_gpu_is_refused_for_it_would_not_touch_it() -> None:
    with pytest.raises(InputError, match=r"gpus=0\.5: a training uses CPUs only; give gpus=0"):
        SweepPlan.of(GAME, ["train.lr=0.1,0.2"], 1, TrainingTrial.parsed("algo=ppo"), gpus=0.5)


ERRORS = [
    ("algo=ppoo", [], "algo='ppoo' must be one of ppo, dqn, sac, appo, did you mean 'ppo'?"),
    ("alg=ppo", [], "train alg: is not a key of a training; did you mean 'algo'?"),
    ("seed=3", [], "train seed: is not a key of a training"),
    ("hidden", [], "train 'hidden' must be KEY=VALUE"),
    ("hidden=[1", [], "the value is not YAML"),
    ("algo='ppo", [], "No closing quotation"),
    ("iterations=0", [], "iterations=0 must be a whole number >= 1"),
    ("hyper.clipparam=1", [], "hyper 'clipparam' is not a setting of PPOConfig; did you mean"),
    ("agents=[nobody]", [], "nobody"),
    (
        "other.firm_2=hold",
        [],
        "train other.firm_2: is not a key of a training; did you mean 'policies'?",
    ),
    ("policies.firm_2=hald", [], "kind='hald' is not a policy, did you mean 'hold'?"),
    ("algo=ppo", ["train.lrr=1e-3"], "grid train.lrr: is not a key of a training; did you mean"),
    ("algo=ppo", ["train.algo=ppo,dqn", "train.actions=continuous"], "dqn takes discrete actions"),
]


@pytest.mark.parametrize(("text", "grid", "message"), ERRORS, ids=lambda one: str(one)[:30])
def test_a_training_that_cannot_be_is_one_line_before_anything_runs(
    text: str, grid: list[str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        SweepPlan.of(GAME, grid or ["ticks=8,16"], 1, TrainingTrial.parsed(text))
    assert message in str(caught.value) and "\n" not in str(caught.value)
