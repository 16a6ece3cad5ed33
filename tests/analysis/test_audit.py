"""All screens together: corrected for their number, in sentences that agree with the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from mos_agents.analysis.audit import ScreenVerdict, judge
from mos_agents.analysis.audit_text import (
    SUSPECTS,
    at_most,
    calibrated,
    levels_around,
    not_measured,
    percent_text,
)
from mos_agents.analysis.multiple import bonferroni, holm
from mos_agents.analysis.screens import Observed, Screen, ScreenResult
from mos_agents.corpus import WORLDS
from mos_agents.market.types import InputError


def stepwise(p_values: list[float], level: float) -> list[bool]:
    """Holm's method as he states it: reject the smallest while it is below level / (those left)."""
    rejected = [False] * len(p_values)
    for step, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] > level / (len(p_values) - step):
            break
        rejected[i] = True
    return rejected


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).tolist() == []
    assert bonferroni([0.02, 0.5]) == pytest.approx(0.04)


def test_holm_rejects_what_its_steps_reject():
    rng = np.random.default_rng(0)
    for _ in range(500):
        p_values = rng.beta(0.3, 1.0, size=rng.integers(1, 9)).tolist()
        assert (holm(p_values) <= 0.05).tolist() == stepwise(p_values, 0.05)


def test_holm_keeps_its_level_among_tests_that_depend_on_each_other():
    rng = np.random.default_rng(1)
    shared = rng.random((4000, 1)) * np.ones((1, 5))
    apart = rng.random((4000, 5))
    for p_values in (shared, apart, np.where(rng.random((4000, 5)) < 0.5, shared, apart)):
        any_alarm = np.mean([(holm(row) <= 0.05).any() for row in p_values])
        assert any_alarm <= 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("wrong", [[1.1], [-0.1], [float("nan")], [[0.5]]])
def test_holm_refuses_what_is_no_p_value(wrong):
    with pytest.raises(InputError, match="must be a list of numbers in"):
        holm(wrong)


# --- screens that answer what a test wants --------------------------------------------------------


@dataclass(frozen=True)
class Told(Screen):
    """A screen whose p-value is the first price of a record."""

    name: ClassVar[str] = "told"
    title: ClassVar[str] = "Told"
    question: ClassVar[str] = "What is the first price?"
    least_ticks: ClassVar[int] = 1
    least_firms: ClassVar[int] = 1

    def judge(self, observed: Observed) -> ScreenResult:
        return self.verdict(float(observed.prices[0, 0]), 0.0, "It sounds.", "It is quiet.")


@dataclass(frozen=True)
class Second(Told):
    """The same of the second price."""

    name: ClassVar[str] = "second"
    title: ClassVar[str] = "Second"

    def judge(self, observed: Observed) -> ScreenResult:
        return self.verdict(float(observed.prices[1, 0]), 0.0, "It sounds.", "It is quiet.")


@dataclass(frozen=True)
class Pattern(Told):
    """The same of the third price, and no sign of conduct."""

    name: ClassVar[str] = "pattern"
    conduct: ClassVar[bool] = False

    def judge(self, observed: Observed) -> ScreenResult:
        return self.verdict(float(observed.prices[2, 0]), 0.0, "It sounds.", "It is quiet.")


@dataclass(frozen=True)
class Wanting(Told):
    """A screen that needs costs."""

    name: ClassVar[str] = "wanting"
    needs: ClassVar = (("cost",),)


KINDS = (Told, Second, Pattern, Wanting)


def record(*p_values: float) -> Observed:
    return Observed(np.array(p_values)[:, None])


def by_name(p_values: dict[str, Observed], **settings: object) -> dict[str, ScreenVerdict]:
    found = judge(p_values, screens=KINDS, **settings)  # type: ignore[arg-type]
    return {one.screen: one for one in found.verdicts}


def test_a_screen_that_would_sound_alone_is_quiet_after_the_correction():
    found = by_name({"tea": record(0.03, 0.5, 1.0)})
    assert not found["told"].alarm
    assert found["told"].p_value == pytest.approx(0.03)
    assert found["told"].p_corrected == pytest.approx(0.06)
    assert "It is quiet." in found["told"].sentence
    assert "no alarm" in found["told"].sentence


def test_both_screens_may_sound_by_the_steps_of_holm():
    found = by_name({"tea": record(0.02, 0.04, 1.0)})
    assert found["told"].alarm and found["second"].alarm
    assert found["second"].p_corrected == pytest.approx(0.04)
    assert "at most 4% of cases" in found["second"].sentence


def test_products_are_counted_and_the_surest_is_named():
    found = by_name({"tea": record(0.01, 1.0, 1.0), "milk": record(0.9, 1.0, 1.0)})
    assert found["told"].p_value == pytest.approx(0.02)
    assert found["told"].alarm
    assert "tea: It sounds." in found["told"].sentence
    assert [name for name, _, _ in found["told"].products] == ["tea", "milk"]
    assert "counted for 2 screens and 2 products together" in found["told"].sentence


