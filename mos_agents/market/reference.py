"""Processes of mid prices, costs and outside demand: random, shocked or replayed.

A process has one verb, `step`: levels [B, M] now to levels [B, M] at the next tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mos_agents.market.checks import is_whole, within_floats
from mos_agents.market.counts import MOST_ORDERS, poisson_counts
from mos_agents.market.market import Market
from mos_agents.market.stages import Process, ReferenceRule
from mos_agents.market.streams import Draws, FixedDraws
from mos_agents.market.types import Array, InputError, State


def _check_rows(rows: int, have: int) -> None:
    if not is_whole(rows) or (rows != 0 and not 3 <= rows <= have):
        raise InputError(
            f"sigma_rows={rows!r} must be 0 for all, or a whole number from 3 to the {have} rows "
            "of the path"
        )


def _check(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name}={value!r} must be >= 0")


def beyond_floats() -> np.errstate:
    """No warnings of numpy's: the market stops at such a tick, and names the number."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@dataclass(frozen=True)
@within_floats
class Constant(Process):
    """Levels that never move."""

    def reads_time_step(self) -> bool:
        return type(self) is not Constant

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        return levels


@dataclass(frozen=True)
@within_floats
class GeometricBrownian(Process):
    """Geometric Brownian motion, dS = mu S dt + sigma S dW, exact over a tick.

    Parameters
    ----------
    mu : float
        drift per unit of time, as a share of the level.
    sigma : float
        volatility per square root of time, as a share of the level, >= 0.
    """

    mu: float = 0.0
    sigma: float = 0.02

    def __post_init__(self) -> None:
        _check(self, "sigma")

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        normals = draws.normals(key, levels.shape[1])
        drift = (self.mu - 0.5 * self.sigma**2) * dt
        with beyond_floats():
            return levels * np.exp(drift + self.sigma * np.sqrt(dt) * normals)


@dataclass(frozen=True)
@within_floats
class Brownian(Process):
    """Brownian motion, dS = mu dt + sigma dW, as in Avellaneda and Stoikov (2008).

    Levels may become negative.

    Parameters
    ----------
    mu : float
        drift per unit of time, in money.
    sigma : float
        volatility per square root of time, in money, >= 0.
    """

    mu: float = 0.0
    sigma: float = 2.0

    def __post_init__(self) -> None:
        _check(self, "sigma")

    def sigma_relative(self) -> bool:
        return False

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        normals = draws.normals(key, levels.shape[1])
        return levels + (self.mu * dt) + (self.sigma * sqrt(dt)) * normals


@dataclass(frozen=True)
@within_floats
class OrnsteinUhlenbeck(Process):
    """Mean reversion of the logarithm, d log S = -reversion (log S - log S_0) dt + sigma dW.

    Exact over a tick; levels stay positive.

    Parameters
    ----------
    reversion : float
        speed of the return to the opening level, per unit of time, >= 0.
    sigma : float
        volatility per square root of time, as a share of the level, >= 0.
    """

    reversion: float = 1.0
    sigma: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "reversion", "sigma")

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        keeps = np.exp(-self.reversion * dt)
        variance = dt if self.reversion == 0.0 else (1.0 - keeps**2) / (2.0 * self.reversion)
        noise = self.sigma * np.sqrt(variance) * draws.normals(key, levels.shape[1])
        with beyond_floats():
            logs: Array = np.exp(np.log(opening) + keeps * np.log(levels / opening) + noise)
        return logs


@dataclass(frozen=True)
@within_floats
class JumpDiffusion(Process):
    """Geometric Brownian motion with log-normal jumps at Poisson times (Merton 1976).

    Jumps are not compensated: the mean grows at the rate mu + rate (exp(jump_mean + jump_sd^2/2) -
    1). For a level that grows at the rate g on average, set mu to g less the second term.

    Parameters
    ----------
    mu : float
        drift per unit of time, as a share of the level.
    sigma : float
        volatility per square root of time between jumps, as a share of the level, >= 0.
    rate : float
        jumps per unit of time, >= 0.
    jump_mean : float
        mean of the logarithm of a jump's factor.
    jump_sd : float
        standard deviation of the logarithm of a jump's factor, >= 0.
    """

    mu: float = 0.0
    sigma: float = 0.02
    rate: float = 0.1
    jump_mean: float = 0.0
    jump_sd: float = 0.05

    def __post_init__(self) -> None:
        _check(self, "sigma", "rate", "jump_sd")

    def volatility(self, dt: float, ticks: int) -> Array:
        """[1] root of the variance per unit of time, jumps and all:
        sigma^2 + rate (jump_mean^2 + jump_sd^2)."""
        jumps = self.rate * (self.jump_mean**2 + self.jump_sd**2)
        return np.array([sqrt(self.sigma**2 + jumps)])

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        width = levels.shape[1]
        rates = np.full(levels.shape, self.rate * dt)
        jumps = poisson_counts(rates, draws.uniforms(key + "/jumps", width))
        # n jumps together are normal with n times the mean and variance.
        sizes = jumps * self.jump_mean + np.sqrt(jumps) * self.jump_sd * draws.normals(
            key + "/sizes", width
        )
        drift = (self.mu - 0.5 * self.sigma**2) * dt
        normals = draws.normals(key, width)
        with beyond_floats():
            return levels * np.exp(drift + self.sigma * np.sqrt(dt) * normals + sizes)


