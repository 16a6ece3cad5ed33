"""All runners of a training as one: what they know is kept, and given back to who takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    WEIGHTS_SEQ_NO,
)

from mos_agents.market.faults import Fault, added_up
from mos_agents.training import hosted
from mos_agents.training.assignment import TrainingAssignment

PATIENCE = 60.0
"""Seconds to wait for a runner's answer."""


class Runners:
    """The runners of an algorithm: the driver's own, or remote ones, numbered from 1."""

    def __init__(self, algorithm: Any, assignment: TrainingAssignment) -> None:
        self.algorithm, self.assignment = algorithm, assignment
        self._kept: dict[int, Mapping[str, Any]] = {}
        if assignment.plan.workers:
            algorithm.callbacks.append(_WhenOneIsBack(self))

    def steps(self) -> int:
        """Market ticks played by all of them."""
        key = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return int(self.algorithm.metrics.peek(key, default=0))

    def hand_out(self) -> None:
        """Give the learner's weights to all of them, and wait until they have them.

        RLlib's `sync_weights` does not wait, and leaves out who has two requests before it already:
        a runner that is still starting would begin with weights of its own.
        """
        group = self.algorithm.learner_group
        part = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        state = group.get_state(components=[part], inference_only=True)[COMPONENT_LEARNER]
        sent = {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO) if key in state}
        self._ask("set_state", state=sent)

    def snapshots(self) -> dict[int, Mapping[str, Any]]:
        """What each knows, by number: of one that is lost, what it knew last time."""
        self._kept |= {one["worker"]: one for one in self._ask("snapshot")}
        return dict(self._kept)

    def restore(self, kept: Mapping[int, Mapping[str, Any]]) -> None:
        """Go on from snapshots; those without one do not repeat the random numbers of those
        before."""
        self._kept = dict(kept)
        if self.assignment.plan.workers:
            self._ask("set_state", state=self._begun())
        for number, one in kept.items():
            self._ask("restore", [number], kept=one)

    def back(self, numbers: Sequence[int]) -> None:
        """Runners that were lost are there again, and know nothing."""
        self._ask("set_state", numbers, state=self._begun())
        for number in numbers:
            if number in self._kept:
                self._ask("restore", [number], kept=self._kept[number], late=True)

    def memories(self) -> dict[str, Any]:
        """What the learners among the others remember, of all markets."""
        learners = hosted.learners(self.assignment)
        parts = self._ask("memories") if learners else []
        return {
            name: hosted.joined(spec, policy, [part[name] for part in parts])
            for name, (spec, policy) in learners.items()
            if parts
        }

    def faults(self) -> tuple[Fault, ...]:
        """What the others' policies did wrong since the runners began, and why."""
        return added_up(fault for found in self._ask("faults") for fault in found)

    def _begun(self) -> dict[str, int]:
        return {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.steps()}

    def _ask(self, verb: str, numbers: Sequence[int] | None = None, **given: Any) -> list[Any]:
        """The answers of those that are there."""
        if not self.assignment.plan.workers:
            return [getattr(self.algorithm.env_runner, verb)(**given)]
        found: list[Any] = self.algorithm.env_runner_group.foreach_env_runner(
            verb,
            kwargs=given,
            local_env_runner=False,
            timeout_seconds=PATIENCE,
            remote_worker_ids=None if numbers is None else list(numbers),
        )
        return found


class _WhenOneIsBack(RLlibCallback):  # type: ignore[misc]
    def __init__(self, runners: Runners) -> None:
        self.runners = runners

    def on_env_runners_recreated(self, *, env_runner_indices: list[int], **_: Any) -> None:
        self.runners.back(env_runner_indices)
