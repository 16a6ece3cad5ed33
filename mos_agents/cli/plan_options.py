"""Settings of a training on the command line: the options, and what they make of a plan.

Parameters of commands are called as the plan's fields are: `settings` finds them by these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from mos_agents.cli.options import THEIRS, WHOLE
from mos_agents.market.types import InputError
from mos_agents.scenarios.yaml_text import parsed_value
from mos_agents.training.plan import TrainingPlan

_PLANS = {one.name: one.default for one in fields(TrainingPlan)}
ALGORITHMS_OWN = {"show_default": "the algorithm's"}


def of_plan(field: str, *names: str, **how: Any) -> Any:
    """An option for a plan's field; left out, the plan's own default holds."""
    default = _PLANS[field]
    text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return typer.Option(*names, **{"show_default": text, **how})


Algo = Annotated[str | None, of_plan("algo", help="ppo, dqn, sac or appo.")]
Actions = Annotated[
    str | None,
    typer.Option(
        help="continuous (numbers) or discrete (a grid of levels).",
        show_default="discrete for dqn, else continuous",
    ),
]
Levels = Annotated[
    int | None, of_plan("levels", help="Points of the grid of discrete actions.", **WHOLE)
]
Band = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH",
        help="Prices to choose among, in reference prices.",
        show_default="0.6,2; 0,2 for bids",
    ),
]
Horizon = Annotated[
    int | None,
    typer.Option(
        "--horizon",
        "--ticks-per-episode",
        help="Ticks of an episode.",
        show_default=THEIRS,
        **WHOLE,
    ),
]
MARKETS = "Markets that a training plays side by side in each worker."
Workers = Annotated[
    int | None, of_plan("workers", help="Processes that play; 0: this one alone.", **WHOLE)
]
TicksEach = Annotated[
    int | None, of_plan("ticks", help="Ticks played in each market an iteration.", **WHOLE)
]
Iterations = Annotated[
    int | None, of_plan("iterations", help="Iterations in all, at most.", **WHOLE)
]
Stop = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT=N,...",
        help="End earlier: at steps=N market ticks, reward=X a tick in evaluation, or seconds=N.",
    ),
]
Hidden = Annotated[
    str | None, of_plan("hidden", metavar="N,...", help="Widths of the networks' layers.")
]
Activation = Annotated[str | None, of_plan("activation", help="tanh, relu, silu or linear.")]
Lr = Annotated[float | None, typer.Option(help="Learning rate.", **ALGORITHMS_OWN)]
Gamma = Annotated[float | None, typer.Option(help="Discount factor per tick.", show_default="0.95")]
Hyper = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="A setting of RLlib's, such as entropy_coeff=0.01; may be given often.",
    ),
]
Normalise = Annotated[
    str | None,
    of_plan(
        "normalise",
        help="Scale of observations and rewards: calibration (measured beforehand) or none.",
    ),
]


def others(help_text: str) -> Any:
    """--other NAME=POLICY: what somebody plays who does not learn."""
    return typer.Option(
        "--other",
        metavar="NAME=POLICY",
        help=f"{help_text}: a kind, a {{kind: ...}}, or a network's .npz; may be given often.",
    )


def settings(typed: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's settings among the parameters typed; those left out are left to the plan."""
    return {
        name: READ[name](value) if name in READ else value
        for name, value in typed.items()
        if name in _PLANS and name not in ("scenario", "seed") and value not in (None, [], ())
    }


def names(text: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(one.strip() for one in text.split(","))


def _others(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        name, value = _split("--other", one, "firm_2=reactive")
        if isinstance(value, str):
            value = (
                {"kind": "network", "path": value} if value.endswith(".npz") else {"kind": value}
            )
        if not isinstance(value, Mapping):
            raise InputError(
                f"--other {one!r}: {value!r} must be a kind, a {{kind: ...}} or a .npz"
            )
        found[name] = dict(value)
    return found


def _hyper(given: list[str]) -> dict[str, Any]:
    return dict(_split("--hyper", one, "entropy_coeff=0.01") for one in given)


def _split(option: str, text: str, example: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{option} {text!r} must be KEY=VALUE, such as {example}")
    return key.strip(), parsed_value(value, f"{option} {text!r}")


def _stops(text: str) -> dict[str, float]:
    found = {}
    for one in text.split(","):
        key, _, value = one.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"--stop {one!r} must be WHAT=NUMBER, such as steps=1e6 or reward=0.3"
            ) from None
    return found


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise InputError(f"--hidden {text!r} must be whole numbers, such as 64,64") from None


def _pair(text: str) -> tuple[float, float]:
    try:
        low, high = (float(one) for one in text.split(","))
    except ValueError:
        raise InputError(f"--band {text!r} must be two numbers, such as 0.6,2") from None
    return low, high


READ: dict[str, Callable[[Any], Any]] = {
    "agents": names,
    "band": _pair,
    "hidden": _widths,
    "hyper": _hyper,
    "policies": _others,
    "stop": _stops,
}
"""How what was typed becomes a plan's field, where it is not that already."""
