"""How names in docstrings and type hints find their page."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pages
from sphinx.util.inspect import TypeAliasForwardRef

OUTSIDE = [
    (r"py:.*", r"(?!mos_agents\.|envs\.).*"),
    (r"py:.*", r".*\.([A-Z]|_\w+)"),
    (r"py:.*", r"mos_agents\.runs\.files\..*"),
]
"""Names that are no links: those of other projects, whose pages are on other servers; type
variables and private names, and the inner classes of run folders."""


def connect(app: Any) -> None:
    places = pages.documented()
    by_full = {f"{module}.{name}": place for (module, name), place in places.items()}
    by_name: dict[str, set[str]] = {}
    for place in by_full.values():
        by_name.setdefault(place.rsplit(".", 1)[1], set()).add(place)

    def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
        if node.get("refdomain") != "py":
            return None
        target = node["reftarget"]
        place = by_full.get(target)
        if place is None and "." not in target and len(found := by_name.get(target, ())) == 1:
            (place,) = found
        if place is None or place == target:
            return None
        return env.domains.python_domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", place, node, content
        )

    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", plain, priority=400)  # before napoleon's
    app.connect("autodoc-skip-member", is_field)
    # Aliases are spelt as in the code, also inside other types.
    TypeAliasForwardRef.__repr__ = lambda alias: str(alias.name)  # type: ignore[method-assign]


def is_field(app: Any, what: str, name: str, held: Any, skip: bool, options: Any) -> bool | None:
    """Whether a member is a field of a named tuple, which the class describes already."""
    return True if type(held).__name__ == "_tuplegetter" else None


FOOTNOTE = re.compile(r"(?<!\w)\[(\d+)\](?=_(?!\w))|(?<=^\.\. )\[(\d+)\](?= )")
ENTRY = re.compile(r"(?P<names>[*a-z_]\w*(?:, [*a-z_]\w*)*): (?P<text>.*)")


def plain(app: Any, what: str, name: str, held: Any, options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText.

    Outside of back quotes it is plain text: no star and no underscore is markup. An indented block
    below a colon is code, and a line `name: text` is an entry of a list.
    """
    if what == "class":
        lines[:] = with_bases(held, lines)
    label = re.sub(r"\W", "-", name).lower()  # a page has one list of footnotes
    lines[:] = [FOOTNOTE.sub(lambda m: f"[#{label}-{m[1] or m[2]}]", line) for line in lines]
    made: list[str] = []
    entry = False  # whether the lines before belong to an entry of a list
    for at, line in enumerate(lines):
        indented = line.startswith("    ")
        if what == "module" and indented and made and continues_list(made[-1]):
            made.append(f"    | {escaped(line.strip())}")
            continue
        last = next((one for one in reversed(made) if one.strip()), "")
        if indented and made and not made[-1] and last[:1].strip() and last.endswith(":"):
            made[made.index(last, max(0, len(made) - 3))] = last + ":"
            made.append(line)
            entry = False
        elif not indented and (match := ENTRY.fullmatch(line)) and is_entry(lines, at):
            names = ", ".join(f"``{one}``" for one in match["names"].split(", "))
            made += ["", f"- {names}: {escaped(match['text'])}"]
            entry = True
        elif entry and line.strip():
            if not indented:  # a paragraph that goes on below the list
                made.append("")
                entry = False
            made.append(escaped(line.replace("    ", "  ", 1) if indented else line))
        else:
            in_code = (indented and last.startswith("    ")) or last.endswith("::")
            made.append(line if in_code and indented else escaped(line))
            entry = entry and not line.strip() and indented
    # An empty first line: napoleon would take the words before a colon for the constant's type.
    lines[:] = ["", *made] if what in ("data", "attribute") else made


PARAMETERS = re.compile(r"(?ms)^Parameters\n-+\n(?P<entries>.*?)(?=^\w[\w ]*\n---|\Z)")


def with_bases(held: type, lines: list[str]) -> list[str]:
    """A class's docstring with the parameters that it inherits, which its constructor takes too."""
    text = "\n".join(lines)
    own = PARAMETERS.search(text)
    found: list[str] = []
    for base in held.__mro__[1:]:
        section = PARAMETERS.search(inspect.cleandoc(base.__dict__.get("__doc__") or ""))
        if pages.is_own(base) and section is not None:
            found = [*section["entries"].rstrip().split("\n"), *found]
    if not found:
        return lines
    if own is None:
        return [*lines, "", "Parameters", "----------", *found]
    at = own.start("entries")
    return [*text[:at].split("\n")[:-1], *found, *text[at:].split("\n")]


def continues_list(before: str) -> bool:
    """Whether an indented line is one of a short list below a heading, each line on its own."""
    heading = before[:1].strip(" -.|") and not before.endswith(":")
    return before.startswith("    | ") or bool(heading)


def is_entry(lines: list[str], at: int) -> bool:
    """Whether `name: text` begins a paragraph, or follows an entry or one of its lines."""
    before = lines[at - 1] if at else ""
    return not before.strip() or before.startswith("    ") or bool(ENTRY.fullmatch(before))


def escaped(line: str) -> str:
    if line.lstrip().startswith((".. ", ":")):
        return line
    parts = re.split(r"(``[^`]+``|`[^`]+`_?)", re.sub(r"(?<!`)(`[^`]+`)(?=\w)", r"\1\\ ", line))
    parts[::2] = [re.sub(r"(\*|\||(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)
