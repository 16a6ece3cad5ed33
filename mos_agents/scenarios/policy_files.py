"""What participants of a scenario play: policies by kind, and the files that these read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mos_agents import learners, policies
from mos_agents.market.checks import echo
from mos_agents.market.types import InputError
from mos_agents.policies import Policy

LEARNT = (learners.TrainedNetwork.kind, learners.GreedyPolicy.kind)
"""Kinds of policy whose file holds what was learnt."""


def make_policy(config: dict[str, Any]) -> Policy:
    """A policy from its kind and parameters."""
    try:
        return policies.from_config(config)
    except (TypeError, OverflowError, AttributeError):
        raise InputError(f"policy={echo(config)} has a parameter of the wrong type") from None


def each(configs: Any, change: Callable[[Any], Any]) -> Any:
    """One policy's parameters changed, or those of every policy of a list."""
    return [change(one) for one in configs] if isinstance(configs, list) else change(configs)


def resolve_paths(config: Any, change: Callable[[str], str]) -> Any:
    """A policy's parameters with the `path` of its file changed; policies within it likewise."""
    if not isinstance(config, dict):
        return config
    made = {key: resolve_paths(value, change) for key, value in config.items()}
    if isinstance(made.get("path"), str):
        made["path"] = change(made["path"])
    return made


def embed_files(config: Any) -> Any:
    """A policy's parameters with what was learnt itself where they name its file."""
    if not isinstance(config, dict):
        return config
    if config.get("kind") in LEARNT and config.get("path") is not None:
        made = make_policy(config)
        assert isinstance(made, learners.TrainedNetwork | learners.GreedyPolicy)
        return policies.to_config(made.portable())
    return {key: embed_files(value) for key, value in config.items()}
