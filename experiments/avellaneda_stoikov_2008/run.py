"""A dealer who leans against its inventory, and one who does not, with the same random numbers.

Avellaneda and Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8(3),
2008, section 3.3. `mos replicate avellaneda_stoikov_2008`, or by itself
`python -m experiments.avellaneda_stoikov_2008.run --help`; what was found and where this departs
from the paper stands in README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.replication import ExecutionConfig, Finding, check_numbers
from mos_agents.analysis.statistics import student
from mos_agents.market.arrivals import FixedMass
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.dealing import FillIntensity
from mos_agents.market.defaults import make_market
from mos_agents.market.market import Market
from mos_agents.market.positions import Ledger
from mos_agents.market.quotes import TwoSided
from mos_agents.market.reference import Brownian, Fundamentals
from mos_agents.market.types import Array, InputError, Layout
from mos_agents.policies.base import Policy
from mos_agents.policies.market_making import AvellanedaStoikov, FixedSpread
from mos_agents.rollout import rollout
from mos_agents.runs.files import write_whole

NAME = "avellaneda_stoikov_2008"
TITLE = "A dealer who leans against its inventory (Avellaneda and Stoikov, QF 2008)"
QUICK = ("paths=500",)
COUNT, KEEPS = "paths", False  # `mos replicate --sessions` means paths; none are kept in a folder

MAKER = "maker_1"
STRATEGIES = ("inventory", "symmetric")
QUANTITIES = ("spread", "profit", "profit_sd", "q", "q_sd")
PAPER_PATHS = 1000
AT_ONCE = 10_000  # paths simulated together: bounds the memory, changes no figure

# In the order of QUANTITIES; and the digits after the point that the paper prints of each.
PUBLISHED: Mapping[float, Mapping[str, tuple[float, ...]]] = {
    0.1: {"inventory": (1.49, 65.0, 6.6, 0.08, 2.9), "symmetric": (1.49, 68.4, 12.7, 0.26, 8.4)},
    0.01: {"inventory": (1.35, 68.6, 8.7, 0.12, 5.1), "symmetric": (1.35, 68.8, 12.8, 0.09, 8.7)},
}
DIGITS = (2, 1, 1, 2, 1)
SOURCES = {0.1: "Table 1", 0.01: "Table 2"}

# Of the eight drawn figures of a table, one in twenty tables has one beyond this by chance alone.
Z_LIMIT = 2.727


@dataclass(frozen=True)
class DealerSettings:
    """The paper's parameters. mid, sigma, kappa: money; horizon and dt: time; rate: A, per time."""

    gamma: float = 0.1
    paths: int = PAPER_PATHS
    seed: int = 0
    mid: float = 100.0
    horizon: float = 1.0
    dt: float = 0.005
    sigma: float = 2.0
    kappa: float = 1.5
    rate: float = 140.0

    def __post_init__(self) -> None:
        numbers = ("gamma", "mid", "horizon", "dt", "sigma", "kappa", "rate")
        check_numbers(
            self,
            {"paths": (int, -math.inf, math.inf), "seed": (int, 0, 2**63 - 1)}
            | dict.fromkeys(numbers, (float, 0.0, math.inf)),
            above=numbers,
        )
        if self.paths < 2:
            raise InputError(f"paths={self.paths!r} must be >= 2: one path does not scatter")

    @property
    def ticks(self) -> int:
        return round(self.horizon / self.dt)


Settings = DealerSettings


def notes(a: DealerSettings) -> list[str]:
    """What the figures depend on: ties, grid and order of moves."""
    return [
        "ties: none; there is one dealer",
        f"grid: none for prices; {a.ticks} steps of {a.dt:g}",
        "order of moves: the dealer quotes; a buyer and a seller come and trade with chance "
        "A exp(-k distance) dt each; then the mid price moves",
    ]


@dataclass(frozen=True)
class StrategyPaths:
    """What a strategy came to: final wealth at the mid price and inventory [P], mean spread."""

    spread: float
    profit: Array
    q: Array


def market(a: DealerSettings) -> Market:
    """One maker; each tick one buyer and one seller who trade with probability A exp(-k d) dt."""
    layout = Layout.dense([MAKER], ["stock"], ["maker"])
    nothing = np.zeros(1)
    return make_market(
        layout,
        Catalogue(nothing, np.array([a.mid]), nothing, nothing),
        FillIntensity(kappa=a.kappa, scale=a.rate * a.dt, volatility_boost=0.0),
        quotes=TwoSided(
            tick_size=0.0, size=1.0, min_spread=1e-9, max_spread=a.mid, max_offset=a.mid
        ),
        arrivals=FixedMass(buy=1.0, sell=1.0),
        reference=Fundamentals(Brownian(sigma=a.sigma)),
        positions=Ledger(short=True, mark="reference"),
        dt=a.dt,
        horizon=a.ticks,
        name=NAME,
    )


def average_spread(a: DealerSettings) -> float:
    """Mean over the ticks of gamma sigma^2 (T - t) + (2 / gamma) ln(1 + gamma / kappa)."""
    left = a.horizon - a.dt * np.arange(a.ticks)
    closed = 2.0 / a.gamma * math.log1p(a.gamma / a.kappa)
    return float(a.gamma * a.sigma**2 * left.mean() + closed)


def policies(a: DealerSettings) -> dict[str, Policy]:
    """The two strategies: both quote the same spread on average, around other middles."""
    return {
        "inventory": AvellanedaStoikov(gamma=a.gamma),
        "symmetric": FixedSpread(spread=average_spread(a)),
    }


