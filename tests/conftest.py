"""What tests all over share."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.commands")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are given in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
