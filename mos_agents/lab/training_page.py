"""`report.html` of a training, put together from its folder and drawn by `report.trainings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mos_agents.report import trainings
from mos_agents.report.charts import SummaryTable
from mos_agents.report.page import PageContent, content_html, written
from mos_agents.scenarios import inline
from mos_agents.sweeps.training import unrepeated
from mos_agents.training.assignment import TrainingAssignment
from mos_agents.training.evaluation import without_training
from mos_agents.training.folder import TrainingRun, fault_lines
from mos_agents.training.plan import TrainingPlan, plain
from mos_agents.wording import plural, shown

HEAD = (
    "learner",
    "policy",
    "own policy",
    "first reward",
    "last reward",
    "last evaluation",
    "best evaluation",
    "at iteration",
)
CAPTION = (
    "Reward per tick in one market. Own policy: what the scenario gives the learner to play, in "
    "the markets of the evaluations (– where that learns by itself). Evaluations play the networks "
    "as they were then, without exploring; those of the last checkpoint are kept."
)


def write(run: TrainingRun) -> Path:
    """Write the page whole or not at all; its path."""
    return written(run.folder, content_html(page_content(run)))


def page_content(run: TrainingRun) -> PageContent:
    """What the page shows."""
    plan, records = run.plan, run.metrics()
    assignment = TrainingAssignment.of(plan)
    policy_of = {agent: policy.name for policy in assignment.policies for agent in policy.agents}
    last: Mapping[str, Any] = records[-1] if records else {"iteration": 0, "steps": 0}
    own = without_training(assignment) if records else {}
    return PageContent(
        "training",
        run.folder.name,
        lead(plan, assignment.agents),
        [
            ("scenario", plan.scenario.name),
            ("algorithm", f"{plan.algo}, {plan.actions}"),
            ("learners", f"{len(assignment.agents):,}"),
            ("iterations", f"{last['iteration']:,} of {plan.iterations:,}"),
            ("market ticks", f"{last['steps']:,}"),
            ("seed", str(plan.seed)),
        ],
        notes(run, records),
        trainings.pictures(
            records, assignment.agents, list(dict.fromkeys(policy_of.values())), own
        ),
        "Learners",
        SummaryTable(
            HEAD,
            tuple(row(records, a, policy_of[a], own.get(a)) for a in assignment.agents),
            CAPTION,
        )
        if records
        else SummaryTable((), ()),
        made(run, records, assignment),
        (run.folder / "scenario.yaml").read_text(),
        fault_lines(records, run.facts.get("faults") or ()),
    )


def lead(plan: TrainingPlan, learners: Sequence[str]) -> str:
    """Who learns; the scenario, which describes what is played without a training."""
    who = " and ".join(learners) if len(learners) < 3 else f"{len(learners):,} participants"
    whose = "its own policy" if len(learners) == 1 else "their own policies"
    verb = "learns" if len(learners) == 1 else "learn"
    return (
        f"{who} {verb} with {plan.algo.upper()}, in place of {whose} in the scenario: "
        f"{plan.scenario.description}"
    ).removesuffix(": ")


def row(
    records: Sequence[Mapping[str, Any]], agent: str, policy: str, own: float | None
) -> tuple[str, ...]:
    """What a learner came to, beside what its own policy earns."""
    earned = [r[f"reward/{agent}"] for r in records if f"reward/{agent}" in r]
    played = [
        (r[f"evaluation/{agent}"], r["iteration"]) for r in records if f"evaluation/{agent}" in r
    ]
    before = "–" if own is None else f"{own:.4g}"
    ends = [before, *([f"{earned[0]:.4g}", f"{earned[-1]:.4g}"] if earned else ["–", "–"])]
    if not played:
        return agent, policy, *ends, "–", "–", "–"
    best, at = max(played, key=lambda one: one[0])
    return agent, policy, *ends, f"{played[-1][0]:.4g}", f"{best:.4g}", f"{at:,}"


def notes(run: TrainingRun, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What somebody should know before reading the figures."""
    plan, lines = run.plan, []
    if not run.finished:
        done = f"its first {plural(records[-1]['iteration'], 'iteration')}" if records else "none"
        lines.append(
            f"This training has not ended: of {plan.iterations:,} iterations the page shows {done}."
            f" To go on: mos train --resume {run.folder.name}"
        )
    elif run.facts["ended"] != "iterations":
        lines.append(f"It ended early, by stop={run.facts['ended']}.")
    if records and not any("evaluation" in record for record in records):
        lines.append("No evaluation was made: rewards are those of learners who explore.")
    if few := sum(1 for record in records if record.get("workers", plan.workers) < plan.workers):
        lines.append(f"In {plural(few, 'iteration')} fewer than {plan.workers} workers were there.")
    return [*lines, *(f"{why[0].upper()}{why[1:]}." for why in unrepeated(plan))]


def made(
    run: TrainingRun, records: Sequence[Mapping[str, Any]], assignment: TrainingAssignment
) -> list[tuple[str, str]]:
    """How it came about."""
    plan, facts = run.plan, run.facts
    kept = ", ".join(f"{one:,}" for one in run.checkpoints())
    return [
        ("started", facts["started"]),
        ("finished", facts["finished"] or "no"),
        ("checkpoints", f"after iteration {kept}" if kept else "none"),
        ("seconds", f"{records[-1]['seconds']:,.1f}" if records else "none"),
        ("settings", ", ".join(f"{name} {inline(value)}" for name, value in settings(plan))),
        *others(plan, assignment),
        ("versions", ", ".join(f"{k} {v}" for k, v in facts["versions"].items())),
        ("to play what was learnt", f"mos run {shown(run.folder / 'trained.yaml')}"),
    ]


def others(plan: TrainingPlan, assignment: TrainingAssignment) -> list[tuple[str, str]]:
    """What those play who do not learn; nothing where all of them do."""
    if set(assignment.playing.layout.participants) == set(assignment.agents):
        return []
    text = ", ".join(f"{name} {kind_of(one)}" for name, one in plan.policies.items())
    return [("others play", text or "what the scenario says")]


def settings(plan: TrainingPlan) -> list[tuple[str, Any]]:
    """The plan's fields that say something, but for who plays what."""
    named = [one.name for one in fields(plan) if one.name not in ("scenario", "policies")]
    found = [(name, plain(getattr(plan, name))) for name in named]
    return [(name, value) for name, value in found if value not in (None, {}, [])]


def kind_of(policy: Any) -> str:
    """The kind of a policy, or of its parameters."""
    return str(policy["kind"] if isinstance(policy, Mapping) else policy.kind)
