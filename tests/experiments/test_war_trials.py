"""`mos replicate price_wars`: wars follow trials where sellers have a future, and nowhere else."""

import pytest

from experiments.price_wars.run import WarTrialSettings, notes, replicate
from experiments.replication import ExecutionConfig, settings
from mos_agents.market.types import InputError


def figures(**changes):
    made = replicate(WarTrialSettings(**changes), ExecutionConfig())
    return {one.quantity: one for one in made}


def test_low_trials_set_off_wars_among_sellers_with_a_future():
    found = figures(sessions=24)
    assert 0.12 < found["war_after_trial"].ours < 0.42  # .265 over 100 sessions
    assert found["war_placebo"].ours < 0.03
    assert found["significant_share"].ours >= 0.5
    assert found["strangers_war_after_trial"].ours < found["war_after_trial"].ours
    assert found["first_answer_beyond_best_reply"].ours < -0.1
    shares = [found[f"ended_by_{who}"].ours for who in ("trier", "rival", "both")]
    assert 0.5 < sum(shares) <= 1.0 + 1e-12


@pytest.mark.parametrize(
    "changes", [{"delta": 0.0}, {"sees": "nothing", "learning": "off"}, {"sees": "own"}]
)
def test_without_a_future_or_sight_no_war_follows(changes):
    found = figures(sessions=4, **changes)
    assert found["war_after_trial"].ours < 0.01
    assert found["significant_share"].ours == 0.0


@pytest.mark.parametrize("world", ["common_cost", "season", "promotions", "best_reply"])
def test_common_shocks_and_best_replies_are_no_wars_of_trials(world):
    found = figures(world=world, sessions=100, ticks=4000)
    after, placebo = found["war_after_trial"], found["war_placebo"]
    assert after.ci95[0] <= placebo.ours <= after.ci95[1]
    assert found["significant_share"].ours <= 0.1
    if world != "best_reply":
        assert placebo.ours > 0.05  # wars there are, in both groups


def test_settings_are_read_as_the_command_line_gives_them():
    assert settings("price_wars", ["learning=off", "sees=own"]).learning == "off"
    assert settings("price_wars", ["learning=on"]) == WarTrialSettings()
    assert settings("price_wars", ["delta=.8"], sessions=7).sessions == 7
    assert any("ties" in line for line in notes(WarTrialSettings()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sees=all", "sees='all' must be one of rivals, own, nothing"),
        ("learning=maybe", "learning='maybe' must be one of on, off"),
        ("world=peace", "world='peace' must be one of learners, common_cost"),
        ("chance=0.5", "chance=0.5 must be"),
        ("delta=1", "delta=1 must be"),
        ("horizon=3", "horizon=3 must be at least"),
    ],
)
def test_a_wrong_setting_is_one_line(change, message):
    with pytest.raises(InputError) as error:
        settings("price_wars", [change])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_competitive_world_takes_no_learners_settings():
    with pytest.raises(InputError, match=r"delta=0\.5 is for learners"):
        settings("price_wars", ["world=season", "delta=.5"])
