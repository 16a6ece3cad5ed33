"""The sentences of an audit: what a verdict means, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from mos_agents.analysis.numbers import join_names

LEVELS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Levels at which the rates of screens are measured."""

COMMON = 0.5
"""From this corrected p-value on a record is called common."""

GOOD_POWER = 0.8
"""A screen that finds four of five suspect markets says enough when it is quiet."""

SUSPECTS = {
    "cartel": "a cartel",
    "cartel_defections": "a cartel whose members defect now and then",
    "rigid_cartel": "a cartel that seldom changes its prices",
    "new_cartel": "a cartel that begins half-way",
    "learners": "pricing programs that have learnt to answer each other",
    "learners_cost": "pricing programs that have learnt to answer each other",
    "hasty_learners": "pricing programs that stopped trying prices too early",
    "pooled_data": "rivals whose software vendor pools their data",
}
"""The suspect worlds of the corpus, for readers who do not know their names."""

LONGER = (2, 4, 8, 16, 32)
"""How many times as many ticks are tried for a longer record."""


class MeasuredWorld(Protocol):
    """How often a screen sounded in one simulated world."""

    @property
    def rate(self) -> float:
        """Share of alarms."""
        ...

    @property
    def limits(self) -> tuple[float, float]:
        """Confidence limits of the rate."""
        ...


class MeasuredRates(Protocol):
    """How often a screen sounded in simulated markets of one length and number of sellers."""

    @property
    def false_alarm_rate(self) -> float:
        """Share of alarms in the competitive world with the most alarms."""
        ...

    @property
    def competitive(self) -> Sequence[MeasuredWorld]:
        """The competitive worlds."""
        ...

    @property
    def mean_power(self) -> float:
        """Share of alarms on average over suspect worlds."""
        ...

    @property
    def power(self) -> float:
        """Share of alarms in the suspect world in which the screen sounds most."""
        ...

    @property
    def power_world(self) -> str:
        """That world."""
        ...

    @property
    def ticks(self) -> int:
        """Length of those markets."""
        ...

    @property
    def firms(self) -> int:
        """Number of sellers of those markets."""
        ...


RatesOf = Callable[[str, int, int, float], MeasuredRates | None]
"""Screen, ticks, firms and level to the measured rates; None where none were measured."""


def not_measured(screen: str, ticks: int, firms: int, level: float) -> None:
    """No rates: the verdicts say so.

    Parameters
    ----------
    screen : str
        Name of the screen.
    ticks, firms : int
        Size of the record.
    level : float
        Level of the test.
    """


class AuditSetting(NamedTuple):
    """What all screens of one kind share."""

    screens: int
    level: float  # at which Holm's method tests the surest of them
    ticks: int
    firms: int
    tick: str
    rates: RatesOf


