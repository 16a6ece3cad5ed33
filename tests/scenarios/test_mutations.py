"""Files that went wrong: each is taken, or refused in one line that names the place.

A preset written out in full gets a wrong value at one place, or a few accidents of typing. The
normal tests try a sample; MOS_TEST_WHOLE=1 tries 10,000 of each kind, over all presets, and
measures time and memory.
"""

from __future__ import annotations

import os
import random
import re
import resource
import time
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mos_agents import learners, registry, scenarios  # noqa: F401 (learners join the others)
from mos_agents.market.catalogue import Catalogue
from mos_agents.market.types import InputError
from mos_agents.policies import make
from mos_agents.policies.base import POLICIES
from mos_agents.scenarios.parts import STAGES as NAMED
from tests.commands import refused

PRESETS = scenarios.presets()
WHOLE = bool(os.environ.get("MOS_TEST_WHOLE"))
TRIED = 10_000 if WHOLE else 400
HOLE = "a place for a value"

VALUES = [
    # numbers beyond what is computed with, and such that YAML reads otherwise than people do
    "1" + "0" * 25,
    "-1" + "0" * 25,
    "9" * 400,
    "1" * 5000,
    "0x" + "f" * 4000,
    "1e400",
    "-1e400",
    "1e308",
    "1e-320",
    "12:30",
    "1:2:3:4",
    "190:20:30.15",
    "010",
    "0b11",
    "0o17",
    "1_000",
    ".inf",
    "-.inf",
    ".nan",
    "99999999999",
    "-1",
    "0",
    "1.5",
    "1e-14",
    "1e15",
    # what is no number
    "null",
    "~",
    "yes",
    "''",
    "x",
    "x" * 5000,
    "'é\\u202e\\x1b[31m'",
    "'../../../etc/passwd'",
    "2020-01-01",
    "'NaN'",
    "'inf'",
    "'1e5'",
    '"\\x1b]0;title\\a"',
    "[]",
    "{}",
    "[1, 2, 3]",
    "[[1]]",
    "{a: 1}",
    "{kind: x}",
    "{kind: 5}",
    "{kind: [1]}",
    "{kind: replay, path: /dev/zero}",
    "{kind: file, path: /dev/zero}",
    "{kind: file, path: /dev/stdin}",
    "{kind: greedy, path: /}",
    "{kind: network, path: /dev/zero}",
    "{kind: file, path: ''}",
    "[" * 29 + "]" * 29,
    '{kind: file, path: "a\\0b"}',
    "/dev/zero",
    "[.nan, 1]",
    "[null]",
    "{null: 1}",
    "{1: 2}",
    "[" + "1," * 2000 + "1]",
    "{kind: q_learning, prices: 1" + "0" * 30 + "}",
    # what YAML has besides plain data
    "&a [1]",
    "*a",
    "[&a 1, *a]",
    "!!python/object/apply:os.system [ls]",
    "!!binary aGk=",
    "!!set {a}",
    "!!float x",
    "!!int 1.5",
    "!!timestamp x",
    "!thing 1",
    "{<<: {a: 1}}",
    "{a: 1, a: 2}",
    "{name: a, name: b}",
    "[" * 4000 + "]" * 4000,
    "{a: " * 40 + "}" * 40,
]
"""Texts in a value's place."""


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Drawing catalogues is slow and not what is tried here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Catalogue,
            "drawn",
            classmethod(
                lambda cls, layout, *a, **k: cls(
                    np.ones(layout.L), np.ones(layout.L), np.ones(layout.L), np.ones(layout.L)
                )
            ),
        )
        yield


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values, inner and outer."""
    if path:
        yield path
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in inner:
        yield from places(value, (*path, key))


def with_value(data: Any, path: tuple[Any, ...], text: str) -> str:
    """The data as YAML with a text, as it is, at one place."""
    if not path:
        return HOLE
    changed = list(data) if isinstance(data, list) else dict(data)
    changed[path[0]] = with_value(data[path[0]], path[1:], text)
    return changed


def written(name: str, path: tuple[Any, ...], text: str) -> str:
    data = yaml.safe_load(scenarios.dump(scenarios.load(name)))
    changed = with_value(data, path, text)
    file = yaml.dump(changed, Dumper=yaml.CSafeDumper, sort_keys=False, width=10**6)
    return file.replace(HOLE, text)


def names_the_place(message: str, path: tuple[Any, ...], line: int) -> bool:
    """Whether a message names the path or its parent, or the line in a file; of a policy's
    parameters the participant's path and the parameter.
    """
    keys = [str(key) for key in path]
    dotted = [".".join(keys[:n]) for n in range(len(keys), 0, -1)]
    if f"line {line}" in message or any(one in message for one in dotted[:2]):
        return True
    if all(key in message for key in keys):
        return True
    if re.search(r"\b(catalogue|quotes|positions)\.[a-z_]+=", message):
        return True  # two settings that do not go together: the other one is named, and both told
    return any(one in message for one in dotted) and any(
        f".{key}{after}" in message for key in keys[-2:] for after in "=."
    )


def tried(text: str) -> str | None:
    """What the file is refused with; None where it is taken."""
    try:
        scenarios.parse(text).market()
    except InputError as error:
        return str(error)
    return None


def test_a_wrong_value_at_any_place_of_any_preset_is_named() -> None:
    draw = random.Random(1)
    spots = {
        name: list(places(yaml.safe_load(scenarios.dump(scenarios.load(name))))) for name in PRESETS
    }
    refused, slowest = 0, (0.0, "")
    unnamed: list[str] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(TRIED):
        name = PRESETS[i % len(PRESETS)]
        path, value = draw.choice(spots[name]), VALUES[draw.randrange(len(VALUES))]
        text = written(name, path, value)
        line = 1 + text[: text.find(value)].count("\n") if value in text else 0
        begin = time.process_time()
        found = tried(text)
        slowest = max(slowest, (time.process_time() - begin, f"{name} {path} {value:.60}"))
        if found is not None:
            refused += 1
            case = f"{name}: {path} = {value:.80}: {found}"
            assert "\n" not in found and len(found) < 700, case
            assert found.isprintable(), case
            if not names_the_place(found, path, line):
                unnamed.append(case)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not unnamed
    assert 0.5 * TRIED < refused < TRIED
    assert grown < 200 * 2**10, grown  # kilobytes
    assert slowest[0] < (1.0 if WHOLE else 20.0), slowest  # seconds of this process
    if WHOLE:
        print(f"{refused:,} of {TRIED:,} refused; slowest {slowest}; grown by {grown:,} kB")


def accidents(text: str, draw: random.Random) -> str:
    """The file with a few accidents: characters, lines or values changed."""
    for _ in range(draw.randint(1, 3)):
        lines = text.split("\n")
        row = draw.randrange(len(lines))
        kind = draw.randrange(6)
        if kind == 0 and text:
            at = draw.randrange(len(text))
            text = text[:at] + chr(draw.randrange(0, 1000)) + text[at + 1 :]
            continue
        if kind == 1:
            del lines[row]
        elif kind == 2:
            lines.insert(row, lines[draw.randrange(len(lines))])
        elif kind == 3:
            lines[row] = " " * draw.randrange(6) + lines[row].lstrip()
        elif kind == 4:
            lines[row] = lines[row].split(":")[0] + ": " + draw.choice(VALUES)
        else:
            lines[row] = lines[row][: draw.randrange(len(lines[row]) + 1)]
        text = "\n".join(lines)
    return text


def test_accidents_of_typing_are_taken_or_refused_in_one_line_with_a_place() -> None:
    texts = [scenarios.dump(scenarios.load(name)) for name in PRESETS]
    sections = list(scenarios.Scenario.model_fields)
    draw = random.Random(0)
    refused, slowest = 0, (0.0, "")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(TRIED):
        text = accidents(texts[i % len(texts)], draw)
        begin = time.process_time()
        found = tried(text)
        slowest = max(slowest, (time.process_time() - begin, text))
        if found is not None:
            refused += 1
            assert "\n" not in found and found.isprintable() and len(found) < 700, (found, text)
            known = any(one in found for one in sections) or "is not a key here" in found
            assert "line " in found or known or "keys and values" in found, (found, text)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert 0.3 * TRIED < refused < TRIED
    assert grown < 200 * 2**10, grown
    assert slowest[0] < (1.0 if WHOLE else 20.0), slowest
    if WHOLE:
        print(f"{refused:,} of {TRIED:,} refused; slowest {slowest[0]:.2f} s; by {grown:,} kB")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: m\nticks: 12:30\n", "line 2: '12:30' would be a number in base 60"),
        ("name: m\nticks: 1:2:3.5\n", "line 2: '1:2:3.5' would be a number in base 60"),
        ("name: m\nticks: 010\n", "line 2: '010' would be a number in base 8"),
        ("name: m\nticks: " + "1" * 5000, "line 2: a number of 5,000 digits is beyond"),
        ("name: m\nticks: " + "1" * 500, "ticks=a number of about 500 digits: is beyond"),
        ("name: m\nticks: !!int x\n", "line 2: 'x' is no int"),
        ("name: m\nticks: &a 1\n", "participants is missing"),
        ("name: m\nticks: {<<: {a: 1}}\n", "line 2: merging (<<) is not taken here"),
        ("name: m\nx: y\x00\n", r"line 2, character 5: '\x00' is not taken in YAML"),
        ("name: m\nx: \x1b[31m\n", r"line 2, character 4: '\x1b' is not taken in YAML"),
        ("name: m\nx: \ud800\n", r"line 2, character 4: '\ud800' is not taken in YAML"),
    ],
)
def test_numbers_and_characters_that_yaml_reads_otherwise_than_people_are_told(
    text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        scenarios.parse(text)
    assert message in str(caught.value)


def test_a_number_beyond_floats_in_a_policys_list_is_told_by_the_policys_field() -> None:
    text = (
        "name: m\nparticipants: [{name: a, policy: {kind: q_learning, prices: 15, "
        f"initial: [1, 1{'0' * 400}]}}}}]\ninstruments: 1\n"
        "execution: {kind: expected, demand: {kind: logit}}\n"
    )
    with pytest.raises(InputError) as caught:
        scenarios.parse(text)
    message = "participants.0.policy: q_learning.initial=a number of about 401 digits is beyond"
    assert message in str(caught.value)


BEYOND = "1" + "0" * 400


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "retail", "--ticks", BEYOND],
        ["run", "retail", "--seed", BEYOND],
        ["run", "retail", "--markets", "-" + BEYOND],
        ["run", "retail", "--every", BEYOND],
        ["run", "retail", "--record-markets", BEYOND],
        ["demo", "--sessions", BEYOND],
        ["demo", "--sessions", "1" + "0" * 17],
        ["demo", "--workers", BEYOND],
        ["run", "retail", "--set", f"arrivals.sessions={BEYOND}"],
        ["run", "retail", "--backend", "actors", "--shards", BEYOND],
        ["replicate", "calvano_2020", "--sessions", BEYOND],
        ["replicate", "calvano_2020", "--set", f"alpha={BEYOND}"],
        ["replicate", "calvano_2020", "--set", f"n={BEYOND}"],
    ],
    ids=lambda given: " ".join(given)[:50],
)
def test_numbers_beyond_floats_are_one_short_line_whatever_option_they_are_given_to(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(capsys, *arguments)
    assert len(line) < 400
    assert list(tmp_path.iterdir()) == []


def numbers_of(classes: list[type]) -> list[tuple[type, str]]:
    return [(one, field.name) for one in classes for field in fields(one) if field.init]


STAGES = [one for stage in NAMED for one in registry.table(stage).values()]


@pytest.mark.parametrize(("stage", "name"), numbers_of(STAGES), ids=lambda one: str(one)[-40:])
@pytest.mark.parametrize("value", [10**400, -(10**400), 2**63])
def test_no_stage_takes_a_number_beyond_those_that_are_computed_with(
    stage: type, name: str, value: int
) -> None:
    others = {
        f.name: 1.0
        for f in fields(stage)
        if f.init and f.default is MISSING and f.default_factory is MISSING
    }
    with pytest.raises(InputError, match="beyond the numbers that are computed with") as caught:
        stage(**others | {name: value})
    assert name in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("policy", "name"), numbers_of(list(POLICIES.values())), ids=lambda one: str(one)[-40:]
)
def test_no_policy_takes_a_number_beyond_those_that_are_computed_with(
    policy: Any, name: str
) -> None:
    others = {
        f.name: 1.0
        for f in fields(policy)
        if f.init and f.default is MISSING and f.default_factory is MISSING
    }
    for made in (policy, partial(make, policy.kind)):
        with pytest.raises(InputError, match="beyond the numbers that are computed with") as caught:
            made(**others | {name: 10**400})
        assert name in str(caught.value) and len(str(caught.value)) < 200


def test_a_message_has_none_of_the_insides_of_its_checks() -> None:
    text = scenarios.dump(scenarios.load("retail"))
    for value in ("{kind: x}", "[1, {a: b}]", "{a: 1}", "x", "[[a]]", "yes"):
        for path in ("instruments", "participants", "catalogue", "ticks"):
            lines = text.split("\n")
            row = next(i for i, line in enumerate(lines) if line.startswith(path + ":"))
            message = tried("\n".join([*lines[:row], f"{path}: {value}"])) or ""
            for inside in ("function-", "constrained", "functools", "<", "validator", "__"):
                assert inside not in message, message


@pytest.mark.parametrize(
    "option",
    [
        "arrivals.sessions",
        "participants.platform.policy.margin",
        "seed",
        "ticks",
        "dt",
        "arrivals.views",
        "positions.lead_time",
        "participants.firm.count",
        "execution.demand.elasticity",
        "quotes.max_age",
        "rewards.weights.pnl",
    ],
)
@pytest.mark.parametrize("value", ["1" + "0" * 400, "-1" + "0" * 400, "0x" + "f" * 5000, "1e400"])
def test_numbers_beyond_floats_are_refused_by_name_in_settings(option: str, value: str) -> None:
    value = f"[1, {value}]" if option == "arrivals.views" else value
    with pytest.raises(InputError) as caught:
        scenarios.override(scenarios.load("retail"), [f"{option}={value}"]).market()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    assert option.split(".")[-1] in text or value in text or option.rsplit(".", 1)[0] in text
