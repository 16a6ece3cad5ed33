"""What a prompt shows of a value: a line or two, however much it holds; `print` gives a table."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mos_agents
from mos_agents import scenarios
from mos_agents.analysis import Benchmarks, Deviation, SessionPaths, episodes, limit_cycle, survival
from mos_agents.games import GreedyGame, RepeatedGame, play_sessions
from mos_agents.market.equilibrium import benchmarks
from mos_agents.market.printing import brief, is_record, short_repr
from mos_agents.policies import make
from mos_agents.rollout import compare_policies, log_decisions, rollout, transitions
from mos_agents.scenarios import load

LONGEST = 2_000


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """One of everything that a user is handed."""
    market = mos_agents.retail(firms=2, products=10)
    policies: dict[str, Any] = {
        "platform": make("cost_plus"),
        "firm_1": make("reactive"),
        "firm_2": make("hold"),
    }
    found: dict[str, Any] = {f"market {name}": load(name).market() for name in scenarios.presets()}
    found |= {f"scenario {name}": load(name) for name in scenarios.presets()}
    transition = next(iter(transitions(market, policies, markets=100)))
    every = ("ask", "sold", "reward", "metrics")
    found["rollout"] = rollout(market, policies, ticks=20, markets=60, series=every)
    found |= {
        "transition": transition,
        "state": transition.before,
        "step": transition.step,
        "info": transition.step.info,
    }
    found |= {
        f"field {name}": getattr(transition.step.info, name)
        for name in transition.step.info._fields[:4]
    }
    found |= {"spec": market.specs[0], "layout": market.layout, "catalogue": market.catalogue}
    found["comparison"] = compare_policies(
        market,
        {"a": make("hold"), "b": make("cost_plus")},
        participant="platform",
        others={k: v for k, v in policies.items() if k != "platform"},
        ticks=5,
        markets=30,
    )
    explorer = {**policies, "platform": make("epsilon_greedy", policy=make("hold"), levels=5)}
    found["decisions"] = log_decisions(
        market, explorer, "platform", targets={"b": make("hold")}, ticks=5, markets=40
    )
    game = load("pricing_game")
    found["benchmarks"] = benchmarks(game.market())
    repeated = RepeatedGame.of(game.market(), game.policies())
    played = play_sessions(repeated, seed=0, sessions=20, periods=2_000)
    found |= {"game": repeated, "stage": repeated.stage, "played": played}
    found |= {
        "frozen": GreedyGame(repeated, played),
        "cycles": GreedyGame(repeated, played).cycles(),
    }
    learner = next(iter(game.policies().values()))
    found["memory"] = learner.start(game.market().specs[0], 30)
    rng = np.random.default_rng(0)
    prices = 1.0 + rng.random((500, 30, 2))
    theory = Benchmarks(np.full(2, 1.0), np.full(2, 2.0), np.full(2, 0.1), np.full(2, 0.3))
    found |= {"theory": theory, "sessions": SessionPaths(prices, theory)}
    found["wars"] = episodes(prices, np.full(2, 1.0), np.full(2, 2.0))
    found["limit cycle"] = limit_cycle(rng.integers(0, 3, (30, 200)))
    found["deviation"] = Deviation(prices, prices, prices, prices, 4, 0)
    found["survival"] = survival(rng.random(900) + 0.1, rng.random(900) > 0.3)
    return found


def test_the_repr_of_every_result_is_short_and_names_its_type(results: dict[str, Any]) -> None:
    assert len(results) > 30
    for name, value in results.items():
        text = repr(value)
        assert len(text) < LONGEST, (name, len(text))
        assert text.startswith(type(value).__name__), name
        assert "\n" not in text


def test_a_repr_does_not_grow_with_the_markets_played() -> None:
    market = mos_agents.retail(firms=1, products=2)
    policies = {"platform": make("hold"), "firm_1": make("hold")}
    few, many = (rollout(market, policies, ticks=2, markets=m, series=["ask"]) for m in (20, 900))
    assert abs(len(repr(few)) - len(repr(many))) < 20


def test_print_of_a_rollout_is_a_table(results: dict[str, Any]) -> None:
    lines = str(results["rollout"]).splitlines()
    assert lines[0] == "retail: 60 markets, 20 ticks, seed 0"
    assert lines[1].split()[:4] == ["participant", "reward", "a", "tick"]
    assert [line.split()[0] for line in lines[2:5]] == ["platform", "firm_1", "firm_2"]


def test_print_of_a_comparison_is_a_table(results: dict[str, Any]) -> None:
    lines = str(results["comparison"]).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["candidate", "a", "b"]


def test_print_of_benchmarks_and_of_sessions_says_what_they_are(results: dict[str, Any]) -> None:
    lines = str(results["benchmarks"]).splitlines()
    assert lines[0].split() == ["listing", "Bertrand-Nash", "price", "joint-profit", "price"]
    assert lines[1].split() == ["0", "1.47293", "1.92498"]
    assert lines[-1].startswith("all profits together, a tick: 0.4458")
    assert str(results["played"]).startswith("20 sessions of 2 players: 0 converged; 2,000 periods")
    many = str(benchmarks(load("autos_1990").market())).splitlines()
    assert len(many) == 23 and many[-2] == "and 111 more listings: p_N and p_M hold all"


def test_the_fields_of_a_state_can_still_be_printed_in_full(results: dict[str, Any]) -> None:
    assert repr(results["state"].cost).startswith("array([[")


# --- the rule -------------------------------------------------------------------------------------

INSIDE = {
    "mos_agents.actors",
    "mos_agents.cli",
    "mos_agents.lab",
    "mos_agents.report",
    "mos_agents.runs.tables",
}
"""Where what passes is nobody's result."""


