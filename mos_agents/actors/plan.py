"""What a shard needs to begin or to begin again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mos_agents import registry
from mos_agents.market.types import InputError, IntArray


@dataclass(frozen=True)
class ShardPlan:
    """The settings of one shard: plain values only, since they cross between processes.

    Parameters
    ----------
    run : str
        The name of the run. Messages of another run are refused.
    scenario : str
        The resolved scenario, as YAML.
    seed : int
        The seed of the run.
    markets : tuple of int
        The numbers of the shard's markets.
    workers : int
        Workers that hold the participants; 0: one for each participant.
    deadline : float or None
        Seconds that a tick waits for replies; None: without limit.
    patience : int
        Ticks in a row without a valid reply after which a worker is restarted.
    restarts : int
        How often a worker is restarted before its participants are withdrawn.
    starting : float
        Seconds after its start in which a late worker is not counted against `patience`.
    keep_calls : float
        Megabytes of past calls that are kept for restarts.
    folder : str or None
        Where snapshots and journal are written; None: nowhere, and a dead shard is lost.
    audit : bool
        Whether the journal is kept from the first tick on.
    recorded : int
        How many of the markets, from the first on, are recorded.
    every : int
        Every how many ticks are recorded.
    rewards : bool
        Whether the driver gets all rewards of all ticks, for quantiles over several shards.
    classes : tuple
        What the driver's own script has registered. Other processes cannot import it.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    run: str
    scenario: str
    seed: int
    markets: tuple[int, ...]
    workers: int = 0
    deadline: float | None = None
    patience: int = 3
    restarts: int = 3
    starting: float = 30.0
    keep_calls: float = 64.0
    folder: str | None = None
    audit: bool = False
    recorded: int = 0
    every: int = 1
    rewards: bool = True
    classes: tuple[registry.Entry, ...] = field(default_factory=registry.of_this_script)

    def __post_init__(self) -> None:
        for name, low in (("workers", 0), ("patience", 1), ("restarts", 0), ("starting", 0.0)):
            if getattr(self, name) < low:
                raise InputError(f"{name}={getattr(self, name)!r} must be >= {low}")
        if self.deadline is not None and not self.deadline > 0.0:
            raise InputError(f"deadline={self.deadline!r} must be > 0 seconds")

    def part(self, shard: int, shards: int, markets: int) -> ShardPlan:
        """The plan of shard number `shard` of a run of `markets` markets, with its own folder."""
        numbers = markets_of(shard, shards, markets)
        recorded = int(np.clip(self.recorded - numbers[0], 0, numbers.size))
        folder = None if self.folder is None else f"{self.folder}/shard-{shard:04d}"
        return replace(
            self,
            markets=tuple(int(m) for m in numbers),
            recorded=recorded,
            folder=folder,
            rewards=shards > 1,
        )

    def without_folder(self) -> ShardPlan:
        """The plan without a folder: nothing is written."""
        return replace(self, folder=None)


def markets_of(shard: int, shards: int, markets: int) -> IntArray:
    """The numbers of one shard's markets: consecutive, and evenly dealt over the shards."""
    edges = np.linspace(0, markets, shards + 1).astype(np.int64)
    return np.arange(edges[shard], edges[shard + 1])
