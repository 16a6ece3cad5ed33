"""`explain`: what a policy, demand model, setting, metric or observation is, found by its name."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mos_agents.market.types import InputError
from mos_agents.scenarios import changes
from mos_agents.scenarios.docstrings import wrapped
from mos_agents.scenarios.setting_topics import normal
from mos_agents.scenarios.topic_list import KINDS, topics
from mos_agents.scenarios.topics import Parameter, Topic

WIDTH = 96
"""Characters of a line by default."""

MOST = 4
"""Topics of one name that are shown in full; of more, a line each."""


@dataclass(frozen=True)
class Explanation:
    """One or several topics; at a prompt and in print, their text.

    Parameters
    ----------
    topics : tuple of Topic
        The topics.
    kind : str
        The kind of which `topics` are all, such as "policy"; empty for single topics.
    """

    topics: tuple[Topic, ...]
    kind: str = ""

    def text(self, width: int = WIDTH) -> str:
        """As text of lines of at most `width` characters, where words and examples allow it."""
        if self.kind or len(self.topics) > MOST:
            return "\n".join(_list(self.kind, self.topics, width))
        return "\n\n".join("\n".join(_in_full(topic, width)) for topic in self.topics)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


def explain(name: str = "", kind: str = "") -> Explanation:
    """Say what a policy, learner, demand model, stage, setting, metric, preset or refusal is.

    Parameters
    ----------
    name : str, optional
        Such as "avellaneda_stoikov", "positions.unit_fee", "logit", or "q_learning.alpha" for one
        parameter. Without a name, all topics of a kind are listed, and without a kind, all.
    kind : str, optional
        One of `KINDS`, where a name stands for several things.

    Returns
    -------
    Explanation
        `print` shows it: meaning, parameters, units, source and an example.

    Raises
    ------
    InputError
        In one line with the nearest names, if there is no such topic.
    """
    if kind:
        kind = _kind(kind)
    wanted = name.strip().replace("-", "_") if name not in _names(kind) else name
    if not wanted:
        chosen = [topic for topic in topics().values() if kind in ("", topic.kind)]
        return Explanation(tuple(chosen), kind or "all")
    known = [topic for topic in topics().values() if kind in ("", topic.kind)]
    if exact := tuple(topic for topic in known if topic.name in (wanted, _path(wanted))):
        return Explanation(exact)
    if not kind and (listed := _as_kind(wanted)):
        return explain(kind=listed)
    if found := tuple(_within(wanted, known)):
        return Explanation(found)
    near = _nearest(wanted, [*_names(kind), *(k for k in KINDS if not kind)])
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else "leave the name out to list everything"
    )
    what = f"{kind} " if kind else ""
    raise InputError(f"explain: there is no {what}{name!r:.60}; {hint}")


def _path(name: str) -> str:
    """A path in full, as settings are named: `firms` is `participants.count`."""
    first, dot, rest = name.partition(".")
    return normal(changes.SHORTHANDS.get(first, first) + dot + rest)


def _within(name: str, known: Iterable[Topic]) -> Iterator[Topic]:
    """What is found by the last part of its path, and parameters of policies and stages."""
    owner, _, last = _path(name).rpartition(".")
    for topic in known:
        policy = topic.kind in ("policy", "learner") and owner in ("", "participants.policy")
        if not owner and topic.name.rpartition(".")[2] == last:
            yield topic
        for one in topic.parameters:
            if one.name == last and (policy or topic.name == owner):
                yield _of_parameter(topic, one)


def _of_parameter(topic: Topic, one: Parameter) -> Topic:
    default = "must be given" if one.default is None else one.default
    facts = (("type", one.type), ("default", default), ("of", f"{topic.name}: {topic.sentence}"))
    text = f"{one.text[:1].upper()}{one.text[1:]}"
    return Topic(topic.kind, f"{topic.name}.{one.name}", (text,), (), facts)


def _kind(given: str) -> str:
    found = _as_kind(given)
    if not found:
        near = _nearest(given, KINDS)
        hint = f"did you mean {near[0]!r}?" if near else f"kinds are {', '.join(KINDS)}"
        raise InputError(f"explain: {given!r:.60} is no kind of topic; {hint}")
    return found


def _as_kind(given: str) -> str:
    """The kind of that name, which may be in the plural."""
    plurals = {"policies": "policy", "processes": "process", "parameter": "setting"}
    for name in (given, plurals.get(given, ""), given.removesuffix("s")):
        if name in KINDS:
            return name
    return ""


def _names(kind: str) -> list[str]:
    return [topic.name for topic in topics().values() if kind in ("", topic.kind)]


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names like this one: as a whole, or by the last part of their path."""
    whole = list(dict.fromkeys(known))
    found = difflib.get_close_matches(name, whole, 3, cutoff=0.7)
    last: dict[str, str] = {}
    for one in whole:
        last.setdefault(one.rpartition(".")[2], one)
    found += [last[one] for one in difflib.get_close_matches(name, last, 3, cutoff=0.7)]
    return list(dict.fromkeys(found))[:3]


# --- as text --------------------------------------------------------------------------------------


def _list(kind: str, chosen: tuple[Topic, ...], width: int) -> Iterator[str]:
    if kind == "all":
        yield "Name one of these to read what it is. Name a kind to list it."
        for one, about in KINDS.items():
            names = [topic.name for topic in chosen if topic.kind == one]
            yield ""
            yield f"{one} ({about})"
            separator = "; " if one == "refusal" else ", "
            yield from wrapped(separator.join(names), width, "  ", "  ")
        return
    if kind:
        yield f"{kind}: {KINDS[kind]}"
    names = [topic.name if kind else f"{topic.name} ({topic.kind})" for topic in chosen]
    wide = min(max(map(len, names)), 40)
    for name, topic in zip(names, chosen, strict=True):
        text = textwrap.shorten(topic.sentence, 2 * (width - wide - 4), placeholder=" ...")
        yield from wrapped(text, width, f"  {name:<{wide}}  ", " " * (wide + 4))


def _in_full(topic: Topic, width: int) -> Iterator[str]:
    yield f"{topic.name} ({topic.kind})"
    for paragraph in topic.paragraphs:
        yield from wrapped(paragraph, width, "  ", "  ")
    if topic.facts:
        wide = max(len(name) for name, _ in topic.facts)
        before = ""
        yield ""
        for name, value in topic.facts:
            shown = "" if name == before else name  # one below the other
            yield from wrapped(value, width, f"  {shown:<{wide}}  ", " " * (wide + 4))
            before = name
    if topic.parameters:
        yield ""
        yield "  settings" if topic.kind == "setting" else "  parameters"
        for one in topic.parameters:
            default = "must be given" if one.default is None else f"default {one.default}"
            yield f"    {one.name}: {one.type}, {textwrap.shorten(default, 60, placeholder=' ...')}"
            yield from wrapped(one.text, width, " " * 8, " " * 8)
    if topic.example:
        yield ""
        yield "  in a scenario file"
        yield textwrap.indent(topic.example, "    ")
