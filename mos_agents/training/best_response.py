"""How far is a set of policies from an equilibrium? Freeze all but one, and train one against them.

Each participant in turn is taken out, and a fresh learner trained in its place against the others
as they are. What the learner earns more than the participant did, before the same luck, is what the
participant leaves on the table. The sum over participants is a lower bound of NashConv,
sum_i (V_i^BR - V_i) (Lanctot et al. 2017, "A Unified Game-Theoretic Approach to Multiagent
Reinforcement Learning"): a learner need not find the best response, sees no more than its seat
does, and chooses within the plan's actions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.analysis.statistics import check_confidence
from mos_agents.learners.trained import TrainedNetwork
from mos_agents.market.printing import short_repr
from mos_agents.market.tick import Market
from mos_agents.market.types import InputError
from mos_agents.policies.base import Policy, from_spec
from mos_agents.rollout import compare_policies, mean_interval
from mos_agents.training import extra
from mos_agents.training.folder import read_training
from mos_agents.training.hosted import learns
from mos_agents.training.plan import TrainingPlan, whole

EVALUATION = 1_000_003
"""Added to the plan's seed: rewards are compared before luck that no learner has met."""


@short_repr
@dataclass(frozen=True, eq=False)
class Gain:
    """What a fresh learner earns in a participant's place, in reward per tick.

    before, after: means of the participant's own policy and of the learner. gain: their difference
    before the same luck, in [low, high] with the stated confidence (for this learner: another
    training gives another). policy: the learner, ready to play. shares: [R] the replicates' gains.
    """

    participant: str
    before: float
    after: float
    gain: float
    low: float
    high: float
    policy: Policy
    shares: Any


@short_repr
@dataclass(frozen=True, eq=False)
class Exploitability:
    """The gains of all participants, and their sum in [low, high]: a lower bound of NashConv.

    A participant at whose place the learner earned less counts as 0: it can stay with its policy.
    """

    gains: tuple[Gain, ...]
    nash_conv: float
    low: float
    high: float
    confidence: float

    def __getitem__(self, participant: str) -> Gain:
        for gain in self.gains:
            if gain.participant == participant:
                return gain
        raise InputError(
            f"participant={participant!r} was not trained; those are "
            f"{', '.join(one.participant for one in self.gains)}"
        )

    def __str__(self) -> str:
        wide = max(len("participant"), *(len(one.participant) for one in self.gains))
        lines = [
            f"reward per tick, {100 * self.confidence:g}% bootstrap intervals over markets",
            f"{'participant':<{wide}}  {'own policy':>11}  {'learner':>11}  {'gain':>11}  interval",
        ]
        lines += [
            f"{g.participant:<{wide}}  {g.before:>11.4f}  {g.after:>11.4f}  {g.gain:>+11.4f}  "
            f"[{g.low:.4f}, {g.high:.4f}]"
            for g in self.gains
        ]
        lines.append(
            f"NashConv at least {self.nash_conv:.4f} [{self.low:.4f}, {self.high:.4f}], as far as "
            "these learners found"
        )
        return "\n".join(lines)


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

    plan: how learners are trained, and the scenario; its `agents` are not used. policies: who plays
        what, over the plan's `policies` and those over the scenario's. Nobody may go on learning.
    participants: at whose places; None: at all that quote anything.
    markets, seeds: the comparison plays one episode in so many markets of each of so many seeds.
    on_training: called with each participant before its learner is trained, and its result, if any,
        with every record of that training (`loop.OnProgress`). on_gain: called with each gain.
    address, insecure: of a Ray cluster, as for `training.train`.
    Raises InputError in one line where the plan does not fit, or somebody learns.
    """
    from mos_agents.training.seats import Seats

    whole("markets", markets, 1)
    whole("seeds", seeds, 1)
    check_confidence(confidence)
    played = {
        name: from_spec(policy)
        for name, policy in {
            **plan.scenario.policies(), **plan.policies, **(policies or {})
        }.items()
    }  # fmt: skip
    for name, policy in played.items():
        if learns(policy):
            raise InputError(
                f"policies: {name} goes on learning, and there is no best response to who changes; "
                "give a trained network, or freeze it: {kind: frozen, policy: ..., path: ...}"
            )
    first = plan.scenario.market()
    names = [seat.name for seat in first.seats if seat.action_shape[0]]
    chosen = names if participants is None else list(participants)
    if not chosen:
        raise InputError("participants: there is nobody to train a learner in place of")
    plans = {}
    for name in chosen:
        others = {other: policy for other, policy in played.items() if other != name}
        plans[name] = plan.changed(agents=(name,), policies=others, sharing="independent")
        Seats.of(plans[name])  # refuses before anything is trained
    market = first if plan.horizon is None else first.with_parts(horizon=plan.horizon)
    extra.needed()
    luck = [plan.seed + EVALUATION + k for k in range(seeds)]
    gains = []
    with _together(address, insecure):
        for name, one in plans.items():
            learner = _trained(name, one, on_training, address, insecure)
            gains.append(_gain(market, played, name, learner, luck, markets, confidence))
            if on_gain is not None:
                on_gain(gains[-1])
    counted = [one.shares for one in gains if one.gain > 0.0]
    total = np.sum(counted, axis=0) if counted else np.zeros(seeds * markets)
    return Exploitability(tuple(gains), *mean_interval(total, confidence), confidence)


def of_training(run: str | Path, root: str | Path = "runs", **changes: Any) -> TrainingPlan:
    """The plan to hand to `exploitability` for what a training has produced: its `trained.yaml`
    with the settings that it was trained with. changes: other settings, as fields of the plan;
    another algorithm has its own actions, learning rate and `hyper`."""
    found = read_training(run, root)
    path = found.folder / "trained.yaml"
    if not path.exists():
        raise InputError(f"{found.folder}: no checkpoint yet, so there is nobody to respond to")
    kept: dict[str, Any] = {"scenario": scenarios.load(str(path)), "policies": {}, "agents": None}
    if changes.get("algo", found.plan.algo) != found.plan.algo:
        kept |= {"actions": None, "lr": None, "hyper": {}}
    return found.plan.changed(**{**kept, **changes})


def _trained(
    name: str, plan: TrainingPlan, told: Callable[[str], Any] | None, address: str | None,
    insecure: bool,
) -> TrainedNetwork:  # fmt: skip
    from mos_agents.training import train

    progress = told(name) if told is not None else None
    found = train(plan, on_progress=progress, address=address, insecure=insecure)
    policy: TrainedNetwork = found.policies[name]
    return policy


def _gain(
    market: Market, played: Mapping[str, Policy], name: str, learner: Policy, seeds: Sequence[int],
    markets: int, confidence: float,
) -> Gain:  # fmt: skip
    found = compare_policies(
        market, {"own": played[name], "learner": learner}, participant=name, others=played,
        seeds=seeds, markets=markets, confidence=confidence,
    )  # fmt: skip
    row = found.row("learner")
    shares = found.values["learner", name] - found.values["own", name]
    return Gain(
        name, found.row("own").mean, row.mean, row.difference, row.difference_low,
        row.difference_high, learner, shares,
    )  # fmt: skip


@contextlib.contextmanager
def _together(address: str | None, insecure: bool) -> Iterator[None]:
    """One cluster for all trainings, where none is joined."""
    from mos_agents.actors.ray_cluster import cluster, joined

    if joined() or address is not None:
        yield
    else:
        with cluster(insecure=insecure):
            yield
