"""The one pass that closes a tick and the stages one by one come to the same, to the bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mos_agents.market import settlement
from mos_agents.market import tick as tick_
from mos_agents.market.observations import MarketView
from mos_agents.market.positions import Ledger
from mos_agents.market.rewards import Objective
from mos_agents.market.schedules import RandomMoves
from mos_agents.market.settlement import settle, settle_by_stages, settle_in_one_pass
from mos_agents.market.streams import Streams
from mos_agents.market.tick import tick
from mos_agents.testing.playing import play, random_actions
from mos_agents.testing.promises import bits
from tests.market.worlds import KINDS, makers, retail

NOISY = {"schedule": RandomMoves(0.7), "observations": MarketView(quote_delay=2, quote_noise=0.05)}
WEIGHED = Objective({"pnl": 1.0, "volatility": -0.1}, {"firm_1": {"revenue": 0.3}})
DEAR = Ledger(
    base_stock=1.0,
    lead_time=2,
    holding_cost=0.01,
    shortage_cost=0.3,
    fee=0.16,
    unit_fee=-0.02,
    payer="seller",
)
WORLDS = {
    **{kind: make() for kind, make in KINDS.items()},
    **{f"{kind}, noisy": make(**NOISY) for kind, make in KINDS.items() if kind != "auction"},
    "every charge": retail(positions=DEAR, rewards=WEIGHED),
    "marked at the mid": makers(3, 2, positions=Ledger(short=True, limit=9.0, mark="reference")),
}


@pytest.mark.parametrize("world", WORLDS)
def test_one_pass_and_the_stages_one_by_one_close_a_tick_alike(world, monkeypatch):
    compared = []

    def both(*given):
        by_stages, in_one_pass = settle_by_stages(*given), settle_in_one_pass(*given)
        assert bits(by_stages) == bits(in_one_pass)
        compared.append(by_stages.reward)
        return by_stages

    monkeypatch.setattr(tick_, "settle", both)
    list(play(WORLDS[world], 8, 5))
    assert len(compared) == 8 and any(reward.any() for reward in compared)


def called(market, batch, monkeypatch):
    """Which of the two ways settled a tick."""
    found = []
    for way in (settle_by_stages, settle_in_one_pass):

        def noted(*given, way=way):
            found.append(way)
            return way(*given)

        monkeypatch.setattr(settlement, way.__name__, noted)
    actions = random_actions(market, np.random.default_rng(0), batch)
    tick(market, market.start(batch), actions, Streams.of(0, batch).at(0))
    return found


@dataclass(frozen=True)
class OwnLedger(Ledger):
    """Somebody's own: it must be asked."""


def test_few_markets_are_closed_in_one_pass_and_many_by_stages(monkeypatch):
    assert called(retail(), settlement.FEW, monkeypatch) == [settle_in_one_pass]
    monkeypatch.undo()
    assert called(retail(), settlement.FEW + 1, monkeypatch) == [settle_by_stages]


def test_a_ledger_of_somebodys_own_is_always_asked(monkeypatch):
    assert called(retail(positions=OwnLedger()), 1, monkeypatch) == [settle_by_stages]


@pytest.mark.parametrize("way", [settle_by_stages, settle_in_one_pass])
def test_executions_may_be_columns_of_a_larger_table(way, monkeypatch):
    """A stage of one's own may hand over what numpy made, in whatever order it lies in memory."""
    plain = retail(positions=DEAR)

    def turned(market, state, arrivals, executions, *rest):
        other = type(executions)(*(np.asfortranarray(a) for a in executions.arrays))
        assert not other.sold.flags.c_contiguous
        return way(market, state, arrivals, other, *rest)

    straight = [bits(step.state) for _, step in play(plain, 4, 3)]
    monkeypatch.setattr(tick_, "settle", turned)
    assert [bits(step.state) for _, step in play(plain, 4, 3)] == straight


def test_close_is_what_tick_calls():
    assert tick_.settle is settle
