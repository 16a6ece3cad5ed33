"""Names for classes and files: what a scenario can name, open to code outside the package.

A class joins by one call, in a module of your own:

    @mos_agents.register("demand", "patient")
    @dataclass(frozen=True)
    class Patient(Demand):
        ...

The module is known once it is imported: in Python by `import`, on the command line by
`--import MODULE`, in a scenario file by `import: MODULE`, and by itself where it is the entry point
`mos_agents.plugins` of an installed package. A scenario file alone imports nothing: the user must
have named the module, or must have installed it as a plugin.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import site
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mos_agents.market.checks import echo, within_floats
from mos_agents.market.types import InputError
from mos_agents.wording import importing

GROUP = "mos_agents.plugins"
"""The group of entry points of packages that extend this one. Each names a module."""


class Kind(NamedTuple):
    """A plug point.

    Parameters
    ----------
    base : str
        the class that a class of this kind inherits from, in the module `home`; its abstract
        methods must be written, and so must the `verbs`, which have defaults there.
    names : tuple of str
        the modules of the names of the package's own.
    """

    base: str
    verbs: tuple[str, ...] = ()
    home: str = "mos_agents.market.stages"
    names: tuple[str, ...] = ("mos_agents.scenarios.parts",)


_POLICIES = ("mos_agents.policies", "mos_agents.learners")

KINDS = {
    "demand": Kind("Demand"),
    "prominence": Kind("Prominence"),
    "arrivals": Kind("ArrivalProcess"),
    "execution": Kind("ExecutionRule"),
    "quotes": Kind("QuoteRule"),
    "orders": Kind("OrderRule"),
    "fees": Kind("FeeRule"),
    "schedule": Kind("Schedule"),
    "positions": Kind("PositionRule"),
    "reference": Kind("ReferenceRule"),
    "process": Kind("Process"),
    "observations": Kind("ObservationRule"),
    "rewards": Kind("RewardRule"),
    "policy": Kind("Policy", (), "mos_agents.policies.base", _POLICIES),
    "learner": Kind("Policy", ("learn",), "mos_agents.policies.base", _POLICIES),
    "scenario": Kind("", (), "", ("mos_agents.scenarios.listing",)),
    "experiment": Kind("", (), "", ()),
}
"""Everything that can be registered. Policies and learners share their names."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class Entry(NamedTuple):
    """What a name stands for, and the module that registered it."""

    kind: str
    name: str
    thing: Any
    module: str


_entries: dict[str, dict[str, Entry]] = {}
_tables: dict[str, dict[str, Any]] = {}
_granted: set[str] = set()
_failed: dict[str, str] = {}  # plugins that cannot be imported, and why
_loading: list[str] = []
_lock = threading.RLock()
_plugins_are_loaded = False
_version_of_all = 0


def version() -> int:
    """A number that grows with every name: what was made from all of them is made again."""
    return _version_of_all


def register(kind: str, name: str, thing: Any = None) -> Any:
    """Give a class, or a scenario's file, a name by which scenarios and `make` find it.

    Parameters
    ----------
    kind
        One of `KINDS`: "demand", "prominence", "arrivals", "execution", "quotes", "orders",
        "fees", "schedule", "positions", "reference", "process", "observations", "rewards",
        "policy", "learner", "scenario" or "experiment".
    name
        The name: small letters, digits and underscores.
    thing
        The class, a frozen dataclass of parameters. Of a scenario: the path of its YAML file.
        Of an experiment: its module. Left out, `register` is a decorator.

    Returns
    -------
    The thing itself, or a decorator.

    Raises
    ------
    InputError
        For an unknown kind, a name that is taken, or a class that does not fit the kind.
    """
    where = _caller()
    if kind not in KINDS:
        raise InputError(
            f"kind={echo(kind)} cannot be registered{did_you_mean(kind, KINDS)}; "
            f"kinds are {', '.join(KINDS)}"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{kind} name={echo(name)} must be small letters, digits and underscores, such as "
            "my_model"
        )
    if thing is None:
        return lambda given: _register(kind, name, given, where)
    return _register(kind, name, thing, where)


