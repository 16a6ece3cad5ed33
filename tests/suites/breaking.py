"""How the tests of the suites see a check fail."""

import re

import pytest


def checks_of(suite):
    """Names of the checks of a suite."""
    return {name for name in dir(suite) if name.startswith("test_")}


def message_of(suite, check):
    """What a check says when it fails; the test fails if it does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "skip", lambda reason: None)  # to skip is not to fail
        try:
            getattr(suite, check)()
        except (pytest.fail.Exception, AssertionError) as error:
            return str(error)
    raise ValueError(f"{check} sees no fault in {suite.make()!r:.80}")


def assert_fails(suite, check, message):
    """The check fails, and says in two lines which promise is broken and what to change."""
    text = message_of(suite, check)
    assert re.search(message, text), text
    assert re.fullmatch(r"[^\n]+\.\nRemedy: [^\n]+\.", text), text
