"""Hub and spoke: do firms with the same pricing software move together more than others?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mos_agents.analysis.numbers import join_names, number
from mos_agents.analysis.screens.adjusting import adjusted
from mos_agents.analysis.screens.lead_lag import innovations
from mos_agents.analysis.screens.observed import Observed
from mos_agents.analysis.screens.screen import Screen, ScreenResult
from mos_agents.market.checks import check_whole
from mos_agents.market.types import Array, IntArray


@dataclass(frozen=True)
class HubAndSpoke(Screen):
    """A screen: rivals that share a vendor move together more than any of them does with others.

    It compares the correlation of innovations of firms with the same vendor with the largest
    correlation of any of them with a firm of another vendor. A shock that reaches all firms raises
    both. The difference is resampled in blocks of dates, and all pairs of vendors with two or more
    firms are corrected for.

    Parameters
    ----------
    resamples : int
        Resamples of the bootstrap.
    level : float
        Largest p-value that sounds.
    seed : int
        Seed of the bootstrap.
    """

    name: ClassVar[str] = "hub_and_spoke"
    title: ClassVar[str] = "Shared vendor"
    question: ClassVar[str] = "Do firms with the same pricing software move together more?"
    needs: ClassVar = (("vendors",),)
    least_firms: ClassVar[int] = 3
    least_ticks: ClassVar[int] = 30
    cannot: ClassVar[str] = (
        "Firms of one vendor may have a cost or a clientele in common that others do not have. It "
        "needs a firm with another vendor, or without one, for comparison. It sees pooled data and "
        "common signals, and not an agreement."
    )

    resamples: int = 499

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("resamples", self.resamples, 19)

    def judge(self, observed: Observed) -> ScreenResult:
        assert observed.vendors is not None
        labels = observed.vendors
        shared = sorted({v for v in labels if v is not None and labels.count(v) >= 2})
        if not shared:
            return self.no_verdict("no two firms have the same vendor", ("vendors",))
        if all(v == shared[0] for v in labels):
            return self.no_verdict(
                "all firms have the same vendor, so nobody is left to compare with", ("vendors",)
            )
        clean = adjusted(observed)
        news = innovations(clean.prices)
        drawn = self._resampled(news)
        best = (1.0, 0.0, shared[0])
        for vendor in shared:
            inside = np.array([v == vendor for v in labels])
            found = float(_difference(_correlations(news[:, None]), inside)[0])
            scatter = _difference(drawn, inside)
            # The bootstrap's own largest of several correlations lies higher: it is centred.
            p = float((1 + (scatter - np.median(scatter) >= found).sum()) / (self.resamples + 1))
            if p <= best[0]:
                best = (p, found, vendor)
        p_value = min(1.0, len(shared) * best[0])
        firms = join_names([observed.name(i) for i, v in enumerate(labels) if v == best[2]])
        told = (
            f"the correlation of price changes among {firms} ({best[2]}) exceeds that with firms "
            f"of other vendors by {number(best[1])} (p = {number(p_value)})"
        )
        return self.verdict(
            p_value,
            best[1],
            f"Firms with the same vendor move together: {told}.",
            f"No sign that firms with the same vendor move together more: {told}.",
            clean.removed or "A shock that reaches all firms raises all correlations alike.",
        )

    def _resampled(self, news: Array) -> Array:
        """Correlations [R, N, N] of blocks of dates drawn with replacement."""
        rng = np.random.default_rng(self.seed)
        ticks = len(news)
        block = max(2, round(ticks ** (1.0 / 3.0)))
        starts = rng.integers(ticks, size=(-(-ticks // block), self.resamples))
        rows = (starts[:, None, :] + np.arange(block)[None, :, None]).reshape(-1, self.resamples)
        return _correlations(news[rows[:ticks] % ticks])


def _correlations(news: Array) -> Array:
    """Correlations [R, N, N] of innovations [T, R, N]."""
    centred = news - news.mean(axis=0)
    product = np.einsum("trn,trm->rnm", centred, centred)
    size = np.sqrt(np.maximum(np.einsum("rnn->rn", product), 1e-300))
    ratio: Array = product / (size[:, :, None] * size[:, None, :])
    return ratio


def _difference(correlation: Array, inside: IntArray) -> Array:
    """Mean correlation among the firms inside, less the largest with a firm outside, [R]."""
    pair = np.triu(np.outer(inside, inside), 1).astype(bool)
    among = correlation[:, pair].mean(axis=1)
    across = correlation[:, np.outer(inside, ~inside)].max(axis=1)
    gap: Array = among - across
    return gap
