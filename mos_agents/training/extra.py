"""What training needs besides: PyTorch and RLlib, which an installation need not have."""

from __future__ import annotations

import importlib.util

from mos_agents.market.types import InputError

NEEDED = ("torch", "dm_tree", "tensorboard")
_MODULES = {"dm_tree": "tree"}


def needed() -> None:
    """InputError in one line where a package is not there."""
    for name in NEEDED:
        if importlib.util.find_spec(_MODULES.get(name, name)) is None:
            raise InputError(
                f"training needs {name}, which is not installed: make train-env, or "
                'pip install "mos-agents[train]"'
            )
