"""The commands of `mos`, grouped by their purpose; each is loaded when it is used."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mos_agents import __version__
from mos_agents.cli import loading
from mos_agents.cli.examples import epilog
from mos_agents.cli.options import importing

PURPOSES = {
    "Look": {
        "scenarios": "List the presets.",
        "show": "Print a scenario with every setting and what it means.",
        "explain": "Explain a policy, demand model, setting, metric, and so on.",
    },
    "Run": {
        "run": "Play a scenario, record it in a folder, and write its report.",
        "verify": "Repeat a finished run, and compare every table with it.",
        "demo": "Let two sellers learn to set prices, with four controls.",
    },
    "Study": {
        "compare": "Compare two runs: totals, and whether every bit agrees.",
        "sweep": "Play or train a scenario over a grid of settings and seeds.",
        "replicate": "Play a published experiment, and compare its figures with ours.",
    },
    "Train": {
        "train": "Let participants learn with PPO, DQN, SAC or APPO of RLlib.",
        "exploit": "Measure what learners gain against fixed policies.",
    },
    "Data": {
        "check": "Say what a file is and what is in it, or what is wrong.",
        "audit": "Look for signs of collusion and price wars in observed prices.",
    },
    "Share": {
        "report": "Write report.html of a run, training or sweep again.",
    },
}
"""The first line of each command's help, by the purpose of the command."""

NAMES = tuple(name for group in PURPOSES.values() for name in group)


class Stopped(Exception):
    """A signal ended a command in good order: click would swallow the KeyboardInterrupt."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(f"mos: {message}")
        self.code = code


class _Commands(MutableMapping[str, Any]):
    """The commands by name; the file of one is imported when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in NAMES:
                raise KeyError(name)
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            with loading():
                module = import_module(f"mos_agents.cli.commands.{name}")
            alone.command(name, epilog=epilog(name))(importing(getattr(module, name)))
            self._loaded[name] = typer.main.get_command(alone)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


class _ByPurpose(TyperGroup):
    """Lists the commands by their purpose, without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NAMES)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, NAMES))
        for purpose, commands in PURPOSES.items():
            with formatter.section(purpose):
                formatter.write_dl([(name.ljust(width), line) for name, line in commands.items()])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            from mos_agents.lab.feedback import Interrupted

            if isinstance(stop, Interrupted):
                raise Stopped(str(stop), stop.code) from None
            raise


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mos-agents {__version__}", flush=True)
        raise typer.Exit


app = typer.Typer(
    cls=_ByPurpose,
    help="A laboratory for markets whose participants are independent and learn.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass
