"""Pages that are made from the code: the API by package, the command line, and the documents at the
root of the repository."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("EXTENDING.md", "NOTATION.md", "DESIGN.md", "CHANGELOG.md")
OWN = ("mos_agents", "envs")
ENVIRONMENTS = (
    "retail_v0",
    "market_making_v0",
    "auction_v0",
    "marketplace_v0",
    "single_agent",
    "batched",
)
"""Modules of `envs` that users call: they come first on its page."""
WITHOUT_PAGE = {"cli"}
"""Packages that no Python user calls; the command line has a page of its own."""


def write(folder: Path) -> None:
    """Write all of them; files that have not changed stay as they are, so that Sphinx does too."""
    texts = {f"api/{name}.rst": api_page(name) for name in packages()}
    texts["api/index.md"] = api_index()
    texts["cli.md"] = command_line()
    for name in DOCUMENTS:
        if (ROOT / name).exists():
            texts[name.lower()] = document((ROOT / name).read_text())
    for path in folder.rglob("*.*"):
        if str(path.relative_to(folder)) not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


# --- the API --------------------------------------------------------------------------------------


@cache
def packages() -> list[str]:
    """Every package with public names, `mos_agents` itself first."""
    found = []
    for top in OWN:
        module = importlib.import_module(top)
        below = sorted(
            f"{top}.{one.name}"
            for one in pkgutil.iter_modules(module.__path__)
            if one.ispkg and one.name not in WITHOUT_PAGE
        )
        found += [top, *(name for name in below if any(sections(name)))]
    return found


def sections(package: str) -> Iterator[tuple[str, list[str]]]:
    """Modules of a package with their public names: those of `__all__`, or, of a package without
    one, those that its modules define."""
    module = importlib.import_module(package)
    if package == "mos_agents":
        return
    if hasattr(module, "__all__"):
        modules, names = [], []
        for name in module.__all__:
            held = getattr(module, name)
            (modules if isinstance(held, ModuleType) else names).append(name)
        yield package, names
        for name in modules:
            inner = getattr(module, name)
            yield inner.__name__, own_names(inner)
        return
    if package not in ("envs", "mos_agents.market"):
        return
    found = {one.name for one in pkgutil.iter_modules(module.__path__)}
    first = [name for name in ENVIRONMENTS if name in found]
    for name in [*first, *sorted(found - set(first))]:
        inner = importlib.import_module(f"{package}.{name}")
        if names := own_names(inner):
            yield inner.__name__, names
        for below in pkgutil.iter_modules(getattr(inner, "__path__", ())):
            if below.ispkg:
                deeper = importlib.import_module(f"{inner.__name__}.{below.name}")
                yield deeper.__name__, own_names(deeper)


def own_names(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines, in its order."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not isinstance(getattr(module, name), ModuleType)]
    return [
        name
        for name, held in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(held) or inspect.isfunction(held))
        and held.__module__ == module.__name__
        and held.__doc__
    ]


@cache
def documented() -> dict[tuple[str, str], str]:
    """Where each public object is described: by its own module and name, the name on the site."""
    found: dict[tuple[str, str], str] = {}
    for package in packages():
        for module, names in sections(package):
            for name in names:
                held = getattr(importlib.import_module(module), name)
                if home := home_of(held):
                    found.setdefault(home, f"{module}.{name}")
    return found


@cache
def related() -> dict[str, list[type]]:
    """By package, classes that its public objects mention but that it does not list."""
    known, found = set(documented()), {}
    waiting = [
        getattr(importlib.import_module(place.rsplit(".", 1)[0]), place.rsplit(".", 1)[1])
        for place in documented().values()
    ]
    while waiting:
        for held in mentioned(waiting.pop()):
            home = home_of(held)
            if home is None or home in known or not is_named(held):
                continue
            known.add(home)
            waiting.append(held)
            top, *rest = held.__module__.split(".")
            package = f"{top}.{rest[0]}" if top == "mos_agents" and rest else top
            if package in packages():
                found.setdefault(package, []).append(held)
    return {name: sorted(held, key=lambda one: one.__name__) for name, held in found.items()}


def mentioned(held: Any) -> Iterator[type]:
    """Classes of this project that the type hints of a class or function name."""
    members = [held]
    if inspect.isclass(held):
        yield from (one for one in held.__mro__[1:] if is_own(one))
        for name, one in vars(held).items():
            if name.startswith("_"):
                continue
            one = one.fget if isinstance(one, property) else getattr(one, "__func__", one)
            one = getattr(one, "func", one)  # of a cached property
            members.append(one)
    for one in members:
        if inspect.isclass(one) or inspect.isfunction(one):
            try:
                hints = typing.get_type_hints(one)
            except (NameError, TypeError):
                continue
            for hint in hints.values():
                yield from classes_of(hint)


def classes_of(hint: Any) -> Iterator[type]:
    if inspect.isclass(hint) and is_own(hint):
        yield hint
    for one in typing.get_args(hint):
        yield from classes_of(one)


def is_own(held: Any) -> bool:
    return getattr(held, "__module__", "").split(".")[0] in OWN


def is_named(held: type) -> bool:
    """Whether its own module holds a class by its public name: not one made at run time."""
    module = importlib.import_module(held.__module__)
    return held.__name__[0] != "_" and getattr(module, held.__qualname__, None) is held


def home_of(held: Any) -> tuple[str, str] | None:
    module, name = getattr(held, "__module__", None), getattr(held, "__qualname__", None)
    return (module, name) if isinstance(module, str) and isinstance(name, str) else None


def defined_in(module: ModuleType, name: str) -> str:
    """The module whose source holds a constant's docstring: the one that it is imported from."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if any((one.asname or one.name) == name for one in node.names):
                return defined_in(importlib.import_module(node.module), name)
    return module.__name__


