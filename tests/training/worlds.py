"""Markets small enough to be trained in within a test."""

from mos_agents import scenarios
from mos_agents.training import TrainingPlan

NASH = 1.4729266646604

DEALER = """
name: one_dealer
ticks: 200
dt: 0.005
participants: [{name: maker_1, role: maker, policy: {kind: avellaneda_stoikov, gamma: 0.1}}]
instruments: 1
catalogue: {kind: same, reference_price: 100.0, stock: 0.0}
quotes:
  {kind: two_sided, tick_size: 0.0, size: 1.0, min_spread: 0.01, max_spread: 4.0, max_offset: 2.0}
arrivals: {kind: fixed_mass, buy: 1.0, sell: 1.0}
execution: {kind: fill_intensity, kappa: 1.5, scale: 0.7, volatility_boost: 0.0}
positions: {short: true, mark: reference}
reference: {price: {kind: brownian, sigma: 2.0}}
rewards: {weights: {pnl: 1.0, inventory_risk: -0.0005}}
"""
"""Avellaneda and Stoikov's market (2008, section 3.3). A maker with constant absolute risk aversion
of 0.1 loses 0.1 / 2 x (sigma q)^2 per unit of time to risk: 0.0005 of `inventory_risk` a tick."""


def game(ticks=50, **changes):
    """The market of Calvano et al. in short episodes."""
    return scenarios.preset("pricing_game", ticks=ticks, **changes)


def small(algo="ppo", **changes):
    """One learning seller against one that holds its price; seconds an iteration."""
    given = {
        "scenario": game(),
        "algo": algo,
        "agents": ("firm_1",),
        "policies": {"firm_2": {"kind": "hold"}},
        "markets": 4,
        "ticks": 32,
        "iterations": 4,
        "evaluate_every": 0,
        "evaluation_markets": 2,
        "checkpoint_every": 2,
        "levels": 5,
    }
    return TrainingPlan(**{**given, **changes})
