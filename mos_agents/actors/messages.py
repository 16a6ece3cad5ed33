"""The messages between the clearing house and the participants: calls for quotes, and replies.

A call holds one participant's own observation only. Every message names its run, tick, participant
and generation. So messages of another run, another tick or an earlier generation are refused, and
the same call twice gets the same reply.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mos_agents.market.types import Array, InputError
from mos_agents.policies.faults import describe

MISSING = ("late", "failed", "misaddressed")
"""Why an action may be missing: the reply was late, the policy failed or sent nonsense, or the
reply was to another call."""


class MessageError(InputError):
    """A message of another run, tick, participant or generation, or none at all."""


class Call(NamedTuple):
    """The clearing house asks one participant for its quotes, in all markets of the shard."""

    run: str
    tick: int
    participant: str
    generation: int
    observation: Array  # [B, D_n]
    reward: Array  # [B] of the last tick


class Reply(NamedTuple):
    """A participant's action, or the fault in its place."""

    run: str
    tick: int
    participant: str
    generation: int
    action: Array | None  # [B, L_n, A]
    fault: str = ""


def checked_reply(reply: Any, call: Call) -> Reply:
    """The reply if it answers the call. Raises MessageError, in one line, if not."""
    if type(reply) is not Reply:  # a subclass may lie about its fields
        raise MessageError(
            f"{call.participant}: answered with a {type(reply).__name__}, not a Reply"
        )
    for name in ("run", "tick", "participant", "generation"):
        said, asked = getattr(reply, name), getattr(call, name)
        if type(said) is not type(asked) or said != asked:
            raise MessageError(
                f"{call.participant}: its reply has {name}={describe(said)}, the call had {asked!r}"
            )
    if not isinstance(reply.fault, str):
        raise MessageError(f"{call.participant}: its reply has a fault that is not text")
    return reply
