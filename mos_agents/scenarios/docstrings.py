"""What docstrings say, taken apart: a sentence, paragraphs, and a text for every parameter.

A parameter is described where a paragraph or a sentence begins with its name and a colon, in the
class or in one that it inherits from:

    limit: largest inventory that bids may build up.
    gamma, kappa: as in the paper. rate: orders per unit of time.
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


def _taken_apart(text: str, names: Sequence[str]) -> ParsedDocstring:
    paragraphs: list[str] = []
    parameters: dict[str, str] = {}
    for block in re.split(r"\n(?:[ \t]*\n)+", inspect.cleandoc(text)):
        if not block.strip():
            continue
        for piece, title in _pieces(block, names):
            if title is None:
                paragraphs.append(piece)
            else:
                parameters |= dict.fromkeys(re.split(r",\s*", title), piece)
    return ParsedDocstring(tuple(paragraphs), parameters)


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
