"""Random numbers as data: each number has an address, and no generator keeps a state.

The address is (seed, owner, key, market, tick, position). A number is computed from it
alone by a counter-based generator, Philox-4x64-10 (Salmon, Moraes, Dror and Shaw, SC 2011).
No stage holds a generator and nothing has to be drawn in order: market m of seed s meets the same
random numbers in a batch of one or of ten thousand, in any process, after any restart; and two
price paths can be compared with the same customers.

The numbers are numpy's own: position i of a stream is the i-th draw of
`Generator(Philox(key=philox_key, counter=[0, tick, market, key])).random()`, which the tests check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from scipy.special import ndtri

from mos_agents.market.checks import is_whole
from mos_agents.market.kernels import kernel
from mos_agents.market.printing import short_repr
from mos_agents.market.types import Array, InputError, IntArray

MOST_MARKETS = 1_000_000_000
BLOCK_TICKS = 4
"""Ticks that share a block: a block of the generator has four words, one for each."""
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53, as numpy's `random`
_NOTHING, _NO_KEY, _NOWHERE = np.empty(0), np.empty(0, np.uint64), np.uint64(0)


class Draws(Protocol):
    """The random numbers of one tick, for B markets."""

    def uniforms(self, key: str, n: int) -> Array:
        """[B, n] uniforms in [0, 1); a larger n repeats the shorter table and goes on."""

    def normals(self, key: str, n: int) -> Array:
        """[B, n] standard normals."""

    def block_uniforms(self, key: str, n: int) -> Array:
        """[B, n] uniforms; `BLOCK_TICKS` ticks share one block: the cheap way to draw a few."""

    def ragged(self, key: str, start: IntArray) -> Array:
        """Flat uniforms: market b owns positions start[b] to start[b + 1]; start is [B + 1]."""


@short_repr
@dataclass(frozen=True, slots=True)
class Streams:
    """All random numbers of one owner, in B markets.

    The market and each participant's policy are owners of their own: no participant can predict the
    customers from the numbers that it is given.

    Parameters
    ----------
    philox_key : array [2]
        The generator's key, from the seed and the owner.
    markets : array [B]
        The markets' numbers.
    """

    philox_key: IntArray
    markets: IntArray

    @classmethod
    def of(cls, seed: int, markets: int | IntArray = 1, owner: str = "market") -> Streams:
        """Make the streams of a seed.

        Parameters
        ----------
        seed : int
            Any whole number >= 0.
        markets : int or array [B]
            How many markets (numbered from 0), or their numbers.
        owner : str
            "market", or a participant's name.

        Returns
        -------
        Streams
            Other seeds, owners and market numbers have independent numbers.

        Raises
        ------
        InputError
            If the seed or the numbers are no whole numbers >= 0.
        """
        if not is_whole(seed) or seed < 0:
            raise InputError(f"seed={seed!r} must be a whole number >= 0: any such number will do")
        if isinstance(markets, int) and markets > MOST_MARKETS:
            raise InputError(f"markets={markets:.3g} must be at most {MOST_MARKETS:,}")
        numbers = np.arange(markets) if isinstance(markets, int) else np.asarray(markets)
        whole = numbers.dtype.kind in "iu" and not isinstance(markets, bool)
        if not whole or numbers.ndim != 1 or numbers.size == 0 or numbers.min() < 0:
            raise InputError(f"markets={markets!r} must be a number >= 1 or a list of numbers >= 0")
        sequence = np.random.SeedSequence(int(seed), spawn_key=(key_number(owner),))
        return cls(sequence.generate_state(2, np.uint64), numbers.astype(np.uint64))

    def at(self, tick: int) -> StreamDraws:
        """The random numbers of one tick."""
        return StreamDraws(self.philox_key, self.markets, tick)


@short_repr
class StreamDraws(NamedTuple):
    """The random numbers of one tick, computed from their addresses when asked for."""

    philox_key: IntArray
    markets: IntArray
    tick: int

    def uniforms(self, key: str, n: int) -> Array:
        out = np.empty((self.markets.size, n))
        _fill_rows(self.philox_key, self.tick, self.markets, _address(key), out)
        return out

    def normals(self, key: str, n: int) -> Array:
        # Half a step away from 0 keeps the quantile finite; one uniform a normal keeps addresses.
        normals: Array = ndtri(np.maximum(self.uniforms(key, n), 0.5 * _TO_UNIT))
        return normals

    def block_uniforms(self, key: str, n: int) -> Array:
        block_draws = StreamDraws(self.philox_key, self.markets, self.tick // BLOCK_TICKS)
        return block_draws.uniforms(key, BLOCK_TICKS * n)[:, self.tick % BLOCK_TICKS :: BLOCK_TICKS]

    def ragged(self, key: str, start: IntArray) -> Array:
        total = int(start[-1])
        out = np.empty(total + 3)
        _fill_ragged(self.philox_key, self.tick, self.markets, _address(key), start, out)
        return out[:total]


def source(
    draws: Draws, key: str, start: IntArray
) -> tuple[Array, IntArray, int, IntArray, np.uint64]:
    """The arguments from which the kernel `take` draws a ragged stream.

    Draws that have addresses give their address, and the kernel computes each market's numbers
    where it uses them; any other draws are asked for all of their numbers now.
    """
    if type(draws) is StreamDraws:
        return _NOTHING, draws.philox_key, draws.tick, draws.markets, _address(key)
    return draws.ragged(key, start), _NO_KEY, 0, _NO_KEY, _NOWHERE


def given(table: Array) -> tuple[Array, IntArray, int, IntArray, np.uint64]:
    """A `source` of numbers that are there already, [B, n]."""
    return table.ravel(), _NO_KEY, 0, _NO_KEY, _NOWHERE


def has_addresses(draws: Draws) -> bool:
    """Whether a `source` of these draws needs no `start`."""
    return type(draws) is StreamDraws


@dataclass(frozen=True, slots=True)
class FixedDraws:
    """Random numbers written down by hand: {key: rows}; for worked examples and tests.

    Values are uniforms or normals as the key asks, [B, n] or longer; for `ragged`, a flat
    array. What is not written down is an error, not a draw.
    """

    tables: Mapping[str, Any]

    def uniforms(self, key: str, n: int) -> Array:
        table = self._table(key)
        if table.ndim != 2 or table.shape[1] < n:
            raise InputError(f"draws[{key!r}] has shape {table.shape}, needs [B, {n}] or more")
        return np.ascontiguousarray(table[:, :n])

    def normals(self, key: str, n: int) -> Array:
        return self.uniforms(key, n)

    def block_uniforms(self, key: str, n: int) -> Array:
        return self.uniforms(key, n)

    def ragged(self, key: str, start: IntArray) -> Array:
        table = self._table(key).ravel()
        if table.size < start[-1]:
            raise InputError(f"draws[{key!r}] has {table.size} values, needs {start[-1]}")
        return table

    def _table(self, key: str) -> Array:
        if key not in self.tables:
            raise InputError(f"no fixed draws for {key!r}: given are {list(self.tables)}")
        return np.asarray(self.tables[key], dtype=np.float64)


class PrefixedDraws(NamedTuple):
    """Draws whose keys carry a prefix: independent of those with another prefix, or with none."""

    draws: Draws
    prefix: str

    def uniforms(self, key: str, n: int) -> Array:
        return self.draws.uniforms(self.prefix + key, n)

    def normals(self, key: str, n: int) -> Array:
        return self.draws.normals(self.prefix + key, n)

    def block_uniforms(self, key: str, n: int) -> Array:
        return self.draws.block_uniforms(self.prefix + key, n)

    def ragged(self, key: str, start: IntArray) -> Array:
        return self.draws.ragged(self.prefix + key, start)


@lru_cache(maxsize=4096)
def key_number(key: str) -> int:
    """A 64-bit number for a name, the same on every machine and in every run."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=4096)