def needs_the_extra(module: str) -> bool:
    """Whether a module is there for training only."""
    return "training" in module or module.endswith(".tuning")


def records() -> list[type]:
    """Every dataclass and named tuple of the package that can hold arrays."""
    found = []
    for module in pkgutil.walk_packages(mos_agents.__path__, "mos_agents."):
        if any(module.name.startswith(one) for one in INSIDE) or needs_the_extra(module.name):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name and is_record(value):
                found.append(value)
    return found


def holds_arrays(record: type) -> bool:
    shown = (
        {f.name for f in dataclasses.fields(record) if f.repr}
        if (dataclasses.is_dataclass(record))
        else set(record._fields)
    )  # type: ignore[attr-defined]
    hints = inspect.get_annotations(record)
    return any(name in shown and "Array" in str(hint) for name, hint in hints.items())


def test_every_record_that_holds_arrays_is_brief() -> None:
    holders = [record for record in records() if holds_arrays(record)]
    assert len(holders) > 40
    assert [r.__qualname__ for r in holders if r.__repr__ is not brief] == []


@short_repr
class ForeignPair(NamedTuple):
    """A record of a stranger's."""

    name: Any
    inner: Any


values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text()
    | st.integers()
    | st.builds(np.zeros, st.tuples(st.integers(0, 40), st.integers(0, 40))),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.builds(ForeignPair, inner, inner)
    ),
    max_leaves=40,
)


@given(values, values)
def test_whatever_a_record_holds_its_repr_is_short(one: Any, two: Any) -> None:
    assert len(repr(ForeignPair(one, two))) < 200


def test_short_arrays_are_written_out_and_long_ones_are_told_by_their_shape() -> None:
    assert (
        repr(ForeignPair(np.arange(3), np.arange(7.0)))
        == "ForeignPair(name=[0, 1, 2], inner=float64[7])"
    )
    assert (
        repr(ForeignPair(np.empty((2, 0)), True)) == "ForeignPair(name=float64[2, 0], inner=True)"
    )


def test_fields_that_are_hidden_stay_hidden() -> None:
    @short_repr
    @dataclasses.dataclass
    class Secret:
        shown: int
        hidden: int = dataclasses.field(default=7, repr=False)

    assert repr(Secret(1)) == "Secret(shown=1)"
    assert get_type_hints(Secret)["hidden"] is int
