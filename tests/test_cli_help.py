"""`--help`: every command and every option is explained, and the examples are commands."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mos_agents.cli import commands, run
from mos_agents.cli.app import PURPOSES, app
from mos_agents.cli.examples import EXAMPLES
from tests.commands import environment

COMMAND = typer.main.get_command(app)
NAMES = list(COMMAND.commands)  # type: ignore[attr-defined]


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_the_list_of_commands_has_a_whole_sentence_for_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = helped(capsys).splitlines()
    headings = [lines.index(f"{purpose}:") for purpose in PURPOSES]
    assert headings == sorted(headings)
    listed = [line for line in lines[headings[0] :] if line.startswith("  ")]
    assert [line.split()[0] for line in listed] == NAMES
    assert [line for line in listed if "..." in line or len(line.split()) < 3] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_list_and_the_command_say_the_same(name: str) -> None:
    command = COMMAND.commands[name]  # type: ignore[attr-defined]
    (listed,) = (group[name] for group in PURPOSES.values() if name in group)
    assert (command.help or "").splitlines()[0] == listed


def test_every_command_has_a_file_of_its_name() -> None:
    files = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == set(NAMES)


LARGE = {"numba", "polars", "pyarrow", "scipy", "matplotlib", "rich", "ray", "torch"}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["--help"], {*LARGE, "numpy", "pydantic", "yaml"}),
        (["run", "--help"], LARGE),
        (["scenarios"], LARGE),
        (["show", "retail", "--plain"], {"matplotlib", "ray", "scipy.stats", "scipy.optimize"}),
        (
            ["run", "retail", "--ticks", "1"],
            {"ray", "scipy.stats", "scipy.optimize", "pettingzoo", "torch"},
        ),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, list) else "",
)
def test_a_command_loads_no_library_that_it_does_not_need(
    arguments: list[str], never: set[str], here: Path
) -> None:
    program = (
        f"import sys; from mos_agents.cli import run; code = run({arguments!r}); "
        "print(*sys.modules, sep='\\n'); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert never & set(done.stdout.splitlines()) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_and_argument_of_a_command_is_explained(name: str) -> None:
    command = COMMAND.commands[name]  # type: ignore[attr-defined]
    silent = [one.name for one in command.params if not (getattr(one, "help", "") or "").strip()]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_ends_with_examples_line_by_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = helped(capsys, name).rstrip().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.strip() == "Examples:")
    assert [line.strip() for line in lines[begin + 1 :]] == list(EXAMPLES[name])


def test_there_are_examples_of_every_command_and_of_no_other() -> None:
    assert set(EXAMPLES) == set(NAMES)


@pytest.mark.parametrize(
    "example", [line for lines in EXAMPLES.values() for line in lines], ids=lambda e: e[:50]
)
def test_an_example_is_a_command_with_options_that_there_are(example: str) -> None:
    line = example.partition(" > ")[0]
    mos, name, *words = shlex.split(line)
    assert mos == "mos"
    command = COMMAND.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, words)  # refuses unknown options and arguments
    assert context.command is command
