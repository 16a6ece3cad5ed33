"""What grows with what: the work to begin a market, and the memory that it takes.

Work is counted, not timed: the steps that Python takes until after the first tick, and the most
bytes that are held at a time. MOS_TEST_WHOLE=1 prints a table with seconds up to 10,000.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import mos_agents
from mos_agents import scenarios
from mos_agents.market import memory as memory_
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.rollout import play, rollout
from tests.commands import refused

TEXT = """
name: many
participants: [{{name: a, count: {participants}, policy: {{kind: {policy}}}}}]
instruments: {products}
markets: {markets}
observations: {{show_rivals: {rivals}}}
execution: {{kind: expected, demand: {{kind: logit}}}}
catalogue: {{kind: same, cost: 1.0, reference_price: 2.0, stock: .inf}}
"""
USUAL: dict[str, Any] = {
    "participants": 3,
    "products": 2,
    "markets": 1,
    "rivals": "false",
    "policy": "cost_plus",
}


def begun(**sizes: Any) -> None:
    """From a scenario's text to its first tick."""
    scenario = scenarios.parse(TEXT.format(**USUAL | sizes))
    steps = play(scenario.market(), scenario.policies(), markets=scenario.markets, ticks=1)
    next(steps)


def steps_of_python(**sizes: Any) -> int:
    """Steps of the interpreter; what numpy and compiled loops do counts as one."""
    count = 0

    def inside(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return inside

    former = sys.gettrace()
    sys.settrace(inside)
    try:
        begun(**sizes)
    finally:
        sys.settrace(former)
    return count


def bytes_held(**sizes: Any) -> int:
    tracemalloc.start()
    try:
        begun(**sizes)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


GROWING = [
    ("participants", {}),
    ("participants", {"rivals": "true"}),
    ("participants", {"policy": "reactive", "rivals": "true", "products": 1}),
    ("products", {}),
    ("products", {"rivals": "true"}),
    ("markets", {}),
    ("markets", {"policy": "reactive", "rivals": "true"}),
]


@pytest.mark.parametrize(("what", "others"), GROWING, ids=str)
def test_the_work_to_begin_grows_no_faster_than_the_market(
    what: str, others: dict[str, Any]
) -> None:
    begun(**others)  # what is made once is not counted
    few, many = (steps_of_python(**others | {what: n}) for n in (60, 240))
    assert many < (1.05 if what == "markets" else 4.4) * few


@pytest.mark.parametrize(("what", "others"), GROWING, ids=str)
def test_the_memory_to_begin_grows_no_faster_than_what_is_seen(
    what: str, others: dict[str, Any]
) -> None:
    begun(**others)
    few, many = (bytes_held(**others | {what: n}) for n in (300, 1200))
    all_see_all = what == "participants" and others.get("rivals") == "true"
    assert many < (17.0 if all_see_all else 4.5) * few


@pytest.mark.skipif(not os.environ.get("MOS_TEST_WHOLE"), reason="minutes; MOS_TEST_WHOLE=1")
def test_a_table_of_what_grows_with_what() -> None:
    begun()
    for what, others in (("participants", {"products": 1}), ("products", {}), ("markets", {})):
        for n in (100, 1_000, 10_000):
            begin = time.perf_counter()
            begun(**others | {what: n})
            print(f"{what:<14}{n:>8,}{time.perf_counter() - begin:>8.2f} s")


# --- limits before any work ---------------------------------------------------------------------

ROSTER = "".join(f"- {{name: a{i}, count: 100000}}\n" for i in range(50))
EXPECTED = "execution: {kind: expected, demand: {kind: logit}}\n"
TOO_LARGE = {
    "a roster": f"name: m\nparticipants:\n{ROSTER}instruments: 1\n{EXPECTED}",
    "a roster of sellers": f"name: m\nparticipants:\n{ROSTER}catalogue: {{kind: file, "
    f'path: "builtin:autos_1990.csv"}}\n{EXPECTED}',
    "a roster of pages": "name: m\nparticipants:\n"
    + "".join(f"- {{name: a{i}, count: 100000}}\n" for i in range(9000))
    + f"instruments: 1\n{EXPECTED}",
    "participants of many products": "name: m\nparticipants: [{name: a, count: 100000}]\n"
    f"instruments: 200000\n{EXPECTED}",
    "products": f"name: m\nparticipants: [{{name: a}}]\ninstruments: 10000000\n{EXPECTED}",
    "nobody": f"name: m\nparticipants: [{{name: a, count: 0}}]\ninstruments: 9\n{EXPECTED}",
}


@pytest.mark.parametrize("text", TOO_LARGE.values(), ids=TOO_LARGE)
def test_limits_are_looked_at_before_anything_is_built(text: str) -> None:
    begin = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"participants|instruments") as caught:
            scenarios.parse(text).market()
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert held < 60_000_000
    assert time.process_time() - begin < 20.0  # of this process


def test_a_count_and_a_name_that_meet_are_still_told_apart() -> None:
    text = "name: m\nparticipants: [{name: a, count: 3}, {name: %s}]\ninstruments: 1\n" + EXPECTED
    with pytest.raises(InputError, match="'a_2' is there twice"):
        scenarios.parse(text % "a_2")
    for name in ("a_4", "a_02", "a_2_1"):
        assert scenarios.parse(text % name).market().layout.N == 4


