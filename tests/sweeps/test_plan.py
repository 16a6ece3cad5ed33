"""Plans of sweeps: every cell is checked beforehand, and every wrong word is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mos_agents import scenarios
from mos_agents.market.types import InputError
from mos_agents.sweeps import PlayTrial, SessionsTrial, SweepPlan
from tests.sweeps.worlds import GAME, GRID, RETAIL, ScriptedTrial, plan


def test_grids_are_crossed_and_every_cell_meets_the_same_seeds() -> None:
    made = plan(seeds=2)
    assert [tuple(cell.values.values()) for cell in made.cells] == [
        (firms, sessions) for firms in (1, 2) for sessions in (5, 10, 20)
    ]
    assert [(t.cell, t.seed) for t in made.trials] == [(c, s) for c in range(6) for s in (0, 1)]
    assert [t.number for t in made.trials] == list(range(12))
    cell = made.cells[5]
    assert len(cell.scenario.policies()) == 3
    assert cell.scenario == scenarios.override(RETAIL, ["firms=2", "arrivals.sessions=20"])


def test_seeds_go_on_from_the_scenarios_own_unless_they_are_named() -> None:
    seeded = scenarios.override(RETAIL, ["seed=7"])
    assert plan(scenario=seeded).seeds == (7, 8, 9)
    assert plan(scenario=seeded, seeds=[4, 2]).seeds == (4, 2)


def test_values_are_yaml_whose_commas_inside_brackets_are_their_own() -> None:
    made = plan(["catalogue.cost=[1, 2],[3, 4]", "arrivals={kind: poisson, buy: 2.0},fixed_mass"])
    assert [axis.values for axis in made.grid] == [
        ([1, 2], [3, 4]),
        ({"kind": "poisson", "buy": 2.0}, "fixed_mass"),
    ]
    assert made.cells[0].scenario.arrivals.kind == "poisson"


def test_a_grid_may_go_over_the_settings_of_what_a_trial_does() -> None:
    made = plan(["play.burn_in=0,2", "firms=1"], spec=PlayTrial())
    assert [cell.spec for cell in made.cells] == [PlayTrial(burn_in=0), PlayTrial(burn_in=2)]


@pytest.mark.parametrize("spec", [PlayTrial(burn_in=2), SessionsTrial(4, window=500)])
def test_a_plan_comes_back_from_its_facts_through_json(spec: object) -> None:
    made = plan(["participants.firm.policy.alpha=0.1,0.2"], 2, spec, GAME)
    again = SweepPlan.from_facts(json.loads(json.dumps(made.facts)), 2.0, 0.5)
    assert again.identity == made.identity and again.facts == made.facts
    assert (again.cpus, again.gpus) == (2.0, 0.5)


@pytest.mark.parametrize(
    "other",
    [
        plan(seeds=4),
        plan(GRID[::-1]),
        plan(["firms=1,2", "arrivals.sessions=5,10,21"]),
        plan(spec=ScriptedTrial((1,))),
        plan(scenario=scenarios.override(RETAIL, ["ticks=7"])),
    ],
)
def test_whatever_changes_a_result_makes_it_another_sweep(other: SweepPlan) -> None:
    assert plan().identity == plan().identity != other.identity


ERRORS = [
    ([], {}, "grid: is missing"),
    (["firms"], {}, "grid 'firms' must be KEY=VALUE,VALUE"),
    (["=1,2"], {}, "must be KEY=VALUE,VALUE"),
    (["firms="], {}, "grid firms: has no values"),
    (["firms=[1"], {}, "grid firms: '[1': is not a list of YAML values"),
    (["firms=1,,2"], {}, "is not a list of YAML values"),
    (["firms=1,2,1"], {}, "grid firms: 1 is there twice"),
    (["firms=1,1.0"], {}, "firms=1.0 is the same market as firms=1; leave one out"),
    (["firms=1", "participants.firm.count=2"], {}, "participants.firm.count: is there twice"),
    (["firms=1,2", "participants.1.count=1,2"], {}, "is the same market as"),
    (["firms=1", "firms=2"], {}, "grid firms: is there twice"),
    (["seed=1,2"], {}, "seed is varied by the number of seeds"),
    (["arrivals.sesions=1"], {}, "did you mean 'sessions'?"),
    (["nothing=1"], {}, "'nothing' is not a key here"),
    (["firms=1,-1"], {}, "count=-1: input should be greater than or equal to 0"),
    (
        ["play.burn=1"],
        {"spec": PlayTrial()},
        "grid play.burn: 'burn' is not a key here; did you mean",
    ),
    (["play.burn_in=-1"], {"spec": PlayTrial()}, "grid play.burn_in: burn_in=-1 must be a whole"),
    (["play.burn_in=6"], {"spec": PlayTrial()}, "burn_in=6 must be below ticks=6"),
    (["ticks=10,2000"], {}, "grid ticks=2000: ticks=2000 must be <= 1000"),
    (["firms=1"], {"seeds": 0}, "seeds=0 must be in"),
    (["firms=1"], {"seeds": [1, 1]}, "seeds=[1, 1] must be a number >= 1, or distinct"),
    (["firms=1"], {"seeds": [-1]}, "seed=-1 must be a whole number >= 0"),
    (["firms=1,2"], {"seeds": 60_000}, "120,000 trials are more than 100,000"),
    (
        ["firms=1,2"],
        {"spec": SessionsTrial(3)},
        "platform: 'cost_plus' is not a kind of q_learning",
    ),
]


@pytest.mark.parametrize(("grid", "more", "message"), ERRORS, ids=lambda one: str(one)[:40])
def test_what_cannot_be_swept_is_one_line(grid: list[str], more: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError) as caught:
        plan(grid, **more)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sessions_that_would_never_end_are_refused() -> None:
    with pytest.raises(InputError, match=r"beta=0 explores for ever: set sessions\.periods"):
        plan(["participants.firm.policy.beta=0.0"], 2, SessionsTrial(3), GAME)
    plan(["participants.firm.policy.beta=0.0"], 2, SessionsTrial(3, periods=1000), GAME)


def test_files_that_cells_are_read_from_are_part_of_the_plan(tmp_path: Path) -> None:
    head = "product,seller,cost,reference_price,quality,stock\n"
    for name, cost in (("a", 1), ("b", 2)):
        (tmp_path / f"{name}.csv").write_text(f"{head}tea,firm,{cost},3,0,\n")
    scenario = scenarios.parse(
        f"{{name: shop, ticks: 3, participants: [{{name: '*'}}], catalogue: {{kind: file, path: "
        f"{tmp_path}/a.csv}}, execution: {{kind: expected, demand: {{kind: logit}}}}}}"
    )
    made = plan([f"catalogue.path={tmp_path}/a.csv,{tmp_path}/b.csv"], 1, PlayTrial(), scenario)
    before = made.identity
    assert sorted(made.inputs) == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    (tmp_path / "b.csv").write_text(f"{head}tea,firm,2,4,0,\n")
    assert (
        plan(
            [f"catalogue.path={tmp_path}/a.csv,{tmp_path}/b.csv"], 1, PlayTrial(), scenario
        ).identity
        != before
    )
