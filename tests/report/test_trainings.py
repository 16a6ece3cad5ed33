"""The page of a training: what it shows and warns of; and every command knows a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.cli import run
from mos_agents.lab import training_page
from mos_agents.report.trainings import pictures
from mos_agents.rollout import play
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.folder import Metrics, create, read_training, seal
from mos_agents.training.plan import TrainingPlan
from tests.commands import refused

pytestmark = pytest.mark.usefixtures("here")


def record(iteration: int, **more: Any) -> dict[str, Any]:
    """An iteration in which firm_1 earns ever more and firm_2 nothing."""
    return {
        "iteration": iteration,
        "steps": 64 * iteration,
        "seconds": 0.5 * iteration,
        "reward": iteration / 200,
        "reward/firm_1": iteration / 100,
        "reward/firm_2": 0.0,
        "firm_1/entropy": 1 / iteration,
        "firm_2/entropy": 1.0,
        "firm_1/mean_kl_loss": 0.0,
        **more,
    }


def evaluation(first: float, second: float) -> dict[str, float]:
    return {
        "evaluation": 0.5 * (first + second),
        "evaluation/firm_1": first,
        "evaluation/firm_2": second,
    }


def trained(records: list[dict[str, Any]], ended: str | None = "iterations", **plan: Any) -> Path:
    """A folder as `mos train` leaves it, without the networks."""
    made = TrainingPlan(**{"scenario": "pricing_game", "iterations": 3, **plan})
    folder = create(made, "runs", "it", {})
    metrics = Metrics(folder, 0)
    for one in records:
        metrics.add(one)
    metrics.close()
    if ended is not None:
        facts = read_training(folder).facts
        seal(folder, facts, finished=facts["started"], iterations=len(records), ended=ended)
    return folder


THREE = [record(1), record(2, **evaluation(0.75, 0.25)), record(3, **evaluation(0.5, 0.375))]


def words_of(folder: Path) -> list[str]:
    """The words of the page, without its drawings."""
    text = training_page.write(read_training(folder)).read_text()
    text = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", text, flags=re.DOTALL)
    return [" ".join(part.split()) for part in re.split(r"<[^>]*>", text) if part.strip()]


def test_mos_report_writes_the_learning_curves_and_what_everybody_came_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = trained(THREE, algo="dqn")
    assert run(["report", "it"]) == 0
    assert capsys.readouterr().out == "report  runs/it/report.html\n"
    text = (folder / "report.html").read_text()
    assert re.findall(r'<figure class="\w+" id="([\w-]+)">', text) == ["rewards", "figure-entropy"]
    words = words_of(folder)
    at = words.index("firm_1", words.index("at iteration"))
    assert words[at : at + 16] == [
        "firm_1",
        "firm_1",
        "–",
        "0.01",
        "0.03",
        "0.5",
        "0.75",
        "2",
        "firm_2",
        "firm_2",
        "–",
        "0",
        "0",
        "0.375",
        "0.375",
        "3",
    ]
    for word in ("dqn, discrete", "3 of 3", "192", "1.5", "pricing_game"):
        assert word in words


def test_a_line_and_its_evaluations_are_drawn_at_what_was_earned() -> None:
    drawn = pictures(THREE, ["firm_1", "firm_2"], ["firm_1", "firm_2"])[0]
    assert [label for label, _, _ in drawn.legend] == ["firm_1", "firm_2", "evaluation"]
    heights = {
        "dasharray" in style: [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", d)]
        for d, style in re.findall(r'<path d="(M[^"]*)"([^>]*stroke: #0072b2[^>]*)', drawn.svg)
    }
    first, *_, last = heights[False]  # from a hundredth to three
    unit = (last - first) / 0.02
    assert unit < 0.0
    evaluated = [(y - first) / unit + 0.01 for y in heights[True]]
    assert evaluated == pytest.approx([0.75, 0.5], abs=0.01)
    without = pictures(THREE[:1], ["firm_1", "firm_2"], ["firm_1"])[0]
    assert [label for label, _, _ in without.legend] == ["firm_1", "firm_2"]


def test_long_trainings_are_drawn_as_moving_means() -> None:
    (drawn, *_) = pictures([record(i) for i in range(1, 201)], ["firm_1", "firm_2"], ["firm_1"])
    assert "a moving mean over 4 iterations" in drawn.caption


def test_a_training_that_was_cut_off_says_so_and_how_it_goes_on() -> None:
    words = words_of(trained(THREE[:2], ended=None))
    assert (
        "This training has not ended: of 3 iterations the page shows its first 2 iterations. "
        "To go on: mos train --resume it" in words
    )
    assert "2 of 3" in words


def test_a_training_of_which_nothing_is_there_yet_has_a_page_too() -> None:
    words = words_of(trained([], ended=None))
    assert any("of 3 iterations the page shows none." in word for word in words)
    assert "at iteration" not in words


NOTES = [
    ({"ended": "reward"}, "It ended early, by stop=reward."),
    ({"records": THREE[:1]}, "No evaluation was made: rewards are those of learners who explore."),
    (
        {"workers": 2, "records": [record(1, workers=2), record(2, workers=1)]},
        "In 1 iteration fewer than 2 workers were there.",
    ),
    (
        {"records": [*THREE[:2], {**THREE[2], "faults/firm_2": 1200}]},
        "FAULTS of firm_2: 1,200 decisions lost",
    ),
    ({"algo": "appo"}, "The same seed may train otherwise another time: with algo=appo."),
]


@pytest.mark.parametrize(("how", "note"), NOTES, ids=lambda one: str(one)[:30])
def test_what_one_should_know_of_a_training_is_told_and_nothing_else(
    how: dict[str, Any], note: str
) -> None:
    assert note in words_of(trained(**{"records": THREE, **how}))


def test_a_plain_training_has_no_notes() -> None:
    text = training_page.write(read_training(trained(THREE))).read_text()
    assert 'class="note"' not in text


def test_the_page_asks_for_nothing_from_outside_and_escapes_every_word() -> None:
    bad = "<script>alert(1)</script>"
    scenario = scenarios.override(scenarios.load("pricing_game"), [f"description={bad!r}"])
    text = training_page.write(read_training(trained(THREE, scenario=scenario))).read_text()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "http://" not in text and "https://" not in text


def test_mos_report_writes_the_page_of_a_sweep_anew() -> None:
    order = "sweep retail --ticks 3 --grid firms=1,2 --seeds 2 --backend local --name it".split()
    assert run(order) == 0
    page = Path("runs/it/report.html")
    before = page.read_bytes()
    page.unlink()
    assert run(["report", "it"]) == 0
    assert page.read_bytes() == before


OTHERS = [
    ("compare it it", "training", "run"),
    ("verify it", "training", "run"),
    ("run --resume it", "training", "run"),
    ("sweep --resume it", "training", "sweep"),
    ("compare it it", "sweep", "run"),
    ("verify runs/it", "sweep", "run"),
    ("run --resume it", "sweep", "run"),
    ("train --resume it", "sweep", "training"),
    ("exploit it", "sweep", "training"),
    ("train --resume it", "run", "training"),
    ("sweep --resume it", "run", "sweep"),
]


@pytest.mark.parametrize(("command", "kind", "wanted"), OTHERS)
def test_a_command_that_takes_no_such_folder_says_what_it_is_and_which_do(
    command: str, kind: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs/it")
    folder.mkdir(parents=True)
    (folder / f"{kind}.json").write_text("{}")
    line = refused(capsys, *command.split())
    assert f"runs/it: is the folder of a {kind}, not of a {wanted}; mos report" in line
    assert line.endswith("--resume runs/it goes on with it\n")


def test_the_page_says_who_learns_in_place_of_what_the_scenario_describes() -> None:
    words = words_of(trained(THREE, algo="dqn"))
    assert any(w.startswith("firm_1 and firm_2 learn with DQN, in place of") for w in words)
    assert "others play" not in words


def test_the_page_says_what_those_play_who_do_not_learn() -> None:
    records = [{k: v for k, v in one.items() if "firm_2" not in k} for one in THREE]
    words = words_of(trained(records, agents=["firm_1"]))
    assert any(word.startswith("firm_1 learns with PPO") for word in words)
    assert words[words.index("others play") + 1] == "what the scenario says"


def test_the_command_that_plays_what_was_learnt_names_a_file_from_where_one_is() -> None:
    folder = trained(THREE)
    words = words_of(folder)
    command = words[words.index("to play what was learnt") + 1]
    assert command == f"mos run {folder.relative_to(Path.cwd())}/trained.yaml"


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "5",
        "[1, 2]",
        '{"steps": 1, "seconds": 1}',
        '{"iteration": 4, "seconds": 1}',
        '{"iteration": "4", "steps": 1, "seconds": 1}',
        "[" * 100_000,
        '{"iteration": 4, "steps": 1, "seconds": 1, "reward/firm_1": "much"}',
        '{"iteration": 4, "steps": 1, "seconds": 1, "reward/firm_1": NaN}',
        f'{{"iteration": 1{"0" * 400}, "steps": 1, "seconds": 1}}',
    ],
    ids=lambda line: line[:60],
)
def test_a_line_that_is_no_iterations_figures_is_told_in_one_line(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained(THREE)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert "metrics.jsonl: damaged: a line is n" in refused(capsys, "report", "it")
    assert not (folder / "report.html").exists()


def test_a_folder_that_lacks_a_part_is_told_as_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = trained(THREE)
    (folder / "checkpoints").rmdir()
    assert "its folder of checkpoints is gone" in refused(capsys, "report", "it")
    assert not (folder / "report.html").exists()


def test_a_learner_is_shown_beside_what_its_own_policy_earns_in_the_evaluations_markets() -> None:
    shop = scenarios.preset("retail", firms=1, products=2, ticks=20)
    records = [{"iteration": 1, "steps": 64, "seconds": 1.0, "reward/platform": 40.0}]
    folder = trained(records, scenario=shop, agents=("platform",), evaluation_markets=3)
    assignment = TrainingAssignment.of(read_training(folder).plan)
    steps = play(shop.market(), shop.policies(), seed=assignment.seed("evaluation"), markets=3)
    earned = np.mean([step.reward[:, 0] for step in steps])
    words = words_of(folder)
    at = words.index("platform", words.index("at iteration"))
    assert words[at + 2] == f"{earned:.4g}"
    text = (folder / "report.html").read_text()
    assert "Dotted: its own policy in the scenario" in text and "stroke-dasharray" in text