def _address(key: str) -> np.uint64:
    """`key_number` as kernels take it."""
    return np.uint64(key_number(key))


@intrinsic
def _product(typingctx: Any, a: Any, b: Any) -> Any:
    """The upper and the lower 64 bits of a 64 x 64 bit product, which numba has no word for."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        upper = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)
        halves = (upper, builder.trunc(product, word))
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), codegen


@kernel
def block(philox_key, count, tick, market, key):  # type: ignore[no-untyped-def]
    """The `count`-th block (from 1) of a stream: four uniforms. For loops that have no array."""
    m0, m1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
    w0, w1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
    shift, unit = np.uint64(11), 1.0 / 9007199254740992.0
    c0, c1, c2, c3 = count, tick, market, key
    k0, k1 = philox_key[0], philox_key[1]
    for _ in range(10):
        h0, l0 = _product(m0, c0)
        h1, l1 = _product(m1, c2)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0 += w0
        k1 += w1
    return (
        np.float64(c0 >> shift) * unit,
        np.float64(c1 >> shift) * unit,
        np.float64(c2 >> shift) * unit,
        np.float64(c3 >> shift) * unit,
    )


@kernel
def _fill(philox_key, tick, market, key, out, first, last, room):  # type: ignore[no-untyped-def]
    """Uniforms into out[first:last]; what lies from there to `room` may be overwritten."""
    position, count, one = first, np.uint64(0), np.uint64(1)
    while position < last:
        count += one
        u0, u1, u2, u3 = block(philox_key, count, tick, market, key)
        out[position] = u0
        if position + 3 < room:
            out[position + 1] = u1
            out[position + 2] = u2
            out[position + 3] = u3
        else:
            if position + 1 < last:
                out[position + 1] = u1
            if position + 2 < last:
                out[position + 2] = u2
        position += 4


@kernel
def _fill_rows(philox_key, tick, markets, key, out):  # type: ignore[no-untyped-def]
    n, at = out.shape[1], np.uint64(tick)
    flat = out.reshape(-1)
    for b in range(markets.shape[0]):
        _fill(philox_key, at, markets[b], key, flat, b * n, (b + 1) * n, (b + 1) * n)


@kernel
def _fill_ragged(philox_key, tick, markets, key, start, out):  # type: ignore[no-untyped-def]
    """Whole blocks are written, so that uneven rows have no branch to guess wrong: the excess falls
    to the next market, which comes later; behind the last, `out` has three places to spare.
    """
    at = np.uint64(tick)
    for b in range(markets.shape[0]):
        _fill(philox_key, at, markets[b], key, out, start[b], start[b + 1], start[b + 1] + 3)


@kernel
def take(numbers, b, n, first, given, philox_key, tick, markets, key):  # type: ignore[no-untyped-def]
    """Market b's n uniforms into `numbers`, which has room for n + 3, from a `source`.

    Where they are `given` they start at `first`; otherwise they are drawn.
    """
    if philox_key.shape[0] > 0:
        _fill(philox_key, np.uint64(tick), markets[b], key, numbers, 0, n, n + 3)
    else:
        for i in range(n):
            numbers[i] = given[first + i]


@kernel
def longest(start):  # type: ignore[no-untyped-def]
    """The most that any market has, of what start [B + 1] counts."""
    most = 0
    for b in range(start.shape[0] - 1):
        most = max(most, start[b + 1] - start[b])
    return most
