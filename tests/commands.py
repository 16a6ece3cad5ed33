"""What the tests of `mos` share: the one line of a command that goes wrong, and one cut off."""

from __future__ import annotations

import json
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


class Prompt:
    """Runs commands, each in a process forked from one that has loaded the package.

    Parameters
    ----------
    folder : Path
        Where the commands are given.
    path : Path, optional
        A folder whose modules they find, besides those of this checkout.
    """

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self._path = str(ROOT) if path is None else f"{ROOT}:{path}"
        self.folder, self._given = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/prompt.py")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": self._path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `mos` or `python`, and wait until it ends."""
        assert self._process.stdin and self._process.stdout
        self._given += 1
        said = f"said-{self._given}"
        # The environment may have changed since: a cluster's token, say.
        order = {
            "program": program,
            "arguments": arguments,
            "environment": {**os.environ, "PYTHONPATH": self._path},
            "said": said,
        }
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        texts = [(self.folder / f"{said}.{kind}").read_text() for kind in ("out", "err")]
        return subprocess.CompletedProcess([program, *arguments], code, *texts)

    def close(self) -> None:
        """End the process that has loaded the package."""
        self._process.communicate()


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
