"""The game with a learning platform: against a loop in plain Python, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.brasic_2025 import run as brasic
from mos_agents.games.platform_game import PlatformGame
from mos_agents.market.streams import Streams
from mos_agents.market.types import InputError

SMALL = brasic.RecommendationSettings(levels=4, beta=2e-3)


def reference(game: PlatformGame, seed: int, session: int, periods: int) -> list[int]:
    """The outcomes of a session, period by period, as the rules are written."""
    stage, learners = game.stages[0], game.learners
    choices, profiles = len(game.stages), game.profiles
    first, own = game.first_tables()
    tables = [np.repeat(first[i][None], choices * profiles, axis=0) for i in range(2)]
    values = np.repeat(own[None], choices * profiles, axis=0)
    tried = np.ones_like(values)
    streams = [Streams.of(seed, np.array([session]), owner=name) for name in stage.players]
    platform = Streams.of(seed, np.array([session]), owner="platform")
    epsilon, decay = 1.0, learners[0].decay
    s, made, found = int(stage.profile(stage.first_levels)), None, []
    for t in range(periods):
        if made is not None:
            before, levels, a, rewards, kept = made
            for i in range(2):
                old, target = tables[i][before, levels[i]], rewards[i] + 0.95 * tables[i][s].max()
                tables[i][before, levels[i]] = (1.0 - 0.15) * old + 0.15 * target
            old, target = values[before, a], kept + 0.95 * values[s].max()
            values[before, a] = (1.0 - 0.15) * old + 0.15 * target
        a = 0
        if choices > 1:
            u = platform.at(t).uniforms("try", 2)[0]
            bounds = values[s].copy()
            if game.chooser == "ucb":
                bounds += np.sqrt(2.0 * np.log(t + 1.0) / tried[s])
            a = int(bounds.argmax())
            if game.chooser == "random" or (game.chooser == "epsilon_greedy" and u[0] < epsilon):
                a = int(u[1] * choices)
            tried[s, a] += 1
        levels = []
        for i in range(2):
            draws = streams[i].at(t)
            u = draws.uniforms("try", 1)[0, 0]
            tries = draws.block_uniforms("explore", 1)[0, 0] < epsilon
            levels.append(int(u * 4) if tries else int(tables[i][s].argmax()))
        epsilon *= decay
        outcome = a * profiles + int(stage.profile(levels))
        made = s, levels, a, game.payoffs[outcome], game.rewards[outcome]
        found.append(outcome)
        s = outcome
    return found


@pytest.mark.parametrize("platform", brasic.PLATFORMS)
def test_the_compiled_loop_plays_as_the_rules_are_written(platform):
    game, _ = brasic.game(replace(SMALL, platform=platform))
    wanted = reference(game, 3, 7, 3000)
    for end in (1, 2, 500, 3000):
        ours = game.play(3, 7, periods=end, tail=400)
        counts = np.bincount(wanted[max(end - 400, 0) : end], minlength=len(game.rewards))
        np.testing.assert_array_equal(ours.counts, counts)
        assert ours.periods == end
        assert not ours.converged


def test_a_session_ends_once_greedy_prices_stand_still():
    game, _ = brasic.game(replace(SMALL, platform="none"))
    ours = game.play(0, 0, checks=20)
    assert ours.converged
    assert ours.periods % 100 == 0
    assert ours.periods < 100_000


def test_what_a_recommendation_pays_is_what_the_market_pays():
    """Seller 1 is recommended to both types: three quarters of both see it alone."""
    game, values = brasic.game(SMALL)
    levels, mu = (1, 2), 0.25
    price = [SMALL.grid[k] for k in levels]

    def share(offers, own, kind, search):
        utility = {i: brasic.QUALITY[i, kind] - price[i] - search for i in offers}
        weights = {i: np.exp(u / mu) for i, u in utility.items()}
        return weights.get(own, 0.0) / (1.0 + sum(weights.values()))

    sold = [
        sum(
            0.5 * (0.75 * share([0], i, kind, 0.0) + 0.25 * share([0, 1], i, kind, 0.25))
            for kind in range(2)
        )
        for i in range(2)
    ]
    outcome = int(game.stages[0].profile(levels))  # the first of the four choices
    for i in range(2):
        assert game.payoffs[outcome, i] == pytest.approx((0.8 * price[i] - 1.0) * sold[i])
    assert values[outcome, 1] == pytest.approx(sum(sold))
    assert values[outcome, 3] == pytest.approx(0.2 * (sold[0] * price[0] + sold[1] * price[1]))


def test_static_nash_prices_without_and_with_a_recommendation():
    """1.64785 where nobody recommends, 1.83854 where type k is shown seller k."""
    for platform, nash in (("none", 1.64785), ("fixed", 1.83854)):
        step = 0.001
        low = nash - 10 * step
        s = brasic.RecommendationSettings(
            platform=platform, low=low, high=nash + 10 * step, levels=21
        )
        stage = brasic.game(s)[0].stages[0]
        (found,) = {float(stage.prices[p, 0]) for p in stage.pure_nash()}
        assert found == pytest.approx(nash, abs=step / 2)


REFUSED = {
    "chooser='best' must be one of": lambda game: replace(game, chooser="best"),
    "rewards has 3 rows, must have 4 choices x 16 profiles": lambda game: replace(
        game, rewards=np.zeros(3)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_game_that_does_not_fit_is_refused(message):
    game, _ = brasic.game(SMALL)
    with pytest.raises(InputError, match=message):
        REFUSED[message](game)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"platform": "best"}, "platform='best' must be one of"),
        ({"platform": "none", "omega": 0.5}, "omega=0.5: platform=none learns nothing"),
        ({"platform": "none", "tau": 0.5}, "tau=0.5: platform=none recommends nothing"),
        ({"low": 2.5}, "low=2.5 must be below high=2.1"),
        ({"tau": 0.0}, "tau=0.0 must be"),
    ],
)
def test_settings_that_change_nothing_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        brasic.RecommendationSettings(**changes)
