"""Asking a policy, and what happens where it fails: an error with its cause, or a fault counted."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from mos_agents.market.printing import short_repr
from mos_agents.market.spec import ParticipantSpec
from mos_agents.market.streams import Draws
from mos_agents.market.types import Array, InputError, QuoteRefused
from mos_agents.policies.base import Policy
from mos_agents.policies.faults import LONGEST, describe, is_own_fault

ON_FAULT = ("raise", "hold", "withdraw")
"""What a fault does: end the play with an error; cost the decision, so that the quote in force
stays (or goes, where the scenario refuses so); or take the participant's quotes out for good."""

HERE = str(Path(__file__).parents[1]) + os.sep
OTHERS = (f"{os.sep}site-packages{os.sep}", os.path.dirname(os.__file__) + os.sep, "<frozen ")


class PolicyFault(Exception):
    """A policy failed. What it raised is the cause (`__cause__`), with its own traceback.

    participant, reason: who, and why in one line. tick: when; -1 is before the first.
    """

    def __init__(self, participant: str, tick: int, reason: str, returned_by: str = "") -> None:
        super().__init__(participant, tick, reason, returned_by)
        self.participant, self.tick, self.reason = participant, tick, reason
        self.returned_by = returned_by

    def __str__(self) -> str:
        if self.tick < 0:
            return f"{self.participant}: its policy cannot start: {self.reason}"
        by = f", returned by {self.returned_by}" if self.returned_by else ""
        return (
            f"{self.participant}: its policy failed at tick {self.tick}: {self.reason}{by}; "
            "on_fault='hold' or 'withdraw' counts faults and plays on"
        )


def check_on_fault(on_fault: Any) -> str:
    """One of ON_FAULT, or InputError."""
    if on_fault not in ON_FAULT:
        raise InputError(f"on_fault={on_fault!r:.60} must be one of {', '.join(ON_FAULT)}")
    return str(on_fault)


class NoAction(Exception):
    """What a policy returned is no action."""


@short_repr
class Decision(NamedTuple):
    """What came of one participant's turn to decide."""

    learnt: Any  # the memory after the last reward, before acting
    action: Array | None  # [B, L_n, A]; None where the policy failed
    memory: Any  # the memory after acting; `learnt` where that failed
    error: BaseException | None = None


def decide(
    policy: Policy,
    spec: ParticipantSpec,
    observation: Array,
    reward: Array,
    memory: Any,
    draws: Draws,
) -> Decision:
    """Let a policy learn from its last reward and then choose its action.

    This is the one place that calls `learn` and `act`: for a policy in this process and for one
    in an actor. Faults of the policy are returned; the user's own Ctrl-C is raised.

    Parameters
    ----------
    policy : Policy
    spec : ParticipantSpec
        Whom the policy plays.
    observation : array, [B, D_n]
        The participant's own observation. The policy is given copies.
    reward : array, [B]
        What the participant earned in the last tick. The policy is given a copy.
    memory
        What the policy remembers.
    draws : Draws
        The participant's random numbers of this tick.

    Returns
    -------
    Decision
    """
    learnt = memory
    try:
        if policy.learns:
            learnt = policy.learn(spec, observation.copy(), reward.copy(), memory, draws)
        found = policy.act(spec, observation.copy(), learnt, draws)
        action, after = _checked(spec, found, len(observation))
    except BaseException as error:
        if not is_own_fault(error):
            raise
        return Decision(learnt, None, learnt, error)
    return Decision(learnt, action, after)


def _checked(spec: ParticipantSpec, found: Any, batch: int) -> tuple[Array, Any]:
    """What `act` returned: an action [B, L_n, A] and a memory. NoAction for anything else."""
    if type(found) is not tuple or len(found) != 2:
        raise NoAction(f"act returned a {type(found).__name__}, must be a pair (action, memory)")
    try:
        return spec.checked(found[0], batch), found[1]
    except QuoteRefused as refusal:
        raise NoAction(str(refusal).removeprefix(f"{spec.name}: ")) from None


def reason_of(error: BaseException) -> str:
    """One line about what a policy raised: its class, its words, and the line of its code."""
    if isinstance(error, NoAction):
        return str(error)
    where = _place(error)
    return describe(error)[: LONGEST - len(where)] + where


def _place(error: BaseException) -> str:
    """(file:line) of the last call in code that is neither this package's nor a library's."""
    frames = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    own = [f for f in frames if not f[0].startswith(HERE) and not any(o in f[0] for o in OTHERS)]
    shown = own or frames
    return f" ({_file(shown[-1][0])}:{shown[-1][1]})" if shown else ""


def _file(path: str) -> str:
    """The name of a file of code, which may be called anything."""
    return "".join(c if c.isprintable() else "?" for c in Path(path).name[:60])


def source_of(policy: Any) -> str:
    """Where a policy's `act` is written, as Name.act (file:line)."""
    code = getattr(type(policy).act, "__code__", None)  # none where it is compiled
    where = f" ({_file(code.co_filename)}:{code.co_firstlineno})" if code else ""
    return f"{type(policy).__name__}.act{where}"


def started(policy: Any, spec: ParticipantSpec, batch: int) -> Any:
    """The memory that a policy begins with. InputError where it does not fit its participant,
    PolicyFault where it fails otherwise: a play has not begun then, so nothing is held."""
    try:
        return policy.start(spec, batch)
    except (InputError, MemoryError):
        raise
    except BaseException as error:
        if not is_own_fault(error):
            raise
        raise PolicyFault(spec.name, -1, reason_of(error)) from error