def test_a_pattern_is_reported_and_raises_no_alarm():
    found = judge({"tea": record(1.0, 1.0, 0.001)}, screens=KINDS)
    pattern = next(one for one in found.verdicts if one.screen == "pattern")
    assert pattern.pattern is True
    assert not pattern.alarm and not found.alarm


def test_a_screen_that_does_not_apply_says_what_it_needs():
    found = judge({"tea": record(1.0, 1.0, 1.0)}, screens=KINDS)
    assert [one.screen for one in found.not_applied] == ["wanting"]
    assert "unit costs" in found.not_applied[0].sentence


def test_rates_that_are_not_measured_are_not_told():
    found = by_name({"tea": record(0.5, 0.5, 0.5)})["told"]
    assert found.false_alarm_rate is None and found.power is None
    assert "are not measured" in found.sentence


@dataclass(frozen=True)
class MeasuredOnce:
    """A rate of one world with its limits."""

    rate: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class Rates:
    """Rates that tell at which level they were asked for."""

    false_alarm_rate: float
    power: float
    ticks: int
    firms: int
    mean_power: float = 0.03
    power_world: str = "rigid_cartel"
    competitive: tuple[MeasuredOnce, ...] = ()


def test_rates_are_told_at_the_level_of_the_correction():
    """Two screens at 5% together are tested at 2.5%: between the measured 2% and 5%."""

    def rates(screen: str, ticks: int, firms: int, level: float) -> Rates:
        return Rates(level, 10 * level, ticks, firms)

    found = by_name({"tea": record(0.5, 0.5, 0.5)}, rates=rates, tick="week")["told"]
    assert found.level == pytest.approx(0.025)
    assert found.false_alarm_rate == 0.05  # not understated
    assert found.power == pytest.approx(0.2)  # not overstated
    assert "In simulated markets of 3 weeks and 1 seller" in found.sentence
    assert "a false alarm in at most 5% of competitive ones" in found.sentence
    assert "It finds 20% of markets with a cartel that seldom changes its prices" in found.sentence
    assert "and 3% on average" in found.sentence
    assert (found.mean_power, found.power_world) == (0.03, "rigid_cartel")


@pytest.mark.parametrize("told", [Rates(0.01, 0.9, 52, 5), Rates(float("nan"), 0.9, 3, 1)])
def test_rates_of_longer_records_or_of_no_competitive_world_are_not_told(told):
    found = by_name({"tea": record(0.5, 0.5, 0.5)}, rates=lambda *_: told)["told"]
    assert found.power is None and found.false_alarm_rate is None
    assert "are not measured" in found.sentence


def test_a_quiet_screen_of_little_power_says_how_long_a_record_would_do():
    def rates(screen: str, ticks: int, firms: int, level: float) -> Rates:
        return Rates(0.01, min(0.1 * ticks, 1.0), ticks, firms)

    found = by_name({"tea": record(0.5, 0.5, 0.5)}, rates=rates, tick="week")["told"]
    assert found.more == (
        "A record of 12 weeks would find 100% of markets with a cartel that seldom changes its "
        "prices."
    )


def test_a_screen_that_sounds_too_often_in_one_world_has_the_rate_of_that_world():
    """p = .004 is counted as 12%: so often it comes about in a world of competitors."""
    worlds = (MeasuredOnce(0.12, (0.1, 0.14)), MeasuredOnce(0.007, (0.004, 0.012)))

    def rates(screen: str, ticks: int, firms: int, level: float) -> Rates:
        assert level == 0.005 or screen != "told"
        return Rates(0.12, 0.9, 3, 1, competitive=worlds)

    assert calibrated(0.004, "told", 3, 1, rates) == 0.12
    assert calibrated(0.3, "told", 3, 1, not_measured) == 0.3
    fine = Rates(0.007, 0.9, 3, 1, competitive=worlds[1:])
    assert calibrated(0.004, "told", 3, 1, lambda *_: fine) == 0.004


def test_every_suspect_world_has_words():
    assert set(SUSPECTS) == {n for n, w in WORLDS.items() if w.kind != "competitive"}


def test_levels_are_taken_from_the_table_on_the_safe_side():
    assert levels_around(0.05) == (0.05, 0.05)
    assert levels_around(0.007) == (0.005, 0.01)
    assert levels_around(0.0001) == (0.001, 0.001)


def test_shares_are_written_for_people():
    assert [percent_text(s) for s in (0.0, 0.0004, 0.012, 0.05, 1.0)] == [
        "0%",
        "less than 0.1%",
        "1.2%",
        "5%",
        "100%",
    ]
    assert at_most(0.0004) == "less than 0.1%"
    assert at_most(0.05) == "at most 5%"


def test_nothing_to_judge_is_refused():
    with pytest.raises(InputError, match="nothing to judge"):
        judge({})
    with pytest.raises(InputError, match="level"):
        judge({"tea": record(1.0, 1.0, 1.0)}, level=0.9)
