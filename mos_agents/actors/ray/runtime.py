"""Workers as Ray actors."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from mos_agents.actors import wire
from mos_agents.actors.channel import Channel, wait
from mos_agents.actors.messages import MessageError
from mos_agents.actors.ray.answers import answers, keep_unasked_closed
from mos_agents.actors.ray.nodes import ACTOR, Nodes, on_node, this_node
from mos_agents.actors.ray.worker import READERS, WorkerActor, WorkerLink
from mos_agents.actors.runtime import Answer, no_work
from mos_agents.policies.faults import one_line

CLOSING_SECONDS = 5.0
"""How long `RayRuntime.close` waits until the workers' processes have ended."""


class RayRuntime:
    """Workers as Ray actors. Those on this node get their calls over channels.

    Parameters
    ----------
    spread : bool
        Whether workers start on all nodes in turn, this one first; if not, all on this node.
    channels : bool
        Whether calls go over channels where they can; if not, everything goes by Ray.
    """

    def __init__(self, spread: bool = False, channels: bool = True) -> None:
        keep_unasked_closed()
        self._actor: Any = ray.remote(**ACTOR)(WorkerActor)
        self._channels, self._node = channels, this_node()
        self._nodes = Nodes(self._node) if spread else None
        self.while_waiting = no_work
        self._links: dict[Any, WorkerLink] = {}

    def start(self, parts: Sequence[tuple[Any, ...]], name: str) -> Any:
        """Start a worker; see `Runtime`."""
        options = on_node(self._node) if self._nodes is None else self._nodes.next()
        handle = self._actor.options(**options).remote(list(parts))
        self._links[handle] = WorkerLink(handle, self._node if self._channels else "")
        return handle

    def ask(
        self, asks: Sequence[tuple[Any, str, tuple[Any, ...]]], deadline: float | None
    ) -> list[Answer]:
        """Ask several workers at once; see `Runtime`."""
        begin = time.monotonic()
        pending = [self._request(*one) for one in asks]
        self.while_waiting()
        # Channels first: `wait` sends what they did not take at once; Ray has threads for that.
        wait([one for one in pending if isinstance(one, Channel)], _left(deadline, begin))
        references = [
            (one, READERS.get(verb, wire.unpack_fact))
            for one, (_, verb, _) in zip(pending, asks, strict=True)
            if not isinstance(one, Channel | Answer)
        ]
        by_ray = iter(answers(references, _left(deadline, begin)) if references else ())
        found = [_over_channel(one) if isinstance(one, Channel) else one for one in pending]
        return [one if isinstance(one, Answer) else next(by_ray) for one in found]

    def send(self, handle: Any, verb: str, *arguments: Any) -> None:
        """Send a request and do not wait for its answer."""
        with contextlib.suppress(RayError):
            self._request(handle, verb, arguments)

    def kill(self, handle: Any) -> None:
        """End a worker now."""
        with contextlib.suppress(Exception):
            ray.kill(handle)
        link = self._links.pop(handle, None)
        if link is not None:
            link.end()

    def close(self) -> None:
        """End all workers, and wait until their processes have ended."""
        handles = list(self._links)
        for handle in handles:
            self.kill(handle)
        until = time.monotonic() + CLOSING_SECONDS
        for handle in handles:
            with contextlib.suppress(RayError):
                while time.monotonic() < until:
                    asked = [(handle.ready.remote(), wire.unpack_fact)]
                    if answers(asked, 1.0)[0].dead:
                        break
                    time.sleep(0.02)

    def _request(self, handle: Any, verb: str, arguments: tuple[Any, ...]) -> Any:
        """Send a request. A killed worker is dead from then on, although Ray takes a moment to end
        its process."""
        link = self._links.get(handle)
        if link is None:
            return Answer(dead=True, error="was killed")
        return link.request(verb, arguments)


def _left(deadline: float | None, begin: float) -> float | None:
    return None if deadline is None else max(0.0, deadline - (time.monotonic() - begin))


def _over_channel(channel: Channel) -> Answer:
    """What came over a channel: a block of replies, an error, a death, or nothing in time."""
    response = channel.response
    if response is None:
        if channel.closed:
            return Answer(dead=True, error="died")
        return Answer(late=True, error="late")
    if response.failed:
        return Answer(error=one_line(response.block[:1000].decode(errors="replace")))
    try:
        replies, seconds = wire.unpack_replies(response.block)
    except MessageError as error:
        return Answer(error=str(error))
    return Answer(replies, seconds=seconds)
