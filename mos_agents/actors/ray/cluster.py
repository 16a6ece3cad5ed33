"""A Ray cluster to work on: one of this run's own, or an existing one that asks for a token.

Never a bare `ray.init()`: either a cluster of this run's own, which listens on the loopback
interface alone and asks for a token that only its processes know, without usage statistics or
dashboard, or an existing one by its address.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.utils import read_ray_address
from ray.exceptions import AuthenticationError, RayError

from mos_agents import registry
from mos_agents.market.types import InputError
from mos_agents.policies.faults import describe
from mos_agents.wording import setting

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}

NICENESS = "RAY_worker_niceness"
"""Ray starts its workers with niceness 15. On a machine that does something else as well they get a
hundredth of a core: a run stands still, and one that takes a minute to start is given up by Ray. In
a cluster of one's own they are as urgent as the process that started them, unless the environment
says else.
"""

CONNECT_SECONDS = 5
"""How long a cluster may take to answer at all."""


@contextlib.contextmanager
def cluster(
    address: str | None = None,
    *,
    insecure: bool = False,
    cpus: int | None = None,
) -> Iterator[str]:
    """A Ray cluster to work on, by address; one of this run's own where none is given.

    cpus: of a cluster of its own; None has room for the actors of a market, whatever the cores.
    An existing cluster must demand a token (RAY_AUTH_MODE=token), unless `insecure`.
    """
    former = {
        name: os.environ.get(name)
        for name in (*QUIET, NICENESS, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "PYTHONPATH")
    }
    os.environ |= QUIET
    joins = False
    try:
        if address is not None:
            _checked(address, insecure)
        if ray.is_initialized():
            raise InputError(
                "this process is on a Ray cluster already and can be on one only; leave it first, "
                "with ray.shutdown()"
            )
        if address is None:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            os.environ.setdefault(NICENESS, "0")
            _reload_environment()
        options: dict[str, Any] = _modules(address)
        if address is None:
            options |= {"include_dashboard": False, "num_cpus": cpus or own_cores()}
        asked = signal.getsignal(signal.SIGTERM)
        joins = True
        try:
            with _on_loopback() if address is None else contextlib.nullcontext():
                ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=True,
                    **options,
                )
        except Exception as error:  # a start that takes too long is a bare one
            raise InputError(_why_not(address, error)) from None
        if asked is not None:  # None: one that is not Python's
            with contextlib.suppress(ValueError):  # Ray puts one of its own there, which aborts
                signal.signal(signal.SIGTERM, asked)
        yield address or "local"
    finally:
        if joins:
            with contextlib.suppress(Exception):
                ray.shutdown()
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _reload_environment()


def _modules(address: str | None) -> dict[str, Any]:
    """How workers find the modules of the user's own that are not installed: a cluster of one's own
    by their folders; of another, every node is sent their files."""
    places = registry.not_installed()
    if not places:
        return {}
    if address is not None:
        return {"runtime_env": {"py_modules": [str(place) for place in places]}}
    folders = dict.fromkeys(str(place.parent) for place in places)
    former = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *([former] if former else [])])
    return {}


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """A node started here listens on the loopback interface, and not on all that there are.

    Ray does so by itself where it makes no clusters of several nodes (on a Mac, say).
    """
    former = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = former


VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def _why_not(address: str | None, error: Exception) -> str:
    """In one line, why there is no cluster although it was asked for or answers."""
    if address is None:
        return f"Ray does not start: {describe(error)}"
    versions = VERSIONS.findall(str(error))
    if "Version mismatch" in str(error) and len(versions) == 2:
        there, here = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return (
            f"address={address!r}: the cluster runs {there}, this environment {here}; they must be "
            "the same on every node: install this project's lock there, or use that environment"
        )
    return f"address={address!r}: the cluster answers but cannot be joined: {describe(error)}"


def own_cores() -> int:
    """Cores of a cluster of one's own by default."""
    # Actors of a market wait for each other most of the time: cores do not bound them.
    return max(4, os.cpu_count() or 1)


