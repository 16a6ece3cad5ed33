"""How far is a set of policies from an equilibrium? Freeze all but one, and train one against them.

Each participant in turn is taken out, and a fresh learner trained in its place against the others
as they are. What the learner earns more than the participant did, with the same random numbers, is
what the participant leaves on the table. The best constant action is tried too: a learner that was
trained too briefly finds less than that. The sum over participants is a lower bound of NashConv,
sum_i (V_i^BR - V_i) (Lanctot et al. 2017, "A Unified Game-Theoretic Approach to Multiagent
Reinforcement Learning"): a learner need not find the best response, sees no more than its
participant does, and chooses within the plan's actions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.analysis.interval_text import interval_text
from mos_agents.analysis.statistics import Interval, check_confidence
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.checks import check_whole
from mos_agents.market.faults import headline
from mos_agents.market.market import Market
from mos_agents.market.printing import short_repr
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy, from_config
from mos_agents.rollout import compare_policies, mean_interval
from mos_agents.training import requirements
from mos_agents.training.evaluation import best_of
from mos_agents.training.folder import read_training
from mos_agents.training.hosted_learners import learns
from mos_agents.training.plan import TrainingPlan

EVALUATION = 1_000_003
"""Added to the plan's seed: rewards are compared with random numbers that no learner has met."""


@short_repr
@dataclass(frozen=True, eq=False)
class Gain:
    """What a response earns in a participant's place, in reward per tick.

    Parameters
    ----------
    before, after : float
        means of the participant's own policy and of the response.
    gain : float
        their difference with the same random numbers, in [low, high] with the stated confidence
        (for this response: another training gives another).
    policy : Policy
        the response, ready to play.
    shares : any
        [R] the replicates' gains.
    response : str
        "learner", or which constant action, such as "level 5 of 15 (1.57)".
    faults : tuple of str
        what policies did wrong in the comparison, a line each.
    """

    participant: str
    before: float
    after: float
    gain: float
    low: float
    high: float
    policy: Policy
    shares: Any
    response: str = "learner"
    faults: tuple[str, ...] = ()

    @property
    def evidence(self) -> bool:
        """Whether it earned more than the policy that it replaces; if not, it shows nothing."""
        return self.gain > 0.0

    def __str__(self) -> str:
        count = 2 if self.shares is None else len(self.shares)
        one = Interval(self.gain, self.low, self.high, float("nan"))
        text = interval_text(one, count, "market", _signed)
        if not self.evidence:
            return f"{text}: no evidence"
        return f"{text}, perhaps by chance" if self.low <= 0.0 else text


