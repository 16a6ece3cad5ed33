"""The participants of a scenario: groups of them, and what they play."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mos_agents.market.types import InputError
from mos_agents.policies import Policy
from mos_agents.runs.names import participant_fault
from mos_agents.scenarios.catalogues import Strict
from mos_agents.scenarios.parts import Whole
from mos_agents.scenarios.policy_files import make_policy


class Participants(Strict):
    """One participant, or several alike, and what they play.

    Parameters
    ----------
    name : str
        the participant's name, 1 to 100 characters that can be shown; "*" stands for all
        sellers of a catalogue file not named.
    role : {'platform', 'firm', 'maker', 'bidder'}
        platform, firm, maker or bidder; a platform receives the fees.
    count : int or None
        so many participants, named name_1, name_2, ...; null is one, named as it is, >= 0.
    sells : bool
        False for a platform that has no offers of its own and lives on fees.
    policy : mapping or list of dict
        what they play unless they are controlled from outside: a kind and its parameters; a list is
        dealt out in turn.
    """

    name: str
    role: Literal["platform", "firm", "maker", "bidder"] = "firm"
    count: Annotated[Whole, Field(ge=0, le=100_000)] | None = None
    sells: bool = True
    policy: dict[str, Any] | list[dict[str, Any]] = Field(default_factory=lambda: {"kind": "hold"})

    @field_validator("name")
    @classmethod
    def _shown(cls, value: str) -> str:
        fault = None if value == "*" else participant_fault(value)
        if fault is not None:
            raise ValueError(fault)
        return value

    @field_validator("policy")
    @classmethod
    def _known(cls, value: Any) -> Any:
        configs = value if isinstance(value, list) else [value]
        if not configs:
            raise ValueError("must name at least one policy")
        for number, config in enumerate(configs):
            try:
                make_policy(config)
            except InputError as error:
                # Of a list, the entry is named as in the path that leads to it.
                raise ValueError(
                    f".{number}: {error}" if configs is value else str(error)
                ) from None
        return value

    @model_validator(mode="after")
    def _counted(self) -> Participants:
        if self.name == "*" and self.count is not None:
            raise ValueError("count: leave it out, the catalogue's file says who '*' stands for")
        if not self.sells and self.role != "platform":
            raise ValueError(
                f"sells=false: {self.name!r} would do nothing, as only a platform lives on fees: "
                "leave it out, or set role=platform"
            )
        return self

    @property
    def size(self) -> int:
        """How many participants there are; '*' not counted."""
        if self.name == "*":
            return 0
        return 1 if self.count is None else self.count

    def names(self, others: list[str]) -> list[str]:
        """Names of the participants; `others` are the sellers that '*' stands for."""
        if self.name == "*":
            return others
        return [self.name] if self.count is None else _numbered(self.name, self.count)

    def policies(self, others: list[str]) -> list[Policy]:
        """A policy for each of the participants."""
        configs = self.policy if isinstance(self.policy, list) else [self.policy]
        return [make_policy(configs[i % len(configs)]) for i in range(len(self.names(others)))]


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{i + 1}" for i in range(count)]
