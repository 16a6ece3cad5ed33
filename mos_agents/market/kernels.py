"""Decorators that compile inner loops: every kernel is compiled in the same way.

Numba's fast-math stays off: it would let the same market give other bits in a batch of another
size. Compiled code is cached beside the sources; the first call on a new machine takes seconds, and
the first one after a change of a kernel, or of what it takes from other files.

What costs in a kernel, as measured: for a single market each array handed back (0.35 us) and in
(0.06 us); for many, branches that chance decides, and asking every index whether it is negative
(loops over listings therefore count in uint64). For a thousand markets it is also fresh memory:
what a tick frees should be what the next one gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import Cache
from numba.core.registry import CPUDispatcher

F = TypeVar("F", bound=Callable[..., Any])

# The C library hands free memory back to the system beyond twice the largest block freed so far,
# and a tick's few MB would then be fetched page by page at every tick: a fifth of its time. A block
# of 24 MiB, never touched, settles that (where the library works otherwise, nothing happens).
np.empty(3 << 20)


def kernel(function: F) -> F:
    """Compile `function` on first use and cache the machine code on disk."""
    compiled: F = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    return _sealed(compiled)


def inlined(function: F) -> F:
    """A kernel that is written into its callers before they are compiled.

    For loops of a few nanoseconds: a call that hands arrays on counts their users up and down,
    which costs more than such a loop's work. Without that count (`_nrt`, numba's own word for it)
    a kernel can make no array.
    """
    compiled: F = numba.njit(
        cache=True, error_model="numpy", nogil=True, forceinline=True, _nrt=False
    )(function)
    return _sealed(compiled)


_SEALS: dict[Any, str] = {}
"""What each kernel was compiled from: a digest of its file and of what it takes from others."""


def _sealed(compiled: Any) -> Any:
    """The kernel, with a cache that holds as long as everything that it was compiled from.

    Numba looks at the kernel's own file alone. Kernels and constants of other files are compiled
    into it, so that after a change there the old code would still run.
    """
    if not isinstance(compiled, CPUDispatcher) or not isinstance(compiled._cache, Cache):
        return compiled  # nothing is compiled, or nothing is kept
    cache_file = compiled._cache._cache_file
    parts = [repr(cache_file._source_stamp)]
    for name, value in sorted(compiled.py_func.__globals__.items()):
        if isinstance(value, CPUDispatcher):
            parts.append(f"{name}: {_SEALS.get(value)}")
        elif isinstance(value, bool | int | float | str) and not name.startswith("__"):
            parts.append(f"{name} = {value!r}")
    seal = hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
    _SEALS[compiled] = cache_file._source_stamp = seal
    return compiled


@kernel
def flat(table):  # type: ignore[no-untyped-def]
    """A table's numbers in one row, so that many tables of one shape share one index.

    Nothing is copied, unless a stage of somebody's own handed over columns of a larger table.
    """
    return np.ascontiguousarray(table).reshape(-1)
