"""Whole trainings: the same bits, also after an interruption; what comes out plays everywhere."""

import numpy as np
import pytest

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")

from mos_agents import scenarios  # noqa: E402
from mos_agents.learners.network_files import to_bytes  # noqa: E402
from mos_agents.learners.trained import quoted  # noqa: E402
from mos_agents.market.types import InputError  # noqa: E402
from mos_agents.rollout import play  # noqa: E402
from mos_agents.runs import RunError  # noqa: E402
from mos_agents.training import evaluation, read_training, resume, train, trainer  # noqa: E402
from mos_agents.training import folder as folders  # noqa: E402
from mos_agents.training.assignment import TrainingAssignment  # noqa: E402
from mos_agents.training.normaliser import calibrate  # noqa: E402
from mos_agents.training.session import TrainingSession  # noqa: E402
from mos_agents.trees import named  # noqa: E402
from tests.training.worlds import game, small  # noqa: E402

LEARNS_TOO = {"firm_2": {"kind": "q_learning", "prices": 5, "alpha": 0.3}}


def bits(trained):
    return {name: to_bytes(network) for name, network in trained.networks.items()}


def tables(trained):
    """The memories of those who learn by themselves."""
    return {
        f"{name}.{path}": array.tobytes()
        for name, memory in trained.memories.items()
        for path, array in named(memory)
    }


def figures(record):
    """What a record says, but for how long it took."""
    return {k: v for k, v in record.items() if not k.startswith("seconds")}


IN_TURN = {"scenario": game(schedule={"kind": "alternating"})}


@pytest.mark.parametrize(
    ("algo", "changes"),
    [("ppo", {}), ("dqn", {}), ("sac", {}), ("ppo", IN_TURN), ("sac", IN_TURN)],
    ids=["ppo", "dqn", "sac", "ppo in turn", "sac in turn"],
)
def test_a_training_cut_off_and_resumed_ends_with_the_bits_of_an_undisturbed_one(
    algo, changes, on_cluster, tmp_path
):
    plan = small(algo, policies=LEARNS_TOO, iterations=5, evaluate_every=5, **changes)
    whole = train(plan)
    cut = train(plan, tmp_path, on_progress=lambda record: record["iteration"] == 3)
    assert cut.ended == "asked" and not read_training(cut.folder).finished
    assert folders.checkpoints(cut.folder) == [2, 3]
    # As if it had been killed in the third iteration.
    folders.checkpoint_path(cut.folder, 3).unlink()
    rest = resume(cut.folder)
    assert bits(rest) == bits(whole) != bits(cut)
    assert tables(rest) == tables(whole) != tables(cut)
    assert [figures(r) for r in rest.history] == [figures(r) for r in whole.history]
    assert read_training(cut.folder).finished
    with pytest.raises(RunError, match="finished already"):
        resume(cut.folder)


def test_another_seed_gives_other_bits(on_cluster):
    assert bits(train(small(iterations=1))) != bits(train(small(iterations=1, seed=1)))


