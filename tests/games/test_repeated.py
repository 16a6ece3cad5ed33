"""Two ways to play, one result: the compiled game has the bits of the play tick by tick."""

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import pytest

import mos_agents
from mos_agents.games import loops
from mos_agents.games.repeated import RepeatedGame
from mos_agents.games.stage_game import StageGame
from mos_agents.games.strategies import GreedyGame
from mos_agents.learners import QLearning
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.prominence import (
    ShowCheapest,
    ShowDynamic,
    ShowEverything,
    ShowFixed,
    ShowRandom,
)
from mos_agents.market.quotes import PostedPrice
from mos_agents.market.schedules import Alternating, Periodic, RandomMoves
from mos_agents.market.stages import Prominence
from mos_agents.market.types import InputError, Layout
from mos_agents.rollout.episode import ParticipantPool, transitions
from tests.games.worlds import bertrand, everybody, logit, quick

SIXTHS = tuple(k / 6 for k in range(7))


def tick_by_tick(market, learners, seed, sessions, ticks):
    """The learners' memories after so many ticks of the market's own loop, and who asked what."""
    others = {n: {"kind": "hold"} for n in market.layout.participants if n not in learners}
    pool = ParticipantPool.of(market, {**learners, **others}, seed, np.array(sessions))
    players = [n for n in market.layout.participants if n in learners]
    numbers = [market.layout.participants.index(n) for n in players]
    levels = np.empty((ticks, len(sessions), len(players)), np.int64)
    looped = transitions(
        market,
        pool_policies(pool),
        seed=seed,
        ticks=ticks,
        markets=np.array(sessions),
        pool=pool,
    )
    for t, transition in enumerate(looped):
        for i, n in enumerate(numbers):
            spec = market.specs[n]
            own = spec.own(transition.step.observation)
            asks = spec.read(own, "own_ask")
            levels[t, :, i] = pool.policies[n].level_of(spec, own, asks)[:, 0]
    assert not pool.faults
    return [pool.memories[n] for n in numbers], levels


def pool_policies(pool):
    return {spec.name: p for spec, p in zip(pool.specs, pool.policies, strict=True)}


def compare(market, learners, ticks, seed=0, sessions=(0, 5)):
    game = RepeatedGame.of(market, learners)
    memories, levels = tick_by_tick(market, learners, seed, sessions, ticks)
    for b, session in enumerate(sessions):
        state = game.start(seed, session)
        trace = np.empty((ticks, game.n), np.int64)
        game.advance(state, seed, session, ticks, trace=trace)
        np.testing.assert_array_equal(trace, levels[:, b])
        begin = 0
        for i, memory in enumerate(memories):
            rows, m = game.states(i), int(game.stage.sizes[i])
            own = slice(b * rows, (b + 1) * rows)
            np.testing.assert_array_equal(state.q[begin : begin + rows, :m], memory.q[own])
            np.testing.assert_array_equal(state.best[begin : begin + rows], memory.best[own])
            assert state.epsilon[i] == memory.epsilon[0]
            begin += rows


def calvano(market, **changes):
    learner = quick(**{"beta": 4e-4} | changes)
    stage = StageGame.of(market, everybody(market, learner))
    first = tuple((stage.uniform_rivals(0) / (1.0 - learner.delta)).tolist())
    return everybody(market, replace(learner, initial=first))


def test_the_first_ten_thousand_periods_of_both_ways_are_bit_identical():
    market = logit(2)
    compare(market, calvano(market), 10_000)


def shows(rule, n=2, **parts):
    """The logit market of n firms in which a rule decides who is shown."""
    made = logit(n, **parts)
    return made.with_parts(execution=replace(made.execution, prominence=rule))


def two_kinds(rule):
    """Two firms that sell to two kinds of shoppers at one price each."""
    one = logit(2)
    layout = Layout.dense(["firm_1", "firm_2"], ["a", "b"], ["firm"] * 2)
    columns = np.ones((3, 4)) * np.array([[1.0], [1.5], [2.0]])
    catalogue = Catalogue(*columns, np.full(4, np.inf))
    execution = replace(one.execution, prominence=rule)
    return one.with_parts(layout=layout, catalogue=catalogue, execution=execution)


