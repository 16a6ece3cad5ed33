"""What a runtime of actors promises."""

from __future__ import annotations

from typing import Any

import numpy as np

from mos_agents import scenarios
from mos_agents.actors.messages import Call, Reply
from mos_agents.actors.runtime import Answer, Runtime
from mos_agents.market.streams import Streams
from mos_agents.policies import Policy, make
from mos_agents.testing.promises import Suite, check

BATCH = 3


class RuntimeSuite(Suite):
    """Tests of a runtime: what is started, asked, sent, killed and closed.

    Write `make(self)`, which returns the runtime. The test closes it.
    """

    def policy(self) -> Policy:
        """Make the policy that the workers play: one that has a memory.

        Returns
        -------
        Policy
        """
        return make("sarsa", prices=5, features="own")

    def test_a_runtime_keeps_its_contract(self) -> None:
        """One test, as workers of other processes take long to start."""
        runtime: Runtime = self.make()
        market = scenarios.pricing_game(firms=3, observations__show_rivals=True)
        names = market.layout.participants
        opening = market.first_observation(market.start(BATCH), Streams.of(0, BATCH).at(0))

        def parts(name: str) -> tuple[Any, ...]:
            streams = Streams.of(0, BATCH, owner=name)
            return (("run", market.spec(name), self.policy(), streams, 0),)

        def call(name: str, at: int) -> list[Call]:
            return [Call("run", at, name, 0, market.spec(name).own(opening), np.zeros(BATCH))]

        handles = {name: runtime.start(parts(name), name) for name in names}

        def ask(verb: str, *arguments: Any, of: Any = names) -> list[Answer]:
            return runtime.ask([(handles[n], verb, arguments) for n in of], None)

        try:
            self._check_answers(runtime, handles, ask, call)
            self._check_sends(runtime, handles, ask, call, parts)
            self._check_deaths(runtime, handles, ask)
        finally:
            runtime.close()

    def _check_answers(self, runtime: Runtime, handles: Any, ask: Any, call: Any) -> None:
        names = list(handles)
        check(
            [answer.value for answer in ask("ready")] == [[name] for name in names],
            "`ask` does not return the answers in the order of the questions",
            "return one Answer for each question, in its place, whoever answers first",
        )
        questions = [(handles[n], "decide", (call(n, 0),)) for n in reversed(names)]
        first = runtime.ask(questions, 60.0)
        check(
            all(answer.ok and answer.seconds >= 0.0 for answer in first),
            "a worker that answered in time is not `ok`",
            "set `late`, `dead` and `error` for those alone that failed",
        )
        replies = {answer.value[0].participant: answer.value[0] for answer in first}
        check(
            list(replies) == names[::-1]
            and all(type(reply) is Reply and reply.fault == "" for reply in replies.values()),
            "the answers are not the workers' replies",
            "return what the worker's method returned, unchanged",
        )
        again = runtime.ask([(handles[names[0]], "decide", (call(names[0], 0),))], None)[0]
        check(
            again.ok and np.array_equal(again.value[0].action, replies[names[0]].action),
            "the same tick again has another reply",
            "keep the worker between questions",
        )
        wrong, right = runtime.ask(
            [
                (handles[names[0]], "decide", (call(names[0], 5),)),
                (handles[names[1]], "decide", (call(names[1], 1),)),
            ],
            None,
        )
        check(
            "gap" in wrong.error and "\n" not in wrong.error and not (wrong.dead or wrong.late),
            "an error of a worker is not reported in one line as its error",
            "give Answer(error=...) the error in one line; the worker lives on",
        )
        check(
            right.ok and right.value[0].tick == 1,
            "an error of one worker costs another one its answer",
            "answer each question by itself",
        )
        forged = runtime.ask([(handles[names[1]], "decide", (call(names[2], 2),))], None)[0]
        check(
            "is not in this worker" in forged.error,
            "a call reaches a worker that it is not for",
            "send each question to the worker of its handle",
        )

    def _check_sends(self, runtime: Runtime, handles: Any, ask: Any, call: Any, parts: Any) -> None:
        name = list(handles)[2]
        runtime.send(handles[name], "catch_up", call(name, 1) + call(name, 2))
        runtime.send(handles[name], "catch_up", call(list(handles)[1], 2))
        after = ask("decide", call(name, 3), of=[name])[0]
        check(
            after.ok and after.value[0].tick == 3,
            "what is sent is not done before what is asked later, or its failure is reported later",
            "keep the order of requests to a worker, and drop the answers of `send`",
        )
        kept = ask("snapshot", of=[name])[0].value
        other = runtime.start(parts(name), "other")
        restored = runtime.ask([(other, "restore", (kept,))], None)[0]
        both = runtime.ask([(h, "decide", (call(name, 4),)) for h in (handles[name], other)], None)
        check(
            restored.ok and np.array_equal(both[0].value[0].action, both[1].value[0].action),
            "a worker that is given another one's snapshot answers otherwise",
            "pass snapshots on unchanged",
        )

    def _check_deaths(self, runtime: Runtime, handles: Any, ask: Any) -> None:
        first = handles[next(iter(handles))]
        runtime.kill(first)
        runtime.kill(first)
        dead, alive, _ = ask("ready")
        check(
            dead.dead and not dead.ok and alive.ok,
            "a killed worker is not `dead`, or another one is",
            "give Answer(dead=True) for a worker that is gone",
        )
        runtime.send(first, "ready")
        check(
            runtime.ask([], None) == [] and runtime.ask([], 1.0) == [],
            "`ask` without questions does not return an empty list",
            "return []",
        )
        runtime.close()
        check(
            all(answer.dead for answer in ask("ready")),
            "workers live on after `close`",
            "end all workers in `close`",
        )
