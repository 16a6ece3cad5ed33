"""`mos`: run a market from the command line, read about it, and compare runs."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

# Libraries are loaded within `loading`: Ctrl-C must be one line at any moment.

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of the signal."""

GARBAGE_THRESHOLDS = (100_000, 50, 1_000)
"""New objects before Python looks for garbage. Its own threshold (700) costs a one-tick run, which
mostly loads libraries, 0.3 s of processor time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Leaves by SystemExit: 0; 2 after one line about an error; 130 on Ctrl-C."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    atexit.register(gc.freeze)  # else Python looks through all libraries once more: 0.4 s
    with loading():
        import mos_agents.cli.app  # noqa: F401
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Ctrl-C ends the process at once with one line: for imports, before any work begins.

    A library that is being imported may catch KeyboardInterrupt, or make another error of it.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"mos: interrupted\n")
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command and return its exit code; every error is one line on stderr."""
    import click
    import typer

    from mos_agents.cli.app import Stopped, app
    from mos_agents.market.printing import printable
    from mos_agents.wording import shell_words

    for stream in (sys.stdout, sys.stderr):  # a terminal may not know the letters of a name
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    command = typer.main.get_command(app)
    try:
        with shell_words():
            result = command.main(
                list(arguments) or ["--help"], prog_name="mos", standalone_mode=False
            )
        sys.stdout.flush()
        if result == INTERRUPTED:  # click says nothing of its own where it catches Ctrl-C
            return _exit_with("interrupted", INTERRUPTED)
        return result if isinstance(result, int) else 0
    except Stopped as stop:
        print(printable(str(stop)), file=sys.stderr)
        return stop.code
    except BrokenPipeError:  # the reader has left, as in `mos scenarios | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _exit_with("interrupted", INTERRUPTED)
    except MemoryError as error:
        return _exit_with(f"not enough memory ({error}); play fewer markets or instruments")
    except Exception as error:
        if (message := _line_of(error)) is None:
            raise
        return _exit_with(message)


def _line_of(error: Exception) -> str | None:
    """An error as one line; None where it is a fault of the program."""
    # Typer may carry a click of its own: its usage errors are recognised by a method.
    if hasattr(error, "format_message"):
        return f"{error.format_message()} (mos --help lists the commands)"
    from mos_agents.market.types import InputError
    from mos_agents.policies.guard import PolicyFault
    from mos_agents.runs.files import remedy

    if isinstance(error, InputError | PolicyFault):  # a policy's fault at its start
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}{remedy(error)}"
    return None


def _exit_with(message: str, code: int = 2) -> int:
    from mos_agents.market.checks import concise
    from mos_agents.market.printing import printable

    line = concise(printable(" ".join(message.split())))
    print(f"mos: {line}", file=sys.stderr)
    return code


__all__ = ["loading", "main", "run"]
