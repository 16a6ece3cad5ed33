"""Dealers' quotes against the papers and against solutions that share no code with them."""

import numpy as np
import pytest
from scipy.linalg import expm

from mos_agents.market.quotes import TwoSided
from mos_agents.market.reference import Brownian, GeometricBrownian
from mos_agents.market.stages import ExecutionRule
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.rollout import rollout
from tests.policies.markets import dealers, seen, shop

SPEC = dealers(makers=1).specs[0]
WIDE = dealers(  # limits so wide that they do not bend the quotes
    makers=1, quotes=TwoSided(tick_size=0.0, size=1.0, max_spread=40.0, max_offset=40.0)
).specs[0]


def quotes(policy, inventory, spec=SPEC, **fields):
    """Distances of bid and ask from the mid, (delta_bid, delta_ask)."""
    observation = seen(spec, **{"reference": 100.0, "inventory": inventory, **fields})
    offset, spread = policy.act(spec, observation, policy.start(spec, 1), None)[0][0, 0]
    return spread / 2 - offset, spread / 2 + offset


def test_avellaneda_stoikov_quotes_as_in_the_paper():
    """gamma .1, sigma 2, T - t = 1/4, q = 3: risk .1; spread .1 + 20 ln(16/15); middle -.3."""
    policy = make("avellaneda_stoikov")
    bid, ask = quotes(policy, 3.0, clock=0.75)
    assert bid + ask == pytest.approx(0.1 + 20.0 * np.log(16 / 15))
    assert 0.5 * (ask - bid) == pytest.approx(-0.3)


def test_at_the_end_of_the_episode_inventory_no_longer_matters():
    policy = make("avellaneda_stoikov")
    assert quotes(policy, 50.0, clock=1.0) == pytest.approx((10 * np.log(16 / 15),) * 2)
    longer = make("avellaneda_stoikov", horizon=2.0)
    assert quotes(longer, 1.0, clock=1.0) == pytest.approx(quotes(policy, 1.0, clock=0.0))


def test_a_relative_volatility_is_turned_into_money_at_the_mid():
    relative = dealers(makers=1, price=GeometricBrownian(sigma=0.02)).specs[0]
    money = dealers(makers=1, price=Brownian(sigma=2.0)).specs[0]
    for kind in ("avellaneda_stoikov", "glft"):
        policy = make(kind)
        assert quotes(policy, 2.0, relative) == pytest.approx(quotes(policy, 2.0, money))
        twice = quotes(make(kind, sigma=4.0), 2.0, money)
        assert quotes(policy, 2.0, relative, reference=200.0) == pytest.approx(twice)


def test_inventories_of_assets_do_not_mix():
    spec = dealers(makers=1, assets=2).specs[0]
    policy = make("avellaneda_stoikov")
    observation = seen(spec, reference=100.0, inventory=(4.0, 0.0))
    action, _ = policy.act(spec, observation, None, None)
    assert action[0, :, 0] == pytest.approx([-1.6, 0.0])


def published(gamma, kind):
    """Profit, its sd, and sd of final inventory (Avellaneda and Stoikov 2008, tables 1 and 2)."""
    return {
        (0.1, "inventory"): (65.0, 6.6, 2.9),
        (0.1, "symmetric"): (68.4, 12.7, 8.4),
        (0.01, "inventory"): (68.6, 8.7, 5.1),
        (0.01, "symmetric"): (68.8, 12.8, 8.7),
    }[gamma, kind]


@pytest.mark.parametrize("gamma", [0.1, 0.01])
@pytest.mark.parametrize("kind", ["inventory", "symmetric"])
def test_the_table_of_the_paper_comes_out_within_its_sampling_error(gamma, kind):
    """The paper's figures are of 1000 paths: sd / sqrt(1000), and sd / sqrt(2000) for a sd."""
    market = dealers(makers=1)
    policy = make("avellaneda_stoikov", gamma=gamma)
    if kind == "symmetric":
        policy = make("fixed_spread", spread=2.0 * gamma + 2.0 / gamma * np.log1p(gamma / 1.5))
    run = rollout(market, {"maker_1": policy}, markets=4000)
    profit, inventory = run.reward[:, 0], run.final.positions.inventory[:, 0]
    mean, deviation, spread = published(gamma, kind)
    assert abs(profit.mean() - mean) < 3.5 * deviation * np.sqrt(1 / 1000 + 1 / 4000)
    assert abs(profit.std() - deviation) < 3.5 * deviation * np.sqrt(1 / 2000 + 1 / 8000)
    assert abs(inventory.std() - spread) < 3.5 * spread * np.sqrt(1 / 2000 + 1 / 8000) + 0.05


PAPER = {"gamma": 0.01, "sigma": 0.3, "kappa": 0.3, "rate": 0.9}  # the paper's own example