CASES = {
    "ppo numbers": small(),
    "ppo levels": small(actions="discrete"),
    "dqn": small("dqn"),
    "sac": small("sac"),
    "appo": small("appo", activation="relu", hidden=(16, 8, 4)),
    "one layer": small(hidden=(8,), activation="linear", normalise="none"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_network_that_comes_out_gives_the_outputs_of_the_module(case, on_cluster):
    plan = CASES[case]
    assignment = TrainingAssignment.of(plan)
    session = TrainingSession(assignment, calibrate(assignment))
    try:
        session.once()
        network = session.networks()["firm_1"]
        runner, normaliser = session.algorithm.env_runner, session.normalisers["firm_1"]
        runner.module.set_state(session.learner.module.get_state(inference_only=True))
        batch = assignment.markets("evaluation", 40)
        batch.reset()
        rng = np.random.default_rng(0)
        actions = rng.integers(5, size=(40, 1)) if plan.discrete else rng.uniform(1, 2, (40, 1, 1))
        observation = batch.step(actions)[0]
        theirs = runner.forward("firm_1", normaliser.seen(observation))
        ours = network.forward(observation)
        best = session.algorithm.env_runner.choosers()["firm_1"].best(theirs)
    finally:
        session.close()
    if plan.algo == "dqn":  # values up to a constant
        ours, theirs = (x - x.mean(axis=1, keepdims=True) for x in (ours, theirs))
    if not plan.discrete:
        placed = assignment.policies[0].placed(best)
        assert quoted(network.head, ours[:, :1]) == pytest.approx(placed, rel=1e-5, abs=1e-6)
        theirs = theirs[:, : ours.shape[1]]
    else:
        assert np.array_equal(ours.argmax(axis=1), best)
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_what_was_trained_plays_from_its_folder(on_cluster, tmp_path):
    trained = train(small(iterations=2), tmp_path)
    scenario = scenarios.load(trained.folder / "trained.yaml")
    assert scenario.policies()["firm_1"].kind == "network"
    steps = [
        list(play(scenario.market(), policies, seed=3, ticks=5))[-1].observation
        for policies in (
            scenario.policies(),
            {**scenario.policies(), **trained.policies},
        )
    ]
    assert np.array_equal(*steps)
    names = {entry.name for entry in trained.folder.iterdir()}
    assert {"metrics.jsonl", "training.json", "normalisers.npz", "tensorboard", "policies"} <= names
    assert any((trained.folder / "tensorboard").iterdir())


def test_evaluations_are_what_a_rollout_of_the_trained_policies_earns(on_cluster):
    trained = train(small(iterations=2, evaluate_every=2))
    plan, assignment = trained.assignment.plan, trained.assignment
    policies = {**plan.scenario.policies(), "firm_2": {"kind": "hold"}, **trained.policies}
    steps = play(assignment.playing, policies, seed=assignment.seed("evaluation"), markets=2)
    mean = np.mean([step.reward[:, 0].mean() for step in steps])
    assert trained.history[-1]["evaluation/firm_1"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("stop", "message"),
    [({"steps": 200}, "steps"), ({"reward": -1e9}, "reward"), ({"seconds": 1e-6}, "seconds")],
)
def test_a_stop_ends_a_training_early(stop, message, on_cluster):
    trained = train(small(iterations=9, stop=stop))
    assert trained.ended == message and len(trained.history) < 9


def test_tensorboard_shows_the_figures_of_the_metrics_file_also_after_an_interruption(
    on_cluster, tmp_path
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan = small(iterations=4, evaluate_every=2)
    cut = train(plan, tmp_path, on_progress=lambda record: record["iteration"] == 3)
    folders.checkpoint_path(cut.folder, 3).unlink()  # as if it had been killed in the third
    resume(cut.folder)
    board = EventAccumulator(str(cut.folder / "tensorboard"), {"scalars": 0}).Reload()
    wanted = {}
    for record in read_training(cut.folder).metrics():
        for name, value in record.items():
            if name != "iteration":
                wanted.setdefault(name, []).append((record["iteration"], value))
    assert set(board.Tags()["scalars"]) == set(wanted) > {"reward/firm_1", "evaluation", "seconds"}
    for name, points in wanted.items():
        shown = [(event.step, event.value) for event in board.Scalars(name)]
        assert [step for step, _ in shown] == [step for step, _ in points], name
        assert [v for _, v in shown] == pytest.approx([v for _, v in points], rel=1e-6), name


@pytest.mark.parametrize("message", ["iterations", "steps", "seconds", "reward", "asked"])
def test_a_training_ends_with_an_evaluation_however_it_ends_and_plays_it_once(
    message, on_cluster, tmp_path, monkeypatch
):
    played = []

    def counted(*arguments):
        played.append(len(seen))
        return evaluation.evaluated(*arguments)

    seen = []

    def tell(record):
        seen.append(record["iteration"])
        return message == "asked" and len(seen) == 3

    monkeypatch.setattr(trainer, "evaluated", counted)
    stop = {"steps": {"steps": 300}, "seconds": {"seconds": 1e-6}, "reward": {"reward": -1e9}}
    most = 3 if message == "iterations" else 5
    plan = small(iterations=most, evaluate_every=2, stop=stop.get(message, {}))
    trained = train(plan, tmp_path, on_progress=tell)
    last = {"iterations": 3, "steps": 3, "seconds": 1, "reward": 2, "asked": 3}[message]
    assert trained.ended == message and trained.history[-1]["iteration"] == last
    assert "evaluation/firm_1" in trained.history[-1]
    assert len(played) == sum("evaluation" in record for record in trained.history)
    assert len(played) == (2 if last == 3 else 1)
    assert read_training(trained.folder).metrics() == trained.history


@pytest.mark.parametrize("stop", [{"steps": 256}, {"reward": -1e9}])
def test_a_stop_that_was_reached_before_a_kill_is_not_trained_beyond(
    stop, on_cluster, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise SystemExit

    plan = small(evaluate_every=2, stop=stop)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(folders, "seal", killed)
        train(plan, tmp_path, name="it")
    trained = resume(tmp_path / "it")
    assert trained.ended == next(iter(stop)) and trained.history[-1]["iteration"] == 2
    assert read_training(trained.folder).facts["ended"] == trained.ended


def test_an_evaluation_made_because_somebody_asked_to_end_stops_nothing(on_cluster, tmp_path):
    plan = small(iterations=3, evaluate_every=2, stop={"reward": -1e9})
    asked = train(plan, tmp_path, on_progress=lambda record: True)
    assert "evaluation" in asked.history[-1]
    assert [r["iteration"] for r in resume(asked.folder).history] == [1, 2]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(on_cluster, tmp_path):
    trained = train(small(iterations=4), tmp_path, on_progress=lambda r: r["iteration"] == 4)
    path = folders.checkpoint_path(trained.folder, 4)
    path.write_bytes(path.read_bytes()[:-7] + b"1234567")
    rest = resume(trained.folder)
    assert bits(rest) == bits(trained)


def test_a_checkpoint_of_another_plan_is_refused_in_one_line(on_cluster, tmp_path):
    one = train(small(iterations=2), tmp_path, name="one", on_progress=lambda r: True)
    two = train(small(iterations=2, hidden=(7,)), tmp_path, name="two", on_progress=lambda r: True)
    source, target = (folders.checkpoint_path(t.folder, 1) for t in (one, two))
    folders.write_with_digest(target, source.read_bytes())
    with pytest.raises(InputError, match="checkpoint of another plan or version") as caught:
        resume(two.folder)
    assert "\n" not in str(caught.value)


def test_a_finished_training_goes_on_to_more_iterations(on_cluster, tmp_path):
    trained = train(small(iterations=1), tmp_path)
    more = resume(trained.folder, iterations=3)
    assert [r["iteration"] for r in more.history] == [1, 2, 3]
    assert read_training(trained.folder).plan.iterations == 3


def test_a_training_that_trains_on_has_not_ended_until_it_has(on_cluster, tmp_path):
    trained = train(small(iterations=1), tmp_path)
    resume(trained.folder, iterations=4, on_progress=lambda record: record["iteration"] == 2)
    run = read_training(trained.folder)
    assert not run.finished and run.plan.iterations == 4 and run.facts["ended"] is None
    for few in (1, 2):
        with pytest.raises(RunError, match="has 2 iterations already"):
            resume(trained.folder, iterations=few)
    assert [r["iteration"] for r in resume(trained.folder).history] == [1, 2, 3, 4]
    run = read_training(trained.folder)
    assert run.finished and run.facts["iterations"] == 4