def full_stop(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


def outcome(conduct: bool, found: bool) -> str:
    """The verdict in two or three words."""
    if conduct:
        return "alarm" if found else "no alarm"
    return "the pattern is there" if found else "the pattern is not there"


def percent_text(share: float) -> str:
    """A share for an official: 5%, 1.2%, less than 0.1%."""
    if 0.0 < share < 0.001:
        return "less than 0.1%"
    text = f"{100 * share:.1f}"
    return f"{text.removesuffix('.0')}%"


def at_most(share: float) -> str:
    """A limit for an official: at most 1.2%, less than 0.1%, 0%."""
    text = percent_text(share)
    return text if text.startswith(("less", "0%")) else f"at most {text}"


def chance(corrected: float, screens: int, products: int) -> str:
    """How likely such a record is among competitors, as a sentence."""
    counted = []
    if screens > 1:
        counted.append(f"{screens} screens")
    if products > 1:
        counted.append(f"{products} products")
    together = f", counted for {join_names(counted)} together" if counted else ""
    if corrected >= COMMON:
        return f"Records like this are common among competing sellers{together}."
    return f"Competing sellers give a record like this in {at_most(corrected)} of cases{together}."


def levels_around(level: float) -> tuple[float, float]:
    """The measured levels next below and next above."""
    low = next((one for one in LEVELS if one <= level * (1.0 + 1e-9)), LEVELS[-1])
    high = next((one for one in reversed(LEVELS) if one >= level * (1.0 - 1e-9)), LEVELS[0])
    return low, high


def trust(
    conduct: bool, false_alarms: MeasuredRates | None, power: MeasuredRates | None, tick: str
) -> str:
    """How far the screen can be trusted in markets like this one, in a sentence or two."""
    if false_alarms is None or power is None:
        return "Its false-alarm rate and its power are not measured in markets like this one."
    like = f"{power.ticks:,} {tick}s and {power.firms} seller{'' if power.firms == 1 else 's'}"
    best = f"{percent_text(power.power)} of markets with {_kind(power.power_world)}"
    mean = percent_text(power.mean_power)
    if not conduct:
        return (
            f"Competitors show this pattern, too. In simulated markets of {like} it is reported in "
            f"{at_most(false_alarms.false_alarm_rate)} of competitive ones, and in up to "
            f"{percent_text(power.power)} of the others."
        )
    return (
        f"In simulated markets of {like} it raises a false alarm in "
        f"{at_most(false_alarms.false_alarm_rate)} of competitive ones. It finds {best}, the kind "
        f"that it sees best, and {mean} on average over all kinds of collusion and price wars."
    )


def _kind(world: str) -> str:
    """A suspect world of the corpus in words."""
    return SUSPECTS.get(world, f"a {world.replace('_', ' ')}")


def within(rates: MeasuredRates | None, ticks: int) -> MeasuredRates | None:
    """Rates for a record of so many ticks; None where they are of longer records only."""
    if rates is None or rates.ticks > ticks:
        return None
    return rates if rates.false_alarm_rate == rates.false_alarm_rate else None


def calibrated(p_value: float, screen: str, ticks: int, firms: int, rates: RatesOf) -> float:
    """A p-value that a screen keeps in every competitive world in which it was measured.

    Where a screen gives p-values as small as this one more often than it should, in any world, the
    measured rate of that world takes the place of the p-value.

    Parameters
    ----------
    p_value : float
        What the screen says.
    screen : str
        Name of the screen.
    ticks, firms : int
        Size of the record.
    rates : callable
        Measured rates.

    Returns
    -------
    float
        The p-value, or a larger one.
    """
    level = next((one for one in reversed(LEVELS) if one >= p_value), None)
    found = None if level is None else within(rates(screen, ticks, firms, level), ticks)
    if found is None or level is None:
        return p_value
    too_often = [one.rate for one in found.competitive if one.limits[0] > level]
    return max([p_value, *too_often])


def more(screen: str, power: MeasuredRates | None, setting: AuditSetting, level: float) -> str:
    """How long a record would have to be for the screen to find what it looks for."""
    if power is None or power.power != power.power or power.power >= GOOD_POWER:
        return ""
    longest, tick = power, setting.tick
    for times in LONGER:
        longer = setting.rates(screen, setting.ticks * times, setting.firms, level)
        if longer is None or longer.ticks <= longest.ticks:
            continue
        longest = longer
        if longer.power >= GOOD_POWER:
            return (
                f"A record of {longer.ticks:,} {tick}s would find {percent_text(longer.power)} of "
                f"markets with {_kind(longer.power_world)}."
            )
    if longest.ticks > power.ticks:
        return (
            f"Even a record of {longest.ticks:,} {tick}s, the longest measured, would find only "
            f"{percent_text(longest.power)} of markets with {_kind(longest.power_world)}."
        )
    return "A longer record would find more; how much more is not measured."


def headline(
    screens: int, sounding: Sequence[str], level: float, sellers: int, ticks: int, tick: str
) -> list[str]:
    """The outcome of an audit in a few plain sentences.

    Parameters
    ----------
    screens : int
        Screens of conduct that apply.
    sounding : sequence of str
        Titles of those that raise an alarm.
    level : float
        Largest share of records of competing sellers in which any of them does.
    sellers, ticks : int
        Size of the record.
    tick : str
        What a tick is, such as "week".

    Returns
    -------
    list of str
        Sentences.
    """
    record = f"the prices of {sellers} seller{'' if sellers == 1 else 's'} in {ticks:,} {tick}s"
    count = f"{screens} screen{'' if screens == 1 else 's'}"
    if not screens:
        return [
            f"No verdict: none of the screens for collusion and price wars applies to {record}.",
            "The list below says what each screen would need.",
        ]
    if sounding:
        first = (
            f"{len(sounding)} of {count} for collusion and price wars raise"
            f"{'s' if len(sounding) == 1 else ''} an alarm about {record}: {join_names(sounding)}."
        )
        then = (
            "An alarm is a reason to look closer, not a proof: screens see prices, not intentions."
        )
    else:
        first = (
            f"No alarm: {count} for collusion and price wars looked at {record}, and none found "
            "more than competition explains."
        )
        then = "This is no proof of competition: screens miss part of the collusion that is there."
    return [
        first,
        f"If all sellers compete, an audit like this raises any alarm in "
        f"{at_most(level)} of cases (Holm's correction for {count}).",
        then,
    ]
