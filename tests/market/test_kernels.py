"""Compiled code that is kept is that of today's files."""

import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "rates.py": """
from mos_agents.market.kernels import kernel
RATE = 1.0
@kernel
def rate():
    return 10.0
""",
    "middle.py": """
from mos_agents.market.kernels import kernel
from rates import rate
@kernel
def doubled():
    return 2.0 * rate()
""",
    "top.py": """
from mos_agents.market.kernels import kernel
from middle import doubled
from rates import RATE
@kernel
def top():
    return doubled() + RATE
print(top(), sum(top.stats.cache_hits.values()))
""",
}


def answer(folder: Path) -> list[str]:
    """What the program prints: its number, and how often kept code was used."""
    done = subprocess.run(
        [sys.executable, "top.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("before", "after", "number"),
    [("RATE = 1.0", "RATE = 7.0", "27.0"), ("return 10.0", "return 50.0", "101.0")],
    ids=["a constant of another file", "a kernel called by a kernel of another file"],
)
def test_code_is_compiled_again_where_a_file_that_it_takes_from_has_changed(
    tmp_path, before, after, number
):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert answer(tmp_path) == ["21.0", "0"]
    assert answer(tmp_path) == ["21.0", "1"]  # kept, and used again
    changed = FILES["rates.py"].replace(before, after)
    (tmp_path / "rates.py").write_text(changed)
    assert answer(tmp_path) == [number, "0"]
