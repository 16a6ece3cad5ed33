"""What makers know of the risk of the mid price, process by process."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mos_agents import scenarios
from mos_agents.cli import run as mos
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.reference import (
    Brownian,
    Constant,
    Fundamentals,
    GeometricBrownian,
    JumpDiffusion,
    OrnsteinUhlenbeck,
    Replay,
    Shock,
    UniformDraw,
)
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError
from mos_agents.market.venues.build import venue_market
from mos_agents.market.venues.venue import Venue
from mos_agents.policies import make
from mos_agents.rollout import rollout
from tests.policies.markets import dealers

TICKS, DT = 1000, 0.005
LEANING = ("avellaneda_stoikov", "glft")


def recorded(sigmas=(0.02,), rows=TICKS + 1, dt=DT, start=100.0, seed=0):
    """Rows of geometric Brownian motions with volatilities per square root of time."""
    normals = np.random.default_rng(seed).standard_normal((rows - 1, len(sigmas)))
    steps = np.array(sigmas) * np.sqrt(dt) * normals
    return start * np.exp(np.concatenate([np.zeros((1, len(sigmas))), steps.cumsum(axis=0)]))


def replayed(path, assets=1, ticks=TICKS, **given):
    return dealers(makers=1, assets=assets, ticks=ticks, price=Replay(path, **given))


@pytest.mark.parametrize(
    ("price", "sigma", "relative"),
    [
        (GeometricBrownian(sigma=0.03), 0.03, True),
        (Brownian(sigma=1.5), 1.5, False),
        (OrnsteinUhlenbeck(sigma=0.2), 0.2, True),
        (JumpDiffusion(sigma=0.03, rate=4.0, jump_mean=0.0, jump_sd=0.02), 0.05, True),
        (JumpDiffusion(sigma=0.0, rate=1.0, jump_mean=-0.3, jump_sd=0.4), 0.5, True),
        (Constant(), 0.0, True),
        (UniformDraw(90.0, 110.0), 0.0, True),
        (Shock(at=5), 0.0, True),
    ],
)
def test_a_spec_holds_the_volatility_of_the_price_process(price, sigma, relative):
    spec = dealers(makers=1, assets=2, price=price).specs[0]
    assert spec.sigma == pytest.approx([sigma, sigma])
    assert spec.sigma_relative.tolist() == [relative, relative]


def test_the_volatility_told_of_jump_diffusion_is_that_of_its_paths():
    """Variance of the log price after one unit of time, over markets."""
    price = JumpDiffusion(sigma=0.1, rate=3.0, jump_mean=-0.05, jump_sd=0.1)
    market = dealers(makers=1, ticks=200, price=price)
    run = rollout(market, {"maker_1": make("fixed_spread")}, markets=4000)
    logs = np.log(run.final.reference[:, 0] / 100.0)
    assert logs.std() == pytest.approx(market.specs[0].sigma[0], rel=0.05)


def test_each_replayed_series_has_its_own_volatility():
    sigmas = (0.01, 0.02, 0.2)
    spec = replayed(recorded(sigmas), assets=3).specs[0]
    assert spec.sigma == pytest.approx(sigmas, rel=0.1)  # 1000 returns: 2.2% standard error
    assert spec.sigma_relative.all()


@given(scale=st.floats(1e-3, 1e6), dt=st.floats(1e-3, 10.0))
def test_the_unit_of_money_is_nothing_and_the_unit_of_time_is_its_root(scale, dt):
    path = recorded(rows=50)
    found = Replay(scale * path).volatility(dt, 49)
    assert found == pytest.approx(Replay(path).volatility(1.0, 49) / np.sqrt(dt))


def test_one_series_for_all_assets_gives_each_the_same_volatility():
    spec = replayed(recorded(), assets=3).specs[0]
    assert (spec.sigma == spec.sigma[0]).all() and spec.sigma[0] > 0.0


def test_only_rows_that_the_episode_plays_are_looked_at():
    path = recorded(rows=101)
    wild = np.concatenate([path, recorded((0.5,), rows=500, start=path[-1, 0], seed=1)])
    short = replayed(path, ticks=100).specs[0]
    assert replayed(wild, ticks=100).specs[0].sigma == pytest.approx(short.sigma)
    assert replayed(wild, ticks=400).specs[0].sigma[0] > 5.0 * short.sigma[0]


def test_rows_held_after_the_path_is_over_do_not_calm_it():
    path = recorded(rows=101)
    held = replayed(path, ticks=5000, hold=True).specs[0]
    assert held.sigma == pytest.approx(replayed(path, ticks=100).specs[0].sigma)


def test_sigma_rows_keeps_the_future_out_of_the_estimate():
    calm = recorded((0.01,), rows=201)
    storm = recorded((0.3,), rows=801, start=calm[-1, 0], seed=2)[1:]
    spec = replayed(np.concatenate([calm, storm]), sigma_rows=201).specs[0]
    assert spec.sigma == pytest.approx(Replay(calm).volatility(DT, 200))
    assert spec.sigma[0] == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("rows", [1, 2, 11, -3, 2.5, True])
def test_sigma_rows_beyond_the_path_or_too_few_are_refused(rows):
    with pytest.raises(InputError, match=r"sigma_rows=.* from 3 to the 10 rows of the path"):
        Replay(recorded(rows=10), sigma_rows=rows)


def test_a_trend_without_noise_is_no_risk():
    assert Replay(100.0 * 1.001 ** np.arange(50.0)).volatility(DT, 49).tolist() == [0.0]


NO_RISK = {
    "constant": Constant(),
    "uniform_draw": UniformDraw(90.0, 110.0),
    "shock": Shock(at=5),
    "brownian of sigma 0": Brownian(sigma=0.0),
    "geometric of sigma 0": GeometricBrownian(sigma=0.0),
    "replay that stands still": Replay(np.full(TICKS + 1, 100.0)),
    "replay of a trend": Replay(100.0 + 0.0 * np.arange(TICKS + 1)),
    "replay of two rows": Replay(np.array([100.0, 101.0]), hold=True),
}


@pytest.mark.parametrize("price", NO_RISK.values(), ids=NO_RISK)
@pytest.mark.parametrize("kind", LEANING)
def test_a_maker_whose_formula_needs_sigma_refuses_a_price_that_has_none(kind, price):
    market = dealers(makers=1, ticks=TICKS, price=price)
    with pytest.raises(InputError) as found:
        rollout(market, {"maker_1": make(kind)})
    assert f"maker_1: {kind}.sigma is not given" in str(found.value)
    assert "set sigma, in money per square root of time" in str(found.value)
    assert "\n" not in str(found.value)
    for sigma in (2.0, 0.0):
        rollout(market, {"maker_1": make(kind, sigma=sigma)}, ticks=3)


def test_one_asset_without_risk_among_others_is_refused():
    path = recorded((0.02, 0.02))
    path[:, 1] = 50.0
    with pytest.raises(InputError, match="a mid price here has no volatility"):
        rollout(replayed(path, assets=2), {"maker_1": make("glft")})


def inventory_sd(market, kind, **given):
    run = rollout(market, {"maker_1": make(kind, **given)}, markets=200)
    return run.final.positions.inventory[:, 0].std()


@pytest.mark.parametrize("kind", LEANING)
def test_a_maker_leans_on_a_replayed_price_as_on_the_process_behind_it(kind):
    """Without the estimate it held as much as a fixed spread: 8 units; with it, 3."""
    ticks = 200
    replay = replayed(recorded(rows=ticks + 1), ticks=ticks)
    leaning = inventory_sd(replay, kind)
    found = inventory_sd(replay, kind, sigma=2.0)
    fixed = inventory_sd(replay, "fixed_spread", spread=1.33)
    assert leaning == pytest.approx(found, rel=0.15)
    assert leaning < 0.5 * fixed


def test_inventory_on_a_replayed_price_is_risk_in_the_objective():
    market = replayed(recorded(rows=21), ticks=20)
    run = rollout(market, {"maker_1": make("fixed_spread", spread=0.1)})
    assert run.metric("inventory_risk").sum() > 0.0


def test_makers_of_venues_with_other_processes_see_each_ones_volatility():
    base = dealers(makers=1, assets=2)
    prices = {"a0": Brownian(sigma=1.5), "a1": Replay(recorded())}
    venues = [
        Venue(
            name,
            (name,),
            base.layout.participants,
            quotes=base.quotes,
            arrivals=base.arrivals,
            execution=base.execution,
            reference=Fundamentals(price),
        )
        for name, price in prices.items()
    ]
    market = venue_market(
        base.layout.participants,
        base.layout.roles,
        venues,
        lambda layout: Catalogue(*(np.full(layout.L, v) for v in (0.0, 100.0, 0.0, 0.0))),
        positions=base.positions,
        dt=DT,
        horizon=TICKS,
    )
    spec = market.specs[0]
    assert spec.sigma == pytest.approx([1.5, 0.02], rel=0.1)
    assert spec.sigma_relative.tolist() == [False, True]


@pytest.fixture
def replay_file(tmp_path):
    rows = "\n".join(f"{value:.6f}" for value in recorded(rows=101)[:, 0])
    (tmp_path / "mids.csv").write_text("mid\n" + rows + "\n")
    changes = [
        "ticks=100",
        "instruments=1",
        "instruments=1",
        "reference.price.kind=replay",
        f"reference.price.path={tmp_path}/mids.csv",
    ]
    loaded = scenarios.override(scenarios.load("market_making"), changes)
    (tmp_path / "replay.yaml").write_text(scenarios.dump(loaded))
    return tmp_path / "replay.yaml"


def test_check_and_run_say_that_volatility_is_estimated_and_knows_the_future(
    replay_file, tmp_path, capsys
):
    for command in (
        ["check", str(replay_file)],
        ["run", str(replay_file), "--no-report", "--out", str(tmp_path / "runs")],
    ):
        assert mos(command) == 0
        found = capsys.readouterr().out
        assert "volatility of the replayed price, estimated from its first 101 rows" in found
        assert "know these rows beforehand" in found


def test_a_market_that_estimates_nothing_says_nothing(capsys, tmp_path):
    assert mos(["run", "market_making", "--ticks", "3", "--no-report", "--out", str(tmp_path)]) == 0
    assert "estimated" not in capsys.readouterr().out


def test_the_mean_of_a_jump_diffusion_grows_as_its_description_says():
    """E S(t) = S(0) exp((mu + rate (exp(jump_mean + jump_sd^2 / 2) - 1)) t)."""
    price = JumpDiffusion(mu=0.05, sigma=0.1, rate=3.0, jump_mean=0.04, jump_sd=0.1)
    levels = np.ones((40_000, 1))
    for tick in range(10):
        draws = Streams.of(0, len(levels)).at(tick)
        levels = price.step(levels, np.ones(1), tick, 0.1, draws, "price")
    error = levels.std() / np.sqrt(len(levels))
    expected = np.exp(0.05 + 3.0 * (np.exp(0.04 + 0.005) - 1.0))
    assert levels.mean() == pytest.approx(expected, abs=4.0 * error)
    assert abs(levels.mean() - np.exp(0.05)) > 20.0 * error
