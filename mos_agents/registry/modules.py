"""Modules of other people: imported where the user named them, or where they are plugins."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mos_agents.market.checks import echo
from mos_agents.market.types import InputError
from mos_agents.registry.kinds import (
    ENTRIES,
    GRANTED,
    LOADING,
    LOCK,
    entries,
    is_under,
    put_back,
    table,
)
from mos_agents.wording import importing

GROUP = "mos_agents.plugins"
"""The group of entry points of packages that extend this one. Each names a module."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_failed: dict[str, str] = {}  # plugins that cannot be imported, and why
_plugins_are_loaded = False


def load(name: str) -> str:
    """Import a module that the user named; what it registers is known from then on.

    Parameters
    ----------
    name
        A module such as `acme_market`, looked for on the Python path and in the working folder;
        or a file such as `models/patient.py`.

    Returns
    -------
    The module's name, as `import:` of a scenario file has it.

    Raises
    ------
    InputError
        If it cannot be imported, or registers nothing.
    """
    module = _on_the_path(name)
    with LOCK:
        if module in GRANTED and module in sys.modules:
            return module
        before = {drawer: dict(kept) for drawer, kept in ENTRIES.items()}
        try:
            with _attributed(module):
                importlib.import_module(module)
        except InputError as error:
            put_back(before)
            raise InputError(f"import {module}: {error}") from error
        except BaseException as error:
            put_back(before)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise InputError(_why_not(module, error)) from error
        nothing_new = before == {drawer: dict(kept) for drawer, kept in ENTRIES.items()}
        if nothing_new and not any(is_under(one.module, module) for one in entries()):
            raise InputError(
                f"import {module}: the module registers nothing; call mos_agents.register in it"
            )
        GRANTED.add(module)
    return module


def require(name: Any, shown: str) -> None:
    """Import a module that a scenario file names, if the user has named it too.

    Raises InputError, with the remedy, if not: a file from elsewhere must not run code.
    """
    if not isinstance(name, str) or not _MODULE.fullmatch(name):
        raise InputError(f"{shown}: import={echo(name)} must be the name of a module")
    if is_granted(name) or name in _plugins():
        load(name)
        return
    raise InputError(
        f"{shown}: import={echo(name)} would run code of that module; if you trust it, add "
        f"{importing(name[:60])}"
    )


def is_granted(name: str) -> bool:
    """Whether the user has named this module, or the package around it, or it is loaded."""
    return any(is_under(name, one) or is_under(one, name) for one in GRANTED)


def load_plugins() -> None:
    """Import the modules of installed plugins. One that fails is named where a name is missing."""
    global _plugins_are_loaded
    with LOCK:
        if _plugins_are_loaded or LOADING:
            return
        _plugins_are_loaded = True
        for module, plugin in _plugins().items():
            try:
                load(module)
            except InputError as error:
                _failed[plugin] = str(error)


def _plugins() -> dict[str, str]:
    """Modules of installed plugins, with the name of each entry point."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {one.module: one.name for one in sorted(found, key=lambda one: one.name)}


@contextlib.contextmanager
def _attributed(module: str) -> Iterator[None]:
    """What is registered in here came with this module."""
    LOADING.append(module)
    try:
        yield
    finally:
        LOADING.pop()


def _on_the_path(name: str) -> str:
    """The module's name, with its folder on the Python path where it is not there yet."""
    folder, module = Path.cwd(), name
    if name.endswith(".py"):
        path = Path(name).resolve()
        folder, module = path.parent, path.stem
        if not path.is_file():
            raise InputError(f"import {echo(name)}: there is no such file")
    if not _MODULE.fullmatch(module):
        raise InputError(
            f"import {echo(name)}: must be a module or package such as acme_market (in the working "
            "folder, on PYTHONPATH or installed), or a file such as models/patient.py"
        )
    root = module.partition(".")[0]
    here = (folder / root).is_dir() or (folder / f"{root}.py").is_file()
    if here and root not in sys.modules and importlib.util.find_spec(root) is None:
        sys.path.append(str(folder))  # last, so that no other module is hidden
    return module


def _why_not(module: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and is_under(module, error.name or "?"):
        return (
            f"import {module}: there is no module {error.name!r}; run from the folder that holds "
            "it, set PYTHONPATH, or install its package (on every node of a cluster)"
        )
    what = " ".join(str(error).split())[:200]
    return f"import {module}: it fails with {type(error).__name__}: {what}; mend it first"


# --- names, installed plugins included ------------------------------------------------------------


def names(kind: str) -> Mapping[str, Any]:
    """Everything of a kind by name, installed plugins included."""
    load_plugins()
    return table(kind)


def find(kind: str, name: Any) -> Any:
    """What a name stands for, or None. Plugins are loaded where it is not known otherwise."""
    if not isinstance(name, str):
        return None
    if name not in table(kind):
        load_plugins()
    return table(kind).get(name)


RENAMED = {"levels": "prices", "sees": "features", "frozen": "greedy"}
"""Names that files of version 0.1 may hold, and what they are called now."""


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" where a known name is near, else nothing."""
    if (now := RENAMED.get(str(name)[:100])) in (known := list(known)):
        return f", did you mean {now!r}?"
    near = difflib.get_close_matches(str(name)[:100], known, 1)
    return f", did you mean {near[0]!r}?" if near else ""


def unknown(name: Any, kind: str) -> str:
    """How a message about an unknown name ends: a near one, and what can be done."""
    known = names(kind)
    text = did_you_mean(name, known) or (
        f"; for one of your own, add {importing('MODULE')} with the module that registers it"
    )
    for plugin, why in _failed.items():
        text += f"; the plugin {plugin} could not be loaded: {why}"
    return text
