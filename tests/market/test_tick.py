"""One tick: the same market whatever its company, nobody's business but one's own, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mos_agents.market.arrivals import FixedMass, Poisson
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.demand import Logit
from mos_agents.market.execution import Auction, Expected, Sampled
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import TwoSided
from mos_agents.market.reference import Brownian, Fundamentals, Replay, Shock
from mos_agents.market.schedules import RandomMoves
from mos_agents.market.streams import FixedDraws, Streams
from mos_agents.market.tick import tick
from mos_agents.market.types import InputError, Layout
from mos_agents.testing.playing import of_market, play, random_actions
from mos_agents.testing.promises import arrays, bits, read_only
from tests.market.worlds import KINDS, makers, noisy, retail


def trajectory(market, numbers, wanted, ticks, seed=0):
    """One hash over all ticks for each of the `wanted` market numbers."""
    numbers = np.asarray(numbers)
    rows = [int(np.flatnonzero(numbers == m)[0]) for m in wanted]
    lines = ["" for _ in rows]
    for before, step in play(market, ticks, numbers, seed):
        for j, b in enumerate(rows):
            lines[j] = bits(
                (np.array(list(lines[j].encode())), of_market((before, step), b, len(numbers)))
            )
    return lines


@pytest.mark.parametrize("kind", KINDS)
def test_market_m_has_the_same_bits_alone_in_a_batch_of_7_and_of_1000_in_any_order(kind):
    market = KINDS[kind](**noisy(kind))
    wanted, ticks = [0, 3, 641], 12
    alone = [trajectory(market, [m], [m], ticks)[0] for m in wanted]
    few = trajectory(market, [5, 641, 2, 0, 9, 3, 1], wanted, ticks)
    many = np.random.default_rng(0).permutation(1000)
    assert alone == few == trajectory(market, many, wanted, ticks)
    assert len(set(alone)) == 3


@pytest.mark.parametrize("kind", ["retail", "makers", "auction", "differentiated"])
def test_seed_zero_repeats_itself_and_differs_from_seed_one(kind):
    market = KINDS[kind]()
    first, again, other = (trajectory(market, [0], [0], 5, seed=s) for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("kind", KINDS)
def test_a_tick_leaves_its_inputs_as_they_were(kind):
    market = KINDS[kind](**noisy(kind))
    before = list(play(market, 5, 3))[-1][0]
    actions = random_actions(market, np.random.default_rng(1), 3)
    found = bits((before, actions))
    tick(market, before, actions, Streams.of(0, 3).at(before.tick))
    assert bits((before, actions)) == found


@pytest.mark.parametrize("kind", KINDS)
def test_nobodys_action_changes_another_market_of_the_batch(kind):
    market = KINDS[kind]()
    before = list(play(market, 4, 5))[-1][0]
    rng, noise = np.random.default_rng(3), Streams.of(0, 5).at(before.tick)
    actions = random_actions(market, rng, 5)
    plain = tick(market, before, actions, noise)
    for row in (random_actions(market, rng, 1)[0], np.nan, 1e308, -1.0):
        other = actions.copy()
        other[2] = row
        bent = tick(market, before, other, noise)
        for b in (0, 1, 3, 4):
            assert bits(of_market(plain, b, 5)) == bits(of_market(bent, b, 5))
    assert bits(of_market(plain, 2, 5)) != bits(of_market(bent, 2, 5))


def test_arrivals_and_fills_are_independent():
    """P(an order comes and trades) = P(comes) P(trades), and the choice ignores the count."""
    market = makers(
        1,
        1,
        arrivals=Poisson(1.0, 0.0),
        execution=FillIntensity(scale=0.5),
        dt=1.0,
        quotes=TwoSided(),
        reference=Fundamentals(),
    )
    batch, counts, fills = 20000, [], []
    state = market.start(batch)
    quotes = state.quotes._replace(ask=state.quotes.ask + 0.1, ask_size=state.quotes.ask + np.inf)
    for t in range(3):
        draws = Streams.of(0, batch).at(t)
        arrivals, _ = market.arrivals.arrive(market, state, quotes, draws)
        done = market.execution.execute(market, state, quotes, arrivals, draws)
        counts.append(arrivals.mass[:, 0, 0])
        fills.append(done.sold[:, 0])
    counts, fills = np.concatenate(counts), np.concatenate(fills)
    p = 0.5 * np.exp(-0.15)
    both = ((counts == 1) & (fills == 1)).mean()
    assert abs(both - np.exp(-1.0) * p) < 4.5 * np.sqrt(both / counts.size)
    for number in (1, 2, 3):  # given the count, fills are binomial with the same probability
        seen = np.bincount(fills[counts == number].astype(int), minlength=number + 1)
        wanted = stats.binom.pmf(np.arange(number + 1), number, p) * seen.sum()
        assert stats.chisquare(seen, wanted).pvalue > 1e-3


def test_who_comes_says_nothing_about_what_is_chosen():
    """Chi-square on number of customers x seller chosen, where sellers are alike."""
    alike = Sampled(Logit(quality_coefficient=0.0))
    market = retail(
        3,
        1,
        np.inf,
        execution=alike,
        arrivals=Poisson(3.0),
        positions=Ledger(),
        reference=Fundamentals(),
    )
    table = np.zeros((6, 3))
    for _, step in play(market.with_parts(schedule=RandomMoves(1e-12)), 4, 5000):
        number = step.info.arrivals.mass[:, 0, 0].astype(int)
        np.add.at(table, np.minimum(number, 5), step.info.executions.sold)
    assert stats.chi2_contingency(table[1:]).pvalue > 1e-3


def test_the_draws_of_the_market_cannot_be_read_off_those_of_a_participant():
    market = Streams.of(0, 200).at(3).uniforms("choices", 50).ravel()
    own = Streams.of(0, 200, owner="maker_0").at(3).uniforms("choices", 50).ravel()
    assert abs(np.corrcoef(market, own)[0, 1]) < 4.5 / np.sqrt(market.size)


def test_a_worked_example_by_hand():
    """A maker quotes 99/101; two buyers and a seller come; draws .1, .2 and .9 at 0.223 = e^-1.5.

    The first draw (.1) trades and the second (.2, the seller's) trades at the bid; the third (.9)
    does not. The mid then moves by 2 x 0.5 to 101, and the maker holds nothing.
    """
    market = makers(
        1,
        1,
        arrivals=FixedMass(2.0, 1.0),
        quotes=TwoSided(max_spread=5.0),
        dt=1.0,
        execution=FillIntensity(volatility_boost=0.0),
        reference=Fundamentals(Brownian(sigma=2.0)),
    )
    draws = FixedDraws({"choices": [0.1, 0.2, 0.9], "reference": [[0.5]]})
    step = tick(market, market.start(1), np.array([[[0.0, 2.0]]]), draws)
    assert step.info.quotes.bid.tolist() == [[99.0]]
    assert step.info.quotes.ask.tolist() == [[101.0]]
    assert step.info.executions.sold.tolist() == [[1.0]]
    assert step.info.executions.bought.tolist() == [[1.0]]
    assert step.state.positions.cash.tolist() == [[2.0]]
    assert step.state.positions.inventory.tolist() == [[0.0]]
    assert step.state.reference.tolist() == [[101.0]]
    assert step.reward.tolist() == [[2.0]]
    spec = market.specs[0]
    seen = {f.name: spec.read(spec.own(step.observation), f.name).tolist() for f in spec.fields}
    assert seen["own_ask"] == [[101.0]] and seen["cash"] == [[2.0]]
    assert seen["exposure"] == [[3.0]] and seen["reference"] == [[101.0]]


def test_two_price_paths_can_be_compared_before_the_same_customers():
    """Common random numbers: a dearer quote loses some of the same customers, and gains none."""
    market = retail(
        1,
        1,
        np.inf,
        execution=Sampled(Logit()),
        arrivals=FixedMass(50.0),
        positions=Ledger(),
        reference=Fundamentals(),
    )
    state, draws = market.start(300), Streams.of(0, 300).at(0)
    ask = state.quotes.ask[:, :, None]
    cheap, dear = (tick(market, state, ask * f, draws).info.executions.sold for f in (1.0, 1.1))
    assert (dear <= cheap).all() and (dear < cheap).any()


@pytest.mark.parametrize("shape", [(1, 6, 1), (2, 5, 1), (2, 6, 2), (2, 6), (12,), (3, 6, 1)])
def test_actions_of_another_shape_are_refused_before_compiled_code_reads_them(shape):
    market = retail(3, 2)
    with pytest.raises(InputError, match="must be"):
        tick(market, market.start(2), np.ones(shape), Streams.of(0, 2).at(0))


def test_parts_that_do_not_fit_together_are_refused_by_name():
    with pytest.raises(InputError, match="choice"):
        retail(execution=Expected(Logit(choice="across")))
    with pytest.raises(InputError, match="dt"):
        retail(dt=0.0)
    with pytest.raises(InputError, match="horizon"):
        retail(horizon=0)
    with pytest.raises(InputError, match="nobody"):
        retail().spec("nobody")


def test_read_only_copies_are_really_read_only():
    assert not any(a.flags.writeable for a in arrays(read_only(retail().start(2))) if a.ndim)


def replayed(path, horizon=3, hold=False):
    layout = Layout.dense(["a"], ["x"], ["maker"])
    catalogue = Catalogue(np.zeros(1), np.full(1, 100.0), np.zeros(1), np.zeros(1))
    return make_market(
        layout,
        catalogue,
        FillIntensity(),
        quotes=TwoSided(tick_size=0.0),
        horizon=horizon,
        positions=Ledger(short=True, mark="reference"),
        reference=Fundamentals(price=Replay(np.array(path), hold)),
    )


def test_a_replayed_series_is_met_from_its_first_row_on():
    market = replayed([50.0, 49.0, 48.0])
    state, seen = market.start(1), []
    for at in range(3):
        seen.append(float(state.reference[0, 0]))
        step = tick(market, state, np.array([[[0.0, 0.1]]]), Streams.of(0).at(at))
        state = step.state
    assert seen == [50.0, 49.0, 48.0]


def test_a_series_shorter_than_the_episode_is_refused_unless_it_holds():
    with pytest.raises(InputError, match=r"price.path has 2 rows for 3 ticks"):
        replayed([50.0, 49.0])
    assert replayed([50.0, 49.0], hold=True).start(1).reference[0, 0] == 50.0


def test_a_shock_at_the_first_tick_is_there_from_the_start():
    market = replayed([50.0] * 3).with_parts(reference=Fundamentals(price=Shock(at=0, factor=2.0)))
    assert market.start(1).reference[0, 0] == 200.0


@pytest.mark.parametrize("execution", [Auction(), Sampled(Logit()), Expected(Logit())])
def test_quotes_and_execution_of_different_kinds_are_refused(execution):
    with pytest.raises(InputError, match="give quotes and execution of the same kind"):
        replayed([50.0] * 3).with_parts(execution=execution)