def by_matrix_exponential(gamma, sigma, kappa, rate, lots=40, horizon=4000.0):
    """Optimal bid distances far from the end, from v' = M v (their theorem 1): {q: delta_bid}."""
    alpha = 0.5 * kappa * gamma * sigma**2
    eta = rate * (1.0 + gamma / kappa) ** -(1.0 + kappa / gamma)
    held = np.arange(-lots, lots + 1)
    system = np.diag(alpha * held.astype(float) ** 2)
    system -= eta * (np.eye(held.size, k=1) + np.eye(held.size, k=-1))
    system -= np.eye(held.size) * np.linalg.eigvalsh(system)[0]  # only ratios of v matter
    v = expm(-system * horizon) @ np.ones(held.size)
    bids = np.log(v[:-1] / v[1:]) / kappa + np.log1p(gamma / kappa) / gamma
    return dict(zip(held[:-1].tolist(), bids.tolist(), strict=True))


def test_glft_quotes_are_those_of_the_matrix_exponential_far_from_the_end():
    policy = make("glft", **PAPER)
    exact = by_matrix_exponential(**PAPER)
    for held in range(-8, 9):
        bid, ask = quotes(policy, float(held), WIDE)
        assert bid == pytest.approx(exact[held], abs=0.01)
        assert ask == pytest.approx(exact[-held], abs=0.01)


def by_dynamic_programming(gamma, sigma, kappa, rate, lot, lots=15, step=0.1, steps=4000):
    """Bid distances from the Bellman equation itself: the best of many distances, no formula.

    theta is the certain worth of inventory q = n lot: per unit of time it loses gamma sigma^2 q^2/2
    and gains, by side, the best of rate exp(-kappa d) (1 - exp(-gamma (lot d + jump))) / gamma.
    """
    held = np.arange(-lots, lots + 1)
    distances = np.linspace(-2.0, 12.0, 561)
    hits = rate * np.exp(-kappa * distances) / gamma

    def gains(jump):
        return hits * (1.0 - np.exp(-gamma * (lot * distances + jump[:, None])))

    theta = np.zeros(held.size)
    for _ in range(steps):
        up = np.diff(theta)
        rise = -0.5 * gamma * (sigma * lot * held) ** 2
        rise[:-1] += gains(up).max(axis=1)
        rise[1:] += gains(-up).max(axis=1)
        theta = theta + step * rise
        theta -= theta[lots]
    best = distances[gains(np.diff(theta)).argmax(axis=1)]
    return dict(zip(held[:-1].tolist(), best.tolist(), strict=True))


def test_glft_quotes_solve_the_bellman_equation_for_orders_of_any_size():
    parameters = {"gamma": 0.01, "sigma": 0.15, "kappa": 0.6, "rate": 0.9}
    exact = by_dynamic_programming(**parameters, lot=3.0)
    policy = make("glft", **parameters, lot=3.0)
    for lots in range(-4, 5):
        bid, ask = quotes(policy, 3.0 * lots, WIDE)
        assert bid == pytest.approx(exact[lots], abs=0.04)
        assert ask == pytest.approx(exact[-lots], abs=0.04)


def test_glft_with_hardly_any_risk_aversion_quotes_the_most_profitable_distance():
    """As gamma goes to 0 the distance goes to 1 / kappa, and nothing overflows on the way."""
    for gamma in (1e-3, 1e-6, 1e-9):
        bid, ask = quotes(make("glft", gamma=gamma, kappa=2.0), 0.0)
        assert bid == pytest.approx(0.5, rel=0.05)
        assert ask == pytest.approx(0.5, rel=0.05)


def test_quotes_beyond_the_limits_are_brought_to_them():
    policy = make("avellaneda_stoikov", gamma=5.0)
    bid, ask = quotes(policy, 100.0)
    assert bid + ask == pytest.approx(5.0)  # the widest spread
    assert 0.5 * (ask - bid) == -5.0  # the largest offset


class Fills(ExecutionRule):
    """An execution of somebody's own, which has no kappa to tell."""

    choice = "within"

    def execute(self, market, state, quotes, arrivals, draws):
        raise NotImplementedError


@pytest.mark.parametrize("kind, missing", [("avellaneda_stoikov", "kappa"), ("glft", "kappa")])
def test_a_market_that_does_not_say_its_order_flow_is_told_to_the_maker(kind, missing):
    silent = dealers(makers=1).with_parts(execution=Fills())
    with pytest.raises(InputError, match=f"{kind}.{missing} is not given"):
        make(kind).start(silent.specs[0], 1)
    make(kind, kappa=1.5, **({"rate": 140.0} if kind == "glft" else {})).start(silent.specs[0], 1)


def test_sellers_have_no_spread_to_quote():
    with pytest.raises(InputError, match="actions are price"):
        make("fixed_spread").start(shop().specs[0], 1)
