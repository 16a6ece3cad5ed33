"""`mos train` from the command line: errors in one line, and a training that survives a kill."""

import importlib.util
import json
import signal

import pytest

from mos_agents import training
from mos_agents.cli import run
from mos_agents.runs import RunError
from mos_agents.training import TrainingPlan, requirements
from mos_agents.training import folder as folders
from tests.commands import refused, stopped

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give a scenario, or --resume RUN"),
        ("retail --resume x", "and not both"),
        ("nowhere", "neither a preset"),
        ("retail --algo dqn --actions continuous", "dqn takes discrete actions only"),
        ("retail --algo sac --actions discrete", "sac takes continuous actions only"),
        ("retail --algo dqn", "10 listings"),
        ("retail --policies shared --agents platform,firm_1", "cannot share one"),
        ("retail --policies mine", "must be one of independent, shared, by-role"),
        ("retail --agents firm_9", "'firm_9' is not a participant"),
        ("retail --other firm_1", "--other 'firm_1' must be KEY=VALUE"),
        ("retail --other firm_1=unheard", "'unheard' is not a policy"),
        ("retail --other firm_1=3", "must be a kind"),
        ("retail --stop reward", "--stop 'reward' must be WHAT=NUMBER"),
        ("retail --stop day=1", "must be one of steps, reward, seconds"),
        ("retail --band 1", "--band '1' must be two numbers"),
        ("retail --hidden 64,a", "--hidden '64,a' must be whole numbers, such as 64,64"),
        ("retail --lr 0", "lr=0.0 must be a number"),
        ("retail --address h:1", "--address is for clusters: add --backend ray"),
        ("retail --insecure", "--insecure is for clusters"),
        ("retail --backend slurm", "must be 'local' or 'ray'"),
        ("--resume gone", "run 'gone' is not in runs"),
        ("--resume gone --policies shared", "--policies: a training that is resumed keeps what"),
        ("--resume gone --other firm_1=hold", "--other: a training that is resumed keeps what"),
    ],
)
def test_an_error_is_one_line(arguments, message, capsys):
    assert message in refused(capsys, "train", *arguments.split())


def test_without_the_extra_the_remedy_is_told(capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )
    line = refused(capsys, "train", "auction")
    assert "make train-env" in line and 'pip install "mos-agents[train]"' in line


def test_a_run_that_is_no_training_is_not_resumed(capsys):
    assert run(["run", "auction", "--ticks", "3", "--no-report", "--name", "it"]) == 0
    assert "is the folder of a run, not of a training" in refused(capsys, "train", "--resume", "it")


GAME = (
    "pricing_game --agents firm_1 --other firm_2=hold --horizon 50 --markets 4 --ticks 32 "
    "--iterations 12 --evaluate-every 0 --checkpoint-every 2"
).split()


@pytest.mark.train
def test_a_training_killed_goes_on_to_the_bits_of_an_undisturbed_one(here, capsys):
    fourth = here / "runs/it/checkpoints/000000004.npz"
    stopped(signal.SIGKILL, fourth.exists, "train", *GAME, "--name", "it")
    lines = (here / "runs/it/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines][:4] == [1, 2, 3, 4]
    assert run(["train", "--resume", "it"]) == 0, capsys.readouterr().err
    assert run(["train", *GAME, "--name", "other"]) == 0, capsys.readouterr().err
    one, two = (
        (here / f"runs/{name}/policies/firm_1.npz").read_bytes() for name in ("it", "other")
    )
    assert one == two
    assert run(["run", "runs/it/trained.yaml", "--ticks", "5", "--no-report"]) == 0
    assert "finished already" in refused(capsys, "train", "--resume", "it")


@pytest.mark.train
def test_a_training_resumed_on_fewer_cores_than_workers_lets_them_share(
    here, capsys, monkeypatch, no_other_cluster
):
    from mos_agents.actors.ray import cluster as ray_cluster
    from mos_agents.training import trainer
    from mos_agents.training.assignment import TrainingAssignment
    from mos_agents.training.normaliser import to_arrays, unchanged
    from tests.training.worlds import small

    for module in (ray_cluster, trainer):
        monkeypatch.setattr(module, "own_cores", lambda: 1)
    assert "take fewer" in refused(capsys, "train", *GAME, "--workers", "2")
    plan = small(workers=2)
    folder = folders.create(plan, "runs", "it", to_arrays(unchanged(TrainingAssignment.of(plan))))
    assert run(["train", "--resume", "it"]) == 0, capsys.readouterr().err
    assert [record["workers"] for record in folders.records(folder)] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../up", "run name '../up' must be 1 to 100 of the characters"),
        ("it", "run it is already in runs: nothing is overwritten; give another"),
    ],
)
def test_a_name_that_cannot_be_is_told_before_anything_is_started(
    name, message, here, capsys, monkeypatch
):
    (here / "runs" / "it").mkdir(parents=True)
    for module, verb in (
        (requirements, "check_packages"),
        (training, "check"),
        (training, "train"),
    ):
        monkeypatch.setattr(module, verb, lambda *_: pytest.fail("something was started"))
    assert message in refused(capsys, "train", *GAME, "--name", name)


@pytest.mark.train
def test_a_name_that_is_taken_is_told_before_the_calibration_run(here, monkeypatch):
    from mos_agents.training import trainer

    (here / "it").mkdir()
    monkeypatch.setattr(
        trainer, "calibrate", lambda assignment: pytest.fail("the calibration run was played")
    )
    with pytest.raises(RunError, match="run it is already in "):
        training.train(TrainingPlan("pricing_game"), here, name="it")


@pytest.mark.train
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_interrupted_tells_how_to_go_on(here, number):
    second = here / "runs/it/checkpoints/000000002.npz"
    order = ["train", *GAME, "--name", "it", "--iterations", "100000"]
    err = stopped(number, second.exists, *order)
    assert "mos train --resume runs/it goes on" in err and err.count("\n") == 1


def test_a_finished_training_is_not_gone_on_with_and_nothing_is_started_for_it(
    here, capsys, monkeypatch
):
    folder = folders.create(TrainingPlan("pricing_game"), "runs", "it", {})
    facts = folders.read_training(folder).facts
    folders.seal(folder, facts, finished=facts["started"], iterations=3, ended="steps")
    monkeypatch.setattr(
        requirements, "check_packages", lambda: pytest.fail("something was started")
    )
    err = refused(capsys, "train", "--resume", "it")
    assert "finished already; --iterations N trains on beyond 3" in err
    err = refused(capsys, "train", "--resume", "it", "--iterations", "9")
    assert "has no checkpoint left to train on from" in err
