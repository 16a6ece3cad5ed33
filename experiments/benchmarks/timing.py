"""How two things are timed so that a busy machine does not decide between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Work = Callable[[], int]  # does some units of work and says how many


@dataclass(frozen=True)
class BenchmarkLine:
    """One line of the table. Rates are units of work per CPU second of one core; over Ray, per
    second of the clock, since many processes work at once."""

    name: str
    unit: str
    ours: float
    other: str
    others: float
    goal: float | None  # the ratio aimed at; None where the other is a floor to know about

    @property
    def ratio(self) -> float:
        return self.ours / self.others


def rates(work: Mapping[str, Work], runs: int = 9) -> dict[str, float]:
    """Median rates of several runs, by name.

    All take turns, so that whatever slows the machine down slows all of them; CPU time of this
    process, so that others on the machine do not count. One turn before the first warms up.
    """
    for one in work.values():
        one()
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, one in work.items():
            begun = time.process_time()
            units = one()
            found[name].append(units / (time.process_time() - begun))
    return {name: median(values) for name, values in found.items()}