def api_index() -> str:
    rows = [
        f"- [`{name}`]({name}.rst): {first_sentence(importlib.import_module(name))}"
        for name in packages()
    ]
    toctree = "\n".join(packages())
    return (
        "# API reference\n\n"
        "Each page lists the public names of one package, with their docstrings.\n\n"
        + "\n".join(rows)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"
    )


def first_sentence(held: Any) -> str:
    text = " ".join((inspect.getdoc(held) or "").split("\n\n")[0].split())
    text = re.sub(r" \[\d+\]_", "", text)  # its footnotes stand elsewhere
    return re.split(r"(?<=(?<! al)\.)\s", text)[0].rstrip(":")


def api_page(package: str) -> str:
    lines = [package, "=" * len(package), "", f".. automodule:: {package}", ""]
    if package == "mos_agents":
        return "\n".join(lines + top_level())
    for module, names in sections(package):
        if module != package:
            lines += [module, "-" * len(module), "", f".. automodule:: {module}", ""]
        lines += [f".. currentmodule:: {module}", ""]
        if len(names) > 3:
            lines += [".. autosummary::", "", *(f"   {shown(module, name)}" for name in names), ""]
        for name in names:
            lines += directive(importlib.import_module(module), name)
    if more := related().get(package):
        lines += [
            "Further types",
            "-------------",
            "",
            "Taken, returned or inherited by the above.",
            "",
        ]
        for held in more:
            lines += directive(importlib.import_module(held.__module__), held.__qualname__)
    return "\n".join(lines)


def shown(module: str, name: str) -> str:
    """A name as a table of contents finds it: constants are described where they are defined."""
    held = getattr(importlib.import_module(module), name)
    if inspect.isclass(held) or callable(held):
        return name
    return f"{defined_in(importlib.import_module(module), name)}.{name}".removeprefix(f"{module}.")


SILENT = (object, tuple, typing.Protocol, typing.Generic)
"""Bases that tell a reader nothing."""


