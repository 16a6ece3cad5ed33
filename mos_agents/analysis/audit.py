"""All screens that apply to a record of prices, with one corrected answer.

Each screen gives a p-value for every product of the record. The p-values of one screen are
combined over products by Bonferroni's rule. The screens that speak about conduct are then corrected
for their number by Holm's method, so that an audit of competing sellers raises any alarm in at most
5% of cases. A screen of a pattern that competitors show too, such as a price cycle, is reported
beside them, corrected among its like.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mos_agents.analysis.audit_text import (
    AuditSetting,
    RatesOf,
    calibrated,
    chance,
    full_stop,
    levels_around,
    more,
    not_measured,
    outcome,
    trust,
    within,
)
from mos_agents.analysis.multiple import bonferroni, holm
from mos_agents.analysis.screens import SCREENS, Observed, Screen, ScreenResult
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError


@short_repr
@dataclass(frozen=True)
class ScreenVerdict:
    """What one screen says about a record.

    Parameters
    ----------
    screen, title, question : str
        The screen's name, its title, and what it asks.
    conduct : bool
        Whether an alarm speaks against competition. False for a pattern that competitors show too.
    alarm : bool
        Whether the screen speaks against competition, after the correction.
    pattern : bool or None
        Whether the pattern is there, after the correction; None for a screen of conduct.
    p_value : float
        How often competing sellers give such a record, at most; of the surest product.
    p_corrected : float
        The same after the correction for the number of screens of its kind.
    level : float
        The smallest level at which the correction may have tested this screen.
    false_alarm_rate : float or None
        Measured share of alarms at that level in simulated competitive markets, in the world with
        the most alarms; None where it is not measured.
    power, mean_power : float or None
        Measured shares of alarms in suspect worlds: in the one that the screen sees best, and on
        average.
    power_world : str or None
        The suspect world that the screen sees best.
    rates_ticks, rates_firms : int or None
        Length and number of sellers of those markets.
    sentence : str
        The verdict in plain words.
    more : str
        What would be needed to say more; empty where nothing would.
    removed : str
        How costs, seasons and common shocks were removed.
    cannot : str
        What the screen cannot do.
    products : tuple of tuple (str, float, str)
        Product, p-value and sentence, for each product to which the screen applies.
    """

    screen: str
    title: str
    question: str
    conduct: bool
    alarm: bool
    pattern: bool | None
    p_value: float
    p_corrected: float
    level: float
    false_alarm_rate: float | None
    power: float | None
    mean_power: float | None
    power_world: str | None
    rates_ticks: int | None
    rates_firms: int | None
    sentence: str
    more: str
    removed: str
    cannot: str
    products: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class NotApplied:
    """A screen that does not apply to a record.

    Parameters
    ----------
    screen, title, question : str
        The screen's name, its title, and what it asks.
    missing : tuple of str
        What the record lacks.
    sentence : str
        Why it does not apply, and what it would need.
    """

    screen: str
    title: str
    question: str
    missing: tuple[str, ...]
    sentence: str


@short_repr
@dataclass(frozen=True)
class ScreenVerdicts:
    """What all screens say about a record.

    Parameters
    ----------
    verdicts : tuple of ScreenVerdict
        Screens that apply: those of conduct first, the surest first.
    not_applied : tuple of NotApplied
        The other screens.
    level : float
        Largest share of records of competing sellers in which any screen raises an alarm.
    """

    verdicts: tuple[ScreenVerdict, ...]
    not_applied: tuple[NotApplied, ...]
    level: float

    @property
    def alarm(self) -> bool:
        """Whether any screen of conduct raises an alarm after the correction."""
        return any(one.alarm for one in self.verdicts)

    @property
    def conduct(self) -> tuple[ScreenVerdict, ...]:
        """The verdicts that speak about conduct."""
        return tuple(one for one in self.verdicts if one.conduct)


def judge(
    records: Mapping[str, Observed],
    level: float = 0.05,
    seed: int = 0,
    tick: str = "tick",
    screens: Sequence[type[Screen]] | None = None,
    rates: RatesOf = not_measured,
) -> ScreenVerdicts:
    """Put all screens to a record of one or several products.

    Parameters
    ----------
    records : mapping of str to Observed
        What is on record of each product.
    level : float, optional
        Largest share of competitive records in which any screen raises an alarm, in (0, 0.5].
    seed : int, optional
        Seed of resampling.
    tick : str, optional
        What a tick is, for sentences: "week".
    screens : sequence of Screen classes, optional
        The screens; by default all of `SCREENS`.
    rates : callable, optional
        Measured rates of a screen at a length, a number of sellers and a level.

    Returns
    -------
    ScreenVerdicts
        The verdicts, corrected for the number of screens.

    Raises
    ------
    InputError
        If there is no record, or a number is out of its range.
    """
    if not records:
        raise InputError("records is empty: there is nothing to judge")
    check_real("level", level, 0.0, 0.5, above=True)
    check_whole("seed", seed, 0)
    kinds = list(SCREENS.values()) if screens is None else list(screens)
    tests = [_Tested.of(kind(level=level, seed=seed), records, rates) for kind in kinds]
    ticks, firms = _size(records)
    found: list[ScreenVerdict] = []
    for conduct in (True, False):
        family = [one for one in tests if one.applies and one.screen.conduct is conduct]
        if not family:
            continue
        setting = AuditSetting(len(family), level / len(family), ticks, firms, tick, rates)
        corrected = holm([one.p_value for one in family]).tolist()
        made = [
            one.verdict(p <= level * (1.0 + 1e-9), p, setting)
            for one, p in zip(family, corrected, strict=True)
        ]
        found += sorted(made, key=lambda v: v.p_value)
    left = tuple(one.not_applied() for one in tests if not one.applies)
    return ScreenVerdicts(tuple(found), left, level)


def _size(records: Mapping[str, Observed]) -> tuple[int, int]:
    """Ticks and firms of the smallest record: rates of shorter records are the worse ones."""
    return min(r.ticks for r in records.values()), min(r.firms for r in records.values())


@dataclass(frozen=True)
class _Tested:
    """A screen with its results, product by product."""

    screen: Screen
    records: Mapping[str, Observed]
    results: Mapping[str, ScreenResult]
    p_values: Mapping[str, float]  # of the products to which it applies

    @classmethod
    def of(cls, screen: Screen, records: Mapping[str, Observed], rates: RatesOf) -> _Tested:
        results = {name: screen.test(one) for name, one in records.items()}
        p_values = {
            name: calibrated(
                one.p_value, screen.name, records[name].ticks, records[name].firms, rates
            )
            for name, one in results.items()
            if one.p_value is not None
        }
        return cls(screen, records, results, p_values)

    @property
    def applies(self) -> bool:
        return bool(self.p_values)

    @property
    def p_value(self) -> float:
        return bonferroni(list(self.p_values.values()))

    def not_applied(self) -> NotApplied:
        first = next(iter(self.results.values()))
        screen = self.screen
        return NotApplied(screen.name, screen.title, screen.question, first.missing, first.sentence)

    def verdict(self, found: bool, corrected: float, setting: AuditSetting) -> ScreenVerdict:
        """The verdict in words; `found`: whether it holds after the correction."""
        screen = self.screen
        surest = min(self.p_values, key=lambda name: self.p_values[name])
        result = self._consistent(surest, found)
        where = "" if len(self.results) == 1 else f"{surest}: "
        low, high = levels_around(setting.level)
        false_alarms, power = (
            within(setting.rates(screen.name, setting.ticks, setting.firms, at), setting.ticks)
            for at in (high, low)
        )
        told = full_stop(result.sentence)
        sentence = [
            f"{screen.title}: {outcome(screen.conduct, found)}.",
            f"{where}{told}",
            chance(corrected, setting.screens, len(self.p_values)),
            trust(screen.conduct, false_alarms, power, setting.tick),
        ]
        return ScreenVerdict(
            screen.name,
            screen.title,
            screen.question,
            screen.conduct,
            found and screen.conduct,
            None if screen.conduct else found,
            self.p_value,
            corrected,
            setting.level,
            None if false_alarms is None else false_alarms.false_alarm_rate,
            None if power is None else power.power,
            None if power is None else power.mean_power,
            None if power is None else power.power_world,
            None if power is None else power.ticks,
            None if power is None else power.firms,
            " ".join(sentence),
            "" if found or not screen.conduct else more(screen.name, power, setting, low),
            result.removed,
            screen.cannot,
            tuple((name, p, self.results[name].sentence) for name, p in self.p_values.items()),
        )

    def _consistent(self, product: str, alarm: bool) -> ScreenResult:
        """The result whose sentence agrees with the corrected verdict."""
        result = self.results[product]
        if bool(result.alarm) is alarm:
            return result
        own = 1.0 if result.p_value is None else result.p_value
        level = max(own if alarm else 0.999 * own, 1e-12)
        again = dataclasses.replace(self.screen, level=min(level, 0.5))
        return again.test(self.records[product])
