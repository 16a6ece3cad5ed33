"""`--help`: every command and every option is explained, and the examples are commands."""

from __future__ import annotations

import shlex

import pytest
import typer

from mos_agents.cli import run
from mos_agents.cli.app import app
from mos_agents.cli.examples import EXAMPLES

COMMAND = typer.main.get_command(app)
NAMES = list(COMMAND.commands)  # type: ignore[attr-defined]


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_the_list_of_commands_has_a_whole_sentence_for_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = helped(capsys).split("Commands:")[1].strip().splitlines()
    assert [line.split()[0] for line in listed] == NAMES
    assert [line for line in listed if "..." in line or len(line.split()) < 3] == []


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
