"""`explain`: whatever a scenario can name has a text, and a near miss is told what was meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mos_agents
from mos_agents import scenarios
from mos_agents.cli import run
from mos_agents.learners import LEARNERS
from mos_agents.market.metrics import METRICS
from mos_agents.market.refusals import REASONS
from mos_agents.market.types import InputError
from mos_agents.policies import POLICIES, make
from mos_agents.scenarios import changes, explain, parts, validation, yaml_text
from mos_agents.scenarios.docstrings import wrapped
from mos_agents.scenarios.setting_topics import normal, settings
from mos_agents.scenarios.topic_list import KINDS, REFUSALS, topics
from mos_agents.scenarios.topics import Topic, describe_type
from tests.commands import refused

ALL = list(topics().values())


def named(topic: Topic) -> str:
    return f"{topic.kind} {topic.name}"


# --- everything is covered ------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_every_topic_has_a_sentence_that_says_something(topic: Topic) -> None:
    assert len(topic.sentence.split()) >= 2
    assert topic.paragraphs and all(paragraph.strip() for paragraph in topic.paragraphs)
    silent = [one.name for one in topic.parameters if len(one.text.split()) < 2]
    assert silent == []


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_every_topic_is_found_by_its_kind_and_name(topic: Topic) -> None:
    text = str(explain(topic.name, topic.kind))
    assert text.splitlines()[0] == f"{topic.name} ({topic.kind})"
    assert topic in explain(topic.name).topics
    assert len(text.splitlines()) > 1
    assert "None" not in text.replace("Nonetheless", "")


def test_every_policy_and_learner_is_a_topic() -> None:
    kinds = {name: kind for kind, name in topics() if kind in ("policy", "learner")}
    assert set(kinds) == set(POLICIES)
    assert {name for name, kind in kinds.items() if kind == "learner"} == set(LEARNERS)


@pytest.mark.parametrize("stage", parts.STAGES)
def test_every_kind_of_every_stage_is_a_topic(stage: str) -> None:
    assert {name for kind, name in topics() if kind == stage} == set(parts.kinds(stage))


def test_every_metric_preset_and_reason_is_a_topic() -> None:
    assert tuple(name for kind, name in topics() if kind == "metric") == METRICS
    assert [name for kind, name in topics() if kind == "preset"] == scenarios.presets()
    assert tuple(name for kind, name in topics() if kind == "refusal") == REASONS[1:]
    assert set(REFUSALS) == set(REASONS[1:])


def paths(value: object, prefix: str = "") -> set[str]:
    """The paths of a scenario as data; what stands in lists, and policies, as `settings` has it."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            if key == "kind":
                continue
            found.add(path)
            if not path.endswith((".policy", ".weights", ".by_participant")):
                found |= paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            found |= paths(inner, prefix)
    return found


@pytest.mark.parametrize("preset", scenarios.presets())
def test_every_setting_of_every_preset_can_be_explained(preset: str) -> None:
    data = yaml_text.plain(scenarios.load(preset).model_dump(mode="python"))
    wanted = paths(data)
    assert len(wanted) > 40
    assert {normal(path) for path in wanted} <= set(settings())
    for path in wanted:
        assert explain(path).topics[0].kind == "setting"


@pytest.mark.parametrize("preset", scenarios.presets())
def test_every_observation_of_every_preset_can_be_explained(preset: str) -> None:
    for spec in scenarios.load(preset).market().specs:
        for field in spec.fields:
            (topic,) = explain(field.name, "observation").topics
            assert dict(topic.facts)["unit"] == field.unit


@pytest.mark.parametrize("shorthand", changes.SHORTHANDS)
def test_every_shorthand_is_explained_as_what_it_stands_for(shorthand: str) -> None:
    (topic,) = explain(shorthand).topics
    assert shorthand in dict(topic.facts)["in short"]