def _register(kind: str, name: str, thing: Any, where: str) -> Any:
    with _lock:
        for module in KINDS[kind].names:  # so that no name of the package's own is taken
            importlib.import_module(module)
        # A package that is loaded stands for its modules; a module that it imports for itself.
        module = _loading[-1] if _loading and _is_under(where, _loading[-1]) else where
        _check(kind, name, thing)
        found = _of(kind).get(name)
        if found is not None and not _is_again(found.thing, thing):
            raise InputError(
                f"{kind} {name!r} is registered already, by {found.module}; take another name"
            )
        if kind in ("policy", "learner"):
            named(thing, name)
        enter(kind, name, thing, module)
        _granted.add(module)
    return thing


def named(policy: Any, kind: str) -> Any:
    """A policy's class with the name by which scenarios ask for it, and with its numbers
    checked."""
    policy.kind = kind
    if hasattr(policy, "__post_init__"):  # which the dataclass asks for each time by its name
        within_floats(policy)
    return policy


def enter(kind: str, name: str, thing: Any, module: str = "mos_agents") -> None:
    """Enter a name without any question: for the package's own."""
    global _version_of_all
    _version_of_all += 1
    _of(kind)[name] = Entry(kind, name, thing, module)
    table(kind)[name] = thing


def table(kind: str) -> dict[str, Any]:
    """What is registered now, by name: a view that grows."""
    return _tables.setdefault(_drawer(kind), {})


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


def entry(kind: str, name: str) -> Entry | None:
    """The entry of a name that is known."""
    return _of(kind).get(name)


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


def _drawer(kind: str) -> str:
    return "policy" if kind == "learner" else kind


def _of(kind: str) -> dict[str, Entry]:
    return _entries.setdefault(_drawer(kind), {})


def _caller() -> str:
    """The module that called `register`."""
    return str(sys._getframe(2).f_globals.get("__name__", "__main__"))


def _is_again(old: Any, new: Any) -> bool:
    """Whether the same definition was run again, as in a notebook's cell."""
    if not isinstance(old, type) or not isinstance(new, type):
        return bool(old == new)
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def _check(kind: str, name: str, thing: Any) -> None:
    """InputError unless the thing is what its kind asks for."""
    what = f"{kind} {name!r}"
    if kind == "scenario":
        if not isinstance(thing, str | os.PathLike) or not Path(thing).is_file():
            raise InputError(f"{what}: {echo(thing)} must be the path of a scenario file")
        return
    if kind == "experiment":
        if not isinstance(thing, str | ModuleType):
            raise InputError(f"{what}: {echo(thing)} must be a module, or the name of one")
        return
    if not isinstance(thing, type):
        raise InputError(f"{what}: {echo(thing)} must be a class, not an object of one")
    parameters = getattr(thing, "__dataclass_params__", None)
    if not is_dataclass(thing) or parameters is None or not parameters.frozen:
        raise InputError(
            f"{what}: {thing.__name__} must be a frozen dataclass: put @dataclass(frozen=True) "
            "below @register, above the class"
        )
    point = KINDS[kind]
    base = getattr(importlib.import_module(point.home), point.base)
    if not issubclass(thing, base):
        raise InputError(
            f"{what}: {thing.__name__} must inherit from {point.base}: from {point.home} import "
            f"{point.base}"
        )
    missing = sorted(getattr(thing, "__abstractmethods__", ()))
    missing += [verb for verb in point.verbs if getattr(thing, verb) is getattr(base, verb)]
    if missing:
        raise InputError(f"{what}: {thing.__name__} has no {', '.join(missing)}; write it")
    hidden = [one.name for one in fields(thing) if isinstance(one.default, property)]
    if hidden:
        raise InputError(
            f"{what}: {hidden[0]} is a property of {point.base}: give the parameter a default, or "
            "another name"
        )


