"""Where registered classes come from: releases and digests of their modules, kept with runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import site
import sys
import sysconfig
from pathlib import Path

from mos_agents.registry.kinds import entries


def versions() -> dict[str, str]:
    """Release and digest of every module that has registered something: a run keeps them.

    The release is that of the installed package, or `__version__`. The digest is the SHA-256 of all
    Python files of the module, or of the package around it.
    """
    return {root: f"{_release(root)} {_digest(root)[:16]}".strip() for root in _roots()}


def _roots() -> list[str]:
    """Modules and packages of others that have registered something."""
    roots = {one.module.partition(".")[0] for one in entries()}
    return sorted(roots - {"mos_agents", "__main__"})


def _release(root: str) -> str:
    for distribution in importlib.metadata.packages_distributions().get(root, ()):
        return importlib.metadata.version(distribution)
    return str(getattr(sys.modules.get(root), "__version__", ""))


def _digest(root: str) -> str:
    digest = hashlib.sha256()
    location = home(root)
    paths = (
        sorted(location.rglob("*.py")) if location is not None and location.is_dir() else [location]
    )
    for path in paths:
        if path is not None:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def home(root: str) -> Path | None:
    """The folder of a package, or the file of a module; None where it has neither."""
    module = sys.modules.get(root)
    paths = list(getattr(module, "__path__", ()))
    if paths:
        return Path(paths[0])
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)


def not_installed() -> list[Path]:
    """Folders and files of registered modules that are not installed: other machines lack them."""
    places = [home(root) for root in _roots()]
    return [path for path in places if path is not None and not _is_installed(path)]


def _is_installed(path: Path) -> bool:
    folders = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("purelib")]
    return any(path.is_relative_to(folder) for folder in folders)
