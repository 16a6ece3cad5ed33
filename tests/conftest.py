"""What tests all over share."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.commands")

# No example is too slow: whatever else the machine does at the time is none of a test's business.
settings.register_profile("mos", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mos")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are given in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