@short_repr
@dataclass(frozen=True, eq=False)
class Exploitability:
    """What there is to gain at each place, and the sum in [low, high]: a lower bound of NashConv.

    Parameters
    ----------
    gains : tuple of Gain
        of the learners.
    constants : tuple of Gain
        of the best constant action of the grid at each place, in the same order; none where
        they were not tried. At each place the better of both counts, as played with random
        numbers of their own; where neither earned more than the participant's own policy, that
        is no evidence, and the place counts as 0: it can stay with its policy.
    low, high : float
        NaN where there is no evidence at any place.
    """

    gains: tuple[Gain, ...]
    nash_conv: float
    low: float
    high: float
    confidence: float
    constants: tuple[Gain, ...] = ()
    counted: tuple[Gain, ...] = ()

    @property
    def evidence(self) -> bool:
        """Whether any participant gained anything at all."""
        return self.nash_conv > 0.0

    def __getitem__(self, participant: str) -> Gain:
        for gain in self.gains:
            if gain.participant == participant:
                return gain
        raise InputError(
            f"participant={participant!r} was not trained; those are "
            f"{', '.join(one.participant for one in self.gains)}"
        )

    def __str__(self) -> str:
        rows = [("participant", "own policy", "response", "earns", "gain")]
        for place, learner in enumerate(self.gains):
            tried = [learner, *self.constants[place : place + 1]]
            rows += [
                (
                    one.participant if one is learner else "",
                    f"{one.before:.4f}" if one is learner else "",
                    one.response,
                    f"{one.after:.4f}",
                    str(one),
                )
                for one in tried
            ]
        wide = [max(len(row[column]) for row in rows) for column in range(5)]
        failed = dict.fromkeys(
            line for one in (*self.gains, *self.constants) for line in one.faults
        )
        lines = [
            *failed,
            f"reward per tick, {100 * self.confidence:g}% intervals over markets",
        ]
        for name, before, response, after, gain in rows:
            lines.append(
                f"{name:<{wide[0]}}  {before:>{wide[1]}}  {response:<{wide[2]}}  "
                f"{after:>{wide[3]}}  {gain}".rstrip()
            )
        return "\n".join([*lines, self.verdict])

    @property
    def verdict(self) -> str:
        """The bound in a sentence, or that there is none."""
        if not self.evidence:
            tried = "a learner or a constant action" if self.constants else "a learner"
            return (
                f"NashConv: no evidence. Nowhere did {tried} earn more than the policy it "
                "replaced; that is no proof of an equilibrium: a longer training may "
                "find more"
            )
        counts = [len(one.shares) for one in self.counted if one.shares is not None]
        total = Interval(self.nash_conv, self.low, self.high, float("nan"))
        text = interval_text(total, min(counts, default=2), "market", _plain)
        silent = [
            one.participant
            for one in self.gains
            if all(c.participant != one.participant for c in self.counted)
        ]
        rest = f"; no evidence in place of {', '.join(silent)}" if silent and self.counted else ""
        by = ", ".join(f"{one.participant}: {one.response}" for one in self.counted)
        return f"NashConv at least {text}, as far as these responses found" + (
            f" ({by}{rest})" if by else ""
        )


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _plain(value: float) -> str:
    return f"{value:.4f}"


def exploitability(
    plan: TrainingPlan,
    policies: Mapping[str, Any] | None = None,
    *,
    participants: Sequence[str] | None = None,
    markets: int = 64,
    seeds: int = 4,
    confidence: float = 0.95,
    on_training: Callable[[str], Any] | None = None,
    on_gain: Callable[[Gain], Any] | None = None,
    address: str | None = None,
    insecure: bool = False,
) -> Exploitability:
    """Train a best response to the others at each participant's place, and report what it gains.

    The best constant action of the plan's grid is tried as well; the better of both counts.

    plan: how learners are trained, and the scenario; its `agents` are not used. policies: who plays
        what, over the plan's `policies` and those over the scenario's. None of them may go on
        learning.
    participants: at whose places; None: at all that quote anything.
    markets, seeds: the comparison plays one episode in so many markets of each of so many seeds.
    on_training: called with each participant before its learner is trained, and its result, if any,
        with every record of that training (`trainer.OnProgress`). on_gain: called with the better
        response of each place.
    address, insecure: of a Ray cluster, as for `training.train`.
    Raises InputError in one line where the plan does not fit, or a participant learns.
    """
    from mos_agents.training.assignment import TrainingAssignment

    check_whole("markets", markets, 1)
    check_whole("seeds", seeds, 1)
    check_confidence(confidence)
    played = {
        name: from_config(policy)
        for name, policy in {
            **plan.scenario.policies(),
            **plan.policies,
            **(policies or {}),
        }.items()
    }
    for name, policy in played.items():
        if learns(policy):
            raise InputError(
                f"policies: {name} goes on learning, and there is no best response to who changes; "
                "give a trained network, or freeze it: {kind: greedy, policy: ..., path: ...}"
            )
    first = plan.scenario.market()
    names = [spec.name for spec in first.specs if spec.action_shape[0]]
    chosen = names if participants is None else list(participants)
    if not chosen:
        raise InputError("participants: there is no participant to train a learner in place of")
    plans = {}
    for name in chosen:
        others = {other: policy for other, policy in played.items() if other != name}
        plans[name] = plan.changed(agents=(name,), policies=others, sharing="independent")
        TrainingAssignment.of(plans[name])  # refuses before anything is trained
    market = first if plan.horizon is None else first.with_parts(horizon=plan.horizon)
    requirements.check_packages()
    evaluation_seeds = [plan.seed + EVALUATION + k for k in range(seeds)]
    gains, found = [], []
    with _together(address, insecure):
        for name, one in plans.items():
            learner = _trained(name, one, on_training, address, insecure)
            constant, wins = best_of(one, market, name, played, [learner])
            tried: dict[str, Policy] = {"learner": learner, constant.label: constant.policy}
            both = _gains(market, played, name, tried, evaluation_seeds, markets, confidence)
            gains.append(both[0])
            found.append((both[1], wins))
            if on_gain is not None:
                on_gain(both[1] if wins else both[0])
    return _added_up(gains, found, confidence)


