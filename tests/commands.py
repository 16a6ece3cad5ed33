"""What the tests of `mos` share: the one line of a command that goes wrong, and one cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mos_agents.cli import run
from tests.test_runs import ROOT
from tests.waiting import PATIENCE, eventually

SAID = Path("said.txt")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that goes wrong."""
    capsys.readouterr()
    assert run(arguments) == 2
    line = capsys.readouterr().err
    assert line.startswith("mos: ") and line.count("\n") == 1
    assert "Traceback" not in line
    return line


def each_refused(cases: Sequence[tuple[list[str], str]]) -> Callable[..., None]:
    """A test over (arguments, what is told): each is one line and leaves nothing behind."""

    @pytest.mark.parametrize(("arguments", "message"), cases, ids=lambda a: str(a)[-40:])
    def one_line_and_nothing_left(
        arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], here: Path
    ) -> None:
        assert message in refused(capsys, *arguments)
        assert list(here.iterdir()) == []

    return one_line_and_nothing_left


def environment() -> dict[str, str]:
    """For `mos` in a process of its own, wherever it is started."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def stopped(number: int, once: Callable[[], object], *arguments: str) -> str:
    """Start `mos`, send it a signal once something is there, and wait; what it said on stderr.

    Its stdout goes to the file SAID. It must end by SIGKILL, or in good order by any other signal.
    """
    with SAID.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mos_agents.cli", *arguments],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
    eventually(lambda: once() or process.poll() is not None)
    process.send_signal(number)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), error
    return error
