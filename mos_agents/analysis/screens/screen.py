"""What all screens share: a question, what it needs, and one form of answer.

A screen takes what is on record of one market and gives a p-value for the hypothesis that its firms
compete. It removes costs, seasons and common shocks first, as far as the record allows, and says
how. Where the record cannot tell, it says what is missing and gives no verdict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import join_names
from mos_agents.analysis.screens.observed import NEEDS, Observed
from mos_agents.analysis.screens.sessions import SessionPaths
from mos_agents.market.checks import check_real, check_whole
from mos_agents.market.types import InputError, IntArray


@dataclass(frozen=True)
class ScreenResult:
    """The answer of one screen about one market.

    Parameters
    ----------
    screen : str
        Name of the screen.
    conduct : bool
        Whether an alarm speaks against competition. False for a pattern that competitors show too.
    alarm : bool or None
        Whether the p-value is at most the level; None where the screen does not apply.
    p_value : float or None
        Chance of such a record among competitors, at most; None where the screen does not apply.
    statistic : float or None
        What was measured; the screen's page says in which unit.
    level : float
        Level of the test.
    sentence : str
        The answer in one or two plain sentences.
    missing : tuple of str
        What the record lacks, as in `NEEDS`.
    removed : str
        How costs, seasons and common shocks were removed; empty if nothing was.
    figures : mapping of str to float
        Further figures, by name.
    """

    screen: str
    conduct: bool
    alarm: bool | None
    p_value: float | None
    statistic: float | None
    level: float
    sentence: str
    missing: tuple[str, ...] = ()
    removed: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def applies(self) -> bool:
        """Whether the screen gave a verdict."""
        return self.alarm is not None

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Screen(ABC):
    """A test of one market's record. A screen of your own inherits from it and writes `judge`.

    Parameters
    ----------
    level : float
        Largest p-value that sounds, in (0, 0.5].
    seed : int
        Seed of the random numbers of resampling, >= 0.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    question: ClassVar[str] = ""
    conduct: ClassVar[bool] = True
    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """One of each inner tuple must be on record."""
    least_ticks: ClassVar[int] = 20
    least_firms: ClassVar[int] = 2
    cannot: ClassVar[str] = ""
    """What the screen cannot do."""

    level: float = field(default=0.05, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_real("level", self.level, 0.0, 0.5, above=True)
        check_whole("seed", self.seed, 0)

    @abstractmethod
    def judge(self, observed: Observed) -> ScreenResult:
        """Test a record that has all that the screen needs.

        Parameters
        ----------
        observed : Observed
            The record.

        Returns
        -------
        ScreenResult
            The answer: `verdict` or `no_verdict`.
        """

    def test(self, observed: Observed) -> ScreenResult:
        """Test one market's record, or say what it lacks.

        Parameters
        ----------
        observed : Observed
            The record.

        Returns
        -------
        ScreenResult
            The answer.
        """
        reason, missing = self._lacking(observed)
        return self.no_verdict(reason, missing) if reason else self.judge(observed)

    def lacks(self, observed: Observed) -> str:
        """Say what the record lacks.

        Parameters
        ----------
        observed : Observed
            The record.

        Returns
        -------
        str
            The second half of a sentence, such as "it needs the firms' unit costs"; empty if
            nothing is lacking.
        """
        return self._lacking(observed)[0]

    def _lacking(self, observed: Observed) -> tuple[str, tuple[str, ...]]:
        absent = [any_of for any_of in self.needs if not any(map(observed.has, any_of))]
        if absent:
            words = [" or ".join(NEEDS[one] for one in any_of) for any_of in absent]
            return f"it needs {join_names(words)}", tuple(any_of[0] for any_of in absent)
        for what, least, there in (
            ("dates", self.least_ticks, observed.ticks),
            ("firms", self.least_firms, observed.firms),
        ):
            if there < least:
                return f"it needs at least {least} {what}, and the record has {there}", (what,)
        return "", ()

    def no_verdict(self, reason: str, missing: tuple[str, ...] = ()) -> ScreenResult:
        """Return an answer without a verdict.

        Parameters
        ----------
        reason : str
            Why, as the second half of a sentence.
        missing : tuple of str, optional
            What the record lacks.

        Returns
        -------
        ScreenResult
            The answer, with alarm None.
        """
        sentence = f"{self.title}: no verdict, because {reason}."
        return ScreenResult(
            self.name, self.conduct, None, None, None, self.level, sentence, missing
        )

    def verdict(
        self,
        p_value: float,
        statistic: float,
        alarm: str,
        quiet: str,
        removed: str = "",
        **figures: float,
    ) -> ScreenResult:
        """Return an answer with a verdict.

        Parameters
        ----------
        p_value : float
            Chance of such a record among competitors.
        statistic : float
            What was measured.
        alarm, quiet : str
            The sentence if the p-value is at most the level, and if not.
        removed : str, optional
            How costs, seasons and common shocks were removed.
        **figures : float
            Further figures.

        Returns
        -------
        ScreenResult
            The answer.
        """
        sounds = bool(p_value <= self.level * (1.0 + 1e-9))
        return ScreenResult(
            self.name,
            self.conduct,
            sounds,
            float(p_value),
            float(statistic),
            self.level,
            alarm if sounds else quiet,
            (),
            removed,
            figures,
        )

    def __call__(self, sessions: SessionPaths) -> IntArray:
        """Test each of S simulated sessions.

        Parameters
        ----------
        sessions : SessionPaths
            The sessions.

        Returns
        -------
        array of bool [S]
            Alarms.

        Raises
        ------
        InputError
            If the sessions lack what the screen needs.
        """
        found = [self.test(sessions.observed(s)) for s in range(sessions.sessions)]
        for one in found:
            if one.missing:
                raise InputError(one.sentence.rstrip("."))
        return np.array([one.alarm is True for one in found], dtype=bool)
