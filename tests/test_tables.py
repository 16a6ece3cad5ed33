"""What is written of every tick: the compiled averages and digests beside their references."""

from functools import lru_cache

import numpy as np
import pytest

from mos_agents import scenarios
from mos_agents.market.metrics import METRICS
from mos_agents.rollout import play
from mos_agents.runs.hashing import TrajectoryHash
from mos_agents.runs.tables import AGGREGATE_VALUES, LISTING_VALUES, aggregate, row

MASK = 2**64 - 1


@lru_cache
def played(preset, markets):
    """A market, its opening state and three steps."""
    scenario = scenarios.load(preset)
    market = scenario.market()
    steps = list(play(market, scenario.policies(), seed=3, ticks=3, markets=markets))
    return market, market.start(markets), steps


BATCHES = [(preset, markets) for preset in scenarios.presets() for markets in (1, 2, 7)]


# --- averages -------------------------------------------------------------------------------------


def average_reference(market, step):
    """The aggregate by numpy, value for value."""
    quotes, executions, layout = step.info.quotes, step.info.executions, market.layout
    found = {
        "reward": step.reward.mean(axis=0),
        "reward_p05": np.quantile(step.reward, 0.05, axis=0),
        "reward_p95": np.quantile(step.reward, 0.95, axis=0),
        "refused": (step.info.refused > 0).sum(axis=0),
    }
    found |= {name: step.metrics[:, :, m].mean(axis=0) for m, name in enumerate(METRICS)}
    own = [layout.own(n) for n in range(layout.N)]
    for name in ("sold", "bought", "lost"):
        found[name] = [getattr(executions, name)[:, o].sum() / len(step.reward) for o in own]
    for side in ("ask", "bid"):
        price, stands = getattr(quotes, side), getattr(quotes, f"{side}_size") > 0.0
        found[f"mean_{side}"] = [
            price[:, o][stands[:, o]].mean() if stands[:, o].any() else np.nan for o in own
        ]
    return np.array([found[name] for name in AGGREGATE_VALUES], float)


@pytest.mark.parametrize(("preset", "markets"), BATCHES)
def test_the_averages_of_a_tick_are_those_of_numpy(preset, markets):
    market, _, steps = played(preset, markets)
    rng = np.random.default_rng(markets)
    for step in steps:
        gone = rng.random(step.info.quotes.ask_size.shape) < 0.3  # some quote one side, some none
        quotes = step.info.quotes._replace(ask_size=np.where(gone, 0.0, 2.0))
        refused = rng.integers(0, 3, step.info.refused.shape)
        step = step._replace(info=step.info._replace(quotes=quotes, refused=refused))
        found = aggregate(market, step)
        np.testing.assert_allclose(found, average_reference(market, step), rtol=1e-12, atol=1e-12)
        assert found[0].tobytes() == step.reward.mean(axis=0).tobytes()


def test_a_participant_who_quotes_nowhere_has_no_mean_price():
    market, _, steps = played("retail", 2)
    size = steps[0].info.quotes.ask_size.copy()
    size[:, market.layout.own(1)] = 0.0
    quotes = steps[0].info.quotes._replace(ask_size=size)
    found = aggregate(market, steps[0]._replace(info=steps[0].info._replace(quotes=quotes)))
    ask = found[AGGREGATE_VALUES.index("mean_ask")]
    assert np.isnan(ask[1]) and not np.isnan(np.delete(ask, 1)).any()


@pytest.mark.parametrize(("preset", "markets"), BATCHES)
def test_the_rows_of_a_tick_are_the_markets_own_numbers(preset, markets):
    market, before, steps = played(preset, markets)
    for step in steps:
        kept = (markets + 1) // 2
        found = row(market, before, step, kept)
        quotes, executions = step.info.quotes, step.info.executions
        expected = {
            **quotes._asdict(),
            **{k: v for k, v in executions._asdict().items() if k != "shown"},
            "cost": before.cost,
            "exposure": step.info.arrivals.exposure[:, market.layout.group],
            "inventory": step.state.positions.inventory[:, market.layout.holding],
            "shown": quotes.ask_size > 0.0 if executions.shown is None else executions.shown,
            "reference": market.marks_of_listings(before.reference),
        }
        for i, name in enumerate(LISTING_VALUES):
            assert np.array_equal(found.listings[i], expected[name][:kept]), name
        assert np.array_equal(found.participants[0], step.state.positions.cash[:kept])
        assert np.array_equal(found.participants[1], step.reward[:kept])
        for m in range(len(METRICS)):
            assert np.array_equal(found.participants[2 + m], step.metrics[:kept, :, m])
        assert found.moved.shape == found.refused.shape == (kept, market.layout.N)
        before = step.state


# --- digests --------------------------------------------------------------------------------------


def rolled(number, left):
    return ((number << left) | (number >> (64 - left))) & MASK


def digest_reference(steps, market):
    """Both lanes of one market, number by number."""
    one, two = 1, 2
    for step in steps:
        for array in (
            *step.info.quotes,
            *step.info.executions.arrays,
            *step.state.positions,
            step.reward,
            step.metrics,
        ):
            for number in np.asarray(array[market], float).ravel().view(np.uint64).tolist():
                one = (one + number * 0xC2B2AE3D27D4EB4F) & MASK
                one = rolled(one, 31) * 0x9E3779B185EBCA87 & MASK
                two = (two ^ number) * 0x165667B19E3779F9 & MASK
                two = (rolled(two, 33) + one) & MASK
    return one, two


@pytest.mark.parametrize(("preset", "markets"), BATCHES)
def test_every_market_has_the_digest_of_its_own_numbers(preset, markets):
    """Seven markets: four that are mixed side by side, and three that are left over."""
    _, _, steps = played(preset, markets)
    trajectory = TrajectoryHash()
    for step in steps:
        trajectory.add(step)
    expected = [digest_reference(steps, market) for market in range(markets)]
    assert [tuple(row) for row in trajectory.digests.tolist()] == expected


def test_arrays_that_may_not_be_written_to_have_the_same_digest():
    _, _, steps = played("retail", 2)
    reward = steps[0].reward.copy()
    reward.flags.writeable = False
    one, two = TrajectoryHash(), TrajectoryHash()
    one.add(steps[0])
    two.add(steps[0]._replace(reward=reward))
    assert one.hexdigest() == two.hexdigest()
