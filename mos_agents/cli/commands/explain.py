"""`mos explain`: what a policy, a demand model, a setting or a metric is."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from mos_agents.cli.terminal import print_line
from mos_agents.market.types import InputError
from mos_agents.scenarios import explanations
from mos_agents.scenarios.explanations import WIDTH, Explanation
from mos_agents.scenarios.topic_list import KINDS

NARROWEST = 40


def explain(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KIND|NAME",
            help="A name, such as logit or positions.unit_fee; a kind, which is listed; or both. "
            f"Kinds are {', '.join(KINDS)}.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Explain a policy, demand model, setting, metric, and so on.

    Alone, the command lists everything that it knows.
    """
    words = what or []
    width = min(max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST), WIDTH)
    if not sys.stdout.isatty():
        width = WIDTH
    print_line(find(words).text(width))


def find(words: list[str]) -> Explanation:
    """What the words of a command ask for: a name that may have blanks, perhaps after its kind."""
    try:
        return explanations.explain(" ".join(words))
    except InputError:
        if len(words) < 2:
            raise
    return explanations.explain(" ".join(words[1:]), words[0])
