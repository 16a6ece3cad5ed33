"""The study of price wars: what is planted is found, random numbers are shared, nothing is played
twice."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from experiments.price_wars import autos as autos_
from experiments.price_wars import play
from experiments.price_wars.outcomes import DEFINITION, effect, forces, outcome
from experiments.price_wars.play import FORCES, PlayPlan, play_world, played, task
from experiments.price_wars.study import WarStudySettings, as_json, main, study
from experiments.price_wars.worlds import (
    Condition,
    RetailWorld,
    buyers,
    conditions,
    replies_in_turn,
    yardstick,
)
from mos_agents.games.stage_game import StageGame
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy, quoted
from mos_agents.runs.files import RunError

SMALL = PlayPlan(sessions=3, ticks=120, lead=12, after=12, rest=30)


@dataclass(frozen=True)
class Script(Policy):
    """Asks the prices of a list, one a tick."""

    prices: tuple[float, ...]
    kind = "script"
    atomic = True

    def start(self, spec, batch):
        return 0

    def act(self, spec, observation, memory, draws):
        price = np.full((len(observation), spec.action_shape[0]), self.prices[memory])
        return quoted(spec, price), memory + 1

    def propensity(self, spec, observation, action, memory):
        raise NotImplementedError


@dataclass(frozen=True)
class Planted(RetailWorld):
    """All ask 40; from tick 100 the last firm asks 25, a tick later the others follow to 26; from
    tick 130 everybody asks 40 again."""

    def policies(self, market, decay, game):
        calm, war = (40.0,), (26.0,)
        follow = Script(calm * 101 + war * 29 + calm * 70)
        first = Script(calm * 100 + (25.0,) * 30 + calm * 70)
        names = market.layout.participants
        return dict.fromkeys(names[:-1], follow) | {names[-1]: first}


@pytest.fixture(scope="module")
def base():
    return play_world(RetailWorld(), SMALL, impulse=True)


def test_a_planted_war_is_found_in_the_full_market_with_its_onset_depth_length_and_beginner():
    lived = play_world(Planted(), PlayPlan(sessions=2, ticks=200, learnt=0.05), impulse=False)
    found = outcome(lived)
    assert len(found.wars) == 6  # two sessions of three products
    for war in found.wars:
        assert war.onset + 10 == 101  # the tick at which a second firm has cut; 10 ticks learnt
        assert (war.duration, war.recovered) == (29, True)
        assert war.first_cutters == (2,)
        # Two at 26 and one at 25, below 40, in units of 40.5 - 26.33.
        assert war.depth == pytest.approx((40.0 - 77.0 / 3.0) / 14.17)
    assert (found.by_session["wars"] == 1000.0 / 190.0).all()
    assert found.by_session["time_at_war"] == pytest.approx([29.0 / 190.0] * 2)


def test_sellers_who_hold_their_prices_wage_no_war():
    found = outcome(play_world(RetailWorld(play="hold"), SMALL, impulse=False))
    assert len(found.wars) == len(found.wars_learning) == 0
    assert (found.by_session["price_sd"] == 0.0).all()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(base):
    again = play_world(RetailWorld(), SMALL, impulse=True)
    for name, values in base.arrays.items():
        assert np.array_equal(values, again[name]), name
    other = play_world(RetailWorld(), replace(SMALL, seed=1), impulse=False)
    assert not np.array_equal(base["prices"], other["prices"])


def test_a_session_is_the_same_in_any_company(base):
    alone = play_world(RetailWorld(), replace(SMALL, sessions=2), impulse=False)
    assert np.array_equal(base["prices"][:, :2], alone["prices"])


def test_a_cost_shock_leaves_everything_before_it_as_it_was(base):
    shocked = play_world(RetailWorld(cost_factor=1.3), SMALL, impulse=False)
    at = 3 * SMALL.ticks // 4
    assert np.array_equal(base["prices"][:at], shocked["prices"][:at])
    # The floor of 5% over a cost of 26 is 27.3: nobody may ask less while it lasts.
    during = shocked["prices"][at + 1 : at + SMALL.ticks // 10]
    assert during.min() == 2730
    assert base["prices"][at + 1 : at + SMALL.ticks // 10].min() < 2730


# --- force ----------------------------------------------------------------------------------------


def test_force_changes_nothing_before_it_begins_and_the_last_firm_by_two_levels_when_it_does(base):
    shock = int(base["shock"])
    assert shock == SMALL.lead
    grid = np.rint(100.0 * 27.0 * (0.8 + 0.175 * np.arange(5)))
    for name, (direction, length) in FORCES.items():
        assert np.array_equal(base[name][:shock], base["alone"][:shock])
        stood = np.abs(grid - base["alone"][shock - 1][:, -1][..., None]).argmin(-1)
        wanted = grid[np.clip(stood + 2 * direction, 0, 4)]
        until = SMALL.lead + SMALL.after if length is None else shock + 1
        for row in range(shock, until):
            assert np.abs(base[name][row][:, -1] - wanted).max() <= 1  # cents


def test_force_falls_on_the_first_move_where_sellers_move_in_turn():
    lived = play_world(RetailWorld(pace=(3, 3, 3), offsets=(0, 1, 2)), SMALL, impulse=True)
    shock = int(lived["shock"])
    assert (SMALL.ticks + shock - 2) % 3 == 0
    alone = lived["alone"][: SMALL.lead + SMALL.after]
    moved = (lived["down_once"] != alone).any(axis=(1, 3))[:, -1]
    assert moved[shock : shock + 3].all()  # the price stands until the next move
    assert not moved[:shock].any()


def test_frozen_learners_answer_alike_to_the_same_situation():
    """Nobody learns and nobody explores, even who did until then: the same prices are followed by
    the same prices. At a learning rate of .9 every sale would turn the table over."""
    lived = play_world(RetailWorld(alpha=0.9, trembles=0.5), SMALL, impulse=True)
    paths = np.concatenate([lived.paths("prices")[-1:], lived.paths("alone")])
    repeated = 0
    for s in range(paths.shape[1]):
        followed = {}
        for t in range(len(paths) - 1):
            now, after = tuple(paths[t, s]), tuple(paths[t + 1, s])
            repeated += now in followed
            assert followed.setdefault(now, after) == after
    assert repeated > 100


def test_what_force_did_is_told_with_its_interval(base):
    found = forces(base, SMALL, 0.95)
    assert set(found) <= set(FORCES) and found
    for force in found.values():
        assert 0 < force.forced_paths <= 9
        assert force.rivals.low <= force.rivals.estimate <= force.rivals.high
        assert force.path.shape[0] == 2


# --- yardsticks and effects -----------------------------------------------------------------------


def test_the_yardstick_is_the_equilibrium_and_the_joint_maximum_on_the_learners_prices():
    world = RetailWorld(firms=1)
    found = yardstick(world.stage_game())
    assert found.kind == "pure"
    assert (found.price_nash, found.price_joint) == (26.33, 40.5)
    # By hand: a half of the buyers at each, base .3, elasticity 2; margin over a cost of 20.
    mass = buyers(world.market(1))
    for price, profit in ((26.33, found.profit_nash), (40.5, found.profit_joint)):
        share = min(0.3 * (27.0 / price) ** 2, 1.0) / 2
        assert profit == pytest.approx(mass * share * (price - 20.0), rel=1e-12)


def test_without_a_pure_equilibrium_the_yardstick_is_the_cycle_of_best_replies():
    # Matching pennies: the first wants the same level, the second another one.
    pay = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    learner = RetailWorld().policies(
        RetailWorld(firms=1).market(1), 0.1, RetailWorld().stage_game()
    )["platform"]
    two = replace(learner, prices=2, initial=0.0)
    prices = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])
    none = np.zeros(2, np.int64)
    game = StageGame(
        RetailWorld(firms=1).market(1),
        ("platform", "firm_1"),
        (two, two),
        pay,
        prices,
        np.zeros((2, 4), np.int64),
        none,
        none,
    )
    assert game.pure_nash().size == 0
    assert sorted(set(replies_in_turn(game, 0).tolist())) == [0, 1, 2, 3]


def test_buyers_are_those_who_look_less_the_scrapers_who_only_look():
    everybody = buyers(RetailWorld(scrapers=0.0).market(1))
    # 200 sessions see 1, 2, 3 or (of three products) 3 of them: 2.25 on average, 150 a product.
    assert everybody == pytest.approx(150.0, rel=0.01)
    half = buyers(RetailWorld(scrapers=0.5).market(1))
    # A half buys; the other half looks at all three products with a hundredth of the intent.
    assert half == pytest.approx(75.0 + 100.0 * 0.01, rel=0.02)
    held = buyers(RetailWorld(scrapers=0.5, hold_buyers=True).market(1))
    assert held == pytest.approx(buyers(RetailWorld().market(1)), rel=0.02)


def test_a_difference_is_distinct_where_there_is_one_and_not_where_there_is_none():
    found = Condition("f", "l", RetailWorld())
    noise = np.random.default_rng(0).standard_normal((2, 30))
    none = effect("a", found, "wars", noise[0], noise[1], 30)
    assert not none.distinct and none.ci95[0] < 0.0 < none.ci95[1]
    some = effect("a", found, "wars", noise[0] + 3.0, noise[1], 30)
    assert some.distinct and some.ci95[0] > 0.0
    paired = effect("a", found, "wars", noise[0] + 0.1, noise[0], 30)
    assert paired.distinct  # the same numbers on both sides cancels


# --- the study ------------------------------------------------------------------------------------


def test_the_study_has_its_controls_beside_it_and_every_figure_in_the_common_form(tmp_path):
    s = WarStudySettings(SMALL, only=("myopic", "hold", "random"), autos=None, workers=1)
    found = study(s, tmp_path)
    assert {"repaired", "shifted", "shuffled", "noise", "myopic", "hold", "random"} <= {
        one.name for one in found.controls
    }
    assert {one.name: one.wars for one in found.controls}["hold"] == 0.0
    record = json.loads(as_json(found))
    assert {"quantity", "published", "ours", "ci95", "within", "source"} <= record["results"][
        0
    ].keys()
    names = [row["quantity"] for row in record["results"]]
    assert len(set(names)) == len(names)
    assert {"wars.base", "wars.myopic", "effect.wars.myopic", "effect.rpdi.hold"} <= set(names)


def kept(folder, world, plan):
    (lived,) = played([task("base", world, plan, False)], folder)
    return lived


def test_what_is_finished_is_not_played_again_and_gives_the_same(tmp_path, monkeypatch):
    plan = replace(SMALL, ticks=100)
    first = kept(tmp_path, RetailWorld(), plan)
    monkeypatch.setattr(play, "play_world", lambda *_: pytest.fail("played again"))
    again = kept(tmp_path, RetailWorld(), plan)
    assert first.arrays.keys() == again.arrays.keys()
    assert all(np.array_equal(first[name], again[name]) for name in first.arrays)
    with pytest.raises(pytest.fail.Exception, match="played again"):
        kept(tmp_path, RetailWorld(delta=0.5), plan)  # another world is another file


def test_a_damaged_play_is_told_and_not_used(tmp_path):
    plan = replace(SMALL, ticks=100)
    kept(tmp_path, RetailWorld(), plan)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="damaged"):
        kept(tmp_path, RetailWorld(), plan)


def test_every_condition_can_be_assigned_and_differs_from_the_base():
    known = conditions(RetailWorld())
    assert len({one.world for one in known.values()}) == len(known)
    for one in known.values():
        market, game = one.world.market(10), one.world.stage_game()
        for name, policy in one.world.policies(market, 0.1, game).items():
            policy.start(market.spec(name), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "wars"], "only: 'wars' is no condition"),
        (["--sessions", "1"], "sessions=1 must be"),
        (["--ticks", "10"], "ticks=10 must be"),
        (["--seed", "-1"], "seed=-1 must be"),
        (["--learner", "hold"], "learner='hold' must be one of"),
        (["--workers", "0"], "workers=0 must be"),
    ],
)
def test_a_bad_argument_is_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "change", [{"noise": "loud"}, {"play": "fight"}, {"length": 0}, {"cost_factor": 0.0}]
)
def test_a_bad_world_is_refused(change):
    with pytest.raises(InputError, match=f"{next(iter(change))}="):
        RetailWorld(**change)


# --- cars -----------------------------------------------------------------------------------------


def test_in_the_car_market_the_observed_prices_are_the_only_equilibrium_and_myopic_firms_find_it():
    small = autos_.Autos(sessions=3, periods=30_000, delta=0.0, look=300)
    found = autos_.measured(small, workers=1)
    assert found["pure_nash_is_observed"]
    assert found["learnt"]["wars_per_1000"]["mean"] == 0.0
    assert found["learnt"]["profit_gain"]["mean"] == pytest.approx(0.0, abs=1e-9)
    assert found["learning"]["mean_level"]["mean"] > 1.0  # exploring, above the lowest levels


def test_the_definition_is_the_projects_own():
    assert (DEFINITION.depth, DEFINITION.band, DEFINITION.firms) == (0.25, 0.1, 2)
    assert (DEFINITION.window, DEFINITION.recovery) == (3, 3)