# --- what is shown is true ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POLICIES)
def test_defaults_of_policies_are_those_of_their_classes(kind: str) -> None:
    (topic,) = (explain(kind, k).topics[0] for k in ("policy", "learner") if (k, kind) in topics())
    given = {p.name: yaml_text.parsed_value(p.default, kind) for p in topic.parameters if p.default}
    if all(p.default is not None for p in topic.parameters) and kind not in ("hedge", "network"):
        assert make(kind, **given) == make(kind)


@pytest.mark.parametrize("topic", [t for t in ALL if t.kind in ("policy", "learner")], ids=named)
def test_the_example_of_a_policy_is_one(topic: Topic) -> None:
    (participant,) = yaml_text.parsed_value(topic.example, "example")["participants"]
    assert set(participant) == {"name", "role", "policy"}
    assert make(**participant["policy"]).kind == topic.name


CHANGED = {
    "auction": ("sealed_bid", "auction", "uniform_draw"),
    "market_making": ("two_sided", "hawkes", "fill_intensity"),
}


@pytest.mark.parametrize(
    "topic",
    [t for t in ALL if t.example and t.kind == "setting" and "partic" not in t.name],
    ids=named,
)
def test_the_example_of_a_setting_is_taken_by_a_scenario(topic: Topic) -> None:
    data = yaml_text.parsed_value(topic.example, "example")
    whole = yaml_text.plain(scenarios.load("retail").model_dump(mode="python"))
    merged = merge(whole, data)
    if "kind: file" in topic.example:
        merged.pop("instruments")
    assert validation.validate(merged) is not None


def merge(whole: dict[str, object], part: dict[str, object]) -> dict[str, object]:
    made = dict(whole)
    for key, value in part.items():
        here = made.get(key)
        if (
            isinstance(value, dict)
            and isinstance(here, dict)
            and value.get("kind", 0)
            in (
                0,
                here.get("kind"),
            )
        ):
            made[key] = merge(here, value)
        elif isinstance(value, dict) and value.get("kind") in ("expected", "sampled"):
            made[key] = {"demand": {"kind": "logit"}, **value}
        else:
            made[key] = value
    return made


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (float, "number"),
        (int | None, "whole number or null"),
        (bool, "true or false"),
        (tuple[float, ...], "list of numbers"),
        (tuple[int, int], "list of 2 whole numbers"),
        (tuple[tuple[float, ...], ...] | None, "list of lists of numbers or null"),
        (float | tuple[float, ...], "number or list of numbers"),
        (dict[str, float], "table of names, each with a number"),
    ],
)
def test_types_are_told_in_words(hint: object, message: str) -> None:
    assert describe_type(hint) == message


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("avellaneda_stoikov", "avellaneda_stoikov (policy)"),
        ("avellaneda-stoikov", "avellaneda_stoikov (policy)"),
        ("logit", "logit (demand)"),
        ("quotes.min_margin", "quotes.min_margin (setting)"),
        ("positions.unit_fee", "positions.unit_fee (setting)"),
        ("shortage_cost", "positions.shortage_cost (setting)"),
        ("q_learning.alpha", "q_learning.alpha (learner)"),
        ("participants.firm.policy", "participants.policy (setting)"),
        ("participants.0.count", "participants.count (setting)"),
        ("own_ask", "own_ask (observation)"),
        ("pnl", "pnl (metric)"),
        ("retail", "retail (preset)"),
        ("off the price grid", "off the price grid (refusal)"),
        ("demand", "demand: how customers choose among offers"),
        ("policies", "policy: what a participant plays"),
        ("refusals", "refusal: why a quote is refused"),
    ],
)
def test_a_name_is_found(name: str, first: str) -> None:
    assert str(explain(name)).splitlines()[0] == first


def test_a_word_of_several_meanings_gives_them_all() -> None:
    assert [t.kind for t in explain("cost").topics] == ["metric", "observation"]
    assert [t.kind for t in explain("auction").topics] == ["preset", "execution"]