# --- modules by the user's word -------------------------------------------------------------------


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
    with _lock:
        if module in _granted and module in sys.modules:
            return module
        before = {drawer: dict(kept) for drawer, kept in _entries.items()}
        try:
            with _attributed(module):
                importlib.import_module(module)
        except InputError as error:
            _put_back(before)
            raise InputError(f"import {module}: {error}") from error
        except BaseException as error:
            _put_back(before)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise InputError(_why_not(module, error)) from error
        nothing_new = before == {drawer: dict(kept) for drawer, kept in _entries.items()}
        if nothing_new and not any(_is_under(one.module, module) for one in entries()):
            raise InputError(
                f"import {module}: the module registers nothing; call mos_agents.register in it"
            )
        _granted.add(module)
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
    return any(_is_under(name, one) or _is_under(one, name) for one in _granted)


def of_this_script() -> tuple[Entry, ...]:
    """What the script or notebook that runs has registered: no other process can import it."""
    return tuple(one for one in entries() if one.module == "__main__")


def adopt(classes: Iterable[Entry]) -> None:
    """Enter what another process of the same user has sent along."""
    for one in classes:
        if table(one.kind).get(one.name) is not one.thing:
            enter(*one)


def entries() -> Iterator[Entry]:
    """Everything that is registered."""
    for kept in _entries.values():
        yield from kept.values()


def load_plugins() -> None:
    """Import the modules of installed plugins. One that fails is told where a name is missing."""
    global _plugins_are_loaded
    with _lock:
        if _plugins_are_loaded or _loading:
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
    _loading.append(module)
    try:
        yield
    finally:
        _loading.pop()


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
        sys.path.append(str(folder))  # last, so that nothing of anybody else's is hidden
    return module


def _why_not(module: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and _is_under(module, error.name or "?"):
        return (
            f"import {module}: there is no module {error.name!r}; run from the folder that holds "
            "it, set PYTHONPATH, or install its package (on every node of a cluster)"
        )
    what = " ".join(str(error).split())[:200]
    return f"import {module}: it fails with {type(error).__name__}: {what}; mend it first"


def _put_back(before: Mapping[str, Mapping[str, Entry]]) -> None:
    """Forget what a module had registered before it failed."""
    for drawer, kept in _entries.items():
        for name in set(kept) - set(before.get(drawer, ())):
            del kept[name]
            _tables[drawer].pop(name, None)


def _is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


# --- where it came from ---------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Release and digest of every module that has registered something: a run keeps them.

    The release is that of the installed package, or `__version__`. The digest is the SHA-256 of all
    Python files of the module, or of the package around it.
    """
    return {root: f"{_release(root)} {_digest(root)[:16]}".strip() for root in _roots()}


def _roots() -> list[str]:
    """Modules and packages of others that have registered something."""
    roots = {one.module.partition(".")[0] for one in entries()}
    return sorted(roots - {"mos_agents", "__main__"})


def _release(root: str) -> str:
    for distribution in importlib.metadata.packages_distributions().get(root, ()):
        return importlib.metadata.version(distribution)
    return str(getattr(sys.modules.get(root), "__version__", ""))


def _digest(root: str) -> str:
    digest = hashlib.sha256()
    location = home(root)
    paths = (
        sorted(location.rglob("*.py")) if location is not None and location.is_dir() else [location]
    )
    for path in paths:
        if path is not None:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def home(root: str) -> Path | None:
    """The folder of a package, or the file of a module; None where it has neither."""
    module = sys.modules.get(root)
    paths = list(getattr(module, "__path__", ()))
    if paths:
        return Path(paths[0])
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)


def not_installed() -> list[Path]:
    """Folders and files of registered modules that are not installed: other machines lack them."""
    places = [home(root) for root in _roots()]
    return [path for path in places if path is not None and not _is_installed(path)]


def _is_installed(path: Path) -> bool:
    folders = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("purelib")]
    return any(path.is_relative_to(folder) for folder in folders)


__all__ = [
    "GROUP",
    "KINDS",
    "Entry",
    "Kind",
    "adopt",
    "did_you_mean",
    "enter",
    "entries",
    "entry",
    "find",
    "home",
    "is_granted",
    "load",
    "load_plugins",
    "names",
    "of_this_script",
    "not_installed",
    "register",
    "require",
    "table",
    "unknown",
    "version",
    "versions",
]
