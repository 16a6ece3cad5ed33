"""Deep learners trained in a trial, and how they do afterwards without exploring."""

from __future__ import annotations

import difflib
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from mos_agents.market.types import InputError
from mos_agents.scenarios import Scenario, digest_of
from mos_agents.scenarios.policy_files import resolve_paths
from mos_agents.scenarios.yaml_text import parsed_value
from mos_agents.sweeps.trial_folder import TrialFolder, contents
from mos_agents.sweeps.trials import TrialResult, play_market
from mos_agents.training import TrainingPlan, check, train, train_in
from mos_agents.training.plan import in_hand
from mos_agents.wording import setting

KEYS = tuple(one.name for one in fields(TrainingPlan) if one.name not in ("scenario", "seed"))
NESTED = ("hyper", "stop", "policies")
"""BaseTrial that have parts of their own: hyper.clip_param."""
WORDS = {"other": ["policies"]}
"""What `mos train` calls otherwise."""
UNREPEATED = "the same seed may train otherwise another time: with {}"


@dataclass(frozen=True)
class TrainingTrial:
    """A training with a plan's settings, the scenario and seed being the trial's.

    The measures are those of an evaluation without exploring, in other markets: as in
    `trials.play_market`, with profit gain where theory has prices; and the `steps` trained.

    Parameters
    ----------
    folder : TrialFolder or None
        where the training is kept, and resumed where it was cut off. A machine that cannot
        write there trains from the beginning, and the result brings the files. None keeps
        nothing.
    """

    kind: ClassVar[str] = "train"
    headline: ClassVar[tuple[str, ...]] = ("profit_gain", "reward", "pnl", "mean_ask", "spread")

    plan: Mapping[str, Any] = field(default_factory=dict)
    folder: TrialFolder | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", self._files(lambda path: os.path.realpath(path)))

    @classmethod
    def parsed(cls, text: str) -> TrainingTrial:
        """`algo=ppo iterations=50 hidden=[32,32] hyper.clip_param=0.1`; InputError else."""
        made = cls()
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise InputError(f"{setting('train')} {text!r:.60}: {error}") from None
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise InputError(
                    f"{setting('train')} {word!r:.60} must be KEY=VALUE, such as algo=ppo"
                )
            made = made.changed(
                key, parsed_value(value, f"{setting('train')} {word!r:.60}"), setting("train") + " "
            )
        return made

    def settings(self) -> dict[str, Any]:
        return {"plan": dict(self.plan)}

    def changed(self, key: str, value: Any, shown: str = "") -> TrainingTrial:
        first, dot, rest = key.partition(".")
        if first not in KEYS or (dot and first not in NESTED):
            near = WORDS.get(first) or difflib.get_close_matches(first, KEYS, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"keys are {', '.join(KEYS)}"
            shown = shown or f"{setting('grid')} train."
            raise InputError(f"{shown}{key:.60}: is not a key of a training; {hint}")
        if dot:
            former = self.plan.get(first, {})
            value = {**(former if isinstance(former, Mapping) else {}), rest: value}
        return TrainingTrial({**self.plan, first: value})

    def check(self, scenario: Scenario) -> None:
        from mos_agents.training import requirements

        requirements.check_packages()
        check(self._plan(scenario, 0))

    def inputs(self) -> dict[str, str]:
        found: dict[str, str] = {}

        def noted(path: str) -> str:
            found[path] = digest_of(path)
            return path

        self._files(noted)
        return found

    def portable(self) -> TrainingTrial:
        return TrainingTrial(
            {
                key: {name: in_hand(policy) for name, policy in value.items()}
                if key == "policies"
                else value
                for key, value in self.plan.items()
            }
        )

    def at(self, folder: TrialFolder) -> TrainingTrial:
        return replace(self, folder=folder)

    def _files(self, change: Callable[[str], str]) -> dict[str, Any]:
        """The settings with the paths of the policies' files changed."""
        return {
            key: resolve_paths(value, change) if key == "policies" else value
            for key, value in self.plan.items()
        }

    def bundles(self, cpus: float, gpus: float) -> list[dict[str, float]]:
        if gpus:
            raise InputError(f"gpus={gpus:g}: a training uses CPUs only; give {setting('gpus', 0)}")
        workers = self.plan.get("workers", 0)
        count = workers if isinstance(workers, int) else 0
        return [{"CPU": cpus, "GPU": 0.0}, *({"CPU": 1.0} for _ in range(count))]

    def _plan(self, scenario: Scenario, seed: int) -> TrainingPlan:
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in self.plan.items()
        }
        return TrainingPlan(scenario=scenario, seed=seed, **given)

    def __call__(self, scenario: Scenario, seed: int) -> TrialResult:
        plan = self._plan(scenario.portable(), seed)
        if self.folder is None:
            return _row(plan, train(plan))
        if self.folder.writable():
            return _row(plan, train_in(plan, self.folder.path))
        with tempfile.TemporaryDirectory(prefix="mos-training-") as scratch:
            trained = train(plan, scratch, name=self.folder.name)
            kept = contents(Path(scratch) / self.folder.name)
            return _row(plan, trained)._replace(files=kept)


def _row(plan: TrainingPlan, trained: Any) -> TrialResult:
    """What the trained come to without exploring."""
    from mos_agents.training.evaluation import everybody

    assignment = trained.assignment
    policies, markets = everybody(assignment, trained.networks, trained.memories)
    row = play_market(
        assignment.playing,
        policies,
        assignment.seed("evaluation"),
        markets,
        theory=plan.scenario.quotes.kind == "posted_price" and not plan.scenario.venues,
    )
    steps = trained.history[-1]["steps"]
    return TrialResult.of({**row.measures, "steps": steps}, (*row.notes, *unrepeated(plan)))


def unrepeated(plan: TrainingPlan) -> list[str]:
    """Why a training is no function of its plan."""
    why = [f"workers={plan.workers}"] if plan.workers else []
    why += ["algo=appo"] if plan.algo == "appo" else []
    why += ["stop.seconds"] if "seconds" in plan.stop else []
    return [UNREPEATED.format(" and ".join(why))] if why else []