def directive(module: ModuleType, name: str) -> list[str]:
    held = getattr(module, name)
    full = f"{module.__name__}.{name}"
    if inspect.isclass(held):
        bases = [one for one in held.__bases__ if one not in SILENT]
        shown = ["   :show-inheritance:"] if bases else []
        return [f".. autoclass:: {full}", "   :members:", *shown, ""]
    if callable(held):
        return [f".. autofunction:: {full}", ""]
    return [f".. autodata:: {defined_in(module, name)}.{name}", "   :no-value:", ""]


def top_level() -> list[str]:
    """The names of `mos_agents`, each with the place where it is described."""
    module = importlib.import_module("mos_agents")
    places = documented()
    lines = ["Names", "-----", ""]
    here = []
    for name in module.__all__:
        held = getattr(module, name)
        if isinstance(held, ModuleType):
            lines.append(f"- :doc:`{name} <{held.__name__}>`: {literal(first_sentence(held))}")
        elif name != "__version__":
            place = places.get((held.__module__, held.__qualname__))
            if place is None:
                here += directive(module, name)
            role = "class" if inspect.isclass(held) else "func"
            shown = f":py:{role}:`{name} <{place or f'mos_agents.{name}'}>`"
            lines.append(f"- {shown}: {literal(first_sentence(held))}")
    return [*lines, "", *here]


def literal(text: str) -> str:
    """A text of a docstring as reStructuredText."""
    return text.replace("`", "``")


# --- the command line -----------------------------------------------------------------------------


def command_line() -> str:
    """Every command with its arguments and options, from the parser itself."""
    import click
    import typer

    from mos_agents.cli.app import PURPOSES, app

    main = typer.main.get_command(app)
    context = click.Context(main, info_name="mos")
    lines = [
        "# Command line",
        "",
        "This page is made from the parser of `mos`. `mos COMMAND --help` prints the same.",
        "",
    ]
    for purpose, name in ((p, name) for p, names in PURPOSES.items() for name in names):
        command = main.get_command(context, name)  # type: ignore[attr-defined]
        if name == next(iter(PURPOSES[purpose])):
            lines += [f"## {purpose}", ""]
        own = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(own))
        lines += [f"### mos {name}", "", "```text", f"mos {name} {usage}", "```", ""]
        lines += [prose(command.help or ""), ""]
        rows = [row for one in command.get_params(own) if (row := parameter(one, own))]
        if rows:
            lines += ["| name | meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def parameter(one: Any, context: Any) -> str | None:
    if getattr(one, "hidden", False) or one.name == "help":
        return None
    record = one.get_help_record(context)
    shown, text = record or (one.make_metavar(context), getattr(one, "help", "") or "")
    shown, text = (" ".join(part.split()).replace("|", "\\|") for part in (shown, text))
    return f"| `{shown}` | {prose(text)} |"


def prose(text: str) -> str:
    """A help text as Markdown, whose brackets and angles are no markup."""
    text = inspect.cleandoc(text).replace("\f", "").replace("\b\n", "\n")
    return re.sub(r"([<>\[\]*_])", r"\\\1", text)


# --- documents at the root ------------------------------------------------------------------------


def document(text: str) -> str:
    """A document whose links to files of the repository become plain text."""
    kept = {name: f"{name.lower()}" for name in DOCUMENTS if (ROOT / name).exists()}

    def link(match: re.Match[str]) -> str:
        shown, target, anchor = match["shown"], match["target"], match["anchor"] or ""
        if "://" in target or not target:
            return match[0]
        if target in kept:
            return f"[{shown}]({kept[target]}{anchor})"
        return shown if shown.startswith("`") else f"{shown} (`{target}`)"

    return re.sub(
        r"(?<!!)\[(?P<shown>[^]]+)\]\((?P<target>[^)#]*)(?P<anchor>#[^)]*)?\)", link, text
    )