@dataclass(frozen=True)
@within_floats
class UniformDraw(Process):
    """Levels redrawn at every tick, uniform in [low, high]: private values of an auction.

    Parameters
    ----------
    low : float
        least level that is drawn, >= 0.
    high : float
        greatest level that is drawn, >= 0 and at least low.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high < np.inf:
            raise InputError(f"low={self.low!r}, high={self.high!r} must have 0 <= low <= high")

    def reads_time_step(self) -> bool:
        return type(self) is not UniformDraw

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        return self.low + (self.high - self.low) * draws.uniforms(key, levels.shape[1])


@dataclass(frozen=True)
@within_floats
class Shock(Process):
    """A factor on the opening level, from one tick on, for a while or for good.

    Parameters
    ----------
    at : int
        tick at which the shock begins, >= 0.
    factor : float
        what the opening level is multiplied by, >= 0.
    duration : int
        ticks that the shock lasts; 0 is for good, >= 0.
    only : tuple of int
        columns that it hits, by number from 0; none given means all.
    """

    at: int = 100
    factor: float = 1.2
    duration: int = 0
    only: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check(self, "at", "factor", "duration")

    def opening(self, levels: Array) -> Array:
        """[M] levels before the first tick: a shock at tick 0 is there from the start."""
        return self.step(levels, levels, -1, 1.0, FixedDraws({}), "")

    def reads_time_step(self) -> bool:
        return type(self) is not Shock

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        coming = tick + 1
        hit = coming >= self.at and (self.duration == 0 or coming < self.at + self.duration)
        row = opening.copy()
        columns = list(self.only) if self.only else slice(None)
        if hit:
            row[columns] *= self.factor
        return np.ascontiguousarray(np.broadcast_to(row, levels.shape))


@dataclass(frozen=True, eq=False)
@within_floats
class Replay(Process):
    """A recorded path [T, M], row t at tick t.

    Parameters
    ----------
    path : array
        the levels, a row a tick and a column a series; one column serves all.
    hold : bool
        the last row stays once the path is over; otherwise a path shorter than the episode is
        refused.
    sigma_rows : int
        rows, from the first on, from which the volatility is estimated that makers know and
        that `inventory_risk` uses; 0 takes all rows of the episode. An estimate from all rows
        knows the future: a maker that must not know it needs a `sigma` of its own, or
        `sigma_rows` before the ticks that are judged.
    """

    path: Array = field(repr=False)
    hold: bool = False
    sigma_rows: int = 0

    def __post_init__(self) -> None:
        path = np.ascontiguousarray(self.path, dtype=np.float64)
        path = path[:, None] if path.ndim == 1 else path
        if path.ndim != 2 or not path.size or not np.isfinite(path).all():
            raise InputError(f"path of shape {path.shape} must be [ticks, series], all finite")
        if path.min() < 0.0:
            raise InputError(f"path has a value {path.min():g}: levels must be >= 0")
        object.__setattr__(self, "path", path)
        _check_rows(self.sigma_rows, len(path))

    def used_rows(self, ticks: int) -> int:
        """Rows from which the volatility is estimated in an episode of so many ticks."""
        return min(self.sigma_rows or ticks + 1, len(self.path))

    def volatility(self, dt: float, ticks: int) -> Array:
        """[series] standard deviation of the log returns, per square root of time; 0 where the
        rows do not move, and where there are fewer than three."""
        rows = self.path[: self.used_rows(ticks)]
        if len(rows) < 3:
            return np.zeros(rows.shape[1])
        found: Array = np.diff(np.log(rows), axis=0).std(axis=0, ddof=1) / sqrt(dt)
        return np.where(found > 1e-9, found, 0.0)  # what rounding leaves is no risk

    def opening(self, levels: Array) -> Array:
        """[M] levels before the first tick."""
        return np.ascontiguousarray(np.broadcast_to(self.path[0], levels.shape))

    def reads_time_step(self) -> bool:
        return type(self) is not Replay

    def step(
        self, levels: Array, opening: Array, tick: int, dt: float, draws: Draws, key: str
    ) -> Array:
        row = self.path[min(tick + 1, len(self.path) - 1)]
        return np.ascontiguousarray(np.broadcast_to(row, levels.shape))


@dataclass(frozen=True)
@within_floats
class Fundamentals(ReferenceRule):
    """Fundamentals: a process each for reference prices, costs and outside demand.

    Parameters
    ----------
    price : Process
        process of the reference or mid prices, one for each instrument.
    cost : Process
        process of the unit costs (a bidder's values), one for each listing.
    demand : Process
        process of the factor on outside demand, one for each choice group.
    """

    price: Process = field(default_factory=Constant)
    cost: Process = field(default_factory=Constant)
    demand: Process = field(default_factory=Constant)

    @property
    def sigma(self) -> float:
        """The price process's parameter of that name; 0 where it has none."""
        return float(self.price.sigma)

    def reads_time_step(self) -> bool:
        return any(one.reads_time_step() for one in (self.price, self.cost, self.demand))

    def volatility(self, market: Market) -> Array:
        """[K] volatility of each instrument's price per square root of time, see `sigma_relative`.

        The process's own: sigma; of jump diffusion with the variance of the jumps; of a replay
        estimated from its rows. 0 where the price is constant, redrawn, or moved by a shock:
        no variance of theirs grows with time.
        """
        found = self.price.volatility(market.dt, market.horizon)
        return np.broadcast_to(found, (market.layout.K,))

    def sigmas(self, market: Market) -> Array:
        return self.volatility(market)[market.layout.instrument]

    def sigma_relative(self, market: Market) -> NDArray[np.bool_]:
        return np.full(market.layout.L, self.price.sigma_relative())

    def estimated(self, market: Market) -> str:
        """One sentence on a volatility that is estimated from recorded rows; empty where none is.

        It matters in a dealer market alone: only makers observe the volatility.
        """
        if not isinstance(self.price, Replay) or "spread" not in market.quotes.features:
            return ""
        rows, found = self.price.used_rows(market.horizon), self.volatility(market)
        named = [
            f"{name} {value:.3g}"
            for name, value in zip(market.layout.instruments[:6], found, strict=False)
        ]
        more = f" and {found.size - 6} more" if found.size > 6 else ""
        return (
            f"volatility of the replayed price, estimated from its first {rows:,} rows, in shares "
            f"of the price per square root of time (dt = {market.dt:g}): {', '.join(named)}{more}; "
            "makers without a sigma of their own use it, and so know these rows beforehand "
            "(sigma_rows of the replay bounds them)"
        )

    def validate(self, market: Market) -> None:
        for name, width in (
            ("price", market.layout.K),
            ("cost", market.layout.L),
            ("demand", market.layout.G),
        ):
            process = getattr(self, name)
            if isinstance(process, JumpDiffusion) and process.rate * market.dt > MOST_ORDERS:
                raise InputError(
                    f"{name}.rate={process.rate!r} makes {process.rate * market.dt:.3g} jumps a "
                    "tick, at most 1e6 are played: lower rate or dt, or raise sigma instead"
                )
            if isinstance(process, Shock) and process.at >= market.horizon:
                raise InputError(
                    f"{name}.at={process.at!r} is not reached in {market.horizon} ticks: nothing "
                    "would be shocked; set it below the number of ticks"
                )
            if isinstance(process, Shock) and process.only and max(process.only) >= width:
                raise InputError(f"{name}.only={process.only!r} must be columns 0 to {width - 1}")
            if isinstance(process, Replay):
                rows, series = process.path.shape
                if name == "price" and process.path.min() <= 0.0:
                    raise InputError("price.path has a value 0: prices must be > 0")
                if series not in (1, width):
                    raise InputError(f"{name}.path has {series} series, needs 1 or {width}")
                if rows < market.horizon and not process.hold:
                    raise InputError(
                        f"{name}.path has {rows} rows for {market.horizon} ticks: give more rows, "
                        f"or ticks={rows}, or hold=true to stay at the last row"
                    )

        in_shares = (GeometricBrownian, OrnsteinUhlenbeck, JumpDiffusion, Shock)
        if isinstance(self.cost, in_shares) and not market.catalogue.cost.any():
            raise InputError(
                "reference.cost changes nothing here: it moves costs in shares of themselves, and "
                "every cost is 0; set catalogue.cost, or leave it out"
            )

    def opening_levels(self, market: Market) -> tuple[Array, Array, Array]:
        """Levels before the first tick: reference prices [K], costs [L], demand scales [G]."""
        return (
            self.price.opening(market.opening_reference),
            self.cost.opening(market.catalogue.cost),
            self.demand.opening(market.opening_demand),
        )

    def move(self, market: Market, state: State, draws: Draws) -> tuple[Array, Array, Array]:
        tick, dt = state.tick, market.dt
        return (
            self.price.step(
                state.reference, market.opening_reference, tick, dt, draws, "reference"
            ),
            self.cost.step(state.cost, market.catalogue.cost, tick, dt, draws, "cost"),
            self.demand.step(state.demand_scale, market.opening_demand, tick, dt, draws, "demand"),
        )
