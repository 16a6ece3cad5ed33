"""A seller's name with blanks or signs loses no training, and its files lie in their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from mos_agents import scenarios
from mos_agents.rollout import rollout
from mos_agents.training import TrainingPlan, train

pytestmark = pytest.mark.train
HEAD = "product,seller,cost,reference_price,quality,stock\n"


@pytest.mark.parametrize("seller", ["Big Co", 'a:b? "x"'])
def test_sellers_of_any_name_are_trained_and_kept(on_cluster, tmp_path: Path, seller: str) -> None:
    quoted = seller.replace('"', '""')
    (tmp_path / "goods.csv").write_text(
        HEAD + f'p,"{quoted}",5,10,0.5,100\np,b,5,10,0.5,100\np,The Other,5,10,0.5,100\n'
    )
    (tmp_path / "s.yaml").write_text(
        "name: h\nticks: 6\nparticipants: [{name: b, policy: {kind: cost_plus}}, {name: '*', "
        "policy: {kind: sarsa, prices: 5, features: own}}]\n"
        "catalogue: {kind: file, path: goods.csv}\n"
        "execution: {kind: sampled, demand: {kind: logit}}\narrivals: {kind: poisson, buy: 5}\n"
    )
    plan = TrainingPlan(scenarios.load(tmp_path / "s.yaml"), agents=(seller,), iterations=1)
    trained = train(plan, tmp_path / "runs", name="t")
    made = sorted(path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.npz"))
    assert set(made) == {"runs"}
    again = scenarios.load(trained.folder / "trained.yaml")
    assert again.market().layout.participants == ("b", seller, "The Other")
    rollout(again.market(), again.policies(), seed=0, ticks=3)
