"""What participants and the clearing house say to each other: a call for quotes, and a reply.

A call holds one participant's own observation and nothing of anybody else's. Every message names
its run, tick, participant and generation, so that a message from another run, another tick or a
participant's earlier life is told apart, and the same call twice gets the same reply.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mos_agents.market.types import Array, InputError
from mos_agents.policies.faults import describe

MISSING = ("late", "failed", "misaddressed")
"""Why a participant may have no action: no answer in time, an error or nonsense in its place, or
an answer to some other call."""


class MessageError(InputError):
    """A message that does not belong here: another run, tick, participant or generation."""


class Call(NamedTuple):
    """The clearing house asks one participant for its quotes, in all markets of the shard."""

    run: str
    tick: int
    participant: str
    generation: int
    observation: Array  # [B, D_n]
    reward: Array  # [B] of the last tick


class Reply(NamedTuple):
    """A participant's action, or why there is none."""

    run: str
    tick: int
    participant: str
    generation: int
    action: Array | None  # [B, L_n, A]
    fault: str = ""


def checked_reply(reply: Any, call: Call) -> Reply:
    """The reply if it answers the call, or MessageError in one line."""
    if type(reply) is not Reply:  # a subclass may lie about its fields
        raise MessageError(f"{call.participant}: answered with a {type(reply).__name__}, no reply")
    for name in ("run", "tick", "participant", "generation"):
        said, asked = getattr(reply, name), getattr(call, name)
        if type(said) is not type(asked) or said != asked:
            raise MessageError(
                f"{call.participant}: reply with {name}={describe(said)}, asked was {asked!r}"
            )
    if not isinstance(reply.fault, str):
        raise MessageError(f"{call.participant}: reply with a fault that is not a text")
    return reply
