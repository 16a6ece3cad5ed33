"""Modules that are loaded when they are first used, and can be named in type hints nevertheless."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """Stands for a module, and loads it when one of its names is first used.

    Names below TYPE_CHECKING are unknown at run time, so `typing.get_type_hints` would fail.

    Parameters
    ----------
    name : str
        The module's dotted name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
