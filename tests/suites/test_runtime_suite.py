"""Every promise of the suite for runtimes is seen when it is broken."""

import pytest

from mos_agents.actors.runtime import Answer, LocalRuntime
from mos_agents.testing import RuntimeSuite
from tests.suites.breaking import assert_fails, checks_of


class FaultyRuntime(LocalRuntime):
    """Workers in this process, with one fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault, self.parts = fault, []

    def start(self, parts, name):
        self.parts.append(parts)
        return super().start(parts, name)

    def ask(self, asks, deadline):
        verbs = [verb for _, verb, _ in asks]
        if self.fault == "mixes handles" and verbs == ["decide"] and asks[0][0] == 1:
            call = asks[0][2][0][0]
            handle = next(
                i for i, one in enumerate(self.parts) if one[0][1].name == call.participant
            )
            asks = [(handle, "ready", ())]
        if self.fault == "forgets" and verbs == ["decide"]:
            self._workers[asks[0][0]] = None
        answers = super().ask(asks, deadline)
        if self.fault == "backwards":
            return answers[::-1]
        if self.fault == "always late":
            return [one._replace(late=bool(one.value)) if deadline else one for one in answers]
        if self.fault == "other values" and deadline:
            return [Answer([one.value[0]._replace(fault="x")]) for one in answers]
        if self.fault == "two lines":
            return [one._replace(error=one.error and one.error + "\n") for one in answers]
        if self.fault == "one for all" and any(one.error for one in answers) and len(answers) > 1:
            return [one._replace(error=one.error or "another failed") for one in answers]
        if self.fault == "never dead":
            return [one._replace(dead=False, error=one.error * (not one.dead)) for one in answers]
        if self.fault == "loses snapshots" and verbs == ["restore"]:
            return [Answer(error="no")]
        if self.fault == "asks nobody" and not asks:
            return [Answer()]
        return answers

    def send(self, handle, verb, *arguments):
        if self.fault != "drops":
            super().send(handle, verb, *arguments)

    def close(self):
        if self.fault != "stays open":
            super().close()


FAULTS = {
    "backwards": "does not return the answers in the order of the questions",
    "always late": "a worker that answered in time is not `ok`",
    "other values": "the answers are not the workers' replies",
    "forgets": "the same tick again has another reply",
    "two lines": "is not reported in one line as its error",
    "one for all": "an error of one worker costs another one its answer",
    "mixes handles": "a call reaches a worker that it is not for",
    "drops": "what is sent is not done before what is asked later",
    "loses snapshots": "given another one's snapshot answers otherwise",
    "never dead": "a killed worker is not `dead`",
    "asks nobody": "`ask` without questions does not return an empty list",
    "stays open": "workers live on after `close`",
}


def suite_of(fault):
    class OneRuntime(RuntimeSuite):
        def make(self):
            return FaultyRuntime(fault)

    return OneRuntime()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_runtime_fails(fault):
    (check,) = checks_of(RuntimeSuite)
    assert_fails(suite_of(fault), check, FAULTS[fault])


def test_a_sound_runtime_passes():
    suite_of("").test_a_runtime_keeps_its_contract()