def simulate(
    a: DealerSettings,
    policy: Policy,
    at_once: int = AT_ONCE,
    on_paths: Callable[[int], None] = lambda paths: None,
) -> StrategyPaths:
    """Path p of a seed is market p of it, whatever else is simulated, for every strategy."""
    one_market, profit, q, spreads = market(a), [], [], []
    for first in range(0, a.paths, at_once):
        numbers = np.arange(first, min(first + at_once, a.paths))
        played = rollout(
            one_market, {MAKER: policy}, seed=a.seed, markets=numbers, series=("bid", "ask")
        )
        final = played.final
        held = final.positions.inventory[:, 0]
        profit.append(final.positions.cash[:, 0] + held * final.reference[:, 0])
        q.append(held)
        spreads.append((played.series["ask"] - played.series["bid"]).mean() * numbers.size)
        on_paths(numbers.size)
    return StrategyPaths(
        float(np.sum(spreads)) / a.paths, np.concatenate(profit), np.concatenate(q)
    )


def estimates(paths: StrategyPaths) -> list[tuple[float, float]]:
    """(value, standard deviation over single paths) of each quantity, in the order of QUANTITIES.

    A mean's is the paths' own; a standard deviation's is sd sqrt((kurtosis - 1) / 4). Divided by
    the root of the number of paths they are standard errors.
    """
    found = [(paths.spread, 0.0)]
    for values in (paths.profit, paths.q):
        sd = float(values.std(ddof=1))
        gaps = values - values.mean()
        kurtosis = float((gaps**4).mean() / (gaps**2).mean() ** 2) if sd > 0.0 else 1.0
        found += [(float(values.mean()), sd), (sd, sd * math.sqrt(max(kurtosis - 1.0, 0.0) / 4.0))]
    return found


def results(
    a: DealerSettings, at_once: int = AT_ONCE, on_paths: Callable[[int], None] = lambda paths: None
) -> list[dict[str, Any]]:
    """One record a quantity, strategy by strategy; see README.md for the columns."""
    table = next((g for g in PUBLISHED if math.isclose(g, a.gamma)), None)
    as_published = table is not None and a == DealerSettings(table, a.paths, a.seed)
    records, reach = [], student(a.paths)
    for strategy, policy in policies(a).items():
        rows = zip(
            QUANTITIES, estimates(simulate(a, policy, at_once, on_paths)), DIGITS, strict=True
        )
        for i, (name, (ours, deviation), digits) in enumerate(rows):
            error = deviation / math.sqrt(a.paths)
            record: dict[str, Any] = {
                "quantity": f"{strategy}.{name}",
                "published": None,
                "ours": ours,
                "ci95": [ours - reach * error, ours + reach * error],
                "within": None,
                "source": None,
                "z": None,
            }
            if as_published and table is not None:
                published = PUBLISHED[table][strategy][i]
                beyond = max(abs(ours - published) - 0.5 * 10.0**-digits, 0.0)
                both = math.hypot(error, deviation / math.sqrt(PAPER_PATHS))
                z = math.copysign(beyond / both, ours - published) if both else None
                within = abs(z) <= Z_LIMIT if z is not None else beyond == 0.0
                record |= {
                    "published": published,
                    "within": within,
                    "source": SOURCES[table],
                    "z": z,
                }
            records.append(record)
    return records


def replicate(a: DealerSettings, execution: ExecutionConfig) -> list[Finding]:
    """The same records as findings, for `mos replicate`."""
    done, whole = 0, a.paths * len(STRATEGIES)

    def on_paths(paths: int) -> None:
        nonlocal done
        done += paths
        execution.progress("paths", done, whole)

    execution.progress("paths", 0, whole)
    return [
        Finding(
            r["quantity"],
            r["published"],
            r["ours"],
            tuple(r["ci95"]),
            r["within"],
            r["source"] and f"Avellaneda and Stoikov 2008, {r['source']}",
            computed=r["quantity"].endswith(".spread"),
            sessions=a.paths,
            z=(0.0 if r["within"] else math.inf) if r["z"] is None else r["z"],
        )
        for r in results(a, on_paths=on_paths)
    ]


def table(a: DealerSettings, records: Sequence[Mapping[str, Any]]) -> str:
    """The records as text."""
    lines = [
        f"gamma {a.gamma:g}, {a.paths} paths of {a.ticks} steps, seed {a.seed}",
        f"{'quantity':<21}{'published':>10}{'ours':>10}{'95% over paths':>22}{'z':>7}  within",
    ]
    for r in records:
        low, high = r["ci95"]
        published = "-" if r["published"] is None else f"{r['published']:g}"
        z = "-" if r["z"] is None else f"{r['z']:+.2f}"
        verdict = {None: "-", True: "yes", False: "NO"}[r["within"]]
        lines.append(
            f"{r['quantity']:<21}{published:>10}{r['ours']:>10.3f}"
            f"{f'[{low:.3f}, {high:.3f}]':>22}{z:>7}  {verdict}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 1 a figure is off, 2 an argument cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.avellaneda_stoikov_2008.run", description=__doc__
    )
    parser.add_argument("--gamma", type=float, default=DealerSettings.gamma, help="risk aversion")
    parser.add_argument("--paths", type=int, default=DealerSettings.paths, help="simulated days")
    parser.add_argument("--seed", type=int, default=DealerSettings.seed)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    given = parser.parse_args(arguments)
    try:
        a = DealerSettings(given.gamma, given.paths, given.seed)
        records = results(a)
        if given.json is not None:
            written = {"experiment": NAME, "settings": asdict(a), "results": records}
            write_whole(given.json, (json.dumps(written, indent=2) + "\n").encode())
    except (InputError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(table(a, records))
    return int(any(r["within"] is False for r in records))


if __name__ == "__main__":
    sys.exit(main())
