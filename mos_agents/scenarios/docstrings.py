"""What docstrings say, taken apart: a sentence, paragraphs, and a text for every parameter.

A parameter is described in the section Parameters, as numpydoc has it, of the class or of a class
that it inherits from. The short form is a line that begins with its name and a colon:

    limit: largest inventory that bids may build up.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

HELD = "\xa0"
"""A blank at which no line is broken."""


class ParsedDocstring(NamedTuple):
    """A docstring: its paragraphs without those of parameters, and a text for each parameter."""

    paragraphs: tuple[str, ...]
    parameters: dict[str, str]

    @property
    def sentence(self) -> str:
        """The first sentence; empty where there is no docstring."""
        return first_sentence(self.paragraphs[0]) if self.paragraphs else ""


def parse_docstring(thing: type, names: Sequence[str] | None = None) -> ParsedDocstring:
    """What the docstring of a class says of it and of its parameters.

    names: the parameters; None takes the fields of a dataclass. What a class does not say of one,
    the next class that it inherits from may.
    """
    if names is None:
        names = (
            [f.name for f in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else []
        )
    found: dict[str, str] = {}
    for owner in reversed(thing.__mro__):
        found |= _taken_apart(owner.__dict__.get("__doc__") or "", names).parameters
    own = _taken_apart(inspect.cleandoc(thing.__dict__.get("__doc__") or ""), names)
    return ParsedDocstring(own.paragraphs, {name: found[name] for name in names if name in found})


def of_module(thing: type) -> tuple[str, ...]:
    """The paragraphs of the docstring of the module that a class stands in."""
    text = inspect.cleandoc(sys.modules[thing.__module__].__doc__ or "")
    return _taken_apart(text, ()).paragraphs


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence: not one of "et al." or of a number."""
    found = re.search(r"(?<!al)(?<!sec)(?<!fig)(?<!eq)(?<!ch)(?<!e\.g)[.?](?=\s+[A-Z`(]|$)", text)
    return text[: found.end()] if found else text


def wrapped(text: str, width: int, first: str = "", indent: str = "") -> list[str]:
    """A docstring's text in lines of at most `width`, with null, true and false as YAML has them.

    first, indent: what the first line and the others begin with. Ranges such as ">= 0" stay whole;
    a formula (indented) and a list keep their own lines.
    """
    for python, yaml in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", yaml, text)
    if text.startswith(("    ", "- ")):
        return [indent + line for line in text.splitlines()]
    whole = re.compile(r"[<>]=? (?=[-\w])|\bin [\[(][^\])]*[\])]")
    held = whole.sub(lambda found: found[0].replace(" ", HELD), text)
    lines = textwrap.wrap(
        held,
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(HELD, " ") for line in lines] or [first.rstrip()]


SECTION = re.compile(r"(?m)^(\w[\w ]*)\n-{3,}$\n?")
"""A heading of numpydoc: a line that is underlined."""
FOOTNOTE = re.compile(r"\s*\[\d+\]_")
"""A mark that points to a section References."""


def _taken_apart(text: str, names: Sequence[str]) -> ParsedDocstring:
    """Paragraphs and parameters. Of the other sections of numpydoc, only Notes are paragraphs."""
    head, *rest = SECTION.split(FOOTNOTE.sub("", inspect.cleandoc(text)))
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    paragraphs, parameters = _short_form(head, names)
    paragraphs += _short_form(sections.get("Notes", ""), ())[0]
    for heading in ("Parameters", "Attributes"):
        parameters |= _entries(sections.get(heading, ""), names)
    return ParsedDocstring(tuple(paragraphs), parameters)


def _entries(section: str, names: Sequence[str]) -> dict[str, str]:
    """The texts of a section of numpydoc, by the names that stand before them."""
    found: dict[str, str] = {}
    for entry in re.split(r"(?m)^(?=\S)", section):
        title, _, text = entry.partition("\n")
        for name in re.split(r",\s*", title.partition(" : ")[0]):
            if name in names:
                found[name] = _joined(textwrap.dedent(text))
    return found


def _short_form(text: str, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    paragraphs: list[str] = []
    parameters: dict[str, str] = {}
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        if not block.strip():
            continue
        for piece, title in _pieces(block, names):
            if title is None:
                paragraphs.append(piece)
            else:
                parameters |= dict.fromkeys(re.split(r",\s*", title), piece)
    return paragraphs, parameters


def _pieces(block: str, names: Sequence[str]) -> list[tuple[str, str | None]]:
    """A paragraph cut where a parameter's text begins: texts, and the names that they are of."""
    if not names:
        return [(_joined(block), None)]
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    begin = re.compile(rf"(?:^|(?<=[.:;)\]\"])[ \n]+|\n+)((?:{name})(?:,\s*(?:{name}))*):\s")
    pieces: list[tuple[str, str | None]] = []
    title, at = None, 0
    for found in begin.finditer(block):
        if block[at : found.start()].strip():
            pieces.append((_joined(block[at : found.start()]), title))
        title, at = found[1], found.end()
    pieces.append((_joined(block[at:]), title))
    return pieces


def _joined(text: str) -> str:
    """The lines of a paragraph as one; those of a formula (indented) and of a list as they are."""
    if re.match(r" {4}|- ", text):
        return text.rstrip()
    return " ".join(text.split())
