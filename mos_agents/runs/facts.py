"""What `run.json` may say: field by field, its type and its bounds, checked when a run is read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mos_agents.runs.files import RunError
from mos_agents.runs.tables import TABLES

Name = Annotated[str, StringConstraints(min_length=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class MarketFacts(_Strict):
    """What a report needs of the market."""

    participants: list[Name] = Field(min_length=1)
    roles: list[str]
    instruments: list[Name]
    choice: str
    actions: list[str]
    held: bool
    made_to_order: list[int] = []
    mark: str
    reserve: Any
    limit: float | None
    surplus: bool = False
    kinds: list[int] = []


class FaultFacts(_Strict):
    """What a policy did wrong in a run of one loop; see `policies.faults.Fault`."""

    participant: Name
    reason: str
    first_tick: Count
    decisions: AtLeastOne


class Facts(_Strict):
    """The fields of `run.json`. Those from `finished` to `parts_sha256` are null until the end."""

    name: str
    scenario: str
    seed: Count
    ticks: AtLeastOne
    markets: AtLeastOne
    recorded_markets: AtLeastOne
    every: AtLeastOne
    started: str
    finished: str | None
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None
    parts: Count | None
    parts_sha256: dict[str, list[Sha256]] | None = None
    versions: dict[str, str]
    actors: dict[str, Any] | None
    inputs: dict[str, Sha256]
    report: bool = True
    market: MarketFacts
    scenario_sha256: Sha256
    trouble: dict[str, dict[str, Count]] = {}
    withdrawn: list[str] = []
    reasons: dict[str, str] = {}
    faults: list[FaultFacts] = []
    sha256: Sha256


def check_facts(facts: dict[str, Any], where: object) -> None:
    """RunError, which names the field, where `run.json` says what no run could have written."""
    try:
        checked = Facts.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise RunError(f"{where}: {field}: {first['msg']}; the file is damaged") from None
    sealed = (checked.finished, checked.hash, checked.parts)
    if any(one is None for one in sealed) and any(one is not None for one in sealed):
        raise RunError(
            f"{where}: finished, hash and parts must be null together, or none of them; the file "
            "is damaged"
        )
    for field in ("participants", "instruments"):
        names = getattr(checked.market, field)
        if len(set(names)) != len(names):
            raise RunError(f"{where}: market.{field} has a name twice; the file is damaged")
    for least, most in (("recorded_markets", "markets"), ("every", "ticks")):
        if getattr(checked, least) > getattr(checked, most):
            raise RunError(
                f"{where}: {least}={getattr(checked, least)} must be at most "
                f"{most}={getattr(checked, most)}; the file is damaged"
            )
    if checked.parts_sha256 is not None and set(checked.parts_sha256) != set(TABLES):
        raise RunError(
            f"{where}: parts_sha256 must have the digests of {', '.join(TABLES)}; the file is "
            "damaged"
        )
    for table, digests in (checked.parts_sha256 or {}).items():
        if len(digests) != checked.parts:
            raise RunError(
                f"{where}: parts_sha256.{table} holds {len(digests):,} digests where parts="
                f"{checked.parts}; the file is damaged"
            )