VARIANTS = {
    "the cheapest offer shown": lambda: (m := shows(ShowCheapest()), calvano(m)),
    "the cheapest offer shown to most": lambda: (
        m := shows(ShowCheapest(followers=0.7, search_cost=0.1)),
        calvano(m),
    ),
    "every offer shown, at a search cost": lambda: (
        m := shows(ShowEverything(followers=0.0, search_cost=0.1)),
        calvano(m),
    ),
    "always the same offer shown": lambda: (
        m := shows(ShowFixed(offers=("firm_2.product",))),
        calvano(m),
    ),
    "two of three offers shown": lambda: (m := shows(ShowCheapest(shown=2), 3), calvano(m)),
    "an offer boosted": lambda: (m := shows(ShowCheapest(boost=0.1), 3), calvano(m)),
    "an offer shown at random": lambda: (m := shows(ShowRandom()), calvano(m)),
    "a holder without a cushion": lambda: (
        m := shows(ShowDynamic()),
        calvano(m, sees_holder=True),
    ),
    "a holder with a cushion": lambda: (
        m := shows(ShowDynamic(cushion=0.2)),
        calvano(m, sees_holder=True),
    ),
    "a holder whom nobody sees": lambda: (m := shows(ShowDynamic(cushion=0.2)), calvano(m)),
    "a holder among three": lambda: (
        m := shows(ShowDynamic(cushion=0.2), 3),
        calvano(m, sees_holder=True),
    ),
    "a holder and a memory of two periods": lambda: (
        m := shows(ShowDynamic(cushion=0.2)),
        calvano(m, sees_holder=True, periods=2),
    ),
    "a holder and alternating moves": lambda: (
        m := shows(ShowDynamic(cushion=0.2), opening=1.6, schedule=Alternating()),
        calvano(m, sees_holder=True),
    ),
    "one offer shown to each kind of shopper": lambda: (
        m := two_kinds(ShowCheapest()),
        calvano(m, scope="firm"),
    ),
    "three firms": lambda: (m := logit(3), calvano(m)),
    "one firm": lambda: (m := logit(1), calvano(m, features="own")),
    "memory of two periods": lambda: (m := logit(2), calvano(m, periods=2)),
    "no memory": lambda: (m := logit(2), calvano(m, features="nothing")),
    "each with its own costs and grid": lambda: (
        logit(2, cost=np.array([1.0, 0.5])),
        {
            "firm_1": quick(rival_prices=((1.2, 1.5, 1.8),)),
            "firm_2": quick(prices=(1.2, 1.5, 1.8), rival_prices=(quick().prices,), alpha=0.4),
        },
    ),
    "alternating moves": lambda: (
        m := bertrand(schedule=Alternating()),
        everybody(m, QLearning(prices=SIXTHS, relative_to="money", features="rivals", beta=3e-3)),
    ),
    "everybody at its own pace": lambda: (
        m := logit(2, opening=1.6, schedule=Periodic((1, 3), (0, 1))),
        calvano(m),
    ),
    "its own pace, with patience and tries that count in moves": lambda: (
        m := logit(2, opening=1.6, schedule=Periodic((1, 3), (0, 1))),
        calvano(m, discount_per="move", explore_per="move", beta=2e-2),
    ),
    "slow moves of both, discounted per move": lambda: (
        m := logit(2, opening=1.6, schedule=Periodic((4, 4), (0, 0))),
        calvano(m, discount_per="move", beta=1e-2),
    ),
    "alternating moves, with tries that count in moves": lambda: (
        m := bertrand(schedule=Alternating()),
        everybody(
            m,
            QLearning(
                prices=SIXTHS,
                relative_to="money",
                features="rivals",
                beta=6e-3,
                explore_per="move",
                discount_per="move",
            ),
        ),
    ),
    "a table drawn at random": lambda: (
        m := bertrand(),
        everybody(
            m,
            QLearning(
                prices=SIXTHS,
                relative_to="money",
                features="nothing",
                epsilon=0.0,
                delta=0.0,
                initial=1.0,
                initial_spread=1.0,
            ),
        ),
    ),
    "synchronous learning": lambda: (
        m := bertrand(),
        {
            n: QLearning(
                prices=SIXTHS,
                relative_to="money",
                features="nothing",
                delta=0.3,
                beta=1e-2,
                payoffs=tuple(
                    map(
                        tuple,
                        StageGame.of(
                            m,
                            everybody(
                                m, QLearning(prices=SIXTHS, relative_to="money", features="nothing")
                            ),
                        )
                        .own(0)
                        .tolist(),
                    )
                ),
            )
            for n in m.layout.participants
        },
    ),
    "levers of firms with many products": lambda: (
        mos_agents.autos_1990().with_parts(
            quotes=PostedPrice(tick_size=0.0, min_margin=-0.9, max_relative_change=np.inf)
        ),
        dict.fromkeys(
            ("toyota", "honda"),
            QLearning(low=0.9, high=1.1, prices=3, scope="firm", features="own", beta=1e-2),
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_both_ways_are_bit_identical_with(name):
    market, learners = VARIANTS[name]()
    compare(market, learners, 600, seed=3)


def test_a_session_in_pieces_is_the_session_in_one():
    market = logit(2)
    game = RepeatedGame.of(market, calvano(market))
    whole, pieces = game.start(1, 4), game.start(1, 4)
    game.advance(whole, 1, 4, 5000)
    for end in (1, 2, 3, 50, 51, 1234, 5000):
        game.advance(pieces, 1, 4, end)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rule", [ShowCheapest(), ShowDynamic(cushion=0.2), ShowRandom()])
def test_a_session_with_a_rule_of_prominence_in_pieces_is_the_session_in_one(rule):
    market = shows(rule)
    game = RepeatedGame.of(market, calvano(market, sees_holder=True))
    whole, pieces = game.start(1, 4), game.start(1, 4)
    shown, again = np.full((2, 3000), -1)
    game.advance(whole, 1, 4, 3000, shown=shown)
    begin = 0
    for end in (1, 2, 3, 50, 51, 1234, 3000):
        game.advance(pieces, 1, 4, end, shown=again[begin:])
        begin = end
    np.testing.assert_array_equal(shown, again)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rule", [None, ShowCheapest(), ShowDynamic(cushion=0.2), ShowRandom()])
def test_greedy_play_learns_nothing_and_tries_nothing(rule):
    market = logit(2) if rule is None else shows(rule)
    game = RepeatedGame.of(market, calvano(market))
    state = game.start(0, 1)
    game.advance(state, 0, 1, 2000)
    q, epsilon = state.q.copy(), state.epsilon.copy()
    trace = np.empty((500, 2), np.int64)
    game.advance(state, 0, 1, 2500, trace=trace, greedy=True)
    np.testing.assert_array_equal(state.q, q)
    np.testing.assert_array_equal(state.epsilon, epsilon)
    for before, after in pairwise(trace):
        here = int(game.stage.profile(before))
        for i in range(2):
            row = i * game.states(0) + game.stage.states[i, here]
            assert after[i] == state.best[row]


@pytest.mark.parametrize("rule", [ShowCheapest(), ShowDynamic(cushion=0.2), ShowRandom()])
def test_learners_are_paid_what_was_realised_and_not_an_expected_share(rule):
    market = shows(rule)
    game = RepeatedGame.of(market, calvano(market))
    state, trace, shown = game.start(0, 1), np.empty((4000, 2), np.int64), np.empty(4000, np.int64)
    game.advance(state, 0, 1, 4000, trace=trace, shown=shown)
    paid = game.stage.earned(trace, shown)
    assert ((paid == 0.0).sum(axis=1) >= 1).all()  # who is not shown sells nothing
    equal = trace[:, 0] == trace[:, 1]
    assert 0 < shown[equal].mean() < 1


def test_payoffs_of_equal_offers_are_the_mean_over_who_is_shown():
    game = StageGame.of(shows(ShowCheapest()), everybody(shows(ShowCheapest()), quick()))
    alone = StageGame.of(logit(1), everybody(logit(1), quick(features="own")))
    table = game.payoffs[:, 0].reshape(4, 4)
    for own in range(4):
        for rival in range(4):
            share = 0.5 if own == rival else float(own < rival)
            assert table[own, rival] == pytest.approx(share * alone.payoffs[own, 0], rel=1e-12)


REFUSED_WITH_PLACES = {
    "FirstOfAll is not played in the compiled game": lambda: RepeatedGame.of(
        m := shows(FirstOfAll()), calvano(m)
    ),
    "firm_2 keeps its prices": lambda: RepeatedGame.of(shows(ShowCheapest()), {"firm_1": quick()}),
    "sees_holder, but every offer is shown": lambda: RepeatedGame.of(
        m := logit(2), everybody(m, quick(sees_holder=True))
    ),
    "who is shown depends on the past": lambda: GreedyGame(
        RepeatedGame.of(m := shows(ShowDynamic()), everybody(m, quick())), None
    ),
}


@dataclass(frozen=True)
class FirstOfAll(Prominence):
    """Shows the first offer."""

    def show(self, market, state, quotes, offered, draws):
        first = np.zeros_like(offered)
        first[:, 0] = True
        return self.chosen(offered, first)


@pytest.mark.parametrize("message", REFUSED_WITH_PLACES)
def test_what_cannot_be_played_with_a_rule_of_prominence_is_refused(message):
    with pytest.raises(InputError, match=message):
        REFUSED_WITH_PLACES[message]()


@pytest.mark.parametrize("rule", [None, ShowCheapest(), ShowDynamic(cushion=0.2), ShowRandom()])
@pytest.mark.parametrize("window", [0, 30])
@pytest.mark.parametrize("loop", ["play_pair", "play_in_turn"])
def test_the_quick_loops_of_a_pair_are_the_general_one(monkeypatch, loop, window, rule):
    in_turn = loop == "play_in_turn"
    if in_turn and rule is not None:
        pytest.skip("played by the general loop")
    market = logit(2, opening=1.6, schedule=Alternating()) if in_turn else logit(2)
    if rule is not None:
        market = shows(rule)
    game = RepeatedGame.of(market, calvano(market))
    quickly, generally = game.start(0, 2), game.start(0, 2)
    seen, wanted = np.full((2, 500, 2), -1)
    game.advance(quickly, 0, 2, 1001)  # from the middle of a page, and by either of the two
    most = 2_000_000 if window else 20_000
    end = game.advance(quickly, 0, 2, most, window, seen)
    monkeypatch.setattr(loops, loop, loops.play)
    game.advance(generally, 0, 2, 1001)
    assert game.advance(generally, 0, 2, most, window, wanted) == end
    assert (end < most) == (window > 0)
    np.testing.assert_array_equal(seen, wanted)
    for one, other in zip(quickly, generally, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_session_in_turn_in_pieces_is_the_session_in_one():
    market = logit(2, opening=1.6, schedule=Alternating())
    game = RepeatedGame.of(market, calvano(market))
    whole, pieces = game.start(1, 4), game.start(1, 4)
    game.advance(whole, 1, 4, 2000)
    for end in (1, 2, 3, 4, 5, 8, 9, 11, 14, 50, 51, 1234, 2000):
        game.advance(pieces, 1, 4, end)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_session_has_converged_when_no_greedy_level_changed_for_the_window():
    market = logit(2)
    game = RepeatedGame.of(market, calvano(market))
    state = game.start(0, 0)
    end = game.advance(state, 0, 0, 1_000_000, 3000)
    assert end - 1 - int(state.changed.max()) == 3000
    again = game.start(0, 0)
    game.advance(again, 0, 0, int(state.changed.max()))
    before = again.best.copy()
    game.advance(again, 0, 0, int(state.changed.max()) + 1)
    assert not np.array_equal(before, again.best)
    np.testing.assert_array_equal(again.best, state.best)


def test_a_patient_pair_explores_as_often_as_the_schedule_says():
    market = logit(2)
    game = RepeatedGame.of(market, everybody(market, quick(epsilon=0.3, beta=0.0)))
    state = game.start(0, 0)
    trace = np.empty((200_000, 2), np.int64)
    game.advance(state, 0, 0, 200_000, trace=trace)
    common = np.array([np.bincount(trace[150_000:, i], minlength=4).max() for i in range(2)])
    # The greedy level shows at 1 - .3 + .3 / 4 if it stands; other levels at .075 each.
    rare = np.array([np.bincount(trace[150_000:, i], minlength=4).min() for i in range(2)])
    assert (rare / 50_000 > 0.07).all() and (common / 50_000 < 0.80).all()


@dataclass(frozen=True)
class Lingering(QLearning):
    """Own defaults, an own parameter, and a chance to explore that falls more slowly."""

    kind = "lingering"

    epsilon: float = 0.5
    beta: float = 1e-3
    slowness: float = 4.0

    def __post_init__(self):
        super().__post_init__()
        assert self.slowness >= 1.0

    def tick_decay(self, spec):
        return super().tick_decay(spec) ** (1.0 / self.slowness)


@dataclass(frozen=True)
class Bold(Lingering):
    """A subclass with a choice of its own, one class further down."""

    kind = "bold"

    def act(self, spec, observation, memory, draws):
        return super().act(spec, observation, memory, draws)


def test_a_subclass_with_other_parameters_has_the_same_bits_both_ways():
    market = logit(2)
    shared = {f.name: getattr(calvano(market)["firm_1"], f.name) for f in fields(QLearning)}
    learner = Lingering(**shared | {"epsilon": 0.5, "beta": 1e-3})
    compare(market, everybody(market, learner), 5_000)


@pytest.mark.parametrize(
    ("learner", "complaint"),
    [
        (Bold(), "'bold' writes its own act"),
        (mos_agents.make("sarsa"), "'sarsa' is not a kind of q_learning"),
        (mos_agents.make("cost_plus"), "'cost_plus' is not a kind of q_learning"),
    ],
)
def test_what_the_compiled_loop_would_not_call_is_refused(learner, complaint):
    market = logit(2)
    with pytest.raises(InputError, match=complaint):
        RepeatedGame.of(market, everybody(market, learner))


def test_random_moves_are_refused_in_the_compiled_game():
    market = logit(2, schedule=RandomMoves())
    with pytest.raises(InputError, match="tick by tick only"):
        RepeatedGame.of(market, everybody(market, quick()))


def test_who_moves_later_must_open_on_its_grid():
    market = bertrand(opening=0.51, schedule=Alternating())
    learner = QLearning(prices=SIXTHS, relative_to="money", features="rivals")
    with pytest.raises(InputError, match="must be one of its levels"):
        RepeatedGame.of(market, everybody(market, learner))


@pytest.mark.parametrize("wrong", [lambda t: t * 0.0, lambda t: t[:, :2]])
def test_what_every_level_would_have_earned_must_be_what_the_market_pays(wrong):
    market = bertrand()
    bare = QLearning(prices=SIXTHS, relative_to="money", features="nothing")
    own = StageGame.of(market, everybody(market, bare)).own(0)
    RepeatedGame.of(market, everybody(market, replace(bare, payoffs=own)))
    with pytest.raises(InputError, match="payoffs are not what this market pays"):
        RepeatedGame.of(market, everybody(market, replace(bare, payoffs=wrong(own))))
