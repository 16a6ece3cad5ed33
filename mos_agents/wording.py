"""How messages name settings, functions and files: as the caller gives them.

    raise InputError(f"{setting('spread')} needs {setting('backend', 'ray')}")

A Python caller reads `spread needs backend='ray'`. The command line plays within `shell_words()`,
and shows the same message as `--spread needs --backend ray`.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

OPTIONS = {"changes": "set", "imports": "import", "sharing": "policies"}
"""Options whose name is not that of the setting."""

_in_shell = False
_imports: list[str] = []


@contextlib.contextmanager
def shell_words() -> Iterator[None]:
    """Within it, messages name options and commands of `mos`."""
    global _in_shell
    before, _in_shell = _in_shell, True
    try:
        yield
    finally:
        _in_shell = before
        _imports.clear()


def note_import(module: str) -> None:
    """Remember an `--import` of this command: a command that continues its work needs it too."""
    if module not in _imports:
        _imports.append(module)


def in_shell() -> bool:
    """Whether the caller is the command line."""
    return _in_shell


def setting(name: str, value: object = None) -> str:
    """A setting with its value.

    Parameters
    ----------
    name : str
        The argument of the Python function.
    value : object
        None names the setting alone; a text in capitals, such as "N", is a placeholder.

    Returns
    -------
    str
        `workers=2`, `backend='ray'`, `sessions=N`, `insecure=True`; on the command line
        `--workers 2`, `--backend ray`, `--sessions N`, `--insecure`.
    """
    if _in_shell:
        option = "--" + OPTIONS.get(name, name).replace("_", "-")
        return option if value is None or value is True else f"{option} {value}"
    if value is None:
        return name
    placeholder = isinstance(value, str) and value.isupper()
    return f"{name}={value if placeholder else repr(value)}"


def change(path: str, value: object) -> str:
    """A change of a scenario: `changes={'firms': 4}`; on the command line `--set firms=4`."""
    return f"--set {path}={value}" if _in_shell else f"changes={{{path!r}: {value!r}}}"


def importing(module: str) -> str:
    """The setting that imports a module: `imports=['acme']`, or `--import acme`."""
    return f"--import {module}" if _in_shell else f"imports=[{module!r}]"


def function(*names: str) -> str:
    """Functions of `mos_agents.lab`: `lab.report and lab.resume`; `mos report and mos verify`."""
    *first, last = [("mos " if _in_shell else "lab.") + name for name in names]
    return f"{', '.join(first)} and {last}" if first else last


def resuming(command: str, folder: str | Path) -> str:
    """The call that continues a folder: `lab.resume('runs/x')`, or `mos run --resume runs/x`."""
    if not _in_shell:
        return f"lab.resume({str(folder)!r})"
    imports = "".join(f" --import {shlex.quote(module)}" for module in _imports)
    return f"mos {command} --resume {folder}{imports}"


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def plural(count: int, noun: str) -> str:
    """1 market; 1,000 markets."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