def joined() -> bool:
    """Whether this process is on a cluster already."""
    return bool(ray.is_initialized())


def cores() -> int:
    """Cores of all nodes, free or not."""
    return int(sum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]))


def fetched(reference: Any) -> Any:
    """The object in Ray's store that a reference stands for."""
    return ray.get(reference)


def _checked(address: str, insecure: bool) -> None:
    """Raise InputError where the cluster cannot be joined, before Ray tries so for a minute."""
    where = f"address={address!r}"
    place = address
    if address == "auto":
        place = os.environ.get("RAY_ADDRESS") or read_ray_address() or ""
        if not place:
            raise InputError(f"{where}: no Ray cluster runs on this machine; give HOST:PORT")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise InputError(f"{where} must be HOST:PORT of the head node, or auto")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"{where}: no Ray cluster answers there: {describe(error)}") from None
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "token":
        _check_token(where)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        opened = _lets_in(place)
    finally:
        if mode is None:
            del os.environ["RAY_AUTH_MODE"]
        else:
            os.environ["RAY_AUTH_MODE"] = mode
        _reload_environment()
    if opened:
        if not insecure:
            raise InputError(
                f"{where}: the cluster asks for no token; start it with "
                f"RAY_AUTH_MODE=token, or give {setting('insecure', True)}"
            )
    elif mode != "token":
        raise InputError(
            f"{where}: the cluster asks for a token and this session shows none; set "
            f"RAY_AUTH_MODE=token, and {THE_TOKEN} as on the cluster"
        )
    elif not _lets_in(place):
        raise InputError(
            f"{where}: the cluster does not take this session's token; have {THE_TOKEN} as on the "
            "cluster"
        )


THE_TOKEN = "RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"
"""Where Ray looks for its token, in this order."""


def _check_token(where: str) -> None:
    """Raise InputError where Ray will find no token: it then ends the process without a word."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    given = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(given or Path.home() / ".ray" / "auth_token")
    try:
        if not path.is_file():
            why = f"{path} is no file" if path.exists() else f"{path} does not exist"
        else:  # as for Ray, nothing but blanks is no token
            with path.open("rb") as file:
                why = "" if file.read(1 << 16).strip() else f"{path} holds none"
    except OSError as error:
        why = f"{path}: {error.strerror or error}"
    if why and given:
        raise InputError(f"{where}: RAY_AUTH_TOKEN_PATH names no token: {why}")
    if why:
        raise InputError(
            f"{where}: RAY_AUTH_MODE=token asks for a token and this session shows none; set "
            f"{THE_TOKEN} as on the cluster ({why})"
        )


def _lets_in(place: str) -> bool:
    """Whether the cluster answers to the token (or to none) that the environment now holds."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    _reload_environment()
    with _silent():
        try:
            GcsClient(place).internal_kv_exists(b"mos", None, timeout=CONNECT_SECONDS)
        except AuthenticationError:
            return False
        except (RayError, RuntimeError, ValueError) as error:
            raise InputError(
                f"address={place!r}: no Ray cluster answers: {describe(error)}"
            ) from None
    return True


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Ray's inner warnings go past Python's logging, straight to the terminal; not these."""
    former, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(former, 2)
        os.close(former)
        os.close(nowhere)


def _reload_environment() -> None:
    # Ray reads mode and token once, when it is imported; a later change must be made known to it.
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


_holders = 0
_own_cluster: contextlib.ExitStack | None = None


def hold() -> Any:
    """See to it that this process is on a cluster; what to call to let go of it.

    One of its own is shared by all who hold it, and ends with the last.
    """
    global _holders, _own_cluster
    if _own_cluster is None and ray.is_initialized():
        return lambda: None
    if _own_cluster is None:
        stack = contextlib.ExitStack()
        stack.enter_context(cluster())
        _own_cluster = stack
    _holders += 1
    return _release


def _release() -> None:
    global _holders, _own_cluster
    _holders -= 1
    if _holders == 0 and _own_cluster is not None:
        own, _own_cluster = _own_cluster, None
        own.close()
