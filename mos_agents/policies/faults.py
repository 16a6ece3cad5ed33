"""Which exceptions are faults of a policy, and how they are described."""

from __future__ import annotations

import dis
import signal
from typing import Any


def is_own_fault(error: BaseException) -> bool:
    """Whether an exception that left a policy's code is that policy's fault, whatever its class.

    All are (cancellation, `GeneratorExit` and `SystemExit` too) but the user's own Ctrl-C: a
    `KeyboardInterrupt` that a signal put there, and that no statement of the code raised.
    """
    return not isinstance(error, KeyboardInterrupt) or _is_raised_by_a_statement(error)


def _is_raised_by_a_statement(error: BaseException) -> bool:
    """Whether the code itself raised it: a signal comes between other instructions than `raise`."""
    last = error.__traceback__
    if last is None:
        return False
    while last.tb_next is not None:
        last = last.tb_next
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)  # one written in Python
    code = last.tb_frame.f_code
    return code is not handler and dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


LONGEST = 200
"""Letters of a description."""


def describe(thing: Any) -> str:
    """One short line about a stranger's object or error, whatever it does when it is asked."""
    name = "an object"
    try:
        name = str(type.__dict__["__name__"].__get__(type(thing)))  # a metaclass may have its own
        text = f"{name}: {thing}" if issubclass(type(thing), BaseException) else repr(thing)
        return one_line(text)
    except BaseException as error:
        if not is_own_fault(error):
            raise
        return f"a {name} that cannot be shown"[:LONGEST]


def one_line(text: str) -> str:
    """A stranger's text as a short line of letters that leave a terminal alone."""
    line = " ".join(str.split(text))[:LONGEST]
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)[:LONGEST]
