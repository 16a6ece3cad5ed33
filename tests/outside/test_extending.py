"""Every example of EXTENDING.md works as it stands, from the command line in another folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Prompt

# Later commands take up what earlier ones wrote: one process runs them, in the order of the page.
pytestmark = pytest.mark.xdist_group("extending")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "EXTENDING.md").read_text()
BLOCKS = re.findall(r"```(python|yaml|sh)\n(.*?)```", PAGE, re.DOTALL)
FILES = {
    found[1]: text
    for kind, text in BLOCKS
    if kind != "sh" and (found := re.match(r"# (\S+)\n", text))
}
COMMANDS = [
    line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.strip()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("outside")
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


def test_the_page_has_an_example_of_each_and_all_are_run() -> None:
    assert len(FILES) == len([kind for kind, _ in BLOCKS if kind != "sh"]) >= 7
    assert len(COMMANDS) >= 9


@pytest.fixture(scope="module")
def prompt(folder: Path) -> Iterator[Prompt]:
    made = Prompt(folder)
    yield made
    made.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_works(command: str, prompt: Prompt) -> None:
    done = prompt(*shlex.split(command))
    assert done.returncode == 0, done.stderr
    assert done.stdout