# --- memory that is not there ---------------------------------------------------------------------


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 20 MB."""
    monkeypatch.setattr(memory_, "memory", lambda: 20_000_000)


MEMORY = r"80% of this machine's memory are 0\.0 GB; "


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("preset", ["retail", "market_making", "pricing_game", "auction"])
def test_more_markets_than_fit_are_refused_before_anything_is_made(preset: str) -> None:
    scenario = scenarios.load(preset)
    market, policies = scenario.market(), scenario.policies()
    tracemalloc.start()
    try:
        for many in (100_000, 1_000_000, 10**12):
            with pytest.raises(InputError, match=MEMORY + "play at most [0-9,]+ markets"):
                rollout(market, policies, markets=many)
            with pytest.raises(InputError, match=MEMORY + "play at most"):
                market.start(many)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    rollout(market, policies, markets=2, ticks=2)


@pytest.mark.usefixtures("little")
def test_observations_that_do_not_fit_are_refused_with_what_makes_them_smaller() -> None:
    scenario = scenarios.parse(TEXT.format(**USUAL | {"participants": 3000, "rivals": "true"}))
    with pytest.raises(InputError, match=r"observations\.show_rivals: false shows nobody"):
        scenario.market().specs  # noqa: B018
    seen = scenarios.override(
        scenario, ["observations.show_rivals=false", "participants.a.count=9"]
    )
    assert len(seen.market().specs) == 9


@pytest.mark.parametrize(
    ("participants", "products", "shown"),
    [(5_001, 1, "25,005,000"), (10_000, 1, "99,990,000"), (2_000, 7, "27,986,000")],
)
def test_more_offers_of_rivals_than_can_be_shown_in_time_are_refused_with_the_setting(
    participants: int, products: int, shown: str
) -> None:
    sizes = {"participants": participants, "products": products}
    market = scenarios.parse(TEXT.format(**USUAL | sizes | {"rivals": "true"})).market()
    refusal = f"see {shown} offers of rivals together.*set observations.show_rivals: false"
    for begin in (lambda: market.specs, market.start):
        with pytest.raises(InputError, match=refusal):
            begin()
    scenarios.parse(TEXT.format(**USUAL | sizes)).market().start()


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    "change",
    ["positions.lead_time=100000000", "observations.quote_delay=100000000", "instruments=60000"],
)
def test_a_single_market_that_does_not_fit_is_refused(change: str) -> None:
    market = scenarios.override(scenarios.load("retail"), [change]).market()
    if "instruments" not in change:
        with pytest.raises(InputError, match=f"; lower {change.partition('=')[0]}=1e"):
            market.start(1)
    with pytest.raises(InputError, match=MEMORY + "play with fewer participants"):
        market.start(1)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("backend", ["local", "actors"])
def test_a_run_that_does_not_fit_is_one_line_and_leaves_no_folder(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(
        capsys,
        "run",
        "retail",
        "--markets",
        "1000000",
        "--out",
        str(tmp_path),
        "--backend",
        backend,
    )
    assert "play at most" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("little")
def test_environments_that_do_not_fit_are_refused() -> None:
    from envs import batched, retail_v0

    with pytest.raises(InputError, match="play at most"):
        batched.BatchedMarket("retail", markets=1_000_000).reset(seed=0)
    with pytest.raises(InputError, match="play with fewer"):
        retail_v0.parallel_env(products=50_000).reset(seed=0)


@pytest.mark.usefixtures("little")
def test_orders_count_too() -> None:
    busy = mos_agents.market_making(arrivals__mu=200_000.0, dt=1.0, makers=1, assets=1)
    with pytest.raises(InputError, match="or arrivals"):
        busy.start(1)
    calm = busy.with_parts(dt=0.001)
    calm.start(1)


def test_the_estimate_is_near_what_is_held() -> None:
    for preset, many in (("retail", 4000), ("market_making", 4000), ("pricing_game", 20_000)):
        scenario = scenarios.load(preset)
        market, policies = scenario.market(), scenario.policies()
        if preset == "pricing_game":
            policies = dict.fromkeys(policies, make("fixed_price", price=1.7))
        rollout(market, policies, markets=2, ticks=2)
        tracemalloc.start()
        rollout(market, policies, markets=many, ticks=2)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.3 < many * memory_.played_bytes(market) / held < 3.0, (preset, held / many)


def test_observations_are_copied_in_the_same_runs_as_one_by_one() -> None:
    from mos_agents.market.fields import plan

    for preset in ("retail", "market_making", "autos_1990"):
        market = scenarios.load(preset).market()
        fields = [one for spec in market.specs for one in spec.fields]
        runs: list[list[int]] = []
        column = 0
        for one in fields:
            for number, index in enumerate(one.index.tolist()):
                if number and index == runs[-1][1] + runs[-1][2]:
                    runs[-1][2] += 1
                else:
                    runs.append([one.source, index, 1, column])
                column += 1
        assert np.array_equal(plan(fields), runs)
    assert plan([]).shape == (0, 4)
