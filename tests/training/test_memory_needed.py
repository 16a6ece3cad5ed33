"""A training that does not fit in memory is refused beforehand, with what would fit."""

import re

import pytest

from mos_agents.market.types import InputError
from mos_agents.training import check, requirements
from mos_agents.training.assignment import TrainingAssignment
from tests.training.worlds import small

GB = 10**9


@pytest.mark.parametrize("algo", ["ppo", "dqn", "sac"])
@pytest.mark.parametrize("changes", [{}, {"workers": 3}, {"ticks": 640}])
def test_as_many_markets_as_are_told_fit_and_one_more_does_not(algo, changes, monkeypatch):
    monkeypatch.setattr(requirements, "memory", lambda: 4 * GB)
    with pytest.raises(InputError, match="markets=100000000: a training in so many") as error:
        check(small(algo=algo, markets=10**8, **changes))
    fit = int(re.search(r"at most ([\d,]+) markets", str(error.value))[1].replace(",", ""))
    check(small(algo=algo, markets=fit, **changes))
    with pytest.raises(InputError, match=f"at most {fit:,} markets"):
        check(small(algo=algo, markets=fit + 1, **changes))


def test_workers_elsewhere_are_not_counted_here(monkeypatch):
    monkeypatch.setattr(requirements, "memory", lambda: 4 * GB)
    assignment = TrainingAssignment.of(small(workers=4))
    each = 4 * requirements.fragment_bytes(assignment)
    markets = int(0.79 * 4 * GB / each)
    assignment = TrainingAssignment.of(small(workers=4, markets=markets, evaluate_every=0))
    requirements.check_memory(assignment)
    with pytest.raises(InputError, match=f"markets={markets}"):
        requirements.check_memory(assignment, workers=True)


def test_evaluation_markets_count_too(monkeypatch):
    monkeypatch.setattr(requirements, "memory", lambda: 4 * GB)
    with pytest.raises(InputError, match="train with fewer evaluation_markets"):
        check(small(evaluate_every=1, evaluation_markets=10**8))
    check(small(evaluate_every=0, evaluation_markets=10**8))