def _added_up(
    gains: Sequence[Gain], found: Sequence[tuple[Gain, bool]], confidence: float
) -> Exploitability:
    """found: at each place the best constant's gain, and whether it is to count."""
    better = [one if wins else gain for gain, (one, wins) in zip(gains, found, strict=True)]
    counted = tuple(one for one in better if one.evidence)
    nan = float("nan")
    total = (0.0, nan, nan)
    if counted:
        total = mean_interval(np.sum([one.shares for one in counted], axis=0), confidence)
    constants = tuple(one for one, _ in found)
    return Exploitability(tuple(gains), *total, confidence, constants, counted)


def of_training(run: str | Path, root: str | Path = "runs", **changes: Any) -> TrainingPlan:
    """The plan to hand to `exploitability` for what a training has produced: its `trained.yaml`
    with the settings that it was trained with. changes: other settings, as fields of the plan;
    another algorithm has its own actions, learning rate and `hyper`."""
    found = read_training(run, root)
    path = found.folder / "trained.yaml"
    if not path.exists():
        raise InputError(f"{found.folder}: no checkpoint yet, so there is no policy to respond to")
    kept: dict[str, Any] = {"scenario": scenarios.load(str(path)), "policies": {}, "agents": None}
    if changes.get("algo", found.plan.algo) != found.plan.algo:
        kept |= {"actions": None, "lr": None, "hyper": {}}
    return found.plan.changed(**{**kept, **changes})


def _trained(
    name: str,
    plan: TrainingPlan,
    on_part: Callable[[str], Any] | None,
    address: str | None,
    insecure: bool,
) -> TrainedNetwork:
    from mos_agents.training import train

    progress = on_part(name) if on_part is not None else None
    found = train(plan, on_progress=progress, address=address, insecure=insecure)
    policy: TrainedNetwork = found.policies[name]
    return policy


def _gains(
    market: Market,
    played: Mapping[str, Policy],
    name: str,
    responses: Mapping[str, Policy],
    seeds: Sequence[int],
    markets: int,
    confidence: float,
) -> list[Gain]:
    """What each response earns in the participant's place, before the same random numbers."""
    own = "own policy"
    found = compare_policies(
        market,
        {own: played[name], **responses},
        participant=name,
        others=played,
        seeds=seeds,
        markets=markets,
        confidence=confidence,
        on_fault="hold",
    )
    failed = {
        who: tuple(
            f"{line} (with {'its own policy' if who == own else who} as {name})"
            for line in headline(faults, found.decisions)
        )
        for who, faults in found.faults.items()
    }
    rows = [found.row(label) for label in responses]
    return [
        Gain(
            name,
            found.row(own).mean,
            row.mean,
            row.difference,
            row.difference_low,
            row.difference_high,
            policy,
            found.values[label, name] - found.values[own, name],
            label,
            (*failed.get(own, ()), *failed.get(label, ())),
        )
        for row, (label, policy) in zip(rows, responses.items(), strict=True)
    ]


@contextlib.contextmanager
def _together(address: str | None, insecure: bool) -> Iterator[None]:
    """One cluster for all trainings, where none is joined."""
    from mos_agents.actors.ray.cluster import cluster, joined

    if joined() or address is not None:
        yield
    else:
        with cluster(insecure=insecure):
            yield