def test_a_parameter_of_many_gives_a_line_each() -> None:
    lines = str(explain("alpha")).splitlines()
    assert any("q_learning.alpha (learner)" in line for line in lines)
    assert any("arrivals.alpha (setting)" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("logti", "'logit'"),
        ("shortage_cst", "'positions.shortage_cost'"),
        ("quotes.min_margn", "'quotes.min_margin'"),
        ("avelaneda_stoikov", "'avellaneda_stoikov'"),
        ("qlearning", "'q_learning'"),
        ("retial", "'retail'"),
        ("learnr", "'learner'"),
        ("spread_captur", "'spread_capture'"),
        ("positions.unit_fe", "'positions.unit_fee'"),
        ("sampeld", "'sampled'"),
    ],
)
def test_a_near_miss_is_told_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"{re.escape(name)}.*did you mean.*{re.escape(meant)}"):
        explain(name)


def test_what_is_like_nothing_is_told_where_the_list_is() -> None:
    with pytest.raises(InputError, match="no 'zzzz'; leave the name out"):
        explain("zzzz")
    with pytest.raises(InputError, match="no policy 'logit'"):
        explain("logit", "policy")
    with pytest.raises(InputError, match="'polcy' is no kind of topic; did you mean 'policy'"):
        explain("hold", "polcy")


@given(st.text(max_size=40))
def test_any_text_is_explained_or_refused_in_one_line(name: str) -> None:
    try:
        assert str(explain(name))
    except InputError as error:
        assert "\n" not in str(error)


# --- the command ----------------------------------------------------------------------------------


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["explain", *arguments]) == 0
    return capsys.readouterr().out


def test_alone_the_command_lists_every_kind_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of(capsys)
    assert [kind for kind in KINDS if f"\n{kind} ({KINDS[kind]})" not in text] == []
    words = set(re.split(r"[,;\s]+", text))
    assert {name for kind, name in topics() if kind != "refusal"} <= words


def test_the_command_takes_a_kind_a_name_or_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert output_of(capsys, "policy").startswith("policy: what a participant plays\n")
    assert output_of(capsys, "policy", "hold") == output_of(capsys, "hold")
    assert output_of(capsys, "metric", "cost").startswith("cost (metric)\n")
    assert output_of(capsys, "off", "the", "price", "grid").startswith("off the price grid")
    assert output_of(capsys, "refusal", "off the price grid").startswith("off the price grid")


def test_a_policy_is_told_with_types_defaults_units_the_paper_and_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = output_of(capsys, "avellaneda_stoikov")
    assert "Avellaneda and Stoikov (2008)" in text
    assert "gamma: number, default 0.1" in text
    assert "absolute risk aversion, per unit of money, > 0" in text
    assert "kind: avellaneda_stoikov\n        gamma: 0.1\n" in text


def test_a_setting_of_several_kinds_tells_each(capsys: pytest.CaptureFixture[str]) -> None:
    text = output_of(capsys, "reference.price.sigma")
    assert "brownian: volatility per square root of time, in money, >= 0" in text
    assert "2.0 (brownian)" in text


def test_a_near_miss_of_the_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'logit'" in refused(capsys, "explain", "logti")
    assert "'polcy'" in refused(capsys, "explain", "polcy", "hold")


def test_no_line_is_wider_than_it_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    for topic in ALL:
        for line in explain(topic.name, topic.kind).text(80).splitlines():
            assert len(line) <= 110, line
    for words in ([], ["policy"], ["setting"]):
        assert max(map(len, output_of(capsys, *words).splitlines())) <= 96


def test_a_range_is_not_broken_over_two_lines() -> None:
    for width in range(20, 60):
        for line in wrapped("a number that may be anything, in [2, 10000], or else >= 0.", width):
            assert not line.endswith((">=", "[2,", "in"))


# --- in Python ------------------------------------------------------------------------------------


def test_in_python_the_text_is_what_the_prompt_shows() -> None:
    found = mos_agents.explain("cost_plus")
    assert repr(found) == str(found) == found.text()
    assert found.topics[0].parameters[0].name == "margin"
