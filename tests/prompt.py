"""A prompt: the commands that it is given run one after the other, each in a process of its own.

The processes are forked from this one, which has loaded the package: to load it takes most of a
command's time. Nothing that a command registers or changes is there for the next one.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Read orders, lines of JSON, and print the exit code of each."""
    _load()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.clear()
            os.environ.update(order["environment"])
            _become(order["program"], order["arguments"], order["said"])
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _load() -> None:
    """What most commands import. Nothing of it starts a thread."""
    import mos_agents.cli.app
    import mos_agents.lab.running
    import mos_agents.policies  # noqa: F401


def _become(program: str, arguments: list[str], said: str) -> None:
    """Run a command with its output in the files `said`.out and `said`.err; does not return."""
    for number, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{kind}", os.O_CREAT | os.O_WRONLY, 0o600), number)
    os.close(0)
    sys.path[0] = os.getcwd()
    code: object = 0
    try:
        if program == "mos":
            sys.argv[1:] = arguments
            runpy.run_module("mos_agents.cli", run_name="__main__", alter_sys=True)
        elif arguments[0] == "-m":
            sys.argv[1:] = arguments[2:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(str(Path(arguments[0])), run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    main()
